"""Has the head reference slipped? Landmarks touched again, in head coordinates, against where they were at registration."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calibration.frames import Transform, rotation_vector
from calibration.rigid_fit import DegeneratePoints, fit_rigid

DRIFT_WARN_MM = 2.0
DRIFT_BLOCK_MM = 3.0  # until registered again


@dataclass(frozen=True, slots=True, eq=False)
class Slip:
    """The movement of the reference that the touches show: registered head coordinates to the present ones."""

    now_from_registration: Transform
    rotation_deg: float
    shift_mm: float  # of the landmarks' centroid


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """Distances of each landmark from its place at registration, in order, mm; `slip` is None with fewer than three landmarks."""

    distances_mm: tuple[float, ...]
    slip: Slip | None

    @property
    def max_mm(self) -> float:
        """The largest distance."""
        return max(self.distances_mm)

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
