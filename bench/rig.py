"""A real hot process between simulated ends: this process plays supervisor and daemon, from its own clock and with no ledger.

What is measured happens in the hot process and at the far ends; nothing here stands in the measured way.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from bench.chair import write_chair
from bench.floors import prefer, prefer_none
from bench.options import CouldNotRun
from bench.units import MAGVENTURE, Unit
from daemon import ipc
from daemon.config import load_config
from daemon.core import wall_minus_mono_ns
from daemon.devices import stimulator_line
from daemon.lifeline import Lifeline
from daemon.on_target import TargetLimits

BEAT_NS = 40_000_000
READY_S, ANSWER_S, END_S = 30.0, 5.0, 5.0
FAR_AHEAD_NS = 3600 * 1_000_000_000
GRANT_NS = 2_000_000_000
PRIORITY = 5  # a beat of ours that comes late would end the train
AGAIN_S = 0.3
Fact = TypeVar("Fact", bound=ipc.FromHotOrder)


class Disturbed(Exception):
    """Something other than what is measured ended the train and took the arm away; `Rig.arm` gives it back."""


class EndsReady(msgspec.Struct, frozen=True):
    """Where the ends are, and how things truly stand: 4 x 4 by rows, mm."""

    camera: str
    mri_from_target: tuple[tuple[float, ...], ...]
    mri_from_head: tuple[tuple[float, ...], ...]


class EndsReport(msgspec.Struct, frozen=True):
    """Monotonic ns. `sent`: exposure and leaving of each frame; `acts`: what was done to the coil, seen from which exposure on."""

    sent: tuple[tuple[int, int], ...]
    starts: tuple[int, ...]
    triggers: tuple[int, ...]
    stops: tuple[int, ...]
    acts: tuple[tuple[str, int], ...]
    left: tuple[int | None, ...]


class Rig:
    """One hot process with its ends, while the `with` lasts. Its telemetry is read and dropped, unless `hand_over_news` gives it away.

    `report` and `truth` (the stimulator's own log) are there after the end.
    """

    def __init__(
        self, rate_hz: int, *, pty: bool, reply_delay_ms: float, noise_mm: float, limits: TargetLimits, unit: Unit = MAGVENTURE
    ) -> None:
        """`pty`: the stimulator is on one, as a simulated device is; else on a socket, which needs no help of the kernel's workers."""
        self._rate_hz, self._limits, self._unit = rate_hz, limits, unit
        self._port: socket.socket | None = None
        self._far_port: socket.socket | None = None
        if not pty:
            self._port, self._far_port = socket.socketpair()
        self._stack = contextlib.ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="atmsd-bench-")))
        self._ends = self._start_ends(reply_delay_ms, noise_mm)
        self._facts: list[ipc.FromHotOrder] = []
        self._run_id = ""
        self._grant_no = 0
        self._next_beat_ns = 0

    def __enter__(self) -> Self:
        try:
            self._begin()
            self._stack.callback(prefer_none)
            prefer(PRIORITY)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._stack:
            if kind is None:
                said, _ = self._ends.communicate(b"end\n", END_S)
                self.report = msgspec.json.decode(said, type=EndsReport)
                self.truth = [json.loads(line) for line in (self.folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()]

    # ---- start ----

    def _start_ends(self, reply_delay_ms: float, noise_mm: float) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "bench.ends", "--dir", str(self.folder), "--rate", str(self._rate_hz)]
        words += ["--model", self._unit.model, "--reply-delay-ms", str(reply_delay_ms), "--noise-mm", str(noise_mm)]
        passed = [] if self._far_port is None else [self._far_port.fileno()]
        words += [text for fd in passed for text in ("--port-fd", str(fd))]
        ends = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=passed)
        self._stack.callback(_end, ends)
        if self._far_port is not None:
            self._far_port.close()
        return ends

    def _begin(self) -> None:
        line = b"" if self._ends.stdout is None else self._ends.stdout.readline()
        if not line:
            raise CouldNotRun("the simulated ends did not start; their own words are above")
        ready = msgspec.json.decode(line, type=EndsReady)
        chair = write_chair(self.folder, ready.camera, self.folder / "stimulator", self._rate_hz, self._unit)
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(4)]
        self._start_hot(chair, [theirs for _, theirs in pairs])
        beats, orders, news, life = (ours for ours, _ in pairs)
        news.setblocking(False)
        self._news = [news]
        self.beats: ipc.Channel[ipc.HotBeat] = ipc.Channel(beats, ipc.HotBeat)
        self.orders: ipc.Channel[ipc.FromHotOrder] = ipc.Channel(orders, ipc.FromHotOrder)
        self._life = Lifeline(life.detach())
        for end in (beats, orders, news):
            self._stack.callback(end.close)
        self._stack.callback(self._life.close)
        self._run_id = self.fact(ipc.Hello, READY_S).run_id
        if not self.fact(ipc.Safe, READY_S).confirmed:
            raise CouldNotRun("the simulated stimulator did not confirm that it is off")
        self._aim(ready)

    def _start_hot(self, chair: Path, ends: list[socket.socket]) -> None:
        names = ("--beats-fd", "--orders-fd", "--news-fd", "--life-fd")
        port = self._open_port(chair)
        fds = [*(end.fileno() for end in ends), port]
        words = [text for name, fd in zip((*names, "--port-fd"), fds, strict=True) for text in (name, str(fd))]
        command = [sys.executable, "-m", self._unit.hot, "--config", str(chair), *words]
        hot = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL)
        self._stack.callback(_end, hot)
        os.close(port)
        for end in ends:
            end.close()

    def _open_port(self, chair: Path) -> int:
        if self._port is None:
            return stimulator_line(load_config(chair)).open()
        self._port.setblocking(False)
        return self._port.detach()

    def _aim(self, ready: EndsReady) -> None:
        target = ready.mri_from_target
        self.orders.send(
            ipc.Aim(
                mri_from_head=ready.mri_from_head,
                mri_from_target=target,
                target_in_mri_mm=(target[0][3], target[1][3], target[2][3]),
                limits=self._limits,
                registration_expires_ns=time.monotonic_ns() + FAR_AHEAD_NS,
                check_expires_ns=time.monotonic_ns() + FAR_AHEAD_NS,
                reference_holds=True,
            )
        )

    # ---- daemon and supervisor ----

    def hand_over_news(self) -> socket.socket:
        """From now on the hot process's telemetry is the caller's to read; the socket stays ours to close."""
        return self._news.pop()

    def pump(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Beat and listen until something holds, or the time is over."""
        deadline_ns = time.monotonic_ns() + round(seconds * 1e9)
        while not holds():
            now_ns = time.monotonic_ns()
            if now_ns >= deadline_ns:
                return False
            if now_ns >= self._next_beat_ns:
                self._beat(now_ns)
            wait_ns = min(self._next_beat_ns, deadline_ns) - now_ns
            wake = [self.beats.fileno(), self.orders.fileno(), *(news.fileno() for news in self._news)]
            select.select(wake, [], [], max(0, wait_ns) / 1e9)
            self.beats.drain()
            self._facts += self.orders.drain()
            for news in self._news:
                _skim(news)
            if self.orders.closed:
                raise CouldNotRun("the hot process ended; its own words are above")
        return True

    def _beat(self, now_ns: int) -> None:
        self._next_beat_ns = now_ns + BEAT_NS
        self._life.beat(now_ns)
        self._life.listen()
        self.beats.send(ipc.DaemonBeat(made_ns=now_ns, operator_present=True, hardware_stop_tested=True, stop_inputs_clear=True))

    def wait(self, seconds: float) -> None:
        self.pump(lambda: False, seconds)

    def alarm_in(self, seconds: float) -> Callable[[], bool]:
        """True once so much time has passed."""
        due_ns = time.monotonic_ns() + round(seconds * 1e9)
        return lambda: time.monotonic_ns() >= due_ns

    def fact(self, kind: type[Fact], seconds: float = ANSWER_S) -> Fact:
        """The next fact of that kind; all before it are forgotten. Raises `Disturbed` once the arm is lost, or for a wait in vain."""
        found: list[Fact] = []
        if not self.pump(lambda: self._find(kind, found), seconds):
            raise Disturbed(f"no {kind.__name__} within {seconds:g} s")
        return found[0]

    def _find(self, kind: type[Fact], found: list[Fact]) -> bool:
        while self._facts and not found:
            fact = self._facts.pop(0)
            if isinstance(fact, ipc.ArmState) and not fact.armed:
                raise Disturbed(fact.why)
            if isinstance(fact, kind):
                found.append(fact)
        return bool(found)

    # ---- acts ----

    def arm(self) -> None:
        """Armed and charged when this returns; tried again while the device still makes safe after a loss."""
        until = self.alarm_in(ANSWER_S)
        while True:
            self.orders.send(ipc.Arm(arm_no=1, settings=self._unit.settings, pacing=self._unit.pacing))
            try:
                self.fact(ipc.ArmState)
            except Disturbed as refusal:
                if until():
                    raise CouldNotRun(f"arming was refused: {refusal}") from refusal
                self.wait(AGAIN_S)
                self._facts.clear()
                continue
            return

    def grant(self) -> None:
        """Leave for the next train, from now on."""
        now_ns = time.monotonic_ns()
        self._grant_no += 1
        self.orders.send(
            ipc.Grant(
                run_id=self._run_id,
                grant_no=self._grant_no,
                arm_no=1,
                train=self._grant_no,
                settings=self._unit.settings,
                pacing=self._unit.pacing,
                not_before_ns=now_ns,
                expires_ns=now_ns + GRANT_NS,
                gap_ns=0,
                wall_minus_mono_ns=wall_minus_mono_ns(),
            )
        )

    def coil(self, act: str) -> None:
        """`on` the target, `aside`, or `slip=MM`."""
        if self._ends.stdin is not None:
            self._ends.stdin.write(act.encode() + b"\n")
            self._ends.stdin.flush()


def _skim(news: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while news.recv(ipc.PACKET_LIMIT):
            pass


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to leave, insist after a while."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
