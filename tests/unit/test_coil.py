import numpy as np
import pytest

from calibration.coil import CoilRefusal, calibrate_coil, face_centre_off_mm, touched_in_coiltool_mm
from calibration.frames import Transform
from calibration.rigid_fit import DegeneratePoints

MODEL = {
    "face_centre": (0.0, 0.0, 0.0),
    "left_wing": (45.0, 0.0, 0.0),
    "right_wing": (-45.0, 0.0, 0.0),
    "front": (0.0, 60.0, 0.0),
    "handle": (0.0, -95.0, -12.0),
}
TRUE = Transform.from_quaternion("coiltool", "coil", (0.7, 0.1, -0.6, 0.3), (-100.0, 33.0, 82.0))


def touches() -> dict[str, np.ndarray]:
    return {name: TRUE.apply(point) for name, point in MODEL.items()}


def test_exact_touches_give_the_calibration() -> None:
    calibration = calibrate_coil(MODEL, touches())
    assert np.allclose(calibration.coiltool_from_coil.matrix, TRUE.matrix, atol=1e-9)
    assert calibration.refusals() == ()
    assert 0.0 < calibration.face_error_mm < 0.5


def test_a_touch_is_seen_from_the_marker_body_wherever_the_coil_is() -> None:
    tracker_from_coiltool = Transform.from_quaternion("tracker", "coiltool", (0.1, 0.2, 0.9, 0.4), (5.0, -80.0, -1200.0))
    tip_in_tracker_mm = tracker_from_coiltool.apply((10.0, 20.0, 30.0))
    assert np.allclose(touched_in_coiltool_mm(tracker_from_coiltool, tip_in_tracker_mm), (10.0, 20.0, 30.0))


def test_three_points_fit_but_are_not_accepted() -> None:
    three = {name: touch for name, touch in touches().items() if name in ("face_centre", "left_wing", "front")}
    assert calibrate_coil(MODEL, three).refusals() == (CoilRefusal.TOO_FEW_POINTS,)


def test_one_point_touched_3_mm_off_is_refused() -> None:
    off = touches()
    off["front"] = off["front"] + (3.0, 0.0, 0.0)
    assert CoilRefusal.POINT_OFF in calibrate_coil(MODEL, off).refusals()


def test_touches_all_a_little_off_are_refused_by_their_rms() -> None:
    off = {name: touch * 1.04 for name, touch in touches().items()}
    assert CoilRefusal.FRE_HIGH in calibrate_coil(MODEL, off).refusals()


def test_points_on_a_line_give_no_calibration() -> None:
    line = {name: touch for name, touch in touches().items() if name in ("face_centre", "left_wing", "right_wing")}
    with pytest.raises(DegeneratePoints):
        calibrate_coil(MODEL, line)


def test_a_touch_that_the_drawing_does_not_have_is_named() -> None:
    with pytest.raises(ValueError, match="back"):
        calibrate_coil(MODEL, touches() | {"back": np.zeros(3)})


def test_the_face_touched_again_shows_a_moved_marker_body() -> None:
    calibration = calibrate_coil(MODEL, touches())
    assert face_centre_off_mm(calibration, TRUE.apply((0.0, 0.0, 0.0))) == pytest.approx(0.0, abs=1e-9)
    assert face_centre_off_mm(calibration, TRUE.apply((1.5, 0.0, 2.0))) == pytest.approx(2.5)
