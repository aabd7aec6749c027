"""The intent of one train: every limit is asked again before it may be granted."""

from typing import Any

import msgspec
import pytest

from daemon.day import DoseReason
from daemon.ledger import CloseState, Intended, Refused, Settled
from daemon.ledger_store import Ledger
from tests.ledger_cases import LAST_POSSIBLE_US, LENGTH_NS, LIMITS, at, given, intended, intent, limits, opened, reasons, receipt


def test_intent_is_granted_when_every_limit_holds(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    assert ledger.intend(intent(session, 1, at(1)), LIMITS, at(1)) == Intended(seq=2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lease_token": 99}, DoseReason.LEASE_LOST),
        ({"pulses": 91}, DoseReason.SESSION_PULSES),
        ({"amplitude_pct": 55}, DoseReason.SET_POINT),
        ({"expires_ns": at(1).mono_ns + 3_000_000_001}, DoseReason.GRANT_WINDOW),
        ({"expires_ns": at(1).mono_ns + 1_000_000_000}, DoseReason.GRANT_WINDOW),
    ],
)
def test_train_is_refused_for_the_one_thing_wrong_with_it(ledger: Ledger, changes: dict[str, Any], reason: DoseReason) -> None:
    session = opened(ledger, at(0))
    assert reasons(ledger.intend(intent(session, 1, at(1), **changes), LIMITS, at(1))) == {reason}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_set_point_mso": 53}, DoseReason.SET_POINT),
        ({"max_intensity_pct_rmt": 89}, DoseReason.INTENSITY),
        ({"allowed_protocols": ()}, DoseReason.PROTOCOL_NOT_ALLOWED),
        ({"max_pulses_per_day": 89}, DoseReason.DAY_PULSES),
        ({"max_sessions_rolling": 0}, DoseReason.ROLLING_SESSIONS),
    ],
)
def test_limit_that_was_tightened_since_refuses_the_next_train(ledger: Ledger, changes: dict[str, Any], reason: DoseReason) -> None:
    session = opened(ledger, at(0))
    assert reasons(ledger.intend(intent(session, 1, at(1)), limits(**changes), at(1))) == {reason}


def test_amplitude_at_the_limit_is_allowed(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    assert ledger.intend(intent(session, 1, at(1)), limits(max_set_point_mso=54, max_intensity_pct_rmt=90), at(1)) == Intended(seq=2)


def test_running_session_reaches_to_the_last_possible_pulse_of_its_train(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    intended(ledger, intent(session, 1, at(1)), at(1))
    assert ledger.verdict("P1", 90, LIMITS, at(2)).last_pulse_utc_us == at(1).utc_us + LAST_POSSIBLE_US
    assert ledger.verdict("P1", 90, LIMITS, at(20)).last_pulse_utc_us == at(20).utc_us


def test_limit_that_was_loosened_since_helps_nothing(ledger: Ledger) -> None:
    session = opened(ledger, at(0), limits=limits(max_pulses_per_day=90))
    ledger.ungranted(session_id=session.session_id, patient=None, pulses=1, mono_ns=None, how="panel", moment=at(1))
    asked = intent(session, 1, at(20))
    assert ledger.intend(asked, LIMITS, at(20)) == Intended(seq=3)  # 1 + the 89 that are left
    other = ledger.ungranted(session_id=None, patient="P1", pulses=1, mono_ns=None, how="panel", moment=at(22))
    assert other == 4
    ledger.receive(receipt(asked), at(24))
    answer = ledger.intend(intent(session, 2, at(40)), LIMITS, at(40))
    assert DoseReason.DAY_PULSES in reasons(answer)


def test_no_second_train_while_one_has_no_final_receipt(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    assert reasons(ledger.intend(intent(session, 2, at(20)), LIMITS, at(20))) == {DoseReason.INTENT_OPEN}
    ledger.receive(receipt(asked, final=False), at(20))
    assert reasons(ledger.intend(intent(session, 3, at(21)), LIMITS, at(21))) == {DoseReason.INTENT_OPEN}
    ledger.receive(receipt(asked), at(21))
    intended(ledger, intent(session, 4, at(22)), at(22))


def test_grant_number_is_used_once(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1), grant_no=5), at(1))
    ledger.receive(receipt(asked), at(4))
    for number in (5, 4):
        assert reasons(ledger.intend(intent(session, 2, at(20), grant_no=number), LIMITS, at(20))) == {DoseReason.GRANT_NOT_RISING}
    intended(ledger, intent(session, 2, at(20), grant_no=1, run_id="run-2"), at(20))


def test_trains_never_pass_the_planned_total(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    for train in (1, 2):
        asked = intended(ledger, intent(session, train, at(10 * train - 5)), at(10 * train - 5))
        ledger.receive(receipt(asked), at(10 * train))
    assert reasons(ledger.intend(intent(session, 3, at(25), pulses=31), LIMITS, at(25))) == {DoseReason.SESSION_PULSES}
    intended(ledger, intent(session, 4, at(26)), at(26))


def test_pulses_without_a_grant_take_from_the_planned_total(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    ledger.ungranted(session_id=session.session_id, patient=None, pulses=61, mono_ns=at(1).mono_ns, how="foot switch", moment=at(1))
    assert reasons(ledger.intend(intent(session, 1, at(20)), LIMITS, at(20))) == {DoseReason.SESSION_PULSES}


@pytest.mark.parametrize(("short_ns", "refused"), [(1, {DoseReason.TRAIN_GAP}), (0, set())])
def test_next_train_keeps_the_gap_from_the_last_pulse(ledger: Ledger, short_ns: int, refused: set[DoseReason]) -> None:
    session = opened(ledger, at(0))
    first = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(first), at(4))
    earliest_ns = first.not_before_ns + LENGTH_NS + 8_000_000_000 - short_ns
    second = intent(session, 2, at(5), not_before_ns=earliest_ns, expires_ns=earliest_ns + 2_000_000_000)
    answer = ledger.intend(second, LIMITS, at(5))
    assert isinstance(answer, Intended) if not refused else reasons(answer) == refused


def test_train_that_was_not_begun_delays_nothing(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    first = intended(ledger, intent(session, 1, at(1)), at(1))
    nothing = receipt(first, pulses=0, first_mono_ns=None, last_mono_ns=None)
    assert ledger.receive(nothing, at(5)) == Settled(counted_pulses=0, excess_pulses=0)
    intended(ledger, intent(session, 2, at(5)), at(5))


def test_train_is_refused_when_the_last_pulse_was_under_another_boots_clock(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    first = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(first), at(4))
    rebooted = at(20, boot_id="boot-2")
    assert reasons(ledger.intend(intent(session, 2, rebooted), LIMITS, rebooted)) == {DoseReason.TRAIN_GAP}


def test_lease_must_be_renewed_within_30_s(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    assert reasons(ledger.intend(intent(session, 1, at(30)), LIMITS, at(30))) == {DoseReason.LEASE_LOST}
    assert ledger.renew(session.session_id, session.lease_token, at(30))
    intended(ledger, intent(session, 2, at(59.9)), at(59.9))


def test_lease_runs_out_by_the_monotonic_clock_when_the_wall_clock_stands_still(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    stood_still = at(30, wall_ahead_s=-29)
    assert reasons(ledger.intend(intent(session, 1, stood_still), LIMITS, stood_still)) == {DoseReason.LEASE_LOST}


@pytest.mark.parametrize(("seconds", "is_lost"), [(29.999999, False), (30, True)])
def test_lease_runs_by_the_wall_clock_alone_after_a_reboot(ledger: Ledger, seconds: float, is_lost: bool) -> None:
    session = opened(ledger, at(0))
    rebooted = at(seconds, boot_id="boot-2")
    answer = ledger.intend(intent(session, 1, rebooted), LIMITS, rebooted)
    assert reasons(answer) == {DoseReason.LEASE_LOST} if is_lost else isinstance(answer, Intended)


def test_lease_is_gone_for_a_wrong_token_and_after_closing(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    assert not ledger.renew(session.session_id, session.lease_token + 1, at(1))
    ledger.close_session(session.session_id, CloseState.ABORTED, "stopped", at(2))
    assert not ledger.renew(session.session_id, session.lease_token, at(3))
    refused = reasons(ledger.intend(intent(session, 1, at(3)), LIMITS, at(3)))
    assert refused == {DoseReason.SESSION_NOT_OPEN, DoseReason.LEASE_LOST}


def test_train_refused_by_the_day_names_the_earliest_moment_under_both_limits(ledger: Ledger) -> None:
    given(ledger, 0)
    session = opened(ledger, at(1000))
    asked, tighter = intent(session, 1, at(1001)), limits(max_sessions_rolling=1)
    answer = ledger.intend(asked, tighter, at(1001))
    assert answer == Refused(reasons=(DoseReason.ROLLING_SESSIONS,), earliest_utc_us=at(26 + 23 * 3600).utc_us + LENGTH_NS // 1000)
    never = ledger.intend(asked, limits(max_sessions_rolling=0), at(1001))
    assert never == Refused(reasons=(DoseReason.ROLLING_SESSIONS,), earliest_utc_us=None)
    also = ledger.intend(msgspec.structs.replace(asked, amplitude_pct=55), tighter, at(1001))
    assert also == Refused(reasons=(DoseReason.SET_POINT, DoseReason.ROLLING_SESSIONS), earliest_utc_us=None)


def test_train_of_an_unknown_session_is_refused(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intent(session, 1, at(1), session_id="no such session")
    assert reasons(ledger.intend(asked, LIMITS, at(1))) == {DoseReason.SESSION_NOT_OPEN}


def test_clock_set_back_refuses_the_next_train(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    assert reasons(ledger.intend(intent(session, 1, at(1)), LIMITS, at(1, wall_ahead_s=-10))) == {DoseReason.CLOCK_ROLLBACK}


def test_session_goes_on_past_midnight_as_one_session_of_the_day_it_began(ledger: Ledger) -> None:
    before_midnight = 16 * 3600 - 15  # New York is five hours behind
    session = opened(ledger, at(before_midnight), limits=limits(max_sessions_per_day=1, max_sessions_rolling=1))
    for train in (1, 2):
        moment = at(before_midnight + 10 * train)
        asked = intended(ledger, intent(session, train, moment), moment)
        ledger.receive(receipt(asked), at(before_midnight + 10 * train + 4))
    ledger.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(before_midnight + 30))
    assert ledger.verdict("P1", 90, LIMITS, at(before_midnight + 1000)).sessions_today == 0
    assert ledger.verdict("P1", 90, LIMITS, at(before_midnight + 1000)).sessions_rolling == 1
