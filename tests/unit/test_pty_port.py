"""The pseudo terminal behind which simulators stand, and the simulator as a program."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sim.pty_port import PtyPort
from sim.truth import POSE_FIELDS, TruthLog

DEADLINE_S = 10.0


def client(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


def read(fd: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        readable, _, _ = select.select([fd], [], [], DEADLINE_S)
        assert readable, f"only {data!r}"
        data += os.read(fd, 4096)
    return data


def test_every_byte_passes_unchanged_both_ways(tmp_path: Path) -> None:
    everything = bytes(range(256))
    with PtyPort(tmp_path / "port") as pty:
        pty.announce()
        fd = client(tmp_path / "port")
        os.write(fd, everything)
        select.select([pty.fd], [], [], DEADLINE_S)
        assert pty.read() == everything
        pty.write(everything)
        assert read(fd, 256) == everything
        os.close(fd)


def test_clients_may_close_and_reopen(tmp_path: Path) -> None:
    with PtyPort(tmp_path / "port") as pty:
        pty.announce()
        for _ in range(3):
            fd = client(tmp_path / "port")
            os.write(fd, b"x")
            select.select([pty.fd], [], [], DEADLINE_S)
            assert pty.read() == b"x"
            os.close(fd)
        assert pty.read() == b""


def test_link_appears_only_when_announced_replaces_a_stale_one_and_goes_at_the_end(tmp_path: Path) -> None:
    link = tmp_path / "port"
    link.symlink_to("/nowhere")
    with PtyPort(link) as pty:
        assert link.readlink() == Path("/nowhere")
        pty.announce()
        assert link.readlink() == pty.device
        assert list(tmp_path.iterdir()) == [link]
    assert not link.is_symlink()


def test_link_that_has_become_another_ones_is_left_alone(tmp_path: Path) -> None:
    link = tmp_path / "port"
    with PtyPort(link) as first:
        first.announce()
        with PtyPort(link) as second:
            second.announce()
            assert link.readlink() == second.device
            other = second.device
        link.symlink_to(other)
    assert link.is_symlink()


def test_file_in_the_links_place_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("mine")
    with pytest.raises(FileExistsError):
        PtyPort(tmp_path / "port")
    assert (tmp_path / "port").read_text() == "mine"


def test_client_that_does_not_read_loses_bytes_and_blocks_nobody() -> None:
    with PtyPort() as pty:
        for _ in range(100):
            pty.write(bytes(1024))
        fd = client(pty.endpoint)
        assert len(read(fd, 1)) <= 100 * 1024
        os.close(fd)


def test_truth_lines_are_whole_and_carry_the_probes_fields(tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    with TruthLog(log, probe=lambda at_ns: {"lateral_mm": at_ns / 10, "head_seen": True}) as truth:
        truth.charged(5, enabled=True)
        truth.pulse(10, 50, enabled=True, train=None)
        lines = log.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"kind": "enabled", "mono_ns": 5},
        {"kind": "pulse", "mono_ns": 10, "amplitude_pct": 50, "enabled": True, "train": None}
        | dict.fromkeys(POSE_FIELDS)
        | {"lateral_mm": 1.0, "head_seen": True},
    ]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_program_tells_its_endpoint_answers_and_ends_on_a_signal(tmp_path: Path, ending: signal.Signals) -> None:
    link = tmp_path / "port"
    arguments = ["magventure", "--pty", str(link), "--truth", str(tmp_path / "truth")]
    with subprocess.Popen([sys.executable, "-m", "sim", *arguments], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        told = json.loads(program.stdout.readline())
        assert told == {"ready": True, "endpoints": {"stimulator": str(link)}, "model": "x100-option"}
        fd = client(link)
        os.write(fd, bytes.fromhex("FE010000FF"))
        assert len(read(fd, 13)) == 13
        os.close(fd)
        program.send_signal(ending)
        assert program.wait(DEADLINE_S) == 0
        assert program.stdout.read() == ""
    assert not link.is_symlink()
