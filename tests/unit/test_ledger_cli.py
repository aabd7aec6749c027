"""`atmsd ledger`: what it prints, what it exits with, and that it disturbs nobody."""

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from daemon.ledger import CloseState
from daemon.ledger_cli import app
from daemon.ledger_store import Ledger
from tests.ledger_cases import LENGTH_NS, at, intended, intent, open_ledger, opened, receipt


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    """Held open as the daemon holds it. One train with a receipt, one without, a pulse from the panel, one outside any session."""
    held = open_ledger(tmp_path)
    session = opened(held, at(0))
    first = intended(held, intent(session, 1, at(1)), at(1))
    events = tuple(first.not_before_ns + burst * 200_000_000 for burst in range(10))
    held.receive(receipt(first, pulse_mono_ns=events), at(4))
    intended(held, intent(session, 2, at(12)), at(12))
    held.ungranted(session_id=session.session_id, patient=None, pulses=1, mono_ns=at(13).mono_ns, how="panel", moment=at(13))
    held.close_session(session.session_id, CloseState.PARTIAL, "cable", at(18))
    held.ungranted(session_id=None, patient="P1", pulses=1, mono_ns=None, how="panel", moment=at(19))
    yield held
    held.close()


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments, "--ledger", f"sqlite:///{folder / 'ledger.sqlite'}"])
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.usefixtures("ledger")
def test_export_tells_each_train_and_what_its_count_rests_on(tmp_path: Path) -> None:
    whole = json.loads(run(tmp_path, "export", "--json"))
    assert (whole["schema"], whole["verified"], len(whole["rows"])) == ("atmsd.ledger/1", True, 7)
    (session,) = whole["sessions"]
    assert (session["state"], session["planned_pulses"], session["counted_pulses"]) == ("PARTIAL", 90, 61)
    first, second = session["trains"]
    assert (first["train"], first["grant_no"], first["run_id"], first["amplitude_pct"]) == (1, 1, "run-1", 54)
    assert (first["basis"], first["intended_pulses"], first["counted_pulses"]) == ("receipt", 30, 30)
    assert first["pulse_mono_ns"][-1] == first["not_before_mono_ns"] + 1_800_000_000
    assert (first["first_pulse_mono_ns"], first["last_pulse_mono_ns"]) == (at(2).mono_ns, at(2).mono_ns + LENGTH_NS)
    assert (second["basis"], second["counted_pulses"], second["last_pulse_mono_ns"]) == ("intent_in_full", 30, None)
    assert session["ungranted"] == [{"pulses": 1, "utc": "2026-03-02T13:00:13.000000Z", "mono_ns": at(13).mono_ns, "how": "panel"}]
    assert session["last_pulse_mono_ns"] == second["expires_mono_ns"] + LENGTH_NS
    assert session["last_pulse_utc"] == "2026-03-02T13:00:16.840000Z"
    assert session["last_pulse_is_bound"]
    assert [each["pulses"] for each in whole["ungranted"]] == [1]


def test_export_of_an_open_session_says_so(tmp_path: Path) -> None:
    held = open_ledger(tmp_path)
    opened(held, at(0))
    (session,) = json.loads(run(tmp_path, "export"))["sessions"]
    assert (session["state"], session["closed_utc"], session["first_pulse_utc"]) == ("OPEN", None, None)
    assert session["boot_id"] == "boot-1"
    held.close()


@pytest.mark.usefixtures("ledger")
def test_export_as_table_has_one_line_a_train(tmp_path: Path) -> None:
    table = list(csv.DictReader(run(tmp_path, "export", "--csv").splitlines()))
    assert [(line["train"], line["basis"]) for line in table] == [("1", "receipt"), ("2", "intent_in_full")]
    assert sum(int(line["counted_pulses"]) for line in table) == 60


@pytest.mark.usefixtures("ledger")
def test_export_is_json_or_a_table(tmp_path: Path) -> None:
    assert "exclude each other" in run(tmp_path, "export", "--json", "--csv", code=64)


@pytest.mark.usefixtures("ledger")
def test_show_names_sessions_and_what_is_odd_about_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    shown = run(tmp_path, "show")
    for text in ("P1", "demo_itbs90", "PARTIAL", "61/90", "2026-03-02 13:00", "1 without a grant, trains in full: 1"):
        assert text in shown
    assert "outside any session: 1" in shown
    assert "P1" not in run(tmp_path, "show", "--patient", "P2")


@pytest.mark.usefixtures("ledger")
def test_show_fits_80_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = run(tmp_path, "show").splitlines()
    assert any("PARTIAL" in line and "61/90" in line and "2026-03-02 13:00" in line for line in shown)


def test_recovered_session_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    held = open_ledger(tmp_path)
    opened(held, at(0))
    held.recover("chair-1", at(5))
    assert "recovered" in run(tmp_path, "show")
    held.close()


@pytest.mark.usefixtures("ledger")
def test_verify_accepts_a_whole_chain(tmp_path: Path) -> None:
    assert run(tmp_path, "verify").startswith("every row is as it was written")


@pytest.mark.usefixtures("ledger")
def test_verify_names_the_first_changed_row_with_exit_code_65(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection, connection:
        connection.execute("DROP TRIGGER entries_refuse_update")
        connection.execute("UPDATE entries SET body = replace(body, 'panel', 'pedal') WHERE seq = 5")
    assert "row 5 breaks the chain" in run(tmp_path, "verify", code=65)
    assert json.loads(run(tmp_path, "export"))["verified"] == {"first_bad_seq": 5}


@pytest.mark.usefixtures("ledger")
def test_ledger_that_cannot_be_understood_ends_with_exit_code_65(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection, connection:
        connection.execute("DROP TRIGGER entries_refuse_update")
        connection.execute("UPDATE entries SET body = 'x' WHERE seq = 5")
    assert "row 5 cannot be understood" in run(tmp_path, "show", code=65)


def test_torn_file_ends_with_exit_code_74(ledger: Ledger, tmp_path: Path) -> None:
    ledger.close()
    content = (tmp_path / "ledger.sqlite").read_bytes()
    (tmp_path / "ledger.sqlite").write_bytes(content[:4096] + b"\x5a" * (len(content) - 4096))
    assert "malformed" in run(tmp_path, "verify", code=74)


def test_missing_ledger_ends_with_exit_code_74_and_is_not_created(tmp_path: Path) -> None:
    assert "there is no ledger" in run(tmp_path, "verify", code=74)
    assert list(tmp_path.iterdir()) == []


def test_ledger_must_be_named_once(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["verify"]).exit_code == 64
    assert runner.invoke(app, ["verify", "--config", "chair.toml", "--ledger", "sqlite:///x"]).exit_code == 64
    result = runner.invoke(app, ["verify", "--config", str(tmp_path / "chair.toml")])
    assert result.exit_code == 78
    assert "chair.toml" in result.output


def test_reading_leaves_a_running_writer_alone(ledger: Ledger, tmp_path: Path) -> None:
    run(tmp_path, "show")
    session = opened(ledger, at(2000))
    assert len(json.loads(run(tmp_path, "export"))["sessions"]) == 2
    ledger.close_session(session.session_id, CloseState.ABORTED, "stopped", at(2001))
    assert "ABORTED" in run(tmp_path, "show")
