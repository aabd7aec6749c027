"""The simulated camera on TCP and as a program: clients that come and go, signals, bad options."""

import argparse
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from drivers.ndi_wire import ReplyReader, TextReply
from sim.ndi_poses import SlowMotion
from sim.ndi_program import add_arguments, main
from sim.ndi_room_tools import ROOM_BODIES
from sim.ndi_sim import CameraSim


@pytest.fixture
def camera() -> Iterator[CameraSim]:
    camera = CameraSim("127.0.0.1", 0, 60, SlowMotion(ROOM_BODIES))
    camera.start()
    yield camera
    camera.stop()


@contextlib.contextmanager
def client(camera: CameraSim) -> Iterator[socket.socket]:
    with socket.create_connection(camera.endpoint, timeout=10.0) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield link


def read(link: socket.socket, reader: ReplyReader | None = None) -> str:
    reader = reader or ReplyReader()
    while (reply := reader.pull()) is None:
        data = link.recv(65536)
        assert data, "the camera hung up"
        reader.push(data)
    assert isinstance(reply, TextReply)
    return reply.text


def test_a_command_in_pieces_and_two_in_one_packet_are_answered_in_order(camera: CameraSim) -> None:
    with client(camera) as link:
        for byte in b"INIT:E3A5":
            link.sendall(bytes([byte]))
        reader = ReplyReader()
        link.sendall(b"\rAPIREV:443E\rECHO x\r")
        assert [read(link, reader) for _ in range(3)] == ["OKAY", "G.003.005", "x"]


def test_port_probes_come_and_go_and_own_nothing(camera: CameraSim) -> None:
    for _ in range(20):
        with client(camera):
            pass
    with client(camera) as silent, client(camera) as first, client(camera) as second:
        first.sendall(b"INIT\r")
        assert read(first) == "OKAY"
        second.sendall(b"INIT\r")
        assert read(second) == "ERROR39"
        silent.sendall(b"VER 5\r")
        assert read(silent) == "008"


def test_the_owners_place_is_free_as_soon_as_its_socket_closes(camera: CameraSim) -> None:
    for _ in range(20):
        with client(camera) as link:
            link.sendall(b"INIT\r")
            assert read(link) == "OKAY"


def test_a_client_that_never_reads_does_not_hold_up_the_others(camera: CameraSim) -> None:
    with client(camera) as deaf, client(camera) as link:
        deaf.settimeout(0.2)
        with contextlib.suppress(OSError):  # the camera ends it, or takes no more
            for _ in range(200):
                deaf.sendall(b"GET *\r" * 1000)
        link.sendall(b"APIREV\r")
        assert read(link) == "G.003.005"


def test_stopping_twice_and_stopping_before_the_start_are_harmless() -> None:
    camera = CameraSim("127.0.0.1", 0, 60, SlowMotion(ROOM_BODIES))
    camera.stop()
    camera.run_forever()
    camera.stop()


# ---- as a program ---------------------------------------------------------------------------------------------------

PROGRAM = (
    "import argparse, sys; from sim.ndi_program import add_arguments, main; parser = argparse.ArgumentParser(); add_arguments(parser);"
    "sys.exit(main(parser.parse_args()))"
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_tells_its_endpoint_serves_and_ends_with_0_on_a_signal(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, "--tcp", "127.0.0.1:0", "--rate", "400"], stdout=subprocess.PIPE) as program:
        try:
            assert program.stdout is not None
            told = json.loads(program.stdout.readline())
            host, _, port = told["endpoints"]["camera"].removeprefix("tcp://").rpartition(":")
            with socket.create_connection((host, int(port)), timeout=10.0) as link:
                link.sendall(b"INIT\rGET Param.Tracking.Frame Frequency\r")
                reader = ReplyReader()
                assert [read(link, reader) for _ in range(2)] == ["OKAY", "Param.Tracking.Frame Frequency=400"]
                program.send_signal(number)
                assert program.wait(10.0) == 0
        finally:
            program.kill()


def run_main(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(arguments))


def test_bad_options_end_with_a_code_and_one_line_that_says_what_to_do(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("--tcp", "nowhere") == 64
    assert run_main("--tcp", "127.0.0.1:99999") == 64
    assert run_main("--tool", f"{tmp_path}/none.rom") == 65
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run_main("--tcp", f"127.0.0.1:{taken.getsockname()[1]}") == 69
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and all(line.startswith("--t") for line in lines)
