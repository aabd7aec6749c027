"""Where the coil sits in its marker body, from engraved points touched with the calibrated pointer; and whether that still holds.

The points of a coil's drawing are given in the coil's own axes: y away from the handle, z into the head.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calibration.expected_error import landmark_target_error_mm
from calibration.frames import FloatArray, Transform
from calibration.rigid_fit import fit_rigid

POINTS_LIMIT = 4
FRE_LIMIT_MM = 1.0
RESIDUAL_LIMIT_MM = 1.5
TOUCH_ERROR_MM = 0.5  # RMS in 3-D of touching an engraved point
FACE_ERROR_LIMIT_MM = 1.0  # expected at the centre of the face: points that lie all to one side leave it to a long lever
FACE_CENTRE_LIMIT_MM = 2.0


class CoilRefusal(enum.StrEnum):
    """Why a coil calibration is not accepted."""

    TOO_FEW_POINTS = "too_few_points"
    FRE_HIGH = "fre_high"
    POINT_OFF = "point_off"
    ILL_CONDITIONED = "ill_conditioned"
    FACE_UNCERTAIN = "face_uncertain"


@dataclass(frozen=True, slots=True, eq=False)
class CoilCalibration:
    """coiltool_from_coil with the residual of each point, in the order of `labels`."""

    coiltool_from_coil: Transform
    labels: tuple[str, ...]
    residuals_mm: tuple[float, ...]
    fre_mm: float
    face_error_mm: float  # 1 sigma expected at the centre of the face
    is_well_spread: bool  # the points do not lie nearly on a line

    def guided_refusals(self) -> tuple[CoilRefusal, ...]:
        """Everything against accepting one collected live: the residuals, and that the points fix the coil at all."""
        holds = {
            CoilRefusal.ILL_CONDITIONED: self.is_well_spread,
            CoilRefusal.FACE_UNCERTAIN: self.face_error_mm <= FACE_ERROR_LIMIT_MM,
        }
        return self.refusals() + tuple(refusal for refusal, is_met in holds.items() if not is_met)

    def refusals(self) -> tuple[CoilRefusal, ...]:
        """Everything against accepting it; empty means accept."""
        holds = {
            CoilRefusal.TOO_FEW_POINTS: len(self.labels) >= POINTS_LIMIT,
            CoilRefusal.FRE_HIGH: self.fre_mm <= FRE_LIMIT_MM,
            CoilRefusal.POINT_OFF: all(residual <= RESIDUAL_LIMIT_MM for residual in self.residuals_mm),
        }
        return tuple(refusal for refusal, is_met in holds.items() if not is_met)


def touched_in_coiltool_mm(tracker_from_coiltool: Transform, tip_in_tracker_mm: ArrayLike) -> FloatArray:
    """One touch (3,), seen from the marker body in the very frame of the touch, so that the coil may move between touches."""
    return tracker_from_coiltool.inverse().apply(tip_in_tracker_mm)


def calibrate_coil(model_in_coil_mm: Mapping[str, ArrayLike], touched_mm: Mapping[str, ArrayLike]) -> CoilCalibration:
    """Fit the drawing's points (coil axes, mm) to the touches of the same names (coiltool, mm).

    Raises DegeneratePoints for fewer than three points or points on a line, ValueError for a touch the drawing does not have.
    """
    unknown = sorted(set(touched_mm) - set(model_in_coil_mm))
    if unknown:
        raise ValueError(f"the drawing of the coil has no point {', '.join(unknown)}")
    labels = tuple(touched_mm)
    model = np.array([model_in_coil_mm[label] for label in labels], dtype=np.float64).reshape(-1, 3)
    fit = fit_rigid(model, np.array([touched_mm[label] for label in labels], dtype=np.float64))
    return CoilCalibration(
        coiltool_from_coil=fit.transform("coiltool", "coil"),
        labels=labels,
        residuals_mm=tuple(fit.residuals_mm.tolist()),
        fre_mm=fit.fre_mm,
        face_error_mm=float(landmark_target_error_mm(model, np.zeros(3), TOUCH_ERROR_MM)[0]),
        is_well_spread=not fit.warnings,
    )


def face_centre_off_mm(calibration: CoilCalibration, face_touched_in_coiltool_mm: ArrayLike) -> float:
    """How far a touch of the face's centre lies from where the calibration has it; above 2 mm the calibration is suspect."""
    expected = calibration.coiltool_from_coil.translation_mm
    return float(np.linalg.norm(np.asarray(face_touched_in_coiltool_mm, dtype=np.float64) - expected))
