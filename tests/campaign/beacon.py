"""The least tracker that a hot process can aim by: numbered frames of two tools that lie where they should, or do not.

`Beacon` is the driver, `shine` the device at the other end of its connection.
"""

import select
import socket
import struct
import time
from collections.abc import Callable

from drivers.protocols import Step
from drivers.values import ClockRestart, ToolSample, TrackerChanged, TrackerEvent, TrackerFrame, TrackerIdentity, TrackerState

FRAME_HZ = 50
PERIOD_NS = 1_000_000_000 // FRAME_HZ
LATENCY_MS = 2.0
FAR_NS = 1 << 62
KNOWN_FRAMES = 60  # told as past ones when the connection is new, so that ages are known at once
UPRIGHT = (1.0, 0.0, 0.0, 0.0)
HEAD_IN_TRACKER_MM = (0.0, 0.0, 0.0)
COIL_IN_TRACKER_MM = (0.0, 0.0, 100.0)
ASTRAY_MM = 30.0
_FRAME = struct.Struct("<IB")


class Beacon:
    """A `drivers.protocols.Tracker`."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_new = True

    def connected(self, _now_ns: int) -> Step[TrackerEvent]:
        self._rest, self._is_new = b"", True
        identity = TrackerIdentity(model="beacon", serial="SIM-BEACON", firmware="1", frame_hz=float(FRAME_HZ))
        return Step(wake_ns=FAR_NS, events=(identity, ClockRestart(frame_hz=float(FRAME_HZ)), TrackerChanged(state=TrackerState.TRACKING)))

    def disconnected(self, _now_ns: int) -> Step[TrackerEvent]:
        return Step(wake_ns=FAR_NS)

    def feed(self, data: bytes, now_ns: int) -> Step[TrackerEvent]:
        self._rest += data
        events: list[TrackerEvent] = []
        while len(self._rest) >= _FRAME.size:
            number, on_target = _FRAME.unpack_from(self._rest)
            self._rest = self._rest[_FRAME.size :]
            if self._is_new:
                self._is_new = False
                events += [
                    _frame(number - ago, now_ns - ago * PERIOD_NS, True) for ago in range(min(KNOWN_FRAMES, number), 0, -1)
                ]
            events.append(_frame(number, now_ns, bool(on_target)))
        return Step(wake_ns=FAR_NS, events=tuple(events))

    def tick(self, _now_ns: int) -> Step[TrackerEvent]:
        return Step(wake_ns=FAR_NS)

    def farewell(self, _now_ns: int) -> Step[TrackerEvent]:
        return Step(wake_ns=FAR_NS)


def _frame(number: int, received_ns: int, on_target: bool) -> TrackerFrame:
    x, y, z = COIL_IN_TRACKER_MM
    coil = (x + (0.0 if on_target else ASTRAY_MM), y, z)
    tools = tuple(
        ToolSample(tool=name, frame_number=number, wxyz=UPRIGHT, in_tracker_mm=at, fit_rms_mm=0.1, unseen=None)
        for name, at in (("head", HEAD_IN_TRACKER_MM), ("coil", coil))
    )
    return TrackerFrame(frame_number=number, received_ns=received_ns, tools=tools)


def reserved_port() -> socket.socket:
    """A loopback port that stays ours although nobody listens on it through this socket."""
    socket_ = socket.socket()
    socket_.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    socket_.bind(("127.0.0.1", 0))
    return socket_


def shine(port: int, on_target: Callable[[], bool], ends: Callable[[], bool]) -> None:
    """Send frames to whoever has connected, each at its own time, until `ends`."""
    began_ns = time.monotonic_ns() - KNOWN_FRAMES * PERIOD_NS
    links: list[socket.socket] = []
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        door.bind(("127.0.0.1", port))
        door.listen()
        while not ends():
            passed = (time.monotonic_ns() - began_ns) // PERIOD_NS
            due_ns = began_ns + (passed + 1) * PERIOD_NS
            while (wait_ns := due_ns - time.monotonic_ns()) > 0:
                if select.select([door], [], [], wait_ns / 1e9)[0]:
                    links.append(door.accept()[0])
            links = [link for link in links if _sent(link, _FRAME.pack(passed + 1, on_target()))]
    for link in links:
        link.close()


def _sent(link: socket.socket, data: bytes) -> bool:
    try:
        link.send(data, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True  # whoever does not read loses frames
    except OSError:
        link.close()
        return False
    return True
