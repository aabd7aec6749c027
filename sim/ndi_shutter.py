"""The simulated camera's frame clock: which frame is the newest that can be read, when it was exposed, which never come."""

from dataclasses import dataclass

WRAP = 1 << 32
SLOW_LATENCY_MS, FAST_LATENCY_MS = 14.0, 3.0  # measured on a Polaris Vega at 60 Hz (10.1186/s13014-021-01804-7); assumed at high rates
FASTEST_SLOW_HZ = 100.0
_MIX = 0x9E3779B97F4A7C15  # odd and irrational-like (2^64 over the golden ratio): spreads successive numbers over the range
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Frame:
    number: int
    exposed_ns: int


class Shutter:
    """Exposures at a fixed rate from `start_ns` on; a frame can be read `latency` after its exposure.

    Frames have an index from the start, which rises for ever, and a number, which is what the camera tells.
    `latency_ms` None: 14 ms up to 100 Hz, 3 ms above.
    """

    def __init__(self, rate_hz: float, first_number: int, start_ns: int, latency_ms: float | None, seed: int = 0) -> None:
        self._nominal_hz = self._rate_hz = float(rate_hz)
        self._latency_ms = latency_ms
        self._first = first_number
        self._base_index, self._base_ns = 0, start_ns - self.latency_ns
        self._hidden = range(0)  # frames that are never given
        self._newest = 0
        self._seed = seed
        self._drift_ppm = 0.0
        self.drop_share = 0.0  # of frames that never become readable
        self.repeat_share = 0.0  # of frames in whose place the one before is given again

    @property
    def latency_ns(self) -> int:
        automatic = SLOW_LATENCY_MS if self._nominal_hz <= FASTEST_SLOW_HZ else FAST_LATENCY_MS
        return round(1e6 * (automatic if self._latency_ms is None else self._latency_ms))

    def newest(self, now_ns: int, every: int = 1) -> Frame:
        """The newest frame that can be read, among every `every`-th."""
        index = self.index_at(now_ns)
        index -= index % every
        while index > self._newest and (self.is_lost(index) or self.is_repeated(index)):
            index -= every
        self._newest = max(self._newest, index)
        return self.frame(self._newest)

    def index_at(self, now_ns: int) -> int:
        """Of the last frame whose time to be read has come, whether it can be read or not."""
        return self._base_index + int((now_ns - self._base_ns - self.latency_ns) * self._rate_hz // 1e9)

    def readable_ns(self, index: int) -> int:
        return self._exposed_ns(index) + self.latency_ns + 1

    def frame(self, index: int) -> Frame:
        return Frame((self._first + index) % WRAP, self._exposed_ns(index))

    def is_lost(self, index: int) -> bool:
        return index in self._hidden or self._draw(index, 1) < self.drop_share

    def is_repeated(self, index: int) -> bool:
        return self._draw(index, 2) < self.repeat_share

    def set_rate(self, rate_hz: float, now_ns: int) -> None:
        """Numbers and exposures go on from the newest frame."""
        self._go_on(now_ns)
        self._nominal_hz = float(rate_hz)
        self._rate_hz = self._nominal_hz * (1.0 + 1e-6 * self._drift_ppm)

    def set_drift(self, ppm: float, now_ns: int) -> None:
        """From now on the camera's clock runs faster than it says by so much."""
        if ppm != self._drift_ppm:
            self._drift_ppm = ppm
            self.set_rate(self._nominal_hz, now_ns)

    def _go_on(self, now_ns: int) -> None:
        index = max(self._newest, self.index_at(now_ns))
        self._base_index, self._base_ns = index, self._exposed_ns(index)

    def skip(self, frames: int, now_ns: int) -> None:
        """The next frames are lost: numbers and time go on, nothing can be read."""
        if frames:
            first = self.index_at(now_ns) + 1
            self._hidden = range(first, first + frames)

    def jump(self, frames: int) -> None:
        """Numbers go on elsewhere, as after a restart."""
        self._first += frames

    def _exposed_ns(self, index: int) -> int:
        return self._base_ns + round((index - self._base_index) * 1e9 / self._rate_hz)

    def _draw(self, index: int, kind: int) -> float:
        """A number from 0 to 1 that belongs to this frame."""
        mixed = ((index * 4 + kind + self._seed * 1_000_003) * _MIX) & _MASK
        mixed = ((mixed ^ mixed >> 29) * _MIX) & _MASK
        return (mixed >> 11) / (1 << 53)
