"""The simulated camera on TCP and on a pseudo terminal: its links, a thread, the line's own faults."""

import contextlib
import os
import selectors
import socket
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from drivers.ndi_wire import CommandReader
from sim.ndi_camera import Camera
from sim.ndi_device import Device
from sim.ndi_faults import CameraFaults, switch
from sim.ndi_line import pieces
from sim.ndi_models import VEGA, Model
from sim.ndi_poses import BodyPose, PoseSource, SlowMotion
from sim.ndi_serial import SerialSide
from sim.pty_port import PtyPort

__all__ = ["BodyPose", "CameraFaults", "CameraSim", "PoseSource", "SlowMotion"]

# Of each marker, per axis: four of them give 0.043 mm RMS in the middle, and 0.045 was measured on a Vega at rest
# (10.1186/s13014-021-01804-7).
NOISE_MM = 0.05
UNREAD_NS = 1_000_000  # a client that takes nothing is tried again so late
RECEIVE_BYTES = 65536
MOST_UNREAD = 100_000  # pieces of replies: a client that reads none of so many is gone
SERIAL_QUIET_NS = 2_000_000_000  # a host on the serial line that says nothing for so long may have left
SERIAL = 0  # its client number
BAUD_OF_SPEED = {
    getattr(termios, f"B{baud}"): baud for baud in (9600, 19200, 38400, 57600, 115200, 230400, 921600) if hasattr(termios, f"B{baud}")
}


class _Peer(Protocol):
    """One client: what it is still to get, each piece with its time."""

    number: int
    due: deque[tuple[int, bytes]]

    def receive(self, camera: Camera) -> list[tuple[bytes, int]] | None:
        """Replies to what it sent, with the ns each takes on the wire; None when it has left."""

    def send(self, piece: bytes) -> int | None:
        """How much of it was taken; None when it has left."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class _TcpPeer:
    def __init__(self, number: int, link: socket.socket) -> None:
        self.number = number
        self.due: deque[tuple[int, bytes]] = deque()
        self._link = link
        self._reader = CommandReader()

    def receive(self, camera: Camera) -> list[tuple[bytes, int]] | None:
        try:
            data = self._link.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        return [(camera.answer(self.number, line), 0) for line in self._reader.push(data)]

    def send(self, piece: bytes) -> int | None:
        try:
            return self._link.send(piece)
        except BlockingIOError:
            return 0
        except OSError:
            return None

    def fileno(self) -> int:
        return self._link.fileno()

    def close(self) -> None:
        self._link.close()


class _SerialPeer:
    """Whoever has the pseudo terminal open: hosts come and go, the line stays."""

    number = SERIAL

    def __init__(self, pty: PtyPort, side: SerialSide, clock: Callable[[], int]) -> None:
        self.due: deque[tuple[int, bytes]] = deque()
        self.heard_ns = clock()
        self.side = side
        self._pty = pty
        self._clock = clock

    def receive(self, camera: Camera) -> list[tuple[bytes, int]]:  # noqa: ARG002  # its side knows the camera
        self.heard_ns = self._clock()
        return self.side.hear(self._pty.read(), BAUD_OF_SPEED.get(self._pty.speed(), 0))

    def send(self, piece: bytes) -> int:
        try:
            return os.write(self._pty.fd, piece)
        except BlockingIOError:
            return len(piece)  # nobody reads: lost, as on a wire

    def fileno(self) -> int:
        return self._pty.fd

    def close(self) -> None:
        """The port is the caller's."""


class CameraSim:
    """A Polaris at `host`:`port` (0: any free one; None: not on TCP) and at `pty`. Runs in a thread between `start` and `stop`.

    `source` sees the bodies; `rate_hz` None: the model's; `latency_ms` None: 14 ms up to 100 Hz, 3 ms above; `noise_mm` is a standard
    deviation of each marker per axis. `faults` may be switched at any time. Raises OSError when the port cannot be had.
    """

    def __init__(
        self,
        host: str | None,
        port: int,
        rate_hz: int | None,
        source: PoseSource,
        *,
        pty: PtyPort | None = None,
        model: Model = VEGA,
        latency_ms: float | None = None,
        noise_mm: float = NOISE_MM,
        seed: int = 0,
        first_frame: int = 1,
        serial: str = "SIM-0001",
        freeze_tag: str | None = None,
        keeps_handles: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._clock = clock
        device = Device(
            source,
            rate_hz,
            clock,
            model=model,
            latency_ms=latency_ms,
            noise_mm=noise_mm,
            seed=seed,
            first_frame=first_frame,
            serial=serial,
            freeze_tag=freeze_tag,
            keeps_handles=keeps_handles,
        )
        self.faults = device.faults
        self._camera = Camera(device, clock)
        self._selector = selectors.DefaultSelector()
        self._listener = None if host is None else socket.create_server((host, port), backlog=16)
        if self._listener is not None:
            self._listener.setblocking(False)
            self._selector.register(self._listener, selectors.EVENT_READ)
        self._waker, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._peers: dict[int, _Peer] = {}
        self._line: _SerialPeer | None = None
        if pty is not None:
            self._line = _SerialPeer(pty, SerialSide(self._camera, SERIAL, self.faults), clock)
            self._add(self._line)
        self._peers_seen = SERIAL
        self._later: list[tuple[int, str]] = []
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port that clients connect to; only where it is on TCP."""
        if self._listener is None:
            raise LookupError("this camera is not on TCP")
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

    def switch_later(self, text: str, after_s: float) -> None:
        """Turn a fault on after a while; before `start`. Raises ValueError for a fault that there is not."""
        switch(CameraFaults(), text)
        self._later.append((self._clock() + round(after_s * 1e9), text))

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
                if end is not None:
                    end.close()

    # ---- one round ---------------------------------------------------------------------------------------------------

    def _serve(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        self._switch_due()
        for key, _ in ready:
            if key.fileobj is self._listener:
                self._accept()
            elif key.data is not None:
                self._receive(key.data)
        for number, pushed in self._camera.pushes():
            if number in self._peers:
                self._queue(self._peers[number], pushed, 0 if self._line is None else self._line.side.wire_ns(pushed))
        now_ns = self._clock()
        for peer in tuple(self._peers.values()):
            if peer.due:
                self._deliver(peer, now_ns)
        if self._line is not None and now_ns - self._line.heard_ns > SERIAL_QUIET_NS:
            self._camera.release(SERIAL)

    def _patience_s(self) -> float | None:
        times = [peer.due[0][0] for peer in self._peers.values() if peer.due]
        times += [at_ns for at_ns, _ in self._later]
        push_ns = self._camera.next_push_ns()
        if push_ns is not None:
            times.append(push_ns)
        return max(0.0, (min(times) - self._clock()) / 1e9) if times else None

    def _switch_due(self) -> None:
        for at_ns, text in list(self._later):
            if at_ns <= self._clock():
                self._later.remove((at_ns, text))
                switch(self.faults, text)

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            link, _ = self._listener.accept()
        except OSError:
            return  # it left before we looked
        link.setblocking(False)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peers_seen += 1
        self._add(_TcpPeer(self._peers_seen, link))

    def _add(self, peer: _Peer) -> None:
        self._peers[peer.number] = peer
        self._selector.register(peer.fileno(), selectors.EVENT_READ, peer)

    def _receive(self, peer: _Peer) -> None:
        replies = peer.receive(self._camera)
        if replies is None:
            self._drop(peer)
            return
        for reply, wire_ns in replies:
            self._queue(peer, reply, wire_ns)

    def _queue(self, peer: _Peer, reply: bytes, wire_ns: int) -> None:
        if peer.number not in self._peers:
            return
        peer.due += pieces(reply, self.faults, self._clock() + wire_ns)
        if peer.number != SERIAL and (self.faults.takes("close") or len(peer.due) > MOST_UNREAD):
            self._drop(peer)

    def _drop(self, peer: _Peer) -> None:
        self._camera.left(peer.number)
        self._selector.unregister(peer.fileno())
        peer.close()
        del self._peers[peer.number]

    def _deliver(self, peer: _Peer, now_ns: int) -> None:
        while peer.due and peer.due[0][0] <= now_ns:
            piece = peer.due[0][1]
            sent = peer.send(piece)
            if sent is None:
                self._drop(peer)
                return
            if sent < len(piece):  # the client does not read: later again
                peer.due[0] = (now_ns + UNREAD_NS, piece[sent:])
                return
            peer.due.popleft()
