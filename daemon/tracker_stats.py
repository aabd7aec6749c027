"""How well the tracker serves: frames and those that never came, latency, the clock's bound, jitter at rest. Told once a second.

Fed by what the hot process tells; decides nothing.
"""

import numpy as np

from calibration.jitter import Jitter, jitter
from daemon.ipc import ClockNews, FrameNews
from daemon.messages import TrackerBody

PERIOD_NS = 1_000_000_000
MS = 1_000_000
_NO_JITTER = Jitter(None, None, None)


class TrackerStats:
    """Statistics of one period after the other. `kind` as in the chair's file."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.frame_hz: float | None = None
        self._clock: ClockNews | None = None
        self._frames: list[FrameNews] = []
        self._since_ns: int | None = None
        self._last_ns: int | None = None  # reading of the last frame of an earlier period
        self._skipped_total = self._lost_total = 0

    def on_clock(self, news: ClockNews) -> None:
        self._clock = news

    def on_frame(self, news: FrameNews) -> None:
        self._frames.append(news)
        self._lost_total = news.dropped

    def body(self, now_ns: int) -> TrackerBody | None:
        """The period's statistics once it is over; None before."""
        if self._since_ns is None:
            self._since_ns = now_ns
        if now_ns - self._since_ns < PERIOD_NS:
            return None
        frames, self._frames = self._frames, []
        period_s = (now_ns - self._since_ns) / 1e9
        self._since_ns = now_ns
        return self._of(frames, period_s, now_ns)

    def _of(self, frames: list[FrameNews], period_s: float, now_ns: int) -> TrackerBody:
        skipped = sum(news.skipped for news in frames)
        self._skipped_total += skipped
        late_ms = [(news.received_ns - news.exposed_ns) / MS for news in frames if news.exposed_ns is not None]
        p50, p99, most = (None, None, None) if not late_ms else (float(np.quantile(late_ms, share)) for share in (0.5, 0.99, 1.0))
        still, clock = _jitter(frames), self._clock
        state = None if clock is None else clock.state
        bound_ns = None if state is None else state.bound_ns
        return TrackerBody(
            kind=self._kind,
            period_s=period_s,
            frame_hz=self.frame_hz,
            measured_hz=_rate_hz(frames),
            frames=len(frames),
            frames_skipped=skipped,
            frames_skipped_total=self._skipped_total,
            news_lost_total=self._lost_total,
            latency_ms_p50=p50,
            latency_ms_p99=p99,
            latency_ms_max=most,
            longest_gap_ms=self._longest_gap_ms(frames, now_ns),
            clock_fitted=state is not None and state.is_fitted,
            clock_bound_ms=None if bound_ns is None else bound_ns / MS,
            clock_drift_ppm=None if state is None else state.drift_ppm,
            clock_restarts=0 if clock is None else clock.restarts,
            head_jitter_mm=still.head_mm,
            coil_jitter_mm=still.coil_mm,
            coil_in_head_jitter_mm=still.coil_in_head_mm,
        )

    def _longest_gap_ms(self, frames: list[FrameNews], now_ns: int) -> float | None:
        """Between readings, the one that lasts until now included."""
        times_ns = [news.received_ns for news in frames]
        if self._last_ns is not None:
            times_ns.insert(0, self._last_ns)
        if not times_ns:
            return None
        self._last_ns = times_ns[-1]
        return max(later - earlier for earlier, later in zip(times_ns, [*times_ns[1:], now_ns], strict=True)) / MS


def _rate_hz(frames: list[FrameNews]) -> float | None:
    if len(frames) < 2 or frames[-1].received_ns <= frames[0].received_ns:
        return None
    return (len(frames) - 1) * 1e9 / (frames[-1].received_ns - frames[0].received_ns)


def _jitter(frames: list[FrameNews]) -> Jitter:
    rows = [row for news in frames if (row := _row(news)) is not None]
    if not rows:
        return _NO_JITTER
    table = np.array(rows)
    return jitter(table[:, 0], table[:, 1:4], table[:, 4:8], table[:, 8:11])


def _row(news: FrameNews) -> tuple[float, ...] | None:
    """Time, head, its quaternion and coil of a frame that shows both."""
    head, coil = (next((sample for sample in news.tools if sample.tool == tool), None) for tool in ("head", "coil"))
    if head is None or coil is None or head.wxyz is None or head.in_tracker_mm is None or coil.in_tracker_mm is None:
        return None
    return (news.received_ns / 1e9, *head.in_tracker_mm, *head.wxyz, *coil.in_tracker_mm)
