"""Places for ledgers: every test that asks for one runs on SQLite and on PostgreSQL."""

import itertools
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from daemon.ledger_store import Ledger
from tests.engines import Cluster, Place

UNLOCKED = {
    "sqlite": "DROP TRIGGER IF EXISTS entries_refuse_update; DROP TRIGGER IF EXISTS entries_refuse_delete",
    "postgresql": "ALTER TABLE entries DISABLE TRIGGER USER",
}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One server for the whole run, started by the first test that needs it. Without PostgreSQL such tests fail, for they prove it."""
    server = Cluster()
    yield server
    server.remove()


def _copied(file: Path, target: Path) -> None:
    shutil.copy(file, target)


def sqlite_place(folder: Path) -> Place:
    file = folder / "ledger.sqlite"

    def tamper(statement: str) -> None:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.executescript(f"{UNLOCKED['sqlite']}; {statement}")

    def restore() -> None:
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        shutil.copy(folder / "saved", file)

    return Place(
        url=f"sqlite:///{file}", folder=folder, tamper=tamper, save=lambda: _copied(file, folder / "saved"), restore=restore
    )


def postgresql_place(folder: Path, server: Cluster) -> Place:
    url = server.ledger_database()
    database = make_url(url).database or ""

    def tamper(statement: str) -> None:
        server.ask(database, f"{UNLOCKED['postgresql']}; {statement}")

    def save() -> None:
        server.ask("postgres", f"CREATE DATABASE {database}_saved TEMPLATE {database}")

    def restore() -> None:
        server.ask("postgres", f"DROP DATABASE {database}")
        server.ask("postgres", f"CREATE DATABASE {database} TEMPLATE {database}_saved")

    return Place(url=url, folder=folder, tamper=tamper, save=save, restore=restore)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Place]]:
    """Places for as many ledgers as a test asks for, on either engine."""
    numbers = itertools.count()
    server = request.getfixturevalue("cluster") if request.param == "postgresql" else None

    def new() -> Place:
        folder = tmp_path / f"place-{next(numbers)}"
        folder.mkdir()
        return sqlite_place(folder) if server is None else postgresql_place(folder, server)

    yield new
    if server is not None:
        server.drop_databases()


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    """Where a test's ledger is kept, on either engine."""
    return new_place()


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    """An empty one."""
    opened = place.open()
    yield opened
    opened.close()
