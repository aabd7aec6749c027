"""`atmsd doctor` over the simulated units' real bytes: what it says, and what it leaves behind."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from daemon.config import chair_file as own_file
from daemon.config import load_config
from daemon.doctor import Check, Status, exit_code
from daemon.doctor_chair import World, examine
from drivers.magventure_command_wire import Command, SelectPage, SetTrain, StartTrain, encode_command
from drivers.magventure_wire import Page
from drivers.transport import open_serial
from sim.magstim_settings import MADE_UP_UNLOCK
from sim.magstim_sim import MagstimSim
from sim.magventure_sim import MagVentureSim
from sim.pty_port import PtyPort
from sim.truth import TruthLog
from tests.chairs import chair_file

MAGVENTURE_DISARM, MAGSTIM_DISARM = bytes.fromhex("fe020200"), b"EA\x79"
MAGVENTURE = ("r30", "r30-option", "x100", "x100-option")


class Room:
    """A chair's folder with a simulated unit where its file looks for one."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self._software = "9.0"

    def start(self, model: str, *, software: str = "9.0", unlock: str | None = MADE_UP_UNLOCK) -> MagVentureSim | MagstimSim:
        truth = self._stack.enter_context(TruthLog(self.folder / "truth.jsonl"))
        pty = self._stack.enter_context(PtyPort(self.folder / "stimulator"))
        self._software = software
        simulator: MagVentureSim | MagstimSim
        if model in MAGVENTURE:
            simulator = MagVentureSim(pty, truth, model=model)
        else:
            simulator = MagstimSim(pty, truth, model=model, software=software, unlock=unlock)
        simulator.start()
        self._stack.callback(simulator.stop)
        return simulator

    def examined(self, model: str) -> dict[str, list[Check]]:
        """What doctor says of the chair whose file names that model, and the software that was started, by topic."""
        file = chair_file(self.folder, model=model)
        file.write_text(file.read_text().replace("software = 9", f"software = {self._software.partition('.')[0]}"))
        return by_topic(examine(file, World()))

    def write(self, *commands: Command) -> None:
        """As a host that has died since."""
        fd = os.open(self.folder / "stimulator", os.O_RDWR | os.O_NOCTTY)
        for command in commands:
            os.write(fd, encode_command(command))
        os.close(fd)

    def pulses(self) -> int:
        return sum(json.loads(line)["kind"] == "pulse" for line in (self.folder / "truth.jsonl").read_text().splitlines())


def by_topic(checks: tuple[Check, ...]) -> dict[str, list[Check]]:
    topics: dict[str, list[Check]] = {}
    for check in checks:
        topics.setdefault(check.topic, []).append(check)
    return topics


def failed(said: dict[str, list[Check]]) -> list[str]:
    return [topic for topic, checks in said.items() if any(check.failed for check in checks)]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with ExitStack() as stack:
        yield Room(tmp_path, stack)


@pytest.mark.parametrize("model", MAGVENTURE)
def test_magventure_as_its_chair_file_says_passes_and_is_left_off(room: Room, model: str) -> None:
    simulator = room.start(model)
    said = room.examined(model)
    assert failed(said) == []
    assert said["model"][0].what.startswith(model)
    assert said["left"][0].status is Status.OK
    assert isinstance(simulator, MagVentureSim)
    assert not simulator.enabled
    assert room.pulses() == 0


@pytest.mark.parametrize(
    ("model", "software"), [("200", "9.0"), ("bistim", "9.0"), ("rapid", "7.2"), ("superrapid", "11.0"), ("plus1", "9.0")]
)
def test_magstim_as_its_chair_file_says_passes_and_is_left_off(room: Room, model: str, software: str) -> None:
    simulator = room.start(model, software=software)
    said = room.examined(model)
    assert failed(said) == []
    assert said["remote control"][0].status is Status.OK
    assert said["RTS"][0].status is Status.WARN
    assert said["left"][0].status is Status.OK
    assert isinstance(simulator, MagstimSim)
    assert not simulator.armed
    assert room.pulses() == 0


def enabled_unit(room: Room) -> MagVentureSim:
    """A MagPro that somebody left charged."""
    simulator = room.start("x100-option")
    assert isinstance(simulator, MagVentureSim)
    simulator.panel_enable()
    wait_until(lambda: simulator.enabled)
    return simulator


def wait_until(holds: Callable[[], bool]) -> None:
    deadline_ns = time.monotonic_ns() + 5_000_000_000
    pause = threading.Event()
    while not holds():
        assert time.monotonic_ns() < deadline_ns
        pause.wait(0.005)


def test_train_that_a_dead_host_left_running_is_stopped_first_and_told(room: Room) -> None:
    simulator = enabled_unit(room)
    room.write(SelectPage(page=Page.TIMING), SetTrain(rate_tenth_hz=10, pulses=60, trains=1, gap_tenth_s=10), StartTrain())
    wait_until(lambda: simulator.running)
    said = room.examined("x100-option")
    assert said["disarm"][0].status is Status.WARN
    assert "running a train" in said["disarm"][0].what
    assert not simulator.enabled
    assert not simulator.running
    assert failed(said) == []


def test_magventure_that_was_left_enabled_is_disabled_and_not_said_to_have_been_off(room: Room) -> None:
    simulator = enabled_unit(room)
    said = room.examined("x100-option")
    assert "whether it was enabled" in said["disarm"][0].what
    assert not simulator.enabled
    assert failed(said) == []


def test_magstim_that_was_left_armed_is_disarmed_and_told(room: Room) -> None:
    simulator = room.start("rapid")
    assert isinstance(simulator, MagstimSim)
    simulator.panel_enable()
    wait_until(lambda: simulator.armed)
    said = room.examined("rapid")
    assert said["disarm"][0].status is Status.WARN
    assert not simulator.armed
    assert failed(said) == []


def test_unit_that_never_disarms_fails_loudly_and_is_not_asked_further(room: Room) -> None:
    simulator = enabled_unit(room)
    simulator.faults.ignores_stop_ms = 60_000
    said = room.examined("x100-option")
    assert failed(said) == ["disarm"]
    assert "mains off" in said["disarm"][0].remedy
    assert "model" not in said


def test_another_model_and_another_coil_fail(room: Room) -> None:
    simulator = room.start("x100")
    assert isinstance(simulator, MagVentureSim)
    simulator.plug_coil(72)
    assert failed(room.examined("x100-option")) == ["model", "coil"]


@pytest.mark.parametrize("reported", [41, 90])
def test_coil_too_warm_to_start_fails(room: Room, reported: int) -> None:
    simulator = room.start("x100-option")
    assert isinstance(simulator, MagVentureSim)
    simulator.faults.reports_temperature_c = reported
    assert failed(room.examined("x100-option")) == ["temperature"]


def test_missing_coil_of_a_magstim_fails(room: Room) -> None:
    simulator = room.start("rapid")
    simulator.remove_coil()
    assert "coil" in failed(room.examined("rapid"))


def test_wrong_unlock_code_fails_and_neither_code_is_shown(room: Room) -> None:
    room.start("rapid", unlock="cccc-dddddddd-11")
    said = room.examined("rapid")
    assert failed(said) == ["remote control", "unit"]
    everything = " ".join(check.line() for checks in said.values() for check in checks)
    assert "bbbb" not in everything
    assert "dddd" not in everything


def test_software_that_asks_for_a_code_fails_where_none_is_configured(room: Room) -> None:
    room.start("rapid")
    file = chair_file(room.folder, model="rapid")
    file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if not line.startswith("unlock")))
    assert failed(by_topic(examine(file, World()))) == ["remote control"]


def test_plus1_unit_fails_as_a_plain_rapid(room: Room) -> None:
    room.start("plus1")
    assert failed(room.examined("rapid")) == ["condition"]


@pytest.mark.parametrize(("real", "configured"), [("200", "rapid"), ("rapid", "200")])
def test_magstim_of_another_family_fails(room: Room, real: str, configured: str) -> None:
    room.start(real)
    assert "model" in failed(room.examined(configured)) or "disarm" in failed(room.examined(configured))


# ---- nobody answers, somebody else is there -------------------------------------------------------------------------


class Line:
    """A port at whose far end nobody is, but for a test that reads what was written."""

    def __init__(self, folder: Path) -> None:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.path = folder / "stimulator"
        self.path.symlink_to(os.ttyname(self._theirs))

    def written(self) -> bytes:
        try:
            return os.read(self._ours, 65536)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with closing(Line(tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize(("model", "disarm"), [("x100-option", MAGVENTURE_DISARM), ("rapid", MAGSTIM_DISARM)])
def test_first_bytes_are_the_disarm_and_silence_fails(tmp_path: Path, line: Line, model: str, disarm: bytes) -> None:
    said = by_topic(examine(chair_file(tmp_path, model=model), World()))
    assert line.written().startswith(disarm)
    assert failed(said) == ["disarm"]
    assert "no answer" in said["disarm"][0].what


def test_chair_that_somebody_controls_is_not_written_to(tmp_path: Path, line: Line) -> None:
    file = chair_file(tmp_path)
    lock = own_file(load_config(file), "lock")
    with lock.open("w") as held:
        held.write(f"{os.getpid()}\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        fd = open_serial(line.path, 38400)
        checks = examine(file, World())
        os.close(fd)
    said = by_topic(checks)
    assert line.written() == b""
    assert exit_code(checks) == 0
    assert said["unit"][0].status is Status.WARN
    assert str(os.getpid()) in said["unit"][0].what
    assert said["owner"][0].status is Status.OK
    assert "protocols" in said


def test_port_that_another_program_owns_is_not_written_to(tmp_path: Path, line: Line) -> None:
    fd = open_serial(line.path, 38400)
    said = by_topic(examine(chair_file(tmp_path), World()))
    os.close(fd)
    assert line.written() == b""
    assert failed(said) == ["owner"]
    assert str(os.getpid()) in said["owner"][0].what


def test_chair_is_free_again_when_doctor_has_gone(tmp_path: Path, line: Line) -> None:
    file = chair_file(tmp_path)
    line.path.unlink()
    examine(file, World())
    with own_file(load_config(file), "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


# ---- the command ----------------------------------------------------------------------------------------------------


def doctor(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "daemon", "doctor", *words], capture_output=True, text=True, timeout=60, check=False)


def test_command_prints_a_line_for_each_check_and_the_same_as_json(room: Room) -> None:
    room.start("rapid")
    file = str(chair_file(room.folder, model="rapid"))
    text, document = doctor("--config", file), doctor("--config", file, "--json")
    assert text.returncode == document.returncode == 0
    checks = json.loads(document.stdout)["checks"]
    assert [line.split(":")[0].split(maxsplit=1) for line in text.stdout.splitlines()] == [
        [each["status"], each["topic"]] for each in checks
    ]
    assert "bbbb" not in text.stdout + text.stderr + document.stdout


def test_command_exits_with_78_without_a_chair_file_and_with_69_without_a_device(tmp_path: Path) -> None:
    missing = doctor("--config", str(tmp_path / "none.toml"))
    assert missing.returncode == 78
    assert len(missing.stdout.splitlines()) == 1
    assert doctor("--config", str(chair_file(tmp_path))).returncode == 69
