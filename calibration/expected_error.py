"""How wrong a registration may be at a point inside the head, from what is known about its inputs, never from how well it fits.

A small residual proves nothing: residual and target error of one registration are uncorrelated (Danilchenko and Fitzpatrick
2011, IEEE TMI 30:679).
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calibration.frames import FloatArray

# RMS in 3-D of touching a skin landmark against its mark in the image. No better figure is known for our pointer: a site measures its own.
PRIOR_LANDMARK_ERROR_MM = 2.5
LEAST_SURFACE_SIGMA_MM = 0.5  # tracker, pointer and mesh together are never better than this on skin
CORRELATION_FACTOR = 2.0  # hair and soft tissue err alike in neighbouring points, so that N points are worth fewer
# Soft tissue, MRI distortion and segmentation move whole regions of the scalp by 1 to 2 mm, which no residual shows.
UNMODELLED_MM = 1.5


class Part(enum.StrEnum):
    """What adds to the expected error at the target."""

    LANDMARKS = "landmarks"  # each touched a little aside
    POINTS = "points"  # noise of the swept points
    REGIONS = "regions"  # whole regions of the scalp off by the same: hair, no pressure
    UNMODELLED = "unmodelled"  # what no residual shows
    SLIP = "slip"  # what the last check of the head reference could not exclude


@dataclass(frozen=True, slots=True)
class ErrorPart:
    """One part of the expected error at the target: RMS, 3-D, mm."""

    name: Part
    mm: float


def total_mm(parts: Iterable[ErrorPart]) -> float:
    """All parts together; they are independent."""
    return float(np.sqrt(sum(part.mm**2 for part in parts)))


def landmark_target_error_mm(landmarks_mm: ArrayLike, targets_mm: ArrayLike, landmark_error_mm: float) -> FloatArray:
    """RMS error (M,) expected at targets (M, 3) of a fit to landmarks (N, 3) that each err by `landmark_error_mm` (RMS, 3-D).

    Fitzpatrick, West, Maurer 1998, IEEE TMI 17:694.
    """
    landmarks = np.asarray(landmarks_mm, dtype=np.float64).reshape(-1, 3)
    centre = landmarks.mean(axis=0)
    _, _, axes = np.linalg.svd(landmarks - centre)
    landmarks2 = _squared_from_axes(landmarks - centre, axes).mean(axis=0)
    targets2 = _squared_from_axes(np.asarray(targets_mm, dtype=np.float64).reshape(-1, 3) - centre, axes)
    expected: FloatArray = landmark_error_mm * np.sqrt((1.0 + (targets2 / landmarks2).sum(axis=1) / 3.0) / len(landmarks))
    return expected


def _squared_from_axes(offsets: FloatArray, axes: FloatArray) -> FloatArray:
    """Squared distances (N, 3) of offsets (N, 3) from the lines through the origin along each row of `axes`."""
    squared: FloatArray = (offsets**2).sum(axis=1, keepdims=True) - (offsets @ axes.T) ** 2
    return squared


def expected_fre_mm(landmark_error_mm: float, count: int) -> float:
    """RMS residual that `count` landmarks with that error leave on average."""
    return landmark_error_mm * float(np.sqrt(1.0 - 2.0 / count))


def assumed_landmark_error_mm(fre_mm: float, count: int) -> float:
    """The prior, or what the residual of `count` >= 3 landmarks implies if that is more: a small residual never lowers it."""
    return max(PRIOR_LANDMARK_ERROR_MM, fre_mm * float(np.sqrt(count / (count - 2))))


@dataclass(frozen=True, slots=True, eq=False)
class PoseCovariance:
    """Covariance (6, 6) of a small turn (rad) about `centre_mm` followed by a shift (mm), in the frame of the centre."""

    centre_mm: FloatArray
    matrix: FloatArray

    def error_at_mm(self, point_mm: ArrayLike) -> float:
        """RMS displacement (mm) of a point (3,) under this covariance."""
        G = shift_jacobian(np.asarray(point_mm, dtype=np.float64)[None], self.centre_mm)[0]
        return float(np.sqrt(np.trace(G @ self.matrix @ G.T)))


def shift_jacobian(points_mm: FloatArray, centre_mm: FloatArray) -> FloatArray:
    """How points (N, 3) move with a small turn about `centre_mm` and a shift: [-[p - c]x, I], (N, 3, 6)."""
    x, y, z = (points_mm - centre_mm).T
    jacobian = np.zeros((len(points_mm), 3, 6))
    jacobian[:, 0, 1], jacobian[:, 0, 2] = z, -y
    jacobian[:, 1, 0], jacobian[:, 1, 2] = -z, x
    jacobian[:, 2, 0], jacobian[:, 2, 1] = y, -x
    jacobian[:, :, 3:] = np.eye(3)
    return jacobian
