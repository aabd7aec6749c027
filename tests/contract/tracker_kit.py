"""What every tracker must do, whatever it speaks: a pump that owns the socket or port, and the tests that each driver inherits."""

import itertools
import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from drivers.protocols import LineChange, Step, Tracker
from drivers.transport import Pipe, hold_break, open_serial, set_line
from drivers.values import ClockRestart, NotThere, TrackerChanged, TrackerEvent, TrackerFrame, TrackerIdentity, TrackerState

DEADLINE_S = 15.0


QUIET_S = 0.3  # a serial device that was told all and says nothing for so long has taken it

Endpoint = tuple[str, int] | Path  # host and port, or a serial port


class Link(Protocol):
    def fileno(self) -> int: ...

    def read(self, count: int) -> bytes:
        """Empty when the far end is gone."""

    def write(self, data: bytes) -> None:
        """Raises OSError when the far end is gone."""

    def change(self, line: LineChange) -> None: ...

    def await_end(self) -> None:
        """Until the device has taken all that was written."""

    def close(self) -> None: ...


class TcpLink:
    def __init__(self, endpoint: tuple[str, int]) -> None:
        self._socket = socket.create_connection(endpoint, timeout=DEADLINE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self, count: int) -> bytes:
        try:
            return self._socket.recv(count)
        except OSError:
            return b""

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def change(self, line: LineChange) -> None:
        pytest.fail(f"{line} on TCP")

    def await_end(self) -> None:
        """It closes behind us."""
        self._socket.shutdown(socket.SHUT_WR)
        self._socket.settimeout(DEADLINE_S)
        while self._socket.recv(65536):
            pass

    def close(self) -> None:
        self._socket.close()


class SerialLink:
    def __init__(self, port: Path) -> None:
        self._fd = open_serial(port, 9600)
        self._pipe = Pipe(self._fd)

    def fileno(self) -> int:
        return self._fd

    def read(self, count: int) -> bytes:
        return os.read(self._fd, count)

    def write(self, data: bytes) -> None:
        if not self._pipe.write(data):
            raise OSError(f"{len(data)} bytes are not taken")

    def change(self, line: LineChange) -> None:
        set_line(self._fd, line.baud, handshake=line.handshake)
        if line.break_ns:
            hold_break(self._fd, True)
            hold_break(self._fd, False)

    def await_end(self) -> None:
        while select.select([self._fd], [], [], QUIET_S)[0]:
            os.read(self._fd, 65536)

    def close(self) -> None:
        os.close(self._fd)


def open_link(endpoint: Endpoint) -> Link:
    return SerialLink(endpoint) if isinstance(endpoint, Path) else TcpLink(endpoint)


class Pump:
    """A shell as small as can be: one link, one tracker, everything that happened."""

    def __init__(self, tracker: Tracker, endpoint: Endpoint, read_bytes: int = 65536) -> None:
        self.tracker = tracker
        self.endpoint = endpoint
        self.events: list[TrackerEvent] = []
        self._read_bytes = read_bytes
        self._link: Link | None = None
        self._wake_ns = 0

    def __enter__(self) -> "Pump":
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def frames(self) -> list[TrackerFrame]:
        return [event for event in self.events if isinstance(event, TrackerFrame)]

    @property
    def state(self) -> TrackerState | None:
        return next((event.state for event in reversed(self.events) if isinstance(event, TrackerChanged)), None)

    def until(self, holds: Callable[[], bool]) -> None:
        """Carry bytes until it holds; fails when that takes too long."""
        end_s = time.monotonic() + DEADLINE_S
        while not holds():
            if time.monotonic() > end_s:
                pytest.fail(f"not within {DEADLINE_S} s; last events: {self.events[-5:]}")
            self._turn(end_s)

    def more_frames(self, count: int) -> list[TrackerFrame]:
        """The next so many frames."""
        before = len(self.frames)
        self.until(lambda: len(self.frames) >= before + count)
        return self.frames[before:]

    def say_farewell(self) -> None:
        """Send the tracker's last words and wait until the device has taken them all (it closes behind us)."""
        step = self.tracker.farewell(time.monotonic_ns())
        assert self._link is not None
        self._link.write(step.send)
        self._link.await_end()

    def _turn(self, end_s: float) -> None:
        patience_s = max(0.0, min((self._wake_ns - time.monotonic_ns()) / 1e9, end_s - time.monotonic()))
        links = [] if self._link is None else [self._link]
        ready, _, _ = select.select(links, [], [], patience_s)
        if not ready or self._link is None:
            self._do(self.tracker.tick(time.monotonic_ns()))
            return
        data = self._link.read(self._read_bytes)
        if data:
            self._do(self.tracker.feed(data, time.monotonic_ns()))
        else:
            self._close()
            self._do(self.tracker.disconnected(time.monotonic_ns()))

    def _do(self, step: Step[TrackerEvent]) -> None:
        self.events += step.events
        self._wake_ns = step.wake_ns
        if step.send and self._link is not None:
            try:
                self._link.write(step.send)
            except OSError:
                self._close()
                self._do(self.tracker.disconnected(time.monotonic_ns()))
        if step.line is not None and self._link is not None:
            self._link.change(step.line)
        if step.reopen is not None:
            self._close()
            self._open()

    def _open(self) -> None:
        try:
            self._link = open_link(self.endpoint)
        except (OSError, NotThere):
            self._do(self.tracker.disconnected(time.monotonic_ns()))
            return
        self._do(self.tracker.connected(time.monotonic_ns()))

    def _close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


def lost_among(events: list[TrackerEvent]) -> list[TrackerChanged]:
    return [event for event in events if isinstance(event, TrackerChanged) and event.state is TrackerState.LOST]


class Rig(Protocol):
    """A running device with tools in view, and what a test may do to it."""

    tools: tuple[str, ...]

    @property
    def endpoint(self) -> Endpoint: ...

    def tracker(self) -> Tracker:
        """A new driver for this device and these tools."""

    def hide(self, tool: str) -> None: ...

    def show(self, tool: str) -> None: ...

    def fall_silent(self, silent: bool) -> None:
        """The device takes bytes and sends none."""

    def hang_up(self) -> None:
        """The device ends the connection once."""


class TrackerContract:
    """Inherit, give a fixture `rig`, and every tracker is held to the same."""

    def test_identity_and_a_clock_restart_come_before_the_first_frame(self, rig: Rig) -> None:
        with Pump(rig.tracker(), rig.endpoint) as pump:
            pump.more_frames(1)
        kinds = [type(event) for event in pump.events]
        assert kinds.index(TrackerIdentity) < kinds.index(TrackerFrame)
        assert kinds.index(ClockRestart) < kinds.index(TrackerFrame)
        assert pump.state is TrackerState.TRACKING

    def test_every_frame_is_new_and_names_all_tools_in_the_given_order(self, rig: Rig) -> None:
        with Pump(rig.tracker(), rig.endpoint) as pump:
            frames = pump.more_frames(30)
        numbers = [frame.frame_number for frame in frames]
        assert numbers == sorted(set(numbers))
        assert all(tuple(sample.tool for sample in frame.tools) == rig.tools for frame in frames)
        assert all(earlier.received_ns <= later.received_ns for earlier, later in itertools.pairwise(frames))

    def test_a_seen_tool_has_a_unit_quaternion_and_a_place_and_no_reason(self, rig: Rig) -> None:
        with Pump(rig.tracker(), rig.endpoint) as pump:
            frames = pump.more_frames(5)
        for sample in (sample for frame in frames for sample in frame.tools):
            assert sample.unseen is None and sample.wxyz is not None and sample.in_tracker_mm is not None
            assert sum(part * part for part in sample.wxyz) == pytest.approx(1.0, abs=1e-9)

    def test_a_hidden_tool_has_a_reason_and_no_pose_while_the_others_stay(self, rig: Rig) -> None:
        hidden = rig.tools[0]
        with Pump(rig.tracker(), rig.endpoint) as pump:
            pump.more_frames(1)
            rig.hide(hidden)
            pump.until(lambda: pump.frames[-1].tools[0].unseen is not None)
            assert pump.frames[-1].tools[0].wxyz is None and pump.frames[-1].tools[0].in_tracker_mm is None
            assert all(sample.wxyz is not None for sample in pump.frames[-1].tools[1:])
            rig.show(hidden)
            pump.until(lambda: pump.frames[-1].tools[0].wxyz is not None)

    def test_bytes_read_one_at_a_time_give_frames_too(self, rig: Rig) -> None:
        with Pump(rig.tracker(), rig.endpoint, read_bytes=1) as pump:
            pump.more_frames(5)

    def test_silence_is_lost_without_frames_and_speech_is_tracking_again(self, rig: Rig) -> None:
        with Pump(rig.tracker(), rig.endpoint) as pump:
            pump.more_frames(3)
            rig.fall_silent(True)
            pump.until(lambda: pump.state is TrackerState.LOST)
            before = len(pump.frames)
            pump.until(lambda: isinstance(pump.events[-1], TrackerChanged) and pump.state is not TrackerState.LOST)
            assert len(pump.frames) == before
            rig.fall_silent(False)
            pump.more_frames(3)
            assert pump.state is TrackerState.TRACKING

    def test_a_closed_connection_is_lost_then_opened_again(self, rig: Rig) -> None:
        with Pump(rig.tracker(), rig.endpoint) as pump:
            pump.more_frames(3)
            before = len(pump.events)
            rig.hang_up()
            pump.until(lambda: bool(lost_among(pump.events[before:])))
            assert all(lost.why and lost.remedy for lost in lost_among(pump.events[before:]))
            pump.more_frames(3)

    def test_after_farewell_the_next_host_finds_a_free_device(self, rig: Rig) -> None:
        with Pump(rig.tracker(), rig.endpoint) as pump:
            pump.more_frames(3)
            pump.say_farewell()
        with Pump(rig.tracker(), rig.endpoint) as pump:
            pump.more_frames(3)

    def test_a_device_that_cannot_be_reached_is_tried_again_without_an_end(self, rig: Rig) -> None:
        tracker, now_ns, asked = rig.tracker(), 1_000, 0
        step = tracker.disconnected(now_ns)
        assert isinstance(step.events[0], TrackerChanged) and step.events[0].state is TrackerState.LOST
        while now_ns < 60_000_000_000:
            now_ns = max(now_ns + 1, step.wake_ns)
            step = tracker.tick(now_ns)
            assert not step.send
            if step.reopen is not None:
                asked += 1
                step = tracker.disconnected(now_ns)
        assert 10 <= asked <= 20

    def test_nothing_is_sent_before_the_link_is_open(self, rig: Rig) -> None:
        tracker = rig.tracker()
        assert tracker.tick(0).send == b""
        assert tracker.feed(b"\x00\xc4\xa5garbage\r", 10).send == b""
        assert tracker.connected(20).send != b""
