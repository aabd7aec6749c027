"""How well the tracker served: a second's frames, those that never came, latency, gaps, clock, and jitter at rest."""

import math

import numpy as np
import pytest

from calibration.clocks import ClockState
from calibration.jitter import jitter
from daemon.ipc import ClockNews, FrameNews
from daemon.messages import TrackerBody
from daemon.tracker_stats import TrackerStats
from drivers.values import ToolSample

MS, S = 1_000_000, 1_000_000_000
PERIOD = 20 * MS


def sample(tool: str, mm: tuple[float, float, float], *, seen: bool = True) -> ToolSample:
    return ToolSample(
        tool=tool,
        frame_number=1,
        wxyz=(1.0, 0.0, 0.0, 0.0) if seen else None,
        in_tracker_mm=mm if seen else None,
        fit_rms_mm=0.1,
        unseen=None,
    )


def news(
    at_ns: int, *, late_ms: float | None = 14.0, skipped: int = 0, dropped: int = 0, coil_mm: float = 50.0, seen: bool = True
) -> FrameNews:
    return FrameNews(
        frame_number=1,
        received_ns=at_ns,
        exposed_ns=None if late_ms is None else at_ns - round(late_ms * MS),
        tools=(sample("head", (0.0, 0.0, 0.0)), sample("coil", (coil_mm, 0.0, 0.0), seen=seen)),
        error=None,
        coil_in_mri_mm=None,
        mri_from_coil_wxyz=None,
        on_target=False,
        settling=False,
        dropped=dropped,
        skipped=skipped,
    )


def second(stats: TrackerStats, frames: list[FrameNews], from_ns: int = 100 * S) -> TrackerBody:
    stats.body(from_ns)
    for frame in frames:
        stats.on_frame(frame)
    assert stats.body(from_ns + S - 1) is None
    body = stats.body(from_ns + S)
    assert body is not None
    return body


def test_a_quiet_second_is_told_as_it_was() -> None:
    stats = TrackerStats("ndi")
    stats.frame_hz = 50.0
    stats.on_clock(ClockNews(state=ClockState(is_fitted=True, bound_ns=900_000, drift_ppm=12.0), restarts=1))
    body = second(stats, [news(100 * S + index * PERIOD, late_ms=14.0 + index / 100) for index in range(50)])
    assert (body.kind, body.frames, body.frames_skipped, body.period_s) == ("ndi", 50, 0, 1.0)
    assert body.measured_hz == pytest.approx(50.0)
    assert (body.latency_ms_p50, body.latency_ms_max) == pytest.approx((14.245, 14.49))
    assert body.longest_gap_ms == pytest.approx(20.0)
    assert (body.clock_fitted, body.clock_bound_ms, body.clock_drift_ppm, body.clock_restarts) == (True, 0.9, 12.0, 1)


def test_lost_frames_and_lost_news_add_up() -> None:
    stats = TrackerStats("lsl")
    second(stats, [news(100 * S, skipped=3), news(100 * S + PERIOD, skipped=1, dropped=5)])
    body = second(stats, [news(101 * S, skipped=2, dropped=9)], 101 * S)
    assert (body.frames_skipped, body.frames_skipped_total, body.news_lost_total) == (2, 6, 9)


def test_a_second_without_frames_has_no_latency_and_a_gap_that_lasts() -> None:
    stats = TrackerStats("igtl")
    second(stats, [news(100 * S + 900 * MS)])
    body = second(stats, [], 101 * S)
    assert (body.frames, body.measured_hz, body.latency_ms_p50, body.latency_ms_max) == (0, None, None, None)
    assert body.longest_gap_ms == pytest.approx(1100.0)


def test_frames_without_a_date_have_no_latency() -> None:
    body = second(TrackerStats("ndi"), [news(100 * S + index * PERIOD, late_ms=None) for index in range(20)])
    assert body.latency_ms_p50 is None and not body.clock_fitted


def test_jitter_at_rest_is_told_and_none_while_the_coil_moves_or_is_unseen() -> None:
    rng = np.random.default_rng(2)
    still = [news(100 * S + index * PERIOD, coil_mm=50.0 + rng.normal(0.0, 0.08)) for index in range(50)]
    body = second(TrackerStats("ndi"), still)
    assert body.coil_jitter_mm == pytest.approx(0.08, rel=0.3)
    assert body.head_jitter_mm == pytest.approx(0.0, abs=1e-9)
    moving = [news(100 * S + index * PERIOD, coil_mm=50.0 + index * 0.06) for index in range(50)]  # 3 mm/s
    assert second(TrackerStats("ndi"), moving).coil_jitter_mm is None
    assert second(TrackerStats("ndi"), [news(100 * S + index * PERIOD, seen=False) for index in range(50)]).head_jitter_mm is None


def test_a_head_that_turns_with_its_coil_shows_no_jitter_of_the_coil_in_it() -> None:
    angles = np.radians(np.linspace(0.0, 0.5, 50))
    turns = np.column_stack((np.cos(angles / 2), np.zeros((50, 2)), np.sin(angles / 2)))
    coils = 100.0 * np.column_stack((np.cos(angles), np.sin(angles), np.zeros(50)))
    found = jitter(np.arange(50) / 50.0, np.zeros((50, 3)), turns, coils)
    assert found.coil_in_head_mm == pytest.approx(0.0, abs=1e-9)
    assert found.coil_mm is None or math.isfinite(found.coil_mm)
