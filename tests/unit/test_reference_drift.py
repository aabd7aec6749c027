import math

import numpy as np
import pytest

from calibration.frames import apply_rigid, rigid_matrix, rotation_from_vector
from calibration.reference_drift import Drift, drift_trend_mm_per_h, reference_drift

REGISTERED = np.array([(0.0, 82.0, -42.0), (-78.0, -18.0, -44.0), (78.0, -18.0, -44.0)])


def test_a_reference_that_stayed_shows_no_drift() -> None:
    drift = reference_drift(REGISTERED, REGISTERED)
    assert drift.max_mm == 0.0
    assert not drift.exceeds()


def test_a_slipped_reference_shows_how_far_and_how_much_it_turned() -> None:
    slip = rigid_matrix(rotation_from_vector((0.0, 0.0, math.radians(2.0))), np.zeros(3))
    drift = reference_drift(REGISTERED, np.add(apply_rigid(slip, REGISTERED), (1.0, 0.0, 0.0)))
    assert drift.slip is not None
    assert drift.slip.rotation_deg == pytest.approx(2.0)
    assert drift.exceeds()


def test_a_shift_is_that_of_the_landmarks_middle() -> None:
    drift = reference_drift(REGISTERED, np.add(REGISTERED, (0.0, 3.0, 4.0)))
    assert drift.slip is not None
    assert drift.slip.shift_mm == pytest.approx(5.0)
    assert drift.slip.rotation_deg == pytest.approx(0.0, abs=1e-9)


def test_one_landmark_shows_a_distance_and_no_slip() -> None:
    drift = reference_drift(REGISTERED[:1], np.add(REGISTERED[:1], (0.0, 2.5, 0.0)))
    assert drift.distances_mm == pytest.approx((2.5,))
    assert drift.slip is None


def test_2_mm_is_no_drift_yet_and_a_hair_more_is() -> None:
    assert not Drift((2.0,), None).exceeds()
    assert Drift((2.0001,), None).exceeds()
    assert Drift((1.0, 2.0001), None).exceeds()
    assert not Drift((2.5,), None).exceeds(3.0)


def test_a_touch_that_is_not_a_number_counts_as_drifted() -> None:
    assert Drift((math.nan,), None).exceeds()


def test_touches_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(ValueError, match="2 touches"):
        reference_drift(REGISTERED, REGISTERED[:2])
    with pytest.raises(ValueError, match="0 touches"):
        reference_drift(REGISTERED[:0], REGISTERED[:0])


def test_the_slip_at_a_place_grows_with_its_lever() -> None:
    turned = apply_rigid(rigid_matrix(rotation_from_vector((0.0, 0.0, math.radians(2.0))), np.zeros(3)), REGISTERED)
    slip = reference_drift(REGISTERED, turned).slip
    assert slip is not None
    assert slip.moves_mm((0.0, 0.0, 50.0)) == pytest.approx(0.0, abs=1e-9)
    assert slip.moves_mm((100.0, 0.0, 0.0)) == pytest.approx(2.0 * 100.0 * math.sin(math.radians(1.0)))


def test_a_steady_creep_is_told_in_mm_per_hour() -> None:
    times_s = [600.0 * k for k in range(8)]
    assert drift_trend_mm_per_h(times_s, [(0.0, 0.1 * k, 0.0) for k in range(8)]) == pytest.approx(0.6)


def test_touches_within_ten_minutes_or_too_few_are_no_trend() -> None:
    assert drift_trend_mm_per_h([0.0, 100.0, 200.0, 599.0], [(float(k), 0.0, 0.0) for k in range(4)]) is None
    assert drift_trend_mm_per_h([0.0, 1000.0, 2000.0], [(float(k), 0.0, 0.0) for k in range(3)]) is None
