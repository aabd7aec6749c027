import numpy as np
import pytest

from calibration.expected_error import (
    PRIOR_LANDMARK_ERROR_MM,
    ErrorPart,
    Part,
    PoseCovariance,
    assumed_landmark_error_mm,
    landmark_target_error_mm,
    total_mm,
)
from calibration.frames import apply_rigid
from calibration.rigid_fit import fit_rigid

LANDMARKS = np.array([(0.0, 85.0, -46.0), (-83.0, -9.0, -46.0), (83.0, -9.0, -46.0)])


def test_the_error_at_the_centroid_is_that_of_a_mean() -> None:
    assert landmark_target_error_mm(LANDMARKS, LANDMARKS.mean(axis=0), 3.0)[0] == pytest.approx(3.0 / np.sqrt(3.0))


def test_the_error_grows_away_from_the_landmarks() -> None:
    near, far = landmark_target_error_mm(LANDMARKS, [(0.0, 20.0, -40.0), (0.0, -90.0, 60.0)], 2.5)
    assert far > near


def test_the_formula_agrees_with_many_simulated_registrations() -> None:
    rng = np.random.default_rng(7)
    target = np.array((-42.0, 40.0, 32.0))
    squared = []
    for _ in range(2000):
        touched = LANDMARKS + rng.normal(0.0, 2.0 / np.sqrt(3.0), LANDMARKS.shape)
        squared.append(((apply_rigid(fit_rigid(touched, LANDMARKS).matrix, target) - target) ** 2).sum())
    assert np.sqrt(np.mean(squared)) == pytest.approx(landmark_target_error_mm(LANDMARKS, target, 2.0)[0], rel=0.05)


def test_a_small_residual_never_lowers_the_prior() -> None:
    assert assumed_landmark_error_mm(0.1, 3) == PRIOR_LANDMARK_ERROR_MM


def test_a_large_residual_raises_it() -> None:
    assert assumed_landmark_error_mm(3.0, 4) == pytest.approx(3.0 * np.sqrt(2.0))


def test_independent_parts_add_in_quadrature() -> None:
    assert total_mm(()) == 0.0
    assert total_mm((ErrorPart(Part.UNMODELLED, 1.5), ErrorPart(Part.SLIP, 2.0))) == pytest.approx(2.5)


def test_an_uncertain_turn_moves_points_by_their_lever() -> None:
    turn_about_z = np.zeros((6, 6))
    turn_about_z[2, 2] = 0.01**2
    covariance = PoseCovariance(np.array((10.0, 0.0, 0.0)), turn_about_z)
    assert covariance.error_at_mm((10.0, 0.0, 50.0)) == pytest.approx(0.0)
    assert covariance.error_at_mm((10.0, 80.0, 0.0)) == pytest.approx(0.8)


def test_an_uncertain_shift_moves_every_point_alike() -> None:
    covariance = PoseCovariance(np.zeros(3), np.diag((0.0, 0.0, 0.0, 4.0, 4.0, 1.0)))
    assert covariance.error_at_mm((80.0, -20.0, 5.0)) == pytest.approx(3.0)
