"""What each calibration and measurement finds from frames, and what stands against it until then."""

import math
from pathlib import Path

import numpy as np
import pytest

from calibration.frames import Transform, Xyz, rigid_matrix, rotation_from_vector
from daemon.bench_files import Drawing, read_block
from daemon.calibration_coil_tasks import CoilTask, PlateTask
from daemon.calibration_messages import CalibrationBody
from daemon.calibration_samples import Touch
from daemon.calibration_tasks import Found, Nothing, PointerTask, TaskUnderWay
from daemon.config_tools import QualitySection
from daemon.quality_tasks import BlockTask, JitterTask, SpreadTask
from tests.bench_frames import FRAME_NS, MS, news, pose, tip_at, unseen
from tests.unit.test_bench_files import block

TIP: Xyz = (-18.0, 0.7, -157.0)
DIVOT = np.array((20.0, 30.0, -1500.0))
EMPTY = CalibrationBody(in_use=())
TRUE = Transform("coil", "coil", rigid_matrix(rotation_from_vector((2.9, 0.2, 0.4)), np.array((3.0, -60.0, -90.0))))
POINTS: dict[str, Xyz] = {"left": (78.0, 6.0, 0.0), "right": (-77.0, 6.0, 0.0), "front": (2.0, 45.0, 0.0), "rear": (0.0, -45.0, -9.0)}
SIDES: dict[str, Xyz] = {"handle": (0.0, -140.0, -12.0), "back": (5.0, 0.0, -22.0)}
DRAWING = Drawing(coil="c", points_mm=POINTS, sha256="d" * 64)


def turned(index: int, degrees: float) -> Xyz:
    return degrees * math.sin(0.11 * index), degrees * math.cos(0.17 * index), degrees * math.sin(0.05 * index)


def pivot(task: TaskUnderWay, frames: int, degrees: float, noise_mm: float = 0.05) -> None:
    rng = np.random.default_rng(4)
    for number in range(frames):
        moved = tip_at(DIVOT + rng.normal(0.0, noise_mm, 3), TIP, turned(number, degrees))
        assert task.add(news(number, moved), number * FRAME_NS + 20 * MS) == ""


# ---- the pointer --------------------------------------------------------------------------------------------------------


def test_a_pointer_turned_to_all_sides_gives_its_tip() -> None:
    task = PointerTask()
    pivot(task, 400, 35.0)
    told = task.measured(EMPTY)
    assert (told.enough, told.refusals) == (True, ())
    assert told.axis_spans_deg is not None and min(told.axis_spans_deg) > 45.0
    found = task.found()
    assert isinstance(found, Found)
    assert found.refusals == ()
    assert np.allclose(found.tip_in_pointer_mm, TIP, atol=0.1)


def test_a_pointer_turned_too_little_is_refused_although_the_residual_is_small() -> None:
    task = PointerTask()
    pivot(task, 4000, 4.0)
    told = task.measured(EMPTY)
    assert told.rms_mm is not None and told.rms_limit_mm is not None and told.rms_mm < told.rms_limit_mm
    assert not told.enough
    assert {"span_small", "ill_conditioned"} <= set(told.refusals)


def test_a_pointer_held_still_gathers_no_samples() -> None:
    task = PointerTask()
    pivot(task, 300, 0.0)
    assert task.measured(EMPTY).samples <= 1
    assert isinstance(task.found(), Nothing)


def test_frames_that_do_not_count_are_told_and_left_out() -> None:
    task = PointerTask()
    assert task.add(news(5, unseen("pointer", 5)), 5 * FRAME_NS) == "pointer not seen"
    assert task.add(news(6, pose("pointer")), 6 * FRAME_NS + 101 * MS) == "the camera's frames are old"
    assert task.measured(EMPTY).samples == 0


def test_frames_in_which_the_tip_slipped_are_dropped_and_told() -> None:
    task = PointerTask()
    for number in range(400):
        slip = (6.0, 0.0, 0.0) if number % 29 == 0 else (0.0, 0.0, 0.0)
        task.add(news(number, tip_at(DIVOT + slip, TIP, turned(number, 35.0))), number * FRAME_NS)
    told = task.measured(EMPTY)
    assert told.dropped >= 10
    found = task.found()
    assert isinstance(found, Found)
    assert np.allclose(found.tip_in_pointer_mm, TIP, atol=0.1)


# ---- the coil -----------------------------------------------------------------------------------------------------------


def touch(point: Xyz) -> Touch:
    x, y, z = TRUE.apply(point).tolist()
    return Touch(point_mm=(x, y, z), spread_mm=0.1, frames=60, dropped=2)


def touched_coil(*names: str) -> CoilTask:
    task = CoilTask(DRAWING, TIP, {"pointer": "p" * 64})
    for name in names:
        task.take(name, touch((POINTS | SIDES)[name]))
    return task


def test_the_tip_is_seen_from_the_coil_in_the_very_same_frame() -> None:
    coil = pose("coil", (20.0, 10.0, 0.0), (50.0, 0.0, -1500.0))
    x, y, z = coil.apply((3.0, 4.0, 5.0)).tolist()
    tip = touched_coil().tip_of(news(0, coil, tip_at((x, y, z), TIP, (0.0, 40.0, 0.0))), 0)
    assert not isinstance(tip, str)
    assert np.allclose(tip, (3.0, 4.0, 5.0))


def test_all_points_handle_and_back_give_the_coil() -> None:
    task = touched_coil(*POINTS, *SIDES)
    found = task.found()
    assert isinstance(found, Found)
    assert found.refusals == ()
    assert np.allclose(np.array(found.coiltool_from_coil), TRUE.matrix, atol=1e-9)
    assert found.rests_on == {"pointer": "p" * 64, "drawing": "d" * 64}
    told = task.measured(EMPTY)
    assert (told.enough, told.dropped, set(told.residuals_mm)) == (True, 12, set(POINTS))


def test_too_few_points_give_nothing() -> None:
    found = touched_coil("left", "right", "front", *SIDES).found()
    assert isinstance(found, Nothing) and found.code == "too_few_points"


@pytest.mark.parametrize("missing", list(SIDES))
def test_without_handle_or_back_it_is_refused(missing: str) -> None:
    found = touched_coil(*POINTS, *(name for name in SIDES if name != missing)).found()
    assert isinstance(found, Found)
    assert found.refusals == (f"{missing}_untouched",)


def test_a_point_touched_elsewhere_is_refused_and_mended_by_touching_it_again() -> None:
    task = touched_coil(*POINTS, *SIDES)
    task.take("left", touch((72.0, 6.0, 0.0)))
    wrong = task.found()
    assert isinstance(wrong, Found) and {"fre_high", "point_off"} <= set(wrong.refusals)
    assert task.take("left", touch(POINTS["left"])) == 3
    right = task.found()
    assert isinstance(right, Found) and right.refusals == ()


# ---- the plate ----------------------------------------------------------------------------------------------------------

SEAT = Transform("plate", "coil", rigid_matrix(rotation_from_vector((math.pi, 0.0, 0.0)), np.array((6.0, -85.0, 18.0))))
SEAT_ROWS = tuple(tuple(row) for row in SEAT.matrix.tolist())


def plate_task(frames: int, degrees: float) -> PlateTask:
    task = PlateTask(SEAT_ROWS, TIP, {"plate": "r" * 64})  # type: ignore[arg-type]  # four rows of four
    for number in range(frames):
        plate = pose("plate", turned(number, degrees), (0.0, 0.0, -1500.0))
        coil = plate @ SEAT @ TRUE.inverse()
        assert task.add(news(number, plate, coil), number * FRAME_NS) == ""
    return task


def test_a_plate_tilted_to_all_sides_gives_the_coil_once_handle_and_back_were_touched() -> None:
    task = plate_task(200, 30.0)
    assert task.measured(EMPTY).refusals == ("handle_untouched", "back_untouched")
    for name, point in SIDES.items():
        task.take(name, touch(point))
    found = task.found()
    assert isinstance(found, Found) and found.refusals == ()
    assert np.allclose(np.array(found.coiltool_from_coil), TRUE.matrix, atol=1e-6)
    assert task.measured(EMPTY).enough


def test_a_plate_that_lay_still_is_refused_and_does_not_crowd_out_the_views_before() -> None:
    assert "too_few_angles" in plate_task(200, 0.0).measured(EMPTY).refusals
    task = plate_task(150, 30.0)
    for number in range(150, 1500):
        task.add(news(number, pose("plate"), pose("plate") @ SEAT @ TRUE.inverse()), number * FRAME_NS)
    angles = task.measured(EMPTY).angles
    assert angles is not None and angles >= 3


# ---- quality ------------------------------------------------------------------------------------------------------------

LIMITS = QualitySection()


def test_tools_at_rest_have_their_jitter_measured_for_the_whole_time() -> None:
    rng = np.random.default_rng(5)
    task = JitterTask(("pointer", "coil"), 5.0, LIMITS)
    for number in range(303):
        x, y, z = rng.normal(0.0, 0.05, 3).tolist()
        coil = unseen("coil", number) if number % 10 == 0 else pose("coil")
        task.add(news(number, pose("pointer", (0.0, 0.0, 0.0), (x, y, z - 1500.0)), coil), number * FRAME_NS)
        if number == 200:
            early = task.found()
            assert isinstance(early, Nothing) and early.code == "too_short"
            left_s = task.measured(EMPTY).seconds_left
            assert left_s is not None and 1.6 < left_s < 1.7
    found = task.found()
    assert isinstance(found, Found)
    pointer, coil = found.items
    assert (pointer.name, pointer.passed) == ("jitter", True)
    assert 0.08 < pointer.value < 0.095
    assert (coil.name, coil.passed) == ("seen", False)


def test_a_tool_that_shakes_fails() -> None:
    task = JitterTask(("pointer",), 5.0, LIMITS)
    for number in range(303):
        task.add(news(number, pose("pointer", (0.0, 0.0, 0.0), (0.11 if number % 2 else -0.11, 0.0, -1500.0))), number * FRAME_NS)
    found = task.found()
    assert isinstance(found, Found) and found.items[0].passed is False


def test_the_spread_of_a_right_tip_is_small_and_of_a_wrong_tip_large() -> None:
    right, wrong = SpreadTask(TIP, LIMITS), SpreadTask((-18.0, 3.7, -157.0), LIMITS)
    for task in (right, wrong):
        pivot(task, 400, 35.0)
    good, bad = right.found(), wrong.found()
    assert isinstance(good, Found) and good.items[0].passed is True
    assert isinstance(bad, Found) and bad.items[0].passed is False


def test_a_spread_over_a_small_turn_proves_nothing() -> None:
    task = SpreadTask(TIP, LIMITS)
    pivot(task, 2000, 8.0)
    found = task.found()
    assert isinstance(found, Nothing) and found.code == "span_small"
    assert not task.measured(EMPTY).enough


def test_a_blocks_distances_are_measured_between_the_means_of_two_touches(tmp_path: Path) -> None:
    known = read_block(block(tmp_path, '"A-B" = 50.0', '"B-C" = 40.0'))
    task = BlockTask(known, TIP, LIMITS)
    assert task.points == ("A", "B", "C", "A", "B", "C")
    places = {"A": (0.0, 0.0, 0.0), "B": (50.2, 0.0, 0.0), "C": (50.2, 40.0, 0.0)}
    for off in (0.1, -0.1):
        assert isinstance(task.found(), Nothing)
        for name, (x, y, z) in places.items():
            task.take(name, Touch(point_mm=(x, y, z + off), spread_mm=0.1, frames=60, dropped=0))
    found = task.found()
    assert isinstance(found, Found)
    repeat, distance = found.items
    assert (repeat.value, repeat.passed) == (pytest.approx(0.1), True)
    assert (distance.numbers["bias_mm"], distance.numbers["max_mm"]) == (pytest.approx(0.1), pytest.approx(0.2))
    assert task.measured(EMPTY).enough
