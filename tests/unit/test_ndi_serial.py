"""The NDI driver on a serial line whose speed counts: found at any speed, sped up, broken off, lost and found again."""

import pytest

from drivers.ndi_line import BAUD_CODES, SerialWish
from drivers.ndi_ways import Way
from drivers.protocols import LineChange
from drivers.values import TrackerFrame, TrackerState
from sim.ndi_models import MODELS
from tests.ndi_virtual import LATENCY_MS, MS, SECOND, VirtualRoom


def room_at(baud: int, model: str = "spectra", way: Way | None = None) -> VirtualRoom:
    return VirtualRoom(None, model=MODELS[model], serial=SerialWish(baud=baud), way=way)


def lines(room: VirtualRoom, name: bytes) -> list[bytes]:
    return [line for _, line in room.sent if line.startswith(name)]


@pytest.mark.parametrize("baud", BAUD_CODES)
def test_every_speed_is_reached_with_comm_and_poses_come_with_checksums(baud: int) -> None:
    room = room_at(baud).run(6.0)
    assert room.side is not None and (room.baud, room.side.baud, room.breaks) == (baud, baud, 0)
    assert room.state is TrackerState.TRACKING and room.frames
    assert {line[5:6] for line in lines(room, b"COMM")} == (set() if baud == 9600 else {BAUD_CODES[baud].encode()})
    assert set(lines(room, b"BX")) == {b"BX:080100EC"}


@pytest.mark.parametrize("model", ["spectra", "vicra"])
def test_at_115200_every_frame_of_60_hz_is_told_and_dated_with_its_time_on_the_wire(model: str) -> None:
    room = room_at(115200, model).run(4.0)
    room.forget()
    room.run(3.0)
    told = [when for when, event in room.events if isinstance(event, TrackerFrame)]
    assert len(told) == pytest.approx(180, abs=2)
    wire_ms = (11 + 42 * 2) * 10 / 115200 * 1e3
    ages_ms = [(when - exposed_ns) / MS for when, exposed_ns in zip(told, room.exposures, strict=True) if exposed_ns is not None]
    assert min(ages_ms) >= LATENCY_MS + wire_ms - 1.0
    for frame, exposed_ns in zip(room.frames, room.exposures, strict=True):
        head = frame.tools[0]
        truth = room.source.pose("head", exposed_ns or 0)
        assert truth is not None and head.in_tracker_mm == pytest.approx(truth.in_tracker_mm, abs=0.05)


def test_after_a_crash_at_another_speed_a_break_brings_the_camera_back() -> None:
    room = room_at(230400).run(5.0)
    room.unplug_cable(link_back=True)
    room.forget()
    room.run(6.0)
    assert room.breaks == 1 and room.state is TrackerState.TRACKING and room.frames
    assert room.baud == 230400


def test_a_camera_that_does_not_answer_even_to_a_break_is_named_and_tried_again() -> None:
    room = room_at(115200)
    room.faults.silent = True
    room.run(40.0)
    assert [change for change in room.changes if "not even to a break" in change.why and change.remedy]
    assert room.breaks >= 2
    room.faults.silent = False
    room.run(25.0)
    assert room.state is TrackerState.TRACKING


@pytest.mark.parametrize("refusal", [0x06, 0x01])
def test_a_refused_speed_leaves_the_line_as_it_is_and_is_told(refusal: int) -> None:
    room = room_at(921600)
    room.faults.errors["COMM"] = refusal
    room.run(12.0)
    assert room.baud == 9600 and room.state in (TrackerState.TRACKING, TrackerState.LOST) and room.frames
    assert any("921600" in alert.what for alert in room.alerts)
    assert any("9600 baud" in alert.what and "longer than a frame" in alert.what for alert in room.alerts)


def test_a_speed_that_the_line_does_not_carry_gives_way_to_the_next_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    room = room_at(921600)
    assert room.side is not None
    hear = room.side.hear
    monkeypatch.setattr(room.side, "hear", lambda data, baud: [] if baud > 300_000 else hear(data, baud))
    room.run(10.0)
    assert (room.baud, room.breaks) == (230400, 1) and room.state is TrackerState.TRACKING
    assert any("921600" in alert.what and "baud" in alert.remedy for alert in room.alerts)


def test_a_camera_that_resets_is_at_9600_again_and_so_is_our_end() -> None:
    room = room_at(115200).run(5.0)
    room.forget()
    room.faults.restart = 1
    room.run(0.3)
    assert room.baud == 9600 and room.state is TrackerState.SETUP
    room.run(4.0)
    assert room.baud == 115200 and room.breaks == 0 and room.state is TrackerState.TRACKING


def test_a_camera_that_left_tracking_is_set_up_again_at_the_speed_it_has() -> None:
    room = room_at(115200).run(5.0)
    room.forget()
    room.faults.stop_tracking = 1
    room.run(2.0)
    assert room.breaks == 0 and room.state is TrackerState.TRACKING
    assert len(lines(room, b"COMM")) == 0


def test_farewell_leaves_the_camera_at_9600() -> None:
    room = room_at(115200).run(5.0)
    room.forget()
    room._do(room.tracker.farewell(room.now_ns))
    assert [line[:5] for _, line in room.sent] == [b"TSTOP", b"PHF:0", b"PHF:0", b"COMM:"]
    assert room.side is not None and room.side.baud == 9600


def test_a_line_change_never_comes_with_bytes_to_send() -> None:
    room = room_at(115200)
    now_ns = room.now_ns
    step = room.tracker.disconnected(now_ns)
    assert step.line is None
    step = room.tracker.connected(now_ns + SECOND)
    assert step.send.startswith(b"TSTOP") and step.line is None
    step = room.tracker.tick(step.wake_ns)
    assert isinstance(step.line, LineChange) and step.line.break_ns > 0 and not step.send


@pytest.mark.parametrize("way", [Way.BX2, Way.STREAM, Way.TX])
def test_other_ways_work_on_a_serial_line_too(way: Way) -> None:
    room = room_at(921600, "vega", way).run(5.0)
    assert room.state is TrackerState.TRACKING and len(room.frames) > 60 and not room.alerts
