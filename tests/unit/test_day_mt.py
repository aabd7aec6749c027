"""Single pulses for the motor threshold: counted apart from treatment, a day's number of them, and the interval from the last pulse."""

import msgspec
import pytest

from daemon.day import MT_RULES, REASON_TEXT, DayVerdict, DoseReason, Proposed, day_verdict, mt_verdict
from daemon.purpose import Purpose
from tests.ledger_cases import LIMITS
from tests.unit.test_day import HOUR_US, asked, segment, utc_us

LOOSE = msgspec.structs.replace(LIMITS, max_mt_pulses_per_day=200, min_mt_pulse_interval_s=5)
FOUND = segment("mt-1", "2026-03-02T13:00Z", pulses=75, purpose=Purpose.MT)


def verdict(proposed: Proposed, *segments: object, **changes: object) -> DayVerdict:
    return mt_verdict(segments or (FOUND,), proposed, msgspec.structs.replace(LOOSE, **changes), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("planned", "reasons"), [(125, ()), (126, (DoseReason.MT_PULSES,))])
def test_single_pulses_of_a_day_are_limited(planned: int, reasons: tuple[DoseReason, ...]) -> None:
    assert verdict(asked("2026-03-02T20:00Z", planned=planned)).reasons == reasons


def test_days_single_pulses_begin_anew_with_the_sites_next_day() -> None:
    answer = verdict(asked("2026-03-02T20:00Z", planned=200))
    assert answer.reasons == (DoseReason.MT_PULSES,)
    assert answer.earliest_utc_us == utc_us("2026-03-03T05:00Z")  # midnight in New York


@pytest.mark.parametrize(("after_us", "reasons"), [(4_999_999, (DoseReason.MT_INTERVAL,)), (5_000_000, ())])
def test_pulse_waits_for_the_interval_from_the_last_of_any_kind(after_us: int, reasons: tuple[DoseReason, ...]) -> None:
    for last in (FOUND, segment("a", "2026-03-02T13:00Z")):
        proposed = Proposed(first_pulse_utc_us=last.last_pulse_utc_us + after_us, planned_pulses=1)
        answer = verdict(proposed, last)
        assert answer.reasons == reasons
        assert answer.earliest_utc_us == max(proposed.first_pulse_utc_us, last.last_pulse_utc_us + 5_000_000)


def test_interval_runs_by_the_slower_clock() -> None:
    last = msgspec.structs.replace(FOUND, last_pulse_mono_ns=1_000_000_000, boot_id="boot-1")
    set_forward = Proposed(first_pulse_utc_us=last.last_pulse_utc_us + HOUR_US, planned_pulses=1, mono_ns=4_000_000_000, boot_id="boot-1")
    assert verdict(set_forward, last).reasons == (DoseReason.MT_INTERVAL,)


def test_clock_before_the_last_pulse_is_refused() -> None:
    assert DoseReason.CLOCK_ROLLBACK in verdict(asked("2026-03-02T12:00Z")).reasons


def test_nothing_of_a_treatments_day_speaks_against_single_pulses() -> None:
    full = [segment(f"s{hour}", f"2026-03-02T{hour}:00Z") for hour in range(13, 23)]
    proposed = asked("2026-03-02T22:20Z", planned=20)
    assert day_verdict(full, proposed, LOOSE, None).reasons != ()
    answer = verdict(proposed, *full)
    assert (answer.reasons, answer.sessions_today, answer.pulses_today) == ((), 10, 18_000)


def test_single_pulses_take_nothing_from_the_treatments_day_nor_from_its_gap() -> None:
    last = segment("mt-1", "2026-03-02T13:00Z", pulses=200, purpose=Purpose.MT)
    limits = msgspec.structs.replace(
        LIMITS, max_sessions_per_day=1, max_sessions_rolling=1, max_pulses_per_day=1800, max_pulses_rolling=1800
    )
    answer = day_verdict([last], asked("2026-03-02T13:10Z"), limits, None)
    assert (answer.reasons, answer.course_sessions, answer.course_days, answer.mt_pulses_today) == ((), 0, 0, 200)


def test_search_that_goes_on_past_midnight_belongs_to_the_day_it_began_on() -> None:
    begun = segment("mt-1", "2026-03-03T04:55Z", pulses=150, purpose=Purpose.MT, last_pulse_utc_us=utc_us("2026-03-03T04:59Z"))
    goes_on = asked("2026-03-03T05:01Z", planned=51, resume_session_id="mt-1")
    assert verdict(goes_on, begun).reasons == (DoseReason.MT_PULSES,)
    assert verdict(msgspec.structs.replace(goes_on, resume_session_id=None), begun).reasons == ()


def test_every_rule_has_its_words() -> None:
    assert all(REASON_TEXT[reason].remedy for reason in MT_RULES)
