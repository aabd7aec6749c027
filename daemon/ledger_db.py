"""Tables and connections of the ledger: SQLite in WAL mode with synchronous=FULL, append-only by the database's own triggers.

Knows rows and leases, and nothing of doses.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from daemon.ledger import GENESIS_HASH, Body, LedgerUnavailable, Moment, Row, make_row
from daemon.witness import Seen, sync_folder

SCHEMA_VERSION = 1
LEASE_TTL_S = 30  # three renewals may fail before a chair must stop granting
BUSY_TIMEOUT_MS = 2000  # another chair's commit takes some ms; a lock held longer is a fault to be told

_METADATA = sa.MetaData()
ENTRIES = sa.Table(
    "entries",
    _METADATA,
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
)
LEASES = sa.Table(
    "leases",
    _METADATA,
    sa.Column("patient", sa.Text, primary_key=True),
    sa.Column("session_id", sa.Text, nullable=False, unique=True),
    sa.Column("chair", sa.Text, nullable=False, unique=True),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("boot_id", sa.Text, nullable=False),
    sa.Column("expires_utc_us", sa.BigInteger, nullable=False),
    sa.Column("expires_mono_ns", sa.BigInteger, nullable=False),
)
_APPEND_ONLY = [
    f"CREATE TRIGGER IF NOT EXISTS entries_refuse_{act.lower()} BEFORE {act} ON entries "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    for act in ("UPDATE", "DELETE")
]


class Database:
    """The ledger's file. Every write is one BEGIN IMMEDIATE transaction, durable when it returns."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        """Opens and, unless `read_only`, creates it. Raises LedgerUnavailable."""
        self.path = _sqlite_path(url)
        self.read_only = read_only
        if read_only and not self.path.is_file():
            raise LedgerUnavailable("there is no ledger", str(self.path), "Name an existing one; the daemon creates it at its first start.")
        if not read_only:
            _create_file(self.path)
        self._engine = self._connect()
        with self._errors():
            self._prepare()

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The only writer, until the block ends: then committed, or nothing at all on an exception."""
        with self._errors(), self._engine.execution_options(begin="BEGIN IMMEDIATE").begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent state, beside any writer."""
        with self._errors(), self._engine.execution_options(begin="BEGIN").begin() as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            remedy = "Check the disk, the file's rights and who else holds it; nothing starts until it answers."
            raise LedgerUnavailable(str(error.orig), str(self.path), remedy) from error

    def _connect(self) -> Engine:
        mode = "ro" if self.read_only else "rw"
        url = URL.create("sqlite+pysqlite", database=f"file:{quote(str(self.path))}", query={"mode": mode, "uri": "true"})
        engine = sa.create_engine(url, poolclass=NullPool if self.read_only else sa.QueuePool)
        sa.event.listen(engine, "connect", self._on_connect)
        sa.event.listen(engine, "begin", _on_begin)
        return engine

    def _on_connect(self, connection: sa.PoolProxiedConnection, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # sqlite3's own: BEGIN is ours to say
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        if not self.read_only:
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    def _prepare(self) -> None:
        with self.reading() as connection:
            version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        if version == 0 and not self.read_only:
            with self.writing() as connection:
                _METADATA.create_all(connection)
                for trigger in _APPEND_ONLY:
                    connection.exec_driver_sql(trigger)
                connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise LedgerUnavailable(f"schema {version} is not {SCHEMA_VERSION}", str(self.path), "Use the version of atmsd that wrote it.")


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


def rows(connection: Connection, *where: sa.ColumnElement[bool]) -> Iterator[Row]:
    """Rows in order, all or those that `where` names."""
    for found in connection.execute(sa.select(ENTRIES).where(*where).order_by(ENTRIES.c.seq)):
        yield Row(**found._mapping)


def hash_at(connection: Connection, seq: int) -> str | None:
    """The stored hash of a row; None if there is no such row."""
    return connection.execute(sa.select(ENTRIES.c.hash).where(ENTRIES.c.seq == seq)).scalar()


def high_water_utc_us(connection: Connection) -> int | None:
    """The latest UTC ever written, by anybody."""
    return connection.execute(sa.select(sa.func.max(ENTRIES.c.utc_us))).scalar()


def open_session_rows(connection: Connection) -> Iterator[Row]:
    """The opening rows of all sessions that nobody closed."""
    closed = ENTRIES.alias()
    is_closed = sa.exists().where(closed.c.kind == "session_closed", closed.c.session_id == ENTRIES.c.session_id)
    return rows(connection, ENTRIES.c.kind == "session_opened", ~is_closed)


def patient_of(connection: Connection, session_id: str) -> str | None:
    """Whose session it is; None if it was never opened here."""
    where = (ENTRIES.c.session_id == session_id, ENTRIES.c.kind == "session_opened")
    return connection.execute(sa.select(ENTRIES.c.patient).where(*where)).scalar()


def take_lease(connection: Connection, *, patient: str, session_id: str, chair: str, token: int, moment: Moment) -> None:
    """The patient is this session's alone until it is closed."""
    lease = {"patient": patient, "session_id": session_id, "chair": chair, "token": token}
    connection.execute(LEASES.insert(), lease | _lease_end(moment))


def renew_lease(connection: Connection, session_id: str, token: int, moment: Moment) -> bool:
    """False if the lease is no longer this session's under this token."""
    renewed = connection.execute(
        LEASES.update().where(LEASES.c.session_id == session_id, LEASES.c.token == token).values(**_lease_end(moment))
    )
    return renewed.rowcount == 1


def lease_is_held(connection: Connection, session_id: str, token: int, moment: Moment) -> bool:
    """Whether the lease is this session's under this token and runs on, by either clock that can tell."""
    lease = connection.execute(sa.select(LEASES).where(LEASES.c.session_id == session_id, LEASES.c.token == token)).first()
    if lease is None or moment.utc_us >= lease.expires_utc_us:
        return False
    return bool(moment.boot_id != lease.boot_id or moment.mono_ns < lease.expires_mono_ns)


def chair_holds_lease(connection: Connection, chair: str) -> bool:
    return connection.execute(sa.select(LEASES.c.token).where(LEASES.c.chair == chair)).first() is not None


def drop_lease(connection: Connection, session_id: str) -> None:
    connection.execute(LEASES.delete().where(LEASES.c.session_id == session_id))


def _lease_end(moment: Moment) -> dict[str, int | str]:
    return {
        "boot_id": moment.boot_id,
        "expires_utc_us": moment.utc_us + LEASE_TTL_S * 1_000_000,
        "expires_mono_ns": moment.mono_ns + LEASE_TTL_S * 1_000_000_000,
    }


def _sqlite_path(url: str) -> Path:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise LedgerUnavailable("the address is no database URL", url, "Write sqlite:///FILE.") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.query:
        raise LedgerUnavailable("only SQLite files without options are supported", parsed.render_as_string(), "Write sqlite:///FILE.")
    return Path(parsed.database).absolute()


def _create_file(path: Path) -> None:
    """A new file is its owner's alone: it names patients."""
    try:
        path.touch(mode=0o600)
        sync_folder(path.parent)
    except OSError as error:
        raise LedgerUnavailable(
            f"cannot be created or written ({error.strerror})", str(path), "Check the folder and its rights."
        ) from error


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options()["begin"])
