"""The watcher as a program: its lines, its silence and its ends; and the machine behind the silence."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients.watch import SILENT_AFTER_NS, Silence, listen
from daemon.config import NetworkSection
from daemon.messages import Heartbeat, SessionBody, Step, Word
from tests.running_bus import DEADLINE_S, RunningBus

BEAT = Heartbeat(state_rev=1, step=Step.AIM, chair="test", operator=None, hot_age_ms=None)
SESSION = SessionBody(state_rev=1, step=Step.AIM, word=Word.AIM)
T = 10**12


def test_it_falls_silent_after_one_and_a_half_seconds_and_says_so_once() -> None:
    start = Silence(last_heard_ns=T)
    just_before, word = listen(start, False, T + SILENT_AFTER_NS - 1)
    assert word is None
    silent, word = listen(just_before, False, T + SILENT_AFTER_NS)
    assert word == "silent"
    assert listen(silent, False, T + 2 * SILENT_AFTER_NS) == (silent, None)
    assert SILENT_AFTER_NS == 1_500_000_000


def test_it_says_once_that_the_daemon_is_back() -> None:
    silent = Silence(last_heard_ns=T, silent=True)
    back, word = listen(silent, True, T + 5)
    assert word == "back"
    assert listen(back, True, T + 6) == (Silence(last_heard_ns=T + 6), None)


def test_each_value_heard_starts_the_time_anew() -> None:
    heard, _ = listen(Silence(last_heard_ns=T), True, T + SILENT_AFTER_NS - 1)
    assert listen(heard, False, T + SILENT_AFTER_NS)[1] is None


@contextmanager
def watching(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The watcher as a child process, killed at the end if it still lives."""
    command = [sys.executable, "-m", "clients.watch", *arguments]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=buffered) as child:
        try:
            yield child
        finally:
            child.kill()


def next_line(child: subprocess.Popen[str]) -> Any:
    assert child.stdout is not None
    return json.loads(child.stdout.readline())


@pytest.fixture
def bus() -> Iterator[RunningBus]:
    with RunningBus() as running:
        running.publish("v1/hb", BEAT)
        yield running


def test_each_update_is_one_line_of_json(bus: RunningBus) -> None:
    with watching("--plain", "--commands", bus.commands, "--telemetry", bus.telemetry) as child:
        line = next_line(child)
    assert list(line) == ["topic", "header", "body"]
    assert (line["topic"], line["header"]["seq"], line["body"]["chair"]) == ("v1/hb", 1, "test")


def test_plain_may_be_left_out_and_topics_chosen(bus: RunningBus) -> None:
    bus.publish("v1/session", SESSION)
    with watching("--commands", bus.commands, "--telemetry", bus.telemetry, "--topic", "v1/session") as child:
        assert next_line(child)["topic"] == "v1/session"
        bus.publish("v1/hb", BEAT)
        bus.publish("v1/session", SESSION)
        assert [next_line(child)[key] for key in ("topic",)] == ["v1/session"]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_well_when_told_to(bus: RunningBus, end: signal.Signals) -> None:
    with watching("--commands", bus.commands, "--telemetry", bus.telemetry) as child:
        next_line(child)
        child.send_signal(end)
        assert child.wait(DEADLINE_S) == 0
        assert child.stderr is not None and child.stderr.read() == ""


def test_it_ends_well_when_nobody_reads_on(bus: RunningBus) -> None:
    with watching("--commands", bus.commands, "--telemetry", bus.telemetry) as child:
        next_line(child)
        assert child.stdout is not None and child.stderr is not None
        child.stdout.close()
        bus.publish("v1/hb", BEAT)
        assert child.wait(DEADLINE_S) == 0
        assert child.stderr.read() == ""


def test_silence_and_its_end_are_lines_too(tmp_path: Path) -> None:
    network = NetworkSection(commands=f"ipc://{tmp_path / 'c'}", telemetry=f"ipc://{tmp_path / 't'}")
    (tmp_path / "chair.toml").write_text(f'[network]\ncommands = "{network.commands}"\ntelemetry = "{network.telemetry}"\n')
    with watching("--plain", "--config", os.fspath(tmp_path / "chair.toml")) as child:
        assert next_line(child) == {"topic": "link", "state": "silent"}
        with RunningBus(network=network) as bus:
            bus.publish("v1/hb", BEAT)
            assert next_line(child) == {"topic": "link", "state": "back"}
            assert next_line(child)["topic"] == "v1/hb"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--colour",), 64, "--help"),
        (("--config", "no/such/file.toml"), 78, "cannot be read"),
        (("--telemetry", "nonsense"), 64, "nonsense"),
    ],
)
def test_wrong_use_is_one_line_and_its_own_code(arguments: tuple[str, ...], code: int, text: str) -> None:
    with watching(*arguments) as child:
        assert child.wait(DEADLINE_S) == code
        assert child.stderr is not None
        error = child.stderr.read()
    assert text in error and error.count("\n") == 1 and "Traceback" not in error
