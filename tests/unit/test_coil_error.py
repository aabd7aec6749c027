import math

import numpy as np
import pytest

from calibration.coil_error import CoilChain, CoilError, coil_error
from calibration.frames import FrameMismatch, Transform, rigid_matrix, rotation_from_vector
from tests.swept_head import scalp

TARGET = Transform.from_quaternion("mri", "coil", (0.2, 0.9, -0.3, 0.1), (-40.0, 42.0, 70.0))
CORTEX = tuple(TARGET.apply((0.0, 0.0, 20.0)).tolist())


def moved(turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0), shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Transform:
    """The target's pose turned and shifted in its own axes."""
    return TARGET @ Transform("coil", "coil", rigid_matrix(rotation_from_vector(np.radians(turn_deg)), np.array(shift_mm)))


def error(turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0), shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> CoilError:
    return coil_error(TARGET, moved(turn_deg, shift_mm), CORTEX)


def test_on_the_target_every_error_is_0_and_the_cortex_straight_ahead() -> None:
    on_target = error()
    assert on_target.distance_to_target_mm == pytest.approx(0.0, abs=1e-12)
    assert on_target.angular_error_deg == pytest.approx(0.0, abs=1e-9)
    assert on_target.twist_error_deg == pytest.approx(0.0, abs=1e-9)
    assert on_target.beam_depth_mm == pytest.approx(20.0)


def test_lifted_off_is_positive_and_pressed_in_negative() -> None:
    assert error(shift_mm=(0.0, 0.0, -2.5)).gap_mm == pytest.approx(2.5)
    assert error(shift_mm=(0.0, 0.0, 1.5)).gap_mm == pytest.approx(-1.5)


def test_sideways_is_seen_in_the_targets_own_axes() -> None:
    aside = error(turn_deg=(0.0, 0.0, 90.0), shift_mm=(3.0, -4.0, 0.0))
    assert (aside.lateral_x_mm, aside.lateral_y_mm, aside.lateral_mm) == pytest.approx((3.0, -4.0, 5.0))


def test_counter_clockwise_seen_from_outside_is_a_positive_twist() -> None:
    """Seen from outside one looks along z into the head, so that a turn about +z runs clockwise."""
    assert error(turn_deg=(0.0, 0.0, -10.0)).twist_error_deg == pytest.approx(10.0)


def test_a_coil_turned_around_has_a_twist_of_180() -> None:
    assert error(turn_deg=(0.0, 0.0, 180.0)).twist_error_deg == pytest.approx(180.0)


def test_a_tilt_is_split_along_the_targets_axes() -> None:
    tilted = error(turn_deg=(4.0, -3.0, 0.0))
    assert (tilted.tilt_x_deg, tilted.tilt_y_deg) == pytest.approx((4.0, -3.0))
    assert tilted.angular_error_deg == pytest.approx(5.0)


def test_a_tilt_can_aim_at_the_cortex_from_aside() -> None:
    aside = error(turn_deg=(0.0, -math.degrees(math.atan2(5.0, 20.0)), 0.0), shift_mm=(5.0, 0.0, 0.0))
    assert aside.target_error_mm == pytest.approx(0.0, abs=1e-9)
    assert aside.lateral_mm == pytest.approx(5.0)


def test_twist_is_unknown_where_the_handles_direction_is_seen_along_itself() -> None:
    upright = error(turn_deg=(90.0, 0.0, 0.0))
    assert upright.twist_error_deg is None
    assert upright.angular_error_deg == pytest.approx(90.0)
    assert upright.tilt_x_deg == pytest.approx(90.0)


def test_the_split_of_the_tilt_is_unknown_for_a_coil_facing_away() -> None:
    away = error(turn_deg=(180.0, 0.0, 0.0))
    assert away.angular_error_deg == pytest.approx(180.0)
    assert (away.tilt_x_deg, away.tilt_y_deg) == (None, None)


def test_a_tilt_of_a_millionth_of_a_degree_is_still_split() -> None:
    assert error(turn_deg=(1e-6, 0.0, 0.0)).tilt_x_deg == pytest.approx(1e-6, rel=1e-3)


def test_without_a_cortical_target_the_beam_is_unknown_and_the_aim_is_at_the_targets_origin() -> None:
    aside = coil_error(TARGET, moved(shift_mm=(3.0, 4.0, -7.0)), None)
    assert (aside.beam_x_mm, aside.beam_y_mm, aside.beam_depth_mm) == (None, None, None)
    assert aside.target_error_mm == pytest.approx(5.0)


def test_a_pose_that_is_not_a_number_gives_no_number_that_passes_a_limit() -> None:
    lost = TARGET.matrix.copy()
    lost[0, 3] = math.nan
    found = coil_error(TARGET, Transform("mri", "coil", lost), CORTEX)
    assert not found.lateral_mm <= 2.0
    assert not found.distance_to_target_mm <= 2.0


def test_the_gap_to_the_scalp_is_measured_where_a_scalp_is_given() -> None:
    above_vertex = Transform.from_quaternion("mri", "coil", (0.0, 1.0, 0.0, 0.0), (0.0, -10.0, 200.0))
    crown = scalp().vertices_mm[:, 2].max()
    gap_mm = coil_error(above_vertex, above_vertex, None, scalp()).scalp_gap_mm
    assert gap_mm == pytest.approx(200.0 - crown, abs=3.0)
    assert coil_error(above_vertex, above_vertex, None).scalp_gap_mm is None


def pose(to: str, frm: str, seed: int) -> Transform:
    rng = np.random.default_rng(seed)
    return Transform.from_quaternion(to, frm, rng.normal(size=4), rng.uniform(-200, 200, 3))


MRI_FROM_HEAD, COILTOOL_FROM_COIL = pose("mri", "head", 1), pose("coiltool", "coil", 2)
CHAIN = CoilChain.prepare(MRI_FROM_HEAD, COILTOOL_FROM_COIL, TARGET, CORTEX)


def test_the_chain_gives_the_same_numbers_as_the_pose_in_the_image() -> None:
    head, coiltool = pose("tracker", "head", 3), pose("tracker", "coiltool", 4)
    mri_from_coil = MRI_FROM_HEAD @ head.inverse() @ coiltool @ COILTOOL_FROM_COIL
    assert np.allclose(CHAIN.mri_from_coil(head, coiltool).matrix, mri_from_coil.matrix, atol=1e-9)
    direct, chained = coil_error(TARGET, mri_from_coil, CORTEX), CHAIN.error(head, coiltool)
    for name in CoilError.__struct_fields__[:-1]:
        assert getattr(chained, name) == pytest.approx(getattr(direct, name), abs=1e-8), name


def test_moving_the_camera_changes_nothing() -> None:
    head, coiltool, camera = pose("tracker", "head", 3), pose("tracker", "coiltool", 4), pose("tracker", "tracker", 5)
    here, there = CHAIN.error(head, coiltool), CHAIN.error(camera @ head, camera @ coiltool)
    assert there.target_error_mm == pytest.approx(here.target_error_mm, abs=1e-8)
    assert there.twist_error_deg == pytest.approx(here.twist_error_deg, abs=1e-8)


def test_a_chain_without_a_cortical_target_has_no_beam() -> None:
    chain = CoilChain.prepare(MRI_FROM_HEAD, COILTOOL_FROM_COIL, TARGET, None)
    assert chain.error(pose("tracker", "head", 3), pose("tracker", "coiltool", 4)).beam_depth_mm is None


def test_head_and_coil_given_in_each_others_place_are_refused() -> None:
    with pytest.raises(FrameMismatch):
        CHAIN.error(pose("tracker", "coiltool", 3), pose("tracker", "head", 4))


def test_a_registration_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(FrameMismatch):
        CoilChain.prepare(MRI_FROM_HEAD.inverse(), COILTOOL_FROM_COIL, TARGET, CORTEX)


def test_a_calibration_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(FrameMismatch):
        CoilChain.prepare(MRI_FROM_HEAD, COILTOOL_FROM_COIL.inverse(), TARGET, CORTEX)
