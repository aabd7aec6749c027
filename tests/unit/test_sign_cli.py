"""`atmsd sign`: the figures are read out, somebody says yes, and the name stands below them."""

from pathlib import Path

import typer
from typer.testing import CliRunner

from daemon.sign_cli import sign_file
from daemon.signed_file import read_signed

WHO = ("--name", "Ada", "--role", "physician", "--meaning", "checked")


def run(path: Path, *words: str, code: int = 0, answer: str = "") -> str:
    app = typer.Typer()
    app.command()(sign_file)
    result = CliRunner().invoke(app, [str(path), *words], input=answer)
    assert result.exit_code == code, result.output
    return result.output


def test_figures_are_read_out_and_signed_after_a_yes(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text("max = 1\n", encoding="utf-8")
    assert "nothing was signed" in run(path, *WHO, code=1, answer="n\n")
    assert path.read_text(encoding="utf-8") == "max = 1\n"
    shown = run(path, *WHO, answer="y\n")
    assert "max = 1" in shown
    assert read_signed(path).signatures[0].role == "physician"
    assert "signed before by Ada as physician" in run(path, "--name", "Ben", "--role", "site administrator", "--meaning", "seen", "--yes")
    assert read_signed(path).signers() == ("Ada", "Ben")


def test_file_that_cannot_be_signed_ends_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    assert "cannot be read" in run(path, *WHO, "--yes", code=65)
    path.write_text("max = \n", encoding="utf-8")
    assert "not TOML" in run(path, *WHO, "--yes", code=65)
