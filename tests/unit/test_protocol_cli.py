"""`atmsd protocol` as a person meets it: columns, reasons, exact schedules, exit codes."""

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from daemon.protocol import protocol_files
from daemon.protocol_cli import app
from tests import sites
from tests.chairs import chair_file


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def lines(*words: str) -> list[str]:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.mark.parametrize("words", ["list", "courses", "tables", "show itbs1800", "show course.saint", "expand itbs600"])
def test_text_fits_a_terminal_of_80_columns(words: str) -> None:
    assert [line for line in lines(*words.split()) if len(line) > 80] == []


def test_list_says_of_each_protocol_what_supports_it_and_whether_it_may_be_used() -> None:
    text = "\n".join(lines("list"))
    assert "itbs600                  50/5    600 120   3:11.8   3:12.0  CLEARED_EXACT, yes" in text
    assert "rtms10_dash_3000           10   3000 120  18:33.9  18:34.0  OUTSIDE, no" in text
    assert "- rests on memory: believed to be cleared for NeuroStar with K160703; a" in text


def test_list_holds_every_protocol_with_its_reasons_as_json() -> None:
    views = {view["id"]: view for view in json.loads(run("list", "--json").stdout)}
    assert views.keys() == protocol_files().keys()
    assert (views["itbs1800"]["usable"], views["itbs1800"]["against"]) == (True, [])
    assert (views["h1_18hz_1980"]["usable"], views["h1_18hz_1980"]["support"]) == (False, "OUTSIDE")


def test_site_s_word_changes_what_is_usable_here(tmp_path: Path) -> None:
    config = chair_file(tmp_path)
    site = tmp_path / "site"
    sites.enable(site, "rtms10_5on25off_3000", basis="off_label:Physician A")
    sites.sign_tables(site, "rossi2009", "chen1997")
    view = json.loads(run("show", "rtms10_5on25off_3000", "--json", "--config", str(config)).stdout)
    assert (view["usable"], view["support"], view["basis"]) == (True, "WITHIN_TABLE", "off_label:Physician A")


def test_chair_s_stimulator_and_limits_are_asked(tmp_path: Path) -> None:
    config = chair_file(tmp_path, limits="max_sessions_per_day = 5")
    text = "\n".join(lines("show", "itbs1800", "--config", str(config)))
    assert "max_sessions_per_day in the protocol layer: LOOSENS" in text
    assert "a train of 40 s runs on when the host dies" in " ".join(lines("show", "cTBS600", "--config", str(config)))


def test_show_gives_each_figure_with_its_mark_and_source() -> None:
    text = lines("show", "itbs1800")
    assert any(line.split() == ["trains", "60", "computed"] for line in text)
    assert any(line.split() == ["limits.max_sessions_per_day", "10", "verified"] for line in text)
    assert "usable here: yes" in text
    assert any("10.1176/appi.ajp.2019.19070720" in line for line in text)


def test_show_knows_courses_too() -> None:
    text = " ".join(lines("show", "course.one_d"))
    assert "30 min onset to onset" in text and "max_sessions_per_day in the protocol layer: LOOSENS" in text


def test_courses_say_what_is_not_found_in_print() -> None:
    text = "\n".join(lines("courses"))
    assert "course.george2014           3    3   54000 not found     rtms10_5on10off_6000" in text
    assert "course.dmpfc_2x_60min       2   20 unknown 60 min pause  unknown" in text


def test_course_of_a_protocol_that_may_not_be_used_says_so() -> None:
    views = {view["id"]: view for view in json.loads(run("courses", "--json").stdout)}
    assert views["course.saint"]["usable"]
    assert views["course.george2014"]["against"] == ["rtms10_5on10off_6000 may not be used here: see `atmsd protocol show`"]


def test_tables_are_printed_to_be_compared_with_the_paper(tmp_path: Path) -> None:
    text = "\n".join(lines("tables"))
    assert "rossi2009: Rossi 2009, table 4; not signed: counts for nothing" in text
    assert sites.sha256_of("rossi2009") in text
    config = chair_file(tmp_path)
    sites.sign_tables(tmp_path / "site", "rossi2009", "cleared")
    assert "rossi2009: Rossi 2009, table 4; signed" in lines("tables", "--config", str(config))


def test_schedule_has_every_onset_and_the_published_checksum() -> None:
    onsets = [line.split(",")[2] for line in lines("expand", "itbs600", "--csv")[1:]]
    assert (len(onsets), onsets[3], onsets[30], onsets[-1]) == (600, "200000", "10000000", "191840000")
    sha256 = hashlib.sha256("".join(f"{onset}\n" for onset in onsets).encode()).hexdigest()
    assert sha256 == "ab466ada1e590e5fa89e30925613fa0120a55c000c5a008301ecdaac970b80a5"
    assert f"schedule sha256 {sha256}" in lines("expand", "itbs600")
    told = json.loads(run("expand", "itbs600", "--json").stdout)
    assert (told["schedule_sha256"], len(told["onset_us"])) == (sha256, 600)


def test_session_clock_runs_from_the_first_pulse() -> None:
    assert lines("expand", "rtms10_std_3000", "--csv")[-1] == "3000,75,2223900000,0:37:03.900000"


def test_day_of_a_course_is_hourly() -> None:
    rows = [line.split(",") for line in lines("expand", "itbs1800", "--course", "saint", "--csv")]
    assert [row[1] for row in rows[1:]] == [str(session * 3_600_000_000) for session in range(10)]


def test_day_of_a_course_may_have_fewer_sessions(tmp_path: Path) -> None:
    config = chair_file(tmp_path)
    text = Path("daemon/courses/course.saint.toml").read_text(encoding="utf-8").replace("course.saint", "course.ours")
    sites.signed(tmp_path / "site/courses/course.ours.toml", text.replace("[10, 10, 10, 10, 10]", "[2, 3]"), sites.PHYSICIAN)
    words = ("expand", "itbs1800", "--course", "ours", "--csv", "--config", str(config))
    assert (len(lines(*words)), len(lines(*words, "--day", "2"))) == (3, 4)
    assert run(*words, "--day", "3").exit_code == 64


def test_late_session_shifts_the_rest_of_the_day() -> None:
    given = ("--given", "2026-05-04T09:00:00Z/2026-05-04T09:10:11.84Z", "--at", "2026-05-04T09:11:00Z")
    told = json.loads(run("expand", "itbs1800", "--course", "saint", *given, "--json").stdout)
    assert [session["given"] for session in told["sessions"]] == [True] + [False] * 9
    assert told["sessions"][1]["onset_us"] - told["sessions"][0]["last_us"] == 3_000_000_000
    assert "      2 2026-05-04T10:00:11.840Z 2026-05-04T10:10:03.680Z" in lines("expand", "itbs1800", "--course", "saint", *given)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("show", "nope"), 64, "there is no protocol 'nope'"),
        (("show", "course.nope"), 64, "there is no course 'course.nope'"),
        (("expand", "itbs600", "--course", "saint"), 64, "is a course of itbs1800, not of itbs600"),
        (("expand", "itbs600", "--course", "brocker2019"), 64, "not known"),
        (("expand", "itbs1800", "--course", "saint", "--day", "6"), 64, "has days 1 to 5"),
        (("expand", "itbs1800", "--course", "saint", "--day", "0"), 64, "has days 1 to 5"),
        (("expand", "itbs1800", "--given", "2026-05-04T09:00:00Z/2026-05-04T09:10:00Z"), 64, "--given needs --course"),
        (("expand", "itbs1800", "--course", "saint", "--given", "9:00/9:10"), 64, "'9:00' is no moment with its zone"),
        (("expand", "itbs1800", "--course", "saint", "--given", "2026-05-04T09:00:00/2026-05-04T09:10:00"), 64, "no moment with its zone"),
        (("expand", "itbs1800", "--course", "saint", "--given", "2026-05-04T09:00:00Z/2026-05-04T08:00:00Z"), 64, "before the first"),
        (("list", "--config", "nowhere.toml"), 78, "nowhere.toml: cannot be read"),
    ],
)
def test_each_refusal_is_one_line_with_its_exit_code(words: tuple[str, ...], code: int, said: str) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_unsound_file_of_the_site_is_a_matter_of_configuration(tmp_path: Path) -> None:
    config = chair_file(tmp_path)
    sites.signed(tmp_path / "site/protocols/ours.toml", "id = 1\n", sites.PHYSICIAN)
    result = run("list", "--config", str(config))
    assert result.exit_code == 78
    assert "ours.toml" in result.stderr and len(result.stderr.strip().splitlines()) == 1
