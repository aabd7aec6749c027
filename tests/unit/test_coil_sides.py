"""Is the coil's calibration the right way round?"""

import numpy as np
import pytest

from calibration.coil import CoilRefusal, calibrate_coil
from calibration.coil_sides import SideRefusal, side_refusals
from calibration.frames import Transform, Xyz, rigid_matrix, rotation_from_vector

TRUE = Transform("coiltool", "coil", rigid_matrix(rotation_from_vector((2.9, 0.2, 0.4)), np.array((3.0, -60.0, -90.0))))
MARKS = {"left": (78.0, 6.0, 0.0), "right": (-78.0, 6.0, 0.0), "front": (0.0, 45.0, 0.0), "rear": (0.0, -45.0, 0.0)}


def at(point: Xyz) -> Xyz:
    x, y, z = TRUE.apply(point).tolist()
    return x, y, z


HANDLE, BACK = at((0.0, -140.0, -12.0)), at((5.0, 0.0, -22.0))


def test_touches_where_handle_and_back_are_speak_for_it() -> None:
    assert side_refusals(TRUE, HANDLE, BACK) == ()


def test_a_touch_that_was_not_made_speaks_against_it() -> None:
    assert side_refusals(TRUE, None, None) == (SideRefusal.HANDLE_UNTOUCHED, SideRefusal.BACK_UNTOUCHED)


@pytest.mark.parametrize("point", [(0.0, -39.0, 0.0), (60.0, -50.0, 0.0), (0.0, 140.0, 0.0), (float("nan"), -140.0, 0.0)])
def test_a_handle_elsewhere_speaks_against_it(point: Xyz) -> None:
    assert side_refusals(TRUE, at(point), BACK) == (SideRefusal.HANDLE_ELSEWHERE,)


@pytest.mark.parametrize("z", [-4.9, 0.0, 22.0, float("nan")])
def test_a_back_elsewhere_speaks_against_it(z: float) -> None:
    assert side_refusals(TRUE, HANDLE, at((0.0, 0.0, z))) == (SideRefusal.BACK_ELSEWHERE,)


@pytest.mark.parametrize(
    ("swap", "found"),
    [
        ({"left": "right", "right": "left"}, SideRefusal.BACK_ELSEWHERE),
        ({"front": "rear", "rear": "front", "left": "right", "right": "left"}, SideRefusal.HANDLE_ELSEWHERE),
    ],
)
def test_marks_mixed_up_fit_nearly_as_well_and_only_handle_and_back_show_it(swap: dict[str, str], found: SideRefusal) -> None:
    symmetric = MARKS | {"left": (78.0, 0.0, 0.0), "right": (-78.0, 0.0, 0.0)}
    touched = {swap.get(name, name): TRUE.apply(point) for name, point in symmetric.items()}
    fit = calibrate_coil(symmetric, touched)
    assert fit.guided_refusals() == ()
    assert found in side_refusals(fit.coiltool_from_coil, HANDLE, BACK)


def test_points_nearly_on_a_line_are_refused_although_they_fit() -> None:
    line = {"a": (0.0, -60.0, 0.0), "b": (1.0, -20.0, 0.0), "c": (0.0, 20.0, 0.0), "d": (-1.0, 60.0, 0.0)}
    fit = calibrate_coil(line, {name: TRUE.apply(point) for name, point in line.items()})
    assert fit.refusals() == ()
    assert CoilRefusal.ILL_CONDITIONED in fit.guided_refusals()


def test_points_far_from_the_face_leave_its_centre_uncertain() -> None:
    far = {name: (x / 4.0, y / 4.0 - 180.0, z) for name, (x, y, z) in MARKS.items()}
    fit = calibrate_coil(far, {name: TRUE.apply(point) for name, point in far.items()})
    assert CoilRefusal.FACE_UNCERTAIN in fit.guided_refusals()
