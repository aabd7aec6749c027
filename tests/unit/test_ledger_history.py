"""A patient's history from the sums in closing rows: whatever came after a closing counts, and nothing counts twice."""

from collections.abc import Iterator

import pytest

from daemon.ledger import Closed, CloseState, ReconciledTrain, Reconciliation
from daemon.ledger_history import OTHER_KINDS, SUMMED_KINDS
from daemon.ledger_store import Ledger
from tests.engines import Place
from tests.ledger_cases import LIMITS, at, given, intended, intent, opened, receipt


@pytest.fixture
def other(place: Place) -> Iterator[Ledger]:
    """Another chair over the same ledger; what it knows it has read from sums."""
    other = place.open()
    yield other
    other.close()


def pulses(ledger: Ledger) -> int:
    return ledger.verdict("P1", 30, LIMITS, at(500)).pulses_today


def closed_over_an_open_train(ledger: Ledger) -> str:
    """One train without a receipt: it counts in full."""
    session = opened(ledger, at(0))
    intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.close_session(session.session_id, CloseState.PARTIAL, "cable", at(9))
    return session.session_id


def finding(session_id: str, pulses: int) -> Reconciliation:
    train = ReconciledTrain(run_id="run-1", grant_no=1, pulses=pulses)
    return Reconciliation(session_id=session_id, trains=(train,), reason="the device's counter", by=("engineer-1",))


def test_closed_session_is_known_by_its_sum_alone(ledger: Ledger, other: Ledger) -> None:
    session_id = given(ledger, 0)
    assert pulses(other) == 90
    known = other.known_doses("P1")
    assert known is not None
    assert (list(known.sessions), list(known.summed)) == ([], [session_id])


def test_late_receipt_at_another_chair_counts_at_once(ledger: Ledger, other: Ledger) -> None:
    session_id = closed_over_an_open_train(ledger)
    assert pulses(other) == 30
    session = ledger.doses().sessions[session_id]
    assert session.trains[0].intent is not None
    ledger.receive(receipt(session.trains[0].intent, pulses=36), at(20))
    assert pulses(other) == 36
    assert pulses(ledger) == 36


def test_finding_of_a_person_at_another_chair_counts_at_once(ledger: Ledger, other: Ledger) -> None:
    session_id = closed_over_an_open_train(ledger)
    assert pulses(other) == 30
    assert isinstance(ledger.reconcile(finding(session_id, 4), at(60)), Closed)
    assert pulses(other) == 4


def test_own_finding_on_a_session_known_by_its_sum_counts_at_once(ledger: Ledger, other: Ledger) -> None:
    session_id = closed_over_an_open_train(ledger)
    assert pulses(other) == 30
    assert isinstance(other.reconcile(finding(session_id, 4), at(60)), Closed)
    assert pulses(other) == 4
    assert isinstance(other.close_session(session_id, CloseState.ABORTED, "again", at(61)), Closed)


def test_stray_pulses_before_and_after_a_closing_count_once_each(ledger: Ledger, other: Ledger) -> None:
    session = opened(ledger, at(0))
    for pulses_then, seconds in ((2, 1), (3, 20)):
        ledger.ungranted(
            session_id=session.session_id, patient=None, pulses=pulses_then, mono_ns=None, how="panel", moment=at(seconds)
        )
        ledger.close_session(session.session_id, CloseState.ABORTED, "panel", at(seconds + 1))
    assert pulses(other) == pulses(ledger) == 5


def test_closing_row_of_an_earlier_version_without_a_sum_is_read_from_its_trains(place: Place, ledger: Ledger, other: Ledger) -> None:
    given(ledger, 0)
    place.tamper("UPDATE entries SET body = replace(body, '\"given\":', '\"gave\":') WHERE kind = 'session_closed'")
    assert pulses(other) == 90
    known = other.known_doses("P1")
    assert known is not None
    assert (len(known.sessions), len(known.summed)) == (1, 0)


def test_every_kind_of_row_is_read_or_summed_up() -> None:
    assert not set(OTHER_KINDS) & set(SUMMED_KINDS)
    assert {"ungranted", "reconciled", "note", "journal_settled"} <= set(OTHER_KINDS)
