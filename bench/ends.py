"""The far ends of both wires in one process and one thread: the simulated camera on TCP, the simulated stimulator on its port.

What it sends and hears is stamped where it happens and told only at the end, so that telling disturbs nothing.
Started by `bench.rig`; orders come as lines of JSON on standard input.
"""

import argparse
import contextlib
import json
import os
import select
import socket
import sys
import time
from pathlib import Path

from bench.chair import latency_ms
from bench.floors import prefer
from bench.place import Place
from bench.units import START, STOP, TRIGGER, UNITS, FarUnit, far_unit
from drivers.ndi_pose_wire import decode_bx
from drivers.ndi_wire import BINARY_START, CommandReader
from sim.ndi_camera import Camera
from sim.ndi_device import Device
from sim.pty_port import PtyPort
from sim.truth import TruthLog
from sim.world_geometry import to_matrix

PRIORITY = 30  # above the hot process: a real device does not wait for this machine's cores
LOOKED_AT_NS = 200_000_000  # after a slip has come to rest: tremor may carry a coil over a limit late


class CameraEnd:
    """One client's camera. `sent`: each frame's exposure, and when the first reply with it left."""

    def __init__(self, place: Place, rate_hz: int, noise_mm: float, seed: int) -> None:
        self._place = place
        device = Device(place, rate_hz, time.monotonic_ns, latency_ms=latency_ms(rate_hz), noise_mm=noise_mm, seed=seed)
        self._camera = Camera(device, time.monotonic_ns)
        self._reader = CommandReader()
        self._newest: int | None = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.link: socket.socket | None = None
        self.sent: list[tuple[int, int]] = []

    def accept(self) -> None:
        self.link, _ = self.listener.accept()
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self, link: socket.socket) -> None:
        try:
            data = link.recv(4096)
            for line in self._reader.push(data):
                reply = self._camera.answer(1, line)
                sent_ns = time.monotonic_ns()
                link.sendall(reply)
                if reply.startswith(BINARY_START):
                    self._note(reply, sent_ns)
        except ConnectionError:
            data = b""
        if not data:
            link.close()
            self.link = None

    def _note(self, reply: bytes, sent_ns: int) -> None:
        number = decode_bx(reply[6:-2]).tools[0].frame_number
        if number != self._newest:
            self._newest = number
            self.sent.append((self._place.exposed_ns, sent_ns))


class SocketPort:
    """A connected socket in the place of a pty: bytes written at one end are there at the other, no kernel worker between."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def read(self) -> bytes:
        return os.read(self.fd, 4096)

    def write(self, data: bytes) -> None:
        os.write(self.fd, data)


class StimulatorEnd:
    """`heard`: when each start, trigger and stop had arrived whole."""

    def __init__(self, port: PtyPort | SocketPort, unit: FarUnit) -> None:
        self.port = port
        self._unit = unit
        self.heard: dict[str, list[int]] = {START: [], TRIGGER: [], STOP: []}

    def hear(self) -> None:
        now_ns = time.monotonic_ns()
        for word in self._unit.hear(self.port.read(), now_ns):
            self.heard[word].append(now_ns)

    def advance(self) -> float:
        """Do what is due. Returns the seconds until the next thing is."""
        for frame in self._unit.advance(time.monotonic_ns()):
            self.port.write(frame)
        return max(0.0, (self._unit.next_ns - time.monotonic_ns()) / 1e9)


class Ends:
    """Both ends, the place that they share, and what was done to it."""

    def __init__(self, given: argparse.Namespace, port: PtyPort | SocketPort, truth: TruthLog) -> None:
        self._place = Place(given.seed, time.monotonic_ns())
        truth.probe = self._place.probe
        self.camera = CameraEnd(self._place, given.rate, given.noise_mm, given.seed)
        self.stimulator = StimulatorEnd(port, far_unit(given.model, truth, time.monotonic_ns(), given.reply_delay_ms))
        self._acts: list[tuple[str, int]] = []  # what, and from which exposure on it is to be seen
        self._slips: list[tuple[int, int]] = []  # when each begins and comes to rest
        self._left: list[int | None] = []

    def tell_ready(self) -> None:
        facts = {
            "camera": "tcp://{}:{}".format(*self.camera.listener.getsockname()),
            "mri_from_target": to_matrix(self._place.target),
            "mri_from_head": to_matrix(self._place.mri_from_head),
        }
        print(json.dumps(facts), flush=True)

    def run(self) -> None:
        """Until standard input says so or closes."""
        orders = sys.stdin.fileno()
        port = self.stimulator.port.fd
        going = True
        while going:
            wait_s = self.stimulator.advance()
            link = self.camera.link
            ready, _, _ = select.select([port, link or self.camera.listener, orders], [], [], wait_s)
            if port in ready:
                self.stimulator.hear()
            if link is not None and link in ready:
                self.camera.answer(link)
            elif self.camera.listener in ready:
                self.camera.accept()
            if orders in ready:
                going = all([self._obey(word) for word in os.read(orders, 4096).decode().split()] or [False])

    def _obey(self, word: str) -> bool:
        """One order; False for the last."""
        now_ns = time.monotonic_ns()
        act, _, mm = word.partition("=")
        match act:
            case "aside" | "on":
                self._settle_slips(now_ns)
                self._acts.append((act, self._place.put(now_ns, on_target=act == "on")))
            case "slip":
                self._slips.append((now_ns, self._place.slip(float(mm), now_ns)))
        return word != "end"

    def _settle_slips(self, now_ns: int) -> None:
        """When the coil truly left, found while the way it took is still remembered."""
        for begun_ns, ended_ns in self._slips[len(self._left) :]:
            self._left.append(self._place.left_ns(begun_ns, min(now_ns, ended_ns + LOOKED_AT_NS)))

    def report(self) -> str:
        self._settle_slips(time.monotonic_ns())
        facts = {
            "sent": self.camera.sent,
            "starts": self.stimulator.heard[START],
            "triggers": self.stimulator.heard[TRIGGER],
            "stops": self.stimulator.heard[STOP],
            "acts": self._acts,
            "left": self._left,
        }
        return json.dumps(facts)


def _port(given: argparse.Namespace, stack: contextlib.ExitStack) -> PtyPort | SocketPort:
    if given.port_fd is not None:
        return SocketPort(given.port_fd)
    pty = stack.enter_context(PtyPort(given.dir / "stimulator"))
    pty.announce()
    return pty


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.ends")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--model", choices=sorted(UNITS), required=True)
    parser.add_argument("--reply-delay-ms", type=float, required=True)
    parser.add_argument("--noise-mm", type=float, required=True)
    parser.add_argument("--port-fd", type=int, help="a connected socket for the stimulator (default: a pty at DIR/stimulator)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        truth = stack.enter_context(TruthLog(given.dir / "truth.jsonl"))
        ends = Ends(given, _port(given, stack), truth)
        ends.tell_ready()
        prefer(PRIORITY)
        ends.run()
        print(ends.report(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
