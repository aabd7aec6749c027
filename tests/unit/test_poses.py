import numpy as np
import pytest

from calibration.frames import FrameMismatch, Transform
from calibration.poses import between, mean_position, mean_rotation

Q = (0.5, -0.5, 0.5, 0.5)


def about_z(angle_deg: float) -> tuple[float, float, float, float]:
    half = np.radians(angle_deg) / 2.0
    return float(np.cos(half)), 0.0, 0.0, float(np.sin(half))


def test_a_quaternion_and_its_negative_average_to_themselves() -> None:
    mean = mean_rotation([Q, tuple(-part for part in Q), Q])
    assert np.allclose(mean.wxyz, Q)
    assert mean.agreement == pytest.approx(3.0)


def test_two_turns_average_to_the_turn_between() -> None:
    assert np.allclose(mean_rotation([about_z(10.0), about_z(30.0)]).wxyz, about_z(20.0))


def test_a_weight_draws_the_mean_to_its_turn() -> None:
    mean = mean_rotation([about_z(0.0), about_z(10.0)], weights=[1.0, 3.0])
    assert np.degrees(2.0 * np.arccos(mean.wxyz[0])) == pytest.approx(7.5, abs=0.05)


def test_rotations_that_differ_agree_less() -> None:
    assert mean_rotation([about_z(0.0), about_z(90.0)]).agreement < 1.9


def test_a_frame_far_off_moves_the_mean_and_not_the_median() -> None:
    position = mean_position([(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (97.0, 2.0, 2.0)])
    assert position.mean_mm == pytest.approx((25.0, 1.25, 1.25))
    assert position.median_mm == pytest.approx((1.5, 1.5, 1.5))


EARLIER = Transform.from_quaternion("tracker", "head", about_z(20.0), (0.0, 10.0, 0.0))
LATER = Transform.from_quaternion("tracker", "head", about_z(40.0), (4.0, 10.0, 0.0))


@pytest.mark.parametrize(("share", "angle_deg", "x_mm"), [(0.0, 20.0, 0.0), (0.25, 25.0, 1.0), (1.0, 40.0, 4.0), (2.0, 60.0, 8.0)])
def test_a_pose_between_and_beyond_two_others(share: float, angle_deg: float, x_mm: float) -> None:
    wanted = Transform.from_quaternion("tracker", "head", about_z(angle_deg), (x_mm, 10.0, 0.0))
    assert np.allclose(between(EARLIER, LATER, share).matrix, wanted.matrix, atol=1e-12)


def test_the_shortest_way_round_is_taken() -> None:
    start = Transform.from_quaternion("tracker", "head", about_z(170.0), (0.0, 0.0, 0.0))
    end = Transform.from_quaternion("tracker", "head", about_z(-170.0), (0.0, 0.0, 0.0))
    assert np.allclose(between(start, end, 0.5).wxyz, about_z(180.0), atol=1e-9)


def test_poses_of_two_different_tools_have_nothing_between() -> None:
    with pytest.raises(FrameMismatch):
        between(EARLIER, Transform.identity("tracker2", "coiltool"), 0.5)
