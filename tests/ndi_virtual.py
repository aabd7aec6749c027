"""The NDI driver and the simulated camera on one made-up clock: every fault at its exact moment, no sockets, no waiting."""

import heapq
import random

from calibration.clocks import FrameClock
from drivers.ndi import NdiTracker
from drivers.ndi_line import START_BAUD, SerialWish
from drivers.ndi_ways import Way
from drivers.ndi_wire import CommandReader
from drivers.protocols import LineChange, Step
from drivers.values import ClockRestart, TrackerAlert, TrackerChanged, TrackerEvent, TrackerFrame, TrackerState
from sim.ndi_camera import Camera
from sim.ndi_device import Device
from sim.ndi_line import pieces
from sim.ndi_models import VEGA, Model
from sim.ndi_poses import PoseSource, SlowMotion
from sim.ndi_room_tools import COIL, HEAD, ROOM_BODIES, ROOM_ROMS
from sim.ndi_serial import BREAK, SerialSide

MS = 1_000_000
SECOND = 1_000_000_000
FLIGHT_NS = 50_000  # of any bytes, either way
LATENCY_MS = 3.0
SERIAL = 0  # the one client of a serial line


class VirtualRoom:
    """A camera with head and coil in view, and its driver; `events` holds (when, what).

    With `serial` the camera is at a line whose speed counts: at the wrong one nothing is heard, and bytes take their time.
    """

    def __init__(
        self,
        rate_hz: int | None = 200,
        tools: tuple[str, ...] = (HEAD, COIL),
        roms: dict[str, bytes] = ROOM_ROMS,
        first_frame: int = 1,
        keeps_handles: bool = False,
        piece_bytes: int = 65536,
        way: Way | None = Way.BX,
        model: Model = VEGA,
        serial: SerialWish | None = None,
        source: PoseSource | None = None,
        noise_mm: float = 0.0,
        frame_hz: float | None = None,
    ) -> None:
        self.now_ns = 10**15
        self.source = SlowMotion(ROOM_BODIES) if source is None else source
        self.device = Device(
            self.source,
            rate_hz,
            lambda: self.now_ns,
            model=model,
            latency_ms=LATENCY_MS,
            noise_mm=noise_mm,
            first_frame=first_frame,
            keeps_handles=keeps_handles,
        )
        self.faults = self.device.faults
        self.faults.strict_line = serial is not None
        self.tracker = NdiTracker({tool: roms[tool] for tool in tools}, frame_hz, "camera", way=way, serial=serial)
        self.events: list[tuple[int, TrackerEvent]] = []
        self.sent: list[tuple[int, bytes]] = []  # command lines as they reach the camera
        self.opened = 0
        self.is_reachable = True
        self.clock: FrameClock | None = None
        self.exposures: list[int | None] = []  # of each frame in `frames`, as the clock fit dates it
        self._piece_bytes = piece_bytes  # the driver is fed no more at a time
        self._camera = Camera(self.device, lambda: self.now_ns)
        self._reader = CommandReader()
        self.side = None if serial is None else SerialSide(self._camera, SERIAL, self.faults)
        self.baud = START_BAUD  # of the host's end
        self.breaks = 0
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
            push_ns = max(self._camera.next_push_ns() or end_ns + 1, self.now_ns + 1)
            next_ns = min(arrival_ns, push_ns, max(self._wake_ns, self.now_ns + 1))
            if next_ns > end_ns:
                self.now_ns = end_ns
                return self
            self.now_ns = next_ns
            if arrival_ns == next_ns:
                self._arrive()
            elif push_ns == next_ns:
                self._push()
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
        assert not (step.send and step.line)
        if step.line is not None and self._link is not None:
            self._change_line(step.line)
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

    def _change_line(self, change: LineChange) -> None:
        self.baud = change.baud
        if change.break_ns and self.side is not None:
            self.breaks += 1
            self._answers(self.side.hear(BREAK, self.baud))

    def _reach_camera(self, data: bytes) -> None:
        assert self._link is not None
        if self.side is not None:
            self.sent += [(self.now_ns, line) for line in data.split(b"\r")[:-1]]
            self._answers(self.side.hear(data, self.baud))
            return
        for line in self._reader.push(data):
            self.sent.append((self.now_ns, line))
            if self._link is not None:
                self._answers([(self._camera.answer(self._link, line), 0)])

    def _push(self) -> None:
        pushes = self._camera.pushes()
        self._answers([(data, 0) for client, data in pushes if client == self._link or self.side is not None])

    def _answers(self, replies: list[tuple[bytes, int]]) -> None:
        for reply, wire_ns in replies:
            if self.side is None and self.faults.takes("close"):
                self._fly(self.now_ns, b"")
                return
            for due_ns, piece in pieces(reply, self.faults, self.now_ns + wire_ns):
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
        self.baud = START_BAUD
        self._reader = CommandReader()
        self._do(self.tracker.connected(self.now_ns))

    def _hang_up(self) -> None:
        if self._link is not None and self.side is None:
            self._camera.left(self._link)
        self._link = None
