"""The room's own geometry, against numbers worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.world_geometry import IDENTITY, Pose, between, coil_error, from_axes, from_matrix, from_rotation_vector, to_matrix

FLAT = Pose((1.0, 0.0, 0.0, 0.0), (10.0, 20.0, 30.0))

numbers = st.floats(-300.0, 300.0)
vectors = st.tuples(numbers, numbers, numbers)
poses = st.builds(lambda turn, mm: Pose(from_rotation_vector(turn), mm), st.tuples(*[st.floats(-100.0, 100.0)] * 3), vectors)


def close(a: Pose, b: Pose) -> bool:
    same = all(math.isclose(p, q, abs_tol=1e-9) for p, q in zip(a.wxyz, b.wxyz, strict=True))
    other = all(math.isclose(p, -q, abs_tol=1e-9) for p, q in zip(a.wxyz, b.wxyz, strict=True))
    return (same or other) and all(math.isclose(p, q, abs_tol=1e-6) for p, q in zip(a.mm, b.mm, strict=True))


def test_a_quarter_turn_about_z_carries_x_to_y() -> None:
    quarter = Pose(from_rotation_vector((0.0, 0.0, 90.0)), (1.0, 2.0, 3.0))
    assert quarter.carry((10.0, 0.0, 0.0)) == pytest.approx((1.0, 12.0, 3.0))
    assert quarter.turn((0.0, 10.0, 0.0)) == pytest.approx((-10.0, 0.0, 0.0))


def test_composition_applies_the_right_hand_pose_first() -> None:
    turn, shift = Pose(from_rotation_vector((90.0, 0.0, 0.0)), (0.0, 0.0, 0.0)), Pose((1.0, 0.0, 0.0, 0.0), (0.0, 5.0, 0.0))
    assert (turn @ shift).carry((0.0, 0.0, 0.0)) == pytest.approx((0.0, 0.0, 5.0))
    assert (shift @ turn).carry((0.0, 0.0, 0.0)) == pytest.approx((0.0, 5.0, 0.0))


def test_axes_of_a_matrix_become_the_same_pose() -> None:
    rows = [[-1.0, 0.0, 0.0, 7.0], [0.0, 0.0, 1.0, 8.0], [0.0, 1.0, 0.0, 9.0], [0.0, 0.0, 0.0, 1.0]]
    pose = from_matrix(rows)
    assert pose.turn((0.0, 1.0, 0.0)) == pytest.approx((0.0, 0.0, 1.0))
    assert pose.mm == (7.0, 8.0, 9.0)
    assert to_matrix(pose)[0] == pytest.approx(rows[0])


def test_half_way_between_two_turns_is_half_the_angle_the_short_way() -> None:
    start = Pose(from_rotation_vector((0.0, 0.0, 170.0)), (0.0, 0.0, 0.0))
    goal = Pose(from_rotation_vector((0.0, 0.0, -170.0)), (10.0, 0.0, 0.0))
    half = between(start, goal, 0.5)
    assert half.turn((1.0, 0.0, 0.0)) == pytest.approx((-1.0, 0.0, 0.0), abs=1e-9)
    assert half.mm == pytest.approx((5.0, 0.0, 0.0))


@given(poses)
def test_a_pose_and_its_inverse_cancel(pose: Pose) -> None:
    assert close(pose @ pose.inverse(), IDENTITY)


@given(poses)
def test_a_pose_survives_its_matrix(pose: Pose) -> None:
    assert close(from_matrix(to_matrix(pose)), pose)


@given(poses, poses)
def test_the_way_between_begins_and_ends_where_it_should(start: Pose, goal: Pose) -> None:
    assert close(between(start, goal, 0.0), start)
    assert close(between(start, goal, 1.0), goal)


def test_a_coil_moved_in_its_plane_and_lifted_shows_lateral_and_gap() -> None:
    error = coil_error(FLAT, FLAT.moved((3.0, -4.0, -2.0)))
    assert (error.lateral_x_mm, error.lateral_y_mm) == pytest.approx((3.0, -4.0))
    assert error.lateral_mm == pytest.approx(5.0)
    assert error.gap_mm == pytest.approx(2.0)
    assert error.tilt_deg == pytest.approx(0.0)
    assert error.twist_deg == pytest.approx(0.0)


def test_a_coil_rotated_about_its_y_axis_shows_tilt_about_y_alone() -> None:
    error = coil_error(FLAT, FLAT.moved(by_deg=(0.0, 6.0, 0.0)))
    assert (error.tilt_x_deg, error.tilt_y_deg) == pytest.approx((0.0, 6.0), abs=1e-9)
    assert error.tilt_deg == pytest.approx(6.0)


def test_a_coil_turned_about_its_normal_into_the_head_shows_negative_twist() -> None:
    """Right-handed about the axis into the head is clockwise for someone looking at the head."""
    error = coil_error(FLAT, FLAT.moved(by_deg=(0.0, 0.0, 25.0)))
    assert error.twist_deg == pytest.approx(-25.0)
    assert error.tilt_deg == pytest.approx(0.0)


def test_a_reversed_coil_shows_half_a_turn_of_twist() -> None:
    assert abs(coil_error(FLAT, FLAT.moved(by_deg=(0.0, 0.0, 180.0))).twist_deg) == pytest.approx(180.0)


def test_a_coil_facing_away_is_tilted_by_half_a_turn() -> None:
    away = FLAT @ from_axes((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0), (0.0, 0.0, 0.0))
    assert coil_error(FLAT, away).tilt_deg == pytest.approx(180.0)


@given(poses, poses, poses)
def test_the_error_does_not_depend_on_where_the_head_is(frame: Pose, target: Pose, coil: Pose) -> None:
    here, there = coil_error(target, coil), coil_error(frame @ target, frame @ coil)
    assert here.lateral_mm == pytest.approx(there.lateral_mm, abs=1e-6)
    assert here.gap_mm == pytest.approx(there.gap_mm, abs=1e-6)
    assert here.tilt_deg == pytest.approx(there.tilt_deg, abs=1e-4)
