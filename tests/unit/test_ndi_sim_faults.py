"""What the simulated camera does wrong when asked to, and what its streams and BX2 give; the room's truth is beside it."""

import itertools

import pytest

from drivers.ndi_gbf_wire import CameraAlert, GbfReply, PoseCode, decode_bx2
from drivers.ndi_pose_wire import HandleState
from drivers.ndi_wire import BinaryReply, ReplyReader, StreamedReply, TextReply
from sim.ndi_models import MODELS
from sim.ndi_room_tools import COIL, HEAD, ROOM_ROMS
from tests.ndi_bench import HOST, OTHER, Bench

MS = 1_000_000
FRAME_NS = 10_000_000  # at 100 Hz


def bx2(bench: Bench, arguments: str = "--6d=tools", client: int = HOST) -> GbfReply:
    reply = bench.reply(f"BX2 {arguments}", client)
    assert isinstance(reply, BinaryReply), reply
    return decode_bx2(reply.body)


def tracking(*tools: str, noise_mm: float = 0.0) -> Bench:
    return Bench(100, latency_ms=0.0, noise_mm=noise_mm).tracking(*[ROOM_ROMS[tool] for tool in tools or (HEAD, COIL)])


def numbers(bench: Bench, frames: int) -> list[int]:
    """The frame number at each new frame's time."""
    told = []
    for _ in range(frames):
        bench.now_ns += FRAME_NS
        told.append(bench.bx().tools[0].frame_number or 0)
    return told


# ---- frames ---------------------------------------------------------------------------------------------------------


def test_a_share_of_frames_is_dropped_and_numbers_go_on() -> None:
    bench = tracking()
    bench.device.faults.drop = 0.25
    told = numbers(bench, 400)
    steps = [later - earlier for earlier, later in itertools.pairwise(told)]
    assert sum(step == 0 for step in steps) == pytest.approx(100, abs=30) and max(steps) > 1
    bench.device.faults.drop = 0.0
    assert numbers(bench, 50)[-1] == told[-1] + 50 + (told[0] + 399 - told[-1])


def test_a_clock_that_drifts_exposes_more_often_than_it_says() -> None:
    bench = tracking()
    bench.device.faults.drift_ppm = 5000.0
    told = numbers(bench, 1001)
    assert told[-1] - told[0] == pytest.approx(1005, abs=1)


def test_a_new_drift_leaves_numbers_and_exposures_where_they_are() -> None:
    bench = tracking()
    before = bench.device.frame()
    bench.device.faults.drift_ppm = 100.0
    bench.bx()
    assert bench.device.frame() == before


# ---- what is seen ---------------------------------------------------------------------------------------------------


def test_hidden_markers_make_a_pose_noisier_until_too_few_are_left() -> None:
    bench = tracking(COIL, noise_mm=0.05)

    def spread(hidden: int) -> float:
        bench.device.faults.hidden_markers = {COIL: hidden}
        off = []
        for _ in range(300):
            bench.now_ns += FRAME_NS
            report = bench.bx().tools[0]
            truth = bench.source.pose(COIL, bench.now_ns)
            assert report.pose is not None and truth is not None
            off += [got - there for got, there in zip(report.pose.mm, truth.in_tracker_mm, strict=True)]
        return float(sum(each * each for each in off) / len(off)) ** 0.5

    assert spread(1) > 1.05 * spread(0)
    bench.device.faults.hidden_markers = {COIL: 2}
    bench.now_ns += FRAME_NS
    assert bench.bx().tools[0].state is HandleState.MISSING
    (report,) = bench.bx("0803").tools
    assert report.marker_info is not None and report.marker_info[0] == 0x02
    assert bx2(bench).frames[0].poses[0].code == PoseCode.TOO_FEW_MARKERS


def test_outliers_are_far_off_and_nothing_shows_it() -> None:
    bench = tracking(COIL)
    bench.device.faults.outliers = 0.2
    far = 0
    for _ in range(300):
        bench.now_ns += FRAME_NS
        report = bench.bx().tools[0]
        truth = bench.source.pose(COIL, bench.now_ns)
        assert report.pose is not None and truth is not None and report.port_status == 0x31
        apart = sum((got - there) ** 2 for got, there in zip(report.pose.mm, truth.in_tracker_mm, strict=True)) ** 0.5
        assert apart < 0.01 or 4.9 < apart < 30.1
        far += apart > 1.0
    assert far == pytest.approx(60, abs=25)


def test_a_fault_of_every_tool_is_a_strangers_too() -> None:
    bench = tracking()
    bench.device.faults.missing = {"*"}
    assert {report.state for report in bench.bx().tools} == {HandleState.MISSING}


# ---- BX2 ------------------------------------------------------------------------------------------------------------


def test_bx2_gives_each_client_each_frame_once() -> None:
    bench = tracking()
    assert len(bx2(bench).frames) == 1
    assert bx2(bench) == GbfReply()
    assert len(bx2(bench, client=OTHER).frames) == 1
    bench.now_ns += FRAME_NS
    (frame,) = bx2(bench).frames
    assert frame.number == bench.bx().tools[0].frame_number and frame.camera_ns == bench.now_ns
    assert [(pose.handle, pose.code, pose.pose) for pose in frame.poses] == [
        (report.handle, 0, report.pose) for report in bench.bx().tools
    ]


def test_bx2_says_what_a_pose_is_worth() -> None:
    bench = tracking()
    faults = bench.device.faults
    for name, code, is_there in (
        ("out_of_volume", PoseCode.OUT_OF_VOLUME, True),
        ("partly_out_of_volume", PoseCode.PARTLY_OUT_OF_VOLUME, True),
        ("bad_fit", PoseCode.BAD_FIT, False),
    ):
        bench.now_ns += FRAME_NS
        setattr(faults, name, {HEAD})
        pose = bx2(bench).frames[0].poses[0]
        assert (pose.code, pose.pose is not None) == (code, is_there)
        setattr(faults, name, set())
    bench.now_ns += FRAME_NS
    faults.averaged = True
    assert all(pose.averaged for pose in bx2(bench).frames[0].poses)


def test_a_bump_stands_in_bx2_in_the_system_status_and_in_the_parameters() -> None:
    bench = tracking()
    bench.device.faults.bumps = 1
    assert bx2(bench).alerts == (CameraAlert(1, 2),)
    assert bench.bx().system_status == 1 << 8 and bench.bx().system_status == 0
    assert bench.ask("GET Info.Status.Bump Detected") == "Info.Status.Bump Detected=1"


@pytest.mark.parametrize("options", ["--6d=tools --3d=all --sensor=all --1d=buttons", "--3d=tools", "--6d=none", ""])
def test_bx2_takes_the_options_that_clients_give(options: str) -> None:
    bench = tracking()
    (frame,) = bx2(bench, options).frames
    assert len(frame.poses) == (0 if "none" in options else 2)


@pytest.mark.parametrize("options", ["--6d=poses", "--7d=tools", "0801"])
def test_bx2_refuses_options_that_there_are_not(options: str) -> None:
    assert tracking().ask(f"BX2 {options}") == "ERROR23"


@pytest.mark.parametrize("line", ["BX2 --6d=tools", "STREAM BX 0801", "USTREAM --id=a"])
@pytest.mark.parametrize("model", ["spectra", "vicra"])
def test_older_models_know_none_of_it(model: str, line: str) -> None:
    bench = Bench(20, model=MODELS[model]).tracking(ROOM_ROMS[HEAD])
    assert bench.ask(line) == "ERROR01"
    assert bench.ask("APIREV ") == "G.001.005"


# ---- streams --------------------------------------------------------------------------------------------------------


def pushed(bench: Bench, client: int = HOST) -> list[StreamedReply | TextReply]:
    reader = ReplyReader()
    for to, data in bench.camera.pushes():
        if to == client:
            reader.push(data)
    replies = []
    while (reply := reader.pull()) is not None:
        assert isinstance(reply, StreamedReply | TextReply)
        replies.append(reply)
    return replies


def test_a_stream_pushes_the_reply_to_its_command_once_per_frame_to_who_ordered_it() -> None:
    bench = tracking()
    assert bench.ask("STREAM --id=trk0 BX2 --6d=tools", OTHER) == "OKAY"
    assert pushed(bench, OTHER) == []
    for _ in range(5):
        bench.now_ns += FRAME_NS
        (packet,) = pushed(bench, OTHER)
        assert isinstance(packet, StreamedReply) and packet.stream == "trk0" and isinstance(packet.reply, BinaryReply)
        assert decode_bx2(packet.reply.body).frames[0].number == bench.bx().tools[0].frame_number
        assert pushed(bench, OTHER) == []
    assert bench.ask("USTREAM --id=trk0", OTHER) == "OKAY"
    bench.now_ns += FRAME_NS
    assert bench.camera.pushes() == [] and bench.camera.next_push_ns() is None


def test_a_stream_without_a_name_goes_by_its_command_and_any_command_can_be_streamed() -> None:
    bench = tracking()
    bench.ask("STREAM --interval=2 TX 0801")
    got = []
    for _ in range(10):
        bench.now_ns += FRAME_NS
        got += pushed(bench)
    assert len(got) == 5
    assert {packet.stream for packet in got if isinstance(packet, StreamedReply)} == {"TX 0801"}
    assert bench.ask("USTREAM TX 0801") == "OKAY"


def test_a_simulator_that_was_held_up_pushes_every_frame_of_that_time_as_it_was() -> None:
    bench = tracking()
    bench.ask("STREAM --id=a BX2 --6d=tools")
    start_ns = bench.now_ns
    bench.now_ns += 30 * FRAME_NS
    packets = pushed(bench)
    assert len(packets) == 30
    for index, packet in enumerate(packets):
        assert isinstance(packet, StreamedReply) and isinstance(packet.reply, BinaryReply)
        (frame,) = decode_bx2(packet.reply.body).frames
        assert frame.camera_ns == start_ns + (index + 1) * FRAME_NS
        truth = bench.source.pose(HEAD, frame.camera_ns)
        pose = frame.poses[0].pose
        assert truth is not None and pose is not None and pose.mm == pytest.approx(truth.in_tracker_mm, abs=1e-3)


def test_frames_that_are_dropped_are_not_pushed_and_repeated_ones_are_pushed_as_the_one_before() -> None:
    bench = tracking()
    bench.ask("STREAM --id=a BX2 --6d=tools")
    bench.device.faults.drop, bench.device.faults.repeat = 0.2, 0.2
    bench.camera.pushes()
    told = []
    for _ in range(300):
        bench.now_ns += FRAME_NS
        for packet in pushed(bench):
            assert isinstance(packet, StreamedReply) and isinstance(packet.reply, BinaryReply)
            told.append(decode_bx2(packet.reply.body).frames[0].number)
    assert len(told) == pytest.approx(240, abs=25)
    assert len(told) - len(set(told)) == pytest.approx(48, abs=25)
    assert told == sorted(told)


def test_a_reset_in_a_stream_is_said_unasked_and_ends_it() -> None:
    bench = tracking()
    bench.ask("STREAM --id=a BX2 --6d=tools")
    bench.device.faults.restart = 1
    bench.now_ns += FRAME_NS
    assert pushed(bench) == [TextReply("RESET")]
    assert bench.camera.next_push_ns() is None and bench.ask("BX 0801") == "ERROR10"


def test_a_stream_goes_with_its_client_and_is_quiet_while_the_camera_does_not_track() -> None:
    bench = tracking()
    bench.ask("STREAM --id=a BX2 --6d=tools", OTHER)
    bench.ask("TSTOP ")
    bench.now_ns += FRAME_NS
    assert pushed(bench, OTHER) == []
    bench.ask("TSTART ")
    bench.now_ns += FRAME_NS
    assert len(pushed(bench, OTHER)) == 1
    bench.camera.left(OTHER)
    assert bench.camera.next_push_ns() is None


# ---- the older models -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["SET Param.Tracking.Illuminator Rate=2", "IRATE 2"])
def test_older_models_run_at_20_hz_until_told_otherwise(line: str) -> None:
    bench = Bench(None, model=MODELS["spectra"])
    bench.order("INIT")
    assert bench.ask("GET Param.Tracking.Frame Frequency") == "Param.Tracking.Frame Frequency=20"
    assert bench.ask(line) == "OKAY"
    assert bench.ask("GET Param.Tracking.Frame Frequency") == "Param.Tracking.Frame Frequency=60"
    assert bench.ask("SET Param.Tracking.Frame Frequency=30") == "ERROR39"
    assert bench.ask("SET Param.Tracking.Illuminator Rate=3") == "ERROR36"
