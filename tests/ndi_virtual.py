"""The NDI driver and the simulated camera on one made-up clock: every fault at its exact moment, no sockets, no waiting."""

import heapq
import random

from calibration.clocks import FrameClock
from drivers.ndi import NdiTracker
from drivers.ndi_wire import CommandReader
from drivers.protocols import Step
from drivers.values import ClockRestart, TrackerAlert, TrackerChanged, TrackerEvent, TrackerFrame, TrackerState
from sim.ndi_camera import Camera
from sim.ndi_device import Device
from sim.ndi_line import pieces
from sim.ndi_poses import SlowMotion
from sim.ndi_room_tools import COIL, HEAD, ROOM_BODIES, ROOM_ROMS

MS = 1_000_000
SECOND = 1_000_000_000
FLIGHT_NS = 50_000  # of any bytes, either way
LATENCY_MS = 3.0


class VirtualRoom:
    """A camera with head and coil in view, and its driver; `events` holds (when, what)."""

    def __init__(
        self,
        rate_hz: int = 200,
        tools: tuple[str, ...] = (HEAD, COIL),
        roms: dict[str, bytes] = ROOM_ROMS,
        first_frame: int = 1,
        keeps_handles: bool = False,
        piece_bytes: int = 65536,
    ) -> None:
        self.now_ns = 10**15
        self.source = SlowMotion(ROOM_BODIES)
        self.device = Device(
            self.source, rate_hz, lambda: self.now_ns, latency_ms=LATENCY_MS, first_frame=first_frame, keeps_handles=keeps_handles
        )
        self.faults = self.device.faults
        self.tracker = NdiTracker({tool: roms[tool] for tool in tools}, where="camera")
        self.events: list[tuple[int, TrackerEvent]] = []
        self.sent: list[tuple[int, bytes]] = []  # command lines as they reach the camera
        self.opened = 0
        self.is_reachable = True
        self.clock: FrameClock | None = None
        self.exposures: list[int | None] = []  # of each frame in `frames`, as the clock fit dates it
        self._piece_bytes = piece_bytes  # the driver is fed no more at a time
        self._camera = Camera(self.device, lambda: self.now_ns)
        self._reader = CommandReader()
        self._rng = random.Random(1)
        self._flights: list[tuple[int, int, int, bytes]] = []  # when, order, link, bytes to the host
        self._order = 0
        self._link: int | None = None
        self._wake_ns = self.now_ns
        self._open()

    # ---- what happened -----------------------------------------------------------------------------------------------

    @property
    def frames(self) -> list[TrackerFrame]:
        return [event for _, event in self.events if isinstance(event, TrackerFrame)]

    @property
    def changes(self) -> list[TrackerChanged]:
        return [event for _, event in self.events if isinstance(event, TrackerChanged)]

    @property
    def alerts(self) -> list[TrackerAlert]:
        return [event for _, event in self.events if isinstance(event, TrackerAlert)]

    @property
    def restarts(self) -> int:
        return sum(isinstance(event, ClockRestart) for _, event in self.events)

    @property
    def state(self) -> TrackerState:
        return self.changes[-1].state

    def forget(self) -> None:
        """What follows is looked at alone."""
        self.events.clear()
        self.sent.clear()
        self.exposures.clear()

    # ---- time --------------------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> "VirtualRoom":
        end_ns = self.now_ns + round(seconds * SECOND)
        while True:
            arrival_ns = self._flights[0][0] if self._flights else end_ns + 1
            next_ns = min(arrival_ns, max(self._wake_ns, self.now_ns + 1))
            if next_ns > end_ns:
                self.now_ns = end_ns
                return self
            self.now_ns = next_ns
            if arrival_ns == next_ns:
                self._arrive()
            else:
                self._do(self.tracker.tick(self.now_ns))

    def tracking(self) -> "VirtualRoom":
        """Run until frames come and the clock fit stands, then forget how that went."""
        self.run(1.5)
        assert self.state is TrackerState.TRACKING
        self.forget()
        return self

    def unplug_cable(self, link_back: bool = False) -> None:
        """The connection breaks now; it can be opened again if `link_back`."""
        self.is_reachable = link_back
        self._hang_up()
        self._do(self.tracker.disconnected(self.now_ns))

    def inject(self, data: bytes) -> None:
        """Bytes that the camera never sent reach the driver now."""
        self._do(self.tracker.feed(data, self.now_ns))

    # ---- the line ----------------------------------------------------------------------------------------------------

    def _arrive(self) -> None:
        _, _, link, data = heapq.heappop(self._flights)
        if link != self._link:
            return
        for start in range(0, len(data), self._piece_bytes):
            self._do(self.tracker.feed(data[start : start + self._piece_bytes], self.now_ns))
        if not data:
            self._hang_up()
            self._do(self.tracker.disconnected(self.now_ns))

    def _do(self, step: Step[TrackerEvent]) -> None:
        for event in step.events:
            self._note(event)
        self._wake_ns = step.wake_ns
        if step.send and self._link is not None:
            self._reach_camera(step.send)
        if step.reopen is not None:
            self._hang_up()
            self._open()

    def _note(self, event: TrackerEvent) -> None:
        self.events.append((self.now_ns, event))
        if isinstance(event, ClockRestart):
            self.clock = FrameClock(event.frame_hz, round(LATENCY_MS * MS))
        if isinstance(event, TrackerFrame) and self.clock is not None:
            self.exposures.append(self.clock.add(event.frame_number, event.received_ns))

    def _reach_camera(self, data: bytes) -> None:
        assert self._link is not None
        for line in self._reader.push(data):
            self.sent.append((self.now_ns, line))
            reply = self._camera.answer(self._link, line)
            if self.faults.takes("close"):
                self._fly(self.now_ns, b"")
                return
            for due_ns, piece in pieces(reply, self.faults, self.now_ns):
                self._fly(due_ns, piece)

    def _fly(self, due_ns: int, data: bytes) -> None:
        assert self._link is not None
        self._order += 1
        jitter_ns = self._rng.randrange(20_000)
        last_ns = max((flight[0] for flight in self._flights if flight[2] == self._link), default=0)
        heapq.heappush(self._flights, (max(due_ns + 2 * FLIGHT_NS + jitter_ns, last_ns), self._order, self._link, data))

    def _open(self) -> None:
        if not self.is_reachable:
            self._do(self.tracker.disconnected(self.now_ns))
            return
        self.opened += 1
        self._link = self.opened
        self._reader = CommandReader()
        self._do(self.tracker.connected(self.now_ns))

    def _hang_up(self) -> None:
        if self._link is not None:
            self._camera.left(self._link)
        self._link = None
