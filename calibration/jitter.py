"""How much poses tremble while nothing moves: head and coil before the camera, and the coil as seen from the head."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calibration.frames import FloatArray

STILL_MM_PER_S = 2.0  # what moves faster is no jitter
LEAST_FRAMES = 10


@dataclass(frozen=True, slots=True)
class Jitter:
    """RMS in 3-D about the mean, mm; None while it moves or too few frames show it."""

    head_mm: float | None
    coil_mm: float | None
    coil_in_head_mm: float | None


def jitter(times_s: ArrayLike, head_mm: ArrayLike, head_wxyz: ArrayLike, coil_mm: ArrayLike) -> Jitter:
    """Of frames that show both: times (N,), positions (N, 3) before the camera, the head's quaternions (N, 4)."""
    times = np.asarray(times_s, dtype=np.float64)
    head, coil = (np.asarray(places, dtype=np.float64).reshape(-1, 3) for places in (head_mm, coil_mm))
    if len(times) < LEAST_FRAMES:
        return Jitter(None, None, None)
    wxyz = np.asarray(head_wxyz, dtype=np.float64).reshape(-1, 4)
    return Jitter(_rms(times, head), _rms(times, coil), _rms(times, _turned_back(wxyz, coil - head)))


def _rms(times: FloatArray, places: FloatArray) -> float | None:
    offsets, since = places - places.mean(axis=0), times - times.mean()
    speed = (since @ offsets) / max(float(since @ since), 1e-9)  # a line through all of them: jitter itself is no motion
    if not float(np.linalg.norm(speed)) < STILL_MM_PER_S:
        return None
    return float(np.sqrt((offsets**2).sum(axis=1).mean()))


def _turned_back(wxyz: FloatArray, vectors: FloatArray) -> FloatArray:
    """Vectors (N, 3) by the inverse of each rotation (N, 4)."""
    w, u = wxyz[:, :1], -wxyz[:, 1:]
    across = 2.0 * np.cross(u, vectors)
    turned: FloatArray = vectors + w * across + np.cross(u, across)
    return turned
