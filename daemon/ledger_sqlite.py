"""The ledger in a file of one machine: SQLite in WAL mode with synchronous=FULL. Knows files and locks, no rows."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.pool import NullPool

from daemon.durable import sync_folder
from daemon.ledger import LedgerUnavailable, Moment

BUSY_TIMEOUT_MS = 2000  # another chair's commit takes some ms; a lock held longer is a fault to be told
# A day of ten sessions of sixty trains writes less than 50 MB, write-ahead log included: no session starts that could end on a full disk.
MIN_FREE_BYTES = 200_000_000


class SqliteFile:
    """One file. BEGIN IMMEDIATE makes a writer the only one; the reader beside it sees one state."""

    def __init__(self, url: URL, *, read_only: bool) -> None:
        """Creates the file unless `read_only`. Raises LedgerUnavailable."""
        if not url.database or url.query:
            raise LedgerUnavailable("a SQLite file is named without options", url.render_as_string(), "Write sqlite:///FILE.")
        self.path = Path(url.database).absolute()
        self.where = str(self.path)
        self._read_only = read_only
        if read_only and not self.path.is_file():
            raise LedgerUnavailable("there is no ledger", self.where, "Name an existing one; the daemon creates it at its first start.")
        if not read_only:
            _create_file(self.path)
        engine = self._connect()
        self.writing: Engine = engine.execution_options(begin="BEGIN IMMEDIATE")
        self.reading: Engine = engine.execution_options(begin="BEGIN")

    def take_turn(self, connection: Connection) -> None:
        """BEGIN IMMEDIATE already did."""

    def clock(self, connection: Connection, moment: Moment) -> Moment:  # noqa: ARG002  # one machine, one clock
        return moment

    def check_room(self) -> None:
        """Raises LedgerUnavailable when the disk could fill during a session."""
        check_room(self.path.parent)

    def before_migration(self, version: str) -> None:
        """Keeps the file as it is, beside it, before its schema is changed."""
        copy_database(self.path, self.path.with_name(f"{self.path.name}.schema-{version}"))

    def close(self) -> None:
        self.writing.dispose()

    def _connect(self) -> Engine:
        mode = "ro" if self._read_only else "rw"
        url = URL.create("sqlite+pysqlite", database=f"file:{quote(self.where)}", query={"mode": mode, "uri": "true"})
        engine = sa.create_engine(url, poolclass=NullPool if self._read_only else sa.QueuePool)
        sa.event.listen(engine, "connect", self._on_connect)
        sa.event.listen(engine, "begin", _on_begin)
        return engine

    def _on_connect(self, connection: Any, _record: object) -> None:
        connection.isolation_level = None  # sqlite3's own: BEGIN is ours to say
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        if not self._read_only:
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()


def check_room(folder: Path) -> None:
    """Raises LedgerUnavailable when `folder` has less room than a day of sessions may need."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < MIN_FREE_BYTES:
        what = f"{free // 1_000_000} MB are free, and a day of sessions may need {MIN_FREE_BYTES // 1_000_000}"
        raise LedgerUnavailable(what, str(folder), "Make room on this disk; no session starts until then.")


def copy_database(source: Path, target: Path) -> None:
    """One consistent copy, beside any writer; durable, its owner's alone, and there as a whole or not at all. Raises LedgerUnavailable."""
    fresh = target.with_name(f"{target.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        with closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)) as old, closing(sqlite3.connect(fresh)) as new:
            old.backup(new)
            new.execute("PRAGMA journal_mode = DELETE")
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(target)
        sync_folder(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise LedgerUnavailable(f"cannot be copied ({error})", str(target), "Check the disk, the folder and its rights.") from error


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
