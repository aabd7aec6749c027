"""The two rules that turn a map's values into clusters and a point: the product's `cluster6`, the published `contarg26`.

Pure arithmetic on arrays; files, masks and spaces are `target_map`'s.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]
Polarity = Literal["negative", "positive"]

SIGN: Final[dict[Polarity, float]] = {"negative": -1.0, "positive": 1.0}
CONTARG_MIN_VALUES: Final = 5
CONTARG_MIN_VOXELS: Final = 3
TIE_DECIMALS: Final = 9  # sums and distances (mm) that differ in binary rounding alone are equal
NEIGHBOUR_RANK: Final = {6: 1, 18: 2, 26: 3}  # neighbours of a voxel -> scipy's rank


@dataclass(frozen=True, slots=True)
class Cluster:
    """One connected set of kept voxels; points (3,) in RAS mm: `cog` weighted by score, `centre` not, the others voxel centres."""

    n_vox: int
    sum_score: float
    cog: Array
    centre: Array
    snapped: Array
    snapped_z: float
    peak: Array
    peak_z: float


@dataclass(frozen=True, slots=True)
class Clusters:
    """What a rule kept, best first; `peak` is the strongest of all voxels searched, kept or not.

    `found` holds the clusters large enough to give a target, `sizes` the voxels of every connected set.
    """

    threshold: float
    n_kept: int
    peak: Array
    peak_z: float
    found: tuple[Cluster, ...]
    sizes: tuple[int, ...]

    @property
    def best(self) -> Cluster | None:
        return self.found[0] if self.found else None


def cluster6(
    values: Array,
    inside: Mask,
    mri_from_voxel: Array,
    polarity: Polarity,
    *,
    top_fraction: float = 0.1,
    min_cluster_mm3: float = 200.0,
    connectivity: int = 6,
) -> Clusters:
    """Clusters of the strongest `top_fraction` of the voxels `inside` (at least one, all finite), largest sum first; may be none.

    The threshold is a score: the value, or its negative where negative values are wanted. Fox 2013; Cash 2021.
    """
    score = SIGN[polarity] * values
    threshold = float(np.quantile(score[inside], 1.0 - top_fraction))
    keep = inside & (score >= threshold) & (score > 0)
    voxel_mm3 = abs(float(np.linalg.det(mri_from_voxel[:3, :3])))
    fewest = min_cluster_mm3 * (1 - 1e-9)  # a cluster of just that size stays, whatever the determinant's last bit
    connected = _connected(keep, connectivity)
    groups = [group for group in connected if len(group) * voxel_mm3 >= fewest]
    found = sorted((_cluster(group, score, values, mri_from_voxel) for group in groups), key=lambda c: (-c.sum_score, -c.n_vox))
    peak, peak_z = _peak(score, values, inside, mri_from_voxel)
    return Clusters(threshold, int(keep.sum()), peak, peak_z, tuple(found), _sizes(connected))


def contarg26(values: Array, inside: Mask, mri_from_voxel: Array, polarity: Polarity, *, percentile: float = 10.0) -> Clusters:
    """The strongest `percentile` of the values with the wanted sign, 26-connected, most voxels first; may be none.

    Voxels `inside`: at least one, all finite. Ties: larger sum, then smallest index in C order. Nothing is found below five values
    (the threshold is then infinite) or where no cluster has three voxels. The threshold is a value of the map. Method of the public
    tool contarg; its branch for positive maps keeps the weakest values, this one the strongest. Weighting and ties are decided here.
    """
    score = SIGN[polarity] * values
    wanted = inside & (score > 0)
    enough = int(wanted.sum()) >= CONTARG_MIN_VALUES
    threshold = -float(np.percentile(-score[wanted], percentile)) if enough else float("inf")
    keep = wanted & (score >= threshold)
    connected = _connected(keep, 26)
    found = [_cluster(group, score, values, mri_from_voxel) for group in connected]
    found.sort(key=lambda c: (-c.n_vox, -round(c.sum_score, TIE_DECIMALS)))
    if not found or found[0].n_vox < CONTARG_MIN_VOXELS:
        found = []
    peak, peak_z = _peak(score, values, inside, mri_from_voxel)
    return Clusters(SIGN[polarity] * threshold, int(keep.sum()), peak, peak_z, tuple(found), _sizes(connected))


def _sizes(groups: list[Indices]) -> tuple[int, ...]:
    return tuple(sorted((len(group) for group in groups), reverse=True))


def _peak(score: Array, values: Array, inside: Mask, mri_from_voxel: Array) -> tuple[Array, float]:
    strongest = np.unravel_index(int(np.where(inside, score, -np.inf).argmax()), score.shape)
    return mri_from_voxel[:3, :3] @ np.array(strongest) + mri_from_voxel[:3, 3], float(values[strongest])


def _connected(keep: Mask, connectivity: int) -> list[Indices]:
    """Voxel indices (n, 3) of each cluster in C order; clusters in the order of their first voxel."""
    labels, count = ndimage.label(keep, ndimage.generate_binary_structure(3, NEIGHBOUR_RANK[connectivity]))
    voxels = np.argwhere(labels)
    label_of = labels[tuple(voxels.T)]
    order = np.argsort(label_of, kind="stable")
    groups = np.split(voxels[order], np.searchsorted(label_of[order], np.arange(2, count + 1))) if count else []
    return sorted(groups, key=lambda group: (*group[0],))


def _cluster(voxels: Indices, score: Array, values: Array, mri_from_voxel: Array) -> Cluster:
    index = tuple(voxels.T)
    weights = score[index]
    points = voxels @ mri_from_voxel[:3, :3].T + mri_from_voxel[:3, 3]
    cog = weights @ points / weights.sum()
    snapped = int(np.linalg.norm(points - cog, axis=1).round(TIE_DECIMALS).argmin())  # of voxels equally near the first in C order
    peak = int(weights.argmax())
    return Cluster(
        n_vox=len(voxels),
        sum_score=float(weights.sum()),
        cog=cog,
        centre=points.mean(axis=0),
        snapped=points[snapped],
        snapped_z=float(values[index][snapped]),
        peak=points[peak],
        peak_z=float(values[index][peak]),
    )
