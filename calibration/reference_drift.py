"""Has the head reference slipped? Landmarks touched again, in head coordinates, against where they were at registration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calibration.frames import Transform, rotation_vector
from calibration.rigid_fit import DegeneratePoints, fit_rigid

DRIFT_WARN_MM = 2.0
DRIFT_BLOCK_MM = 3.0  # until registered again
TREND_TOUCHES, TREND_S = 4, 600.0  # fewer, or all within ten minutes, are the hand and no trend
TREND_SIGNIFICANCE = 3.0  # times the slope's own error: the hand alone passes it in one head of twenty


@dataclass(frozen=True, slots=True, eq=False)
class Slip:
    """The movement of the reference that the touches show: registered head coordinates to the present ones."""

    now_from_registration: Transform
    rotation_deg: float
    shift_mm: float  # of the landmarks' centroid

    def moves_mm(self, point_in_head_mm: ArrayLike) -> float:
        """How far a point (3,) of the head, in head coordinates of the registration, lies from where it was."""
        point = np.asarray(point_in_head_mm, dtype=np.float64)
        return float(np.linalg.norm(self.now_from_registration.apply(point) - point))


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """Distances of each landmark from its place at registration, in order, mm; `slip` is None with fewer than three landmarks."""

    distances_mm: tuple[float, ...]
    slip: Slip | None

    @property
    def max_mm(self) -> float:
        """The largest distance."""
        return max(self.distances_mm)

    @property
    def rms_mm(self) -> float:
        """RMS of the distances: slip and the touching hand together, for what the slip alone cannot be told from."""
        return float(np.sqrt(np.mean(np.square(self.distances_mm))))

    def exceeds(self, limit_mm: float = DRIFT_WARN_MM) -> bool:
        """Whether any landmark lies further off than this; NaN does."""
        return not all(distance_mm <= limit_mm for distance_mm in self.distances_mm)


def reference_drift(registered_in_head_mm: ArrayLike, touched_in_head_mm: ArrayLike) -> Drift:
    """Compare landmarks (N, 3), N >= 1, paired in order, mm."""
    registered = np.asarray(registered_in_head_mm, dtype=np.float64).reshape(-1, 3)
    touched = np.asarray(touched_in_head_mm, dtype=np.float64).reshape(-1, 3)
    if len(registered) != len(touched) or len(registered) == 0:
        raise ValueError(f"{len(touched)} touches cannot be compared with {len(registered)} landmarks")
    distances_mm = np.linalg.norm(touched - registered, axis=1)
    try:
        moved = fit_rigid(registered, touched).transform("head", "head")
    except DegeneratePoints:
        return Drift(tuple(distances_mm.tolist()), None)
    centroid = registered.mean(axis=0)
    slip = Slip(
        now_from_registration=moved,
        rotation_deg=float(np.degrees(np.linalg.norm(rotation_vector(moved.rotation)))),
        shift_mm=float(np.linalg.norm(moved.apply(centroid) - centroid)),
    )
    return Drift(tuple(distances_mm.tolist()), slip)


def drift_trend_mm_per_h(times_s: Sequence[float], displacements_mm: Sequence[tuple[float, float, float]]) -> float | None:
    """How fast the landmarks wander in head coordinates, mm per hour: the slope of all displacements (N, 3) since registration.

    None where touches are too few, too close in time, or wander no faster than the hand scatters.
    """
    at_s = np.asarray(times_s, dtype=np.float64)
    if len(at_s) < TREND_TOUCHES or not np.ptp(at_s) >= TREND_S:
        return None
    offsets = np.asarray(displacements_mm, dtype=np.float64)
    from_mean_s = at_s - at_s.mean()
    slope = from_mean_s @ (offsets - offsets.mean(axis=0)) / (from_mean_s @ from_mean_s)
    scatter = offsets - offsets.mean(axis=0) - from_mean_s[:, None] * slope
    error = float(np.sqrt((scatter**2).sum() / (len(at_s) - 2) / (from_mean_s @ from_mean_s)))
    speed = float(np.linalg.norm(slope))
    return 3600.0 * speed if speed > TREND_SIGNIFICANCE * error else None
