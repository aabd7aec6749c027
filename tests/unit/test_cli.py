"""The command line: exit codes, one clear error, and what it hands over."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from daemon import cli

CHAIR = """
[chair]
name = "chair 1"
[site]
timezone = "Mars/Olympus"
basis = "test"
signed_by = "nobody in particular"
[tracker]
kind = "ndi"
endpoint = "tcp://127.0.0.1:8765"
latency_ms = 14.0
colour = "red"
[limitz]
"""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "daemon", *words], capture_output=True, text=True, timeout=60, check=False)


def test_unknown_words_exit_with_64() -> None:
    assert run("bogus").returncode == cli.EX_USAGE
    assert run("plan", "make").returncode == cli.EX_USAGE


def test_check_config_reports_every_fault_with_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "chair.toml"
    path.write_text(CHAIR)
    result = run("check-config", str(path))
    assert result.returncode == cli.EX_CONFIG
    lines = result.stderr.splitlines()
    assert all(line.startswith(str(path)) for line in lines)
    for key in ("[limitz]", "[tools]", "[stimulator]", "colour"):
        assert any(key in line for line in lines), key
    assert "Traceback" not in result.stderr


def test_a_missing_chair_file_is_one_clear_line(tmp_path: Path) -> None:
    result = run("run", "--config", str(tmp_path / "none.toml"))
    assert result.returncode == cli.EX_CONFIG
    assert len(result.stderr.splitlines()) == 1


def test_version_says_program_protocol_and_schema() -> None:
    facts = json.loads(run("--version", "--json").stdout)
    assert set(facts) == {"atmsd", "api", "schema_sha256"}


@pytest.mark.parametrize("word", ["demo", "sim", "watch"])
def test_screens_and_simulators_are_programs_of_their_own(word: str) -> None:
    result = run(word, "--help")
    assert result.returncode == 0
    assert "usage" in result.stdout.lower()
