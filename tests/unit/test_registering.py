"""What counts as a touch, and which swept points are kept."""

import math

import pytest

from daemon.registering import APART_LIMIT_MM, SPACING_MM, SWEEP_MOST, Held, Landmarks, Sweep, Touch, tip_in_head_mm
from drivers.values import ToolSample

FRAME = 16_666_667


def sample(tool: str, frame: int = 1, fit_mm: float | None = 0.1, **changes: object) -> ToolSample:
    seen: dict[str, object] = {"wxyz": (1.0, 0.0, 0.0, 0.0), "in_tracker_mm": (0.0, 0.0, -1500.0), "unseen": None}
    return ToolSample(tool=tool, frame_number=frame, fit_rms_mm=fit_mm, **(seen | changes))  # type: ignore[arg-type]


def touch(x_mm: float) -> Touch:
    return Touch(tip_in_head_mm=(x_mm, 0.0, 0.0), spread_mm=0.1, frames=60)


def test_the_tip_is_found_in_the_heads_frame_wherever_the_camera_stands() -> None:
    pointer = sample("pointer", in_tracker_mm=(10.0, 20.0, -1400.0))
    assert tip_in_head_mm(sample("head"), pointer, (1.0, 2.0, 3.0)) == pytest.approx((11.0, 22.0, 103.0))


@pytest.mark.parametrize(
    ("head", "pointer"),
    [
        (None, sample("pointer")),
        (sample("head"), None),
        (sample("head"), sample("pointer", frame=2)),
        (sample("head", fit_mm=0.36), sample("pointer")),
        (sample("head"), sample("pointer", fit_mm=None)),
        (sample("head", flagged=True), sample("pointer")),
        (sample("head"), sample("pointer", wxyz=None)),
    ],
)
def test_a_tip_that_is_not_seen_well_in_one_frame_is_none(head: ToolSample | None, pointer: ToolSample | None) -> None:
    assert tip_in_head_mm(head, pointer, (0.0, 0.0, 0.0)) is None


def hold(tips: list[tuple[float, float, float] | None]) -> Touch | None:
    held, found = Held(), None
    for k, tip in enumerate(tips):
        found = found or held.add(tip, k * FRAME)
    return found


def test_a_tip_held_still_for_a_second_is_a_touch_at_its_mean() -> None:
    found = hold([(5.0 + 0.1 * math.sin(k), 0.0, 0.0) for k in range(70)])
    assert found is not None
    assert found.tip_in_head_mm == pytest.approx((5.0, 0.0, 0.0), abs=0.02)
    assert found.frames >= 60


def test_a_moving_tip_is_no_touch() -> None:
    assert hold([(0.05 * k, 0.0, 0.0) for k in range(200)]) is None


def test_a_tip_that_was_lost_for_a_while_begins_anew() -> None:
    assert hold([(5.0, 0.0, 0.0)] * 50 + [None] * 20 + [(5.0, 0.0, 0.0)] * 50) is None


def test_too_few_frames_in_a_second_are_no_touch() -> None:
    held = Held()
    assert [held.add((5.0, 0.0, 0.0), k * 100_000_000) for k in range(15)] == [None] * 15


def test_two_touches_that_agree_are_averaged_and_two_that_do_not_are_dropped() -> None:
    landmarks, apart_mm = Landmarks().with_touch("NAS", touch(0.0))
    assert apart_mm is None
    assert landmarks.points() == {}
    agreed, apart_mm = landmarks.with_touch("NAS", touch(2.0))
    assert apart_mm == 2.0
    assert agreed.points() == {"NAS": (1.0, 0.0, 0.0)}
    dropped, _ = landmarks.with_touch("NAS", touch(APART_LIMIT_MM + 0.1))
    assert dropped.touches["NAS"] == ()


def test_a_sweep_keeps_points_that_are_apart_and_no_more_than_it_can() -> None:
    sweep = Sweep()
    assert sweep.add((0.0, 0.0, 0.0))
    assert not sweep.add((SPACING_MM - 0.01, 0.0, 0.0))
    assert not sweep.add(None)
    for k in range(1, SWEEP_MOST + 5):
        sweep.add((SPACING_MM * k, 0.0, 0.0))
    assert sweep.count == SWEEP_MOST
    assert sweep.points_in_head_mm().shape == (SWEEP_MOST, 3)
