"""Smoothed numbers beside the raw ones: calmer at rest, never across a loss, and the raw ones untouched."""

import numpy as np
import pytest

from calibration.coil_error import CoilError, coil_error
from calibration.filters import FilteredPose, OneEuro, filtered_pose
from calibration.frames import FrameMismatch, Transform, angle_between_deg, rigid_matrix, rotation_from_vector
from daemon.display import Display
from daemon.error_telling import ErrorTelling
from daemon.ipc import Aim, FrameNews
from daemon.on_target import DEFAULT_LIMITS

PERIOD = 16_666_667
IDENTITY_ROWS = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
AIM = Aim(
    mri_from_head=IDENTITY_ROWS,
    mri_from_target=IDENTITY_ROWS,
    target_in_mri_mm=(0.0, 0.0, 20.0),
    limits=DEFAULT_LIMITS,
    registration_expires_ns=1 << 60,
)
TARGET = Transform.identity("mri", "coil")


def pose(x_mm: float = 0.0, turn_deg: float = 0.0) -> Transform:
    turn = rotation_from_vector((0.0, 0.0, np.radians(turn_deg)))
    return Transform("mri", "coil", rigid_matrix(turn, np.array((x_mm, 0.0, 0.0))))


def news(number: int, of: Transform | None, *, dated: bool = True) -> FrameNews:
    at_ns = 10**12 + number * PERIOD
    error: CoilError | None = None if of is None else coil_error(TARGET, of, (0.0, 0.0, 20.0))
    place = None if of is None else of.translation_mm.tolist()
    return FrameNews(
        frame_number=number,
        received_ns=at_ns + 14_000_000,
        exposed_ns=at_ns if dated else None,
        tools=(),
        error=error,
        coil_in_mri_mm=None if place is None else (place[0], place[1], place[2]),
        mri_from_coil_wxyz=None if of is None else of.wxyz,
        on_target=False,
        settling=False,
        dropped=0,
    )


def aimed() -> Display:
    display = Display()
    display.aim(AIM)
    return display


def test_noise_at_rest_is_calmer_in_place_and_turn() -> None:
    rng, display = np.random.default_rng(1), aimed()
    shown = [display.numbers(news(number, pose(rng.normal(0, 0.08), rng.normal(0, 0.1)))) for number in range(300)]
    lateral = np.array([one.lateral_x_mm for one in shown[60:] if one is not None])
    twist = np.array([one.twist_error_deg for one in shown[60:] if one is not None])
    assert lateral.std() < 0.04 and twist.std() < 0.06


def test_a_turn_is_followed_to_its_end_along_the_shortest_way() -> None:
    state: FilteredPose | None = None
    for number in range(400):
        state = filtered_pose(state, pose(turn_deg=30.0 if number else 0.0), number * PERIOD, OneEuro())
    assert state is not None
    assert angle_between_deg(state.pose.rotation, pose(turn_deg=30.0).rotation) < 0.01


def test_a_gap_begins_anew_and_a_frame_from_before_changes_nothing() -> None:
    first = filtered_pose(None, pose(1.0), 10**9, OneEuro())
    assert filtered_pose(first, pose(9.0), 10**9, OneEuro()) is first
    after = filtered_pose(first, pose(9.0), 10**9 + 200_000_001, OneEuro())
    assert after.pose.translation_mm[0] == 9.0


def test_poses_of_other_frames_are_not_mixed() -> None:
    first = filtered_pose(None, pose(1.0), 10**9, OneEuro())
    with pytest.raises(FrameMismatch):
        filtered_pose(first, Transform.identity("head", "coil"), 10**9 + PERIOD, OneEuro())


def test_a_loss_leaves_nothing_of_before() -> None:
    display = aimed()
    display.numbers(news(1, pose(0.0)))
    assert display.numbers(news(2, None)) is None
    back = display.numbers(news(3, pose(5.0)))
    assert back is not None and back.lateral_x_mm == 5.0


@pytest.mark.parametrize("change", ["another target", "dates"])
def test_another_target_and_the_first_date_begin_anew(change: str) -> None:
    display = aimed()
    display.numbers(news(1, pose(0.0), dated=change != "dates"))
    if change == "another target":
        display.aim(AIM)
    after = display.numbers(news(2, pose(5.0)))
    assert after is not None and after.lateral_x_mm == 5.0


def test_without_a_target_nothing_is_shown() -> None:
    assert Display().numbers(news(1, pose(0.0))) is None


def test_the_raw_numbers_stay_raw_and_have_a_sigma_beside_them() -> None:
    telling = ErrorTelling()
    telling.display.aim(AIM)
    telling.body(news(1, pose(0.0)), 10**12, 2.0)
    body = telling.body(news(2, pose(5.0)), 10**12, 2.0)
    assert body.lateral_x_mm == 5.0
    assert body.displayed is not None and body.displayed.lateral_x_mm is not None and body.displayed.lateral_x_mm < 5.0
    assert body.sigma is not None and body.sigma.lateral_x_mm is None, "no residual of the camera is known here"


def test_an_unknown_error_has_neither_smoothed_numbers_nor_sigma() -> None:
    telling = ErrorTelling()
    telling.display.aim(AIM)
    body = telling.body(news(1, None), 10**12, 2.0)
    assert (body.displayed, body.sigma, body.distance_to_target_mm, body.on_target) == (None, None, None, False)
