"""How well a tracker and its pointer find points, in the terms of ASTM F2554: repeatability of one point, accuracy of distances.

ASTM F2554-22, Standard Practice for Measurement of Positional Accuracy of Computer Assisted Surgical Systems. Figures only: what is
good enough is the site's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calibration.frames import FloatArray, angle_between_deg, rotation_from_quaternion
from calibration.poses import mean_rotation

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Repeatability:
    """Distances of repeated measurements of one point from their mean point, mm. `sd_mm` is 0 for a single one."""

    count: int
    mean_mm: float
    sd_mm: float
    rms_mm: float
    p95_mm: float
    max_mm: float


@dataclass(frozen=True, slots=True)
class Distances:
    """Measured minus known distances between points, mm: `bias_mm` is their mean; 95 % and largest are of their sizes."""

    count: int
    bias_mm: float
    sd_mm: float
    rms_mm: float
    p95_mm: float
    max_mm: float


@dataclass(frozen=True, slots=True)
class Jitter:
    """A tool at rest: its origin about the mean, its turn about the mean turn, and how far it moved from first to last tenth."""

    place: Repeatability
    rms_deg: float
    drift_mm: float


def repeatability(points_mm: ArrayLike) -> Repeatability:
    """Of measurements (N, 3) of one point, N >= 1, about their mean. Raises ValueError for none."""
    return pooled({"": points_mm})


def pooled(groups_mm: Mapping[str, ArrayLike]) -> Repeatability:
    """Of several points, each measured (N, 3) times and taken about its own mean. Raises ValueError where there is nothing."""
    groups = [np.asarray(points, dtype=np.float64).reshape(-1, 3) for points in groups_mm.values()]
    centred = [points - points.mean(axis=0) for points in groups if len(points)]
    if not centred:
        raise ValueError("no measurement of any point")
    off_mm = np.linalg.norm(np.concatenate(centred), axis=1)
    return Repeatability(
        count=len(off_mm),
        mean_mm=float(off_mm.mean()),
        sd_mm=_sd(off_mm),
        rms_mm=float(np.sqrt(np.mean(off_mm**2))),
        p95_mm=float(np.percentile(off_mm, 95.0)),
        max_mm=float(off_mm.max()),
    )


def jitter(positions_mm: ArrayLike, quaternions_wxyz: ArrayLike) -> Jitter:
    """Of poses (N, 3) and (N, 4) of a tool at rest, in order of time, N >= 1. Raises ValueError for none."""
    positions = np.asarray(positions_mm, dtype=np.float64).reshape(-1, 3)
    place = repeatability(positions)
    middle = rotation_from_quaternion(mean_rotation(quaternions_wxyz).wxyz)
    turns = [angle_between_deg(middle, rotation_from_quaternion(wxyz)) for wxyz in np.asarray(quaternions_wxyz, dtype=np.float64).tolist()]
    tenth = max(1, len(positions) // 10)
    drift_mm = float(np.linalg.norm(positions[-tenth:].mean(axis=0) - positions[:tenth].mean(axis=0)))
    return Jitter(place=place, rms_deg=float(np.sqrt(np.mean(np.square(turns)))), drift_mm=drift_mm)


def distance_accuracy(touched_mm: Mapping[str, ArrayLike], known_mm: Mapping[Pair, float]) -> Distances:
    """Of the distances that are known, between points (3,) touched. Raises ValueError where none of them was touched at both ends."""
    errors = np.array(
        [
            math.dist(np.asarray(touched_mm[a], dtype=np.float64), np.asarray(touched_mm[b], dtype=np.float64)) - length
            for (a, b), length in known_mm.items()
            if a in touched_mm and b in touched_mm
        ]
    )
    if not len(errors):
        raise ValueError("no distance was measured")
    sizes = np.abs(errors)
    return Distances(
        count=len(errors),
        bias_mm=float(errors.mean()),
        sd_mm=_sd(errors),
        rms_mm=float(np.sqrt(np.mean(errors**2))),
        p95_mm=float(np.percentile(sizes, 95.0)),
        max_mm=float(sizes.max()),
    )


def _sd(values: FloatArray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
