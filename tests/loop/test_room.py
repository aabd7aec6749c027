"""The simulated room as a program: its ready line, its files, its devices' bytes, its socket, its end."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.config import load_config
from drivers.magventure_frame_wire import FrameReader
from sim.room_acts import Answer, CoilNear, Request, Touch
from sim.room_door import DoorError, RoomDoor
from sim.room_files import Chair, write_chair
from sim.room_plan import NoPlan, planned_target
from sim.room_stage import switch
from sim.room_unit import chair_lines
from sim.world import NoSuchThing

READY_S, END_S = 60.0, 15.0


class Room:
    """One room process and a visitor at its door."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder, self._options = folder, options
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "sim", "room", "--dir", str(self._folder), *self._options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.line = json.loads(self._first_line())
        self._visitor = socket.socket(socket.AF_UNIX)
        self._visitor.settimeout(END_S)
        self._visitor.connect(self.line["room"])
        self._heard = self._visitor.makefile("rb")

    def do(self, act: str, **how: object) -> dict[str, object]:
        self._visitor.sendall(json.dumps({"do": act, **how}).encode() + b"\n")
        answer: dict[str, object] = json.loads(self._heard.readline())
        return answer

    def where(self) -> dict[str, float]:
        truth = self.do("where")["truth"]
        assert isinstance(truth, dict)
        return truth

    def end(self, number: int = signal.SIGTERM) -> int:
        self._heard.close()
        self._visitor.close()
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=END_S)
        assert said == b""
        return self.process.returncode

    def _first_line(self) -> bytes:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(READY_S), "the room was not ready in time"
        return self.process.stdout.readline()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("room")


@pytest.fixture(scope="module")
def room(folder: Path) -> Iterator[Room]:
    room = Room(folder, "--seed", "3")
    yield room
    if room.process.poll() is None:
        assert room.end() == 0


# ---- ready --------------------------------------------------------------------------------------------------------------


def test_the_ready_line_names_everything_a_daemon_and_an_operator_need(room: Room, folder: Path) -> None:
    assert room.line["ready"] is True
    assert set(room.line) == {"ready", "dir", "config", "camera", "stimulator", "truth", "room", "plan"}
    assert Path(room.line["dir"]) == folder
    for name in ("config", "stimulator", "truth", "room", "plan"):
        assert Path(room.line[name]).exists(), name


def test_the_chairs_file_is_one_that_the_daemon_takes_and_names_the_rooms_devices(room: Room) -> None:
    config = load_config(Path(room.line["config"]))
    assert config.tracker.endpoint == room.line["camera"]
    assert config.stimulator.port == Path(room.line["stimulator"])
    assert config.site.basis == "simulation only"


def test_the_camera_answers_a_stranger_in_its_own_language(room: Room) -> None:
    host, port = room.line["camera"].removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), timeout=END_S) as link:
        link.sendall(b"APIREV \r")
        assert link.recv(64).startswith(b"G.003.005")


def test_the_stimulator_answers_on_its_link(room: Room) -> None:
    fd = os.open(room.line["stimulator"], os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(fd, bytes.fromhex("FE 01 00 00 FF"))
        reader, bodies = FrameReader(), []
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            while not bodies:
                assert selector.select(END_S), "no answer to a short status"
                bodies = list(reader.feed(os.read(fd, 256), time.monotonic_ns()))
        assert bodies[0][0] == 0
    finally:
        os.close(fd)


def test_a_second_room_in_the_same_folder_is_refused_and_changes_nothing(room: Room, folder: Path) -> None:
    before = (folder / "chair.toml").read_bytes()
    second = subprocess.run([sys.executable, "-m", "sim", "room", "--dir", str(folder)], capture_output=True, timeout=END_S, check=False)
    assert second.returncode == 69
    assert b"another room is running there" in second.stderr
    assert second.stdout == b""
    assert (folder / "chair.toml").read_bytes() == before
    assert room.do("where")["ok"] is True


def test_a_rate_that_no_camera_has_is_refused_as_bad_usage(folder: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "sim", "room", "--dir", str(folder), "--rate", "1000"], capture_output=True, timeout=END_S, check=False
    )
    assert refused.returncode == 64
    assert b"--rate 1000" in refused.stderr


# ---- acts ---------------------------------------------------------------------------------------------------------------


def test_a_rough_approach_ends_near_the_target_and_a_move_in_x_shows_as_such(room: Room) -> None:
    assert room.do("coil_near") == {"ok": True}
    near = room.where()
    assert 10.0 < near["lateral_mm"] < 20.0
    assert room.do("move_coil_by", gap_mm=5.0) == {"ok": True}
    assert room.where()["gap_mm"] == pytest.approx(near["gap_mm"] + 5.0, abs=1.5)


def test_somebody_in_the_way_hides_the_head_and_the_view_clears(room: Room) -> None:
    assert room.do("occlude", tool="head", seconds=0.3) == {"ok": True}
    assert room.where()["head_seen"] is False
    deadline = time.monotonic() + END_S
    while room.where()["head_seen"] is False:
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("act", "how", "says"),
    [
        ("touch", {"landmark": "NOSE"}, "NAS, LPA, RPA"),
        ("sweep", {"secs": 3}, "unknown field"),
        ("dance", {}, "dance"),
        ("camera_fault", {"name": "cracked", "value": True}, "frozen"),
        ("stimulator_fault", {"name": "silent", "value": 1}, "bool"),
        ("slip", {"mm": 5, "ms": 0}, "milliseconds"),
    ],
)
def test_what_cannot_be_done_is_answered_with_why(room: Room, act: str, how: dict[str, object], says: str) -> None:
    answer = room.do(act, **how)
    assert answer["ok"] is False
    assert says in str(answer["error"])
    assert room.do("where")["ok"] is True


def test_pressing_the_stimulators_own_keys_stands_in_the_truth_log(room: Room) -> None:
    for act in ("press_enable", "press_trigger", "press_disable"):
        assert room.do(act) == {"ok": True}
        _until(lambda act=act: _last(Path(room.line["truth"])) == TRUTH_AFTER[act])  # type: ignore[misc]
    pulses = [entry for entry in _truth(Path(room.line["truth"])) if entry["kind"] == "pulse"]
    assert all(entry["enabled"] and entry["lateral_mm"] is not None for entry in pulses)


TRUTH_AFTER = {"press_enable": "enabled", "press_trigger": "pulse", "press_disable": "disabled"}


def _truth(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _last(path: Path) -> object:
    entries = _truth(path)
    return entries[-1]["kind"] if entries else None


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + END_S
    while not holds():
        assert time.monotonic() < deadline


# ---- end and return (the last tests of this room) -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_room_ends_in_order_and_comes_back_as_the_same_chair(folder: Path, room: Room, number: int) -> None:
    assert room.do("where")["ok"] is True
    before, truth = load_config(folder / "chair.toml"), (folder / "truth.jsonl").read_bytes()
    planned_ns = Path(room.line["plan"]).stat().st_mtime_ns
    assert room.end(number) == 0
    assert not (folder / "room.sock").exists()
    assert not (folder / "stimulator").is_symlink()

    room.start()
    after = load_config(folder / "chair.toml")
    assert after == before
    assert (folder / "truth.jsonl").read_bytes().startswith(truth)
    assert Path(room.line["plan"]).stat().st_mtime_ns == planned_ns


# ---- parts of it, without a process -------------------------------------------------------------------------------------


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Path]:
    """A door behind which each act takes no time; `touch` would take for ever."""

    def act(request: Request) -> tuple[int, Answer]:
        match request:
            case Touch():
                return time.monotonic_ns() + 3_600_000_000_000, Answer(ok=True)
            case CoilNear():
                raise NoSuchThing("no target")
            case _:
                return 0, Answer(ok=True)

    path = tmp_path / "room.sock"
    with RoomDoor(path, time.monotonic_ns) as open_door:
        serving = threading.Thread(target=open_door.run_forever, args=(act,))
        serving.start()
        yield path
        open_door.shut()
        serving.join(END_S)
        assert not serving.is_alive()
    assert not path.exists()


def _visit(path: Path) -> socket.socket:
    visitor = socket.socket(socket.AF_UNIX)
    visitor.settimeout(END_S)
    visitor.connect(str(path))
    return visitor


def _line(visitor: socket.socket) -> bytes:
    heard = b""
    while not heard.endswith(b"\n"):
        piece = visitor.recv(4096)
        assert piece, f"the door was shut after {heard!r}"
        heard += piece
    return heard


def test_a_long_act_of_one_visitor_does_not_keep_another_waiting(door: Path) -> None:
    with _visit(door) as slow, _visit(door) as quick:
        slow.sendall(b'{"do": "touch", "landmark": "NAS"}\n')
        quick.sendall(b'{"do": "where"}\n')
        assert _line(quick) == b'{"ok":true}\n'


def test_a_request_in_pieces_is_one_request(door: Path) -> None:
    with _visit(door) as visitor:
        for byte in b'{"do": "where"}\n':
            visitor.sendall(bytes([byte]))
        assert _line(visitor) == b'{"ok":true}\n'


def test_who_asks_no_more_is_still_answered(door: Path) -> None:
    with _visit(door) as visitor:
        visitor.sendall(b'{"do": "where"}\n{"do": "coil_near"}\n')
        visitor.shutdown(socket.SHUT_WR)
        heard = b""
        while piece := visitor.recv(4096):
            heard += piece
    assert heard == b'{"ok":true}\n{"ok":false,"error":"no target"}\n'


def test_nonsense_is_answered_and_the_visitor_may_go_on(door: Path) -> None:
    with _visit(door) as visitor:
        visitor.sendall(b"\xff\xfe nonsense\n" + b'{"do": "where"}\n')
        heard = _line(visitor)
        while heard.count(b"\n") < 2:
            heard += _line(visitor)
        first, second = heard.splitlines()
    assert json.loads(first)["ok"] is False
    assert second == b'{"ok":true}'


def test_a_visitor_who_leaves_in_the_middle_of_an_act_harms_nobody(door: Path) -> None:
    with _visit(door) as gone:
        gone.sendall(b'{"do": "touch", "landmark": "NAS"}\n')
    with _visit(door) as visitor:
        visitor.sendall(b'{"do": "where"}\n')
        assert _line(visitor) == b'{"ok":true}\n'


def test_a_door_left_behind_by_a_killed_room_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "room.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with RoomDoor(path, time.monotonic_ns):
        assert path.is_socket()


def test_a_folder_name_that_no_socket_can_hold_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(DoorError, match="too long a name"):
        RoomDoor(tmp_path / ("x" * 120) / "room.sock", time.monotonic_ns)


def test_a_plan_without_a_coil_pose_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.plan.json"
    path.write_text('{"target": {}}')
    with pytest.raises(NoPlan, match=r"broken\.plan\.json.*mri_from_coil"):
        planned_target(path)


def test_a_fault_switch_takes_only_values_of_its_own_kind() -> None:
    class Faults:
        missing: set[str]
        silent: bool

        def __init__(self) -> None:
            self.missing, self.silent = set(), False

    faults = Faults()
    switch(faults, "missing", ["coil"])
    assert faults.missing == {"coil"}
    with pytest.raises(NoSuchThing, match="silent"):
        switch(faults, "silent", "yes")
    assert faults.silent is False


def test_a_chairs_file_that_is_there_keeps_what_a_person_changed_in_it(tmp_path: Path) -> None:
    chair = Chair(camera="tcp://127.0.0.1:1", rate_hz=60, latency_ms=14, stimulator=chair_lines("x100-option", tmp_path))
    path = write_chair(tmp_path, 1, chair)
    path.write_text(path.read_text().replace("Etc/UTC", "Europe/Vienna"))
    moved = Chair(camera="tcp://127.0.0.1:2", rate_hz=60, latency_ms=14, stimulator=chair_lines("x100-option", tmp_path))
    text = write_chair(tmp_path, 2, moved).read_text()
    assert "Europe/Vienna" in text
    assert 'endpoint = "tcp://127.0.0.1:2"' in text
