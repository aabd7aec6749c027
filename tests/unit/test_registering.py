"""What counts as a touch, and which touches are kept."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.registering import (
    APART_LIMIT_MM,
    FRESH_NS,
    MIN_FRAMES,
    TOUCHES_QUICK,
    Held,
    Landmarks,
    Recent,
    Touch,
    Unseen,
    look_for_tip,
)
from drivers.values import ToolSample

FRAME = 16_666_667


def sample(tool: str, frame: int = 1, fit_mm: float | None = 0.1, **changes: object) -> ToolSample:
    seen: dict[str, object] = {"wxyz": (1.0, 0.0, 0.0, 0.0), "in_tracker_mm": (0.0, 0.0, -1500.0), "unseen": None}
    return ToolSample(tool=tool, frame_number=frame, fit_rms_mm=fit_mm, **(seen | changes))  # type: ignore[arg-type]


def touch(x_mm: float) -> Touch:
    return Touch(tip_in_head_mm=(x_mm, 0.0, 0.0), spread_mm=0.1, frames=60)


def test_the_tip_is_found_in_the_heads_frame_wherever_the_camera_stands() -> None:
    pointer = sample("pointer", in_tracker_mm=(10.0, 20.0, -1400.0))
    assert look_for_tip(sample("head"), pointer, (1.0, 2.0, 3.0)) == pytest.approx((11.0, 22.0, 103.0))


@pytest.mark.parametrize(
    ("head", "pointer", "why"),
    [
        (None, sample("pointer"), Unseen.HEAD),
        (sample("head", wxyz=None), sample("pointer"), Unseen.HEAD),
        (sample("head"), None, Unseen.POINTER),
        (sample("head"), sample("pointer", frame=2), Unseen.OTHER_FRAME),
        (sample("head", fit_mm=0.36), sample("pointer"), Unseen.POOR_FIT),
        (sample("head"), sample("pointer", fit_mm=None), Unseen.POOR_FIT),
        (sample("head"), sample("pointer", fit_mm=math.nan), Unseen.POOR_FIT),
        (sample("head", flagged=True), sample("pointer"), Unseen.FLAGGED),
        (sample("head"), sample("pointer", wxyz=None), Unseen.POINTER),
    ],
)
def test_a_tip_that_is_not_seen_well_in_one_frame_is_none_and_says_why(
    head: ToolSample | None, pointer: ToolSample | None, why: Unseen
) -> None:
    assert look_for_tip(head, pointer, (0.0, 0.0, 0.0)) is why


def hold(tips: list[tuple[float, float, float] | None]) -> Touch | None:
    held, found = Held(), None
    for k, tip in enumerate(tips):
        found = found or held.add(tip, k * FRAME)
    return found


def test_a_tip_held_still_for_a_second_is_a_touch_at_its_median() -> None:
    found = hold([(5.0 + 0.1 * math.sin(k), 0.0, 0.0) for k in range(70)])
    assert found is not None
    assert found.tip_in_head_mm == pytest.approx((5.0, 0.0, 0.0), abs=0.02)
    assert found.frames >= 60


def test_a_few_wild_frames_do_not_pull_a_touch_aside() -> None:
    found = hold([(5.0, 0.0, 0.0) if k % 20 else (6.5, 0.0, 0.0) for k in range(70)])
    assert found is not None
    assert found.tip_in_head_mm == (5.0, 0.0, 0.0)


def test_a_moving_tip_is_no_touch_and_its_ring_never_fills() -> None:
    held = Held()
    for k in range(200):
        assert held.add((0.05 * k, 0.0, 0.0), k * FRAME) is None
        assert held.share < 1.0


def test_the_ring_begins_again_when_the_tip_moves() -> None:
    held = Held()
    for k in range(50):
        held.add((5.0, 0.0, 0.0), k * FRAME)
    assert held.share == pytest.approx(49 * FRAME / 1e9)
    for k in range(50, 53):
        held.add((9.0, 0.0, 0.0), k * FRAME)
    assert held.share < 0.1
    found = None
    for k in range(53, 120):
        found = found or held.add((9.0, 0.0, 0.0), k * FRAME)
    assert found is not None
    assert found.tip_in_head_mm == (9.0, 0.0, 0.0)


def test_a_tip_that_was_lost_for_a_while_begins_anew() -> None:
    assert hold([(5.0, 0.0, 0.0)] * 50 + [None] * 20 + [(5.0, 0.0, 0.0)] * 50) is None


def test_too_few_frames_in_a_second_are_no_touch() -> None:
    held = Held()
    assert [held.add((5.0, 0.0, 0.0), k * 100_000_000) for k in range(15)] == [None] * 15


@given(st.lists(st.tuples(st.integers(1, 400_000_000), st.one_of(st.none(), st.floats(-5.0, 5.0))), max_size=120))
def test_whatever_the_frames_a_touch_is_still_and_rests_on_enough_of_them(frames: list[tuple[int, float | None]]) -> None:
    held, now_ns = Held(), 0
    for after_ns, x_mm in frames:
        now_ns += after_ns
        found = held.add(None if x_mm is None else (x_mm, 0.0, 0.0), now_ns)
        assert found is None or (found.spread_mm <= 0.5 and found.frames >= MIN_FRAMES)
        assert 0.0 <= held.share <= 1.0


def recent(tips: list[tuple[float, float, float]], frame_ns: int = FRAME) -> tuple[Recent, int]:
    found = Recent()
    for k, tip in enumerate(tips):
        found.add(tip, k * frame_ns)
    return found, (len(tips) - 1) * frame_ns


def test_a_key_takes_the_median_of_the_last_half_second() -> None:
    found, now_ns = recent([(9.0, 0.0, 0.0)] * 30 + [(5.0, 0.0, 0.0)] * 30)
    taken = found.touch(now_ns)
    assert isinstance(taken, Touch)
    assert taken.tip_in_head_mm == (5.0, 0.0, 0.0)
    assert (taken.taken, taken.frames) == ("key", 30)


def test_a_key_on_a_slow_camera_looks_back_as_far_as_it_must() -> None:
    found, now_ns = recent([(5.0, 0.0, 0.0)] * 21, 50_000_000)
    taken = found.touch(now_ns)
    assert isinstance(taken, Touch)
    assert taken.frames == MIN_FRAMES


@pytest.mark.parametrize(
    ("tips", "later_ns", "says"),
    [
        ([], 0, "not seen together"),
        ([(5.0, 0.0, 0.0)] * 60, FRESH_NS + 1, "not seen together"),
        ([(5.0, 0.0, 0.0)] * 19, 0, "19 frames"),
        ([(0.1 * k, 0.0, 0.0) for k in range(60)], 0, "the tip moved by"),
    ],
)
def test_a_key_is_refused_when_the_tip_is_old_rare_or_moving(tips: list[tuple[float, float, float]], later_ns: int, says: str) -> None:
    found, now_ns = recent(tips)
    answer = found.touch(now_ns + later_ns)
    assert isinstance(answer, str)
    assert says in answer


def test_two_touches_that_agree_are_averaged_and_two_that_do_not_are_dropped() -> None:
    landmarks, apart_mm = Landmarks().with_touch("NAS", touch(0.0))
    assert apart_mm is None
    assert landmarks.points() == {}
    agreed, apart_mm = landmarks.with_touch("NAS", touch(2.0))
    assert apart_mm == 2.0
    assert agreed.points() == {"NAS": (1.0, 0.0, 0.0)}
    dropped, _ = landmarks.with_touch("NAS", touch(APART_LIMIT_MM + 0.1))
    assert dropped.touches["NAS"] == ()
    assert dropped.order == ()


def test_a_quick_registration_wants_one_touch_of_each() -> None:
    landmarks, _ = Landmarks(wanted=TOUCHES_QUICK).with_touch("NAS", touch(0.0))
    assert landmarks.points() == {"NAS": (0.0, 0.0, 0.0)}
    again, _ = landmarks.with_touch("NAS", touch(1.0))
    assert again.points() == {"NAS": (1.0, 0.0, 0.0)}


def test_the_next_landmark_is_the_first_that_wants_a_touch() -> None:
    names, landmarks, order = ("NAS", "LPA", "RPA", "LEX"), Landmarks(), []
    while (name := landmarks.next_of(names)) is not None:
        order.append(name)
        landmarks, _ = landmarks.with_touch(name, touch(1.0))
    assert order == ["NAS", "NAS", "LPA", "LPA", "RPA", "RPA", "LEX", "LEX"]


def test_touches_are_taken_back_from_the_newest_on() -> None:
    landmarks = Landmarks()
    for name in ("NAS", "NAS", "LPA"):
        landmarks, _ = landmarks.with_touch(name, touch(1.0))
    taken = []
    while (undone := landmarks.undone()) is not None:
        landmarks, name = undone
        taken.append((name, len(landmarks.touches[name])))
    assert taken == [("LPA", 0), ("NAS", 1), ("NAS", 0)]


def test_one_landmark_is_retaken_and_the_others_stay() -> None:
    landmarks = Landmarks()
    for name in ("NAS", "LPA", "NAS", "LPA"):
        landmarks, _ = landmarks.with_touch(name, touch(1.0))
    retaken = landmarks.without("NAS")
    assert retaken.points() == {"LPA": (1.0, 0.0, 0.0)}
    assert retaken.next_of(("NAS", "LPA")) == "NAS"
    assert retaken.order == ("LPA", "LPA")
