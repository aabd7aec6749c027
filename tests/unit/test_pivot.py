import dataclasses
import math

import numpy as np
import pytest

from calibration.frames import rigid_matrix, rotation_from_vector
from calibration.pivot import NoPivot, PivotFit, PivotRefusal, calibrate_pointer, fit_pivot

TIP = np.array((-17.0, 2.5, -160.0))
DIVOT = np.array((18.0, -9.0, -1440.0))


def turned(count: int, span_deg: float, *, noise_mm: float = 0.1, axes: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    """Poses of a pointer turned within half the span to every side about its resting tip."""
    rng = np.random.default_rng(0)
    turns = np.radians(span_deg / 2.0) * rng.uniform(-1.0, 1.0, (count, 3)) * axes
    rotations = [rotation_from_vector(turn) for turn in turns]
    return np.array([rigid_matrix(R, DIVOT - R @ TIP + rng.normal(0.0, noise_mm, 3)) for R in rotations])


def test_the_tip_and_the_divot_are_found() -> None:
    fit = fit_pivot(turned(200, 60.0))
    assert np.allclose(fit.tip_in_pointer_mm, TIP, atol=0.2)
    assert np.allclose(fit.pivot_in_tracker_mm, DIVOT, atol=0.2)
    assert fit.rms_mm == pytest.approx(0.1 * math.sqrt(3.0), rel=0.2)


def test_a_good_calibration_is_accepted() -> None:
    assert calibrate_pointer(turned(250, 60.0)).refusals() == ()


def test_turning_about_one_axis_gives_no_tip() -> None:
    with pytest.raises(NoPivot, match="one axis") as refusal:
        fit_pivot(turned(50, 60.0, noise_mm=0.0, axes=(0.0, 0.0, 1.0)))
    assert (refusal.value.code, refusal.value.rank) == ("rank_deficient", 5)


def test_no_poses_give_no_tip() -> None:
    with pytest.raises(NoPivot):
        fit_pivot(np.empty((0, 4, 4)))


def test_a_poor_span_is_refused_although_the_residual_looks_fine() -> None:
    fit = calibrate_pointer(turned(300, 6.0))
    assert fit.rms_mm < 0.5
    assert PivotRefusal.ILL_CONDITIONED in fit.refusals()
    assert PivotRefusal.SPAN_SMALL in fit.refusals()


def test_a_wide_turn_about_one_axis_alone_is_too_small_a_span() -> None:
    fit = calibrate_pointer(turned(300, 80.0, axes=(1.0, 0.3, 0.1)))
    assert fit.axis_spans_deg[0] > 45.0 > fit.axis_spans_deg[1]
    assert PivotRefusal.SPAN_SMALL in fit.refusals()


def test_frames_in_which_the_tip_slipped_are_dropped() -> None:
    poses = turned(250, 60.0)
    poses[::25, :3, 3] += (3.0, 0.0, 0.0)
    fit = calibrate_pointer(poses)
    assert fit.dropped >= 10
    assert fit.frames == 250 - fit.dropped
    assert np.allclose(fit.tip_in_pointer_mm, TIP, atol=0.2)


def test_a_tip_that_slipped_half_the_time_is_refused() -> None:
    poses = turned(200, 60.0)
    poses[::4, :3, 3] += np.random.default_rng(1).normal(0.0, 30.0, (50, 3))
    with pytest.raises(NoPivot) as refusal:
        calibrate_pointer(poses)
    assert refusal.value.code == "too_many_outliers"


FINE = PivotFit(
    tip_in_pointer_mm=(0.0, 0.0, 0.0),
    pivot_in_tracker_mm=(0.0, 0.0, 0.0),
    rms_mm=0.5,
    rms_axis_mm=0.29,
    max_mm=1.0,
    condition_number=15.0,
    rank=6,
    span_deg=59.0,
    axis_spans_deg=(46.0, 45.0),
    frames=200,
    dropped=0,
)


def test_a_fit_at_every_limit_is_accepted() -> None:
    assert FINE.refusals() == ()


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("rms_mm", 0.501, PivotRefusal.RMS_HIGH),
        ("rms_mm", math.nan, PivotRefusal.RMS_HIGH),
        ("condition_number", 15.1, PivotRefusal.ILL_CONDITIONED),
        ("axis_spans_deg", (60.0, 44.9), PivotRefusal.SPAN_SMALL),
        ("frames", 199, PivotRefusal.TOO_FEW_FRAMES),
    ],
)
def test_each_limit_passed_is_a_refusal(field: str, value: object, found: PivotRefusal) -> None:
    assert dataclasses.replace(FINE, **{field: value}).refusals() == (found,)


def test_sixty_frames_do_where_the_span_is_wide() -> None:
    wide = dataclasses.replace(FINE, span_deg=60.0, frames=60)
    assert wide.refusals() == ()
    assert dataclasses.replace(wide, frames=59).refusals() == (PivotRefusal.TOO_FEW_FRAMES,)
