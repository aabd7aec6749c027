import numpy as np
import pytest

from calibration.coil_axes import CoilAxes, euler_sxyz_deg, flip_lps, from_axes, invesalius_image_pose, rotation_from_sxyz_deg, to_axes
from calibration.frames import Transform

POSE = Transform.from_quaternion("mri", "coil", (0.3, -0.8, 0.4, 0.2), (-40.0, 42.0, 70.0)).matrix
X, Y, Z = POSE[:3, 0], POSE[:3, 1], POSE[:3, 2]


@pytest.mark.parametrize("axes", list(CoilAxes))
def test_there_and_back_again_is_the_same_pose(axes: CoilAxes) -> None:
    assert np.allclose(from_axes(to_axes(POSE, axes), axes), POSE)


@pytest.mark.parametrize("axes", list(CoilAxes))
def test_every_convention_is_right_handed_and_keeps_the_place(axes: CoilAxes) -> None:
    theirs = to_axes(POSE, axes)
    assert np.linalg.det(theirs[:3, :3]) == pytest.approx(1.0)
    assert np.array_equal(theirs[:3, 3], POSE[:3, 3])


@pytest.mark.parametrize(
    ("axes", "theirs"),
    [
        (CoilAxes.SIMNIBS, (X, Y, Z)),
        (CoilAxes.ANT, (X, Y, Z)),
        (CoilAxes.BRAINSIGHT, (-X, Y, -Z)),
        (CoilAxes.NAVINIBS, (-X, Y, -Z)),
        (CoilAxes.LOCALITE, (Z, -Y, X)),
        (CoilAxes.SOFTAXIC, (Y, -X, Z)),
        (CoilAxes.INVESALIUS, (Y, X, -Z)),
    ],
)
def test_the_axes_of_each_program_as_documented(axes: CoilAxes, theirs: tuple[np.ndarray, ...]) -> None:
    assert np.allclose(to_axes(POSE, axes)[:3, :3].T, theirs)


def test_lps_turns_space_and_not_the_coil() -> None:
    flipped = flip_lps(POSE)
    assert np.allclose(flipped[:3, 3], (40.0, -42.0, 70.0))
    assert np.allclose(flipped[:3, 2], Z * (-1.0, -1.0, 1.0))
    assert np.allclose(flip_lps(flipped), POSE)


def test_a_point_is_flipped_like_the_place_of_a_pose() -> None:
    assert np.allclose(flip_lps(POSE[:3, 3]), flip_lps(POSE)[:3, 3])


def test_invesalius_counts_y_from_the_images_back() -> None:
    affine = np.diag((1.0, 2.0, 1.5, 1.0))
    affine[:3, 3] = (-90.0, -126.0, -72.0)
    position, _ = invesalius_image_pose(POSE, affine, (181, 109, 151))
    assert position == pytest.approx((50.0, 2.0 * 108 - 168.0, 142.0))


def test_invesalius_angles_are_those_of_its_axes() -> None:
    _, angles = invesalius_image_pose(POSE, np.eye(4), (10, 10, 10))
    assert np.allclose(rotation_from_sxyz_deg(angles), to_axes(POSE, CoilAxes.INVESALIUS)[:3, :3])


@pytest.mark.parametrize("angles", [(10.0, 20.0, 30.0), (-170.0, 80.0, 120.0), (25.0, 90.0, 0.0), (-25.0, -90.0, 0.0)])
def test_angles_survive_the_way_there_and_back(angles: tuple[float, float, float]) -> None:
    assert euler_sxyz_deg(rotation_from_sxyz_deg(angles)) == pytest.approx(angles, abs=1e-6)


def test_angles_turn_about_fixed_axes_x_first() -> None:
    assert np.allclose(rotation_from_sxyz_deg((90.0, 0.0, 90.0)) @ (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
