"""The ledger on disk: what it reserves, refuses, counts and never forgets."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.day import DoseReason
from daemon.ledger import (
    Closed,
    CloseState,
    Differs,
    Duplicate,
    Intended,
    Note,
    ReconciledTrain,
    Reconciliation,
    Recorded,
    Refusal,
    Refused,
    Settled,
    Standing,
)
from daemon.ledger_fold import Basis
from daemon.ledger_store import Ledger
from tests.ledger_cases import (
    LENGTH_NS,
    LIMITS,
    MONDAY_13_UTC_US,
    at,
    intended,
    intent,
    limits,
    open_ledger,
    opened,
    reasons,
    receipt,
    request,
)

LAST_POSSIBLE_US = 3_000_000 + LENGTH_NS // 1000  # of a train intended now: expiry and length


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    opened_ledger = open_ledger(tmp_path)
    yield opened_ledger
    opened_ledger.close()


def given(ledger: Ledger, start_s: float, *, trains: int = 3, **changes: Any) -> str:
    """A session of whole trains, closed."""
    session = opened(ledger, at(start_s), **changes)
    for train in range(1, trains + 1):
        moment = at(start_s + 10 * train - 5)
        asked = intended(ledger, intent(session, train, moment), moment)
        assert isinstance(ledger.receive(receipt(asked), at(start_s + 10 * train)), Settled)
    state = CloseState.COMPLETE if trains == 3 else CloseState.PARTIAL
    ledger.close_session(session.session_id, state, "done", at(start_s + 10 * trains + 5))
    return session.session_id


# ---- opening -----------------------------------------------------------------------------------------------------------


def test_open_session_counts_its_whole_reservation(ledger: Ledger) -> None:
    opened(ledger, at(0))
    verdict = ledger.verdict("P1", 90, LIMITS, at(1))
    assert (verdict.sessions_today, verdict.pulses_today) == (1, 90)
    assert DoseReason.PATIENT_BUSY in verdict.reasons
    assert verdict.earliest_utc_us is None


def test_closed_session_counts_what_it_gave(ledger: Ledger) -> None:
    given(ledger, 0, trains=2)
    verdict = ledger.verdict("P1", 90, LIMITS, at(60))
    assert (verdict.sessions_today, verdict.pulses_today) == (1, 60)
    assert verdict.reasons == (DoseReason.MIN_GAP,)
    assert verdict.earliest_utc_us == MONDAY_13_UTC_US + 16_000_000 + LENGTH_NS // 1000 + 900_000_000


def test_session_of_no_pulse_counts_nothing_once_closed(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    ledger.close_session(session.session_id, CloseState.ABORTED, "patient left", at(5))
    verdict = ledger.verdict("P1", 90, LIMITS, at(6))
    assert (verdict.sessions_today, verdict.pulses_today, verdict.reasons) == (0, 0, ())


def test_start_is_refused_by_the_day_with_the_earliest_moment(ledger: Ledger) -> None:
    given(ledger, 0)
    answer = ledger.open_session(request(), at(60))
    assert reasons(answer) == {DoseReason.MIN_GAP}
    assert answer.earliest_utc_us == ledger.verdict("P1", 90, LIMITS, at(60)).earliest_utc_us  # type: ignore[union-attr]


def test_refusal_is_kept_with_what_it_was_judged_by(ledger: Ledger) -> None:
    given(ledger, 0)
    ledger.open_session(request(), at(60))
    last = ledger.rows()[-1]
    assert last.content() == Refusal(
        asked=request(),
        reasons=(DoseReason.MIN_GAP,),
        limits=LIMITS,
        earliest_utc_us=ledger.verdict("P1", 90, LIMITS, at(60)).earliest_utc_us,
    )
    assert (last.kind, last.patient) == ("refused", "P1")


def test_fencing_token_is_the_number_of_the_opening_row_and_only_rises(ledger: Ledger) -> None:
    first = opened(ledger, at(0))
    ledger.close_session(first.session_id, CloseState.ABORTED, "stopped", at(1))
    second = opened(ledger, at(2))
    rows = ledger.rows()
    assert (first.lease_token, second.lease_token) == (rows[0].seq, rows[2].seq) == (1, 3)
    assert (first.session_id, second.session_id) == ("20260302T130000Z-1", "20260302T130002Z-3")


def test_one_patients_doses_are_told_without_the_others(ledger: Ledger) -> None:
    opened(ledger, at(0))
    other = opened(ledger, at(1), chair="chair-2", patient="P2")
    assert list(ledger.doses("P2").sessions) == [other.session_id]
    assert len(ledger.doses().sessions) == 2


def test_second_chair_gets_patient_busy(ledger: Ledger, tmp_path: Path) -> None:
    opened(ledger, at(0))
    second = open_ledger(tmp_path)
    assert DoseReason.PATIENT_BUSY in reasons(second.open_session(request(chair="chair-2"), at(1)))
    second.close()


def test_lease_that_ran_out_over_an_unsettled_session_is_not_given_away(ledger: Ledger) -> None:
    opened(ledger, at(0))
    assert DoseReason.PATIENT_BUSY in reasons(ledger.open_session(request(chair="chair-2"), at(90_000)))


def test_chair_with_an_unsettled_session_opens_no_other(ledger: Ledger) -> None:
    opened(ledger, at(0))
    assert reasons(ledger.open_session(request(patient="P2"), at(1))) == {DoseReason.CHAIR_BUSY}


def test_two_chairs_treat_two_patients(ledger: Ledger) -> None:
    opened(ledger, at(0))
    opened(ledger, at(1), chair="chair-2", patient="P2")


def test_patients_do_not_count_for_each_other(ledger: Ledger) -> None:
    given(ledger, 0)
    assert ledger.verdict("P2", 90, LIMITS, at(60)).pulses_today == 0
    assert ledger.verdict("P1", 90, LIMITS, at(60)).pulses_today == 90


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"limits": limits(allowed_protocols=("itbs600",))}, DoseReason.PROTOCOL_NOT_ALLOWED),
        ({"set_point_mso": 73}, DoseReason.INTENSITY),
        ({"set_point_mso": 71, "limits": limits(max_set_point_mso=70)}, DoseReason.SET_POINT),
        ({"planned_pulses": 901, "limits": limits(max_pulses_rolling=901)}, DoseReason.DAY_PULSES),
    ],
)
def test_start_is_refused_for_the_one_thing_wrong_with_it(ledger: Ledger, changes: dict[str, Any], reason: DoseReason) -> None:
    answer = ledger.open_session(request(**changes), at(0))
    assert reasons(answer) == {reason}
    assert answer.earliest_utc_us is None  # type: ignore[union-attr]


def test_120_percent_of_the_motor_threshold_is_allowed_exactly(ledger: Ledger) -> None:
    opened(ledger, at(0), set_point_mso=72, rmt_mso=60)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"planned_pulses": 0}, "at least one train of one pulse"),
        ({"planned_trains": 0}, "at least one train of one pulse"),
        ({"train_gap_ns": -1}, "train_gap_ns is negative"),
        ({"set_point_mso": 0}, "are positive"),
        ({"rmt_mso": 0}, "are positive"),
        ({"rmt_mso": float("nan")}, "are positive"),
        ({"patient": ""}, "are named"),
        ({"operator": ""}, "are named"),
    ],
)
def test_request_that_makes_no_sense_cannot_be_made(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        request(**changes)


def test_smallest_session_of_all_is_opened(ledger: Ledger) -> None:
    opened(ledger, at(0), planned_pulses=1, planned_trains=1, train_gap_ns=0, set_point_mso=1)


# ---- intents -----------------------------------------------------------------------------------------------------------


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


# ---- receipts ----------------------------------------------------------------------------------------------------------


def test_final_receipt_settles_the_train_with_what_was_given(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    assert ledger.receive(receipt(asked, pulses=12), at(4)) == Settled(counted_pulses=12, excess_pulses=0)
    assert _counted(ledger) == 12


def test_same_receipt_twice_changes_nothing(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked, pulses=12), at(4))
    rows = ledger.rows()
    assert ledger.receive(receipt(asked, pulses=12), at(5)) == Duplicate(counted_pulses=12)
    assert ledger.rows() == rows


@pytest.mark.parametrize(("first", "second"), [(12, 15), (15, 12)])
def test_of_two_receipts_that_differ_the_larger_counts(ledger: Ledger, first: int, second: int) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked, pulses=first), at(4))
    assert ledger.receive(receipt(asked, pulses=second), at(5)) == Differs(counted_pulses=15, said_pulses=second)
    assert _counted(ledger) == 15


def test_progress_closes_nothing_and_a_final_receipt_below_it_is_a_contradiction(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    assert ledger.receive(receipt(asked, pulses=12, final=False), at(3)) == Recorded(standing=Standing.PROGRESS, counted_pulses=30)
    assert ledger.receive(receipt(asked, pulses=9), at(4)) == Differs(counted_pulses=12, said_pulses=9)
    assert _counted(ledger) == 12


def test_times_of_pulses_that_were_reported_stand_although_a_final_receipt_denies_them(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked, pulses=12, final=False), at(3))
    denied = receipt(asked, pulses=0, first_mono_ns=None, last_mono_ns=None)
    assert ledger.receive(denied, at(4)) == Differs(counted_pulses=12, said_pulses=0)
    closed = ledger.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5))
    assert _last(closed) == MONDAY_13_UTC_US + 2_000_000 + LENGTH_NS // 1000


def test_receipts_that_differ_in_time_reach_from_the_earliest_pulse_to_the_latest(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    first_ns, last_ns = asked.not_before_ns, asked.not_before_ns + LENGTH_NS
    later = receipt(asked, first_mono_ns=first_ns + 500_000_000, last_mono_ns=last_ns + 500_000_000)
    for each in (receipt(asked), later, receipt(asked, pulses=29, first_mono_ns=first_ns + 1, last_mono_ns=last_ns + 1)):
        ledger.receive(each, at(5))
    segment = ledger.doses().sessions[session.session_id].segment
    assert segment is not None
    assert (segment.first_pulse_utc_us, segment.last_pulse_utc_us) == (at(2).utc_us, at(2.5).utc_us + LENGTH_NS // 1000)


def test_first_pulse_is_told_by_the_clock_that_says_earlier(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked), at(4, wall_ahead_s=60))
    segment = ledger.doses().sessions[session.session_id].segment
    assert segment is not None
    assert segment.first_pulse_utc_us == at(2).utc_us


def test_single_pulse_at_the_grants_first_moment_is_believed(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1), pulses=1, length_ns=0), at(1))
    ledger.receive(receipt(asked), at(4))
    closed = ledger.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5))
    assert _last(closed) == at(2).utc_us


def test_pulses_beyond_the_intent_count_and_are_reported(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    assert ledger.receive(receipt(asked, pulses=33), at(4)) == Settled(counted_pulses=33, excess_pulses=3)
    assert _counted(ledger) == 33


def test_receipt_of_an_earlier_run_lowers_nothing(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    first = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(first, pulses=10), at(4))
    second = intended(ledger, intent(session, 2, at(20), run_id="run-2"), at(20))
    late = ledger.receive(receipt(first, pulses=11), at(21))
    assert late == Recorded(standing=Standing.EARLIER_RUN, counted_pulses=11)
    stranger = ledger.receive(receipt(second, run_id="run-0", pulses=2), at(22))
    assert stranger == Recorded(standing=Standing.UNKNOWN_GRANT, counted_pulses=2)
    assert _counted(ledger) == 11 + 30 + 2


def test_receipt_that_nobody_asked_for_counts_once(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intent(session, 7, at(1))
    unasked = receipt(asked)
    assert ledger.receive(unasked, at(2)) == Recorded(standing=Standing.UNKNOWN_GRANT, counted_pulses=30)
    assert ledger.receive(unasked, at(3)) == Duplicate(counted_pulses=30)
    assert ledger.receive(receipt(asked, pulses=31), at(3)) == Recorded(standing=Standing.UNKNOWN_GRANT, counted_pulses=31)
    assert _counted(ledger) == 31
    assert ledger.doses().sessions[session.session_id].trains[0].basis is Basis.RECEIPT_WITHOUT_INTENT
    assert DoseReason.GRANT_NOT_RISING in reasons(ledger.intend(intent(session, 7, at(20)), LIMITS, at(20)))


def test_receipt_of_an_unknown_session_is_kept(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    lost = receipt(intent(session, 1, at(1), session_id="elsewhere"))
    assert ledger.receive(lost, at(2)) == Recorded(standing=Standing.UNKNOWN_SESSION, counted_pulses=None)
    assert ledger.rows()[-1].session_id == "elsewhere"


def test_receipt_after_closing_may_raise_and_never_lowers(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.close_session(session.session_id, CloseState.PARTIAL, "cable", at(5))
    assert ledger.receive(receipt(asked, pulses=3), at(6)) == Recorded(standing=Standing.SESSION_CLOSED, counted_pulses=30)
    assert ledger.receive(receipt(asked, pulses=36), at(6)) == Recorded(standing=Standing.SESSION_CLOSED, counted_pulses=36)
    assert _counted(ledger) == 36


def test_receipt_without_times_reaches_to_the_latest_possible_pulse(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked, first_mono_ns=None, last_mono_ns=None), at(4))
    closed = ledger.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5))
    assert _last(closed) == MONDAY_13_UTC_US + 1_000_000 + LAST_POSSIBLE_US


def test_receipt_with_times_before_the_grant_is_not_believed_about_them(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked, first_mono_ns=1, last_mono_ns=asked.not_before_ns - 1), at(4))
    closed = ledger.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5))
    assert _last(closed) == MONDAY_13_UTC_US + 1_000_000 + LAST_POSSIBLE_US


def test_last_pulse_is_told_by_the_clock_that_says_later(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked), at(4, wall_ahead_s=60))
    closed = ledger.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5, wall_ahead_s=60))
    assert _last(closed) == MONDAY_13_UTC_US + 2_000_000 + LENGTH_NS // 1000 + 60_000_000


def test_wall_clock_set_forward_after_a_session_does_not_end_the_gap(ledger: Ledger) -> None:
    given(ledger, 0)
    jumped = at(60, wall_ahead_s=7200)
    verdict = ledger.verdict("P1", 90, LIMITS, jumped)
    assert verdict.reasons == (DoseReason.MIN_GAP,)
    assert verdict.earliest_utc_us == at(26, wall_ahead_s=7200).utc_us + LENGTH_NS // 1000 + 900_000_000


# ---- ends --------------------------------------------------------------------------------------------------------------


def test_open_intent_counts_in_full_to_its_last_possible_pulse(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    intended(ledger, intent(session, 1, at(1)), at(1))
    closed = ledger.close_session(session.session_id, CloseState.PARTIAL, "cable", at(5))
    assert closed == Closed(
        session_id=session.session_id,
        patient="P1",
        state=CloseState.PARTIAL,
        counted_pulses=30,
        trains_in_full=1,
        last_pulse_utc_us=MONDAY_13_UTC_US + 1_000_000 + LAST_POSSIBLE_US,
    )
    verdict = ledger.verdict("P1", 90, LIMITS, at(6))
    assert verdict.earliest_utc_us == _last(closed) + 900_000_000


def test_closing_twice_changes_nothing(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    first = ledger.close_session(session.session_id, CloseState.ABORTED, "stopped", at(5))
    rows = ledger.rows()
    assert ledger.close_session(session.session_id, CloseState.COMPLETE, "again", at(6)) == first
    assert ledger.rows() == rows


def test_unknown_session_cannot_be_closed(ledger: Ledger) -> None:
    assert reasons(ledger.close_session("none", CloseState.ABORTED, "", at(0))) == {DoseReason.SESSION_NOT_OPEN}


def test_crash_is_settled_from_the_chairs_own_rows_even_under_a_new_boot(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    first = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(first, pulses=12), at(4))
    intended(ledger, intent(session, 2, at(20)), at(20))
    opened(ledger, at(20), chair="chair-2", patient="P2")
    (closed,) = ledger.recover("chair-1", at(120, boot_id="boot-2"))
    assert (closed.state, closed.counted_pulses, closed.trains_in_full) == (CloseState.PARTIAL, 42, 1)
    assert _last(closed) == MONDAY_13_UTC_US + 20_000_000 + LAST_POSSIBLE_US
    recovered = ledger.doses().sessions[session.session_id].closed
    assert recovered is not None
    assert recovered.recovered
    assert ledger.recover("chair-1", at(121, boot_id="boot-2")) == ()
    assert len(ledger.doses().open_sessions) == 1  # the other chair's


def test_recovered_chair_may_open_again(ledger: Ledger) -> None:
    opened(ledger, at(0))
    ledger.recover("chair-1", at(10))
    opened(ledger, at(11))


# ---- pulses without a grant --------------------------------------------------------------------------------------------


def test_pulse_without_a_grant_counts_for_the_patient_of_the_session(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    ledger.ungranted(session_id=session.session_id, patient=None, pulses=2, mono_ns=at(3).mono_ns, how="panel", moment=at(4))
    closed = ledger.close_session(session.session_id, CloseState.ABORTED, "panel", at(5))
    assert isinstance(closed, Closed)
    assert (closed.counted_pulses, closed.last_pulse_utc_us) == (2, at(3).utc_us)
    assert ledger.verdict("P1", 90, LIMITS, at(6)).sessions_today == 1


@pytest.mark.parametrize(("mono_ns", "is_bound"), [(at(3).mono_ns, False), (None, True)])
def test_pulse_that_nobody_timed_is_taken_at_the_moment_of_its_entry(ledger: Ledger, mono_ns: int | None, is_bound: bool) -> None:
    session = opened(ledger, at(0))
    ledger.ungranted(session_id=session.session_id, patient=None, pulses=1, mono_ns=mono_ns, how="panel", moment=at(3))
    segment = ledger.doses().sessions[session.session_id].segment
    assert segment is not None
    assert (segment.last_pulse_utc_us, segment.last_pulse_is_bound) == (at(3).utc_us, is_bound)


def test_pulse_without_a_grant_after_closing_belongs_to_its_own_day(ledger: Ledger) -> None:
    session_id = given(ledger, 0)
    ledger.ungranted(session_id=session_id, patient=None, pulses=2, mono_ns=None, how="panel", moment=at(86_400))
    verdict = ledger.verdict("P1", 90, LIMITS, at(86_401))
    assert (verdict.sessions_today, verdict.pulses_today) == (1, 2)
    assert verdict.last_pulse_utc_us == at(86_400).utc_us


def test_pulse_without_a_session_counts_for_the_patient_named(ledger: Ledger) -> None:
    ledger.ungranted(session_id=None, patient="P1", pulses=3, mono_ns=None, how="trigger input", moment=at(0))
    assert ledger.verdict("P1", 90, LIMITS, at(1)).pulses_today == 3
    ledger.ungranted(session_id=None, patient=None, pulses=3, mono_ns=None, how="trigger input", moment=at(2))
    assert ledger.verdict("P1", 90, LIMITS, at(3)).pulses_today == 3


def test_ungranted_pulses_are_never_fewer_than_one(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="at least one"):
        ledger.ungranted(session_id=None, patient="P1", pulses=0, mono_ns=None, how="panel", moment=at(0))


# ---- people ------------------------------------------------------------------------------------------------------------


def reconciliation(session_id: str, **changes: Any) -> Reconciliation:
    usual = Reconciliation(
        session_id=session_id,
        trains=(ReconciledTrain(run_id="run-1", grant_no=1, pulses=4),),
        reason="the device's counter shows 4",
        by=("engineer-1",),
    )
    return msgspec.structs.replace(usual, **changes)


def test_person_reconciles_a_train_that_counted_in_full(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.close_session(session.session_id, CloseState.PARTIAL, "cable", at(5))
    found = ledger.reconcile(reconciliation(session.session_id), at(60))
    assert isinstance(found, Closed)
    assert (found.counted_pulses, found.trains_in_full) == (4, 0)
    assert ledger.doses().sessions[session.session_id].trains[0].basis is Basis.RECONCILED


def test_reconciling_never_goes_below_what_a_receipt_said(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked, pulses=9, final=False), at(3))
    ledger.close_session(session.session_id, CloseState.PARTIAL, "cable", at(5))
    found = ledger.reconcile(reconciliation(session.session_id), at(60))
    assert isinstance(found, Closed)
    assert found.counted_pulses == 9


def test_reconciling_to_nothing_frees_the_gap(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.close_session(session.session_id, CloseState.PARTIAL, "cable", at(5))
    nothing = (ReconciledTrain(run_id="run-1", grant_no=1, pulses=0),)
    ledger.reconcile(reconciliation(session.session_id, trains=nothing), at(60))
    assert ledger.verdict("P1", 90, LIMITS, at(61)).reasons == ()


def test_session_of_a_lost_chair_is_reconciled_only_after_its_lease(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    intended(ledger, intent(session, 1, at(1)), at(1))
    assert reasons(ledger.reconcile(reconciliation(session.session_id), at(20))) == {DoseReason.PATIENT_BUSY}
    found = ledger.reconcile(reconciliation(session.session_id), at(31))
    assert isinstance(found, Closed)
    assert (found.state, found.counted_pulses) == (CloseState.PARTIAL, 4)
    opened(ledger, at(1000), chair="chair-2")


@pytest.mark.parametrize(("run_id", "grant_no"), [("run-1", 2), ("run-2", 1)])
def test_only_a_train_in_full_can_be_reconciled(ledger: Ledger, run_id: str, grant_no: int) -> None:
    train = ReconciledTrain(run_id=run_id, grant_no=grant_no, pulses=0)
    session = opened(ledger, at(0))
    intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.close_session(session.session_id, CloseState.PARTIAL, "cable", at(5))
    rows = ledger.rows()
    for trains in ((train,), ()):
        answer = ledger.reconcile(reconciliation(session.session_id, trains=trains), at(60))
        assert reasons(answer) == {DoseReason.NO_OPEN_TRAIN}
    assert ledger.rows() == rows
    assert reasons(ledger.reconcile(reconciliation("none"), at(60))) == {DoseReason.SESSION_NOT_OPEN}


@pytest.mark.parametrize("changes", [{"reason": " "}, {"by": ()}, {"by": ("",)}, {"by": ("engineer-1", "")}])
def test_reconciliation_states_reason_and_names(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="reconciliation"):
        reconciliation("s", **changes)


def test_note_is_part_of_the_chain(ledger: Ledger) -> None:
    note = Note(by=("engineer-1",), what="changed the site file", reason="new gap")
    ledger.note(note, at(0), patient="P1")
    (row,) = ledger.rows()
    assert (row.kind, row.patient, row.content()) == ("note", "P1", note)
    assert ledger.verdict("P1", 90, LIMITS, at(1)).reasons == ()
    with pytest.raises(ValueError, match="who and what"):
        Note(by=(), what="something")


def _counted(ledger: Ledger) -> int:
    return sum(session.counted_pulses for session in ledger.doses().sessions.values())


def _last(closed: object) -> int:
    assert isinstance(closed, Closed)
    assert closed.last_pulse_utc_us is not None
    return closed.last_pulse_utc_us
