"""Whose tool a definition file is to the simulated camera: the room's, in any order and frame, or a stranger's own."""

import itertools

import pytest

from drivers.ndi_pose_wire import HandleState
from drivers.ndi_setup_wire import encode_chunks
from drivers.rom_wire import build_rom, parse_rom
from sim.ndi_poses import BodyPose
from sim.ndi_room_tools import COIL, HEAD, POINTER, ROOM_BODIES, ROOM_ROMS
from sim.world_geometry import Pose, from_rotation_vector
from tests.ndi_bench import Bench

MS = 1_000_000
STRANGER = build_rom([(0.0, 0.0, 0.0), (0.0, 50.0, 0.0), (70.0, 0.0, 0.0)], "8700339")


def body_at(bench: Bench, body: str) -> BodyPose:
    pose = bench.source.pose(body, bench.now_ns - 14 * MS)
    assert pose is not None
    return pose


def test_a_file_with_a_bodys_markers_in_another_order_is_that_body() -> None:
    markers = [(x + 0.05, y - 0.05, z) for x, y, z in reversed(ROOM_BODIES[POINTER].markers_mm)]
    bench = Bench().tracking(build_rom(markers, "OTHER"))
    (report,) = bench.bx().tools
    assert report.pose is not None
    assert report.pose.mm == pytest.approx(body_at(bench, POINTER).in_tracker_mm, abs=1e-3)


def test_a_file_with_a_bodys_markers_in_another_frame_is_seen_where_its_own_origin_is() -> None:
    moved = Pose(from_rotation_vector((20.0, -35.0, 50.0)), (11.0, -7.0, 31.0))  # tool_from_body
    markers = [moved.carry(marker) for marker in ROOM_BODIES[COIL].markers_mm]
    bench = Bench().tracking(build_rom(markers, "OTHER"))
    (report,) = bench.bx("0809").tools
    body = body_at(bench, COIL)
    assert report.pose is not None and report.markers_mm is not None
    seen = Pose(body.wxyz, body.in_tracker_mm)
    for got, marker in zip(report.markers_mm, ROOM_BODIES[COIL].markers_mm, strict=True):
        assert got == pytest.approx(seen.carry(marker), abs=1e-2)
    assert report.pose.mm == pytest.approx((seen @ moved.inverse()).mm, abs=1e-2)


def test_a_mirrored_tool_is_not_the_body() -> None:
    markers = [(x, y, -z) for x, y, z in ROOM_BODIES[HEAD].markers_mm]
    bench = Bench().tracking(build_rom(markers, "MIRROR"))
    (report,) = bench.bx().tools
    assert report.pose is not None
    assert report.pose.mm != pytest.approx(body_at(bench, HEAD).in_tracker_mm, abs=5.0)


def test_a_file_with_a_bodys_part_number_is_that_body() -> None:
    markers = [(x, y, z + 3.0 * x) for x, y, z in ROOM_BODIES[HEAD].markers_mm]
    bench = Bench().tracking(build_rom(markers, "ATMSD-HEAD"))
    (report,) = bench.bx().tools
    assert report.pose is not None
    assert report.pose.mm == pytest.approx(body_at(bench, HEAD).in_tracker_mm, abs=1e-3)


@pytest.mark.parametrize("rom", [STRANGER, bytes(752), b"not a tool file at all", STRANGER[:4] + b"\0\0" + STRANGER[6:]])
def test_any_other_file_gets_a_visible_slow_pose_of_its_own(rom: bytes) -> None:
    bench = Bench().tracking(rom, STRANGER, ROOM_ROMS[HEAD])
    places = []
    for _ in range(120):
        bench.now_ns += 16_666_667
        reports = bench.bx().tools
        assert all(report.state is HandleState.VALID and report.port_status == 0x31 for report in reports)
        places.append([report.pose.mm for report in reports if report.pose is not None])
    assert len({place[0] for place in places}) > 100, "it moves"
    assert all(-2400.0 < place[0][2] < -950.0 for place in places)
    for before, after in itertools.pairwise(places):
        assert sum((a - b) ** 2 for a, b in zip(before[0], after[0], strict=True)) ** 0.5 < 1.0
    apart = [sum((a - b) ** 2 for a, b in zip(place[0], place[1], strict=True)) ** 0.5 for place in places]
    assert min(apart) > 50.0


def test_a_file_with_a_false_checksum_is_refused_at_pinit() -> None:
    bench = Bench()
    bench.order("INIT")
    handle = bench.order("PHRQ", "*********1****")
    damaged = bytearray(ROOM_ROMS[COIL])
    damaged[0x50] ^= 1
    for chunk in encode_chunks(int(handle, 16), bytes(damaged)):
        assert bench.order("PVWR", chunk) == "OKAY"
    assert bench.order("PINIT", handle) == "ERROR13"


def test_the_rooms_tools_have_four_spheres_whose_distances_all_differ_by_2_mm() -> None:
    distances = []
    for name, body in ROOM_BODIES.items():
        assert parse_rom(ROOM_ROMS[name]) == body and len(body.markers_mm) == 4
        for index, one in enumerate(body.markers_mm):
            distances += [sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 for other in body.markers_mm[:index]]
    distances.sort()
    assert len(distances) == 18 and distances[0] > 45.0
    assert min(after - before for before, after in itertools.pairwise(distances)) > 2.0
