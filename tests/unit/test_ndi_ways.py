"""How a unit is asked for poses: by what it says of itself, and by what it turns out not to do."""

import pytest

from drivers.ndi_frames import ToolReader
from drivers.ndi_gbf_wire import GbfFrame, GbfPose, GbfReply, PoseCode, encode_bx2
from drivers.ndi_pose_wire import RawPose
from drivers.ndi_ways import ORDER, STREAM_NAME, Way, read_sight, ways_for
from drivers.ndi_wire import BinaryReply, encode_binary, encode_streamed
from drivers.values import ToolSample, TrackerState, Unseen
from sim.ndi_models import MODELS
from sim.ndi_room_tools import COIL, HEAD
from tests.ndi_virtual import FLIGHT_NS, VirtualRoom

POSE = RawPose((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, -1500.0), 0.1)


@pytest.mark.parametrize(
    ("interface", "is_serial", "first"),
    [
        ("G.003.005", False, Way.STREAM),
        ("G.004.001", False, Way.STREAM),
        ("G.010.001", False, Way.STREAM),
        ("G.002.009", False, Way.BX),
        ("G.001.005", False, Way.BX),
        ("D.003.005", False, Way.BX),
        ("nonsense", False, Way.BX),
        ("", False, Way.BX),
        ("G.003.005", True, Way.BX),
    ],
)
def test_the_interface_revision_and_the_line_choose(interface: str, is_serial: bool, first: Way) -> None:
    ways = ways_for(None, interface, is_serial)
    assert ways[0] is first and ways[-1] is Way.TX


@pytest.mark.parametrize("way", ORDER)
def test_a_way_that_is_named_comes_first_and_only_simpler_ones_behind(way: Way) -> None:
    assert ways_for(way, "G.001.005", False) == ORDER[ORDER.index(way) :]


def asked(room: VirtualRoom) -> set[bytes]:
    """Names of the commands given while it tracked."""
    return {line.partition(b" ")[0].partition(b":")[0] for _, line in room.sent}


@pytest.mark.parametrize(
    ("way", "commands"), [(None, set()), (Way.STREAM, set()), (Way.BX2, {b"BX2"}), (Way.BX, {b"BX"}), (Way.TX, {b"TX"})]
)
def test_every_way_gives_every_frame(way: Way | None, commands: set[bytes]) -> None:
    room = VirtualRoom(60, way=way).tracking().run(2.0)
    assert len(room.frames) == pytest.approx(120, abs=2) and asked(room) == commands
    assert not room.alerts and not room.changes
    exact_mm = 0.06 if way is Way.TX else 0.02
    for frame, exposed_ns in zip(room.frames, room.exposures, strict=True):
        for sample in frame.tools:
            truth = room.source.pose(sample.tool, exposed_ns or 0)
            assert truth is not None and sample.in_tracker_mm == pytest.approx(truth.in_tracker_mm, abs=exact_mm)


@pytest.mark.parametrize("model", ["spectra", "vicra"])
def test_older_models_on_tcp_are_polled_at_60_hz(model: str) -> None:
    room = VirtualRoom(None, way=None, model=MODELS[model]).run(3.0)
    assert room.state is TrackerState.TRACKING and asked(room) >= {b"BX"} and b"STREAM" not in asked(room)
    room.forget()
    room.run(1.0)
    assert len(room.frames) == pytest.approx(60, abs=1)


def test_a_rate_that_is_asked_for_is_set_on_either_kind_of_camera() -> None:
    for model in ("vega", "vicra"):
        room = VirtualRoom(None, way=None, model=MODELS[model], frame_hz=30.0).run(3.0)
        room.forget()
        room.run(2.0)
        assert len(room.frames) == pytest.approx(60, abs=2), model


@pytest.mark.parametrize("fault", ["refused", "barren"])
def test_a_camera_that_does_not_stream_is_asked_with_bx2_and_that_is_told_once(fault: str) -> None:
    room = VirtualRoom(60, way=None)
    if fault == "refused":
        room.faults.errors["STREAM"] = 0x01
    else:
        room.faults.dumb_streams = True
    room.run(3.0)
    assert room.state is TrackerState.TRACKING
    assert [("STREAM" in alert.what, "mode" in alert.remedy) for alert in room.alerts] == [(True, True)]
    if fault == "barren":
        ended_ns = next(when for when, line in room.sent if line.startswith(b"USTREAM"))
        asked_ns = next(when for when, line in room.sent if line.startswith(b"BX2"))
        assert asked_ns >= ended_ns + 2 * FLIGHT_NS, "one command at a time: its answer comes first"
    room.forget()
    room.faults.close = 1
    room.run(2.0)
    assert room.state is TrackerState.TRACKING and not room.alerts, "it is not tried again on the next link"
    assert b"BX2" in asked(room) and b"STREAM" not in asked(room)


def test_a_camera_that_knows_none_of_the_new_ways_ends_with_tx() -> None:
    room = VirtualRoom(60, way=None)
    room.faults.errors = {"STREAM": 0x01, "BX2": 0x01, "BX": 0x01}
    room.run(3.0)
    room.forget()
    room.run(1.0)
    assert len(room.frames) == pytest.approx(60, abs=1) and asked(room) == {b"TX"}


def test_a_camera_that_knows_no_way_at_all_is_lost_with_a_reason_and_tried_again() -> None:
    room = VirtualRoom(60, way=None)
    room.faults.errors = dict.fromkeys(("STREAM", "BX2", "BX", "TX"), 0x01)
    room.run(5.0)
    assert not room.frames and room.opened > 1
    room.faults.errors = {}
    room.run(10.0)
    assert room.state is TrackerState.TRACKING and room.frames


def test_streamed_packets_that_come_after_the_stream_has_ended_are_passed_over() -> None:
    room = VirtualRoom(60, way=None).tracking()
    room.faults.delay_ms = 40.0
    room.faults.unplug.add(COIL)  # the tools are loaded again on the same link: the stream ends first
    room.run(1.5)
    assert any(line.startswith(b"USTREAM") for _, line in room.sent)
    room.faults.delay_ms = 0.0
    room.run(3.0)
    assert room.opened == 1 and room.state is TrackerState.TRACKING


@pytest.mark.parametrize(("way", "stream"), [(Way.BX2, STREAM_NAME), (Way.BX, STREAM_NAME), (None, "another")])
def test_a_packet_of_no_stream_of_ours_is_passed_over(way: Way | None, stream: str) -> None:
    room = VirtualRoom(60, way=way).tracking()
    told = len(room.frames)
    number = 10 + (room.tracker._looking._counter.last or 0)
    late = GbfReply(frames=(GbfFrame(number=number, camera_ns=0, poses=(GbfPose(handle=1, code=0, pose=POSE),)),))
    room.inject(encode_streamed(stream, encode_binary(encode_bx2(late))))
    assert len(room.frames) == told and not room.changes
    room.run(1.0)
    assert not room.alerts and not room.changes and len(room.frames) == pytest.approx(60, abs=2)


def test_farewell_ends_the_stream_before_tracking() -> None:
    room = VirtualRoom(60, way=None).tracking()
    room._do(room.tracker.farewell(room.now_ns))
    assert [line.partition(b":")[0] for _, line in room.sent] == [b"USTREAM", b"TSTOP", b"PHF", b"PHF"]


# ---- what BX2 says of a tool ----------------------------------------------------------------------------------------


def coil_by_bx2(room: VirtualRoom) -> ToolSample:
    return next(sample for sample in room.frames[-1].tools if sample.tool == COIL)


@pytest.mark.parametrize("way", [Way.BX2, None])
def test_a_missing_tool_says_why(way: Way | None) -> None:
    room = VirtualRoom(60, way=way).tracking()
    room.faults.missing = {COIL}
    room.run(0.1)
    assert coil_by_bx2(room).unseen is Unseen.TOO_FEW_MARKERS
    room.faults.missing, room.faults.bad_fit = set(), {COIL}
    room.run(0.1)
    assert coil_by_bx2(room).unseen is Unseen.BAD_FIT and coil_by_bx2(room).wxyz is None
    room.faults.bad_fit = set()
    room.run(0.1)
    assert coil_by_bx2(room).unseen is None


def test_a_bump_is_told_once_with_what_to_do() -> None:
    room = VirtualRoom(60, way=None).tracking()
    room.faults.bumps = 2
    room.run(1.0)
    (alert,) = room.alerts
    assert "bumped" in alert.what and "accuracy" in alert.remedy


@pytest.mark.parametrize(
    ("code", "pose", "unseen", "flagged"),
    [
        (PoseCode.OKAY, POSE, None, False),
        (PoseCode.PARTLY_OUT_OF_VOLUME, POSE, None, True),
        (PoseCode.PARTLY_AVERAGED, POSE, None, True),
        (PoseCode.OUT_OF_VOLUME, POSE, None, True),
        (PoseCode.OUT_OF_VOLUME, None, Unseen.OUT_OF_VOLUME, False),
        (PoseCode.TOO_FEW_MARKERS, None, Unseen.TOO_FEW_MARKERS, False),
        (PoseCode.INTERFERENCE, POSE, None, True),
        (PoseCode.INTERFERENCE, None, Unseen.INTERFERENCE, False),
        (PoseCode.BAD_FIT, POSE, None, True),
        (PoseCode.BAD_FIT, None, Unseen.BAD_FIT, False),
        (PoseCode.BUFFER_LIMIT, POSE, None, True),
        (PoseCode.ALGORITHM_LIMIT, POSE, None, True),
        (PoseCode.FELL_BEHIND, POSE, None, True),
        (PoseCode.OUT_OF_SYNC, POSE, None, True),
        (PoseCode.EXCEPTION, POSE, None, True),
        (PoseCode.MISSING, None, Unseen.MISSING, False),
        (PoseCode.NOT_ENABLED, None, Unseen.DISABLED, False),
        (PoseCode.UNPLUGGED, None, Unseen.UNOCCUPIED, False),
        (99, POSE, None, True),
        (99, None, Unseen.MISSING, False),
    ],
)
def test_each_code_is_a_reason_or_a_doubt(code: int, pose: RawPose | None, unseen: Unseen | None, flagged: bool) -> None:
    body = encode_bx2(GbfReply(frames=(GbfFrame(number=5, camera_ns=0, poses=(GbfPose(handle=1, code=code, pose=pose),)),)))
    (reports,) = read_sight(Way.BX2, BinaryReply(body)).frames
    (sample,) = ToolReader((HEAD,), {1: HEAD}).samples(reports, 5).tools
    assert (sample.unseen, sample.flagged) == (unseen, flagged)
    assert (sample.wxyz is None) is (unseen is not None)
