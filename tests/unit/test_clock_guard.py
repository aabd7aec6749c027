"""The wall clock: a step either way, a reboot without a time source, a first start; and how a suspicion ends."""

from pathlib import Path

import msgspec
import pytest

from daemon.clock_guard import Kept, Reading, Suspicion, confirmed, judge
from daemon.host_clock import ClockFile, is_synchronised
from daemon.ledger import LedgerUnavailable, Moment
from tests.ledger_cases import MONDAY_13_UTC_US, at

TOLERANCE_US = 2_000_000


def reading(moment: Moment, synchronised: bool | None = True) -> Reading:
    return Reading(moment=moment, is_synchronised=synchronised)


def started(moment: Moment | None = None) -> Kept:
    return judge(None, reading(at(0) if moment is None else moment), TOLERANCE_US)


def suspicion(kept: Kept, moment: Moment, synchronised: bool | None = True) -> Suspicion | None:
    return judge(kept, reading(moment, synchronised), TOLERANCE_US).suspicion


# ---- within one boot ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead_s", "expected"),
    [
        (2.0, None),
        (2.000001, Suspicion.FORWARD),
        (3600, Suspicion.FORWARD),
        (-2.0, None),
        (-2.000001, Suspicion.BACKWARD),
        (-3600, Suspicion.BACKWARD),
    ],
)
def test_wall_clock_that_left_the_monotonic_one_is_suspect(ahead_s: float, expected: Suspicion | None) -> None:
    assert suspicion(started(), at(60, wall_ahead_s=ahead_s)) is expected


def test_step_is_kept_although_the_clock_is_set_right_again() -> None:
    stepped = judge(started(), reading(at(60, wall_ahead_s=3600)), TOLERANCE_US)
    assert suspicion(stepped, at(120)) is Suspicion.FORWARD


def test_clock_that_is_steered_for_days_is_not_suspect() -> None:
    """200 ppm for ten days: 173 s in all, never fast enough for a step."""
    kept = started()
    for minute in range(1, 14_401):
        kept = judge(kept, reading(at(60 * minute, wall_ahead_s=0.012 * minute)), TOLERANCE_US)
        assert kept.suspicion is None


def test_small_steps_add_up_to_a_large_one() -> None:
    kept = started()
    seen = []
    for step in range(1, 5):
        kept = judge(kept, reading(at(10 * step, wall_ahead_s=1.5 * step)), TOLERANCE_US)
        seen.append(kept.suspicion)
    assert seen == [None, Suspicion.FORWARD, Suspicion.FORWARD, Suspicion.FORWARD]


def test_restart_of_the_daemon_in_the_same_boot_still_sees_the_step(tmp_path: Path) -> None:
    file(tmp_path).look(at(0), TOLERANCE_US)
    assert file(tmp_path).look(at(600, wall_ahead_s=86_400), TOLERANCE_US).suspicion is Suspicion.FORWARD


def test_time_source_that_is_lost_within_a_boot_is_no_suspicion() -> None:
    assert suspicion(started(), at(3600), synchronised=False) is None


# ---- after a reboot ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("synchronised", "expected"), [(True, None), (False, Suspicion.REBOOT), (None, Suspicion.REBOOT)])
def test_reboot_needs_a_time_source_in_step(synchronised: bool | None, expected: Suspicion | None) -> None:
    assert suspicion(started(), at(3600, boot_id="boot-2"), synchronised) is expected


@pytest.mark.parametrize("synchronised", [True, False])
def test_clock_before_the_latest_time_kept_is_suspect_after_a_reboot_whoever_steers_it(synchronised: bool) -> None:
    assert suspicion(started(), at(-3, boot_id="boot-2"), synchronised) is Suspicion.REBOOT_BEHIND


def test_time_source_that_comes_into_step_after_the_reboot_ends_the_suspicion() -> None:
    waiting = judge(started(), reading(at(3600, boot_id="boot-2"), False), TOLERANCE_US)
    assert waiting.suspicion is Suspicion.REBOOT
    assert suspicion(waiting, at(3660, boot_id="boot-2", wall_ahead_s=40), True) is None


def test_time_source_in_step_does_not_end_the_suspicion_of_a_step() -> None:
    stepped = judge(started(), reading(at(60, wall_ahead_s=3600)), TOLERANCE_US)
    assert suspicion(stepped, at(120, wall_ahead_s=3600), True) is Suspicion.FORWARD


def test_time_source_in_step_that_still_stands_behind_does_not_end_a_suspicion() -> None:
    behind = judge(started(), reading(at(-3600, boot_id="boot-2"), False), TOLERANCE_US)
    assert suspicion(behind, at(-3500, boot_id="boot-2"), True) is Suspicion.REBOOT_BEHIND


def test_step_is_not_forgotten_by_a_reboot() -> None:
    stepped = judge(started(), reading(at(60, wall_ahead_s=3600)), TOLERANCE_US)
    assert suspicion(stepped, at(7200, boot_id="boot-2")) is Suspicion.FORWARD


@pytest.mark.parametrize(("synchronised", "expected"), [(True, None), (False, Suspicion.FIRST_START), (None, Suspicion.FIRST_START)])
def test_first_start_needs_a_time_source_in_step(synchronised: bool | None, expected: Suspicion | None) -> None:
    assert judge(None, reading(at(0), synchronised), TOLERANCE_US).suspicion is expected


# ---- the high-water mark -----------------------------------------------------------------------------------------------


def test_high_water_mark_follows_a_trusted_clock_and_never_goes_back() -> None:
    kept = judge(started(), reading(at(600)), TOLERANCE_US)
    assert kept.high_water_utc_us == MONDAY_13_UTC_US + 600_000_000
    assert judge(kept, reading(at(599)), TOLERANCE_US).high_water_utc_us == kept.high_water_utc_us


def test_high_water_mark_does_not_follow_a_clock_that_nobody_trusts() -> None:
    kept = judge(started(), reading(at(60, wall_ahead_s=86_400)), TOLERANCE_US)
    assert kept.high_water_utc_us == MONDAY_13_UTC_US
    rebooted = judge(started(), reading(at(86_400, boot_id="boot-2"), False), TOLERANCE_US)
    assert rebooted.high_water_utc_us == MONDAY_13_UTC_US


def test_high_water_mark_does_not_follow_a_clock_that_was_stepped_and_set_right_again() -> None:
    stepped = judge(started(), reading(at(60, wall_ahead_s=3600)), TOLERANCE_US)
    assert judge(stepped, reading(at(120)), TOLERANCE_US).high_water_utc_us == MONDAY_13_UTC_US


def test_confirming_ends_the_suspicion_and_keeps_the_high_water_mark() -> None:
    behind = judge(started(), reading(at(-3600, boot_id="boot-2")), TOLERANCE_US)
    after = confirmed(behind, reading(at(-3590, boot_id="boot-2"), False))
    assert (after.suspicion, after.high_water_utc_us) == (None, MONDAY_13_UTC_US)
    assert suspicion(after, at(-3000, boot_id="boot-2"), False) is None


def test_confirmed_clock_is_watched_anew() -> None:
    after = confirmed(judge(started(), reading(at(60, wall_ahead_s=3600)), TOLERANCE_US), reading(at(120, wall_ahead_s=3600)))
    assert suspicion(after, at(180, wall_ahead_s=3600)) is None
    assert suspicion(after, at(180)) is Suspicion.BACKWARD


# ---- on disk -----------------------------------------------------------------------------------------------------------


def file(folder: Path, *, synchronised: bool | None = True, trusts_itself: bool = False) -> ClockFile:
    return ClockFile(folder / "clock", trusts_itself=trusts_itself, synchronised=lambda: synchronised)


def test_what_is_kept_is_written_each_minute_and_at_each_change(tmp_path: Path) -> None:
    clock = file(tmp_path)

    def written() -> Kept:
        return msgspec.json.decode((tmp_path / "clock").read_bytes(), type=Kept)

    clock.look(at(0), TOLERANCE_US)
    clock.look(at(59), TOLERANCE_US)
    assert written().high_water_utc_us == MONDAY_13_UTC_US
    clock.look(at(60), TOLERANCE_US)
    assert written().high_water_utc_us == MONDAY_13_UTC_US + 60_000_000
    clock.look(at(61, wall_ahead_s=10), TOLERANCE_US)
    assert written().suspicion is Suspicion.FORWARD


def test_simulated_chair_needs_no_time_source_and_still_sees_a_step(tmp_path: Path) -> None:
    clock = file(tmp_path, synchronised=False, trusts_itself=True)
    assert clock.look(at(0), TOLERANCE_US).suspicion is None
    assert clock.look(at(60, wall_ahead_s=3600), TOLERANCE_US).suspicion is Suspicion.FORWARD


def test_confirmation_is_on_disk_and_a_running_daemon_sees_it(tmp_path: Path) -> None:
    daemon = file(tmp_path, synchronised=False)
    assert daemon.look(at(0), TOLERANCE_US).suspicion is Suspicion.FIRST_START
    file(tmp_path, synchronised=False).confirm(at(10))
    assert daemon.look(at(11), TOLERANCE_US).suspicion is None


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"boot_id": 1}', b"\xff"])
def test_file_that_cannot_be_read_is_trouble_and_no_fresh_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clock").write_bytes(content)
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        file(tmp_path).look(at(0), TOLERANCE_US)


def test_folder_that_cannot_be_written_is_trouble(tmp_path: Path) -> None:
    clock = ClockFile(tmp_path / "none" / "clock", trusts_itself=True)
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        clock.look(at(0), TOLERANCE_US)


def test_kernel_says_whether_it_is_in_step() -> None:
    assert is_synchronised() in (True, False)
