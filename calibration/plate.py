"""Where the coil sits in its marker body, from the coil laid into a plate that has a marker body of its own.

Collecting the frames belongs to the daemon. One view of the camera proves nothing: its error is the same in every frame of that view.
"""

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.frames import FloatArray, Transform, angle_between_deg, quaternion_from_rotation, rigid_matrix, rotation_from_quaternion
from calibration.poses import mean_rotation

FRAMES_LIMIT = 100
ANGLES_LIMIT = 3  # directions from which the camera saw the plate
ANGLE_APART_DEG = 15.0  # between two directions that count as different
SPREAD_LIMIT_MM = 0.3  # RMS about the mean
SPREAD_LIMIT_DEG = 0.3
OUTLIER_MADS = 3.0
MAD_TO_SIGMA = 1.4826  # of a normal distribution
LEAST_SPREAD_MM, LEAST_SPREAD_DEG = 0.02, 0.02  # frames nearer to the median than this are never outliers
DROPPED_LIMIT = 0.20


class PlateRefusal(enum.StrEnum):
    """Why a calibration by the plate is not accepted."""

    TOO_FEW_FRAMES = "too_few_frames"
    TOO_FEW_ANGLES = "too_few_angles"
    SPREAD_MM_HIGH = "spread_mm_high"
    SPREAD_DEG_HIGH = "spread_deg_high"
    TOO_MANY_OUTLIERS = "too_many_outliers"


@dataclass(frozen=True, slots=True, eq=False)
class PlateCalibration:
    """coiltool_from_coil averaged over time, with what tells how well it is known. Spreads are RMS about the mean."""

    coiltool_from_coil: Transform
    spread_mm: float
    spread_deg: float
    angles: int
    frames: int
    dropped: int

    def refusals(self) -> tuple[PlateRefusal, ...]:
        """Everything against accepting it; empty means accept."""
        holds = {
            PlateRefusal.TOO_FEW_FRAMES: self.frames >= FRAMES_LIMIT,
            PlateRefusal.TOO_FEW_ANGLES: self.angles >= ANGLES_LIMIT,
            PlateRefusal.SPREAD_MM_HIGH: self.spread_mm <= SPREAD_LIMIT_MM,
            PlateRefusal.SPREAD_DEG_HIGH: self.spread_deg <= SPREAD_LIMIT_DEG,
            PlateRefusal.TOO_MANY_OUTLIERS: self.dropped <= DROPPED_LIMIT * (self.frames + self.dropped),
        }
        return tuple(refusal for refusal, is_met in holds.items() if not is_met)


def calibrate_plate(tracker_from_coiltool: ArrayLike, tracker_from_plate: ArrayLike, plate_from_coil: Transform) -> PlateCalibration:
    """Average of coiltool_from_coil over frames (N, 4, 4), N >= 1, in each of which both bodies were seen. Raises ValueError for none.

    Frames far off the median pose are dropped once. Rotations: Markley 2007, J Guid Control Dyn 30:1193.
    """
    coiltools = np.asarray(tracker_from_coiltool, dtype=np.float64).reshape(-1, 4, 4)
    plates = np.asarray(tracker_from_plate, dtype=np.float64).reshape(-1, 4, 4)
    if len(coiltools) != len(plates) or not len(plates):
        raise ValueError(f"{len(coiltools)} poses of the coil cannot be paired with {len(plates)} of the plate")
    poses = _inverses(coiltools) @ plates @ plate_from_coil.matrix
    middle_mm, middle = np.median(poses[:, :3, 3], axis=0), _mean(poses[:, :3, :3])
    off_mm, off_deg = np.linalg.norm(poses[:, :3, 3] - middle_mm, axis=1), _angles_deg(middle, poses)
    is_kept = _is_near(off_mm, LEAST_SPREAD_MM) & _is_near(off_deg, LEAST_SPREAD_DEG)
    kept = poses[is_kept]
    mean_mm, mean = kept[:, :3, 3].mean(axis=0), _mean(kept[:, :3, :3])
    return PlateCalibration(
        coiltool_from_coil=Transform("coiltool", "coil", rigid_matrix(mean, mean_mm)),
        spread_mm=_rms(np.linalg.norm(kept[:, :3, 3] - mean_mm, axis=1)),
        spread_deg=_rms(_angles_deg(mean, kept)),
        angles=count_angles(plates[is_kept]),
        frames=len(kept),
        dropped=len(poses) - len(kept),
    )


def count_angles(tracker_from_plate: FloatArray) -> int:
    """From how many directions, at least 15 degrees apart, the camera saw the plate (N, 4, 4)."""
    seen: list[FloatArray] = []
    for pose in tracker_from_plate:
        if all(angle_between_deg(other, pose[:3, :3]) >= ANGLE_APART_DEG for other in seen):
            seen.append(pose[:3, :3])
    return len(seen)


def _is_near(off: FloatArray, least: float) -> NDArray[np.bool_]:
    """Distances from the median pose within three MADs of their median."""
    median = np.median(off)
    spread = max(MAD_TO_SIGMA * float(np.median(np.abs(off - median))), least)
    near: NDArray[np.bool_] = off <= median + OUTLIER_MADS * spread
    return near


def _mean(rotations: FloatArray) -> FloatArray:
    quaternions = [quaternion_from_rotation(rotation) for rotation in rotations]
    return rotation_from_quaternion(mean_rotation(quaternions).wxyz)


def _angles_deg(middle: FloatArray, poses: FloatArray) -> FloatArray:
    return np.array([angle_between_deg(middle, pose[:3, :3]) for pose in poses])


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _inverses(poses: FloatArray) -> FloatArray:
    inverses = np.tile(np.eye(4), (len(poses), 1, 1))
    inverses[:, :3, :3] = poses[:, :3, :3].transpose(0, 2, 1)
    inverses[:, :3, 3] = -np.einsum("nij,nj->ni", inverses[:, :3, :3], poses[:, :3, 3])
    return inverses
