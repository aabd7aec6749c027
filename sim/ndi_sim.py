"""The simulated camera on TCP: sockets, a thread, the line's own faults, and the command line of `atmsd sim camera`."""

import argparse
import contextlib
import json
import selectors
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from drivers.ndi_wire import TCP_PORT, CommandReader
from drivers.rom_wire import parse_rom
from drivers.values import WireError
from sim.ndi_camera import Camera
from sim.ndi_device import Device
from sim.ndi_faults import CameraFaults
from sim.ndi_line import pieces
from sim.ndi_parameters import HIGHEST_HZ, LOWEST_HZ
from sim.ndi_poses import BodyPose, PoseSource, SlowMotion
from sim.ndi_room_tools import ROOM_BODIES

__all__ = ["BodyPose", "CameraFaults", "CameraSim", "PoseSource", "SlowMotion", "add_arguments", "main"]

NOISE_MM, NOISE_DEG = 0.05, 0.03  # per axis and pose: 0.045 mm RMS measured on a Vega at rest (10.1186/s13014-021-01804-7)
UNREAD_NS = 1_000_000  # a client that takes nothing is tried again so late
RECEIVE_BYTES = 65536
MOST_UNREAD = 100_000  # pieces of replies: a client that reads none of so many is gone
LAST_PORT = 65535


class _Peer:
    """One client: what it sent of a command, and what it is still to get, each piece with its time."""

    def __init__(self, number: int, link: socket.socket) -> None:
        self.number = number
        self.link = link
        self.reader = CommandReader()
        self.due: deque[tuple[int, bytes]] = deque()


class CameraSim:
    """A Polaris Vega at `host`:`port` (0: any free one). Runs in a thread of its own between `start` and `stop`.

    `source` sees the bodies; `latency_ms` None: 14 ms up to 100 Hz, 3 ms above; noise is a standard deviation per axis and pose.
    `faults` may be switched at any time. Raises OSError when the port cannot be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        rate_hz: int,
        source: PoseSource,
        *,
        latency_ms: float | None = None,
        noise_mm: float = NOISE_MM,
        noise_deg: float = NOISE_DEG,
        seed: int = 0,
        first_frame: int = 1,
        serial: str = "SIM-0001",
        freeze_tag: str = "Polaris Vega 008",
        keeps_handles: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._clock = clock
        device = Device(
            source,
            rate_hz,
            clock,
            latency_ms=latency_ms,
            noise_mm=noise_mm,
            noise_deg=noise_deg,
            seed=seed,
            first_frame=first_frame,
            serial=serial,
            freeze_tag=freeze_tag,
            keeps_handles=keeps_handles,
        )
        self.faults = device.faults
        self._camera = Camera(device)
        self._listener = socket.create_server((host, port), backlog=16)
        self._listener.setblocking(False)
        self._waker, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._peers: dict[int, _Peer] = {}
        self._peers_seen = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port that clients connect to."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    def start(self) -> None:
        self._thread = threading.Thread(target=self.run_forever, name="camera")
        self._thread.start()

    def stop(self) -> None:
        """End `run_forever`, whoever runs it; all sockets are closed when it has ended."""
        self._stopping = True
        with contextlib.suppress(OSError):  # it has ended already
            self._waker.send(b"\0")
        if self._thread is not None:
            self._thread.join()

    def run_forever(self) -> None:
        """Serve until `stop`."""
        try:
            while not self._stopping:
                self._serve(self._selector.select(self._patience_s()))
        finally:
            for peer in tuple(self._peers.values()):
                self._drop(peer)
            self._selector.close()
            for end in (self._listener, self._waker, self._woken):
                end.close()

    # ---- one round ---------------------------------------------------------------------------------------------------

    def _serve(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        for key, _ in ready:
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.data, _Peer):
                self._receive(key.data)
        now_ns = self._clock()
        for peer in tuple(self._peers.values()):
            if peer.due:
                self._deliver(peer, now_ns)

    def _patience_s(self) -> float | None:
        times = [peer.due[0][0] for peer in self._peers.values() if peer.due]
        return max(0.0, (min(times) - self._clock()) / 1e9) if times else None

    def _accept(self) -> None:
        try:
            link, _ = self._listener.accept()
        except OSError:
            return  # it left before we looked
        link.setblocking(False)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peers_seen += 1
        peer = self._peers[self._peers_seen] = _Peer(self._peers_seen, link)
        self._selector.register(link, selectors.EVENT_READ, peer)

    def _receive(self, peer: _Peer) -> None:
        try:
            data = peer.link.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(peer)
            return
        for line in peer.reader.push(data):
            peer.due += pieces(self._camera.answer(peer.number, line), self.faults, self._clock())
            if self.faults.takes("close") or len(peer.due) > MOST_UNREAD:
                self._drop(peer)
                return

    def _drop(self, peer: _Peer) -> None:
        self._camera.left(peer.number)
        self._selector.unregister(peer.link)
        peer.link.close()
        del self._peers[peer.number]

    def _deliver(self, peer: _Peer, now_ns: int) -> None:
        while peer.due and peer.due[0][0] <= now_ns:
            piece = peer.due[0][1]
            try:
                sent = peer.link.send(piece)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._drop(peer)
                return
            if sent < len(piece):  # the client does not read: later again
                peer.due[0] = (now_ns + UNREAD_NS, piece[sent:])
                return
            peer.due.popleft()


# ---- command line ---------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tcp", metavar="HOST:PORT", default=f"127.0.0.1:{TCP_PORT}", help="where to listen; port 0 takes any free one")
    parser.add_argument("--rate", metavar="HZ", type=_rate, default=60, help=f"frames per second, {LOWEST_HZ} to {HIGHEST_HZ} (default 60)")
    parser.add_argument("--latency", metavar="MS", type=float, help="exposure until readable (default 14 up to 100 Hz, 3 above)")
    parser.add_argument("--tool", metavar="FILE.rom", type=Path, action="append", default=[], help="a tool that stands in the room")
    parser.add_argument("--noise-mm", type=float, default=0.0, help="standard deviation per axis (default 0)")
    parser.add_argument("--noise-deg", type=float, default=0.0, help="standard deviation per axis (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--first-frame", type=int, default=1, help="frame number at the start")


def main(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Exit codes: 0, 64 (a bad option), 65 (a bad tool file), 69 (no such port)."""
    host, colon, port = args.tcp.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > LAST_PORT:
        return _complain(64, f"--tcp {args.tcp}: HOST:PORT is needed, as in 127.0.0.1:{TCP_PORT}")
    bodies = dict(ROOM_BODIES)
    for path in args.tool:
        try:
            bodies[path.stem] = parse_rom(path.read_bytes())
        except (OSError, WireError) as error:
            return _complain(65, f"--tool {path}: {error}")
    try:
        camera = CameraSim(
            host,
            int(port),
            args.rate,
            SlowMotion(bodies),
            latency_ms=args.latency,
            noise_mm=args.noise_mm,
            noise_deg=args.noise_deg,
            seed=args.seed,
            first_frame=args.first_frame,
        )
    except OSError as error:
        return _complain(69, f"--tcp {args.tcp}: cannot listen there ({error}); choose a free port")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: camera.stop())
    where = "{}:{}".format(*camera.endpoint)
    print(json.dumps({"ready": True, "endpoints": {"camera": f"tcp://{where}"}, "rate_hz": args.rate}), flush=True)
    camera.run_forever()
    return 0


def _rate(text: str) -> int:
    rate_hz = int(text)
    if not LOWEST_HZ <= rate_hz <= HIGHEST_HZ:
        raise argparse.ArgumentTypeError(f"{LOWEST_HZ} to {HIGHEST_HZ} Hz")
    return rate_hz


def _complain(code: int, what: str) -> int:
    print(what, file=sys.stderr)
    return code
