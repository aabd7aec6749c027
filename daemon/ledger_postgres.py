"""The ledger on a PostgreSQL server that several chairs share: one writer at a time, durable commits, and no endless waits.

Knows connections and the server's settings, no rows. The driver is imported where a server is named, and not before.
"""

import select
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DisconnectionError

from daemon.ledger import LedgerUnavailable, Moment, Value

if TYPE_CHECKING:
    from daemon.ledger_answers import BoundedConnection

# A server that hangs is told as such within 2 s: the chair then goes on from its journal, or refuses.
CONNECT_S = 2  # the driver takes less as 2
ANSWER_S = 1.9
LOCK_MS = 1700  # below ANSWER_S, so that a long queue is told by the server, which keeps the connection
STATEMENT_MS = 1800
# A chair that is frozen inside a transaction must not lock out the others: the server ends its transaction.
FROZEN_MS = 2000
# Any number, the same for every chair: the one lock that all writers of this database take in turn.
WRITERS_LOCK = 7_265_117_001
DURABLE = {"fsync": ("on",), "full_page_writes": ("on",), "synchronous_commit": ("on", "local", "remote_write", "remote_apply")}


class Trust(Value, frozen=True, kw_only=True):
    """What is asked of a server. `clock`: leases run by it, and a chair whose own differs is refused; `disk`: it flushes to its disk."""

    clock: bool = True
    disk: bool = True


class PostgresServer:
    """One database of one server.

    Writers take an advisory lock for the length of their transaction, so that what one has read is still so when it writes. They read
    committed rows: each statement after the lock sees all that the writer before committed, which a snapshot taken while waiting would
    not. A lock on the table would do too, but stands in the way of the server's own upkeep. Two writers that should ever pass the lock
    meet at the primary key. Readers have one snapshot and wait for nobody.
    """

    def __init__(self, url: URL, *, read_only: bool, trust: Trust) -> None:
        """Connects to nothing yet. Raises LedgerUnavailable."""
        host = url.host or url.query.get("host") or "the local socket"
        self.where = f"PostgreSQL database {url.database or url.username} on {host}"  # never the password, nor options that may hold one
        self._trust = trust
        engine = self._connect(url.set(drivername="postgresql+psycopg"))
        self.writing: Engine = engine.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=read_only)
        self.reading: Engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def take_turn(self, connection: Connection) -> None:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITERS_LOCK)))

    def clock(self, connection: Connection, moment: Moment) -> Moment:
        """`moment` by the server's wall clock; to be asked before waiting for a turn."""
        if not self._trust.clock:
            return moment
        seconds = sa.func.extract("epoch", sa.func.clock_timestamp())
        utc_us = connection.execute(sa.select(sa.cast(seconds * 1_000_000, sa.BigInteger))).scalar_one()
        return msgspec.structs.replace(moment, utc_us=utc_us)

    def check_room(self) -> None:
        """The server's disk is its keeper's; a full one refuses the reservation."""

    def before_migration(self, version: str) -> None:
        """The server's keeper makes backups; the migration is one transaction."""

    def close(self) -> None:
        self.writing.dispose()

    def _connect(self, url: URL) -> Engine:
        try:
            engine = sa.create_engine(url, connect_args={"connect_timeout": CONNECT_S, "application_name": "atmsd"})
            from daemon.ledger_answers import BoundedConnection  # noqa: PLC0415  # its driver is needed for a server alone
        except ImportError as error:
            raise LedgerUnavailable("the driver psycopg is not installed", self.where, "Install atmsd[postgres].") from error

        def connect(_dialect: object, _record: object, words: tuple[str, ...], options: dict[str, Any]) -> "BoundedConnection":
            return BoundedConnection.connect(*words, **options)

        sa.event.listen(engine, "do_connect", connect)
        sa.event.listen(engine, "connect", self._on_connect)
        sa.event.listen(engine, "checkout", _on_checkout)
        return engine

    def _on_connect(self, connection: "BoundedConnection", _record: object) -> None:
        """Before anything else on a new connection: bounds on every wait, and whether a commit will be durable."""
        connection.answer_within_s = ANSWER_S
        connection.autocommit = True
        connection.execute(
            f"SET statement_timeout = {STATEMENT_MS}; SET lock_timeout = {LOCK_MS}; SET client_min_messages = warning;"
            f"SET idle_in_transaction_session_timeout = {FROZEN_MS}"
        )
        for setting, durable in DURABLE.items():
            found = connection.execute("SELECT current_setting(%s)", (setting,)).fetchone()
            if self._trust.disk and (found is None or found[0] not in durable):
                connection.close()
                what = f"commits there are not durable ({setting} is {found and found[0]})"
                raise LedgerUnavailable(what, self.where, f"Set {setting} = on for this server and this user.")
        connection.autocommit = False


def lift_bounds(connection: Connection) -> None:
    """For this transaction and its connection: a migration may take its time. The connection is not to be used again."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    raw: Any = connection.connection.dbapi_connection
    raw.answer_within_s = None
    connection.detach()


def read_at_leisure(connection: Connection) -> None:
    """A reader may be as slow as who reads from it: it locks nobody out."""
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def _on_checkout(connection: "BoundedConnection", _record: object, _proxy: object) -> None:
    """A connection with something to read while nothing was asked is one that the server has closed: take a new one."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError("closed by the server")
