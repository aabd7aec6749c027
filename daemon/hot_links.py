"""The hot process's two wires: descriptors, reconnection and what is left to write. No decision is made here."""

from daemon.firing import Firing
from daemon.ipc import FromHotOrder
from daemon.tracker_doors import Door
from drivers.protocols import Line, Step, Tracker
from drivers.transport import Pipe
from drivers.values import NotThere, TrackerChanged, TrackerEvent, TrackerState

BACK_OFF_NS = (500_000_000, 1_000_000_000, 2_000_000_000, 5_000_000_000)  # between attempts at the camera
PORT_RETRY_NS = 500_000_000
FAR_NS = 1 << 62


class TrackerLink:
    """The link to the tracker, reopened for as long as it takes."""

    def __init__(self, driver: Tracker, door: Door) -> None:
        self.door = door
        self._driver = driver
        self._pipe: Pipe | None = None
        self._driver_ns = 0  # when the driver, or a new attempt, is due
        self._failures = 0
        self.state = TrackerState.CONNECTING

    @property
    def wake_ns(self) -> int:
        return min(self._driver_ns, self.door.wake_ns)

    def reads(self) -> list[int]:
        return [] if self._pipe is None else [self._pipe.fd]

    def writes(self) -> list[int]:
        if self._pipe is None:
            opening = self.door.opening()
            return [] if opening is None else [opening]
        return [self._pipe.fd] if self._pipe.has_unsent else []

    def open(self, now_ns: int) -> None:
        """Begin to connect; never waits."""
        try:
            self.door.open(now_ns)
        except NotThere:
            self._fail(now_ns)
            return
        self._driver_ns = FAR_NS

    def turn(self, ready: set[int], now_ns: int) -> list[TrackerEvent]:
        """Read, tick and write once; what the camera said, in order."""
        events: list[TrackerEvent] = []
        try:
            if self._pipe is None:
                self._turn_unconnected(ready, now_ns, events)
            elif self._pipe.fd in ready and self._pipe.has_unsent:
                self._pipe.flush()
            self.door.turn(now_ns)
        except NotThere as error:
            self._lose(error.what, now_ns, events)
        if self._pipe is not None and self._pipe.fd in ready:
            data = self._pipe.read()
            if data is None:
                self._lose("the camera closed the connection", now_ns, events)
            elif data:
                self._take(self._driver.feed(data, now_ns), now_ns, events)
        if self._pipe is not None and now_ns >= self._driver_ns:
            self._take(self._driver.tick(now_ns), now_ns, events)
        for event in events:
            if isinstance(event, TrackerChanged):
                self.state = event.state
        return events

    def farewell(self, now_ns: int) -> None:
        if self._pipe is not None:
            self._pipe.write(self._driver.farewell(now_ns).send)
        self._close()

    def _turn_unconnected(self, ready: set[int], now_ns: int, events: list[TrackerEvent]) -> None:
        """Raises NotThere."""
        if self.door.opening() is not None:
            self._pipe = self.door.enter(ready, now_ns)
            if self._pipe is not None:
                self._failures = 0
                self._take(self._driver.connected(now_ns), now_ns, events)
        elif now_ns >= self._driver_ns:
            self.open(now_ns)

    def _take(self, step: Step[TrackerEvent], now_ns: int, events: list[TrackerEvent]) -> None:
        events += step.events
        self._driver_ns = step.wake_ns
        if step.reopen is not None:
            self._lose(step.reopen, now_ns, events)
        elif self._pipe is not None and step.send and not self._pipe.write(step.send):
            self._lose("the camera takes no more bytes", now_ns, events)
        elif step.line is not None:
            try:
                self.door.change(step.line, now_ns)
            except NotThere as error:
                self._lose(error.what, now_ns, events)

    def _lose(self, why: str, now_ns: int, events: list[TrackerEvent]) -> None:
        events.append(TrackerChanged(state=TrackerState.LOST, why=why, remedy="Check the tracker's power, cable and address."))
        if self._pipe is not None:
            events += self._driver.disconnected(now_ns).events
        self._fail(now_ns)

    def _fail(self, now_ns: int) -> None:
        self._close()
        self._driver_ns = now_ns + BACK_OFF_NS[min(self._failures, len(BACK_OFF_NS) - 1)]
        self._failures += 1

    def _close(self) -> None:
        self.door.close()
        self._pipe = None


class StimulatorLink:
    """The stimulator's port: inherited at first, opened again under its lock after a loss."""

    def __init__(self, firing: Firing, line: Line) -> None:
        self._firing, self._line = firing, line
        self._pipe: Pipe | None = None
        self._retry_ns = 0

    def reads(self) -> list[int]:
        return [] if self._pipe is None else [self._pipe.fd]

    def writes(self) -> list[int]:
        return [self._pipe.fd] if self._pipe is not None and self._pipe.has_unsent else []

    def adopt(self, fd: int, now_ns: int) -> None:
        """Take the open, locked port over; disarm goes out at once."""
        self._pipe = Pipe(fd)
        self._firing.connected(now_ns)
        self.write(now_ns)

    def turn(self, ready: set[int], now_ns: int) -> None:
        pipe = self._pipe
        if pipe is None:
            if now_ns >= self._retry_ns:
                self._reopen(now_ns)
            return
        if pipe.fd not in ready:
            return
        if pipe.has_unsent and not pipe.flush():
            self._lose(now_ns)
            return
        data = pipe.read()
        if data is None:
            self._lose(now_ns)
        elif data:
            self._firing.feed(data, now_ns)

    def write(self, now_ns: int) -> tuple[FromHotOrder, ...]:
        """Send what the stimulator is to get; returns the facts that came with it."""
        out = self._firing.take()
        facts = out.facts
        if self._pipe is None:
            return facts
        if not self._pipe.write(out.send):
            self._lose(now_ns)
        elif out.reopen is not None:
            # The descriptor stays: closing it would give the port away. The conversation begins anew, disarm first.
            self._firing.disconnected(now_ns)
            self._firing.connected(now_ns)
        else:
            return facts
        return (*facts, *self.write(now_ns))

    def _lose(self, now_ns: int) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
            self._firing.disconnected(now_ns)
        self._retry_ns = now_ns + PORT_RETRY_NS

    def _reopen(self, now_ns: int) -> None:
        try:
            fd = self._line.open()
        except NotThere:
            self._retry_ns = now_ns + PORT_RETRY_NS
            return
        self.adopt(fd, now_ns)
