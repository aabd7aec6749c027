"""The stimulator itself, over its open port: disarmed first, then asked what it is, then left disabled and idle.

`interview` talks, the functions below judge what was said, alike for every family. Each family's own checks are in its file.
"""

import select
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from daemon.config import SIMULATION_ONLY
from daemon.doctor import Check, fail, ok, warn
from drivers.disarm import DisarmOutcome, disarm
from drivers.protocols import Step, Stimulator
from drivers.transport import Pipe, rts_is_low
from drivers.values import Disabled, PanelAct, Secured, StimEvent, StimFault, StimReport

NS_PER_S = 1_000_000_000
DISARM_NS = 3 * NS_PER_S
SECURE_NS = 3 * NS_PER_S
LISTEN_NS = 700_000_000  # two polls of either family in standby, and the answer to the unlock code
STOP_NS = 1_500_000_000
RED_BUTTON = "Take the coil off the head and press the unit's own stop, or switch its mains off."

Kind = TypeVar("Kind", bound=StimEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFacts:
    """What the unit said. `report`, `faults` and `acts` are empty where it did not even confirm the disarm.

    `rts_low`: None where the port has no modem lines. `left_disabled`: confirmed at the end.
    """

    disarmed: DisarmOutcome
    rts_low: bool | None
    report: StimReport | None = None
    faults: tuple[StimFault, ...] = ()
    acts: tuple[str, ...] = ()
    left_disabled: bool = False


# ---- talking --------------------------------------------------------------------------------------------------------


class Talk:
    """One conversation over a non-blocking descriptor, waited for: the driver says what is sent, `overhear` is shown what comes."""

    def __init__(self, fd: int, stimulator: Stimulator, clock: Callable[[], int], overhear: Callable[[bytes, int], None]) -> None:
        self._pipe = Pipe(fd)
        self._stimulator, self._clock, self._overhear = stimulator, clock, overhear
        self._wake_ns = 0
        self._is_gone = False
        self.events: list[StimEvent] = []

    def begin(self) -> None:
        self._take(self._stimulator.connected(self._clock()))

    def stop(self) -> None:
        self._take(self._stimulator.stop(self._clock()))

    def all(self, kind: type[Kind]) -> tuple[Kind, ...]:
        return tuple(event for event in self.events if isinstance(event, kind))

    def until(self, holds: Callable[[], bool], within_ns: int) -> bool:
        """Go on until it holds. False when the time is up or the port is gone."""
        deadline_ns = self._clock() + within_ns
        while not holds():
            now_ns = self._clock()
            if now_ns >= deadline_ns or self._is_gone:
                return False
            self._turn(max(0, min(self._wake_ns, deadline_ns) - now_ns) / NS_PER_S)
        return True

    def _turn(self, wait_s: float) -> None:
        fd = self._pipe.fd
        readable, _, _ = select.select([fd], [fd] if self._pipe.has_unsent else [], [], wait_s)
        data = self._pipe.read() if readable else b""
        if data is None:
            self._is_gone = True
            return
        now_ns = self._clock()
        if data:
            self._overhear(data, now_ns)
        self._take(self._stimulator.feed(data, now_ns) if data else self._stimulator.tick(now_ns))

    def _take(self, step: Step[StimEvent]) -> None:
        self._wake_ns = step.wake_ns
        self.events += step.events
        self._is_gone = not self._pipe.write(step.send) or self._is_gone


def interview(
    fd: int, make: Callable[[], Stimulator], clock: Callable[[], int], overhear: Callable[[bytes, int], None]
) -> tuple[UnitFacts, Stimulator]:
    """Disarm before anything else; only a unit that confirms it is asked further. Ends with a stop that is waited for.

    Returns the driver too, which now knows what the unit said. `overhear` gets the bytes of the second conversation.
    """
    outcome = disarm(fd, make(), clock() + DISARM_NS, clock)
    rts_low, stimulator = _rts_is_low(fd), make()
    if not outcome.confirmed:
        return UnitFacts(disarmed=outcome, rts_low=rts_low), stimulator
    talk = Talk(fd, stimulator, clock, overhear)
    talk.begin()
    if talk.until(lambda: bool(talk.all(Secured)), SECURE_NS):
        talk.until(lambda: False, LISTEN_NS)
    report, acts, faults = stimulator.report, talk.all(PanelAct), talk.all(StimFault)
    talk.events.clear()
    talk.stop()
    talk.until(lambda: any(end.confirmed for end in talk.all(Disabled)), STOP_NS)
    facts = UnitFacts(
        disarmed=outcome,
        rts_low=rts_low,
        report=report,
        faults=tuple({fault.what: fault for fault in (*faults, *talk.all(StimFault))}.values()),
        acts=tuple(dict.fromkeys(act.what for act in acts)),
        left_disabled=any(end.confirmed for end in talk.all(Disabled)),
    )
    return facts, stimulator


def _rts_is_low(fd: int) -> bool | None:
    """A port that is gone by now verifies nothing."""
    try:
        return rts_is_low(fd)
    except OSError:
        return None


# ---- judging --------------------------------------------------------------------------------------------------------


def disarm_is_confirmed(facts: UnitFacts, *, answer_tells_before: bool) -> Check:
    """`answer_tells_before`: the unit's answer to a disarm shows the state before it, so that silence about it means off."""
    found = facts.disarmed
    if not found.confirmed:
        return fail("disarm", f"NOT confirmed: {found.why.removesuffix('.')}", f"{RED_BUTTON} Nothing else was asked.")
    if found.found_running or found.found_enabled:
        doing = "running a train" if found.found_running else "enabled"
        return warn("disarm", f"confirmed; it was found {doing}", "Find out who left it so, and what it gave.")
    if answer_tells_before:
        return ok("disarm", "sent first, confirmed; it was found off")
    return ok("disarm", "sent first, confirmed; no train was running, and whether it was enabled this unit does not tell afterwards")


def rts_is_as_wanted(facts: UnitFacts) -> Check:
    """For a unit that some trigger cables fire through that line."""
    if facts.rts_low is None:
        return warn("RTS", "the port has no modem lines: not verified that it is low", "A real port has them; a pseudo terminal has none.")
    if facts.rts_low:
        return ok("RTS", "low, read back from the port")
    return fail("RTS", "HIGH although it was set low: some trigger cables fire on it", "Unplug the trigger cable; use another adapter.")


def nothing_went_wrong(facts: UnitFacts) -> tuple[Check, ...]:
    faults = tuple(fail("unit", fault.what, fault.remedy) for fault in facts.faults)
    return faults + tuple(warn("unit", f"while it was asked: {act}", "Keep hands off the unit and ask again.") for act in facts.acts)


def amplitude_is_told(facts: UnitFacts, max_amplitude_pct_mso: int) -> Check | None:
    report = facts.report
    if report is None or report.amplitude_pct_mso is None:
        return None
    ceiling = f"this chair's ceiling is {max_amplitude_pct_mso} %, and atmsd sets its own before each train"
    return ok("amplitude", f"the unit stands at {report.amplitude_pct_mso} % of its maximum; {ceiling}")


def figures_fit_the_unit(facts: UnitFacts, basis: str) -> Check | None:
    """Figures made for a simulation are refused by the daemon on anything else."""
    if facts.report is None:
        return None
    if facts.report.simulated:
        return ok("simulator", "this is the simulated unit, not a stimulator")
    if basis == SIMULATION_ONLY:
        return fail("simulator", f"this is no simulated unit, and [site].basis says {SIMULATION_ONLY!r}", "State what the figures rest on.")
    return None


def unit_is_left_off(facts: UnitFacts) -> Check | None:
    if not facts.disarmed.confirmed:
        return None
    if facts.left_disabled:
        return ok("left", "disabled and idle, confirmed")
    return fail("left", "the unit does not confirm that it is disabled", RED_BUTTON)
