"""Reads what a patient was given: closed sessions from the sums in their closing rows, all others from every row.

What came after a closing counts too: such a session is read as a whole. Reads rows inside a transaction; decides nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from daemon import ledger_db
from daemon.day import Segment
from daemon.ledger import Body, Row, SessionClosed
from daemon.ledger_db import ENTRIES
from daemon.ledger_fold import Doses, Session, fold, needs_whole_session

# Of a session that is summed up these rows need not be read again; every other kind is always read.
SUMMED_KINDS = ("session_opened", "intent", "receipt", "session_closed", "refused")
OTHER_KINDS = tuple({str(kind.__struct_config__.tag).partition(".")[0] for kind in get_args(Body)} - set(SUMMED_KINDS))
# After a closing these change nothing of what the session gave: stray pulses then stand by themselves.
HARMLESS_KINDS = ("ungranted", "note", "refused", "journal_settled")


@dataclass(frozen=True, slots=True)
class History:
    """One patient's committed rows up to a number: rows never change, so that only later ones need to be read."""

    patient: str
    last_seq: int
    doses: Doses


def patient_history(connection: Connection, patient: str, known: History | None) -> History:
    """What the patient was given by all committed rows; `known`: what was read before. Raises LedgerDamaged."""
    if known is not None and known.patient == patient:
        new = ledger_db.rows(connection, ENTRIES.c.patient == patient, ENTRIES.c.seq > known.last_seq)
        if not any(needs_whole_session(known.doses, row) for row in new):
            last_seq = new[-1].seq if new else known.last_seq
            return History(patient, last_seq, fold(known.doses, new))
    last_seq = connection.execute(sa.select(sa.func.max(ENTRIES.c.seq)).where(ENTRIES.c.patient == patient)).scalar() or 0
    closings = _closings(connection, patient)
    rows = sorted(_rows_to_fold(connection, patient, closings), key=lambda row: row.seq)
    summed = {session_id: closing.given for session_id, closing in closings.items()}
    return History(patient, last_seq, fold(Doses(summed=summed), rows))


def whole_session(connection: Connection, session_id: str) -> Session:
    """One session from every row of it."""
    return fold(Doses(), ledger_db.rows(connection, ENTRIES.c.session_id == session_id)).sessions[session_id]


@dataclass(frozen=True, slots=True)
class _Closing:
    seq: int
    given: tuple[Segment, ...]


def _closings(connection: Connection, patient: str) -> dict[str, _Closing]:
    """Sessions that their closing row sums up, without those to which something was added later."""
    is_his = (ENTRIES.c.patient == patient, ENTRIES.c.kind == "session_closed")
    later = ENTRIES.alias()
    is_later = (later.c.session_id == ENTRIES.c.session_id, later.c.seq > ENTRIES.c.seq, later.c.kind.not_in(HARMLESS_KINDS))
    continued = set(connection.execute(sa.select(ENTRIES.c.session_id).where(*is_his, sa.exists().where(*is_later))).scalars())
    closings = {}
    for row in ledger_db.unordered_rows(connection, *is_his):
        body = row.content()
        if isinstance(body, SessionClosed) and body.given is not None and row.session_id is not None and row.session_id not in continued:
            closings[row.session_id] = _Closing(row.seq, body.given)
    return closings


def _rows_to_fold(connection: Connection, patient: str, closings: Mapping[str, _Closing]) -> Iterator[Row]:
    """All rows of the patient that no sum stands for."""
    for row in ledger_db.unordered_rows(connection, ENTRIES.c.patient == patient, ENTRIES.c.kind.in_(OTHER_KINDS)):
        closing = None if row.session_id is None else closings.get(row.session_id)
        if closing is None or row.seq > closing.seq:
            yield row
    opened = sa.select(ENTRIES.c.session_id).where(ENTRIES.c.patient == patient, ENTRIES.c.kind == "session_opened")
    for session_id in connection.execute(opened).scalars():
        if session_id not in closings:
            is_its = (ENTRIES.c.session_id == session_id, ENTRIES.c.patient == patient, ENTRIES.c.kind.in_(SUMMED_KINDS))
            yield from ledger_db.rows(connection, *is_its)
