"""Points carried from a template's space into a person's: affine transforms from files, all RAS mm on the outside.

Reads ITK affine text and 4x4 JSON. Warps and other programs' formats are converted elsewhere before they come here.
"""

import json
import re
from pathlib import Path
from typing import Final

import numpy as np

from calibration.bad_input import BadInput
from calibration.frames import FloatArray

LPS_FROM_RAS: Final = np.diag((-1.0, -1.0, 1.0, 1.0))  # its own inverse
ITK_KINDS: Final = re.compile(r"(AffineTransform|MatrixOffsetTransformBase)_(double|float)_3_3")
PARTS_IN_NAME: Final = re.compile(r"from-(?P<source>[A-Za-z0-9]+)_to-(?P<target>[A-Za-z0-9]+)_")
MAX_FILE_BYTES: Final = 2**16
SCALE_RANGE: Final = (0.6, 1.6)  # a head against the average head, along any direction
MAX_SHIFT_MM: Final = 400.0
ROUND_TRIP_MM: Final = 1.0


class TransformError(BadInput):
    """A transform that must not carry a target."""


def read_native_from_mni(path: Path) -> FloatArray:
    """The affine (4, 4) of an ITK text file, or of JSON `{"native_from_mni": [4 rows]}`. Raises TransformError."""
    return _read_json(path) if path.suffix.lower() == ".json" else read_itk_affine(path)


def read_itk_affine(path: Path) -> FloatArray:
    """native_from_mni (4, 4) in RAS from ITK affine text (.txt, .tfm).

    ITK files map points of the image resampled to (the fixed one, here the template) to the image they come from, in LPS:
    y = A (x - c) + t + c, `Parameters` = A by rows then t, `FixedParameters` = c. Hence a file that resamples T1w images
    into the template maps the template's points into the T1w. Raises TransformError.
    """
    fields = _itk_fields(path)
    if not ITK_KINDS.fullmatch(fields["Transform"]):
        raise _unreadable(path, f"its kind {fields['Transform']!r} is no affine in three dimensions")
    parameters, centre = _numbers(path, fields["Parameters"], 12), _numbers(path, fields["FixedParameters"], 3)
    axes = parameters[:9].reshape(3, 3)
    lps = np.eye(4)
    lps[:3, :3] = axes
    lps[:3, 3] = parameters[9:] + centre - axes @ centre
    return _sane(path, LPS_FROM_RAS @ lps @ LPS_FROM_RAS)


def check_direction(path: Path, template: str) -> tuple[str, ...]:
    """Warnings about what the file's name says of its direction. Raises TransformError where it says another one.

    fMRIPrep names are about images: `from-T1w_to-<template>` carries points from the template into the T1w.
    """
    parts = PARTS_IN_NAME.search(path.name)
    if parts is None:
        return ("transform_direction_unstated",)
    if parts["target"] != template:
        raise TransformError(
            "transform_wrong_direction",
            f"it resamples images from {parts['source']} to {parts['target']}, so it does not carry {template} points into the T1w",
            path.name,
            f"Give the file named from-T1w_to-{template}.",
        )
    return ()


def check_round_trip(native_from_mni: FloatArray, mni_from_native: FloatArray, point_mni_mm: FloatArray, where: str) -> None:
    """Raises TransformError `transforms_disagree` when there and back again misses the point (3,) by more than 1 mm."""
    back_mm = apply_affine(mni_from_native, apply_affine(native_from_mni, point_mni_mm))
    apart_mm = float(np.linalg.norm(back_mm - point_mni_mm))
    if not apart_mm <= ROUND_TRIP_MM:
        what = f"there and back again the target comes out {apart_mm:.1f} mm away"
        remedy = "Give the two opposite transforms of one and the same fit."
        raise TransformError("transforms_disagree", what, where, remedy, {"apart_mm": apart_mm})


def apply_affine(affine: FloatArray, point_mm: FloatArray) -> FloatArray:
    """A point (3,) through a 4x4."""
    moved: FloatArray = affine[:3, :3] @ point_mm + affine[:3, 3]
    return moved


def _itk_fields(path: Path) -> dict[str, str]:
    lines = [line.strip() for line in _text(path).splitlines()]
    if not lines or not lines[0].startswith("#Insight Transform File"):
        raise _unreadable(path, "it does not begin as an ITK transform file")
    pairs = [line.partition(":")[::2] for line in lines if line and not line.startswith("#")]
    fields = {key.strip(): value.strip() for key, value in pairs}
    missing = {"Transform", "Parameters", "FixedParameters"} - fields.keys()
    if missing or len(fields) != len(pairs):
        raise _unreadable(path, "it must hold exactly one transform with Parameters and FixedParameters")
    return fields


def _read_json(path: Path) -> FloatArray:
    try:
        content = json.loads(_text(path))
        matrix = np.array(content["native_from_mni"], dtype=np.float64)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _unreadable(path, 'it is not {"native_from_mni": [four rows of four numbers]}') from error
    if matrix.shape != (4, 4) or matrix[3].tolist() != [0.0, 0.0, 0.0, 1.0]:
        raise _unreadable(path, "native_from_mni is no 4x4 matrix with bottom row 0 0 0 1")
    return _sane(path, matrix)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _unreadable(path, "it is far too long")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error


def _numbers(path: Path, text: str, count: int) -> FloatArray:
    try:
        numbers = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise _unreadable(path, str(error)) from error
    if len(numbers) != count:
        raise _unreadable(path, f"{len(numbers)} parameters where {count} are needed")
    if not np.isfinite(numbers).all():
        raise _unreadable(path, "a parameter is not finite")
    return numbers


def _sane(path: Path, affine: FloatArray) -> FloatArray:
    if not (np.abs(affine) < MAX_SHIFT_MM * SCALE_RANGE[1]).all():
        raise _implausible(path)
    scales = np.linalg.svd(affine[:3, :3], compute_uv=False)
    mirrored = np.linalg.det(affine[:3, :3]) <= 0
    if mirrored or scales.min() < SCALE_RANGE[0] or scales.max() > SCALE_RANGE[1] or np.abs(affine[:3, 3]).max() > MAX_SHIFT_MM:
        raise _implausible(path)
    return affine


def _implausible(path: Path) -> TransformError:
    what = "it mirrors, or stretches or shifts beyond what lies between a head and a template"
    return TransformError("transform_implausible", what, path.name, "Check which two images, and which units, it joins.")


def _unreadable(path: Path, why: str) -> TransformError:
    return TransformError("unreadable_transform", f"not a usable affine transform ({why})", path.name, "Give ITK affine text or 4x4 JSON.")
