"""The whole chair as processes: the room, `atmsd run` with its two children, and what is kept of them: truth and ledger.

Bringing a coil on target takes half a minute, most of it waiting: `chairs_on_target` does it for several chairs side by side.
"""

import concurrent.futures
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from daemon.chair_memory import ChairMemory
from daemon.ledger_export import SessionExport, TrainExport, export_ledger
from daemon.ledger_store import Ledger
from tests.loop.quick_operator import QuickOperator
from tests.loop.rig import Fact, Room, is_alive, wait

MS = 1_000_000
LEAVE_S = 20.0
FIRST_SEED = 11
PLAN = Path("plans") / "demo_itbs90.plan.json"
STATE = "ledger.sqlite.simulated-chair.state.json"


class ChairRig:
    """One room and one `atmsd run` at a time over it. `plans`: a folder of plans made before, to save the making."""

    def __init__(self, folder: Path, seed: int, plans: Path | None = None) -> None:
        self.folder = folder
        self.config, self.plan = folder / "chair.toml", folder / PLAN
        if plans is not None:
            shutil.copytree(plans, folder / "plans", dirs_exist_ok=True)
        ChairMemory(folder / STATE, "Etc/UTC").remember_hardware_stop(time.time())
        self.room = Room(folder, seed)
        self._runs = 0
        self.begin()

    # ---- processes --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start `atmsd run`."""
        self._runs += 1
        self.run = self.other_run(self.config, f"run{self._runs}")

    def other_run(self, config: Path, name: str) -> subprocess.Popen[bytes]:
        """Another `atmsd run`; its words go to NAME.err."""
        with (self.folder / f"{name}.err").open("wb") as errors:
            command = [sys.executable, "-m", "daemon", "run", "--config", str(config)]
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)

    def said(self, name: str | None = None) -> str:
        """What a run wrote to its standard error; the present one's unless named."""
        return (self.folder / f"{name or f'run{self._runs}'}.err").read_text()

    def pids(self) -> dict[str, int]:
        """The present run's processes by name: supervisor, daemon, hot."""
        found = {"supervisor": self.run.pid}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or _parent_of(entry) != self.run.pid:
                continue
            words = (entry / "cmdline").read_text()
            found.update({name: int(entry.name) for name, module in (("hot", "daemon.hot"), ("daemon", "daemon.app")) if module in words})
        return found

    def signal(self, number: signal.Signals, *names: str) -> int:
        """Send a signal to processes of the present run. Returns when, ns."""
        pids = self.pids()
        now_ns = time.monotonic_ns()
        for name in names:
            os.kill(pids[name], number)
        return now_ns

    def operator(self) -> QuickOperator:
        return QuickOperator(self.config)

    def to_target(self) -> None:
        """Registered and aimed; the operator's lease lapses afterwards."""
        with self.operator() as operator:
            operator.to_target(self.plan)

    def end(self) -> int:
        """Ask the present run to end; its exit code."""
        if self.run.poll() is None:
            self.run.terminate()
        return self.run.wait(LEAVE_S)

    def close(self) -> None:
        pids = self.pids() if self.run.poll() is None else {}
        try:
            self.end()
        finally:
            for pid in pids.values():
                if is_alive(pid):
                    os.kill(pid, signal.SIGKILL)
            self.run.wait()
            self.room.close()

    # ---- what is kept -----------------------------------------------------------------------------------------------

    def sessions(self) -> tuple[SessionExport, ...]:
        """The ledger's sessions as exported."""
        ledger = Ledger.open(f"sqlite:///{self.folder / 'ledger.sqlite'}", read_only=True)
        try:
            assert ledger.verify() is None
            return export_ledger(ledger.rows()).sessions
        finally:
            ledger.close()

    def closed_session(self) -> SessionExport:
        """The one session there is, once it is closed."""

        def closed() -> list[SessionExport]:
            return [session for session in self.sessions() if session.state != "OPEN"]

        found: list[SessionExport] = wait("a closed session", closed)
        assert len(found) == len(self.sessions()) == 1
        return found[0]


def _parent_of(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def chairs_on_target(folders: Sequence[Path], plans: Path) -> list[ChairRig]:
    """One chair for each folder, prepared side by side. If one fails all are closed."""
    chairs: list[ChairRig] = []

    def prepare(number: int, folder: Path) -> None:
        chair = ChairRig(folder, FIRST_SEED + number, plans)
        chairs.append(chair)
        chair.to_target()

    with concurrent.futures.ThreadPoolExecutor(len(folders), "preparing") as threads:
        preparing = [threads.submit(prepare, number, folder) for number, folder in enumerate(folders)]
    try:
        for each in preparing:
            each.result()
    except BaseException:
        for chair in chairs:
            chair.close()
        raise
    return chairs


# ---- truth against ledger -------------------------------------------------------------------------------------------


def train_of(pulse: Fact, trains: Sequence[TrainExport], tolerance_ns: int) -> TrainExport | None:
    """The train of the export in whose time a true pulse lies."""
    for train in trains:
        first_ns, last_ns = train.first_pulse_mono_ns, train.last_pulse_mono_ns
        if first_ns is not None and last_ns is not None and first_ns - tolerance_ns <= pulse["mono_ns"] <= last_ns + tolerance_ns:
            return train
    return None


def assert_ledger_is_truth(session: SessionExport, pulses: Sequence[Fact], tolerance_ns: int = 100 * MS) -> None:
    """Every true pulse lies in one train of the ledger, and each train holds as many as it counts."""
    counted = {train.grant_no: 0 for train in session.trains}
    for pulse in pulses:
        train = train_of(pulse, session.trains, tolerance_ns)
        assert train is not None, f"no train of the ledger holds the pulse at {pulse['mono_ns']}"
        counted[train.grant_no] += 1
    assert counted == {train.grant_no: train.counted_pulses for train in session.trains}
    assert session.counted_pulses == len(pulses)
