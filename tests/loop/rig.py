"""Processes of a simulated chair for tests: the room, a supervised hot process, and what both wrote down."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEADLINE_S = 20.0
Fact = dict[str, Any]


def wait(for_what: str, look: Callable[[], Any], within_s: float = DEADLINE_S) -> Any:
    """Look until something is there; fails by name when it does not come."""
    until = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < until, f"{for_what} did not come within {within_s} s"
        os.sched_yield()
        time.sleep(0.005)
    return found


def lines(path: Path) -> list[Fact]:
    """Whole JSON lines of a file that is still being written."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Room:
    """`atmsd sim room` in a folder."""

    def __init__(self, folder: Path, seed: int = 3) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "sim", "room", "--dir", str(folder), "--seed", str(seed)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert json.loads(self._process.stdout.readline())["ready"]
        self._visitor = socket.socket(socket.AF_UNIX)
        self._visitor.connect(str(folder / "room.sock"))
        self._answers = self._visitor.makefile("rb")

    @property
    def pid(self) -> int:
        return self._process.pid

    def act(self, do: str, **facts: Any) -> None:
        self._visitor.sendall(json.dumps({"do": do, **facts}).encode() + b"\n")
        answer = json.loads(self._answers.readline())
        assert answer["ok"], answer

    def truth(self, since_ns: int = 0) -> list[Fact]:
        return [fact for fact in lines(self.folder / "truth.jsonl") if fact["mono_ns"] >= since_ns]

    def pulses(self, since_ns: int = 0) -> list[Fact]:
        return [fact for fact in self.truth(since_ns) if fact["kind"] == "pulse"]

    def disabled(self, since_ns: int, within_s: float = 5.0) -> int:
        """When the device was first disabled after then, ns."""
        fact = wait("the disable", lambda: [fact for fact in self.truth(since_ns) if fact["kind"] == "disabled"], within_s)[0]
        return int(fact["mono_ns"])

    def close(self) -> None:
        self._answers.close()
        self._visitor.close()
        self._process.terminate()
        assert self._process.wait(15) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()


class Supervised:
    """One run of supervisor, hot process and stand-in over a room."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._log = room.folder / "stand_in.jsonl"
        self._skip = len(lines(self._log))
        self._errors = (room.folder / "supervisor.err").open("w+")
        self.process = subprocess.Popen([sys.executable, "-m", "tests.loop.supervised", str(room.folder)], stderr=self._errors)
        self.pids: dict[str, int] = {}

    def facts(self, event: str | None = None, since_ns: int = 0) -> list[Fact]:
        mine = [fact for fact in lines(self._log)[self._skip :] if fact["mono_ns"] >= since_ns]
        return [fact for fact in mine if event in (None, fact["event"])]

    def wait_fact(self, event: str, since_ns: int = 0, **like: Any) -> Fact:
        def look() -> list[Fact]:
            return [fact for fact in self.facts(event, since_ns) if all(fact.get(key) == value for key, value in like.items())]

        return wait(f"{event} {like}", look)[0]  # type: ignore[no-any-return]

    def ready(self) -> "Supervised":
        """Both processes are up, the device is secured, the camera tracks."""
        self.wait_fact("safe", opening=True)
        self.pids = {**self._children(), "supervisor": self.process.pid}
        self.wait_fact("tracker", state="tracking")
        return self

    def _children(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_text()
            found["hot" if "daemon.hot" in words else "daemon"] = int(pid)
        return found

    def fire(self, bursts: int = 2) -> int:
        """Arm on the present pose and wait until a train has given so many bursts. Returns when it was asked, ns."""
        asked_ns = time.monotonic_ns()
        os.kill(self.pids["daemon"], signal.SIGUSR1)
        wait("pulses of a train", lambda: len(self.room.pulses(asked_ns)) >= 3 * bursts)
        return asked_ns

    def signal(self, number: signal.Signals, *names: str) -> int:
        now_ns = time.monotonic_ns()
        for name in names:
            os.kill(self.pids[name], number)
        return now_ns

    def receipts(self, since_ns: int = 0) -> list[Fact]:
        return self.facts("receipt", since_ns)

    def errors(self) -> str:
        self._errors.flush()
        return (self.room.folder / "supervisor.err").read_text()

    def close(self) -> int:
        """Ask it to leave; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(15)
        self._errors.close()
        return code
