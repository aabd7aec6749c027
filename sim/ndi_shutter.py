"""The simulated camera's frame clock: which frame is the newest that can be read, and when it was exposed."""

from dataclasses import dataclass

WRAP = 1 << 32
SLOW_LATENCY_MS, FAST_LATENCY_MS = 14.0, 3.0  # measured on a Polaris Vega at 60 Hz (10.1186/s13014-021-01804-7); assumed at high rates
FASTEST_SLOW_HZ = 100.0


@dataclass(frozen=True, slots=True)
class Frame:
    number: int
    exposed_ns: int


class Shutter:
    """Exposures at a fixed rate from `start_ns` on; a frame can be read `latency` after its exposure.

    `latency_ms` None: 14 ms up to 100 Hz, 3 ms above.
    """

    def __init__(self, rate_hz: float, first_number: int, start_ns: int, latency_ms: float | None) -> None:
        self._rate_hz = rate_hz
        self._latency_ms = latency_ms
        self._first = first_number
        self._start_ns = start_ns - self.latency_ns
        self._hidden_below = 0  # frames before this index are never given
        self._newest = 0

    @property
    def latency_ns(self) -> int:
        automatic = SLOW_LATENCY_MS if self._rate_hz <= FASTEST_SLOW_HZ else FAST_LATENCY_MS
        return round(1e6 * (automatic if self._latency_ms is None else self._latency_ms))

    def newest(self, now_ns: int, every: int = 1) -> Frame:
        """The newest frame that can be read, among every `every`-th."""
        index = int((now_ns - self._start_ns - self.latency_ns) * self._rate_hz // 1e9)
        index -= index % every
        if index >= self._hidden_below:
            self._newest = max(self._newest, index)
        return Frame((self._first + self._newest) % WRAP, self._exposed_ns(self._newest))

    def set_rate(self, rate_hz: float, now_ns: int) -> None:
        """Numbers and exposures go on from the newest frame."""
        last = self.newest(now_ns)
        self._first, self._start_ns, self._rate_hz = last.number, last.exposed_ns, rate_hz
        self._newest = self._hidden_below = 0

    def skip(self, frames: int) -> None:
        """The next frames are lost: numbers and time go on, nothing can be read."""
        if frames:
            self._hidden_below = self._newest + frames + 1

    def jump(self, frames: int) -> None:
        """Numbers go on elsewhere, as after a restart."""
        self._first += frames

    def _exposed_ns(self, index: int) -> int:
        return self._start_ns + round(index * 1e9 / self._rate_hz)
