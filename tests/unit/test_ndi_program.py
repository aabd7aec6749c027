"""`atmsd sim camera`: its options, the line that tells where it is, serial ports that come and go, faults from the command line."""

import argparse
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.ndi_wire import ReplyReader, TextReply
from drivers.transport import open_serial
from drivers.values import Owned
from sim.ndi_faults import CameraFaults, switch
from sim.ndi_program import add_arguments, main

DEADLINE_S = 20.0


@contextmanager
def program(*arguments: str, ending: signal.Signals = signal.SIGTERM) -> Iterator[dict[str, str]]:
    """The camera as a program of its own; its endpoints. It must end with 0 on the signal."""
    words = [sys.executable, "-m", "sim", "camera", *arguments]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            told = json.loads(running.stdout.readline())
            assert told["ready"] is True
            yield told["endpoints"]
            running.send_signal(ending)
            assert running.wait(DEADLINE_S) == 0
            assert running.stdout.read() == b""
        finally:
            running.kill()


class Line:
    """A host at a serial port."""

    def __init__(self, port: Path) -> None:
        self._fd = open_serial(port, 9600)
        self._reader = ReplyReader()

    def say(self, words: bytes) -> None:
        os.write(self._fd, words)

    def hear(self) -> str:
        while (reply := self._reader.pull()) is None:
            readable, _, _ = select.select([self._fd], [], [], DEADLINE_S)
            assert readable, "nothing came"
            self._reader.push(os.read(self._fd, 4096))
        assert isinstance(reply, TextReply)
        return reply.text

    def close(self) -> None:
        os.close(self._fd)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_serial_port_is_linked_answers_and_is_gone_at_the_end(tmp_path: Path, ending: signal.Signals) -> None:
    link = tmp_path / "camera"
    link.symlink_to("/nowhere")
    with program("--model", "spectra", "--pty", str(link), ending=ending) as endpoints:
        assert endpoints == {"camera": f"serial:{link}", "pty": str(link)}
        for _ in range(2):  # hosts come and go
            line = Line(link)
            line.say(b"INIT:E3A5\r")
            assert line.hear() == "OKAY"
            line.say(b"COMM:500000048\r")
            assert line.hear() == "OKAY"
            line.say(b"\0")
            assert line.hear() == "RESET"
            line.say(b"PHSR:0020FF\r")
            assert line.hear() == "ERROR10"
            line.close()
    assert not link.is_symlink()


def test_one_camera_is_at_both_places_and_a_quiet_serial_host_does_not_hold_it(tmp_path: Path) -> None:
    with program("--tcp", "0", "--pty", str(tmp_path / "camera")) as endpoints:
        assert endpoints["camera"] == endpoints["tcp"]
        line = Line(tmp_path / "camera")
        line.say(b"INIT \r")
        assert line.hear() == "OKAY"
        line.close()
        host, _, port = endpoints["tcp"].removeprefix("tcp://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as link:
            reader, text = ReplyReader(), "ERROR39"
            while text == "ERROR39":  # until the other is quiet for long enough
                link.sendall(b"INIT \r")
                while (reply := reader.pull()) is None:
                    reader.push(link.recv(4096))
                assert isinstance(reply, TextReply)
                text = reply.text
            assert text == "OKAY"


def test_a_serial_port_is_one_owners(tmp_path: Path) -> None:
    with program("--pty", str(tmp_path / "camera")):
        line = Line(tmp_path / "camera")
        with pytest.raises(Owned):
            open_serial(tmp_path / "camera", 9600)
        line.close()


def run_main(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--tcp", "host:"), 64),
        (("--tcp", ":8765"), 64),
        (("--tcp", "70000"), 64),
        (("--model", "vicra", "--rate", "400", "--tcp", "0"), 64),
        (("--rate", "10", "--tcp", "0"), 64),
        (("--fault", "cracked", "--tcp", "0"), 64),
        (("--fault", "missing@soon", "--tcp", "0"), 64),
        (("--fault", "bad_crc=many", "--tcp", "0"), 64),
    ],
)
def test_a_bad_option_ends_with_a_code_and_one_line(arguments: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(*arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("--")


def test_a_file_in_the_place_of_the_link_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "camera").write_text("mine")
    assert run_main("--pty", str(tmp_path / "camera")) == 73
    assert "--pty" in capsys.readouterr().err and (tmp_path / "camera").read_text() == "mine"


# ---- faults by name -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("missing", "missing", {"*"}),
        ("missing=coil,head", "missing", {"coil", "head"}),
        ("missing=", "missing", set()),
        ("hidden_markers=coil:2", "hidden_markers", {"coil": 2}),
        ("errors=BX:0C,TX:10", "errors", {"BX": 0x0C, "TX": 0x10}),
        ("errors=", "errors", {}),
        ("silent", "silent", True),
        ("silent=off", "silent", False),
        ("silent=", "silent", False),
        ("bad_crc", "bad_crc", 1),
        ("bad_crc=7", "bad_crc", 7),
        ("bad_crc=", "bad_crc", 0),
        ("drop=0.2", "drop", 0.2),
        ("drop", "drop", 1.0),
        ("hold_ms=300", "hold_ms", 300.0),
    ],
)
def test_a_fault_is_turned_by_its_name(text: str, name: str, value: object) -> None:
    faults = CameraFaults(missing={"pointer"}, bad_crc=5, silent=True, errors={"X": 1})
    switch(faults, text)
    assert getattr(faults, name) == value


@pytest.mark.parametrize("text", ["cracked", "held_until_ns=5", "silent=perhaps", "bad_crc=x", "errors=BX", "drop=much"])
def test_a_fault_that_there_is_not_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=text.partition("=")[0]):
        switch(CameraFaults(), text)


def test_a_fault_that_is_asked_for_later_comes_then(tmp_path: Path) -> None:
    with program("--pty", str(tmp_path / "camera"), "--fault", "errors=APIREV:15@1"):
        line = Line(tmp_path / "camera")
        line.say(b"APIREV:443E\r")
        assert line.hear() == "G.003.005"
        heard = "G.003.005"
        while heard != "ERROR15":
            line.say(b"APIREV:443E\r")
            heard = line.hear()
        line.close()
