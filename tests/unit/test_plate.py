"""The coil by its plate: what it gives and each reason against it."""

import dataclasses
import math

import numpy as np
import pytest

from calibration.frames import FloatArray, Transform, angle_between_deg, rigid_matrix, rotation_from_vector
from calibration.plate import PlateCalibration, PlateRefusal, calibrate_plate

TRUE = Transform("coiltool", "coil", rigid_matrix(rotation_from_vector((3.0, 0.3, -0.1)), np.array((0.6, -58.0, -90.0))))
SEAT = Transform("plate", "coil", rigid_matrix(rotation_from_vector((math.pi, 0.0, 0.0)), np.array((6.0, -85.0, 18.0))))


def seen(count: int, tilt_deg: float, *, noise_mm: float = 0.05, noise_deg: float = 0.03) -> tuple[list[FloatArray], list[FloatArray]]:
    """Coil tool and plate in the camera's frame while the plate is tilted to every side."""
    rng = np.random.default_rng(2)
    coiltools, plates = [], []
    for index in range(count):
        turn = np.radians(tilt_deg) * np.array((math.sin(0.3 * index), math.cos(0.23 * index), 0.0))
        plate = Transform("tracker", "plate", rigid_matrix(rotation_from_vector(turn), np.array((10.0, 20.0, -1500.0))))
        coiltool = plate @ SEAT @ TRUE.inverse()
        for poses, true in ((coiltools, coiltool), (plates, plate)):
            noise = rigid_matrix(rotation_from_vector(np.radians(rng.normal(0.0, noise_deg, 3))), rng.normal(0.0, noise_mm, 3))
            poses.append(true.matrix @ noise)
    return coiltools, plates


def test_the_coil_is_found_and_accepted() -> None:
    found = calibrate_plate(*seen(200, 30.0), SEAT)
    assert np.linalg.norm(found.coiltool_from_coil.translation_mm - TRUE.translation_mm) < 0.05
    assert angle_between_deg(found.coiltool_from_coil.rotation, TRUE.rotation) < 0.03
    assert found.refusals() == ()
    assert found.frames + found.dropped == 200


def test_a_plate_that_lay_still_was_seen_from_one_side_alone() -> None:
    assert calibrate_plate(*seen(200, 0.0), SEAT).refusals() == (PlateRefusal.TOO_FEW_ANGLES,)


def test_frames_far_off_are_dropped_and_told() -> None:
    coiltools, plates = seen(200, 30.0)
    for index in range(0, 200, 20):
        coiltools[index] = coiltools[index] @ rigid_matrix(np.eye(3), np.array((4.0, 0.0, 0.0)))
    found = calibrate_plate(coiltools, plates, SEAT)
    assert found.dropped >= 10
    assert np.linalg.norm(found.coiltool_from_coil.translation_mm - TRUE.translation_mm) < 0.05


def test_a_coil_that_moves_in_its_plate_is_refused() -> None:
    coiltools, plates = seen(200, 30.0)
    moved = [pose @ rigid_matrix(np.eye(3), np.array((0.8 * math.sin(index), 0.0, 0.0))) for index, pose in enumerate(coiltools)]
    assert PlateRefusal.SPREAD_MM_HIGH in calibrate_plate(moved, plates, SEAT).refusals()


def test_no_frames_give_nothing() -> None:
    with pytest.raises(ValueError, match="0 poses"):
        calibrate_plate([], [], SEAT)


FINE = PlateCalibration(coiltool_from_coil=TRUE, spread_mm=0.3, spread_deg=0.3, angles=3, frames=100, dropped=25)


def test_a_calibration_at_every_limit_is_accepted() -> None:
    assert FINE.refusals() == ()


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("frames", 99, PlateRefusal.TOO_FEW_FRAMES),
        ("angles", 2, PlateRefusal.TOO_FEW_ANGLES),
        ("spread_mm", 0.301, PlateRefusal.SPREAD_MM_HIGH),
        ("spread_mm", math.nan, PlateRefusal.SPREAD_MM_HIGH),
        ("spread_deg", 0.301, PlateRefusal.SPREAD_DEG_HIGH),
        ("dropped", 26, PlateRefusal.TOO_MANY_OUTLIERS),
    ],
)
def test_each_limit_passed_is_a_refusal(field: str, value: float, found: PlateRefusal) -> None:
    changed = {field: value} | ({"dropped": 20} if field == "frames" else {})
    assert dataclasses.replace(FINE, **changed).refusals() == (found,)  # type: ignore[arg-type]
