"""The supervisor: owns the chair's lock and the stimulator's port, starts the two processes, and makes safe when one fails.

Small on purpose: standard library and drivers. It judges the hot process by its beats and disarms by itself when they cease;
then everything ends, and a person decides.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daemon.lifeline import Lifeline, Note
from drivers.disarm import DisarmOutcome, disarm
from drivers.protocols import Line, Stimulator
from drivers.values import NotThere, Owned

TURN_S = 0.05
HOT_LATE_NS = 300_000_000  # a hot process silent for so long hangs: it is killed and the device disarmed
STARTING_NS = 30_000_000_000  # importing and allocating, before the first beat
DISARM_NS = 3_000_000_000
SETTLE_S = 4.0  # the daemon's time to settle the ledger and tell its clients after a loss
LEAVE_S = 2.0
NICE = -10

EX_OK, EX_UNAVAILABLE, EX_SOFTWARE = 0, 69, 70


class ChairTaken(Exception):
    """Another process controls this chair or its port; nothing was written to any device."""


@dataclass(frozen=True, slots=True)
class Chair:
    """What the supervisor must know of one chair."""

    config: Path
    lock: Path
    line: Line
    make_stimulator: Callable[[], Stimulator]
    daemon_module: str = "daemon.app"


def take_chair(lock: Path) -> int:
    """Hold the chair's lock until this process ends. Raises ChairTaken with the owner's process id."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise ChairTaken(f"{lock}: this chair is already controlled by process {owner}. Stop that one first.") from error
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd


def take_port(line: Line) -> int | None:
    """The stimulator's port, locked; None while there is no device. Raises ChairTaken when someone owns it."""
    try:
        return line.open()
    except Owned as error:
        raise ChairTaken(str(error)) from error
    except NotThere:
        return None


class _Watch:
    """Judges the hot process by its beats, and itself first: a supervisor that was stopped must not blame the other."""

    def __init__(self, now_ns: int) -> None:
        self._started_ns = self._looked_ns = self._awake_since_ns = now_ns

    def hangs(self, heard_ns: int | None, now_ns: int) -> bool:
        if now_ns - self._looked_ns > HOT_LATE_NS:
            self._awake_since_ns = now_ns
        self._looked_ns = now_ns
        if heard_ns is None:
            return now_ns - self._started_ns > STARTING_NS
        return now_ns - max(heard_ns, self._awake_since_ns) > HOT_LATE_NS


class Supervisor:
    """Starts, watches, makes safe, reports."""

    def __init__(self, chair: Chair, say: Callable[[str], None]) -> None:
        self._chair, self._say = chair, say
        self._port_fd: int | None = None
        self._asked_to_leave = False

    def run(self) -> int:
        lock_fd = take_chair(self._chair.lock)
        try:
            self._port_fd = take_port(self._chair.line)
            found = self._disarm("at start")
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, 0, NICE)  # beats must not wait behind other people's work; children inherit it
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, self._leave)
            return self._supervise(found)
        finally:
            if self._port_fd is not None:
                os.close(self._port_fd)
            os.close(lock_fd)

    def _leave(self, *_: object) -> None:
        self._asked_to_leave = True

    def _supervise(self, found: DisarmOutcome | None) -> int:
        beats, orders, news = (socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3))
        hot, hot_life = self._spawn("daemon.hot", [pair[0] for pair in (beats, orders, news)], ["--port-fd", str(self._inherited())])
        daemon, daemon_life = self._spawn(self._chair.daemon_module, [pair[1] for pair in (beats, orders, news)], _found_arguments(found))
        for pair in (beats, orders, news):
            pair[0].close()
            pair[1].close()
        watch = _Watch(time.monotonic_ns())
        while not self._asked_to_leave:
            select.select([hot_life.fileno(), daemon_life.fileno()], [], [], TURN_S)
            now_ns = time.monotonic_ns()
            for life in (hot_life, daemon_life):
                life.beat(now_ns)
                life.listen()
            late = watch.hangs(hot_life.heard_ns, now_ns)
            if hot.poll() is not None or late:
                return self._hot_lost(hot, daemon, daemon_life, "hangs" if hot.poll() is None else f"ended ({hot.returncode})")
            if daemon.poll() is not None:
                return self._daemon_lost(hot, hot_life, daemon.returncode)
        return self._end(hot, hot_life, daemon, daemon_life)

    def _inherited(self) -> int:
        return -1 if self._port_fd is None else self._port_fd

    def _spawn(self, module: str, ends: list[socket.socket], more: list[str]) -> tuple[subprocess.Popen[bytes], Lifeline]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        names = ("--beats-fd", "--orders-fd", "--news-fd", "--life-fd")
        fds = [*(end.fileno() for end in ends), theirs.fileno()]
        arguments = [text for name, fd in zip(names, fds, strict=True) for text in (name, str(fd))]
        passed = [*fds, self._port_fd] if module == "daemon.hot" and self._port_fd is not None else fds
        command = [sys.executable, "-m", module, "--config", str(self._chair.config), *arguments, *more]
        child = subprocess.Popen(command, pass_fds=passed, stdin=subprocess.DEVNULL)
        theirs.close()
        return child, Lifeline(ours.detach())

    # ---- ends ----

    def _hot_lost(self, hot: subprocess.Popen[bytes], daemon: subprocess.Popen[bytes], life: Lifeline, how: str) -> int:
        """Kill what is left of it, disarm before anything else, then report and let the daemon settle."""
        hot.kill()
        hot.wait()
        outcome = self._disarm("after the hot process was lost")
        confirmed = outcome is not None and outcome.confirmed
        life.tell(Note.DISARMED if confirmed else Note.NOT_DISARMED)
        if daemon.poll() is not None:
            how = f"{how}, and so did the daemon"
        self._say(f"the hot process {how}; stimulator {_told(confirmed)}")
        _end_child(daemon, life, SETTLE_S, patient=True)
        return EX_SOFTWARE

    def _daemon_lost(self, hot: subprocess.Popen[bytes], life: Lifeline, code: int | None) -> int:
        """The hot process makes safe by itself; if it does not, we do."""
        self._say(f"the daemon process ended ({code}); the hot process disarms and leaves")
        if _end_child(hot, life, LEAVE_S, patient=True) != 0:
            self._disarm("after both processes were lost")
        return EX_OK if code == EX_OK else EX_SOFTWARE if code is None or code < 0 else code

    def _end(self, hot: subprocess.Popen[bytes], hot_life: Lifeline, daemon: subprocess.Popen[bytes], daemon_life: Lifeline) -> int:
        """Asked to leave: the daemon closes the session, then the hot process disarms and goes."""
        daemon.terminate()
        deadline = time.monotonic() + SETTLE_S
        while daemon.poll() is None and time.monotonic() < deadline:
            now_ns = time.monotonic_ns()
            hot_life.beat(now_ns)
            daemon_life.beat(now_ns)
            hot_life.listen()
            daemon_life.listen()
            time.sleep(TURN_S)
        _end_child(daemon, daemon_life, 0.0, patient=False)
        if _end_child(hot, hot_life, LEAVE_S, patient=False) != 0:
            self._disarm("at the end")
        return EX_OK

    def _disarm(self, when: str) -> DisarmOutcome | None:
        """Disarm through the port we hold, or through a new one if that is dead; None when there is no device."""
        deadline_ns = time.monotonic_ns() + DISARM_NS
        outcome = None
        if self._port_fd is not None:
            outcome = disarm(self._port_fd, self._chair.make_stimulator(), deadline_ns, time.monotonic_ns)
        if outcome is None or not outcome.confirmed:
            outcome = self._disarm_anew(deadline_ns) or outcome
        if outcome is None:
            self._say(f"no stimulator on {self._chair.line.path} {when}")
        elif outcome.found_enabled or outcome.found_running:
            state = "running a train" if outcome.found_running else "enabled"
            self._say(f"the stimulator was found {state} {when}; {_told(outcome.confirmed)}")
        elif not outcome.confirmed:
            self._say(f"the stimulator does not confirm that it is off {when}: press the red button")
        return outcome

    def _disarm_anew(self, deadline_ns: int) -> DisarmOutcome | None:
        try:
            fd = self._chair.line.open()
        except NotThere:
            return None
        if self._port_fd is not None:
            os.close(self._port_fd)
        self._port_fd = fd
        return disarm(fd, self._chair.make_stimulator(), max(deadline_ns, time.monotonic_ns() + DISARM_NS // 3), time.monotonic_ns)


def _told(confirmed: bool) -> str:
    return "disarmed, confirmed" if confirmed else "NOT confirmed disarmed: press the red button"


def _found_arguments(found: DisarmOutcome | None) -> list[str]:
    if found is None:
        return ["--found", "none"]
    words = [word for word, is_so in (("enabled", found.found_enabled), ("running", found.found_running)) if is_so]
    return ["--found", ",".join(words) or "safe"]


def _end_child(child: subprocess.Popen[bytes], life: Lifeline, within_s: float, *, patient: bool) -> int:
    """Wait for it to go by itself (`patient`) or ask it to; kill it when its time is over. Returns its exit code."""
    if not patient:
        child.terminate()
    deadline = time.monotonic() + within_s
    while child.poll() is None and time.monotonic() < deadline:
        life.beat(time.monotonic_ns())
        life.listen()
        time.sleep(TURN_S / 5)
    if child.poll() is None:
        child.kill()
    life.close()
    return child.wait()
