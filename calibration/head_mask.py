"""Which voxels of a T1 are head: threshold, largest piece, closed and filled. Owns the recipe; `scalp` makes the surface of it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calibration.nifti import Array, Volume

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

SMOOTHING_MM: Final = 1.0
SCALE_QUANTILE: Final = 0.995
OTSU_SHARE: Final = 0.5  # skin and fat are darker than brain: the full threshold loses skin
OTSU_BINS: Final = 256
CLOSING_MM: Final = 8.0  # ear canals, nostrils, eye sockets
FINEST_MM: Final = 0.6  # a finer grid costs memory and shows no more skin


def head_mask(t1: Volume) -> tuple[Mask, Array] | None:
    """The head's voxels, cropped to the head, and mri_from_voxel of that grid; None where nothing is brighter than the air.

    Half the Otsu threshold of the smoothed image; largest connected piece; closing with an 8 mm ball; holes filled
    in the volume and then slice by slice along each axis (ear canals and sinuses open only out of the slice).
    """
    values, mri_from_voxel = _not_too_fine(t1)
    voxel_mm = np.linalg.norm(mri_from_voxel[:3, :3], axis=0)
    smooth = ndimage.gaussian_filter(_usable(values), SMOOTHING_MM / voxel_mm, truncate=3.0)
    bright = smooth > air_threshold(smooth)
    if not (bright & (smooth > 0)).any():
        return None
    head = largest_component(bright)
    low, high = _bounds(head)
    head = head[tuple(map(slice, low, high))]
    head = _closed(head, voxel_mm)
    head = _filled(head)
    shifted = mri_from_voxel.copy()
    shifted[:3, 3] += mri_from_voxel[:3, :3] @ low
    return largest_component(head), shifted


def air_threshold(values: Floats) -> float:
    """The brightness between air and skin, from every second voxel."""
    return OTSU_SHARE * _otsu(_usable(values[::2, ::2, ::2]))


def largest_component(mask: Mask) -> Mask:
    """The largest piece of a mask that is not empty, connected through faces."""
    labels, count = ndimage.label(mask)
    if count == 1:
        return mask
    sizes = np.bincount(labels.reshape(-1))
    sizes[0] = 0
    largest: Mask = labels == sizes.argmax()
    return largest


def _not_too_fine(t1: Volume) -> tuple[Floats, Array]:
    steps = np.maximum(1, np.floor(2 * FINEST_MM / t1.voxel_mm)).astype(int)
    affine = t1.mri_from_voxel @ np.diag([*steps.astype(float), 1.0])
    return t1.values[tuple(slice(None, None, step) for step in steps)], affine


def _usable(values: Floats) -> Floats:
    """What is not finite, and what is darker than nothing (an offset of the scanner's software), counts as air."""
    return np.where(np.isfinite(values) & (values > 0), values, np.float32(0))


def _otsu(values: Floats) -> float:
    """Threshold between two classes of values (Otsu 1979), values above the 99.5 % quantile clipped."""
    top = float(np.quantile(values, SCALE_QUANTILE))
    counts, edges = np.histogram(np.minimum(values, top), bins=OTSU_BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), counts.sum()
    above = total - below
    mass = np.cumsum(counts * centres)
    valid = (below > 0) & (above > 0)
    between = np.zeros(OTSU_BINS)
    apart = mass[valid] / below[valid] - (mass[-1] - mass[valid]) / above[valid]
    between[valid] = below[valid] * above[valid] * apart**2
    return float(centres[between >= between.max() * (1 - 1e-9)].mean())  # two plain classes: the middle of the gap


def _bounds(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    spans = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return np.array([span[0] for span in spans]), np.array([span[-1] + 1 for span in spans])


def _closed(mask: Mask, voxel_mm: Array) -> Mask:
    """Closing with a ball, by two distance transforms on every second voxel (eight times fewer, 0.04 mm apart on average).

    Distances are interpolated back to the full grid; a voxel counts as closed only from its far side, so that nothing is
    added to a surface that is already convex.
    """
    spacing_mm = 2 * voxel_mm
    margin = np.ceil(CLOSING_MM / spacing_mm).astype(int) + 2
    coarse = np.pad(mask[::2, ::2, ::2], [(int(m), int(m)) for m in margin])
    dilated = ndimage.distance_transform_edt(~coarse, sampling=spacing_mm) <= CLOSING_MM
    depth_mm = ndimage.distance_transform_edt(dilated, sampling=spacing_mm).astype(np.float32)
    depth_mm = depth_mm[tuple(slice(m, m + (n + 1) // 2 + 1) for m, n in zip(margin, mask.shape, strict=True))]
    for axis, n in enumerate(mask.shape):
        depth_mm = _doubled(depth_mm, axis, n)
    closed: Mask = mask | (depth_mm > CLOSING_MM + float(voxel_mm.max()))
    return closed


def _doubled(field: Floats, axis: int, length: int) -> Floats:
    """Linear interpolation to twice the samples along `axis`."""
    samples = np.moveaxis(field, axis, 0)
    doubled = np.empty((2 * len(samples) - 1, *samples.shape[1:]), dtype=np.float32)
    doubled[::2] = samples
    doubled[1::2] = (samples[1:] + samples[:-1]) / 2
    return np.moveaxis(doubled[:length], 0, axis)


def _filled(mask: Mask) -> Mask:
    filled = _without_holes(mask, ndimage.generate_binary_structure(3, 1))
    for axis in range(3):
        in_slice = ndimage.generate_binary_structure(3, 1)
        in_slice[tuple(slice(None, None, 2) if a == axis else slice(None) for a in range(3))] = False
        filled = _without_holes(filled, in_slice, along=axis)
    return filled


def _without_holes(mask: Mask, structure: Mask, along: int | None = None) -> Mask:
    """Fills background that does not reach the border; with `along`, that of each slice across that axis by itself."""
    labels, count = ndimage.label(~mask, structure)
    reaches = np.zeros(count + 1, dtype=bool)
    for axis in range(3):
        if axis != along:
            reaches[labels.take((0, -1), axis=axis)] = True
    reaches[0] = False
    filled: Mask = ~reaches[labels]
    return filled
