"""The scalp's patch against the mesh it was made of: the free way to the skin, looked up instead of searched."""

import math
import random

import numpy as np
import pytest

from calibration.coil_error import coil_error
from calibration.frames import Transform, rigid_matrix, rotation_from_vector
from calibration.scalp_patch import HALF_MM, ScalpPatch, patch_of
from calibration.surface import Surface
from tests.scalps import sample_scalp, sphere

RADIUS_MM = 82.0
FACING_DOWN = Transform("mri", "coil", rigid_matrix(np.diag((1.0, -1.0, -1.0)), np.array((0.0, 0.0, RADIUS_MM))))


def moved(target: Transform, turn_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> Transform:
    """The target's pose turned and shifted in its own axes."""
    return target @ Transform("coil", "coil", rigid_matrix(rotation_from_vector(np.radians(turn_deg)), np.array(shift_mm)))


@pytest.fixture(scope="module")
def ball() -> ScalpPatch:
    return patch_of(sphere(RADIUS_MM), FACING_DOWN)


def gap(patch: ScalpPatch, pose: Transform, target: Transform = FACING_DOWN) -> float | None:
    return coil_error(target, pose, None, patch=patch).scalp_gap_mm


def test_a_coil_lifted_off_has_free_air_and_one_pressed_in_has_less_than_none(ball: ScalpPatch) -> None:
    assert gap(ball, moved(FACING_DOWN, (0.0, 0.0, 0.0), (0.0, 0.0, -3.0))) == pytest.approx(3.0, abs=0.1)
    assert gap(ball, moved(FACING_DOWN, (0.0, 0.0, 0.0), (0.0, 0.0, 2.0))) == pytest.approx(-2.0, abs=0.1)


def test_a_coil_aside_meets_the_round_of_the_head_further_down(ball: ScalpPatch) -> None:
    aside = gap(ball, moved(FACING_DOWN, (0.0, 0.0, 0.0), (20.0, 0.0, 0.0)))
    assert aside == pytest.approx(RADIUS_MM - math.sqrt(RADIUS_MM**2 - 400.0), abs=0.1)


@pytest.mark.parametrize(
    ("turn_deg", "shift_mm"),
    [((61.0, 0.0, 0.0), (0.0, 0.0, -5.0)), ((0.0, 0.0, 0.0), (HALF_MM + 1.0, 0.0, 0.0)), ((180.0, 0.0, 0.0), (0.0, 0.0, -5.0))],
    ids=["tilted", "far aside", "facing away"],
)
def test_beyond_its_reach_the_patch_says_nothing(
    ball: ScalpPatch, turn_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]
) -> None:
    assert gap(ball, moved(FACING_DOWN, turn_deg, shift_mm)) is None


def test_a_target_away_from_the_skin_has_an_empty_patch() -> None:
    far = moved(FACING_DOWN, (0.0, 0.0, 0.0), (0.0, 0.0, -100.0))
    assert gap(patch_of(sphere(RADIUS_MM), far), far, far) is None


def on_head(scalp: Surface, direction: tuple[float, float, float]) -> Transform:
    """A coil flat on the skin in that direction from the head's middle."""
    axis = np.array(direction) / np.linalg.norm(direction)
    found = scalp.closest((axis * 95.0)[None])
    z = -found.normals[0]
    x = np.cross((0.0, 1.0, 0.0), z)
    x /= np.linalg.norm(x)
    return Transform("mri", "coil", rigid_matrix(np.column_stack((x, np.cross(z, x), z)), found.points_mm[0]))


@pytest.mark.parametrize("direction", [(-0.55, 0.55, 0.63), (0.0, 0.3, 1.0), (-0.7, -0.1, 0.7)])
def test_on_a_real_head_it_agrees_with_the_search_through_the_mesh(direction: tuple[float, float, float]) -> None:
    scalp = sample_scalp()
    target, rng = on_head(scalp, direction), random.Random(3)
    patch = patch_of(scalp, target)
    for _ in range(12):
        turn = (rng.uniform(-8.0, 8.0), rng.uniform(-8.0, 8.0), rng.uniform(-90.0, 90.0))
        pose = moved(target, turn, (rng.uniform(-12.0, 12.0), rng.uniform(-12.0, 12.0), rng.uniform(-8.0, 3.0)))
        searched = coil_error(target, pose, None, scalp=scalp).scalp_gap_mm
        assert gap(patch, pose, target) == pytest.approx(searched, abs=0.25)
