"""How sessions end, pulses that nobody granted, and what people say of both."""

from typing import Any

import msgspec
import pytest

from daemon.day import DoseReason
from daemon.ledger import Closed, CloseState, Note, ReconciledTrain, Reconciliation
from daemon.ledger_fold import Basis
from daemon.ledger_store import Ledger
from tests.ledger_cases import (
    LAST_POSSIBLE_US,
    LIMITS,
    MONDAY_13_UTC_US,
    at,
    given,
    intended,
    intent,
    last_pulse_us,
    opened,
    reasons,
    receipt,
)


# ---- ends -------------------------------------------------------------------------------------------------------------
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
    assert verdict.earliest_utc_us == last_pulse_us(closed) + 900_000_000


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
    assert last_pulse_us(closed) == MONDAY_13_UTC_US + 20_000_000 + LAST_POSSIBLE_US
    recovered = ledger.doses().sessions[session.session_id].closed
    assert recovered is not None
    assert recovered.recovered
    assert ledger.recover("chair-1", at(121, boot_id="boot-2")) == ()
    assert len(ledger.doses().open_sessions) == 1  # the other chair's


def test_recovered_chair_may_open_again(ledger: Ledger) -> None:
    opened(ledger, at(0))
    ledger.recover("chair-1", at(10))
    opened(ledger, at(11))


# ---- pulses without a grant -------------------------------------------------------------------------------------------
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


# ---- people -----------------------------------------------------------------------------------------------------------
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
