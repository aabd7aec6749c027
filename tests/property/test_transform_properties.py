import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calibration.frames import (
    FrameMismatch,
    NotRigid,
    Transform,
    canonical_quaternion,
    quaternion_from_rotation,
    rigid_from_file,
    rotation_from_quaternion,
    rotation_from_vector,
    rotation_vector,
)

part = st.floats(-1.0, 1.0)
quaternions = st.tuples(part, part, part, part).filter(lambda q: math.hypot(*q) > 1e-3)
positions = st.tuples(*(st.floats(-500.0, 500.0),) * 3)


@st.composite
def transforms(draw: st.DrawFn, to: str, frm: str) -> Transform:
    return Transform.from_quaternion(to, frm, draw(quaternions), draw(positions))


@given(transforms("a", "b"))
def test_a_transform_and_its_inverse_cancel(a_from_b: Transform) -> None:
    assert np.allclose((a_from_b @ a_from_b.inverse()).matrix, np.eye(4), atol=1e-9)
    assert np.allclose((a_from_b.inverse() @ a_from_b).matrix, np.eye(4), atol=1e-9)


@given(transforms("a", "b"), transforms("b", "c"), transforms("c", "d"))
def test_it_does_not_matter_which_pair_is_composed_first(a: Transform, b: Transform, c: Transform) -> None:
    assert np.allclose(((a @ b) @ c).matrix, (a @ (b @ c)).matrix, atol=1e-9)


@given(transforms("a", "b"), transforms("b", "c"))
def test_the_inverse_of_a_product_is_the_product_of_inverses_in_reverse(a: Transform, b: Transform) -> None:
    assert np.allclose((a @ b).inverse().matrix, (b.inverse() @ a.inverse()).matrix, atol=1e-9)


@given(transforms("a", "b"), transforms("b", "c"), positions)
def test_a_point_takes_both_steps_or_the_composed_one(a: Transform, b: Transform, point: tuple[float, float, float]) -> None:
    assert np.allclose(a.apply(b.apply(point)), (a @ b).apply(point), atol=1e-9)


@given(transforms("a", "b"), positions, positions)
def test_distances_between_points_stay(a: Transform, one: tuple[float, float, float], other: tuple[float, float, float]) -> None:
    apart = np.linalg.norm(np.subtract(one, other))
    assert np.linalg.norm(a.apply(one) - a.apply(other)) == pytest.approx(apart, abs=1e-9)


@given(st.sampled_from("abc"), st.sampled_from("abc"), st.sampled_from("abc"), st.sampled_from("abc"))
def test_only_transforms_that_share_the_inner_frame_compose(a: str, b: str, c: str, d: str) -> None:
    left, right = Transform.identity(a, b), Transform.identity(c, d)
    if b == c:
        assert ((left @ right).to, (left @ right).frm) == (a, d)
    else:
        with pytest.raises(FrameMismatch):
            left @ right


@given(quaternions)
def test_a_quaternion_survives_the_way_through_a_rotation(wxyz: tuple[float, float, float, float]) -> None:
    wanted = np.array(canonical_quaternion(wxyz))
    got = np.array(quaternion_from_rotation(rotation_from_quaternion(wxyz)))
    assert min(np.abs(got - wanted).max(), np.abs(got + wanted).max()) < 1e-9


@given(quaternions, st.floats(0.1, 10.0))
def test_neither_sign_nor_length_of_a_quaternion_matters(wxyz: tuple[float, float, float, float], length: float) -> None:
    turned = tuple(-length * part for part in wxyz)
    assert np.allclose(rotation_from_quaternion(turned), rotation_from_quaternion(wxyz), atol=1e-9)
    assert canonical_quaternion(wxyz)[0] >= 0.0


@given(quaternions)
def test_every_rotation_is_proper(wxyz: tuple[float, float, float, float]) -> None:
    rotation = rotation_from_quaternion(wxyz)
    assert np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


@given(st.tuples(*(st.floats(-3.0, 3.0),) * 3))
def test_a_rotation_vector_up_to_half_a_turn_survives(vector: tuple[float, float, float]) -> None:
    assume(math.hypot(*vector) < math.pi - 1e-3)
    assert np.allclose(rotation_vector(rotation_from_vector(vector)), vector, atol=1e-9)


@given(transforms("mri", "coil"), st.integers(3, 9))
def test_a_rounded_pose_from_a_file_is_accepted_and_made_rigid(pose: Transform, decimals: int) -> None:
    rounded = np.round(pose.matrix, decimals)
    assume(np.abs(rounded[:3, :3].T @ rounded[:3, :3] - np.eye(3)).max() <= 1e-3)
    rotation = rigid_from_file("mri", "coil", rounded, "file").rotation
    assert np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.allclose(rotation, pose.rotation, atol=2.0 * 10.0**-decimals)


@given(transforms("mri", "coil"), st.integers(0, 2))
def test_a_pose_with_one_axis_turned_round_is_left_handed(pose: Transform, axis: int) -> None:
    mirrored = pose.matrix.copy()
    mirrored[:, axis] *= -1.0
    with pytest.raises(NotRigid) as refusal:
        rigid_from_file("mri", "coil", mirrored, "file")
    assert refusal.value.code == "left_handed_axes"


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=16, max_size=16))
def test_sixteen_numbers_are_a_rigid_pose_or_refused_and_nothing_else(numbers: list[float]) -> None:
    try:
        rotation = rigid_from_file("mri", "coil", np.array(numbers).reshape(4, 4), "file").rotation
    except NotRigid:
        return
    assert np.linalg.det(rotation) == pytest.approx(1.0)
