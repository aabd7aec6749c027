"""The hint between checks: a head reference that jumps while the coil stays."""

import pytest

from daemon.reference_watch import ReferenceWatch
from drivers.values import ToolSample

FRAME_NS = 16_666_667
Point = tuple[float, float, float]


def sample(tool: str, x_mm: float | None) -> ToolSample:
    at: Point | None = None if x_mm is None else (x_mm, 0.0, -1500.0)
    return ToolSample(tool=tool, frame_number=1, fit_rms_mm=0.1, wxyz=(1.0, 0.0, 0.0, 0.0), in_tracker_mm=at, unseen=None)


def told(frames: list[tuple[float | None, float | None]], frame_ns: int = FRAME_NS) -> list[bool]:
    watch = ReferenceWatch()
    return [watch.frame(sample("head", head), sample("coil", coil), k * frame_ns) for k, (head, coil) in enumerate(frames)]


def test_a_head_reference_that_jumps_while_the_coil_stays_is_told_once() -> None:
    assert told([(0.0, 50.0), (0.0, 50.0), (2.5, 50.0), (2.5, 50.0)]) == [False, False, True, False]


@pytest.mark.parametrize(
    "frames",
    [
        [(0.0, 50.0), (2.5, 52.5)],  # the camera was knocked
        [(0.0, 50.0), (1.9, 50.0), (3.8, 50.0)],  # a quick head
        [(0.0, 50.0), (None, 50.0), (2.5, 50.0)],  # not seen in between
        [(0.0, 50.0), (0.0, None), (2.5, 50.0)],
    ],
)
def test_what_may_be_something_else_is_not_told(frames: list[tuple[float | None, float | None]]) -> None:
    assert not any(told(frames))


def test_a_fast_camera_sees_the_same_jump_over_several_frames() -> None:
    assert any(told([(0.6 * k, 50.0) for k in range(8)], 2_500_000))
    assert not any(told([(0.2 * k, 50.0) for k in range(8)], 2_500_000))


def test_a_time_that_is_not_known_or_runs_back_compares_nothing() -> None:
    watch = ReferenceWatch()
    assert not watch.frame(sample("head", 0.0), sample("coil", 0.0), 100 * FRAME_NS)
    assert not watch.frame(sample("head", 9.0), sample("coil", 0.0), 50 * FRAME_NS)
    assert not watch.frame(sample("head", 0.0), sample("coil", 0.0), None)
    assert not watch.frame(None, sample("coil", 0.0), 51 * FRAME_NS)
