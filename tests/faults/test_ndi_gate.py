"""Whatever fails at the camera: the gate is closed once the last good exposure is 100 ms old, says why, and opens again by itself."""

import bisect
import random
from collections.abc import Callable

import pytest

from drivers.values import TrackerFrame
from sim.ndi_room_tools import COIL, HEAD
from tests.ndi_gated import LINES, GatedRoom, StillPair, true_exposure_ns
from tests.ndi_virtual import MS, VirtualRoom

POSE_AGE_NS, CHECKED_NS = 100 * MS, 20 * MS
EVERY_LINE = pytest.mark.parametrize("line", LINES)


def silent(room: GatedRoom, on: bool) -> None:
    room.faults.silent = on


def missing(tool: str) -> Callable[[GatedRoom, bool], None]:
    return lambda room, on: room.faults.missing.update({tool}) if on else room.faults.missing.clear()


def hidden_markers(room: GatedRoom, on: bool) -> None:
    room.faults.hidden_markers = {COIL: 2} if on else {}


def out_of_volume(room: GatedRoom, on: bool) -> None:
    room.faults.out_of_volume = {HEAD} if on else set()


def partly_out_of_volume(room: GatedRoom, on: bool) -> None:
    room.faults.partly_out_of_volume = {HEAD} if on else set()


def bad_fit(room: GatedRoom, on: bool) -> None:
    room.faults.bad_fit = {COIL} if on else set()


def frozen(room: GatedRoom, on: bool) -> None:
    room.faults.frozen = on


def all_dropped(room: GatedRoom, on: bool) -> None:
    room.faults.drop = 1.0 if on else 0.0


def all_repeated(room: GatedRoom, on: bool) -> None:
    room.faults.repeat = 1.0 if on else 0.0


def bad_crc(room: GatedRoom, on: bool) -> None:
    room.faults.bad_crc = 10**6 if on else 0


def bad_header(room: GatedRoom, on: bool) -> None:
    room.faults.bad_header = 10**6 if on else 0


def late(room: GatedRoom, on: bool) -> None:
    room.faults.delay_ms = 130.0 if on else 0.0


def refused(room: GatedRoom, on: bool) -> None:
    room.faults.errors = dict.fromkeys(("BX", "BX2", "TX"), 0x0C) if on else {}


def unreachable(room: GatedRoom, on: bool) -> None:
    if on:
        room.unplug_cable()
    else:
        room.is_reachable = True


def averaged(room: GatedRoom, on: bool) -> None:
    room.faults.averaged = on


LASTING = (
    silent,
    missing(HEAD),
    missing(COIL),
    hidden_markers,
    out_of_volume,
    partly_out_of_volume,
    bad_fit,
    frozen,
    all_dropped,
    all_repeated,
    bad_crc,
    bad_header,
    late,
    refused,
    unreachable,
)
NAMES = [getattr(fault, "__name__", "") if "<" not in fault.__name__ else f"missing-{index}" for index, fault in enumerate(LASTING)]


def assert_closed_in_time(room: GatedRoom) -> None:
    """At no look was the gate open while the last frame that had shown head and coil was older than 100 ms, and 20 more."""
    told = iter([*room.good, (1 << 62, 0)])
    newest, (next_ns, next_exposed_ns) = 0, next(told)
    for look in room.looks:
        while next_ns <= look.at_ns:
            newest, (next_ns, next_exposed_ns) = next_exposed_ns, next(told)
        if look.at_ns > newest + POSE_AGE_NS + CHECKED_NS:
            assert look.against, f"open {(look.at_ns - newest) / MS:.0f} ms after the last good exposure"


CASES = [(line, fault) for fault in LASTING for line in LINES if not (line == "tx" and fault is bad_header)]  # a text has no such head


@pytest.mark.parametrize(("line", "fault"), CASES, ids=[f"{NAMES[LASTING.index(fault)]}-{line}" for line, fault in CASES])
def test_a_lasting_fault_closes_the_gate_in_time_with_a_reason_and_heals_without_a_restart(
    line: str, fault: Callable[[GatedRoom, bool], None]
) -> None:
    room = GatedRoom(line).until_open()
    fault(room, True)
    room.run(1.5)
    assert_closed_in_time(room)
    assert all(look.against for look in room.looks[-100:])
    fault(room, False)
    room.until_open(within_s=40.0)


ONCE = [("restart", 1), ("stop_tracking", 1), ("close", 1), ("jump_frames", -3000), ("jump_frames", 20_000), ("skip_frames", 15)]


@pytest.mark.parametrize(
    ("line", "fault", "value"), [(line, *once) for once in ONCE for line in LINES if (line, once[0]) != ("serial", "close")]
)
def test_a_fault_that_comes_once_closes_the_gate_in_time_and_heals_without_a_restart(line: str, fault: str, value: int) -> None:
    room = GatedRoom(line).until_open()
    setattr(room.faults, fault, value)
    before_ns = room.now_ns
    room.run(0.2)
    closed = [look.at_ns for look in room.looks if look.against]
    assert closed and closed[0] - before_ns <= POSE_AGE_NS + 17 * MS + CHECKED_NS
    room.until_open(within_s=40.0)


@pytest.mark.parametrize("line", ["bx2", "stream"])
def test_poses_averaged_over_frames_are_not_good_enough(line: str) -> None:
    room = GatedRoom(line).until_open()
    averaged(room, True)
    room.run(0.5)
    assert all(look.against for look in room.looks[-200:])
    assert any("averaged" in alert.what for alert in room.alerts)
    averaged(room, False)
    room.until_open()


def test_two_tools_one_of_them_with_fewer_markers_are_good_as_long_as_three_are_seen() -> None:
    room = GatedRoom("bx").until_open()
    room.faults.hidden_markers = {COIL: 1}
    room.run(0.5)
    assert not any(look.against for look in room.looks)


# ---- a backlog in the kernel ----------------------------------------------------------------------------------------


@EVERY_LINE
@pytest.mark.parametrize("held_ms", [150.0, 300.0, 800.0])
def test_frames_that_waited_are_as_old_as_they_are(line: str, held_ms: float) -> None:
    room = GatedRoom(line).until_open()
    room.faults.hold_ms = held_ms
    room.run(held_ms / 1e3 + 0.5)
    told = [(when, event) for when, event in room.events if isinstance(event, TrackerFrame)]
    dated = [(when, frame, exposed_ns) for (when, frame), exposed_ns in zip(told, room.exposures, strict=True) if exposed_ns is not None]
    assert dated
    for _, frame, exposed_ns in dated:
        assert abs(exposed_ns - true_exposure_ns(room, frame.frame_number)) < 2 * MS, "dated by the frame's number, not by its arrival"
    if line == "stream":
        oldest_ms = max((when - exposed_ns) / MS for when, _, exposed_ns in dated)
        assert oldest_ms > held_ms - 20.0, "what waited shows how long"
    assert_closed_in_time(room)


def test_a_reader_stalled_for_300_ms_finds_a_streams_backlog_in_order_and_old() -> None:
    room = GatedRoom("stream").until_open()
    room.faults.hold_ms = 300.0
    room.run(0.9)
    waves: dict[int, list[int]] = {}
    for when, event in room.events:
        if isinstance(event, TrackerFrame):
            waves.setdefault(when // (5 * MS), []).append(event.frame_number)
    backlog = max(waves.values(), key=len)
    assert len(backlog) >= 17, "all at once"
    assert backlog == sorted(backlog)


# ---- random occlusion -----------------------------------------------------------------------------------------------


def test_ten_minutes_of_random_occlusion_have_no_frame_on_target_while_head_or_coil_is_unseen() -> None:
    hidden_at = random_occlusions(600.0, seed=7)
    room = GatedRoom("stream", source=StillPair(hidden_at), noise_mm=0.05)
    VirtualRoom.run(room, 600.0)
    on_target = [number for number, is_on in room.published if is_on]
    unseen = [number for number in on_target if any(hidden_at(tool, true_exposure_ns(room, number)) for tool in (HEAD, COIL))]
    assert unseen == []
    shown = [number for number, _ in room.published]
    were_hidden = sum(any(hidden_at(tool, true_exposure_ns(room, number)) for tool in (HEAD, COIL)) for number in shown)
    assert len(shown) > 35_000 and were_hidden > 5_000 and len(on_target) > 10_000, "the run has all of it"


def random_occlusions(seconds: float, seed: int) -> Callable[[str, int], bool]:
    """Each tool is hidden for 1 frame to some seconds, seen for as long, at times of its own."""
    rng = random.Random(seed)
    edges: dict[str, list[int]] = {}
    for tool in (HEAD, COIL):
        at_ns, times = 10**15, []
        while at_ns < 10**15 + seconds * 1e9:
            at_ns += round(1e9 * rng.choice([0.02, 0.1, 0.4, 2.0, 8.0]) * rng.uniform(0.5, 1.5))
            times.append(at_ns)
            at_ns += round(1e9 * rng.choice([0.017, 0.05, 0.12, 0.6, 2.0]) * rng.uniform(0.5, 1.5))
            times.append(at_ns)
        edges[tool] = times
    return lambda tool, at_ns: tool in edges and bisect.bisect_right(edges[tool], at_ns) % 2 == 1
