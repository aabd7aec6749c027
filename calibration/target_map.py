"""From map and search mask to one target: checks, the mask on the map's grid, the chosen rule, and how firm the answer is.

Reads a map made elsewhere; computes no connectivity, knows no scalp and no coil.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

import numpy as np

from calibration.map_rules import Array, Cluster, Clusters, Indices, Mask, Polarity, cluster6, contarg26
from calibration.nifti import NATIVE, AffineSource, CheckedImage, ImageError, Volume, check_image, corner_indices, load_volume

Rule = Literal["cluster6", "contarg26"]

SAME_GRID_MM: Final = 1e-3
MIN_MASK_INSIDE: Final = 0.95
SENSITIVITY_FRACTIONS: Final = (0.05, 0.20)
SENSITIVE_SHIFT_MM: Final = 8.0
AMBIGUOUS_RATIO: Final = 1.5


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Where the target would be with another share of voxels kept; None where nothing would be found."""

    top_fraction: float
    target_mm: Array | None
    shift_mm: float | None


@dataclass(frozen=True, slots=True)
class Selection:
    """The target in the map's own world (RAS mm) and what a person needs to doubt it."""

    rule: Rule
    polarity: Polarity
    threshold: float
    clusters: tuple[Cluster, ...]
    peak: Array  # strongest voxel of the whole mask
    peak_z: float
    dominance: float | None  # sum of the best cluster over that of the second; None where it is alone
    sensitivity: tuple[Sensitivity, ...]
    map_image: CheckedImage
    mask_image: CheckedImage
    map_volume: Volume
    mask: Mask  # on the map's grid
    warnings: tuple[str, ...]

    @property
    def target_mm(self) -> Array:
        """The best cluster's voxel nearest to its weighted centre, (3,), mm."""
        return self.clusters[0].snapped


def select(
    map_path: Path,
    mask_path: Path,
    polarity: Polarity,
    *,
    top_fraction: float = 0.1,
    min_cluster_mm3: float = 200.0,
    connectivity: int = 6,
    expected_space: str = NATIVE,
    native_also: bool = False,
    pick: AffineSource | None = None,
) -> Selection:
    """The rule `cluster6`: the strongest share of the mask, its connected clusters, the best one's weighted centre snapped to a voxel.

    Single-voxel peaks of one person's map are noisy; a cluster's centre repeats better (Fox 2013, Cash 2021).
    Raises ImageError: those of `check_image`, mask_outside_map, no_finite_values_in_mask, no_cluster.
    """
    searched = _search(map_path, mask_path, expected_space, native_also, pick)
    rule = partial(cluster6, *searched.arguments, polarity, min_cluster_mm3=min_cluster_mm3, connectivity=connectivity)
    clusters = rule(top_fraction=top_fraction)
    if not clusters.found:
        raise _no_cluster(map_path, f"no cluster of {min_cluster_mm3:g} mm3 or more has the asked sign")
    sensitivity = tuple(_sensitivity(clusters, fraction, rule) for fraction in SENSITIVITY_FRACTIONS)
    return _selection("cluster6", polarity, clusters, sensitivity, searched)


def select_contarg26(
    map_path: Path,
    mask_path: Path,
    polarity: Polarity,
    *,
    percentile: float = 10.0,
    expected_space: str = NATIVE,
    native_also: bool = False,
    pick: AffineSource | None = None,
) -> Selection:
    """The published rule `contarg26` on files. Errors as of `select`."""
    searched = _search(map_path, mask_path, expected_space, native_also, pick)
    clusters = contarg26(*searched.arguments, polarity, percentile=percentile)
    if not clusters.found:
        raise _no_cluster(map_path, "fewer than 5 values of the asked sign in the mask, or no cluster of 3 voxels")
    return _selection("contarg26", polarity, clusters, (), searched)


def mask_on_map(mask: Volume, on: Volume, where: str) -> Mask:
    """The mask's voxels (> 0) on the map's grid, by nearest neighbour where corners are more than 1e-3 mm apart.

    Raises ImageError `mask_outside_map` when less than 95 % of the mask lies in the map's field.
    """
    wanted = mask.values > 0
    map_from_mask = np.linalg.inv(on.mri_from_voxel) @ mask.mri_from_voxel
    voxels = np.argwhere(wanted)
    share = float(_within(_nearest(map_from_mask, voxels), on.values.shape).mean()) if len(voxels) else 1.0
    if share < MIN_MASK_INSIDE:
        what = f"only {share:.0%} of the search mask lies in the map's field"
        raise ImageError("mask_outside_map", what, where, "Give the mask made for this map.", {"share_inside": share})
    if mask.values.shape == on.values.shape:
        apart = (mask.mri_from_voxel - on.mri_from_voxel) @ corner_indices(mask.shape)
        if np.linalg.norm(apart[:3], axis=0).max() <= SAME_GRID_MM:
            return wanted
    mask_from_map = np.linalg.inv(mask.mri_from_voxel) @ on.mri_from_voxel
    return _resampled(wanted, mask_from_map, on.shape)


@dataclass(frozen=True, slots=True)
class _Searched:
    map_image: CheckedImage
    mask_image: CheckedImage
    map_volume: Volume
    mask: Mask
    arguments: tuple[Array, Mask, Array]  # values, inside, mri_from_voxel


def _search(map_path: Path, mask_path: Path, space: str, native_also: bool, pick: AffineSource | None) -> _Searched:
    map_image = check_image(map_path, space, native_also=native_also, pick=pick)
    mask_image = check_image(mask_path, space, native_also=native_also, pick=pick)
    map_volume = load_volume(map_image)
    mask = mask_on_map(load_volume(mask_image), map_volume, mask_path.name)
    inside = mask & np.isfinite(map_volume.values)
    if not inside.any():
        what = f"none of the {int(mask.sum())} voxels of the search mask holds a finite value"
        raise ImageError("no_finite_values_in_mask", what, map_path.name, "Give the mask made for this map, or make the map again.")
    values = np.where(inside, map_volume.values, 0.0).astype(np.float64)
    return _Searched(map_image, mask_image, map_volume, mask, (values, inside, map_volume.mri_from_voxel))


def _selection(
    rule: Rule, polarity: Polarity, clusters: Clusters, sensitivity: tuple[Sensitivity, ...], searched: _Searched
) -> Selection:
    found = clusters.found
    dominance = found[0].sum_score / found[1].sum_score if len(found) > 1 else None
    warnings = (*searched.map_image.warnings, *searched.mask_image.warnings)
    if dominance is not None and dominance < AMBIGUOUS_RATIO:
        warnings += ("ambiguous_target",)
    if any(other.shift_mm is None or other.shift_mm > SENSITIVE_SHIFT_MM for other in sensitivity):
        warnings += ("threshold_sensitive",)
    return Selection(
        rule=rule,
        polarity=polarity,
        threshold=clusters.threshold,
        clusters=found,
        peak=clusters.peak,
        peak_z=clusters.peak_z,
        dominance=dominance,
        sensitivity=sensitivity,
        map_image=searched.map_image,
        mask_image=searched.mask_image,
        map_volume=searched.map_volume,
        mask=searched.mask,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _sensitivity(clusters: Clusters, fraction: float, rule: Callable[..., Clusters]) -> Sensitivity:
    other = rule(top_fraction=fraction)
    if not other.found:
        return Sensitivity(fraction, None, None)
    target_mm = other.found[0].snapped
    return Sensitivity(fraction, target_mm, float(np.linalg.norm(target_mm - clusters.found[0].snapped)))


def _no_cluster(map_path: Path, what: str) -> ImageError:
    return ImageError("no_cluster", what, map_path.name, "Check the polarity and the mask; do not lower the limits to get a target.")


def _resampled(wanted: Mask, mask_from_map: Array, shape: tuple[int, int, int]) -> Mask:
    result = np.zeros(shape, dtype=bool)
    for i in range(shape[0]):  # slab by slab: the indices of a whole image would not fit the memory budget
        slab = np.indices((1, *shape[1:])).reshape(3, -1).T + np.array((i, 0, 0))
        index = _nearest(mask_from_map, slab)
        valid = _within(index, wanted.shape)
        result[i].reshape(-1)[valid] = wanted[tuple(index[valid].T)]
    return result


def _nearest(affine: Array, voxels: Indices) -> Indices:
    return np.floor(voxels @ affine[:3, :3].T + affine[:3, 3] + 0.5).astype(np.int64)


def _within(index: Indices, shape: tuple[int, ...]) -> Mask:
    within: Mask = np.all((index >= 0) & (index < np.array(shape)), axis=1)
    return within
