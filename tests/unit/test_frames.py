import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calibration.frames import (
    FrameMismatch,
    NotRigid,
    Transform,
    angle_between_deg,
    canonical_quaternion,
    quaternion_from_rotation,
    rigid_from_file,
    rotation_from_vector,
    rotation_vector,
)


def pose(to: str, frm: str, seed: int = 0) -> Transform:
    rng = np.random.default_rng(seed)
    return Transform.from_quaternion(to, frm, rng.normal(size=4), rng.uniform(-100, 100, 3))


def test_transforms_compose_when_their_inner_frames_match() -> None:
    mri_from_coil = pose("mri", "head", 1) @ pose("head", "coil", 2)
    assert (mri_from_coil.to, mri_from_coil.frm) == ("mri", "coil")


def test_composing_across_different_frames_names_both() -> None:
    with pytest.raises(FrameMismatch, match=r"mri_from_head @ tracker_from_coil: head is not tracker"):
        pose("mri", "head") @ pose("tracker", "coil")


def test_inverse_swaps_the_frames_and_undoes_the_transform() -> None:
    head_from_mri = pose("mri", "head", 3).inverse()
    assert (head_from_mri.to, head_from_mri.frm) == ("head", "mri")
    assert np.allclose((pose("mri", "head", 3) @ head_from_mri).matrix, np.eye(4), atol=1e-12)


def test_one_point_and_many_points_map_alike() -> None:
    points = np.arange(12.0).reshape(4, 3)
    transform = pose("mri", "head", 4)
    assert np.array_equal(transform.apply(points)[2], transform.apply(points[2]))


def test_apply_turns_first_and_shifts_then() -> None:
    quarter_turn_about_z = Transform.from_quaternion("a", "b", (np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)), (10.0, 0.0, 0.0))
    assert np.allclose(quarter_turn_about_z.apply((1.0, 0.0, 0.0)), (10.0, 1.0, 0.0))


def test_changing_the_array_a_transform_was_made_from_leaves_it_as_it_was() -> None:
    matrix = np.eye(4)
    transform = Transform("mri", "head", matrix)
    matrix[0, 3] = 5.0
    assert transform.matrix[0, 3] == 0.0


def test_the_matrix_of_a_transform_cannot_be_written() -> None:
    for transform in (pose("a", "b"), pose("a", "b").inverse(), pose("a", "b") @ pose("b", "c")):
        with pytest.raises(ValueError, match="read-only"):
            transform.matrix[0, 0] = 2.0


def test_a_transform_that_is_not_4_by_4_is_refused() -> None:
    with pytest.raises(ValueError, match="mri_from_head"):
        Transform("mri", "head", np.eye(3))


def test_a_quaternion_rounded_to_four_decimals_still_gives_a_rotation() -> None:
    rotation = Transform.from_quaternion("a", "b", (0.1826, 0.3651, 0.5477, 0.7303), (0, 0, 0)).rotation
    assert np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-14)


def test_a_quaternion_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="no rotation"):
        Transform.from_quaternion("a", "b", (0.0, 0.0, 0.0, 0.0), (0, 0, 0))


def test_a_quaternion_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="no rotation"):
        canonical_quaternion((float("nan"), 0.0, 0.0, 1.0))


@pytest.mark.parametrize("half_turn_about", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0), (-3, 4, 0)])
def test_half_turns_have_one_quaternion_each(half_turn_about: tuple[int, int, int]) -> None:
    axis = np.array(half_turn_about) / np.linalg.norm(half_turn_about)
    w, *vector = quaternion_from_rotation(2.0 * np.outer(axis, axis) - np.eye(3))
    first = next(part for part in vector if abs(part) > 1e-9)
    assert abs(w) < 1e-9
    assert first > 0.0
    assert np.allclose(np.abs(vector), np.abs(axis))


def test_rotation_vector_agrees_with_scipy() -> None:
    rotation = Rotation.from_rotvec([0.3, -1.2, 2.0])
    assert np.allclose(rotation_vector(rotation.as_matrix()), rotation.as_rotvec(), atol=1e-12)


def test_a_tiny_rotation_vector_survives_the_way_there_and_back() -> None:
    assert np.allclose(rotation_vector(rotation_from_vector((1e-13, 0.0, -2e-13))), (1e-13, 0.0, -2e-13), rtol=1e-6, atol=0.0)


def test_angle_between_is_that_of_the_turn_between() -> None:
    turned = rotation_from_vector((0.0, 0.0, np.radians(25.0)))
    assert angle_between_deg(np.eye(3), turned) == pytest.approx(25.0)


def test_a_matrix_of_three_decimals_from_a_file_comes_out_orthonormal() -> None:
    rounded = np.round(pose("mri", "coil", 5).matrix, 3)
    rotation = rigid_from_file("mri", "coil", rounded, "old.txt").rotation
    assert np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.abs(rotation - rounded[:3, :3]).max() < 1e-3


def changed(row: int, column: int, value: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[row, column] = value
    return matrix


@pytest.mark.parametrize(
    ("matrix", "code"),
    [
        (np.diag([-1.0, 1.0, 1.0, 1.0]), "left_handed_axes"),
        (np.diag([1.0, 1.001, 1.0, 1.0]), "axes_not_orthonormal"),
        (changed(0, 1, 0.01), "axes_not_orthonormal"),
        (np.diag([0.0, 1.0, 1.0, 1.0]), "axes_not_orthonormal"),
        (changed(3, 0, 1.0), "not_affine"),
        (np.eye(3), "not_affine"),
        (changed(1, 3, float("nan")), "not_finite"),
        (changed(3, 3, float("inf")), "not_finite"),
    ],
)
def test_a_matrix_from_a_file_that_is_not_rigid_is_refused_by_code(matrix: np.ndarray, code: str) -> None:
    with pytest.raises(NotRigid, match="targets, row 3") as refusal:
        rigid_from_file("mri", "coil", matrix, "targets, row 3")
    assert refusal.value.code == code
