"""One life of a chair: its processes start, blows fall on them as the ordeal says, and it ends when none of them is left."""

import contextlib
import os
import resource
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sim.room_files import TRUTH
from tests.campaign.audit import true_trains
from tests.campaign.forking import is_alive, signal_one
from tests.campaign.ordeal import DAEMON_PLACES, Blow, Ordeal
from tests.campaign.setup import Setup

BEGIN_NS = 30_000_000_000  # a chair that has not begun by then is struck where it stands
TRAIN_NS = 8_000_000_000  # between two trains of a session
END_NS = 25_000_000_000  # and one that has not ended so long after its last blow never does
TURN_S = 0.008
AGAIN_NS = 20_000_000
NS = 1_000_000_000
DISK_LEAST_BYTES = 49_152  # what the log of a life stays below
PROCESSES = ("supervisor", "hot", "daemon", "proxy")


@dataclass(frozen=True, slots=True)
class Struck:
    """A blow or trap that really fell."""

    kind: str
    at_ns: int


@dataclass(slots=True)
class LifeStory:
    """What happened in a life: blows, and what is wrong already without a look at the record."""

    began_ns: int
    struck: list[Struck] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    ready_ns: int = 0
    nobody_disarmed: bool = False  # none was left who could
    silences_ns: list[tuple[int, int]] = field(default_factory=list)  # spans in which the daemon was stopped


class Life:
    """Runs once."""

    def __init__(self, setup: Setup, ordeal: Ordeal, log: Path) -> None:
        self._setup, self._ordeal, self._board = setup, ordeal, setup.board
        self._log = log
        self._agenda: list[tuple[int, Callable[[], None]]] = []
        self._is_over = False  # the last blow has fallen
        self._still_since_ns: int | None = None  # the daemon is stopped

    def run(self) -> LifeStory:
        board = self._board
        board.new_life()
        self.story = LifeStory(began_ns=time.monotonic_ns())
        board["supervisor_pid"] = self._setup.start_supervisor(self._ordeal, self._log)
        self._wait_for_begin()
        base_ns = self._base_ns()
        for blow in self._ordeal.blows:
            self._later(base_ns + round(blow.after_s * NS), lambda blow=blow: self._strike(blow))
        while self._is_alive("supervisor") and not self._is_over:
            self._turn()
        self._wait_for_end()
        return self.story

    def _wait_for_begin(self) -> None:
        deadline_ns = self.story.began_ns + BEGIN_NS
        while not self._ordeal.at_start and not self._board["begun_ns"] and self._is_alive("supervisor"):
            if time.monotonic_ns() > deadline_ns or self._board["operator_failed"]:
                return
            self._turn()

    def _base_ns(self) -> int:
        """From when on the times of the blows run."""
        if self._ordeal.at_start:
            return self.story.began_ns
        if self._ordeal.in_train is not None:
            first_ns = self._wait_for_train(self._ordeal.in_train)
            if first_ns is not None:
                return first_ns
        return time.monotonic_ns()

    def _wait_for_train(self, number: int) -> int | None:
        """The first pulse of that train of this life, or of one before it that turned out to be the last; None: none came."""
        deadline_ns = time.monotonic_ns() + BEGIN_NS
        last_ns = None
        while self._is_alive("supervisor") and time.monotonic_ns() < deadline_ns:
            trains, _ = true_trains(self._setup.folder / TRUTH, self._setup.family)
            firsts_ns = [train.first_ns for train in trains if train.first_ns > self.story.began_ns]
            if len(firsts_ns) >= number:
                return firsts_ns[number - 1]
            if firsts_ns and firsts_ns[-1] != last_ns:
                last_ns, deadline_ns = firsts_ns[-1], time.monotonic_ns() + TRAIN_NS
            self._turn()
        return None

    def _wait_for_end(self) -> None:
        """Whatever was only lent is given back; then nobody may be left."""
        deadline_ns = time.monotonic_ns() + END_NS
        while any(self._is_alive(name) for name in PROCESSES) or self._agenda:
            if time.monotonic_ns() > deadline_ns:
                left = ", ".join(name for name in PROCESSES if self._is_alive(name))
                self.story.faults.append(f"{left} did not end")
                break
            self._turn()
        for name in PROCESSES:
            signal_one(self._board[f"{name}_pid"], signal.SIGKILL)
        self.story.ready_ns = self._board["ready_ns"]
        self.story.nobody_disarmed = self._nobody_disarmed()
        if self._board["operator_failed"]:
            self.story.faults.append("the campaign's operator failed: see the log")
        if self._ordeal.trap is not None and self._board["trap_sprung_ns"]:
            self.story.struck.append(Struck(self._ordeal.trap.kind, self._board["trap_sprung_ns"]))

    def _nobody_disarmed(self) -> bool:
        """The supervisor died before its first disarm, or together with the hot process, or right after a trap had killed that one."""
        last, trap = self._ordeal.blows[-1], self._ordeal.trap
        if not self._pid("hot"):
            return True
        if not self._is_over or "kill" not in last.what or "supervisor" not in last.whom:
            return False
        trapped = trap is not None and trap.then.startswith("kill") and bool(self._board["trap_sprung_ns"])
        return "hot" in last.whom or trapped

    # ---- turns ------------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        time.sleep(TURN_S)
        now_ns = time.monotonic_ns()
        due = [item for item in self._agenda if item[0] <= now_ns]
        self._agenda = [item for item in self._agenda if item[0] > now_ns]
        for _, act in sorted(due, key=lambda item: item[0]):
            act()
        if self._board["trapped_ns"]:
            self._board["trapped_ns"] = 0
            self._release_from_trap()
        _reap()

    def _release_from_trap(self) -> None:
        trap, stopped_ns = self._ordeal.trap, self._board["trap_sprung_ns"]
        assert trap is not None
        name = "daemon" if trap.where in DAEMON_PLACES else "hot"
        self._later(stopped_ns + round(trap.for_s * NS), lambda: self._go_on((name,)))
        if name == "daemon":
            self._still_since_ns = stopped_ns

    def _later(self, at_ns: int, act: Callable[[], None]) -> None:
        self._agenda.append((at_ns, act))

    def _pid(self, name: str) -> int:
        return self._board[f"{name}_pid"]

    def _is_alive(self, name: str) -> bool:
        return is_alive(self._pid(name))

    # ---- blows ------------------------------------------------------------------------------------------------------

    def _strike(self, blow: Blow) -> None:
        if self._is_over or not self._is_alive("supervisor"):
            return
        now_ns = time.monotonic_ns()
        if any(not self._pid(name) for name in blow.whom):  # not yet started: a blow must fall on somebody
            self._later(now_ns + AGAIN_NS, lambda: self._strike(blow))
            return
        self.story.struck.append(Struck(blow.kind, now_ns))
        BLOWS[blow.what](self, blow, now_ns + round(blow.for_s * NS))
        self._is_over = blow is self._ordeal.blows[-1]

    def _kill(self, blow: Blow, until_ns: int) -> None:
        self._signal(blow, signal.SIGSTOP)  # at once: whoever lived a moment longer would make safe
        if "room" in blow.whom:
            self._setup.config.stimulator.port.unlink()  # its name goes with a device: another chair may get the number
        self._signal(blow, signal.SIGKILL)
        if "room" in blow.whom:
            self._later(until_ns, self._setup.start_room)

    def _stop(self, blow: Blow, until_ns: int) -> None:
        self._signal(blow, signal.SIGSTOP)
        if "daemon" in blow.whom:
            self._still_since_ns = time.monotonic_ns()
        self._later(until_ns, lambda: self._go_on(blow.whom))

    def _go_on(self, names: tuple[str, ...]) -> None:
        """Whoever stopped it: one signal is enough."""
        if "daemon" in names and self._still_since_ns is not None:
            self.story.silences_ns.append((self._still_since_ns, time.monotonic_ns()))
            self._still_since_ns = None
        for name in names:
            signal_one(self._pid(name), signal.SIGCONT)

    def _stop_then_kill(self, blow: Blow, until_ns: int) -> None:
        self._signal(blow, signal.SIGSTOP)
        self._later(until_ns, lambda: self._signal(blow, signal.SIGKILL))

    def _ask_to_leave(self, blow: Blow, _until_ns: int) -> None:
        self._signal(blow, signal.SIGTERM)

    def _slip(self, _blow: Blow, until_ns: int) -> None:
        self._board["off_target"] = 1
        self._later(until_ns, lambda: self._board.__setitem__("off_target", 0))

    def _step(self, blow: Blow, _until_ns: int) -> None:
        self._board["wall_offset_ns"] += round(blow.step_s * NS)

    def _lock_ledger(self, _blow: Blow, until_ns: int) -> None:
        connection = sqlite3.connect(self._setup.ledger_file, timeout=0.2, isolation_level=None)
        with contextlib.suppress(sqlite3.OperationalError):  # busy with a commit: then it is not locked this time
            connection.execute("BEGIN IMMEDIATE")
        self._later(until_ns, connection.close)

    def _fill_disk(self, _blow: Blow, until_ns: int) -> None:
        """No file of the daemon's may grow beyond the ledger's log as it is."""
        pid = self._pid("daemon")
        log = self._setup.ledger_file.with_name(f"{self._setup.ledger_file.name}-wal")
        most = max(DISK_LEAST_BYTES, log.stat().st_size if log.exists() else 0)
        _limit_files(pid, most)
        self._later(until_ns, lambda: _limit_files(pid, resource.RLIM_INFINITY))

    def _signal(self, blow: Blow, number: signal.Signals) -> None:
        for name in blow.whom:
            signal_one(self._pid(name), number)


BLOWS: dict[str, Callable[[Life, Blow, int], None]] = {
    "kill": Life._kill,
    "stop": Life._stop,
    "stop then kill": Life._stop_then_kill,
    "ask to leave": Life._ask_to_leave,
    "slip": Life._slip,
    "step": Life._step,
    "lock ledger": Life._lock_ledger,
    "fill disk": Life._fill_disk,
}


def _limit_files(pid: int, most_bytes: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
