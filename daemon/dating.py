"""When a tracker's frames were exposed: which clock of `calibration.clocks` each kind of source is dated by."""

from typing import Protocol

from calibration.clocks import UNFITTED, ArrivalClock, ClockState, ExchangeClock, FrameClock, StampClock
from drivers.values import TrackerFrame


class Dating(Protocol):
    """Dates frames in order, each once."""

    def restart(self, frame_hz: float) -> None:
        """What comes now does not continue what came before."""

    def exposed_ns(self, frame: TrackerFrame) -> int | None:
        """Host monotonic; None while there is no fit, and so no age."""

    @property
    def state(self) -> ClockState: ...


class CameraDating:
    """By the camera's frame counter. `latency_ns`: from exposure to the earliest possible reading."""

    def __init__(self, latency_ns: int) -> None:
        self._latency_ns = latency_ns
        self._clock: FrameClock | None = None

    def restart(self, frame_hz: float) -> None:
        self._clock = FrameClock(frame_hz, self._latency_ns)

    def exposed_ns(self, frame: TrackerFrame) -> int | None:
        return None if self._clock is None else self._clock.add(frame.frame_number, frame.received_ns)

    @property
    def state(self) -> ClockState:
        return UNFITTED if self._clock is None else self._clock.state


class StampDating:
    """By stamps of a clock that nobody compares with ours; without stamps by nothing but the arrival.

    `worst_latency_ns` is the site's word and inside every age.
    """

    def __init__(self, worst_latency_ns: int) -> None:
        self._arrival, self._stamps = ArrivalClock(worst_latency_ns), StampClock(worst_latency_ns)
        self._used: ArrivalClock | StampClock | None = None

    def restart(self, frame_hz: float) -> None:  # noqa: ARG002  # stamps need no rate
        self._stamps.restart()
        self._used = None

    def exposed_ns(self, frame: TrackerFrame) -> int | None:
        if frame.stamp is None:
            self._used = self._arrival
            return self._arrival.add(frame.received_ns)
        self._used = self._stamps
        return self._stamps.add(frame.stamp.source_ns, frame.received_ns)

    @property
    def state(self) -> ClockState:
        return UNFITTED if self._used is None else self._used.state


class ExchangeDating:
    """By stamps of a sender that exchanges times with us. `worst_latency_ns` is the site's word and inside every age."""

    def __init__(self, worst_latency_ns: int) -> None:
        self._clock = ExchangeClock(worst_latency_ns)

    def restart(self, frame_hz: float) -> None:  # noqa: ARG002  # stamps need no rate
        self._clock.restart()

    def exposed_ns(self, frame: TrackerFrame) -> int | None:
        stamp = frame.stamp
        if stamp is None:
            return None
        return self._clock.add(stamp.source_ns, frame.received_ns, stamp.host_minus_source_ns, stamp.bound_ns)

    @property
    def state(self) -> ClockState:
        return self._clock.state
