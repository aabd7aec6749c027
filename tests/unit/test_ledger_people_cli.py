"""`atmsd ledger` where people enter something: what is shown, what is asked, what is written, and one clear line for each refusal."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from daemon.config import chair_file as state_file
from daemon.config import load_config
from daemon.host_clock import boot_id, moment
from daemon.ledger import ClockConfirmed, CloseState, External, Moment, Note, Opened, Reconciled
from daemon.ledger_cli import app as reading
from daemon.ledger_people_cli import register
from daemon.ledger_store import Ledger
from daemon.witness import Witness
from tests.chairs import chair_file
from tests.ledger_cases import intent, receipt, request

BY = ("--by", "Ada", "--by", "Ben", "--reason", "telephone")
ELSEWHERE = ("external", "--patient", "P1", "--pulses", "600", "--site", "the other hospital")
TIMES = ("--first-utc", "2026-03-02T12:00:00Z", "--last-utc", "2026-03-02T12:03:12Z")


@pytest.fixture
def chair(tmp_path: Path) -> Path:
    return chair_file(tmp_path)


def run(chair: Path, *words: str, code: int = 0, answer: str | None = None) -> str:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, [*words, "--config", str(chair), *(() if answer is not None else ("--yes",))], input=answer)
    assert result.exit_code == code, result.output
    return result.output


def ledger_of(chair: Path) -> Ledger:
    config = load_config(chair)
    return Ledger.open(config.ledger.url, witness=Witness(state_file(config, "witness")))


def bodies(chair: Path) -> list[object]:
    ledger = ledger_of(chair)
    try:
        return [row.content() for row in ledger.rows()]
    finally:
        ledger.close()


def crashed(chair: Path, ago_s: float = 60) -> str:
    """A session whose chair vanished a minute ago, with one train settled and one not."""
    then = moment(boot_id())
    then = Moment(utc_us=then.utc_us - round(ago_s * 1e6), mono_ns=then.mono_ns - round(ago_s * 1e9), boot_id=then.boot_id)
    ledger = ledger_of(chair)
    opened = ledger.open_session(request(), then)
    assert isinstance(opened, Opened), opened
    for train, seconds in ((1, 1), (2, 12)):
        now = Moment(utc_us=then.utc_us + seconds * 1_000_000, mono_ns=then.mono_ns + seconds * 1_000_000_000, boot_id=then.boot_id)
        asked = intent(opened, train, now)
        ledger.intend(asked, request().limits, now)
        if train == 1:
            ledger.receive(receipt(asked), now)
    ledger.close()
    return opened.session_id


# ---- asked and answered ------------------------------------------------------------------------------------------------


def test_nothing_is_written_before_somebody_says_yes(chair: Path) -> None:
    shown = run(chair, *ELSEWHERE, *TIMES, *BY, code=1, answer="n\n")
    for text in ("a session given elsewhere", "NOT KNOWN to this ledger", "600", "2026-03-02T12:03:12", "Ada, Ben", "nothing was written"):
        assert text in shown
    assert bodies(chair) == []
    run(chair, *ELSEWHERE, *TIMES, *BY, answer="y\n")
    (body,) = bodies(chair)
    assert isinstance(body, External)
    assert (body.pulses, body.by, body.site) == (600, ("Ada", "Ben"), "the other hospital")


def test_session_given_elsewhere_is_shown_as_external(chair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(chair, *ELSEWHERE, *TIMES, *BY)
    monkeypatch.setenv("COLUMNS", "140")
    shown = CliRunner().invoke(reading, ["show", "--config", str(chair)]).output
    for text in ("EXTERNAL", "600", "2026-03-02 12:03", "the other hospital", "row 1"):
        assert text in shown


def test_same_session_given_elsewhere_is_refused_the_second_time(chair: Path) -> None:
    run(chair, *ELSEWHERE, *TIMES, *BY)
    assert "not entered: external-1 of the same patient" in run(chair, *ELSEWHERE, *TIMES, *BY, code=1)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((*ELSEWHERE, *TIMES, "--by", "Ada", "--reason", "r"), "two different people"),
        ((*ELSEWHERE, *TIMES, "--by", "Ada", "--by", "ADA", "--reason", "r"), "two different people"),
        ((*ELSEWHERE, *TIMES, "--by", "Ada", "--by", "Ben", "--reason", " "), "why it is entered"),
        ((*ELSEWHERE, "--first-utc", "noon", "--last-utc", "2026-03-02T12:03:12Z", *BY), "no moment with its zone"),
        ((*ELSEWHERE, "--first-utc", "2026-03-02T12:00:00", "--last-utc", "2026-03-02T12:03:12Z", *BY), "no moment with its zone"),
        ((*ELSEWHERE, "--first-utc", "2026-03-02T13:00:00Z", "--last-utc", "2026-03-02T12:03:12Z", *BY), "not after its last"),
        (("accept", *BY), "nothing to accept"),
        (("reconcile", "none", *BY), "there is no session none"),
        (("note", " ", "--by", "Ada"), "says who and what"),
    ],
)
def test_entry_that_makes_no_sense_ends_with_one_line(chair: Path, words: tuple[str, ...], line: str) -> None:
    output = run(chair, *words, code=64)
    assert line in output
    assert "Traceback" not in output
    assert bodies(chair) == []


def test_entry_taken_back_names_what_it_was(chair: Path) -> None:
    run(chair, *ELSEWHERE, *TIMES, *BY)
    assert "600 pulses at the other hospital" in run(chair, "withdraw-external", "--patient", "P1", "--entry", "1", *BY)
    assert "no session given elsewhere" in run(chair, "withdraw-external", "--patient", "P1", "--entry", "1", *BY, code=1)


# ---- trains ------------------------------------------------------------------------------------------------------------


def test_train_of_a_vanished_chair_is_reconciled_and_its_session_closed(chair: Path) -> None:
    session = crashed(chair)
    shown = run(chair, "reconcile", session, "--train", "2=12", "--by", "Ada", "--reason", "counter of the device")
    for text in ("grant 2: counts 30 now, 12 then", "will be closed", "counts 42 pulses, trains in full: 0"):
        assert text in shown
    reconciled = [body for body in bodies(chair) if isinstance(body, Reconciled)]
    assert reconciled[0].reconciliation.by == ("Ada",)


def test_session_of_a_vanished_chair_can_be_closed_with_its_trains_in_full(chair: Path) -> None:
    assert "counts 60 pulses, trains in full: 1" in run(chair, "reconcile", crashed(chair), "--by", "Ada", "--reason", "no counter")


def test_session_whose_chair_is_alive_is_its_chairs_to_settle(chair: Path) -> None:
    assert "PATIENT_BUSY" in run(chair, "reconcile", crashed(chair, ago_s=20), "--by", "Ada", "--reason", "impatient", code=1)


@pytest.mark.parametrize("train", ["1=3", "2", "2=-1", "2=x", "9=1", "run-2:2=1", "=1"])
def test_train_that_does_not_count_in_full_cannot_be_named(chair: Path, train: str) -> None:
    session = crashed(chair)
    assert "run-1:2" in run(chair, "reconcile", session, "--train", train, "--by", "Ada", "--reason", "r", code=64)


# ---- the ledger and the clock --------------------------------------------------------------------------------------------


def test_restored_ledger_is_accepted_by_two_people(chair: Path) -> None:
    crashed(chair)
    Path(load_config(chair).ledger.url.removeprefix("sqlite:///")).unlink()
    shown = run(chair, "accept", *BY)
    assert "no such row" in shown
    (body,) = bodies(chair)
    assert isinstance(body, Note)
    ledger = ledger_of(chair)
    assert ledger.rewound() is None
    ledger.close()


def test_clock_is_confirmed_for_the_daemon_and_for_the_record(chair: Path) -> None:
    assert "sessions may start again" in run(chair, "confirm-clock", *BY)
    (body,) = bodies(chair)
    assert isinstance(body, ClockConfirmed)
    assert (body.chair, body.boot_id) == ("simulated-chair", boot_id())
    assert state_file(load_config(chair), "clock").exists()


def test_clock_confirmed_by_one_person_is_not_confirmed(chair: Path) -> None:
    assert "two different people" in run(chair, "confirm-clock", "--by", "Ada", "--reason", "sure", code=64)
    assert not state_file(load_config(chair), "clock").exists()


def test_confirmed_clock_behind_the_record_says_until_when_nothing_starts(chair: Path) -> None:
    config = load_config(chair)
    state_file(config, "clock").write_text(
        '{"boot_id": "earlier", "wall_minus_mono_us": 0, "read_mono_ns": 0, "high_water_utc_us": 4102444800000000}', encoding="utf-8"
    )
    assert "2100-01-01" in run(chair, "confirm-clock", *BY)


def test_note_is_written(chair: Path) -> None:
    run(chair, "note", "the chair was moved", "--by", "Ada", "--patient", "P1")
    assert bodies(chair) == [Note(by=("Ada",), what="the chair was moved", reason=None)]


def test_missing_chair_file_and_torn_ledger_end_with_their_exit_codes(chair: Path, tmp_path: Path) -> None:
    run(tmp_path / "none.toml", "note", "x", "--by", "Ada", code=78)
    Path(load_config(chair).ledger.url.removeprefix("sqlite:///")).write_bytes(b"\x5a" * 8192)
    assert "atmsd ledger:" in run(chair, "note", "x", "--by", "Ada", code=74)


def test_session_that_ended_in_order_has_nothing_to_reconcile(chair: Path) -> None:
    session = crashed(chair)
    ledger = ledger_of(chair)
    ledger.close_session(session, CloseState.PARTIAL, "cable", moment(boot_id()))
    ledger.close()
    assert "NO_OPEN_TRAIN" in run(chair, "reconcile", session, "--by", "Ada", "--reason", "r", code=1)
