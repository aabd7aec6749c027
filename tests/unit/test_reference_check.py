"""Whether the head reference still sits: what passes, what blocks, what expires, what is only the hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.reference_check import LEFT_EAR, SCALP, SHORT, TOGETHER_NS, WHOLE, CheckLimits, ReferenceCheck, nearest_landmark

S = 1_000_000_000
PLACES = {"NAS": (0.0, 82.0, -42.0), "LPA": (-78.0, -18.0, -44.0), "RPA": (78.0, -18.0, -44.0)}
LIMITS = CheckLimits()


def touched(check: ReferenceCheck, landmark: str, off_mm: float, at_s: float = 0.0) -> ReferenceCheck:
    x, y, z = PLACES[landmark]
    return check.with_touch(landmark, (x, y + off_mm, z), round(at_s * S), LIMITS)


def fresh() -> ReferenceCheck:
    """As after a registration whose left ear was touched."""
    return touched(ReferenceCheck(registered=PLACES, wanted=(LEFT_EAR,)), LEFT_EAR, 0.5)


def test_a_check_holds_twenty_minutes_and_no_longer() -> None:
    assert fresh().expires_ns(LIMITS) == 1200 * S
    assert fresh().expires_ns(CheckLimits(valid_s=300.0)) == 300 * S


def test_nothing_was_checked_before_the_first_touch() -> None:
    assert ReferenceCheck(registered=PLACES).expires_ns(LIMITS) is None


def test_the_next_check_wants_nose_and_one_ear_and_counts_only_when_whole() -> None:
    check = fresh()
    assert check.missing == SHORT
    begun = touched(check, "NAS", 1.0, 1000.0)
    assert begun.missing == ("LPA",)
    assert begun.expires_ns(LIMITS) == 1200 * S  # the earlier check stands meanwhile
    assert touched(begun, "LPA", 1.0, 1010.0).expires_ns(LIMITS) == 2210 * S


def test_touches_that_lie_far_apart_in_time_are_no_check() -> None:
    begun = touched(fresh(), "NAS", 1.0, 1000.0)
    late = touched(begun, "LPA", 1.0, 1000.0 + TOGETHER_NS / S + 1)
    assert late.expires_ns(LIMITS) == 1200 * S
    assert late.missing == ("NAS",)


def test_another_session_wants_three_landmarks_anew() -> None:
    due = fresh().due_again()
    assert due.expires_ns(LIMITS) is None
    assert due.missing == WHOLE


def test_a_landmark_beyond_the_limit_blocks_at_once_and_shows_its_distance() -> None:
    assert not touched(fresh(), "NAS", 3.0).has_slipped
    slipped = touched(fresh(), "NAS", 3.001)
    assert slipped.has_slipped
    assert slipped.expires_ns(LIMITS) is None
    assert slipped.worst_mm == pytest.approx(3.001)


def test_a_touch_that_is_not_a_number_blocks() -> None:
    assert touched(fresh(), "NAS", math.nan).has_slipped


def test_two_good_touches_do_not_lift_a_slip_and_three_do() -> None:
    check = touched(fresh(), "NAS", 5.0, 10.0)
    for landmark in ("NAS", "LPA"):
        check = touched(check, landmark, 1.0, 20.0)
        assert check.has_slipped
    assert not touched(check, "RPA", 1.0, 25.0).has_slipped


def test_a_slip_is_not_lifted_by_touches_that_are_only_nearly_good() -> None:
    check = touched(fresh(), "NAS", 5.0, 10.0)
    for landmark in WHOLE:
        check = touched(check, landmark, 2.1, 20.0)
    assert check.has_slipped
    assert check.expires_ns(LIMITS) is None


def test_a_point_of_the_scalp_shows_a_slip_and_proves_none_away() -> None:
    assert fresh().with_scalp(-3.1, 5 * S, LIMITS).has_slipped
    after = fresh().due_again().with_scalp(0.1, 5 * S, LIMITS)
    assert after.expires_ns(LIMITS) is None
    assert after.missing == WHOLE
    assert after.touches[-1].landmark == SCALP


def test_three_touches_show_shift_and_turn() -> None:
    check = fresh().due_again()
    for landmark in WHOLE:
        check = touched(check, landmark, 1.5, 10.0)
    drift = check.drift()
    assert drift is not None
    assert drift.slip is not None
    assert drift.slip.shift_mm == pytest.approx(1.5)
    assert drift.slip.moves_mm((0.0, 0.0, 0.0)) == pytest.approx(1.5)
    assert check.rms_mm == pytest.approx(1.5)


def test_a_reference_that_creeps_has_a_trend_and_a_shaking_hand_has_none() -> None:
    creeping = shaking = fresh()
    for hour in range(1, 9):
        for k, landmark in enumerate(SHORT):
            creeping = touched(creeping, landmark, 0.5 + 0.25 * hour + 0.05 * (-1) ** k, 3600.0 * hour + k)
            shaking = touched(shaking, landmark, 0.8 * (-1) ** (hour + k), 3600.0 * hour + k)
    assert creeping.trend_mm_per_h() == pytest.approx(0.25, abs=0.05)
    assert shaking.trend_mm_per_h() is None
    assert fresh().trend_mm_per_h() is None


@given(st.lists(st.tuples(st.sampled_from(WHOLE), st.floats(-6.0, 6.0), st.floats(0.0, 400.0)), max_size=30))
def test_a_slip_never_leaves_without_three_good_touches_in_a_row(touches: list[tuple[str, float, float]]) -> None:
    check, now_s, since_bad = fresh(), 0.0, 3
    for landmark, off_mm, after_s in touches:
        now_s += after_s
        check = touched(check, landmark, off_mm, now_s)
        since_bad = 0 if abs(off_mm) > 3.0 else since_bad + 1
        assert check.has_slipped or since_bad >= 3
        assert not check.has_slipped or check.expires_ns(LIMITS) is None


def test_the_ear_under_the_tip_is_named() -> None:
    assert nearest_landmark((70.0, -10.0, -40.0), PLACES) == "RPA"
