"""Do a map, a T1 and a scalp belong to one head? Each check looks for one way in which they may not.

Heads are nearly symmetric: nothing here can tell a mirrored image. Values and headers of single images are `nifti`'s.
"""

from typing import Final

import numpy as np

from calibration.fiducials import Fiducials
from calibration.frames import FloatArray
from calibration.head_mask import air_threshold
from calibration.map_rules import Mask
from calibration.nifti import ImageError, Volume
from calibration.scalp import ScalpError
from calibration.surface import Surface

MIN_OUTLINE: Final = 0.05  # share of zeros or NaN below which a map has no outline
MIN_OVERLAP: Final = 0.90
MIN_MASK_IN_HEAD: Final = 0.95
MAX_CENTRES_MM: Final = 15.0
MOST_POINTS: Final = 20_000  # a share of 5 % is then known to a third of a percent
HEAD_STEP_MM: Final = 12.0
SKIN_STEP_MM: Final = 4.0
MIN_SKIN: Final = 0.85
MIN_IN_FIELD: Final = 0.8  # of the scalp; a scalp from another space lies half outside


def check_map_on_t1(map_volume: Volume, search: Mask, scalp: Surface, fiducials: Fiducials, where: str) -> tuple[str, ...]:
    """Warnings about what cannot be shown. Raises ImageError `map_not_on_this_t1`.

    A map with an outline: 90 % of its voxels inside the head, centre within 15 mm of the cranium's (the head above the
    plane of the landmarks). One without: 95 % of the search mask (on the map's grid) inside the head, and a warning.
    """
    brain = np.isfinite(map_volume.values) & (map_volume.values != 0)
    if 1.0 - brain.mean() < MIN_OUTLINE:
        _require_inside(scalp, _points(map_volume, search), MIN_MASK_IN_HEAD, "the search mask", where)
        return ("map_has_no_outline",)
    points = _points(map_volume, brain)
    _require_inside(scalp, points, MIN_OVERLAP, "the map's brain", where)
    apart_mm = float(np.linalg.norm(points.mean(axis=0) - cranium_centre_mm(scalp, fiducials)))
    if not apart_mm <= MAX_CENTRES_MM:
        what = f"the map's brain is centred {apart_mm:.0f} mm from the middle of the T1's cranium"
        raise ImageError("map_not_on_this_t1", what, where, "Give the map that was made on this T1.", {"centres_apart_mm": apart_mm})
    return ()


def check_scalp_on_t1(t1: Volume, scalp: Surface, where: str) -> None:
    """A scalp from a file must run between the T1's head and its air. Raises ScalpError `scalp_not_on_this_t1`.

    Brightness 4 mm under the skin must be the head's and 4 mm over it the air's nearly everywhere within the field.
    """
    vertices, normals = scalp.vertices_mm[:: _stride(scalp.vertices_mm)], scalp.normals[:: _stride(scalp.vertices_mm)]
    under, over = (_sampled(t1, vertices + step_mm * normals) for step_mm in (-SKIN_STEP_MM, SKIN_STEP_MM))
    air = air_threshold(t1.values)
    known = np.isfinite(under) & np.isfinite(over)
    share = float(((under > air) & (over <= air)).sum() / known.sum()) if known.mean() >= MIN_IN_FIELD else 0.0
    if not share >= MIN_SKIN:
        what = f"only {share:.0%} of it runs along the edge of the T1's head"
        remedy = "Give the scalp of this T1, in RAS millimetres; LPS, other units and other heads look like this."
        raise ScalpError("scalp_not_on_this_t1", what, where, remedy, {"share_on_edge": share})


def cranium_centre_mm(scalp: Surface, fiducials: Fiducials) -> FloatArray:
    """Centre (3,) of the head above the plane of nasion and ears: near the brain's, wherever the image cuts the neck."""
    low, high = scalp.vertices_mm.min(axis=0), scalp.vertices_mm.max(axis=0)
    steps = [np.arange(a, b, HEAD_STEP_MM) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    up = np.cross(fiducials.rpa_mm - fiducials.lpa_mm, fiducials.nas_mm - fiducials.lpa_mm)
    cranium = points[(points - fiducials.lpa_mm) @ up > 0]
    centre: FloatArray = cranium[_inside(scalp, cranium)].mean(axis=0)
    return centre


def _require_inside(scalp: Surface, points: FloatArray, least: float, what: str, where: str) -> None:
    share = float(_inside(scalp, points).mean())
    if not share >= least:
        said = f"only {share:.0%} of {what} lies inside the T1's head"
        raise ImageError("map_not_on_this_t1", said, where, "Give the map that was made on this T1.", {"share_inside": share})


def _points(volume: Volume, mask: Mask) -> FloatArray:
    voxels = np.argwhere(mask)
    voxels = voxels[:: _stride(voxels)]
    points: FloatArray = voxels @ volume.mri_from_voxel[:3, :3].T + volume.mri_from_voxel[:3, 3]
    return points


def _stride(rows: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> int:
    return len(rows) // MOST_POINTS + 1


def _inside(scalp: Surface, points: FloatArray) -> Mask:
    """By the nearest vertex alone: good to a vertex spacing, enough for shares and centres."""
    _, nearest = scalp.tree.query(points)
    inside: Mask = np.einsum("ij,ij->i", points - scalp.vertices_mm[nearest], scalp.normals[nearest]) < 0
    return inside


def _sampled(volume: Volume, points_mm: FloatArray) -> FloatArray:
    """Value of the nearest voxel for each point (N, 3); NaN outside the field."""
    voxel_from_mri = np.linalg.inv(volume.mri_from_voxel)
    index = np.rint(points_mm @ voxel_from_mri[:3, :3].T + voxel_from_mri[:3, 3]).astype(np.int64)
    within = np.all((index >= 0) & (index < np.array(volume.shape)), axis=1)
    values = np.full(len(points_mm), np.nan)
    values[within] = volume.values[tuple(index[within].T)]
    return values
