"""Tables of the ledger and what is asked of them inside a transaction: rows of the chain, and leases.

The same on SQLite and PostgreSQL. Knows rows and leases, and nothing of doses; connections are `daemon.ledger_engines`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from daemon.ledger import GENESIS_HASH, Body, JournalSettled, Moment, Row, make_row
from daemon.witness import Seen

LEASE_TTL_S = 30  # three renewals may fail before a chair must stop granting
STREAM_ROWS = 2000  # read at a time where the whole ledger passes through

METADATA = sa.MetaData()
ENTRIES = sa.Table(
    "entries",
    METADATA,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("prev_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("utc_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("mono_ns", sa.BigInteger, nullable=False),
    sa.Column("boot_id", sa.Text, nullable=False),
    sa.Column("patient", sa.Text),
    sa.Column("session_id", sa.Text),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("entries_by_patient", "patient", "seq"),
    sa.Index("entries_by_kind", "kind", "session_id"),
    sa.Index("entries_by_session", "session_id", "seq"),
    sa.Index("entries_by_patient_and_kind", "patient", "kind", "seq"),
)
LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column("patient", sa.Text, primary_key=True),
    sa.Column("session_id", sa.Text, nullable=False, unique=True),
    sa.Column("chair", sa.Text, nullable=False, unique=True),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("boot_id", sa.Text, nullable=False),
    sa.Column("expires_utc_us", sa.BigInteger, nullable=False),
    sa.Column("expires_mono_ns", sa.BigInteger, nullable=False),
)


# ---- rows --------------------------------------------------------------------------------------------------------------


def tail(connection: Connection) -> Seen:
    """The last row, or the state before the first."""
    found = connection.execute(sa.select(ENTRIES.c.seq, ENTRIES.c.hash).order_by(ENTRIES.c.seq.desc()).limit(1)).first()
    return Seen(seq=0, hash=GENESIS_HASH) if found is None else Seen(seq=found.seq, hash=found.hash)


def append(connection: Connection, *, patient: str | None, session_id: str | None, body: Body, moment: Moment) -> Row:
    """Writes and returns the next row of the chain."""
    last = tail(connection)
    row = make_row(seq=last.seq + 1, prev_hash=last.hash, patient=patient, session_id=session_id, body=body, moment=moment)
    connection.execute(ENTRIES.insert(), {name: getattr(row, name) for name in Row.__struct_fields__})
    return row


def rows(connection: Connection, *where: sa.ColumnElement[bool]) -> tuple[Row, ...]:
    """Rows in order that `where` names: some thousands at most."""
    return tuple(_rows(connection.execute(sa.select(ENTRIES).where(*where).order_by(ENTRIES.c.seq)).all()))


def unordered_rows(connection: Connection, *where: sa.ColumnElement[bool]) -> tuple[Row, ...]:
    """Rows that `where` names, as the index that knows them has them: asked in order, a database may walk all of a patient's rows."""
    return tuple(_rows(connection.execute(sa.select(ENTRIES).where(*where)).all()))


def stream(connection: Connection, *where: sa.ColumnElement[bool]) -> Iterator[Row]:
    """Rows in order, all or those that `where` names, never more than some thousands in memory."""
    asked = sa.select(ENTRIES).where(*where).order_by(ENTRIES.c.seq)
    with connection.execute(asked, execution_options={"yield_per": STREAM_ROWS}) as found:
        for part in found.partitions():
            yield from _rows(part)


def _rows(found: Iterable[Any]) -> Iterator[Row]:
    for seq, prev_hash, this_hash, kind, utc_us, mono_ns, boot_id, patient, session_id, body in found:
        yield Row(
            seq=seq,
            prev_hash=prev_hash,
            hash=this_hash,
            kind=kind,
            utc_us=utc_us,
            mono_ns=mono_ns,
            boot_id=boot_id,
            patient=patient,
            session_id=session_id,
            body=body,
        )


def hash_at(connection: Connection, seq: int) -> str | None:
    """The stored hash of a row; None if there is no such row."""
    return connection.execute(sa.select(ENTRIES.c.hash).where(ENTRIES.c.seq == seq)).scalar()


def high_water_utc_us(connection: Connection) -> int | None:
    """The latest UTC ever written, by anybody."""
    return connection.execute(sa.select(sa.func.max(ENTRIES.c.utc_us))).scalar()


def open_session_rows(connection: Connection) -> tuple[Row, ...]:
    """The opening rows of all sessions that nobody closed."""
    closed = ENTRIES.alias()
    is_closed = sa.exists().where(closed.c.kind == "session_closed", closed.c.session_id == ENTRIES.c.session_id)
    return rows(connection, ENTRIES.c.kind == "session_opened", ~is_closed)


def patient_of(connection: Connection, session_id: str) -> str | None:
    """Whose session it is; None if it was never opened here."""
    where = (ENTRIES.c.session_id == session_id, ENTRIES.c.kind == "session_opened")
    return connection.execute(sa.select(ENTRIES.c.patient).where(*where)).scalar()


def last_of_kind(connection: Connection, kind: str, patient: str | None) -> Row | None:
    """The latest row of a kind, of one patient or of none."""
    last = sa.select(sa.func.max(ENTRIES.c.seq)).where(ENTRIES.c.kind == kind, ENTRIES.c.patient == patient)
    found = rows(connection, ENTRIES.c.seq == last.scalar_subquery())
    return found[0] if found else None


def settled_no(connection: Connection, journal: str) -> int:
    """Up to which of its rows a chair's journal is in the ledger; 0: nothing of it."""
    settled = [row.content() for row in rows(connection, ENTRIES.c.kind == "journal_settled")]
    return max((body.last_no for body in settled if isinstance(body, JournalSettled) and body.journal == journal), default=0)


# ---- leases ------------------------------------------------------------------------------------------------------------
# `clock` is the ledger's own: the server's where there is one, so that chairs whose clocks differ agree on when a lease ends.


def take_lease(connection: Connection, *, patient: str, session_id: str, chair: str, token: int, clock: Moment) -> None:
    """The patient is this session's alone until it is closed."""
    lease = {"patient": patient, "session_id": session_id, "chair": chair, "token": token}
    connection.execute(LEASES.insert(), lease | _lease_end(clock))


def renew_lease(connection: Connection, session_id: str, token: int, clock: Moment) -> bool:
    """False if the lease is no longer this session's under this token."""
    renewed = connection.execute(
        LEASES.update().where(LEASES.c.session_id == session_id, LEASES.c.token == token).values(**_lease_end(clock))
    )
    return renewed.rowcount == 1


def lease_is_held(connection: Connection, session_id: str, token: int, clock: Moment) -> bool:
    """Whether the lease is this session's under this token and runs on, by either clock that can tell."""
    lease = connection.execute(sa.select(LEASES).where(LEASES.c.session_id == session_id, LEASES.c.token == token)).first()
    if lease is None or clock.utc_us >= lease.expires_utc_us:
        return False
    return bool(clock.boot_id != lease.boot_id or clock.mono_ns < lease.expires_mono_ns)


def chair_holds_lease(connection: Connection, chair: str) -> bool:
    return connection.execute(sa.select(LEASES.c.token).where(LEASES.c.chair == chair)).first() is not None


def drop_lease(connection: Connection, session_id: str) -> None:
    connection.execute(LEASES.delete().where(LEASES.c.session_id == session_id))


def _lease_end(clock: Moment) -> dict[str, int | str]:
    return {
        "boot_id": clock.boot_id,
        "expires_utc_us": clock.utc_us + LEASE_TTL_S * 1_000_000,
        "expires_mono_ns": clock.mono_ns + LEASE_TTL_S * 1_000_000_000,
    }
