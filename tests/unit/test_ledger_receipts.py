"""What became of a train: the larger word counts, and nothing lowers it."""

import pytest

from daemon.day import DoseReason
from daemon.ledger import CloseState, Differs, Duplicate, Recorded, Settled, Standing
from daemon.ledger_fold import Basis
from daemon.ledger_store import Ledger
from tests.ledger_cases import (
    LAST_POSSIBLE_US,
    LENGTH_NS,
    LIMITS,
    MONDAY_13_UTC_US,
    at,
    counted,
    given,
    intended,
    intent,
    last_pulse_us,
    opened,
    reasons,
    receipt,
)


def test_final_receipt_settles_the_train_with_what_was_given(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    assert ledger.receive(receipt(asked, pulses=12), at(4)) == Settled(counted_pulses=12, excess_pulses=0)
    assert counted(ledger) == 12


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
    assert counted(ledger) == 15


def test_progress_closes_nothing_and_a_final_receipt_below_it_is_a_contradiction(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    assert ledger.receive(receipt(asked, pulses=12, final=False), at(3)) == Recorded(standing=Standing.PROGRESS, counted_pulses=30)
    assert ledger.receive(receipt(asked, pulses=9), at(4)) == Differs(counted_pulses=12, said_pulses=9)
    assert counted(ledger) == 12


def test_times_of_pulses_that_were_reported_stand_although_a_final_receipt_denies_them(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked, pulses=12, final=False), at(3))
    denied = receipt(asked, pulses=0, first_mono_ns=None, last_mono_ns=None)
    assert ledger.receive(denied, at(4)) == Differs(counted_pulses=12, said_pulses=0)
    closed = ledger.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5))
    assert last_pulse_us(closed) == MONDAY_13_UTC_US + 2_000_000 + LENGTH_NS // 1000


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
    assert last_pulse_us(closed) == at(2).utc_us


def test_pulses_beyond_the_intent_count_and_are_reported(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    assert ledger.receive(receipt(asked, pulses=33), at(4)) == Settled(counted_pulses=33, excess_pulses=3)
    assert counted(ledger) == 33


def test_receipt_of_an_earlier_run_lowers_nothing(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    first = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(first, pulses=10), at(4))
    second = intended(ledger, intent(session, 2, at(20), run_id="run-2"), at(20))
    late = ledger.receive(receipt(first, pulses=11), at(21))
    assert late == Recorded(standing=Standing.EARLIER_RUN, counted_pulses=11)
    stranger = ledger.receive(receipt(second, run_id="run-0", pulses=2), at(22))
    assert stranger == Recorded(standing=Standing.UNKNOWN_GRANT, counted_pulses=2)
    assert counted(ledger) == 11 + 30 + 2


def test_receipt_that_nobody_asked_for_counts_once(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intent(session, 7, at(1))
    unasked = receipt(asked)
    assert ledger.receive(unasked, at(2)) == Recorded(standing=Standing.UNKNOWN_GRANT, counted_pulses=30)
    assert ledger.receive(unasked, at(3)) == Duplicate(counted_pulses=30)
    assert ledger.receive(receipt(asked, pulses=31), at(3)) == Recorded(standing=Standing.UNKNOWN_GRANT, counted_pulses=31)
    assert counted(ledger) == 31
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
    assert counted(ledger) == 36


def test_receipt_without_times_reaches_to_the_latest_possible_pulse(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked, first_mono_ns=None, last_mono_ns=None), at(4))
    closed = ledger.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5))
    assert last_pulse_us(closed) == MONDAY_13_UTC_US + 1_000_000 + LAST_POSSIBLE_US


def test_receipt_with_times_before_the_grant_is_not_believed_about_them(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked, first_mono_ns=1, last_mono_ns=asked.not_before_ns - 1), at(4))
    closed = ledger.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5))
    assert last_pulse_us(closed) == MONDAY_13_UTC_US + 1_000_000 + LAST_POSSIBLE_US


def test_last_pulse_is_told_by_the_clock_that_says_later(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked), at(4, wall_ahead_s=60))
    closed = ledger.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5, wall_ahead_s=60))
    assert last_pulse_us(closed) == MONDAY_13_UTC_US + 2_000_000 + LENGTH_NS // 1000 + 60_000_000


def test_wall_clock_set_forward_after_a_session_does_not_end_the_gap(ledger: Ledger) -> None:
    given(ledger, 0)
    jumped = at(60, wall_ahead_s=7200)
    verdict = ledger.verdict("P1", 90, LIMITS, jumped)
    assert verdict.reasons == (DoseReason.MIN_GAP,)
    assert verdict.earliest_utc_us == at(26, wall_ahead_s=7200).utc_us + LENGTH_NS // 1000 + 900_000_000
