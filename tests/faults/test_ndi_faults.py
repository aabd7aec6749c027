"""What can go wrong between camera and driver: each ends without a fresh frame and with a reason, and then recovers."""

import pytest

from drivers.ndi_setup_wire import PortBits
from drivers.rom_wire import build_rom
from drivers.values import ToolSample, TrackerChanged, TrackerFrame, TrackerState, Unseen
from sim.ndi_room_tools import COIL, HEAD, ROOM_ROMS
from tests.ndi_virtual import LATENCY_MS, MS, SECOND, VirtualRoom

RATES = pytest.mark.parametrize("rate_hz", [20, 60, 400])


def assert_poses_are_true(room: VirtualRoom) -> None:
    """Every pose told is that of the body at the exposure of its frame, as the camera numbers it."""
    for frame, exposed_ns in zip(room.frames, room.exposures, strict=True):
        if exposed_ns is None:
            continue
        for sample in frame.tools:
            if sample.in_tracker_mm is not None:
                truth = room.source.pose(sample.tool, exposed_ns)
                assert truth is not None
                assert sample.in_tracker_mm == pytest.approx(truth.in_tracker_mm, abs=0.05)  # 10 mm/s, dated within 1 ms


def samples(room: VirtualRoom, tool: str) -> list[ToolSample]:
    return [sample for frame in room.frames for sample in frame.tools if sample.tool == tool]


def ages_ms(room: VirtualRoom) -> list[float]:
    """From exposure, as the clock fit dates it, to the moment each frame was told."""
    told = [when for when, event in room.events if isinstance(event, TrackerFrame)]
    return [(when - exposed_ns) / MS for when, exposed_ns in zip(told, room.exposures, strict=True) if exposed_ns is not None]


# ---- without a fault ------------------------------------------------------------------------------------------------


@RATES
def test_every_frame_is_told_once_and_dated_at_its_exposure(rate_hz: int) -> None:
    room = VirtualRoom(rate_hz).tracking().run(3.0)
    numbers = [frame.frame_number for frame in room.frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) == pytest.approx(3.0 * rate_hz, abs=2)
    assert not room.alerts and not room.changes
    assert_poses_are_true(room)
    assert max(ages_ms(room)) < LATENCY_MS + 1.0


def test_polling_is_idle_between_frames_and_quick_around_them() -> None:
    room = VirtualRoom(60).tracking().run(10.0)
    assert len(room.sent) < 10 * len(room.frames)


def test_frame_numbers_wrap_without_a_restart() -> None:
    room = VirtualRoom(400, first_frame=2**32 - 900).tracking().run(3.0)
    numbers = [frame.frame_number for frame in room.frames]
    assert 0 in numbers and 2**32 - 1 in numbers
    assert room.restarts == 0 and not room.alerts
    assert None not in room.exposures


def test_a_large_odd_first_frame_number_is_as_good_as_any() -> None:
    room = VirtualRoom(60, first_frame=1_449_617_635).tracking().run(1.0)
    assert room.restarts == 0 and room.frames[0].frame_number > 1_449_617_635


def test_a_refused_frame_rate_is_no_fault() -> None:
    room = VirtualRoom(60)
    room.faults.errors["SET"] = 0x36
    room.tracking()


# ---- tools ----------------------------------------------------------------------------------------------------------


def test_a_missing_tool_is_unseen_with_its_frame_number_and_the_other_stays() -> None:
    room = VirtualRoom().tracking()
    room.faults.missing.add(COIL)
    room.run(0.5)
    hidden = samples(room, COIL)[-1]
    assert (hidden.unseen, hidden.wxyz, hidden.in_tracker_mm) == (Unseen.MISSING, None, None)
    assert hidden.frame_number == room.frames[-1].frame_number
    assert samples(room, HEAD)[-1].unseen is None
    room.faults.missing.clear()
    room.run(0.1)
    assert samples(room, COIL)[-1].unseen is None


@pytest.mark.parametrize("fault", ["out_of_volume", "partly_out_of_volume"])
def test_a_pose_out_of_volume_is_shown_but_flagged(fault: str) -> None:
    room = VirtualRoom().tracking()
    getattr(room.faults, fault).add(COIL)
    room.run(0.1)
    assert samples(room, COIL)[-1].flagged and samples(room, COIL)[-1].wxyz is not None
    assert not samples(room, HEAD)[-1].flagged


def test_an_unplugged_tool_is_unseen_and_loaded_again() -> None:
    room = VirtualRoom(keeps_handles=True).tracking()
    room.faults.unplug.add(COIL)
    room.run(0.05)
    assert samples(room, COIL)[-1].wxyz is None
    assert room.state in (TrackerState.LOST, TrackerState.SETUP)
    room.run(2.0)
    assert room.state is TrackerState.TRACKING and samples(room, COIL)[-1].unseen is None
    assert any(line.startswith(b"PHF") for _, line in room.sent)


def test_tools_are_loaded_again_at_most_once_a_second() -> None:
    room = VirtualRoom().tracking()
    for _ in range(50):
        room.faults.unplug.add(COIL)
        room.run(0.1)
    assert sum(line.startswith(b"TSTART") for _, line in room.sent) <= 6


def test_a_system_status_bit_is_told_once_and_tools_that_changed_are_loaded_again() -> None:
    room = VirtualRoom().tracking()
    room.faults.system_status = 1 << 9
    room.run(1.0)
    assert [alert.what for alert in room.alerts] == ["camera: the camera's temperature is out of range"]
    assert room.restarts == 0
    room.faults.system_status |= 1 << 6
    room.run(1.0)
    assert room.restarts == 1
    room.forget()
    room.faults.system_status = 1 << 6
    room.run(5.0)
    assert room.restarts == 0, "a bit that stands since the set-up changes nothing"


def test_a_damaged_tool_file_is_refused_with_its_name_and_what_to_do() -> None:
    damaged = bytearray(ROOM_ROMS[COIL])
    damaged[0x50] ^= 1
    room = VirtualRoom(roms={HEAD: ROOM_ROMS[HEAD], COIL: bytes(damaged)}).run(20.0)
    assert not room.frames
    lost = next(change for change in room.changes if change.state is TrackerState.LOST)
    assert "'coil'" in lost.why and ".rom" in lost.remedy
    assert 4 <= room.opened <= 8, "tried again, ever more slowly"


def test_a_tool_that_the_room_does_not_know_is_tracked_too() -> None:
    stranger = build_rom([(0.0, 0.0, 0.0), (0.0, 50.0, 0.0), (70.0, 0.0, 0.0)], "8700339")
    room = VirtualRoom(tools=("theirs", HEAD), roms={"theirs": stranger, HEAD: ROOM_ROMS[HEAD]}).tracking().run(0.5)
    places = [sample.in_tracker_mm for sample in samples(room, "theirs")]
    assert None not in places and len(set(places)) > 90


# ---- damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["bad_crc", "bad_header"])
def test_a_damaged_answer_is_counted_and_asked_for_again(fault: str) -> None:
    room = VirtualRoom().tracking()
    setattr(room.faults, fault, 1)
    room.run(0.5)
    assert not room.changes
    assert any("damaged" in alert.what for alert in room.alerts)
    assert room.opened == 1 and len(room.frames) > 90
    assert_poses_are_true(room)


@pytest.mark.parametrize("fault", ["bad_crc", "bad_header"])
def test_nothing_but_damage_is_lost_and_the_link_opened_anew(fault: str) -> None:
    room = VirtualRoom().tracking()
    setattr(room.faults, fault, 10**6)
    room.run(1.0)
    assert not room.frames and room.state is TrackerState.LOST
    setattr(room.faults, fault, 0)
    room.run(6.0)
    assert room.state is TrackerState.TRACKING and room.opened >= 2


@pytest.mark.parametrize("fault", ["bad_crc", "bad_header", "restart", "close"])
@pytest.mark.parametrize("after", [0, 1, 2, 7, *range(12, 24), 45, 46, 47, 48, 49, 50, 51, 52])
def test_a_fault_at_any_step_of_the_setup_never_leaves_a_second_handle(fault: str, after: int) -> None:
    room = VirtualRoom(60, keeps_handles=True)
    while len(room.sent) < after:
        room.run(0.0001)
    setattr(room.faults, fault, 1)
    room.run(1.5)
    assert room.state is TrackerState.TRACKING
    assert len(room.device.bay.handles) == 2


@pytest.mark.parametrize("command", ["PHSR", "PVWR", "PINIT", "VER", "GET"])
def test_a_command_that_arrives_damaged_is_sent_again(command: str) -> None:
    room = VirtualRoom()
    room.faults.errors[command] = 0x04
    room.run(0.2)
    room.faults.errors.clear()
    room.run(2.0)
    assert room.state is TrackerState.TRACKING


def test_answers_that_come_byte_by_byte_still_make_whole_frames() -> None:
    room = VirtualRoom(20).tracking()
    room.faults.dribble = True
    room.run(2.0)
    assert len(room.frames) > 30 and not room.changes
    assert_poses_are_true(room)


def test_a_reply_that_nothing_asked_for_opens_the_link_anew() -> None:
    room = VirtualRoom(60).tracking()
    room.run(0.005)
    room.inject(b"OKAYA896\r")
    room.inject(b"OKAYA896\r")
    assert room.state is TrackerState.LOST
    room.run(1.0)
    assert room.opened == 2 and room.state is TrackerState.TRACKING


# ---- silence and lateness -------------------------------------------------------------------------------------------


@RATES
def test_after_100_ms_of_silence_all_tools_are_stale_and_after_a_second_the_link_is_opened_anew(rate_hz: int) -> None:
    room = VirtualRoom(rate_hz).tracking()
    room.faults.silent = True
    began_ns = room.now_ns
    room.run(1.2)
    lost_ns = next(when for when, event in room.events if isinstance(event, TrackerChanged) and event.state is TrackerState.LOST)
    assert lost_ns - began_ns <= 100 * MS + 1
    assert not [when for when, event in room.events if isinstance(event, TrackerFrame) and when > began_ns + 2 * SECOND // rate_hz]
    assert room.opened == 2
    room.faults.silent = False
    room.run(8.0)
    assert room.state is TrackerState.TRACKING


def test_the_poll_is_sent_once_more_after_half_a_second() -> None:
    room = VirtualRoom().tracking()
    room.faults.silent = True
    room.run(0.02)
    room.sent.clear()
    room.run(0.9)
    assert [line for _, line in room.sent] == [b"BX 0801"]


def test_a_poll_that_was_lost_costs_half_a_second_and_not_the_link() -> None:
    room = VirtualRoom().tracking()
    room.faults.silent = True
    room.run(0.02)
    room.faults.silent = False
    room.run(1.0)
    assert room.opened == 1 and room.state is TrackerState.TRACKING
    room.forget()
    room.run(1.0)
    assert room.exposures[-1] is not None
    assert len(room.sent) < 15 * len(room.frames), "phase-locked again"


def test_after_a_second_of_good_frames_the_next_loss_is_mended_at_once() -> None:
    room = VirtualRoom()
    room.unplug_cable()
    room.run(20.0)
    room.is_reachable = True
    room.run(8.0)
    room.forget()
    room.faults.close = 1
    room.run(0.5)
    assert room.state is TrackerState.TRACKING


def test_an_answer_700_ms_late_is_old_and_no_later_answer_is_taken_for_another() -> None:
    room = VirtualRoom().tracking()
    room.faults.delay_ms = 700.0
    room.run(0.01)
    room.faults.delay_ms = 0.0
    room.forget()
    room.run(3.0)
    assert room.opened == 1 and room.state is TrackerState.TRACKING
    assert ages_ms(room)[0] > 650.0
    assert_poses_are_true(room)


def test_an_answer_that_comes_after_the_link_was_given_up_is_never_taken() -> None:
    room = VirtualRoom().tracking()
    room.faults.delay_ms = 1500.0
    room.run(0.01)
    room.faults.delay_ms = 0.0
    room.forget()
    room.run(4.0)
    assert room.opened == 2 and room.state is TrackerState.TRACKING
    assert_poses_are_true(room)


def test_a_stall_of_300_ms_gives_an_old_frame_then_fresh_ones() -> None:
    room = VirtualRoom().tracking()
    room.faults.delay_ms = 300.0
    room.run(0.01)
    room.faults.delay_ms = 0.0
    room.forget()
    room.run(1.0)
    assert max(ages_ms(room)) >= 295.0 and ages_ms(room)[-1] < 5.0
    assert_poses_are_true(room)


def test_the_same_frame_again_and_again_is_lost() -> None:
    room = VirtualRoom().tracking()
    room.faults.frozen = True
    room.run(0.5)
    assert len(room.frames) <= 2 and room.state is TrackerState.LOST
    assert len(room.sent) < 1500, "nobody spins on a frozen camera"
    room.faults.frozen = False
    room.run(2.0)
    assert room.state is TrackerState.TRACKING
    assert_poses_are_true(room)


def test_lost_frames_are_counted_and_told() -> None:
    room = VirtualRoom().tracking()
    room.faults.skip_frames = 7
    room.run(0.5)
    assert [alert.what for alert in room.alerts] == ["camera: 7 frames were dropped"]
    assert not room.changes and room.restarts == 0


# ---- restarts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-1000, 10_000, 2**31])
def test_frame_numbers_from_elsewhere_begin_the_clock_anew(jump: int) -> None:
    room = VirtualRoom(first_frame=5000).tracking()
    room.faults.jump_frames = jump
    room.run(0.3)
    assert room.restarts == 1
    assert room.exposures[-1] is None, "no age before the new fit stands"
    room.run(1.0)
    assert room.exposures[-1] is not None
    assert_poses_are_true(room)


@pytest.mark.parametrize("fault", ["restart", "stop_tracking"])
def test_a_camera_that_restarted_or_left_tracking_is_set_up_again(fault: str) -> None:
    room = VirtualRoom().tracking()
    setattr(room.faults, fault, 1)
    room.run(0.02)
    assert room.state is TrackerState.SETUP
    assert [change.state for change in room.changes] == [TrackerState.LOST, TrackerState.SETUP]
    room.run(1.0)
    assert room.state is TrackerState.TRACKING and room.restarts == 1 and room.opened == 1


@pytest.mark.parametrize("code", [0x0C, 0x10, 0x1A])
def test_a_poll_that_is_always_refused_is_set_up_again_ever_more_slowly(code: int) -> None:
    room = VirtualRoom().tracking()
    room.faults.errors["BX"] = code
    room.run(20.0)
    assert not room.frames[2:] and sum(line.startswith(b"TSTART") for _, line in room.sent) <= 10
    room.faults.errors.clear()
    room.run(6.0)
    assert room.state is TrackerState.TRACKING


def test_a_closed_connection_is_opened_again_at_once() -> None:
    room = VirtualRoom().tracking()
    room.faults.close = 1
    room.run(0.05)
    assert any(change.state is TrackerState.LOST and change.remedy for change in room.changes)
    room.run(1.0)
    assert room.opened == 2 and room.state is TrackerState.TRACKING


def test_a_cable_pulled_for_a_minute_is_tried_every_five_seconds_and_found_again() -> None:
    room = VirtualRoom().tracking()
    room.unplug_cable()
    room.run(60.0)
    assert room.state is TrackerState.LOST and not room.frames
    room.is_reachable = True
    room.run(7.0)
    assert room.state is TrackerState.TRACKING


def test_handles_left_by_a_crashed_host_are_freed() -> None:
    room = VirtualRoom(keeps_handles=True).tracking()
    room.unplug_cable(link_back=True)
    room.run(2.0)
    assert room.state is TrackerState.TRACKING
    assert sorted(room.device.bay.handles) == [1, 2]
    assert all(handle.status & PortBits.ENABLED for handle in room.device.bay.handles.values())


def test_farewell_stops_tracking_and_frees_the_handles() -> None:
    room = VirtualRoom().tracking()
    room._do(room.tracker.farewell(room.now_ns))
    room.forget()
    room.run(5.0)
    assert not room.events and not room.sent
    assert room.device.bay.handles == {}
