"""`sim magventure` as a program: one line that tells the port, faults and hands from the command line, a clean end."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.magventure_command_wire import AskStatus, Command, SetAmplitude, SetEnabled, Trigger, encode_command
from drivers.magventure_frame_wire import FrameReader
from drivers.magventure_wire import AmplitudeReport, CoilReport, Event, ShortStatus, decode_event
from sim.__main__ import main

DEADLINE_S = 10.0


class Client:
    """A host on the port of a simulator."""

    def __init__(self, port: Path) -> None:
        self.fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._reader = FrameReader()

    def say(self, *commands: Command) -> None:
        for command in commands:
            os.write(self.fd, encode_command(command))

    def until(self, holds: Callable[[list[Event]], bool]) -> list[Event]:
        """What is said until it holds; fails when that takes too long."""
        events: list[Event] = []
        end_s = time.monotonic() + DEADLINE_S
        while not holds(events):
            readable, _, _ = select.select([self.fd], [], [], max(0.0, end_s - time.monotonic()))
            assert readable, f"not within {DEADLINE_S} s: {events}"
            events += [decode_event(body) for body in self._reader.feed(os.read(self.fd, 4096), time.monotonic_ns())]
        return events


@contextmanager
def simulator(folder: Path, *options: str) -> Iterator[tuple[Client, dict[str, object]]]:
    """The program with a client on its port; ends it as a shell would, and it must end well."""
    link = folder / "magpro"
    command = [sys.executable, "-m", "sim", "magventure", "--pty", str(link), "--truth", str(folder / "truth.jsonl"), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            client = Client(link)
            yield client, ready
            os.close(client.fd)
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(DEADLINE_S)
    assert code == 0
    assert not os.path.lexists(link)


@pytest.mark.parametrize("model", ["r30", "r30-option", "x100", "x100-option", None])
def test_program_is_the_model_that_was_asked_for(tmp_path: Path, model: str | None) -> None:
    options = [] if model is None else ["--model", model]
    with simulator(tmp_path, *options) as (client, ready):
        assert ready == {"ready": True, "endpoints": {"stimulator": str(tmp_path / "magpro")}, "model": model or "x100-option"}
        client.say(AskStatus())
        (status,) = client.until(bool)
        assert isinstance(status, ShortStatus)
        assert status.bits.model == {"r30": 0, "x100": 1, "r30-option": 2}.get(str(model), 3)


def test_hands_at_the_panel_act_in_their_order_and_time(tmp_path: Path) -> None:
    hands = ["panel_amplitude=30", "panel_enable@0.1", "panel_fire@0.5", "coil_removed@0.7", "coil_plugged=56@0.8"]
    with simulator(tmp_path, *(word for hand in hands for word in ("--fault", hand))) as (client, _):
        events = client.until(lambda events: any(isinstance(event, CoilReport) and event.coil_type == 56 for event in events))
    assert [type(event).__name__ for event in events] == [
        *["AmplitudeReport", "AmplitudeReport", "CoilReport", "AmplitudeReport"],
        *["PulseFired", "CoilReport", "AmplitudeReport", "CoilReport"],
    ]
    records = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert [record["kind"] for record in records] == ["enabled", "pulse", "disabled"]
    assert records[1]["amplitude_pct"] == 30


def test_faults_of_the_device_are_turned_on_after_a_while(tmp_path: Path) -> None:
    with simulator(tmp_path, "--fault", "reports_temperature_c=90@0.3") as (client, _):
        (event,) = client.until(bool)
        assert isinstance(event, CoilReport)
        assert event.temperature_c == 90


def test_wrong_checksums_of_the_command_line_spoil_every_answer(tmp_path: Path) -> None:
    with simulator(tmp_path, "--fault", "wrong_crc") as (client, _):
        client.say(AskStatus())
        raw = b""
        while len(raw) < 13:
            assert select.select([client.fd], [], [], DEADLINE_S)[0]
            raw += os.read(client.fd, 4096)
        assert FrameReader().feed(raw, 0) == []
        assert FrameReader().feed(raw[:-2] + bytes((raw[-2] ^ 0xFF,)) + raw[-1:], 0)


def test_receipts_for_each_pulse_are_asked_for_by_an_option(tmp_path: Path) -> None:
    with simulator(tmp_path, "--receipts", "pulse") as (client, _):
        client.say(SetAmplitude(a_pct=0), SetEnabled(on=True), Trigger())
        events = client.until(lambda events: any(type(event).__name__ == "PulseFired" for event in events))
        assert any(isinstance(event, AmplitudeReport) and event.bits.enabled for event in events)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("tired", "there is no fault 'tired'"),
        ("silent=perhaps", "takes no 'perhaps'"),
        ("ignores_stop_ms=soon", "takes no 'soon'"),
        ("panel_amplitude=101", "a number from 1 to 100"),
        ("panel_rate", "a number from 1 to 1000"),
        ("panel_fire=3", "takes no value"),
        ("silent@later", "could not convert"),
    ],
)
def test_fault_that_there_is_not_is_one_clear_error(fault: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["magventure", "--fault", fault]) == 64
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""
