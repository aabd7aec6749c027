"""How wrong a fit to swept points may be: noise of points, of landmarks, and whole regions of the scalp that err alike.

Hair and a light hand lift every point of a region by the same. The fit swallows most of that, and what it leaves shows not in the size
of the residuals but in their sameness among neighbours: from that the hidden rest is inferred.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from calibration.expected_error import CORRELATION_FACTOR, LEAST_SURFACE_SIGMA_MM, Part, PoseCovariance
from calibration.frames import FloatArray

NEIGHBOURS_MM = 35.0  # points closer than this lie in one region
REGION_MM = 100.0  # over which an error of a region dies away: exp(-d / 100 mm)
# Hair lifts and never sinks: its mean is as large as its spread, which doubles what the spread alone would do.
ONE_SIDED_FACTOR = 2.0
MOST_POINTS = 300  # used for the estimate; more change nothing and cost the cube


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A fit near its solution: pose = -(normal)^-1 (pull of residuals). N points, A anchor rows.

    `rows` (N, 6): how each residual moves with the pose. `weights` (N,): 0 is trimmed. `anchor_rows` (A, 6), `anchor_weight`,
    `anchor_sigma_mm`: of each row.
    """

    centre_mm: FloatArray
    points_mm: FloatArray
    residuals_mm: FloatArray
    rows: FloatArray
    weights: FloatArray
    anchor_rows: FloatArray
    anchor_weight: float
    anchor_sigma_mm: float

    @property
    def normal(self) -> FloatArray:
        """The normal matrix (6, 6) of points and anchors."""
        matrix: FloatArray = (self.rows * self.weights[:, None]).T @ self.rows + self.anchor_weight * self.anchor_rows.T @ self.anchor_rows
        return matrix


@dataclass(frozen=True, slots=True)
class RegionalError:
    """`alike_mm`: what neighbouring residuals have in common, RMS; `region_mm`: the standard deviation of regions that this implies."""

    alike_mm: float
    region_mm: float


def regional_error(fit: Linear) -> RegionalError:
    """Two moments of the residuals, all of them and those of neighbours, against what noise and regions would leave in them."""
    used = _thinned(np.flatnonzero(fit.weights > 0.0))
    root = np.sqrt(fit.weights[used])[:, None]
    residuals = root[:, 0] * fit.residuals_mm[used]
    gain = np.linalg.solve(fit.normal, (fit.rows[used] * fit.weights[used][:, None]).T)
    left = root * (np.eye(len(used)) - fit.rows[used] @ gain)  # what the fit leaves of an error of the points
    apart_mm = cdist(fit.points_mm[used], fit.points_mm[used])
    near = (apart_mm < NEIGHBOURS_MM) & ~np.eye(len(used), dtype=bool)
    if not near.any():
        return RegionalError(0.0, 0.0)
    noise, regions = left @ left.T, left @ np.exp(-apart_mm / REGION_MM) @ left.T
    landmarks = root * (fit.rows[used] @ np.linalg.solve(fit.normal, fit.anchor_weight * fit.anchor_rows.T))
    known = landmarks @ landmarks.T * fit.anchor_sigma_mm**2
    alike2 = float(residuals @ near @ residuals)
    moments = np.array([residuals @ residuals - np.trace(known), alike2 - known[near].sum()])
    shares = np.array([[np.trace(noise), np.trace(regions)], [noise[near].sum(), regions[near].sum()]])
    _, region2 = np.linalg.solve(shares, moments)
    return RegionalError(float(np.sqrt(max(alike2, 0.0) / near.sum())), float(np.sqrt(max(region2, 0.0))))


def _thinned(indices: np.ndarray[tuple[int], np.dtype[np.intp]]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    step = -(-len(indices) // MOST_POINTS)
    return indices[:: max(step, 1)]


def covariances(fit: Linear, regional: RegionalError, sigma_mm: float) -> dict[Part, PoseCovariance]:
    """Of the pose, by what causes it: each input's own error carried through the weights that the fit gave it."""
    inverse = np.linalg.inv(fit.normal)
    gain = inverse @ (fit.rows * fit.weights[:, None]).T
    anchor_gain = inverse @ (fit.anchor_weight * fit.anchor_rows.T)
    noise_mm = CORRELATION_FACTOR * max(sigma_mm, LEAST_SURFACE_SIGMA_MM)
    alike = np.exp(-cdist(fit.points_mm, fit.points_mm) / REGION_MM)
    matrices = {
        Part.LANDMARKS: fit.anchor_sigma_mm**2 * anchor_gain @ anchor_gain.T,
        Part.POINTS: noise_mm**2 * gain @ gain.T,
        Part.REGIONS: (ONE_SIDED_FACTOR * regional.region_mm) ** 2 * gain @ alike @ gain.T,
    }
    return {name: PoseCovariance(fit.centre_mm, matrix) for name, matrix in matrices.items()}
