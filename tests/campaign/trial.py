"""One chair through all its lives, audited after each; runs in a process of its own and leaves its result in a file."""

import contextlib
import ctypes
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from daemon.ledger_store import Ledger
from daemon.record import boot_id, moment
from sim.room_files import TRUTH
from tests.campaign.afterlife import look
from tests.campaign.audit import Audit, Findings, Known, true_trains
from tests.campaign.beacon import reserved_port
from tests.campaign.family import Family
from tests.campaign.forking import is_alive, signal_one
from tests.campaign.life import TURN_S, Life
from tests.campaign.ordeal import Ordeal, draw, draw_death
from tests.campaign.outcome import ChairResult, LifeResult
from tests.campaign.quick import quick_setup
from tests.campaign.setup import Setup
from tests.campaign.whole import draw_whole, whole_setup
from tests.loop.rig import Room

LIVES = 8
DEATHS = 5  # of a chair whose lives all end so
CLOCK_EVERY = 3  # of so many chairs, one has its wall clock set by more than a second
CLOCK_LIVES = 3
LARGE_STEP_S = 1.0
NS = 1_000_000_000
QUIET_NS = NS  # a train that outlives everybody is over by then
AFTERLIFE_NS = 2 * NS  # longer than any train of these, and than a unit without a host stays armed
PR_SET_CHILD_SUBREAPER = 36
LOG_CHARACTERS = 6000


def ordeals(seed: int, lives: int) -> tuple[Ordeal, ...]:
    """What is done to the chair of that seed, life by life; large steps of the clock late, for a clock once set forward refuses much."""
    first = lives - CLOCK_LIVES if seed % CLOCK_EVERY == 0 else lives
    return tuple(draw(seed * 1000 + number, steps_clock=number >= first) for number in range(lives))


def deaths(seed: int, lives: int, family: Family) -> tuple[Ordeal, ...]:
    """Every life of the chair ends with its whole host in mid-train."""
    return tuple(draw_death(seed * 1000 + number, family.trains, family.train_length_ns / NS) for number in range(lives))


def run_chair(folder: Path, plans: Mapping[str, Path], seed: int, family: Family, *, dies: bool) -> ChairResult:
    """All lives of one quick chair. `dies`: in mid-train, each time."""
    with reserved_port() as port:
        setup = quick_setup(folder, plans, seed, port.getsockname()[1], family)
        try:
            return _all_lives(setup, seed, deaths(seed, DEATHS, family) if dies else ordeals(seed, LIVES))
        finally:
            signal_one(setup.board["room_pid"], signal.SIGKILL)


def run_whole_room(folder: Path, seed: int, lives: int) -> ChairResult:
    """All lives of one chair in a whole room."""
    room = Room(folder, seed)
    try:
        room.act("coil_near")
        return _all_lives(whole_setup(room), seed, tuple(draw_whole(seed * 1000 + number, number) for number in range(lives)))
    finally:
        room.close()


def _all_lives(setup: Setup, seed: int, drawn: tuple[Ordeal, ...]) -> ChairResult:
    """Ends early after a fault: what follows it would only repeat it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans come to us, so that none is left over
    results: list[LifeResult] = []
    known = Known()
    for number, ordeal in enumerate(drawn):
        results.append(_one_life(setup, ordeal, number, known, is_last=ordeal is drawn[-1]))
        if results[-1].faults:
            break
    return ChairResult(seed=seed, family=setup.family.name, lives=tuple(results))


def _one_life(setup: Setup, ordeal: Ordeal, number: int, known: Known, *, is_last: bool) -> LifeResult:
    log = setup.folder / f"life-{number}.log"
    story = Life(setup, ordeal, log).run()
    known.steps_ns += [struck.at_ns for struck in story.struck if struck.kind in _large_steps(ordeal)]
    known.silences_ns += story.silences_ns
    if not is_alive(setup.board["room_pid"]):
        setup.start_room()
    faults = [*story.faults]
    afterlife = None
    if story.nobody_disarmed:
        time.sleep((QUIET_NS + setup.family.train_length_ns) / 2e9 if ordeal.in_train is None else AFTERLIFE_NS / NS)
    else:
        faults += _still_enabled(setup)
    if ordeal.in_train is not None and story.struck:
        afterlife = look(setup.folder / TRUTH, story.struck[-1].at_ns, time.monotonic_ns(), setup.family)
        faults += afterlife.faults
    findings = _audit(setup, known, story.began_ns if story.ready_ns else None)
    if is_last:
        findings = _after_restart(setup, known, findings)
    faults += findings.faults
    return LifeResult(
        ordeal=ordeal,
        struck=tuple(struck.kind for struck in story.struck),
        given=findings.given,
        counted=findings.counted,
        faults=tuple(faults),
        seconds=round((time.monotonic_ns() - story.began_ns) / 1e9, 2),
        log=log.read_text(encoding="utf-8")[-LOG_CHARACTERS:] if faults else "",
        afterlife=afterlife,
    )


def _large_steps(ordeal: Ordeal) -> set[str]:
    """Kinds of blows of this life that set the clock by more than a little."""
    kinds = {blow.kind for blow in ordeal.blows if abs(blow.step_s) > LARGE_STEP_S}
    return kinds | ({ordeal.trap.kind} if ordeal.trap is not None and ordeal.trap.then == "step" else set())


def _still_enabled(setup: Setup) -> list[str]:
    """Somebody lived to disable the device: it must be off, or be switched off within a moment."""
    deadline_ns = time.monotonic_ns() + QUIET_NS
    while true_trains(setup.folder / TRUTH, setup.family)[1]:
        if time.monotonic_ns() > deadline_ns:
            return ["the device was left enabled"]
        time.sleep(TURN_S)
    return []


def _audit(setup: Setup, known: Known, restarted_ns: int | None) -> Findings:
    with contextlib.closing(Ledger.open(setup.config.ledger.url)) as ledger:
        return Audit(ledger, setup.folder / TRUTH, known, setup.family).findings(restarted_ns)


def _after_restart(setup: Setup, known: Known, before: Findings) -> Findings:
    """One more recovery, as the next start would make it, and nothing counts less for it."""
    now = moment(boot_id())
    with contextlib.closing(Ledger.open(setup.config.ledger.url)) as ledger:
        ledger.recover(setup.config.chair.name, now)
    after = _audit(setup, known, now.mono_ns)
    lost = [f"recovery lowered the count from {before.counted} to {after.counted}"] if after.counted < before.counted else []
    return replace(after, faults=(*before.faults, *lost, *after.faults))
