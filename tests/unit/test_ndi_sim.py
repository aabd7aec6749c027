"""The simulated camera: what real clients send, who may send it, and what its frames show."""

import numpy as np
import pytest

from drivers.ndi_pose_wire import HandleState, decode_tx
from drivers.ndi_setup_wire import Port, decode_ports, decode_version, encode_chunks
from sim.ndi_room_tools import COIL, HEAD, ROOM_BODIES, ROOM_ROMS
from sim.world_geometry import Pose
from tests.ndi_bench import HOST, OTHER, Bench

MS = 1_000_000


# ---- what real clients send -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tools", [1, 2, 3])
def test_scikit_surgery_finds_its_way_from_init_to_poses(tools: int) -> None:
    bench, roms = Bench(), list(ROOM_ROMS.values())[:tools]
    assert bench.ask("INIT:E3A5") == "OKAY"
    assert bench.ask("PHSR:01E03E") == "00"
    handles = []
    for rom in roms:
        handles.append(bench.ask("PHRQ:*********1****A4C1"))
        for chunk in encode_chunks(int(handles[-1], 16), rom.ljust(1024, b"\0")):
            assert bench.order("PVWR", chunk) == "OKAY"
    assert bench.ask("PHSR:01E03E") == "00"
    loaded = decode_ports(bench.ask("PHSR:02E17E"))
    assert loaded == tuple(Port(number, 0x001) for number in range(1, tools + 1))
    for handle in handles:
        assert bench.order("PINIT", handle) == "OKAY"
    initialised = decode_ports(bench.ask("PHSR:0321BF"))
    assert initialised == tuple(Port(number, 0x011) for number in range(1, tools + 1))
    for port in initialised:
        assert bench.order("PENA", f"{port.handle:02X}D") == "OKAY"
    assert decode_ports(bench.ask("PHSR:04E3FE")) == tuple(Port(number, 0x031) for number in range(1, tools + 1))
    assert decode_version(bench.ask("VER:065EE")).freeze_tag == "Polaris Vega 008"
    assert "\nFreeze Tag: Polaris Vega 008\n" in bench.ask("VER:065EE")
    assert bench.ask("TSTART:5423") == "OKAY"
    seen = decode_tx(bench.ask("TX:0801C19B")).tools
    assert [report.state for report in seen] == [HandleState.VALID] * tools
    assert bench.ask("TSTOP:2C14") == "OKAY"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("INIT", "OKAY"),
        ("INIT ", "OKAY"),
        ("COMM:000000084", "OKAY"),
        ("COMM:500000048", "OKAY"),
        ("COMM 70001", "OKAY"),
        ("BEEP:28544", "1"),
        ("BEEP 0", "ERROR23"),
        ("APIREV ", "G.003.005"),
        ("ECHO Hello there", "Hello there"),
        ("VER 5", "008"),
        ("VER 9", "ERROR23"),
        ("SFLIST:03500F", "0"),
        ("SSTAT:0003BDC0", "0000"),
        ("PHSR:0020FF", "00"),
        ("TSTOP:2C14", "OKAY"),
        ("GET:Param.Tracking.Frame FrequencyEF07", "Param.Tracking.Frame Frequency=60"),
        ("get PS-0.Param.Tracking.Track Frequency", "Param.Tracking.Track Frequency=2"),
        ("GET Device.*", "Device.Type.0=PS\nDevice.Instance.0=0"),
        ("GET No.Such", "ERROR34"),
        ("GETINFO:Config.*", "ERROR04"),
        ("GETINFO Config.*", "ERROR34"),
        ("SET Param.Tracking.Frame Frequency=401", "ERROR36"),
        ("SET Param.Tracking.Frame Frequency=fast", "ERROR35"),
        ("SET Features.Hardware.Model=x", "ERROR39"),
        ("SET Param.Tracking.Frame Frequency", "ERROR07"),
        ("DFLT Param.Tracking.*", "OKAY"),
        ("SAVE ", "OKAY"),
        ("IRATE:2A", "ERROR04"),
        ("IRATE 2", "OKAY"),
        ("VSEL 1", "OKAY"),
        ("3D 015", "ERROR0C"),
        ("BX2 --6d=tools", "ERROR0C"),
        ("STREAM BX 0801", "OKAY"),
        ("USTREAM BX 0801", "ERROR23"),
        ("STREAM --id=a STREAM BX", "ERROR01"),
        ("STREAM --every=2 BX 0801", "ERROR23"),
        ("STREAM --interval=0 BX 0801", "ERROR23"),
        ("STREAM --interval=2", "ERROR07"),
        ("COMM:60000000C", "OKAY"),
        ("COMM A0000", "OKAY"),
        ("COMM 80000", "ERROR06"),
        ("COMM 50300", "ERROR06"),
        ("PSTAT:01", "ERROR04"),
        ("IRED 010000", "ERROR01"),
        ("nonsense", "ERROR01"),
        ("", "ERROR01"),
        ("\x00\xff", "ERROR01"),
        ("BX:0801FFFF", "ERROR04"),
        ("PHSR 1", "ERROR03"),
        ("PHSR 011", "ERROR02"),
        ("PHSR 09", "ERROR23"),
        ("PHF 0A", "ERROR08"),
        ("PHF zz", "ERROR23"),
        ("PENA 01D", "ERROR08"),
        ("X" * 5000, "ERROR02"),
        ("RESET 0", "RESET"),
        ("RESET 7", "ERROR23"),
    ],
)
def test_every_line_gets_its_one_answer(line: str, reply: str) -> None:
    bench = Bench()
    assert bench.ask("INIT:E3A5") == "OKAY"
    assert bench.ask(line[:2049]) == reply


def test_plus_asks_for_handle_information() -> None:
    bench = Bench()
    bench.order("INIT")
    handle = bench.load(ROOM_ROMS[COIL])
    assert bench.order("PHINF", f"{handle}0001").endswith("31")
    assert bench.order("PHINF", handle) == bench.order("PHINF", f"{handle}0001")
    text = bench.order("PHINF", f"{handle}0025")
    assert len(text) == 33 + 20 + 14 and text[33:53].strip() == "ATMSD-COIL"
    assert bench.order("PDIS", handle) == "OKAY"
    assert bench.order("PHINF", f"{handle}0001").endswith("11")
    assert bench.order("PHF", handle) == "OKAY"
    assert bench.order("PHINF", f"{handle}0001") == "ERROR08"


def test_modes_are_enforced() -> None:
    bench = Bench()
    for line in ("PHSR 00", "TSTART ", "BX 0801", "TX 0801", "TSTOP ", "SET Param.System Beeper=0"):
        assert bench.ask(line) == "ERROR10", line
    bench.order("INIT")
    for line in ("BX 0801", "TX 0801"):
        assert bench.ask(line) == "ERROR0C", line
    handle = bench.order("PHRQ", "*********1****")
    assert bench.order("PHINF", handle) == "UNOCCUPIED"
    assert bench.order("PINIT", handle) == "ERROR0D"
    assert bench.order("PENA", f"{handle}D") == "ERROR0E"
    assert bench.order("PDIS", handle) == "ERROR0F"
    loaded = bench.load(ROOM_ROMS[COIL])
    assert bench.order("PENA", f"{loaded}X") == "ERROR09"
    bench.order("TSTART")
    for line in ("PHSR 00", "TSTART ", "PHRQ *********1****", "SET Param.Tracking.Frame Frequency=30"):
        assert bench.ask(line) == "ERROR0C", line
    assert bench.ask("GET Param.System Beeper") == "Param.System Beeper=1"
    bench.order("INIT")
    assert bench.ask("BX 0801") == "ERROR0C", "INIT ends tracking"
    bench.order("RESET")
    assert bench.ask("PHSR 00") == "ERROR10"


def test_a_tool_that_is_only_enabled_initialises_itself() -> None:
    bench = Bench()
    bench.order("INIT")
    handle = bench.order("PHRQ", "*********1****")
    for chunk in encode_chunks(int(handle, 16), ROOM_ROMS[COIL]):
        bench.order("PVWR", chunk)
    assert bench.order("PENA", f"{handle}D") == "OKAY"
    assert bench.order("PHINF", f"{handle}0001").endswith("31")


def test_handles_run_out() -> None:
    bench = Bench()
    bench.order("INIT")
    assert {bench.order("PHRQ", "*********1****") for _ in range(255)} == {f"{number:02X}" for number in range(1, 256)}
    assert bench.order("PHRQ", "*********1****") == "ERROR2D"


# ---- owners and onlookers -------------------------------------------------------------------------------------------


def test_the_first_to_change_something_owns_the_camera_and_the_others_look() -> None:
    bench = Bench()
    assert bench.ask("VER 4", OTHER).startswith("Polaris Vega")
    bench.tracking(ROOM_ROMS[HEAD])
    assert bench.order("TSTOP", client=OTHER) == "ERROR39"
    assert bench.order("INIT", client=OTHER) == "ERROR39"
    assert bench.ask("COMM 00000", OTHER) == "OKAY"
    assert bench.bx(client=OTHER) == bench.bx(client=HOST)
    bench.camera.left(OTHER)
    assert bench.order("INIT", client=OTHER) == "ERROR39"
    bench.camera.left(HOST)
    assert bench.order("INIT", client=OTHER) == "OKAY"


# ---- frames ---------------------------------------------------------------------------------------------------------


def test_a_frame_can_be_read_its_latency_after_exposure_and_shows_the_body_then() -> None:
    bench = Bench(100, latency_ms=5.0, first_frame=41).tracking(ROOM_ROMS[HEAD])
    start_ns = bench.now_ns - 5 * MS
    for step in range(50):
        bench.now_ns = start_ns + 5 * MS + step * MS
        (report,) = bench.bx().tools
        exposed_ns = start_ns + step // 10 * 10 * MS
        assert report.frame_number == 41 + step // 10
        truth = bench.source.pose(HEAD, exposed_ns)
        assert truth is not None and report.pose is not None
        assert report.pose.mm == pytest.approx(truth.in_tracker_mm, abs=1e-3)


@pytest.mark.parametrize(("rate_hz", "latency_ms"), [(60, 14), (100, 14), (101, 3), (400, 3)])
def test_latency_is_14_ms_up_to_100_hz_and_3_above(rate_hz: int, latency_ms: int) -> None:
    bench = Bench(rate_hz).tracking(ROOM_ROMS[HEAD])
    (report,) = bench.bx().tools
    truth = bench.source.pose(HEAD, bench.now_ns - latency_ms * MS)
    assert report.pose is not None and truth is not None
    assert report.pose.mm == pytest.approx(truth.in_tracker_mm, abs=1e-3)


def test_asking_again_gives_the_same_frame_with_the_same_noise() -> None:
    bench = Bench(noise_mm=0.05, seed=1).tracking(ROOM_ROMS[HEAD])
    first = bench.bx()
    assert bench.bx() == first
    bench.now_ns += 17 * MS
    assert bench.bx() != first


def test_noise_is_that_of_four_markers_in_their_middle_and_grows_away_from_it() -> None:
    bench = Bench(400, noise_mm=0.05, seed=1).tracking(ROOM_ROMS[HEAD])
    middle = np.array(ROOM_BODIES[HEAD].markers_mm).mean(axis=0)
    far = middle + np.array([0.0, 0.0, 300.0])
    off: dict[str, list[float]] = {"middle": [], "far": []}
    for _ in range(600):
        bench.now_ns += 2_500_000
        (report,) = bench.bx().tools
        truth = bench.source.pose(HEAD, bench.now_ns - 3 * MS)
        assert report.pose is not None and truth is not None
        measured, true = Pose(report.pose.wxyz, report.pose.mm), Pose(truth.wxyz, truth.in_tracker_mm)
        for name, point in (("middle", middle), ("far", far)):
            place = (float(point[0]), float(point[1]), float(point[2]))
            off[name] += [got - there for got, there in zip(measured.carry(place), true.carry(place), strict=True)]
        assert 0.0 < report.pose.fit_rms_mm < 0.2
    assert np.std(off["middle"]) == pytest.approx(0.05 / 2.0, rel=0.1)
    assert np.std(off["far"]) > 3.0 * np.std(off["middle"])


def test_a_new_rate_goes_on_from_the_newest_frame() -> None:
    bench = Bench(60)
    bench.order("INIT")
    bench.load(ROOM_ROMS[HEAD])
    assert bench.ask("SET Param.Tracking.Frame Frequency=400") == "OKAY"
    bench.order("TSTART")
    first = bench.bx().tools[0].frame_number
    bench.now_ns += 1000 * MS
    last = bench.bx().tools[0].frame_number
    assert first is not None and last is not None and last - first == pytest.approx(400, abs=5)


def test_a_track_rate_below_every_frame_gives_every_third() -> None:
    bench = Bench(60)
    bench.order("INIT")
    bench.load(ROOM_ROMS[HEAD])
    assert bench.ask("SET Param.Tracking.Track Frequency=0") == "OKAY"
    bench.order("TSTART")
    numbers = set()
    for _ in range(60):
        bench.now_ns += 16_666_667
        numbers.add(bench.bx().tools[0].frame_number)
    assert 19 <= len(numbers) <= 21


def test_further_options_bring_markers_and_strays() -> None:
    bench = Bench().tracking(ROOM_ROMS[COIL])
    (report,) = bench.bx("180B").tools
    assert report.markers_mm is not None and report.pose is not None and len(report.markers_mm) == 4
    assert report.markers_mm[0] == pytest.approx(report.pose.mm, abs=1e-3), "the coil's first sphere is its origin"
    assert report.marker_info == bytes(9) + b"\x33\x33"
    assert bench.bx("1803").strays_mm == ()


def test_out_of_volume_comes_as_missing_unless_asked_for() -> None:
    bench = Bench().tracking(ROOM_ROMS[COIL])
    bench.device.faults.out_of_volume.add(COIL)
    assert bench.bx("0001").tools[0].state is HandleState.MISSING
    (report,) = bench.bx("0801").tools
    assert report.state is HandleState.VALID and report.port_status is not None and report.port_status & 0x40
