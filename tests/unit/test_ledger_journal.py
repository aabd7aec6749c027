"""The chair's journal: a file that keeps what the shared ledger could not take, and is believed no further than it was written."""

import errno
import os
import stat
from pathlib import Path

import pytest

from daemon import ledger_sqlite
from daemon.ledger import GENESIS_HASH, LedgerDamaged, LedgerUnavailable, Note, Row
from daemon.ledger_journal import Journal
from tests.ledger_cases import at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chair-1.journal"


def written(journal: Journal, what: str = "something") -> Row:
    return journal.append(Note(by=("operator-1",), what=what), patient="P1", session_id="s1", moment=at(0))


def test_journal_is_found_again_as_it_was_written(path: Path) -> None:
    journal = Journal(path)
    rows = tuple(written(journal, what) for what in ("one", "two", "three"))
    assert journal.rows == rows
    assert Journal(path).rows == rows
    assert [row.seq for row in rows] == [1, 2, 3]
    assert [row.prev_hash for row in rows] == [GENESIS_HASH, rows[0].hash, rows[1].hash]


def test_journal_is_its_owners_alone(path: Path) -> None:
    written(Journal(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_row_is_flushed_before_it_is_promised(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[bytes] = []
    real = os.fsync

    def flush(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == path:
            flushed.append(path.read_bytes())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", flush)
    written(Journal(path))
    assert [content.endswith(b"\n") for content in flushed] == [True]


def test_cleared_journal_begins_anew(path: Path) -> None:
    journal = Journal(path)
    written(journal)
    journal.clear()
    assert (journal.rows, path.exists()) == ((), False)
    assert written(journal).seq == 1
    assert len(Journal(path).rows) == 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_line_that_was_torn_was_never_promised(path: Path, share: float) -> None:
    journal = Journal(path)
    first = written(journal)
    good = path.read_bytes()
    second = written(journal, "two")
    line = path.read_bytes()[len(good) :]
    path.write_bytes(good + line[: int(share * len(line))])
    after = Journal(path)
    assert after.rows == (first,)
    assert written(after, "two") == second
    assert path.read_bytes() == good + line


@pytest.mark.parametrize("line", [0, 1, 2])
def test_line_that_was_changed_stops_everything(path: Path, line: int) -> None:
    journal = Journal(path)
    for what in ("one", "two", "three"):
        written(journal, what)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b"P1", b"P2")
    path.write_bytes(b"".join(lines))
    with pytest.raises(LedgerDamaged, match=f"line {line + 1}"):
        Journal(path)


def test_line_that_is_missing_stops_everything(path: Path) -> None:
    journal = Journal(path)
    for what in ("one", "two"):
        written(journal, what)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(LedgerDamaged, match="line 1"):
        Journal(path)


def test_disk_that_fills_up_promises_nothing_and_spoils_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path)
    first = written(journal)
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, line: real(descriptor, line[:20]))
        with pytest.raises(LedgerUnavailable, match="disk is full"):
            written(journal, "two")
    assert journal.rows == Journal(path).rows == (first,)
    second = written(journal, "two")
    assert Journal(path).rows == (first, second)


def test_journal_that_cannot_be_written_or_read_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path)

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(LedgerUnavailable, match="cannot be written"):
            written(journal)
    written(journal)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fails)
        with pytest.raises(LedgerUnavailable, match="cannot be removed"):
            journal.clear()
    assert len(journal.rows) == 1
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fails)
        with pytest.raises(LedgerUnavailable, match="cannot be read"):
            Journal(path)


def test_disk_with_little_room_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal(path).check_room()
    monkeypatch.setattr(ledger_sqlite, "MIN_FREE_BYTES", 10**18)
    with pytest.raises(LedgerUnavailable, match="MB are free"):
        Journal(path).check_room()
