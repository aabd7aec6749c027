"""The chair's own durable journal: rows that the shared ledger could not take, one line each, chained by their hashes.

Owns a file on the chair's disk. Who may write into it, and when it is settled, is `daemon.ledger_chair`.
"""

import os
from pathlib import Path

import msgspec

from daemon.durable import sync_folder
from daemon.ledger import (
    GENESIS_HASH,
    Body,
    IntentMade,
    LedgerDamaged,
    LedgerUnavailable,
    Moment,
    ReceiptTaken,
    Row,
    SessionClosed,
    Standing,
    UngrantedSeen,
    make_row,
    row_hash,
)
from daemon.ledger_fold import Session, standing
from daemon.ledger_sqlite import check_room

_LINE: msgspec.json.Decoder[Row] = msgspec.json.Decoder(Row)


class Journal:
    """What waits for the ledger, in the order in which it was written down."""

    def __init__(self, path: Path) -> None:
        """Reads what an earlier run left. Raises LedgerUnavailable, and LedgerDamaged when a row was changed."""
        self._path = path
        self._rows, self._good_bytes = _read(path)

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(self._rows)

    def append(self, body: Body, *, patient: str | None, session_id: str | None, moment: Moment) -> Row:
        """Durable when it returns. Raises LedgerUnavailable."""
        last = self._rows[-1] if self._rows else None
        row = make_row(
            seq=1 if last is None else last.seq + 1,
            prev_hash=GENESIS_HASH if last is None else last.hash,
            patient=patient,
            session_id=session_id,
            body=body,
            moment=moment,
        )
        line = msgspec.json.encode(row) + b"\n"
        try:
            _write_at(self._path, self._good_bytes, line)
        except OSError as error:
            raise self._unavailable("written", error) from error
        self._good_bytes += len(line)
        self._rows.append(row)
        return row

    def clear(self) -> None:
        """After everything in it is in the ledger. Raises LedgerUnavailable; then it is settled again, which changes nothing."""
        try:
            self._path.unlink(missing_ok=True)
            sync_folder(self._path.parent)
        except OSError as error:
            raise self._unavailable("removed", error) from error
        self._rows, self._good_bytes = [], 0

    def check_room(self) -> None:
        """Raises LedgerUnavailable when a session could end on a full disk."""
        check_room(self._path.parent)

    def _unavailable(self, act: str, error: OSError) -> LedgerUnavailable:
        return LedgerUnavailable(
            f"the chair's journal cannot be {act} ({error.strerror})", str(self._path), "Check the disk and the folder's rights."
        )


def is_known(session: Session | None, body: Body) -> bool:
    """Whether the ledger holds already what a journal says of a session: its answer may have been lost when the ledger was."""
    if session is None:
        return False
    match body:
        case IntentMade(intent=intent):
            return session.train(intent.run_id, intent.grant_no) is not None
        case ReceiptTaken(receipt=receipt):
            return standing(session, receipt) is Standing.DUPLICATE
        case UngrantedSeen(pulses=pulses, mono_ns=mono_ns, how=how):
            seen = [(stray.pulses.count, stray.mono_ns, stray.how) for stray in session.strays]
            return mono_ns is not None and (pulses, mono_ns, how) in seen
        case SessionClosed():
            return session.closed is not None
    return False


def _read(path: Path) -> tuple[list[Row], int]:
    """Its rows, and how far they reach. A line without an end was torn by a crash, and never promised to anybody."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise LedgerUnavailable(
            f"the chair's journal cannot be read ({error.strerror})", str(path), "Check the disk and the folder's rights."
        ) from error
    rows: list[Row] = []
    good_bytes = 0
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        row = _row(line, rows[-1] if rows else None)
        if row is None and line.endswith(b"\n"):
            what = f"line {number} of the chair's journal is not as it was written"
            raise LedgerDamaged(what, str(path), "Keep the file as it is and call the engineer.")
        if row is not None:
            rows.append(row)
            good_bytes += len(line)
    return rows, good_bytes


def _row(line: bytes, last: Row | None) -> Row | None:
    """The row that goes on from `last`; None if it is torn or was changed."""
    try:
        row = _LINE.decode(line)
    except (msgspec.DecodeError, ValueError):
        return None
    expected = (1, GENESIS_HASH) if last is None else (last.seq + 1, last.hash)
    is_next = line.endswith(b"\n") and (row.seq, row.prev_hash) == expected and row.hash == row_hash(row)
    return row if is_next else None


def _write_at(path: Path, good_bytes: int, line: bytes) -> None:
    """Puts `line` behind the good ones, over what a torn write may have left, and flushes it."""
    is_new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.ftruncate(descriptor, good_bytes)
        os.lseek(descriptor, good_bytes, os.SEEK_SET)
        written = os.write(descriptor, line)
        if written < len(line):
            raise OSError(None, "the disk is full")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync_folder(path.parent)
