import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from calibration.expected_error import landmark_target_error_mm
from calibration.frames import apply_rigid, rigid_matrix, rotation_from_quaternion
from calibration.rigid_fit import DegeneratePoints, fit_rigid
from calibration.surface import Surface

seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-90.0, 90.0, (count, 3)), rigid_matrix(rotation_from_quaternion(rng.normal(size=4)), rng.uniform(-500, 500, 3)), rng


@given(seeds, st.integers(3, 12))
def test_any_pose_of_any_points_is_found_again(seed: int, count: int) -> None:
    points, pose, _ = drawn(seed, count)
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    assume(spread[1] > 0.05 * spread[0])
    assert np.allclose(fit_rigid(points, apply_rigid(pose, points)).matrix, pose, atol=1e-6)


@given(seeds, st.integers(3, 8))
def test_no_small_turn_or_shift_makes_the_fit_better(seed: int, count: int) -> None:
    points, pose, rng = drawn(seed, count)
    noisy = apply_rigid(pose, points) + rng.normal(0.0, 3.0, points.shape)
    fit = fit_rigid(points, noisy)
    nudge = rigid_matrix(rotation_from_quaternion((1.0, *rng.normal(0.0, 1e-3, 3))), rng.normal(0.0, 0.1, 3))
    nudged = noisy - apply_rigid(fit.matrix @ nudge, points)
    assert fit.fre_mm <= np.sqrt((nudged**2).sum(axis=1).mean()) + 1e-12


@given(seeds, st.integers(3, 8))
def test_a_fit_is_a_proper_rotation_whatever_the_points(seed: int, count: int) -> None:
    points, _, rng = drawn(seed, count)
    assert np.isclose(np.linalg.det(fit_rigid(points, rng.uniform(-90.0, 90.0, points.shape)).matrix[:3, :3]), 1.0)


@given(st.lists(st.tuples(*(st.floats(allow_nan=True, allow_infinity=True, width=32),) * 3), max_size=6))
def test_points_of_any_kind_are_fitted_or_refused(points: list[tuple[float, float, float]]) -> None:
    try:
        fit = fit_rigid(points, points)
    except DegeneratePoints:
        return
    assert np.isfinite(fit.matrix).all()


@given(seeds)
def test_the_expected_error_is_least_at_the_landmarks_middle_and_moves_with_the_head(seed: int) -> None:
    landmarks, pose, rng = drawn(seed, 4)
    target = rng.uniform(-90.0, 90.0, 3)
    here = landmark_target_error_mm(landmarks, [target, landmarks.mean(axis=0)], 2.5)
    there = landmark_target_error_mm(apply_rigid(pose, landmarks), apply_rigid(pose, target), 2.5)
    assert here[0] >= here[1]
    assert np.isclose(here[0], there[0], rtol=1e-6)


OCTAHEDRON = np.array([(50.0, 0, 0), (-50.0, 0, 0), (0, 50.0, 0), (0, -50.0, 0), (0, 0, 50.0), (0, 0, -50.0)])
EIGHT_FACES = np.array([(0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5)])
SURFACE = Surface.from_mesh(OCTAHEDRON, EIGHT_FACES)


@given(seeds)
@settings(max_examples=50)
def test_nothing_on_the_surface_is_nearer_than_the_closest_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-90.0, 90.0, (20, 3))
    corners = OCTAHEDRON[EIGHT_FACES[rng.integers(0, 8, 500)]]
    anywhere = (rng.dirichlet((1.0, 1.0, 1.0), 500)[:, :, None] * corners).sum(axis=1)
    nearest = np.linalg.norm(points[:, None] - anywhere, axis=2).min(axis=1)
    assert (np.abs(SURFACE.closest(points).signed_mm) <= nearest + 1e-9).all()


@given(seeds)
@settings(max_examples=50)
def test_the_sign_tells_inside_from_outside(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-60.0, 60.0, (50, 3))
    outside = np.abs(points).sum(axis=1) > 50.0
    assume((np.abs(np.abs(points).sum(axis=1) - 50.0) > 1e-6).all())
    assert np.array_equal(SURFACE.closest(points).signed_mm > 0.0, outside)
