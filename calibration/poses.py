"""Averages of poses, and poses between two poses. For screens, calibrations and records: the gate uses the newest raw pose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calibration.frames import FloatArray, Transform, Wxyz, Xyz, canonical_quaternion, rigid_matrix, rotation_from_vector, rotation_vector


@dataclass(frozen=True, slots=True)
class MeanRotation:
    """`agreement` is the largest eigenvalue: the sum of the weights when all rotations are the same."""

    wxyz: Wxyz
    agreement: float


@dataclass(frozen=True, slots=True)
class MeanPosition:
    """Mean and median of each coordinate, mm."""

    mean_mm: Xyz
    median_mm: Xyz


def mean_rotation(quaternions_wxyz: ArrayLike, weights: ArrayLike | None = None) -> MeanRotation:
    """Mean of quaternions (N, 4), N >= 1, with weights (N,): the same for q and -q, which the mean of the parts is not.

    Markley, Cheng, Crassidis, Oshman 2007, J Guid Control Dyn 30:1193.
    """
    unit = np.array([canonical_quaternion(wxyz) for wxyz in np.asarray(quaternions_wxyz, dtype=np.float64).tolist()])
    weight = np.ones(len(unit)) if weights is None else np.asarray(weights, dtype=np.float64)
    values, vectors = np.linalg.eigh((unit * weight[:, None]).T @ unit)
    return MeanRotation(canonical_quaternion(vectors[:, -1].tolist()), float(values[-1]))


def mean_position(positions_mm: ArrayLike) -> MeanPosition:
    """Mean and median of positions (N, 3), N >= 1; where they differ, some frames are off."""
    positions = np.asarray(positions_mm, dtype=np.float64).reshape(-1, 3)
    return MeanPosition(_xyz(positions.mean(axis=0)), _xyz(np.median(positions, axis=0)))


def between(earlier: Transform, later: Transform, share: float) -> Transform:
    """The pose at `share` of the way: positions on a line, rotations on the shortest arc; above 1 goes on in the same way.

    Raises FrameMismatch for poses between different frames.
    """
    earlier_from_later = earlier.inverse() @ later
    turn = rotation_from_vector(share * rotation_vector(earlier_from_later.rotation))
    position_mm = earlier.translation_mm + share * (later.translation_mm - earlier.translation_mm)
    return Transform(earlier.to, later.frm, rigid_matrix(earlier.rotation @ turn, position_mm))


def _xyz(values: FloatArray) -> Xyz:
    x, y, z = values.tolist()
    return x, y, z
