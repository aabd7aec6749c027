"""`atmsd ledger backup | restore`: copies that hold, and a restored ledger on which nothing starts before people have made it whole."""

import fcntl
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from daemon import ledger_backup_cli
from daemon.config import Config, load_config
from daemon.config import chair_file as file_of
from daemon.day import DoseReason
from daemon.ledger import CloseState, Entered, External, Opened
from daemon.ledger_store import Ledger
from daemon.witness import Witness
from tests.chairs import chair_file
from tests.ledger_cases import LIMITS, at, given, opened, reasons, request

app = Typer()
ledger_backup_cli.register(app)


@pytest.fixture
def chair(tmp_path: Path) -> Path:
    return chair_file(tmp_path)


def run(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def ledger_of(config: Config) -> Ledger:
    return Ledger.open(config.ledger.url, witness=Witness(file_of(config, "witness")))


def spoiled(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TRIGGER entries_refuse_update")
        connection.execute("UPDATE entries SET body = replace(body, '\"pulses\":30', '\"pulses\":3') WHERE seq = 3")


def test_restored_ledger_starts_nothing_until_two_people_have_made_it_whole(chair: Path, tmp_path: Path) -> None:
    config, copy = load_config(chair), tmp_path / "monday.sqlite"
    ledger = ledger_of(config)
    given(ledger, 0)
    assert "8 rows, each as it was written" in run("backup", copy, "--config", chair)
    given(ledger, 2000)
    ledger.close()

    assert "Nothing starts on it" in run("restore", copy, "--config", chair, "--yes")
    ledger = ledger_of(config)
    assert ledger.verify() is None
    assert reasons(ledger.open_session(request(), at(4000))) == {DoseReason.LEDGER_REWOUND}
    lost = External(
        pulses=90,
        first_pulse_utc_us=at(2006).utc_us,
        last_pulse_utc_us=at(2030).utc_us,
        site="this chair, after the backup",
        by=("Ada", "Ben"),
        reason="from the session's report",
    )
    assert isinstance(ledger.enter_external("P1", lost, at(4001)), Entered)
    assert reasons(ledger.open_session(request(), at(4002))) == {DoseReason.LEDGER_REWOUND}
    ledger.accept_ledger(("Ada", "Ben"), "disk replaced, Monday's copy restored", at(4003))
    verdict = ledger.verdict("P1", 90, LIMITS, at(4004))
    assert (verdict.pulses_today, verdict.sessions_today, verdict.reasons) == (180, 2, ())
    assert isinstance(ledger.open_session(request(), at(4005)), Opened)
    ledger.close()


def test_what_was_there_before_is_kept(chair: Path, tmp_path: Path) -> None:
    config, copy = load_config(chair), tmp_path / "copy.sqlite"
    ledger = ledger_of(config)
    given(ledger, 0)
    run("backup", copy, "--config", chair)
    session = opened(ledger, at(2000))
    ledger.close_session(session.session_id, CloseState.ABORTED, "stopped", at(2001))
    rows = ledger.rows()
    ledger.close()
    run("restore", copy, "--config", chair, "--yes")
    (kept,) = tmp_path.glob("ledger.sqlite.before-restore-*Z")
    before = Ledger.open(f"sqlite:///{kept}", read_only=True)
    assert before.rows() == rows
    before.close()


def test_backup_is_made_beside_a_writer_and_is_its_owners_alone(chair: Path, tmp_path: Path) -> None:
    ledger = ledger_of(load_config(chair))
    session = opened(ledger, at(0))
    run("backup", tmp_path / "copy.sqlite", "--config", chair)
    ledger.close_session(session.session_id, CloseState.ABORTED, "stopped", at(1))
    ledger.close()
    assert stat.S_IMODE((tmp_path / "copy.sqlite").stat().st_mode) == 0o600


def test_backup_overwrites_nothing(chair: Path, tmp_path: Path) -> None:
    ledger_of(load_config(chair)).close()
    (tmp_path / "copy.sqlite").write_text("dear diary", encoding="utf-8")
    assert "exists" in run("backup", tmp_path / "copy.sqlite", "--config", chair, code=73)
    assert (tmp_path / "copy.sqlite").read_text(encoding="utf-8") == "dear diary"


def test_backup_of_a_ledger_that_was_changed_is_no_backup(chair: Path, tmp_path: Path) -> None:
    ledger = ledger_of(load_config(chair))
    given(ledger, 0)
    ledger.close()
    spoiled(tmp_path / "ledger.sqlite")
    assert "row 3 breaks the chain" in run("backup", tmp_path / "copy.sqlite", "--config", chair, code=65)
    assert not (tmp_path / "copy.sqlite").exists()


def test_copy_that_was_changed_is_not_restored(chair: Path, tmp_path: Path) -> None:
    ledger = ledger_of(load_config(chair))
    given(ledger, 0)
    run("backup", tmp_path / "copy.sqlite", "--config", chair)
    rows = ledger.rows()
    spoiled(tmp_path / "copy.sqlite")
    assert "row 3 breaks the chain" in run("restore", tmp_path / "copy.sqlite", "--config", chair, "--yes", code=65)
    assert ledger.rows() == rows
    ledger.close()


def test_nothing_is_restored_under_a_running_daemon(chair: Path, tmp_path: Path) -> None:
    config = load_config(chair)
    ledger_of(config).close()
    run("backup", tmp_path / "copy.sqlite", "--config", chair)
    with file_of(config, "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "stop its daemon" in run("restore", tmp_path / "copy.sqlite", "--config", chair, "--yes", code=69)
    assert list(tmp_path.glob("*before-restore*")) == []


def test_nothing_is_restored_without_a_yes(chair: Path, tmp_path: Path) -> None:
    ledger_of(load_config(chair)).close()
    run("backup", tmp_path / "copy.sqlite", "--config", chair)
    run("restore", tmp_path / "copy.sqlite", "--config", chair, code=1)
    assert list(tmp_path.glob("*before-restore*")) == []


def test_restoring_onto_an_empty_disk_needs_no_ledger_there(chair: Path, tmp_path: Path) -> None:
    ledger = ledger_of(load_config(chair))
    given(ledger, 0)
    ledger.close()
    run("backup", tmp_path / "copy.sqlite", "--config", chair)
    (tmp_path / "ledger.sqlite").unlink()
    run("restore", tmp_path / "copy.sqlite", "--config", chair, "--yes")
    assert len(list(tmp_path.glob("*before-restore*"))) == 0
    ledger = ledger_of(load_config(chair))
    assert len(ledger.rows()) == 8
    ledger.close()


def test_ledger_of_a_server_is_backed_up_by_the_servers_tools(chair: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    text = chair.read_text(encoding="utf-8").replace(
        'url = "sqlite:///ledger.sqlite"', 'url = "postgresql+psycopg://atmsd@somewhere/ledger"\nstate = "state"'
    )
    chair.write_text(text, encoding="utf-8")
    assert "pg_dump" in run("backup", tmp_path / "copy.sqlite", "--config", chair, code=64)


def test_missing_copy_and_missing_chair_file_are_told(chair: Path, tmp_path: Path) -> None:
    assert "there is no ledger" in run("restore", tmp_path / "none.sqlite", "--config", chair, "--yes", code=74)
    assert "none.toml" in run("backup", tmp_path / "copy.sqlite", "--config", tmp_path / "none.toml", code=78)
    assert "copied" in run("backup", tmp_path / "copy.sqlite", "--config", chair, code=74)
