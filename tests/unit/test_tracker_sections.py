"""The chair's file names a tracker by kind; every fault of a stream's section is told with its key."""

from pathlib import Path

import pytest

from daemon.config import Config, ConfigError, TrackerSection, load_config, tracker_is_here
from daemon.dating import CameraDating, ExchangeDating, StampDating
from daemon.devices import make_dating, make_tracker, make_tracker_link
from daemon.reader_door import ReaderDoor
from daemon.tracker_doors import TcpDoor
from daemon.tracker_sections import IgtlTracker, LslTracker
from drivers import igtl, lsl_tracker, ndi
from sim.room_tracker import name_tracker
from tests.chairs import chair_file

LSL = """[tracker]
kind = "lsl"
stream = "opti"
worst_latency_ms = 12.0
stated_rms_mm = 0.2

[tracker.tools]
head = "Head"
pointer = "Pointer"
coil = "Coil"

"""
IGTL = LSL.replace('kind = "lsl"\nstream = "opti"', 'kind = "igtl"\nendpoint = "tcp://192.168.0.7:18944"\nframe_hz = 60.0')


def chair(folder: Path, section: str | None, *, roms: bool = True) -> Config:
    path = chair_file(folder, site=False)
    if section is not None:
        name_tracker(path, section)
    if not roms:
        text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("rom = "))
        path.write_text(text)
    return load_config(path)


def faults(folder: Path, section: str | None, *, roms: bool = True) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        chair(folder, section, roms=roms)
    return refused.value.faults


def test_each_kind_has_its_section_driver_link_and_clock(tmp_path: Path) -> None:
    camera, stream, server = (chair(tmp_path / name, section) for name, section in (("a", None), ("b", LSL), ("c", IGTL)))
    assert [type(one.tracker) for one in (camera, stream, server)] == [TrackerSection, LslTracker, IgtlTracker]
    assert [one.tracker.kind for one in (camera, stream, server)] == ["ndi", "lsl", "igtl"]
    drivers = [type(make_tracker(one)) for one in (camera, stream, server)]
    assert drivers == [ndi.NdiTracker, lsl_tracker.LslTracker, igtl.IgtlTracker]
    doors = [make_tracker_link(one).door for one in (camera, stream, server)]
    assert [type(door) for door in doors] == [TcpDoor, ReaderDoor, TcpDoor]
    assert [type(make_dating(one)) for one in (camera, stream, server)] == [CameraDating, ExchangeDating, StampDating]


def test_streams_need_no_tool_definitions_and_a_camera_does(tmp_path: Path) -> None:
    assert isinstance(chair(tmp_path / "a", LSL, roms=False).tracker, LslTracker)
    assert faults(tmp_path / "b", None, roms=False) == [
        f"[tools.{tool}].rom: missing; an NDI camera needs the tool's definition" for tool in ("head", "pointer", "coil")
    ]


def test_a_calibration_plate_may_be_named_and_comes_last(tmp_path: Path) -> None:
    section = chair(tmp_path, LSL.replace('head = "Head"\n', 'plate = "Plate"\nhead = "Head"\n')).tracker
    assert isinstance(section, LslTracker)
    assert list(section.names) == ["head", "pointer", "coil", "plate"]


def test_only_a_tracker_of_this_machine_can_be_our_simulator(tmp_path: Path) -> None:
    assert tracker_is_here(chair(tmp_path / "a", LSL))
    assert not tracker_is_here(chair(tmp_path / "b", IGTL))
    assert tracker_is_here(chair(tmp_path / "c", IGTL.replace("192.168.0.7", "127.0.0.1")))


@pytest.mark.parametrize(
    ("section", "key"),
    [
        (LSL.replace("12.0", "91.0"), "[tracker].worst_latency_ms"),
        (LSL.replace("12.0", "-1.0"), "[tracker].worst_latency_ms"),
        (LSL.replace("12.0", "nan"), "[tracker].worst_latency_ms"),
        (LSL.replace("worst_latency_ms = 12.0\n", ""), "worst_latency_ms"),
        (LSL.replace("stated_rms_mm = 0.2\n", ""), "stated_rms_mm"),
        (LSL.replace("0.2", "0.5"), "[tracker].stated_rms_mm"),
        (LSL.replace("0.2", "0.0"), "[tracker].stated_rms_mm"),
        (LSL.replace('"opti"', '" "'), "[tracker].stream"),
        (LSL.replace("0.2\n", "0.2\nleast_confidence = 1.5\n"), "[tracker].least_confidence"),
        (LSL.replace("0.2\n", "0.2\nframe_hz = 0.0\n"), "[tracker].frame_hz"),
        (LSL.replace('coil = "Coil"\n', ""), "[tracker.tools].coil: missing"),
        (LSL.replace('coil = "Coil"\n', 'coil = "Coil"\nprobe = "P"\n'), "[tracker.tools].probe: no such tool"),
        (LSL.replace('"Coil"', '"Head"'), "two tools of one name"),
        (LSL.replace("0.2\n", '0.2\nendpoint = "x"\n'), "endpoint"),
        (LSL.replace('"lsl"', '"optitrack"'), "optitrack"),
        (IGTL.replace("tcp://", ""), "[tracker].endpoint"),
        (IGTL.replace("frame_hz = 60.0\n", ""), "[tracker].frame_hz: missing"),
        (IGTL.replace('"Coil"', '"CoilToTrackerOfTheOtherRoom"'), "[tracker.tools].coil"),
    ],
)
def test_a_faulty_section_is_refused_with_its_key(tmp_path: Path, section: str, key: str) -> None:
    assert any(key in fault for fault in faults(tmp_path, section))
