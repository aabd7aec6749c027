"""The history on disk: numbered, chained, never written over; damage is told by name."""

from pathlib import Path

import msgspec
import pytest

from calibration.store import Acceptance, Book
from daemon.calibration_files import ACCEPTED, History, HistoryFault
from tests.unit.test_calibration_store import COIL, POINTER, accepted


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "state" / "calibration")


def test_an_empty_history_has_no_versions_and_nobody_accepted_anything(history: History) -> None:
    assert (history.versions("pointer"), history.book()) == ((), Book())


def test_calibrations_of_each_tool_are_numbered_and_chained(history: History) -> None:
    first, second, other = history.add(POINTER), history.add(POINTER), history.add(COIL)
    assert [(each.version, each.previous_sha256) for each in (first, second, other)] == [(1, None), (2, first.sha256), (1, None)]
    assert history.versions("pointer") == (1, 2)
    assert history.read("pointer", 2) == second


def test_figures_that_are_no_numbers_are_not_kept(history: History) -> None:
    with pytest.raises(HistoryFault, match="no number"):
        history.add(msgspec.structs.replace(POINTER, numbers={"rms_mm": float("nan")}))
    assert history.versions("pointer") == ()


def test_a_damaged_one_keeps_its_number_and_ends_the_chain(history: History) -> None:
    history.add(POINTER)
    (history.folder / "pointer-0001.json").write_text("{}")
    assert (history.add(POINTER).version, history.read("pointer", 2).previous_sha256) == (2, None)


def test_one_that_was_altered_is_refused(history: History) -> None:
    history.add(POINTER)
    path = history.folder / "pointer-0001.json"
    path.write_text(path.read_text().replace("-157.0", "-156.0"))
    with pytest.raises(HistoryFault, match="hash") as fault:
        history.read("pointer", 1)
    assert not fault.value.is_missing


def test_one_that_is_missing_is_told_apart(history: History) -> None:
    with pytest.raises(HistoryFault) as fault:
        history.read("coil", 7)
    assert fault.value.is_missing


def test_a_file_under_another_number_is_refused(history: History) -> None:
    history.add(POINTER)
    path = history.folder / "pointer-0001.json"
    path.rename(history.folder / "pointer-0009.json")
    with pytest.raises(HistoryFault, match="version 1"):
        history.read("pointer", 9)


def test_acceptances_are_kept_in_order(history: History) -> None:
    first, second = history.add(POINTER), history.add(POINTER)
    for record in (second, first):
        history.accept(accepted(record))
    newest = history.book().newest("pointer")
    assert newest is not None and newest.version == 1
    assert len(history.book().acceptances) == 2


def test_an_altered_list_of_acceptances_is_refused_and_kept(history: History) -> None:
    history.accept(accepted(history.add(POINTER)))
    path = history.folder / ACCEPTED
    altered = path.read_text().replace('"E"', '"F"')
    path.write_text(altered)
    with pytest.raises(HistoryFault, match="hash"):
        history.book()
    with pytest.raises(HistoryFault):
        history.accept(Acceptance(tool="coil", version=1, record_sha256="", by="E", utc=""))
    assert path.read_text() == altered


def test_a_number_in_use_is_never_written_over(history: History) -> None:
    history.folder.mkdir(parents=True)
    history.add(POINTER)
    with pytest.raises(HistoryFault, match="there already"):
        history._create(history.folder / "pointer-0001.json", b"")
    assert history.read("pointer", 1).tip_in_pointer_mm == POINTER.tip_in_pointer_mm


def test_a_folder_that_cannot_be_made_is_one_clear_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HistoryFault, match="cannot be written"):
        History(tmp_path / "file" / "calibration").add(POINTER)


def test_reports_are_numbered_also_after_a_half_written_one(history: History) -> None:
    assert history.add_report(b"{}\n", "text\n").name == "qa-0001.json"
    (history.folder / "qa-0002.txt").write_text("half")
    path = history.add_report(b"{}\n", "text\n")
    assert (path.name, path.with_suffix(".txt").read_text()) == ("qa-0003.json", "text\n")


def test_what_is_kept_is_readable_json(history: History) -> None:
    history.add(COIL)
    content = msgspec.json.decode((history.folder / "coil-0001.json").read_bytes())
    assert content["content"]["coiltool_from_coil"][0][3] == 4.0
