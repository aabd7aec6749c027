"""Transactions of the ledger on the engine that its address names: a file (SQLite) or a server (PostgreSQL); errors of one kind.

Opening a ledger brings its schema up to date. Knows no rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError

from daemon import ledger_schema
from daemon.ledger import LedgerUnavailable, Moment
from daemon.ledger_postgres import PostgresServer, Trust, lift_bounds, read_at_leisure
from daemon.ledger_sqlite import SqliteFile

TRUST = Trust()


class Backend(Protocol):
    """What differs between the engines. `where` is for people and holds no password."""

    where: str
    writing: Engine
    reading: Engine

    def take_turn(self, connection: Connection) -> None: ...
    def clock(self, connection: Connection, moment: Moment) -> Moment: ...
    def check_room(self) -> None: ...
    def before_migration(self, version: str) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Transaction:
    """A writer's turn. `clock`: the asker's moment by the ledger's own wall clock."""

    connection: Connection
    clock: Moment


class Database:
    """Where the ledger is kept. Every write is one transaction, durable when it returns."""

    def __init__(self, url: str, *, read_only: bool = False, trust: Trust = TRUST) -> None:
        """Opens and, unless `read_only`, creates or migrates it. Raises LedgerUnavailable."""
        self._backend = _backend(url, read_only, trust)
        self.where = self._backend.where
        try:
            with self._errors():
                self._prepare(read_only)
        except LedgerUnavailable:
            self.close()
            raise

    @property
    def is_shared(self) -> bool:
        """On a server: it can be lost while this machine and its disk work on."""
        return isinstance(self._backend, PostgresServer)

    def close(self) -> None:
        self._backend.close()

    @contextmanager
    def writing(self, moment: Moment) -> Iterator[Transaction]:
        """The only writer, until the block ends: then committed, or nothing at all on an exception."""
        with self._errors(), self._backend.writing.begin() as connection:
            clock = self._backend.clock(connection, moment)
            self._backend.take_turn(connection)
            yield Transaction(connection, clock)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent state, beside any writer."""
        with self._errors(), self._backend.reading.begin() as connection:
            if self.is_shared:
                read_at_leisure(connection)
            yield connection

    def clock(self, connection: Connection, moment: Moment) -> Moment:
        """`moment` by the ledger's own wall clock."""
        return self._backend.clock(connection, moment)

    def check_room(self) -> None:
        """Raises LedgerUnavailable when a session could end on a full disk."""
        self._backend.check_room()

    def answers(self) -> bool:
        """Whether it can be asked at this moment; from any thread."""
        try:
            with self.reading():
                return True
        except LedgerUnavailable:
            return False

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, InvalidRequestError) as error:
            said = error.orig if isinstance(error, DBAPIError) else error
            remedy = "Check the disk, the server, its rights and who else holds it; nothing starts until it answers."
            raise LedgerUnavailable(" ".join(str(said).split()), self.where, remedy) from error

    def _prepare(self, read_only: bool) -> None:
        with self.reading() as connection:
            version = ledger_schema.version(connection, self.where)
        if version == ledger_schema.HEAD or (read_only and version is not None):
            return
        if read_only:
            raise LedgerUnavailable("there is no ledger", self.where, "Name an existing one; the daemon creates it at its first start.")
        if version is not None:
            self._backend.before_migration(version)
        with self._backend.writing.begin() as connection:
            if self.is_shared:
                lift_bounds(connection)
            self._backend.take_turn(connection)
            ledger_schema.migrate(connection, ledger_schema.version(connection, self.where))


def _backend(url: str, read_only: bool, trust: Trust) -> Backend:
    try:
        parsed = make_url(url)
    except ArgumentError as error:  # what cannot be read is not repeated: it may hold a password
        raise LedgerUnavailable("the address is no database URL", "[ledger].url", "Write sqlite:///FILE.") from error
    match parsed.get_backend_name():
        case "sqlite":
            return SqliteFile(parsed, read_only=read_only)
        case "postgresql":
            return PostgresServer(parsed, read_only=read_only, trust=trust)
    remedy = "Write sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE."
    raise LedgerUnavailable("only SQLite and PostgreSQL hold a ledger", f"[ledger].url ({parsed.drivername})", remedy)


