"""`atmsd sim igtl-tracker`: the room's tools as transforms of an OpenIGTLink server, as PLUS sends them. Sockets and a thread."""

import argparse
import contextlib
import enum
import json
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from drivers.igtl_wire import HEADER, IDENTITY, TCP_PORT, columns_of, encode_status, encode_transform
from sim.ndi_poses import SlowMotion
from sim.ndi_room_tools import ROOM_BODIES
from sim.stream_source import StreamFrame, StreamSource, add_source_arguments, bad_option, source_from

OK, USAGE, UNAVAILABLE = 0, 64, 69
SERIAL = "SIM-IGTL-1"
MOST_UNSENT = 1_000_000  # bytes: a client that reads none of so many is gone
LAST_PORT = 65535


class Occluded(enum.StrEnum):
    """How servers send a tool that is not seen."""

    IDENTITY = "identity"
    STALE = "stale"  # the last matrix again
    SKIP = "skip"  # not at all


class IgtlServer:
    """Transforms named HeadToTracker, PointerToTracker and so on, to every client. Runs in a thread between `start` and `stop`.

    `version` of the header: 2 carries what the sender knows of validity. `stamps` false: messages without a date. Raises OSError
    when the port cannot be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        source: StreamSource,
        *,
        occluded: Occluded = Occluded.IDENTITY,
        version: int = 2,
        stamps: bool = True,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.source, self.faults = source, source.faults
        self._occluded, self._version, self._stamps, self._clock = occluded, version, stamps, clock
        self._listener = socket.create_server((host, port), backlog=16)
        self._listener.setblocking(False)
        self._waker, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._unsent: dict[socket.socket, bytearray] = {}
        self._last: dict[str, tuple[float, ...]] = {}
        self._stopping = self._hanging_up = False
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> tuple[str, int]:
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    def start(self) -> None:
        self._thread = threading.Thread(target=self.run_forever, name="igtl")
        self._thread.start()

    def stop(self) -> None:
        """End `run_forever`, whoever runs it; all sockets are closed when it has ended."""
        self._stopping = True
        self._wake()
        if self._thread is not None:
            self._thread.join()

    def hang_up(self) -> None:
        """Every client is let go, once."""
        self._hanging_up = True
        self._wake()

    def run_forever(self) -> None:
        """Serve until `stop`."""
        try:
            while not self._stopping:
                patience_s = max(0.0, (self.source.next_ns() - self._clock()) / 1e9)
                if self.faults.stalled:
                    patience_s = 0.002
                self._serve(self._selector.select(patience_s))
        finally:
            for peer in tuple(self._unsent):
                self._drop(peer)
            self._selector.close()
            for end in (self._listener, self._waker, self._woken):
                end.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it has ended already
            self._waker.send(b"\0")

    def _serve(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        for key, _ in ready:
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._woken:
                self._woken.recv(64)
            elif isinstance(key.fileobj, socket.socket):
                self._receive(key.fileobj)
        if self._hanging_up:
            self._hanging_up = False
            for peer in tuple(self._unsent):
                self._drop(peer)
        for frame in self.source.due(self._clock()):
            data = self.messages(frame)
            for peer in self._unsent:
                self._unsent[peer] += data
        for peer in tuple(self._unsent):
            self._send(peer)

    def messages(self, frame: StreamFrame) -> bytes:
        """One frame on the wire."""
        return b"".join(self._message(body, frame) for body in frame.poses)

    def _message(self, body: str, frame: StreamFrame) -> bytes:
        pose = frame.poses[body]
        if pose is not None:
            self._last[body] = columns_of(pose.wxyz, pose.mm)
        elif self._occluded is Occluded.SKIP:
            return b""
        columns = IDENTITY if pose is None and self._occluded is Occluded.IDENTITY else self._last.get(body, IDENTITY)
        # Older servers know of no validity: a matrix is all that they send.
        metadata = {"TransformValid": str(pose is not None), "TransformStatus": "OK" if pose is not None else "MISSING"}
        stamp_ns = frame.stamp_ns if self._stamps else None
        metadata["SerialNumber"] = SERIAL
        return encode_transform(device_name(body), columns, stamp_ns, version=self._version, metadata=metadata)

    # ---- peers -------------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return  # it left before we looked
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unsent[peer] = bytearray()
        self._selector.register(peer, selectors.EVENT_READ)

    def _receive(self, peer: socket.socket) -> None:
        try:
            data = peer.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(peer)
        elif len(data) >= HEADER.size:
            self._unsent[peer] += encode_status("atmsd-sim", None)  # whatever was asked: we are well

    def _send(self, peer: socket.socket) -> None:
        unsent = self._unsent[peer]
        try:
            while unsent:
                del unsent[: peer.send(unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(peer)
            return
        if len(unsent) > MOST_UNSENT:
            self._drop(peer)

    def _drop(self, peer: socket.socket) -> None:
        self._selector.unregister(peer)
        peer.close()
        del self._unsent[peer]


def device_name(body: str) -> str:
    """As PLUS names transforms: CoilToTracker."""
    return f"{body.capitalize()}ToTracker"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)
    parser.add_argument("--tcp", metavar="HOST:PORT", default=f"127.0.0.1:{TCP_PORT}", help="where to listen; port 0 takes any free one")
    unseen = "how an unseen tool is sent (default: %(default)s)"
    parser.add_argument("--occluded", type=Occluded, choices=list(Occluded), default=Occluded.IDENTITY, help=unseen)
    parser.add_argument("--header", type=int, choices=(1, 2), default=2, help="version of the header (default: 2)")
    parser.add_argument("--no-stamps", action="store_true", help="send messages without a date")


def main(given: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Exit codes: 0, 64 (a bad option), 69 (no such port)."""
    host, colon, port = given.tcp.rpartition(":")
    why = bad_option(given)
    if why is None and (not colon or not port.isdecimal() or int(port) > LAST_PORT):
        why = f"--tcp {given.tcp}: HOST:PORT is needed, as in 127.0.0.1:{TCP_PORT}"
    if why is not None:
        print(f"igtl-tracker: {why}", file=sys.stderr)
        return USAGE
    source = source_from(given, SlowMotion(ROOM_BODIES), time.monotonic_ns(), time.time_ns() - time.monotonic_ns())
    try:
        server = IgtlServer(
            host, int(port), source, occluded=given.occluded, version=given.header, stamps=not given.no_stamps
        )
    except OSError as error:
        print(f"igtl-tracker: --tcp {given.tcp}: cannot listen there ({error}); choose a free port", file=sys.stderr)
        return UNAVAILABLE
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    where = "tcp://{}:{}".format(*server.endpoint)
    tools = {body: device_name(body) for body in source.bodies}
    print(json.dumps({"ready": True, "endpoints": {"igtl": where}, "rate_hz": given.rate, "tools": tools}), flush=True)
    server.run_forever()
    return OK
