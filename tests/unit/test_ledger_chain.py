"""The chain of rows, the database that refuses to change them, and the chair's own memory of it."""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon import ledger_db
from daemon.day import DoseReason
from daemon.ledger import GENESIS_HASH, CloseState, LedgerDamaged, LedgerUnavailable, Note, make_row
from daemon.ledger_engines import Database
from daemon.ledger_store import Ledger
from daemon.ledger_verify import Fault
from daemon.witness import Rewound, Seen, Witness
from tests.engines import TRUST, Place
from tests.ledger_cases import LIMITS, at, intended, intent, opened, reasons, receipt, request


@pytest.fixture
def written(place: Place) -> Place:
    """A closed ledger of four rows: opened, intent, receipt, closed."""
    ledger = place.open()
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked), at(4))
    ledger.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5))
    ledger.close()
    return place


def tampered(place: Place, statement: str) -> Ledger:
    """As somebody with the database and a tool of their own would do it: the triggers go first."""
    place.tamper(statement)
    return place.open()


def test_anyone_can_work_the_hashes_out(written: Place) -> None:
    ledger = written.open(read_only=True)
    previous = "0" * 64
    for row in ledger.rows():
        entry = {key: getattr(row, key) for key in ("seq", "kind", "utc_us", "mono_ns", "boot_id", "patient", "session_id")}
        text = json.dumps(entry | {"body": json.loads(row.body)}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert row.prev_hash == previous
        assert row.hash == hashlib.sha256((previous + text).encode()).hexdigest()
        previous = row.hash
    ledger.close()


def test_whole_chain_verifies(written: Place) -> None:
    ledger = written.open()
    assert ledger.verify() is None
    ledger.close()


@pytest.mark.parametrize(
    ("statement", "bad"),
    [
        ("UPDATE entries SET body = replace(body, '\"pulses\":30', '\"pulses\":3') WHERE seq = 3", 3),
        ("UPDATE entries SET body = body || ' ' WHERE seq = 2", 2),
        ("UPDATE entries SET utc_us = utc_us + 1 WHERE seq = 1", 1),
        ("UPDATE entries SET patient = 'P2' WHERE seq = 2", 2),
        ("UPDATE entries SET kind = 'note' WHERE seq = 4", 4),
        ("UPDATE entries SET hash = replace(hash, substr(hash, 1, 1), 'x') WHERE seq = 2", 2),
        ("DELETE FROM entries WHERE seq = 2", 2),
        ("DELETE FROM entries WHERE seq = 1", 1),
        ("UPDATE entries SET seq = 9 WHERE seq = 4", 4),
    ],
)
def test_first_row_that_was_changed_is_found(written: Place, statement: str, bad: int) -> None:
    ledger = tampered(written, statement)
    assert ledger.verify() == Fault(seq=bad, what="breaks the chain of hashes")
    ledger.close()


@pytest.mark.parametrize("statement", ["UPDATE entries SET patient = 'P2'", "DELETE FROM entries WHERE seq = 4"])
def test_database_itself_refuses_to_change_a_row(written: Place, statement: str) -> None:
    database = Database(written.url, trust=TRUST)
    with pytest.raises(LedgerUnavailable, match="append-only"), database.writing(at(9)) as turn:
        turn.connection.exec_driver_sql(statement)
    database.close()


def test_row_that_cannot_be_understood_stops_everything(written: Place) -> None:
    ledger = tampered(written, "UPDATE entries SET body = '{\"type\":\"unheard of\"}' WHERE seq = 4")
    for ask in (lambda: ledger.verdict("P1", 90, LIMITS, at(9)), lambda: ledger.open_session(request(), at(9)), ledger.doses):
        with pytest.raises(LedgerDamaged, match="row 4 cannot be understood"):
            ask()
    ledger.close()


def rechained(place: Place, change: Callable[[Any], Any]) -> Ledger:
    """As somebody would do it who also works all hashes out anew."""
    ledger = place.open(read_only=True)
    rows, previous = [], GENESIS_HASH
    for row in ledger.rows():
        body = change(row.content())
        fresh = make_row(
            seq=row.seq, prev_hash=previous, patient=row.patient, session_id=row.session_id, body=body, moment=row.moment
        )
        previous = fresh.hash
        rows.append(fresh)
    ledger.close()
    for row in rows:
        place.tamper(f"UPDATE entries SET prev_hash='{row.prev_hash}', hash='{row.hash}', body='{row.body}' WHERE seq={row.seq}")  # noqa: S608
    return place.open()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda _closed: {"counted_pulses": 29},
        lambda _closed: {"given": ()},
        lambda closed: {"given": (msgspec.structs.replace(closed.given[0], acknowledged=29),)},
        lambda closed: {"given": (msgspec.structs.replace(closed.given[0], last_pulse_utc_us=0),)},
    ],
)
def test_closing_row_that_does_not_say_what_its_session_gave_is_found(written: Place, wrong: Callable[[Any], dict[str, Any]]) -> None:
    def change(body: Any) -> Any:
        return msgspec.structs.replace(body, **wrong(body)) if hasattr(body, "given") else body

    ledger = rechained(written, change)
    assert ledger.verify() == Fault(seq=4, what="does not say what its session gave")
    ledger.close()


def test_row_that_cannot_be_understood_is_named(written: Place) -> None:
    ledger = rechained(written, lambda body: msgspec.structs.replace(body, receipt=None) if hasattr(body, "receipt") else body)
    assert ledger.verify() == Fault(seq=3, what="cannot be understood")
    ledger.close()


def test_rows_survive_closing_and_opening(written: Place) -> None:
    ledger = written.open()
    assert ledger.verdict("P1", 90, LIMITS, at(6)).pulses_today == 30
    assert [row.kind for row in ledger.rows()] == ["session_opened", "intent", "receipt", "session_closed"]
    ledger.close()


def test_nothing_of_a_failed_transaction_stays(written: Place) -> None:
    database = Database(written.url, trust=TRUST)
    with pytest.raises(ZeroDivisionError), database.writing(at(9)) as turn:
        note = Note(by=("engineer-1",), what="half of something")
        ledger_db.append(turn.connection, patient=None, session_id=None, body=note, moment=at(9))
        raise ZeroDivisionError
    with database.reading() as connection:
        assert ledger_db.tail(connection).seq == 4
    database.close()


def test_second_chairs_rows_are_seen_at_once(place: Place) -> None:
    first, second = place.open(), place.open()
    assert second.verdict("P1", 90, LIMITS, at(0)).pulses_today == 0
    session = opened(first, at(0))
    asked = intended(first, intent(session, 1, at(1)), at(1))
    first.receive(receipt(asked), at(4))
    first.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5))
    assert second.verdict("P1", 90, LIMITS, at(6)).pulses_today == 30
    first.close()
    second.close()


def test_ledger_opened_here_answers_in_a_worker_thread(place: Place) -> None:
    ledger = place.open()
    with ThreadPoolExecutor(max_workers=1) as worker:
        session = worker.submit(opened, ledger, at(0)).result(timeout=10)
    assert list(ledger.doses().sessions) == [session.session_id]
    ledger.close()


def test_reader_cannot_write(written: Place) -> None:
    reader = written.open(read_only=True)
    with pytest.raises(LedgerUnavailable, match=r"readonly|read-only"):
        reader.open_session(request(), at(2000))
    reader.close()


# ---- the chair's own memory --------------------------------------------------------------------------------------------


@pytest.fixture
def witness(place: Place) -> Witness:
    return Witness(place.folder / "chair-1.seen")


def test_witness_remembers_the_last_row(place: Place, witness: Witness) -> None:
    ledger = place.open(witness=witness)
    assert witness.seen() is None
    opened(ledger, at(0))
    row = ledger.rows()[-1]
    assert witness.seen() == Seen(seq=row.seq, hash=row.hash)
    assert ledger.rewound() is None
    ledger.close()


def test_rows_of_another_chair_disturb_no_witness(place: Place, witness: Witness) -> None:
    ledger, other = place.open(witness=witness), place.open()
    session = opened(ledger, at(0))
    opened(other, at(1), chair="chair-2", patient="P2")
    intended(ledger, intent(session, 1, at(2)), at(2))
    ledger.close()
    other.close()


def backed_up(place: Place, witness: Witness) -> Ledger:
    """A ledger that was backed up in the middle of a session, went on, and was restored from that backup."""
    ledger = place.open(witness=witness)
    session = opened(ledger, at(0))
    ledger.close()
    place.save()
    ledger = place.open(witness=witness)
    ledger.close_session(session.session_id, CloseState.ABORTED, "stopped", at(1))
    ledger.close()
    place.restore()
    return place.open(witness=witness)


def test_restored_backup_starts_nothing(place: Place, witness: Witness) -> None:
    ledger = backed_up(place, witness)
    assert ledger.rewound() == Rewound(seen=msgspec.convert(witness.seen(), Seen, from_attributes=True), found=None)
    rows = ledger.rows()
    assert reasons(ledger.open_session(request(), at(20))) == {DoseReason.LEDGER_REWOUND}
    assert ledger.recover("chair-1", at(20)) == ()
    assert ledger.rows() == rows
    ledger.close()


def test_other_database_starts_nothing(place: Place, witness: Witness) -> None:
    place.open().close()
    place.save()
    ledger = place.open(witness=witness)
    session = opened(ledger, at(0))
    ledger.close()
    place.restore()
    other = place.open()
    opened(other, at(1), operator="somebody else")
    other.close()
    ledger = place.open(witness=witness)
    assert reasons(ledger.intend(intent(session, 1, at(2)), LIMITS, at(2))) == {DoseReason.LEDGER_REWOUND}
    ledger.close()


def test_pulses_are_entered_in_a_restored_backup_and_it_stays_refused(place: Place, witness: Witness) -> None:
    ledger = backed_up(place, witness)
    ledger.ungranted(session_id=None, patient="P1", pulses=2, mono_ns=None, how="panel", moment=at(20))
    assert ledger.verdict("P1", 90, LIMITS, at(21)).pulses_today == 90 + 2
    assert reasons(ledger.open_session(request(), at(5000))) == {DoseReason.LEDGER_REWOUND}
    ledger.close()


def test_two_people_accept_a_restored_backup(place: Place, witness: Witness) -> None:
    ledger = backed_up(place, witness)
    with pytest.raises(ValueError, match="two different people"):
        ledger.accept_ledger(("engineer-1", "Engineer-1 "), "disk replaced", at(20))
    ledger.accept_ledger(("engineer-1", "physician-1"), "disk replaced", at(20))
    assert ledger.rewound() is None
    assert len(ledger.recover("chair-1", at(21))) == 1
    opened(ledger, at(22))
    ledger.close()


def test_memory_that_cannot_be_read_starts_nothing(place: Place, witness: Witness) -> None:
    ledger = place.open(witness=witness)
    (place.folder / "chair-1.seen").write_text("{", encoding="utf-8")
    assert reasons(ledger.open_session(request(), at(0))) == {DoseReason.LEDGER_REWOUND}
    ledger.close()


def test_memory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="witness cannot be written"):
        Witness(tmp_path / "no folder" / "seen").remember(Seen(seq=1, hash=GENESIS_HASH))


def test_memory_behind_the_ledger_is_no_alarm(place: Place, witness: Witness) -> None:
    ledger = place.open(witness=witness)
    session = opened(ledger, at(0))
    before: Any = witness.seen()
    intended(ledger, intent(session, 1, at(1)), at(1))
    witness.remember(before)  # as after a crash between commit and witness
    assert ledger.rewound() is None
    ledger.close()
