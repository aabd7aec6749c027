"""A chair whose shared ledger is lost in the middle of a session: it goes on within its reservation, and settles once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon import ledger_sqlite
from daemon.day import DoseReason
from daemon.ledger import (
    Closed,
    CloseState,
    Differs,
    Duplicate,
    Intended,
    Intent,
    LedgerUnavailable,
    Note,
    Opened,
    ReconciledTrain,
    Reconciliation,
    Recorded,
    Refused,
    Settled,
    Standing,
)
from daemon.ledger_chair import ChairLedger
from daemon.ledger_journal import Journal
from daemon.witness import Witness
from tests.cut_cable import Cable
from tests.engines import Place
from tests.ledger_cases import LIMITS, at, counted, intent, limits, opened, reasons, receipt, request


class Desk:
    """A chair with its journal, its cable, and a session that it has opened."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.start()
        answer = self.chair.open_session(request(), at(0))
        assert isinstance(answer, Opened)
        self.session = answer

    def start(self) -> None:
        self.ledger = self.place.open(witness=Witness(self.place.folder / "chair-1.witness"))
        self.cable = Cable(self.ledger)
        self.journal = Journal(self.place.folder / "chair-1.journal")
        self.chair = ChairLedger(self.ledger, self.journal, "chair-1")

    def crash(self) -> None:
        """The process is gone; what is on disk and in the ledger stays."""
        self.ledger.close()
        self.start()

    def train(self, number: int, start_s: float, pulses: int | None = None) -> Intent:
        """Intended, fired, settled."""
        asked = intent(self.session, number, at(start_s))
        answer = self.chair.intend(asked, LIMITS, at(start_s))
        assert isinstance(answer, Intended), answer
        self.chair.receive(receipt(asked, pulses=asked.pulses if pulses is None else pulses), at(start_s + 4))
        return asked


@pytest.fixture
def desk(place: Place) -> Iterator[Desk]:
    desk = Desk(place)
    yield desk
    desk.ledger.close()


LOST = pytest.mark.parametrize("lost", ["cut", "answers lost"])


@LOST
def test_session_goes_on_from_the_journal_and_is_settled_once(desk: Desk, lost: Any) -> None:
    desk.train(1, 1)
    desk.cable.state = lost
    desk.train(2, 20)
    assert desk.chair.is_away
    assert "journal" in (desk.chair.trouble or "")
    desk.train(3, 40)
    closed = desk.chair.close_session(desk.session.session_id, CloseState.COMPLETE, "done", at(60))
    assert isinstance(closed, Closed)
    assert closed.counted_pulses == 90
    desk.cable.state = "whole"
    desk.chair.settle(at(70))
    assert not desk.chair.is_away
    assert desk.chair.trouble is None
    assert counted(desk.ledger) == 90
    assert desk.ledger.close_session(desk.session.session_id, CloseState.ABORTED, "again", at(71)) == closed
    assert desk.ledger.verify() is None
    assert isinstance(desk.chair.open_session(request(), at(2000)), Opened)


def test_session_that_goes_on_counts_for_others_as_it_was_reserved(desk: Desk) -> None:
    other = desk.place.open()
    desk.cable.state = "cut"
    desk.train(1, 1)
    verdict = other.verdict("P1", 90, LIMITS, at(90_000))
    assert (verdict.pulses_rolling, verdict.reasons) == (90, (DoseReason.MIN_GAP, DoseReason.PATIENT_BUSY))
    assert DoseReason.PATIENT_BUSY in reasons(other.open_session(request(chair="chair-2"), at(90_000)))
    other.close()


def test_rows_from_the_journal_keep_their_moments_and_their_order(desk: Desk) -> None:
    desk.cable.state = "cut"
    desk.train(1, 5)
    desk.chair.note(Note(by=("operator-1",), what="moved the lamp"), at(10), patient="P1", session_id=desk.session.session_id)
    waiting = desk.journal.rows
    desk.cable.state = "whole"
    desk.chair.settle(at(70))
    rows = desk.ledger.rows()
    assert [(row.kind, row.utc_us, row.body) for row in rows[1:-1]] == [(row.kind, row.utc_us, row.body) for row in waiting]
    assert [row.kind for row in rows] == ["session_opened", "intent", "receipt", "note", "journal_settled"]
    segment = desk.ledger.doses().sessions[desk.session.session_id].segment
    assert segment is not None
    assert segment.first_pulse_utc_us == at(6).utc_us


def test_session_returns_to_the_ledger_and_goes_on_there(desk: Desk) -> None:
    desk.cable.state = "cut"
    desk.train(1, 1)
    assert desk.chair.renew(desk.session.session_id, desk.session.lease_token, at(20))
    desk.cable.state = "whole"
    desk.chair.settle(at(100))  # the lease has run out meanwhile; nobody else could take it
    assert reasons(desk.chair.intend(intent(desk.session, 2, at(101)), LIMITS, at(101))) == {DoseReason.LEASE_LOST}
    assert desk.chair.renew(desk.session.session_id, desk.session.lease_token, at(102))
    desk.train(3, 103)
    assert desk.journal.rows == ()
    assert counted(desk.ledger) == 60


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lease_token": 99}, DoseReason.LEASE_LOST),
        ({"pulses": 61}, DoseReason.SESSION_PULSES),
        ({"amplitude_pct": 55}, DoseReason.SET_POINT),
        ({"grant_no": 1}, DoseReason.GRANT_NOT_RISING),
        ({"expires_ns": at(20).mono_ns + 3_000_000_001}, DoseReason.GRANT_WINDOW),
        ({"not_before_ns": at(11.8).mono_ns, "expires_ns": at(13.8).mono_ns}, DoseReason.TRAIN_GAP),
    ],
)
def test_journal_refuses_what_the_ledger_would(desk: Desk, changes: dict[str, Any], reason: DoseReason) -> None:
    desk.train(1, 1)
    desk.cable.state = "cut"
    assert reasons(desk.chair.intend(intent(desk.session, 2, at(20), **changes), LIMITS, at(20))) == {reason}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_pulses_per_day": 89}, DoseReason.DAY_PULSES),
        ({"max_set_point_mso": 53}, DoseReason.SET_POINT),
        ({"allowed_protocols": ()}, DoseReason.PROTOCOL_NOT_ALLOWED),
    ],
)
def test_journal_keeps_the_limits_of_the_day(desk: Desk, changes: dict[str, Any], reason: DoseReason) -> None:
    desk.cable.state = "cut"
    assert reason in reasons(desk.chair.intend(intent(desk.session, 1, at(1)), limits(**changes), at(1)))


def test_journal_grants_no_second_train_over_an_open_one(desk: Desk) -> None:
    desk.cable.state = "cut"
    assert isinstance(desk.chair.intend(intent(desk.session, 1, at(1)), LIMITS, at(1)), Intended)
    assert reasons(desk.chair.intend(intent(desk.session, 2, at(20)), LIMITS, at(20))) == {DoseReason.INTENT_OPEN}


def test_journal_refuses_when_the_clock_was_set_back(desk: Desk) -> None:
    desk.train(1, 20)
    desk.cable.state = "cut"
    moment = at(40, wall_ahead_s=-30)
    assert reasons(desk.chair.intend(intent(desk.session, 2, moment), LIMITS, moment)) == {DoseReason.CLOCK_ROLLBACK}


def test_train_refused_over_a_lost_answer_is_settled_with_nothing(desk: Desk) -> None:
    """The ledger took the intent down, the answer was lost, and the journal refuses it: it was never granted, and must not stay open."""
    asked = intent(desk.session, 1, at(1))
    assert isinstance(desk.ledger.intend(asked, LIMITS, at(1)), Intended)  # as if by the call whose answer is lost below
    desk.cable.state = "cut"
    assert reasons(desk.chair.intend(asked, limits(max_set_point_mso=53), at(1))) >= {DoseReason.SET_POINT}
    desk.cable.state = "whole"
    desk.chair.settle(at(5))
    assert counted(desk.ledger) == 0
    assert isinstance(desk.chair.intend(intent(desk.session, 2, at(6)), LIMITS, at(6)), Intended)


def test_open_train_in_the_journal_counts_in_full_after_a_crash(desk: Desk) -> None:
    desk.train(1, 1)
    desk.cable.state = "cut"
    desk.train(2, 20, pulses=12)
    assert isinstance(desk.chair.intend(intent(desk.session, 3, at(40)), LIMITS, at(40)), Intended)
    desk.crash()
    (closed,) = desk.chair.recover(at(100, boot_id="boot-2"))
    assert (closed.counted_pulses, closed.trains_in_full, closed.state) == (30 + 12 + 30, 1, CloseState.PARTIAL)
    assert desk.journal.rows == ()


def test_chair_with_a_journal_starts_nothing_while_the_ledger_is_away(desk: Desk) -> None:
    desk.cable.state = "cut"
    desk.train(1, 1)
    desk.crash()
    desk.cable.state = "cut"
    for ask in (lambda: desk.chair.recover(at(60)), lambda: desk.chair.open_session(request(), at(60))):
        with pytest.raises(LedgerUnavailable):
            ask()
    desk.cable.state = "whole"
    (closed,) = desk.chair.recover(at(61))
    assert closed.counted_pulses == 30


def test_opening_brings_in_first_what_waits(desk: Desk) -> None:
    desk.cable.state = "cut"
    desk.train(1, 1)
    desk.chair.close_session(desk.session.session_id, CloseState.PARTIAL, "stopped", at(9))
    desk.cable.state = "whole"
    answer = desk.chair.open_session(request(), at(60))
    assert reasons(answer) == {DoseReason.MIN_GAP}
    assert (desk.journal.rows, counted(desk.ledger)) == ((), 30)


def test_ledger_lost_before_the_opening_starts_nothing(place: Place) -> None:
    ledger = place.open()
    cable, journal = Cable(ledger), Journal(place.folder / "chair-1.journal")
    cable.state = "cut"
    with pytest.raises(LedgerUnavailable):
        ChairLedger(ledger, journal, "chair-1").open_session(request(), at(0))
    assert journal.rows == ()
    ledger.close()


def test_opening_whose_answer_was_lost_is_closed_before_the_next(place: Place) -> None:
    ledger = place.open()
    cable = Cable(ledger)
    chair = ChairLedger(ledger, Journal(place.folder / "chair-1.journal"), "chair-1")
    cable.state = "answers lost"
    with pytest.raises(LedgerUnavailable):
        chair.open_session(request(), at(0))
    cable.state = "whole"
    assert isinstance(chair.open_session(request(), at(1)), Opened)
    assert counted(ledger) == 0
    ledger.close()


@pytest.mark.parametrize("point", ["before the commit", "after the commit", "while it is removed"])
def test_settling_that_fails_anywhere_loses_and_doubles_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    desk.cable.state = "cut"
    desk.train(1, 1)
    desk.chair.ungranted(session_id=desk.session.session_id, patient=None, pulses=2, mono_ns=None, how="panel", moment=at(9))
    with monkeypatch.context() as patch:
        desk.cable.state = {"before the commit": "cut", "after the commit": "answers lost"}.get(point, "whole")  # type: ignore[assignment]
        if point == "while it is removed":
            patch.setattr(Path, "unlink", _fails)
        with pytest.raises(LedgerUnavailable):
            desk.chair.settle(at(20))
    desk.cable.state = "whole"
    assert desk.chair.is_away
    assert isinstance(desk.chair.intend(intent(desk.session, 2, at(30)), LIMITS, at(30)), Intended)  # goes behind what waits
    desk.crash()
    desk.chair.settle(at(50))
    assert counted(desk.ledger) == 30 + 2 + 30
    assert desk.ledger.verify() is None
    assert desk.ledger.rewound() is None


def _fails(*_: object, **__: object) -> None:
    raise OSError(5, "input/output error")


def test_stray_pulse_whose_answer_was_lost_is_entered_once(desk: Desk) -> None:
    desk.cable.state = "answers lost"
    for at_s in (3, 4):
        desk.chair.ungranted(
            session_id=desk.session.session_id, patient=None, pulses=1, mono_ns=at(at_s).mono_ns, how="panel", moment=at(5)
        )
    desk.cable.state = "whole"
    desk.chair.settle(at(9))
    assert counted(desk.ledger) == 2


def test_stray_pulse_of_no_session_waits_in_the_journal_too(desk: Desk) -> None:
    desk.chair.close_session(desk.session.session_id, CloseState.ABORTED, "stopped", at(1))
    desk.cable.state = "cut"
    desk.chair.ungranted(session_id=None, patient="P1", pulses=3, mono_ns=None, how="panel", moment=at(5))
    desk.cable.state = "whole"
    desk.chair.settle(at(9))
    assert desk.ledger.verdict("P1", 90, LIMITS, at(10)).pulses_today == 3


def test_receipts_in_the_journal_are_answered_as_the_ledger_would(desk: Desk) -> None:
    desk.cable.state = "cut"
    asked = intent(desk.session, 1, at(1))
    assert isinstance(desk.chair.intend(asked, LIMITS, at(1)), Intended)
    assert desk.chair.receive(receipt(asked, pulses=12), at(4)) == Settled(counted_pulses=12, excess_pulses=0)
    assert desk.chair.receive(receipt(asked, pulses=12), at(5)) == Duplicate(counted_pulses=12)
    assert desk.chair.receive(receipt(asked, pulses=15), at(5)) == Differs(counted_pulses=15, said_pulses=15)
    elsewhere = receipt(intent(desk.session, 1, at(1), session_id="elsewhere"))
    assert desk.chair.receive(elsewhere, at(6)) == Recorded(standing=Standing.UNKNOWN_SESSION, counted_pulses=None)
    desk.cable.state = "whole"
    desk.chair.settle(at(9))
    assert counted(desk.ledger) == 15


def test_session_of_another_chair_is_not_judged_here(desk: Desk) -> None:
    desk.cable.state = "cut"
    with pytest.raises(LedgerUnavailable, match="not this chair's"):
        desk.chair.intend(intent(desk.session, 1, at(1), session_id="another"), LIMITS, at(1))
    answer = desk.chair.close_session("another", CloseState.ABORTED, "", at(1))
    assert isinstance(answer, Refused)


def test_closing_twice_in_the_journal_changes_nothing(desk: Desk) -> None:
    desk.cable.state = "cut"
    first = desk.chair.close_session(desk.session.session_id, CloseState.PARTIAL, "stopped", at(5))
    rows = desk.journal.rows
    assert desk.chair.close_session(desk.session.session_id, CloseState.COMPLETE, "again", at(6)) == first
    assert desk.journal.rows == rows


def test_trains_settled_after_a_person_closed_the_session_still_count(desk: Desk) -> None:
    desk.train(1, 1)
    desk.cable.state = "cut"
    desk.train(2, 20, pulses=12)
    desk.chair.close_session(desk.session.session_id, CloseState.PARTIAL, "stopped", at(40))
    other = desk.place.open()
    found = other.reconcile(Reconciliation(session_id=desk.session.session_id, trains=(), reason="chair burnt", by=("a", "b")), at(90))
    assert isinstance(found, Closed)
    desk.cable.state = "whole"
    desk.chair.settle(at(100))
    assert counted(desk.ledger) == 60  # what came after the closing counts in full until it is reconciled
    assert desk.ledger.verdict("P1", 30, LIMITS, at(101)).pulses_today == 60
    found = other.reconcile(
        Reconciliation(
            session_id=desk.session.session_id,
            trains=(ReconciledTrain(run_id="run-1", grant_no=2, pulses=12),),
            reason="the journal says so",
            by=("a", "b"),
        ),
        at(110),
    )
    assert isinstance(found, Closed)
    assert found.counted_pulses == 42
    assert desk.ledger.verify() is None
    other.close()


def test_ledger_that_was_restored_meanwhile_takes_the_journal_and_stays_refused(desk: Desk) -> None:
    desk.ledger.close()
    desk.place.save()
    desk.train(1, 1)
    desk.cable.state = "cut"
    desk.train(2, 20)
    desk.ledger.close()
    desk.place.restore()
    desk.cable.state = "whole"
    desk.chair.settle(at(60))
    assert desk.ledger.rewound() is not None
    assert counted(desk.ledger) == 30
    assert reasons(desk.chair.open_session(request(), at(3000))) == {DoseReason.LEDGER_REWOUND}


def test_ledger_on_the_chairs_own_disk_has_no_journal(place: Place) -> None:
    ledger = place.open()
    cable, chair = Cable(ledger), ChairLedger(ledger, None, "chair-1")
    session = opened(ledger, at(0))
    cable.state = "cut"
    asks: tuple[Callable[[], object], ...] = (
        lambda: chair.intend(intent(session, 1, at(1)), LIMITS, at(1)),
        lambda: chair.renew(session.session_id, session.lease_token, at(1)),
        lambda: chair.close_session(session.session_id, CloseState.ABORTED, "", at(1)),
    )
    for ask in asks:
        with pytest.raises(LedgerUnavailable):
            ask()
    assert not chair.is_away
    ledger.close()


def test_lease_that_cannot_be_renewed_while_the_ledger_is_away_is_not_lost(desk: Desk) -> None:
    desk.cable.state = "cut"
    assert desk.chair.renew(desk.session.session_id, desk.session.lease_token, at(10))
    desk.train(1, 40)
    desk.cable.state = "whole"
    desk.chair.settle(at(50))
    assert desk.chair.renew(desk.session.session_id, desk.session.lease_token, at(50))
    assert not desk.chair.renew(desk.session.session_id, 99, at(50))


def test_full_disk_starts_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.chair.close_session(desk.session.session_id, CloseState.ABORTED, "stopped", at(1))
    monkeypatch.setattr(ledger_sqlite, "MIN_FREE_BYTES", 10**18)
    with pytest.raises(LedgerUnavailable, match="MB are free"):
        desk.chair.open_session(request(), at(2))


def test_answers_says_whether_the_ledger_can_be_asked(desk: Desk) -> None:
    assert desk.chair.answers()
