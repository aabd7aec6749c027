"""What every tracker must do, whatever it speaks: a pump that owns the socket, and the tests that each driver inherits."""

import itertools
import select
import socket
import time
from collections.abc import Callable
from typing import Protocol

import pytest

from drivers.protocols import Step, Tracker
from drivers.values import ClockRestart, TrackerChanged, TrackerEvent, TrackerFrame, TrackerIdentity, TrackerState

DEADLINE_S = 15.0


class Pump:
    """A shell as small as can be: one socket, one tracker, everything that happened."""

    def __init__(self, tracker: Tracker, endpoint: tuple[str, int], read_bytes: int = 65536) -> None:
        self.tracker = tracker
        self.endpoint = endpoint
        self.events: list[TrackerEvent] = []
        self._read_bytes = read_bytes
        self._link: socket.socket | None = None
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
        self._link.sendall(step.send)
        self._link.shutdown(socket.SHUT_WR)
        self._link.settimeout(DEADLINE_S)
        while self._link.recv(65536):
            pass

    def _turn(self, end_s: float) -> None:
        patience_s = max(0.0, min((self._wake_ns - time.monotonic_ns()) / 1e9, end_s - time.monotonic()))
        links = [] if self._link is None else [self._link]
        ready, _, _ = select.select(links, [], [], patience_s)
        if not ready or self._link is None:
            self._do(self.tracker.tick(time.monotonic_ns()))
            return
        try:
            data = self._link.recv(self._read_bytes)
        except OSError:
            data = b""
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
                self._link.sendall(step.send)
            except OSError:
                self._close()
                self._do(self.tracker.disconnected(time.monotonic_ns()))
        if step.reopen is not None:
            self._close()
            self._open()

    def _open(self) -> None:
        try:
            self._link = socket.create_connection(self.endpoint, timeout=DEADLINE_S)
        except OSError:
            self._do(self.tracker.disconnected(time.monotonic_ns()))
            return
        self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._do(self.tracker.connected(time.monotonic_ns()))

    def _close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


class Rig(Protocol):
    """A running device with tools in view, and what a test may do to it."""

    tools: tuple[str, ...]
    endpoint: tuple[str, int]

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
            rig.hang_up()
            pump.until(lambda: pump.state is TrackerState.LOST)
            lost = next(event for event in reversed(pump.events) if isinstance(event, TrackerChanged))
            assert lost.why and lost.remedy
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
