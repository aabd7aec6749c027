"""The chain of rows, the database that refuses to change them, and the chair's own memory of it."""

import hashlib
import json
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon import ledger_db
from daemon.day import DoseReason
from daemon.ledger import GENESIS_HASH, CloseState, LedgerDamaged, LedgerUnavailable, Note
from daemon.ledger_store import Ledger
from daemon.witness import Rewound, Seen, Witness
from tests.ledger_cases import LIMITS, at, intended, intent, open_ledger, opened, reasons, receipt, request


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A closed ledger of four rows: opened, intent, receipt, closed."""
    ledger = open_ledger(tmp_path)
    session = opened(ledger, at(0))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))
    ledger.receive(receipt(asked), at(4))
    ledger.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5))
    ledger.close()
    return tmp_path / "ledger.sqlite"


def tampered(file: Path, statement: str) -> Ledger:
    """As somebody with the file and a tool of their own would do it: the triggers go first."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TRIGGER entries_refuse_update")
        connection.execute("DROP TRIGGER entries_refuse_delete")
        connection.execute(statement)
    return Ledger.open(f"sqlite:///{file}")


def test_anyone_can_work_the_hashes_out(file: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{file}", read_only=True)
    previous = "0" * 64
    for row in ledger.rows():
        entry = {key: getattr(row, key) for key in ("seq", "kind", "utc_us", "mono_ns", "boot_id", "patient", "session_id")}
        text = json.dumps(entry | {"body": json.loads(row.body)}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert row.prev_hash == previous
        assert row.hash == hashlib.sha256((previous + text).encode()).hexdigest()
        previous = row.hash
    ledger.close()


def test_whole_chain_verifies(file: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{file}")
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
def test_first_row_that_was_changed_is_found(file: Path, statement: str, bad: int) -> None:
    ledger = tampered(file, statement)
    assert ledger.verify() == bad
    ledger.close()


@pytest.mark.parametrize("statement", ["UPDATE entries SET patient = 'P2'", "DELETE FROM entries WHERE seq = 4"])
def test_database_itself_refuses_to_change_a_row(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)


def test_row_that_cannot_be_understood_stops_everything(file: Path) -> None:
    ledger = tampered(file, "UPDATE entries SET body = '{\"type\":\"unheard of\"}' WHERE seq = 3")
    for ask in (lambda: ledger.verdict("P1", 90, LIMITS, at(9)), lambda: ledger.open_session(request(), at(9)), ledger.doses):
        with pytest.raises(LedgerDamaged, match="row 3 cannot be understood"):
            ask()
    ledger.close()


def test_rows_survive_closing_and_opening(file: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{file}")
    assert ledger.verdict("P1", 90, LIMITS, at(6)).pulses_today == 30
    assert [row.kind for row in ledger.rows()] == ["session_opened", "intent", "receipt", "session_closed"]
    ledger.close()


def test_every_commit_is_flushed_to_the_disk(tmp_path: Path) -> None:
    database = ledger_db.Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with database.reading() as connection:
        modes = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")]
    assert modes == ["wal", 2]
    database.close()


def test_nothing_of_a_failed_transaction_stays(file: Path) -> None:
    database = ledger_db.Database(f"sqlite:///{file}")
    with pytest.raises(ZeroDivisionError), database.writing() as connection:
        note = Note(by=("engineer-1",), what="half of something")
        ledger_db.append(connection, patient=None, session_id=None, body=note, moment=at(9))
        raise ZeroDivisionError
    with database.reading() as connection:
        assert ledger_db.tail(connection).seq == 4
    database.close()


def test_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    assert stat.S_IMODE((tmp_path / "ledger.sqlite").stat().st_mode) == 0o600


def test_folder_with_odd_characters_holds_a_ledger(tmp_path: Path) -> None:
    folder = tmp_path / "a #1 50% x=y&"
    folder.mkdir()
    ledger = open_ledger(folder)
    opened(ledger, at(0))
    ledger.close()
    assert (folder / "ledger.sqlite").stat().st_size > 0


def test_second_chairs_rows_are_seen_at_once(tmp_path: Path) -> None:
    first, second = open_ledger(tmp_path), open_ledger(tmp_path)
    assert second.verdict("P1", 90, LIMITS, at(0)).pulses_today == 0
    session = opened(first, at(0))
    asked = intended(first, intent(session, 1, at(1)), at(1))
    first.receive(receipt(asked), at(4))
    first.close_session(session.session_id, CloseState.PARTIAL, "stopped", at(5))
    assert second.verdict("P1", 90, LIMITS, at(6)).pulses_today == 30
    first.close()
    second.close()


def test_ledger_opened_here_answers_in_a_worker_thread(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    with ThreadPoolExecutor(max_workers=1) as worker:
        session = worker.submit(opened, ledger, at(0)).result(timeout=10)
    assert list(ledger.doses().sessions) == [session.session_id]
    ledger.close()


def test_locked_ledger_promises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_db, "BUSY_TIMEOUT_MS", 1)
    ledger, other = open_ledger(tmp_path), ledger_db.Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with other.writing(), pytest.raises(LedgerUnavailable, match="locked"):
        ledger.open_session(request(), at(0))
    assert ledger.rows() == ()
    ledger.close()
    other.close()


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("sqlite:////no/such/folder/ledger.sqlite", "cannot be created"),
        ("not a url", "no database URL"),
        ("mysql://somewhere/db", "only SQLite"),
        ("sqlite://", "only SQLite"),
        ("sqlite:////tmp/ledger.sqlite?mode=memory", "only SQLite"),
    ],
)
def test_address_that_leads_nowhere_is_told(url: str, fault: str) -> None:
    with pytest.raises(LedgerUnavailable, match=fault):
        Ledger.open(url)


def test_file_that_is_no_ledger_is_told_and_left_alone(tmp_path: Path) -> None:
    stranger = tmp_path / "ledger.sqlite"
    stranger.write_text("a letter of some length, and no database at all\n" * 40, encoding="utf-8")
    before = stranger.read_bytes()
    with pytest.raises(LedgerUnavailable, match="not a database"):
        open_ledger(tmp_path)
    assert stranger.read_bytes() == before


def test_ledger_of_a_later_version_is_not_touched(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(LedgerUnavailable, match="schema 2"):
        Ledger.open(f"sqlite:///{file}")


def test_reading_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="there is no ledger"):
        Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_reader_cannot_write(file: Path) -> None:
    reader = Ledger.open(f"sqlite:///{file}", read_only=True)
    with pytest.raises(LedgerUnavailable, match="readonly"):
        reader.open_session(request(), at(2000))
    reader.close()


# ---- the chair's own memory --------------------------------------------------------------------------------------------


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "chair-1.seen")


def test_witness_remembers_the_last_row(tmp_path: Path, witness: Witness) -> None:
    ledger = open_ledger(tmp_path, witness=witness)
    assert witness.seen() is None
    opened(ledger, at(0))
    row = ledger.rows()[-1]
    assert witness.seen() == Seen(seq=row.seq, hash=row.hash)
    assert ledger.rewound() is None
    ledger.close()


def test_rows_of_another_chair_disturb_no_witness(tmp_path: Path, witness: Witness) -> None:
    ledger, other = open_ledger(tmp_path, witness=witness), open_ledger(tmp_path)
    session = opened(ledger, at(0))
    opened(other, at(1), chair="chair-2", patient="P2")
    intended(ledger, intent(session, 1, at(2)), at(2))
    ledger.close()
    other.close()


def restored(file: Path, copy: Path) -> None:
    """Puts a backup back: the file as it was, and no log beside it."""
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    file.write_bytes(copy.read_bytes())


def backed_up(tmp_path: Path, witness: Witness) -> Ledger:
    """A ledger that was backed up in the middle of a session, went on, and was restored from that backup."""
    file, copy = tmp_path / "ledger.sqlite", tmp_path / "backup"
    ledger = open_ledger(tmp_path, witness=witness)
    session = opened(ledger, at(0))
    ledger.close()
    copy.write_bytes(file.read_bytes())
    ledger = open_ledger(tmp_path, witness=witness)
    ledger.close_session(session.session_id, CloseState.ABORTED, "stopped", at(1))
    ledger.close()
    restored(file, copy)
    return open_ledger(tmp_path, witness=witness)


def test_restored_backup_starts_nothing(tmp_path: Path, witness: Witness) -> None:
    ledger = backed_up(tmp_path, witness)
    assert ledger.rewound() == Rewound(seen=msgspec.convert(witness.seen(), Seen, from_attributes=True), found=None)
    rows = ledger.rows()
    assert reasons(ledger.open_session(request(), at(20))) == {DoseReason.LEDGER_REWOUND}
    assert ledger.recover("chair-1", at(20)) == ()
    assert ledger.rows() == rows
    ledger.close()


def test_other_database_starts_nothing(tmp_path: Path, witness: Witness) -> None:
    ledger = open_ledger(tmp_path, witness=witness)
    session = opened(ledger, at(0))
    ledger.close()
    folder = tmp_path / "other"
    folder.mkdir()
    other = open_ledger(folder)
    opened(other, at(1), operator="somebody else")
    other.close()
    ledger = open_ledger(folder, witness=witness)
    assert reasons(ledger.intend(intent(session, 1, at(2)), LIMITS, at(2))) == {DoseReason.LEDGER_REWOUND}
    ledger.close()


def test_pulses_are_entered_in_a_restored_backup_and_it_stays_refused(tmp_path: Path, witness: Witness) -> None:
    ledger = backed_up(tmp_path, witness)
    ledger.ungranted(session_id=None, patient="P1", pulses=2, mono_ns=None, how="panel", moment=at(20))
    assert ledger.verdict("P1", 90, LIMITS, at(21)).pulses_today == 90 + 2
    assert reasons(ledger.open_session(request(), at(5000))) == {DoseReason.LEDGER_REWOUND}
    ledger.close()


def test_two_people_accept_a_restored_backup(tmp_path: Path, witness: Witness) -> None:
    ledger = backed_up(tmp_path, witness)
    with pytest.raises(ValueError, match="two different people"):
        ledger.accept_ledger(("engineer-1", "Engineer-1 "), "disk replaced", at(20))
    ledger.accept_ledger(("engineer-1", "physician-1"), "disk replaced", at(20))
    assert ledger.rewound() is None
    assert len(ledger.recover("chair-1", at(21))) == 1
    opened(ledger, at(22))
    ledger.close()


def test_memory_that_cannot_be_read_starts_nothing(tmp_path: Path, witness: Witness) -> None:
    ledger = open_ledger(tmp_path, witness=witness)
    (tmp_path / "chair-1.seen").write_text("{", encoding="utf-8")
    assert reasons(ledger.open_session(request(), at(0))) == {DoseReason.LEDGER_REWOUND}
    ledger.close()


def test_memory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="witness cannot be written"):
        Witness(tmp_path / "no folder" / "seen").remember(Seen(seq=1, hash=GENESIS_HASH))


def test_memory_behind_the_ledger_is_no_alarm(tmp_path: Path, witness: Witness) -> None:
    ledger = open_ledger(tmp_path, witness=witness)
    session = opened(ledger, at(0))
    before: Any = witness.seen()
    intended(ledger, intent(session, 1, at(1)), at(1))
    witness.remember(before)  # as after a crash between commit and witness
    assert ledger.rewound() is None
    ledger.close()
