"""The floors under every latency here, each measured in processes of its own.

How late a bare 1 kHz sleep wakes; how long bytes take from one end of a pseudo terminal to the other (the kernel carries them in a
worker of ordinary priority; what is written to a real port needs none); how long a message takes from a bare PUB to a bare SUB.

`python -m bench.floors KIND` measures until its standard input closes, then writes every sample.
"""

import array
import contextlib
import os
import select
import socket
import subprocess
import sys
import time
import tty
from types import TracebackType
from typing import Self

import zmq

PERIOD_NS = 1_000_000
SLEEPER_PRIORITY = 10  # below the hot process: what waits for the same core waits behind it
WRITER_PRIORITY, READER_PRIORITY = 20, 30  # as the hot process and the simulated devices have them
HOP_S = 0.02
PACE_NS = 200_000_000  # as bursts of theta follow each other
FRAME_S = 1 / 60
MESSAGE = (b"v1/coil/error", bytes(200), bytes(500))  # as long as ours
KINDS = {
    "sleep": "bare 1 kHz sleep",
    "fifo": "bare 1 kHz sleep, SCHED_FIFO",
    "pty": "bare pty, write to read, SCHED_FIFO",
    "paced": "bare loop, a write each 200 ms to a socket: late by, SCHED_FIFO",
    "zmq": "bare ZMQ, PUB to SUB over TCP, 60 Hz",
}


def prefer(priority: int) -> None:
    """Ahead of ordinary processes, where that is allowed; what this process starts is ordinary again."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))


def prefer_none() -> None:
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class Floor:
    """Measures beside whatever goes on while the `with` lasts; `took_ms` is filled at its end."""

    def __init__(self, kind: str) -> None:
        self.name = KINDS[kind]
        self.took_ms: list[float] = []
        self._process = subprocess.Popen([sys.executable, "-m", "bench.floors", kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        said, _ = self._process.communicate()
        took_ns = array.array("q")
        took_ns.frombytes(said)
        self.took_ms = [took / 1e6 for took in took_ns]


def _may_go_on() -> bool:
    return not select.select([sys.stdin], [], [], 0)[0]


def _sleeps() -> list[int]:
    late_ns: list[int] = []
    due_ns = time.monotonic_ns() + PERIOD_NS
    while _may_go_on():
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        now_ns = time.monotonic_ns()
        late_ns.append(now_ns - due_ns)
        due_ns = max(due_ns + PERIOD_NS, now_ns)
    return late_ns


def _hops() -> list[int]:
    """Write, and let a second process say when it had the bytes."""
    device, host = os.openpty()
    tty.setraw(host)
    said, say = os.pipe()
    if os.fork() == 0:
        prefer(READER_PRIORITY)
        while os.read(device, 64) != b"end":
            os.write(say, time.monotonic_ns().to_bytes(8, "little"))
        os._exit(0)
    prefer(WRITER_PRIORITY)
    took_ns: list[int] = []
    while _may_go_on():
        time.sleep(HOP_S)
        sent_ns = time.monotonic_ns()
        os.write(host, b"1234567")
        took_ns.append(int.from_bytes(os.read(said, 8), "little") - sent_ns)
    os.write(host, b"end")
    os.wait()
    return took_ns


def _paces() -> list[int]:
    """Write a trigger's bytes each 200 ms after the last ones, and let a second process say how much later than that it had them."""
    ours, theirs = socket.socketpair()
    said, say = os.pipe()
    if os.fork() == 0:
        prefer(READER_PRIORITY)
        while theirs.recv(64) != b"end":
            os.write(say, time.monotonic_ns().to_bytes(8, "little"))
        os._exit(0)
    prefer(WRITER_PRIORITY)
    late_ns: list[int] = []
    before_ns: int | None = None
    due_ns = time.monotonic_ns() + PACE_NS
    while _may_go_on():
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        due_ns = time.monotonic_ns() + PACE_NS
        ours.send(b"12345")
        had_ns = int.from_bytes(os.read(said, 8), "little")
        late_ns += [] if before_ns is None else [had_ns - before_ns - PACE_NS]
        before_ns = had_ns
    ours.send(b"end")
    os.wait()
    return late_ns


def _messages() -> list[int]:
    """Publish, and let a second process say when it had the message."""
    said, say = os.pipe()
    port_of, tell_port = os.pipe()
    if os.fork() == 0:
        subscriber = zmq.Context().socket(zmq.SUB)
        subscriber.setsockopt(zmq.SUBSCRIBE, b"")
        subscriber.connect(os.read(port_of, 64).decode())
        while subscriber.recv_multipart()[0] != b"end":
            os.write(say, time.monotonic_ns().to_bytes(8, "little"))
        os._exit(0)
    publisher = zmq.Context().socket(zmq.XPUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    os.write(tell_port, f"tcp://127.0.0.1:{port}".encode())
    publisher.recv()  # somebody is subscribed
    took_ns: list[int] = []
    while _may_go_on():
        time.sleep(FRAME_S)
        sent_ns = time.monotonic_ns()
        publisher.send_multipart(MESSAGE)
        took_ns.append(int.from_bytes(os.read(said, 8), "little") - sent_ns)
    publisher.send(b"end")
    os.wait()
    return took_ns


def main(kind: str) -> int:
    if kind == "fifo":
        prefer(SLEEPER_PRIORITY)
    measure = {"pty": _hops, "zmq": _messages, "paced": _paces}.get(kind, _sleeps)
    sys.stdout.buffer.write(array.array("q", measure()).tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
