"""Vectors of kind `targets`: files of other programs in a folder, what the product imports from them or refuses them for."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from calibration.target_files import read_targets
from calibration.target_files_image import SourceImage
from calibration.target_files_values import FileTarget, Landmark, Skipped, TargetFile, TargetFileError
from tests.vectors.compare import difference, unknown_keys
from tests.vectors.outcome import Check, Outcome, run_checks

FOLDER_KEYS = frozenset({"about", "note", "files"})
INPUT_KEYS = frozenset({"image_affine", "image_shape", "note", "tol"})
FILE_KEYS = frozenset(
    {"format", "version", "space", "variant", "coordsystem", "associated_image", "targets", "landmarks", "skipped"}
    | {"warnings", "assumptions", "error"}
)
# Names in the vectors against fields of the product.
TARGET_FIELDS: Mapping[str, str] = {
    "name": "name",
    "kind": "kind",
    "group": "group",
    "mri_from_coil": "mri_from_coil",
    "position_ras_mm": "position_in_mri_mm",
    "entry_ras_mm": "entry_in_mri_mm",
    "cortex_ras_mm": "cortex_in_mri_mm",
    "handle_angle_deg": "handle_angle_deg",
    "distance_mm": "coil_distance_mm",
    "coil_file": "coil_file",
    "row_type": "row_type",
    "associated_target": "associated_target",
    "is_target": "is_chosen",
    "recording_time_ms": "recorded_ms",
    "didt_A_per_us": "didt_a_per_us",
    "amplitude_pct": "amplitude_pct_mso",
    "response_uV": "response_uv",
    "warnings": "warnings",
    "assumptions": "assumptions",
}
NIFTI_FIELDS: Mapping[str, str] = {"NIfTI_quatern": "quatern", "NIfTI_qoffset": "qoffset", "NIfTI_pixdim": "pixdim"}
SETS = frozenset({"warnings", "assumptions"})
DEFAULT_TOLERANCE = 1e-6


def run(path: Path) -> Outcome:
    """Every file that `expected.json` in the folder names."""
    given = json.loads((path / "expected.json").read_text(encoding="utf-8"))
    return run_checks(_checks(path, given))


def _checks(folder: Path, given: Mapping[str, Any]) -> Iterator[tuple[str, Check]]:
    if strange := unknown_keys(given, FOLDER_KEYS, "key"):
        yield "expected.json", lambda: strange
    for name, expected in given["files"].items():
        yield name, partial(_differences, folder, name, expected)


def _differences(folder: Path, name: str, expected: Mapping[str, Any]) -> list[str]:
    strange = unknown_keys(expected, FILE_KEYS | INPUT_KEYS, "key")
    if strange or not expected.keys() & FILE_KEYS:
        return strange or ["nothing is expected of it"]
    if not (folder / name).is_file():
        return ["there is no such file"]
    sidecar = expected.get("coordsystem")
    try:
        file = read_targets(folder / name, image=_image(expected), coordsystem=None if sidecar is None else folder / sidecar)
    except TargetFileError as error:
        return _refusal_differences(error, expected)
    if expected.get("error") is not None:
        return [f"error: got None, wanted {expected['error']!r}"]
    return _file_differences(file, expected)


def _image(expected: Mapping[str, Any]) -> SourceImage | None:
    if expected.get("image_affine") is None:
        return None
    return SourceImage(mri_from_voxel=np.array(expected["image_affine"], dtype=np.float64), shape=tuple(expected["image_shape"]))


def _refusal_differences(error: TargetFileError, expected: Mapping[str, Any]) -> list[str]:
    lines = [difference("error", error.code, expected.get("error"), 0.0)]
    if error.format is not None and "format" in expected:
        lines.append(difference("format", str(error.format), expected["format"], 0.0))
    if expected.get("targets"):
        lines.append(f"targets: got none, wanted {len(expected['targets'])}")
    return [line for line in lines if line is not None]


def _file_differences(file: TargetFile, expected: Mapping[str, Any]) -> list[str]:
    lines: list[str | None] = []
    for key in expected.keys() & FILE_KEYS - {"error"}:
        wanted = expected[key]
        match key:
            case "targets" | "landmarks":
                lines += _entry_differences(key, getattr(file, key), wanted, expected.get("tol") or {})
            case "skipped":
                lines += _skip_differences(file.skipped, wanted)
            case "associated_image":
                lines += _image_differences(file, wanted)
            case "format":
                lines.append(difference(key, str(file.format), wanted, 0.0))
            case "coordsystem":
                lines.append(difference(key, file.sidecar, wanted, 0.0))
            case _ if key in SETS:
                lines.append(_set_difference(key, getattr(file, key), wanted))
            case _:
                lines.append(difference(key, getattr(file, key), wanted, 0.0))
    return [line for line in lines if line is not None]


def _set_difference(key: str, got: Sequence[str], wanted: Sequence[str]) -> str | None:
    return None if set(got) == set(wanted) else f"{key}: got {sorted(got)!r}, wanted {sorted(wanted)!r}"


def _entry_differences(
    key: str, got: Sequence[FileTarget | Landmark], wanted: Sequence[Mapping[str, Any]], tolerances: Mapping[str, float]
) -> list[str | None]:
    if len(got) != len(wanted):
        return [f"{key}: got {len(got)}, wanted {len(wanted)}"]
    lines: list[str | None] = []
    for index, (entry, expected) in enumerate(zip(got, wanted, strict=True)):
        lines += unknown_keys(expected, frozenset(TARGET_FIELDS), f"{key}[{index}] key")
        for name in expected.keys() & TARGET_FIELDS.keys():
            lines.append(_value_difference(f"{key}[{index}].{name}", name, entry, expected[name], tolerances))
    return lines


def _value_difference(
    path: str, name: str, entry: FileTarget | Landmark, wanted: Any, tolerances: Mapping[str, float]
) -> str | None:
    got = "point" if isinstance(entry, Landmark) and name == "kind" else getattr(entry, TARGET_FIELDS[name], None)
    in_mm, in_axis = (tolerances.get(unit) or DEFAULT_TOLERANCE for unit in ("mm", "axis"))
    if name in SETS:
        return _set_difference(path, got or (), wanted)
    if name == "mri_from_coil" and got is not None and wanted is not None:
        ours, theirs = np.array(got), np.array(wanted)
        return (
            difference(f"{path} axes", ours[:3, :3], theirs[:3, :3].tolist(), in_axis)
            or difference(f"{path} place", ours[:3, 3], theirs[:3, 3].tolist(), in_mm)
            or difference(f"{path} last row", ours[3], theirs[3].tolist(), 0.0)
        )
    plain = str(got) if isinstance(got, str) else got
    return difference(path, plain, wanted, in_mm if name.endswith("_mm") else DEFAULT_TOLERANCE)


def _skip_differences(got: Sequence[Skipped], wanted: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Each wanted one is found once, by the fields it names, and none is left over."""
    left = list(got)
    missing: list[str | None] = []
    for each in wanted:
        found = next((one for one in left if all(getattr(one, key, None) == value for key, value in each.items())), None)
        if found is None:
            missing.append(f"skipped: got none that is {dict(each)!r}")
        else:
            left.remove(found)
    return missing + [f"skipped: got {one.name!r} ({one.reason}), wanted none" for one in left]


def _image_differences(file: TargetFile, wanted: Mapping[str, Any]) -> list[str | None]:
    lines: list[str | None] = list(unknown_keys(wanted, frozenset(NIFTI_FIELDS), "associated_image key"))
    numbers = file.image.numbers
    for key in wanted.keys() & NIFTI_FIELDS.keys():
        got = None if numbers is None else getattr(numbers, NIFTI_FIELDS[key])
        lines.append(difference(f"associated_image.{key}", got, wanted[key], DEFAULT_TOLERANCE))
    return lines
