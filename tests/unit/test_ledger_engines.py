"""Both engines: schema and its migrations, addresses, durability, what a file or a server may do to a ledger."""

import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from daemon import ledger_schema, ledger_sqlite
from daemon.ledger import CloseState, LedgerUnavailable, Opened
from daemon.ledger_db import METADATA
from daemon.ledger_engines import Database
from daemon.ledger_store import Ledger
from tests.engines import TRUST, Cluster, Place
from tests.ledger_cases import at, counted, intended, intent, open_ledger, opened, receipt, request

FIRST_VERSION = Path(__file__).parents[1] / "data" / "ledger_first_version.sqlite"

# ---- schema ------------------------------------------------------------------------------------------------------------


def test_migrations_lead_to_the_tables_that_the_program_knows(place: Place) -> None:
    place.open().close()
    engine = sa.create_engine(place.url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_every_version_on_the_way_is_known() -> None:
    config = Config()
    config.set_main_option("script_location", "daemon:migrations")
    config.set_main_option("path_separator", "os")
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == ledger_schema.REVISIONS


def test_ledger_of_a_later_version_is_not_touched(place: Place) -> None:
    ledger = place.open()
    opened(ledger, at(0))
    ledger.close()
    place.tamper("UPDATE alembic_version SET version_num = '9999'")
    for read_only in (False, True):
        with pytest.raises(LedgerUnavailable, match="schema 9999 is newer"):
            place.open(read_only=read_only)


def test_file_of_a_later_version_without_a_table_of_versions_is_not_touched(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(LedgerUnavailable, match="schema 0007 is newer"):
        open_ledger(tmp_path)


def test_file_of_the_first_version_is_kept_and_migrated(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    shutil.copy(FIRST_VERSION, file)
    before = Ledger.open(f"sqlite:///{file}", read_only=True)
    rows = before.rows()
    before.close()
    ledger = open_ledger(tmp_path)
    assert ledger.rows() == rows
    assert ledger.verify() is None
    assert counted(ledger) == 42
    assert isinstance(ledger.open_session(request(), at(5000)), Opened)
    ledger.close()
    kept = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite.schema-0001'}", read_only=True)
    assert kept.rows() == rows
    kept.close()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute("DELETE FROM entries")


def test_migration_that_fails_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ledger.sqlite"
    shutil.copy(FIRST_VERSION, file)
    real = ledger_schema.migrate

    def fails(connection: sa.Connection, found: str | None) -> None:
        real(connection, found)
        raise LedgerUnavailable("the power went", "test", "")

    with monkeypatch.context() as patch, pytest.raises(LedgerUnavailable, match="the power went"):
        patch.setattr(ledger_schema, "migrate", fails)
        open_ledger(tmp_path)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    ledger = open_ledger(tmp_path)
    assert counted(ledger) == 42
    ledger.close()


def test_two_chairs_that_come_first_make_one_ledger(cluster: Cluster) -> None:
    url = cluster.empty_database()
    first = Ledger.open(url, trust=TRUST)
    opened(first, at(0))
    second = Ledger.open(url, trust=TRUST)
    assert len(second.rows()) == 1
    first.close()
    second.close()


def test_reading_an_empty_database_creates_nothing(cluster: Cluster) -> None:
    url = cluster.empty_database()
    with pytest.raises(LedgerUnavailable, match="there is no ledger"):
        Ledger.open(url, read_only=True, trust=TRUST)
    assert cluster.ask(sa.make_url(url).database or "", "SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []


# ---- what the database itself refuses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["UPDATE entries SET patient = 'P2'", "DELETE FROM entries", "TRUNCATE entries"])
def test_server_itself_refuses_to_change_a_row(cluster: Cluster, statement: str) -> None:
    url = cluster.ledger_database()
    ledger = Ledger.open(url, trust=TRUST)
    opened(ledger, at(0))
    database = Database(url, trust=TRUST)
    with pytest.raises(LedgerUnavailable, match="append-only"), database.writing(at(1)) as turn:
        turn.connection.exec_driver_sql(statement)
    assert len(ledger.rows()) == 1
    database.close()
    ledger.close()


@pytest.mark.parametrize("setting", ["synchronous_commit", "fsync", "full_page_writes"])
def test_server_that_does_not_flush_its_commits_is_refused(cluster: Cluster, setting: str) -> None:
    if setting == "synchronous_commit":
        url = cluster.ledger_database()
        cluster.ask("postgres", f"ALTER DATABASE {sa.make_url(url).database} SET synchronous_commit = off")
        server = None
    else:
        server = Cluster(flushes=True)
        server.stop()
        server.start(**{setting: "off"})
        url = server.empty_database()
    with pytest.raises(LedgerUnavailable, match="not durable"):
        Ledger.open(url)
    if server is not None:
        server.remove()


# ---- addresses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://atmsd:hunter2@127.0.0.1:1/ledger",
        "postgresql+psycopg://atmsd@127.0.0.1:1/ledger?password=hunter2",
        "postgresql+psycopg:atmsd:hunter2@127.0.0.1/ledger",
        "oracle://atmsd:hunter2@127.0.0.1/ledger",
    ],
)
def test_password_is_told_to_nobody(url: str) -> None:
    with pytest.raises(LedgerUnavailable) as caught:
        Ledger.open(url)
    assert "hunter2" not in str(caught.value)


def test_server_that_is_not_there_is_told_in_one_line() -> None:
    with pytest.raises(LedgerUnavailable, match=r"PostgreSQL database ledger on 127\.0\.0\.1: .*refused") as caught:
        Ledger.open("postgresql+psycopg://atmsd@127.0.0.1:1/ledger")
    assert "\n" not in str(caught.value)


# ---- the file -------------------------------------------------------------------------------------------------------------


def test_disk_with_little_room_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = open_ledger(tmp_path)
    session = opened(ledger, at(0))
    monkeypatch.setattr(ledger_sqlite, "MIN_FREE_BYTES", 10**18)
    with pytest.raises(LedgerUnavailable, match="MB are free"):
        ledger.open_session(request(patient="P2", chair="chair-2"), at(1))
    asked = intended(ledger, intent(session, 1, at(1)), at(1))  # a session that has its reservation goes on
    ledger.receive(receipt(asked), at(5))
    ledger.close_session(session.session_id, CloseState.PARTIAL, "disk", at(6))
    assert len(ledger.rows()) == 4
    ledger.close()


def test_every_commit_is_flushed_to_the_disk(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with database.reading() as connection:
        modes = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")]
    assert modes == ["wal", 2]
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


def test_locked_ledger_promises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_sqlite, "BUSY_TIMEOUT_MS", 1)
    ledger, other = open_ledger(tmp_path), Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with other.writing(at(0)), pytest.raises(LedgerUnavailable, match="locked"):
        ledger.open_session(request(), at(0))
    assert ledger.rows() == ()
    ledger.close()
    other.close()


def test_file_that_is_no_ledger_is_told_and_left_alone(tmp_path: Path) -> None:
    stranger = tmp_path / "ledger.sqlite"
    stranger.write_text("a letter of some length, and no database at all\n" * 40, encoding="utf-8")
    before = stranger.read_bytes()
    with pytest.raises(LedgerUnavailable, match="not a database"):
        open_ledger(tmp_path)
    assert stranger.read_bytes() == before


def test_reading_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="there is no ledger"):
        Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}", read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("sqlite:////no/such/folder/ledger.sqlite", "cannot be created"),
        ("not a url", "no database URL"),
        ("mysql://somewhere/db", "only SQLite and PostgreSQL"),
        ("sqlite://", "without options"),
        ("sqlite:////tmp/ledger.sqlite?mode=memory", "without options"),
    ],
)
def test_address_that_leads_nowhere_is_told(url: str, fault: str) -> None:
    with pytest.raises(LedgerUnavailable, match=fault):
        Ledger.open(url)
