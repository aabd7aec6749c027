"""Vectors of kind `connectivity`: images and transforms in a folder, what the product selects from them or refuses them for."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from calibration.bad_input import BadInput
from calibration.frames import apply_rigid
from calibration.nifti import check_image
from calibration.target_map import Selection, select
from calibration.template_points import read_itk_affine
from tests.vectors.compare import difference, unknown_keys
from tests.vectors.outcome import Check, Outcome, run_checks

FILE_KEYS = frozenset({"about", "note", "files"})
MAP_KEYS = frozenset({"mask", "polarity", "top_fraction", "connectivity", "min_cluster_mm3", "expected", "note"})
AFFINE_KEYS = frozenset({"kind", "maps", "mni", "expected_native", "native_from_mni", "note"})
EXPECTED_KEYS = frozenset({"threshold", "clusters", "error", "max_corner_mm"})
CLUSTER_KEYS = frozenset({"n_vox", "sum_score", "cog", "snapped", "peak", "peak_z"})
SAME_AS = re.compile(r"same world coordinates as (\S+)")

TOLERANCE = 1e-3  # threshold, z, mm
SUM_TOLERANCE = 1e-5  # relative
CORNER_TOLERANCE_MM = 0.05
AFFINE_TOLERANCE_MM = 1e-4
DEFAULT_MIN_CLUSTER_MM3 = 200.0


def run(path: Path) -> Outcome:
    """Every file that `expected.json` in the folder names."""
    given = json.loads((path / "expected.json").read_text(encoding="utf-8"))
    return run_checks(_checks(path, given))


def _checks(folder: Path, given: Mapping[str, Any]) -> Iterator[tuple[str, Check]]:
    strange = unknown_keys(given, FILE_KEYS, "key")
    if strange:
        yield "expected.json", lambda: strange
    for name in given["files"]:
        yield name, partial(_differences, folder, name, given["files"])


def _differences(folder: Path, name: str, files: Mapping[str, Any]) -> list[str]:
    entry = files[name]
    if not (folder / name).is_file():
        return ["there is no such file"]
    if "kind" not in entry:
        return unknown_keys(entry, MAP_KEYS, "key") or _map_differences(folder, name, files)
    if entry["kind"] != "itk_affine":
        return [f"kind {entry['kind']!r} is not known"]
    return unknown_keys(entry, AFFINE_KEYS, "key") or _affine_differences(folder / name, entry)


def _affine_differences(path: Path, entry: Mapping[str, Any]) -> list[str]:
    got = apply_rigid(read_itk_affine(path), entry["mni"])
    line = difference("expected_native", got, entry["expected_native"], AFFINE_TOLERANCE_MM)
    return [] if line is None else [line]


def _map_differences(folder: Path, name: str, files: Mapping[str, Any]) -> list[str]:
    entry = files[name]
    expected = _expected(entry["expected"], files)
    strange = unknown_keys(expected, EXPECTED_KEYS, "expected key")
    if strange or not expected:
        return strange or ["nothing is expected of it"]
    try:
        selection = _selected(folder, name, entry)
    except BadInput as error:
        return _error_differences(error, expected)
    if expected.get("error") is not None:
        return [f"error: got None, wanted {expected['error']!r}"]
    return _selection_differences(selection, expected, entry.get("min_cluster_mm3") or DEFAULT_MIN_CLUSTER_MM3)


def _expected(expected: Any, files: Mapping[str, Any]) -> dict[str, Any]:
    """What is expected, or the clusters of the file whose coordinates are said to be the same."""
    if isinstance(expected, dict):
        return expected
    same = SAME_AS.match(expected)
    if same is None:
        raise ValueError(f"expectation {expected!r} is not known")
    return {"clusters": files[same.group(1)]["expected"]["clusters"]}


def _selected(folder: Path, name: str, entry: Mapping[str, Any]) -> Selection | None:
    """None: no mask is named, and the header passed its checks."""
    if entry.get("mask") is None:
        check_image(folder / name, "native")
        return None
    numbers = {key: entry[key] for key in ("top_fraction", "min_cluster_mm3", "connectivity") if entry.get(key) is not None}
    return select(folder / name, folder / entry["mask"], entry["polarity"], **numbers)


def _error_differences(error: BadInput, expected: Mapping[str, Any]) -> list[str]:
    lines = [difference("error", error.code, expected.get("error"), 0.0)]
    if expected.get("max_corner_mm") is not None:
        lines.append(difference("max_corner_mm", error.details.get("max_corner_mm"), expected["max_corner_mm"], CORNER_TOLERANCE_MM))
    return [line for line in lines if line is not None]


def _selection_differences(selection: Selection | None, expected: Mapping[str, Any], least_mm3: float) -> list[str]:
    if selection is None:
        return [f"{key}: got None without a mask, wanted {expected[key]!r}" for key in expected if expected[key] is not None]
    lines: list[str | None] = []
    if "threshold" in expected:
        lines.append(difference("threshold", selection.threshold, expected["threshold"], TOLERANCE))
    if "clusters" in expected:
        voxel_mm3 = math.prod(selection.map_image.voxel_mm)
        wanted = [cluster for cluster in expected["clusters"] if cluster["n_vox"] * voxel_mm3 >= least_mm3 * (1 - 1e-9)]
        lines += _cluster_differences(selection, wanted)
    return [line for line in lines if line is not None]


def _cluster_differences(selection: Selection, wanted: list[dict[str, Any]]) -> list[str | None]:
    if len(selection.clusters) != len(wanted):
        return [f"clusters: got {len(selection.clusters)}, wanted {len(wanted)}"]
    lines: list[str | None] = []
    for index, (got, cluster) in enumerate(zip(selection.clusters, wanted, strict=True)):
        lines += unknown_keys(cluster, CLUSTER_KEYS, f"clusters[{index}] key")
        for key in cluster.keys() & CLUSTER_KEYS:
            tolerance = {"n_vox": 0.0, "sum_score": SUM_TOLERANCE}.get(key, TOLERANCE)
            lines.append(difference(f"clusters[{index}].{key}", getattr(got, key), cluster[key], tolerance, relative=key == "sum_score"))
    return lines
