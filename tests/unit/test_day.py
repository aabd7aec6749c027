"""The rules of a day: each refuses by itself, and the earliest start is the first moment with no reason left."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from daemon.day import REASON_TEXT, RULES, DayVerdict, DoseReason, Proposed, Segment, day_verdict
from daemon.limits import Limits
from daemon.purpose import Purpose
from tests.ledger_cases import LIMITS

LOOSE = msgspec.structs.replace(
    LIMITS,
    max_sessions_per_day=99,
    max_pulses_per_day=99_999,
    min_gap_s=0,
    max_sessions_rolling=99,
    max_pulses_rolling=99_999,
    max_course_sessions=99,
    max_treatment_days=99,
)
HOUR_US = 3_600_000_000


def utc_us(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def segment(session_id: str, first: str, *, pulses: int = 1800, **changes: Any) -> Segment:
    """A session of that many pulses, its last 591.84 s after its first."""
    first_us = utc_us(first)
    usual = Segment(
        session_id=session_id, commanded=pulses, acknowledged=pulses, first_pulse_utc_us=first_us, last_pulse_utc_us=first_us + 591_840_000
    )
    return msgspec.structs.replace(usual, **changes)


def asked(first: str, *, planned: int = 1800, **more: Any) -> Proposed:
    return Proposed(first_pulse_utc_us=utc_us(first), planned_pulses=planned, **more)


def verdict(segments: list[Segment], proposed: Proposed, limits: Limits, high_water: str | None = None) -> DayVerdict:
    return day_verdict(segments, proposed, limits, None if high_water is None else utc_us(high_water))


MONDAY = [segment("a", "2026-03-02T13:00Z"), segment("b", "2026-03-02T15:00Z")]


# ---- one rule each -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "reasons"), [(2, (DoseReason.DAY_SESSIONS,)), (3, ())])
def test_sessions_of_the_day_are_limited(most: int, reasons: tuple[DoseReason, ...]) -> None:
    limits = msgspec.structs.replace(LOOSE, max_sessions_per_day=most)
    assert verdict(MONDAY, asked("2026-03-02T20:00Z"), limits).reasons == reasons


@pytest.mark.parametrize(("most", "reasons"), [(5399, (DoseReason.DAY_PULSES,)), (5400, ())])
def test_pulses_of_the_day_are_limited_by_the_planned_total(most: int, reasons: tuple[DoseReason, ...]) -> None:
    limits = msgspec.structs.replace(LOOSE, max_pulses_per_day=most)
    assert verdict(MONDAY, asked("2026-03-02T20:00Z"), limits).reasons == reasons


@pytest.mark.parametrize(("most", "reasons"), [(2, (DoseReason.ROLLING_SESSIONS,)), (3, ())])
def test_sessions_of_the_last_hours_are_limited_past_midnight(most: int, reasons: tuple[DoseReason, ...]) -> None:
    limits = msgspec.structs.replace(LOOSE, max_sessions_rolling=most)
    assert verdict(MONDAY, asked("2026-03-03T06:00Z"), limits).reasons == reasons


@pytest.mark.parametrize(("most", "reasons"), [(5399, (DoseReason.ROLLING_PULSES,)), (5400, ())])
def test_pulses_of_the_last_hours_are_limited_past_midnight(most: int, reasons: tuple[DoseReason, ...]) -> None:
    limits = msgspec.structs.replace(LOOSE, max_pulses_rolling=most)
    assert verdict(MONDAY, asked("2026-03-03T06:00Z"), limits).reasons == reasons


def test_session_leaves_the_rolling_window_with_its_last_pulse() -> None:
    limits = msgspec.structs.replace(LOOSE, max_sessions_rolling=1)
    one = [segment("a", "2026-03-02T13:00Z")]
    edge_us = one[0].last_pulse_utc_us + 23 * HOUR_US
    inside = msgspec.structs.replace(asked("2026-03-03T00:00Z"), first_pulse_utc_us=edge_us - 1)
    outside = msgspec.structs.replace(inside, first_pulse_utc_us=edge_us)
    assert verdict(one, inside, limits).reasons == (DoseReason.ROLLING_SESSIONS,)
    assert verdict(one, outside, limits).reasons == ()


@pytest.mark.parametrize(("gap_us", "reasons"), [(2_999_999_999, (DoseReason.MIN_GAP,)), (3_000_000_000, ())])
def test_gap_runs_from_the_last_pulse_and_may_be_exact(gap_us: int, reasons: tuple[DoseReason, ...]) -> None:
    limits = msgspec.structs.replace(LOOSE, min_gap_s=3000)
    proposed = Proposed(first_pulse_utc_us=MONDAY[1].last_pulse_utc_us + gap_us, planned_pulses=1800)
    assert verdict(MONDAY, proposed, limits).reasons == reasons


def test_first_session_of_a_patient_waits_for_nothing() -> None:
    limits = msgspec.structs.replace(LIMITS, max_pulses_per_day=1800, max_pulses_rolling=1800)
    assert verdict([], asked("2026-03-02T20:00Z"), limits).reasons == ()


@pytest.mark.parametrize(("most", "reasons"), [(2, (DoseReason.COURSE_SESSIONS,)), (3, ())])
def test_sessions_of_the_course_are_limited(most: int, reasons: tuple[DoseReason, ...]) -> None:
    limits = msgspec.structs.replace(LOOSE, max_course_sessions=most)
    assert verdict(MONDAY, asked("2026-04-01T20:00Z"), limits).reasons == reasons


@pytest.mark.parametrize(("first", "reasons"), [("2026-03-03T14:00Z", (DoseReason.COURSE_DAYS,)), ("2026-03-02T20:00Z", ())])
def test_treatment_days_of_the_course_are_limited(first: str, reasons: tuple[DoseReason, ...]) -> None:
    limits = msgspec.structs.replace(LOOSE, max_treatment_days=1)
    assert verdict(MONDAY, asked(first), limits).reasons == reasons


@pytest.mark.parametrize(
    ("first", "reasons"), [("2026-03-02T19:59:57.999999Z", (DoseReason.CLOCK_ROLLBACK,)), ("2026-03-02T19:59:58Z", ())]
)
def test_clock_before_the_latest_time_ever_written_is_refused(first: str, reasons: tuple[DoseReason, ...]) -> None:
    assert verdict([], asked(first), LOOSE, high_water="2026-03-02T20:00Z").reasons == reasons


def test_clock_before_a_pulse_that_was_seen_is_refused() -> None:
    assert DoseReason.CLOCK_ROLLBACK in verdict(MONDAY, asked("2026-03-02T15:09Z"), LOOSE).reasons


def test_last_pulse_that_nobody_saw_proves_nothing_about_the_clock() -> None:
    assumed = [segment("a", "2026-03-02T15:00Z", last_pulse_is_bound=True)]
    assert verdict(assumed, asked("2026-03-02T15:09Z"), LOOSE).reasons == (DoseReason.MIN_GAP,)


def test_every_reason_is_given_at_once() -> None:
    limits = msgspec.structs.replace(
        LIMITS, max_sessions_per_day=1, max_sessions_rolling=1, max_course_sessions=1, max_treatment_days=0, min_gap_s=7200
    )
    proposed = asked("2026-03-02T15:30Z")
    assert set(verdict(MONDAY, proposed, limits, high_water="2026-03-02T16:00Z").reasons) == set(RULES)


# ---- what counts -------------------------------------------------------------------------------------------------------


def test_what_is_not_acknowledged_counts_as_commanded() -> None:
    lost = segment("a", "2026-03-02T13:00Z", acknowledged=None)
    assert verdict([lost], asked("2026-03-02T20:00Z"), LOOSE).pulses_today == 1800


def test_session_of_no_pulse_is_no_session() -> None:
    nothing = segment("z", "2026-03-02T13:00Z", acknowledged=0)
    found = verdict([nothing], asked("2026-03-02T13:10Z"), msgspec.structs.replace(LOOSE, min_gap_s=3000))
    assert (found.sessions_today, found.course_sessions, found.last_pulse_utc_us, found.reasons) == (0, 0, None, ())


def test_segments_of_one_session_are_one_session() -> None:
    parts = [segment("a", "2026-03-02T13:00Z", pulses=30), segment("a", "2026-03-02T14:00Z", pulses=60)]
    found = verdict(parts, asked("2026-03-02T20:00Z"), LOOSE)
    assert (found.sessions_today, found.pulses_today) == (1, 90)


def test_session_of_several_segments_reaches_from_its_first_pulse_to_its_last() -> None:
    parts = [segment("a", "2026-03-02T13:00Z"), segment("a", "2026-03-03T13:00Z"), segment("a", "2026-03-03T06:00Z")]
    found = verdict(parts, asked("2026-03-03T20:00Z"), LOOSE)
    assert (found.sessions_today, found.sessions_rolling) == (0, 1)  # Monday's session, and its last pulse was seven hours ago
    assert found.last_pulse_utc_us == parts[1].last_pulse_utc_us


def test_threshold_pulses_are_counted_apart_and_hold_no_gap() -> None:
    hunt = segment("m", "2026-03-02T13:00Z", pulses=74, purpose=Purpose.MT)
    found = verdict([hunt], asked("2026-03-02T13:10Z"), msgspec.structs.replace(LOOSE, min_gap_s=3000))
    assert (found.mt_pulses_today, found.sessions_today, found.reasons) == (74, 0, ())
    assert verdict([hunt], asked("2026-03-03T13:10Z"), LOOSE).mt_pulses_today == 0


def test_session_belongs_to_the_site_date_of_its_first_pulse() -> None:
    across = [segment("x", "2026-03-03T04:55Z")]  # 23:55 on Monday in New York
    assert verdict(across, asked("2026-03-03T05:30Z"), LOOSE).sessions_today == 0
    found = verdict(across, asked("2026-03-03T05:30Z", resume_session_id="x"), LOOSE)
    assert (found.treatment_day, found.sessions_today) == ("2026-03-02", 1)


def test_resumed_session_is_no_further_session_and_waits_for_no_gap_to_itself() -> None:
    limits = msgspec.structs.replace(LOOSE, max_sessions_per_day=2, max_sessions_rolling=2, max_course_sessions=2, min_gap_s=3000)
    assert verdict(MONDAY, asked("2026-03-02T15:20Z", resume_session_id="b"), limits).reasons == ()
    assert DoseReason.DAY_SESSIONS in verdict(MONDAY, asked("2026-03-02T15:20Z", resume_session_id="other"), limits).reasons


def test_resumed_session_that_left_the_rolling_window_counts_in_it_again() -> None:
    limits = msgspec.structs.replace(LOOSE, max_sessions_rolling=0)
    found = verdict([segment("a", "2026-03-02T13:00Z")], asked("2026-03-03T20:00Z", resume_session_id="a"), limits)
    assert found.reasons == (DoseReason.ROLLING_SESSIONS,)


def test_wall_clock_set_forward_does_not_shorten_the_gap() -> None:
    limits = msgspec.structs.replace(LOOSE, min_gap_s=3000)
    seen = segment("a", "2026-03-02T13:00Z", last_pulse_mono_ns=1_000_000_000_000, boot_id="boot-1")
    after_600_s = {"mono_ns": 1_600_000_000_000, "boot_id": "boot-1"}
    found = verdict([seen], asked("2026-03-02T20:00Z", **after_600_s), limits)
    assert found.reasons == (DoseReason.MIN_GAP,)
    assert found.earliest_utc_us == utc_us("2026-03-02T20:40Z")
    other_boot = asked("2026-03-02T20:00Z", mono_ns=1_600_000_000_000, boot_id="boot-2")
    assert verdict([seen], other_boot, limits).reasons == ()


# ---- the earliest start ------------------------------------------------------------------------------------------------


def test_start_that_is_allowed_is_allowed_now() -> None:
    assert verdict(MONDAY, asked("2026-03-02T20:00Z"), LOOSE).earliest_utc_us == utc_us("2026-03-02T20:00Z")


def test_earliest_start_is_the_end_of_the_gap() -> None:
    found = verdict(MONDAY, asked("2026-03-02T15:20Z"), msgspec.structs.replace(LOOSE, min_gap_s=3000))
    assert found.earliest_utc_us == MONDAY[1].last_pulse_utc_us + 3_000_000_000


def test_earliest_start_after_a_full_day_is_midnight_at_the_site() -> None:
    found = verdict(MONDAY, asked("2026-03-02T20:00Z"), msgspec.structs.replace(LOOSE, max_sessions_per_day=2))
    assert found.earliest_utc_us == utc_us("2026-03-03T05:00Z")


def test_earliest_start_after_a_full_rolling_window_is_when_enough_sessions_left_it() -> None:
    found = verdict(MONDAY, asked("2026-03-02T20:00Z"), msgspec.structs.replace(LOOSE, max_pulses_rolling=3600))
    assert found.earliest_utc_us == MONDAY[0].last_pulse_utc_us + 23 * HOUR_US


def test_earliest_start_of_a_full_course_is_never() -> None:
    assert verdict(MONDAY, asked("2026-03-02T20:00Z"), msgspec.structs.replace(LOOSE, max_course_sessions=2)).earliest_utc_us is None


def test_session_too_large_for_any_day_may_start_never() -> None:
    assert verdict([], asked("2026-03-02T20:00Z"), msgspec.structs.replace(LOOSE, max_pulses_per_day=1799)).earliest_utc_us is None


def test_earliest_start_under_a_clock_set_back_is_when_it_has_caught_up() -> None:
    found = verdict([], asked("2026-03-02T19:00Z"), LOOSE, high_water="2026-03-02T20:00Z")
    assert found.earliest_utc_us == utc_us("2026-03-02T19:59:58Z")


def test_day_starts_at_the_first_moment_of_its_date_where_midnight_is_skipped() -> None:
    limits = msgspec.structs.replace(LOOSE, timezone="Africa/Cairo", max_sessions_per_day=1)  # 2026-04-24 begins at 01:00
    found = verdict([segment("a", "2026-04-23T10:00Z")], asked("2026-04-23T12:00Z"), limits)
    assert found.earliest_utc_us == utc_us("2026-04-23T22:00Z")
    assert verdict([segment("a", "2026-04-23T10:00Z")], asked("2026-04-23T22:00Z"), limits).treatment_day == "2026-04-24"


def test_every_reason_has_a_text_and_a_remedy() -> None:
    assert REASON_TEXT.keys() == set(DoseReason)
    assert all(text.text and text.remedy for text in REASON_TEXT.values())


def test_busy_patient_has_no_earliest_start() -> None:
    found = verdict(MONDAY, asked("2026-03-02T20:00Z"), LOOSE).with_busy_patient()
    assert (found.reasons, found.earliest_utc_us, found.is_allowed) == ((DoseReason.PATIENT_BUSY,), None, False)
