"""The runner's vectors of places and ratings in shapes that the public ones lack: exact decimals as text, other sides, nothing found."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.vectors.protocol import run

MAP = {"shape": [1, 2, 4], "affine": np.eye(4).tolist(), "roi": [1] * 8}
STRENGTHS = [-1, -2, -3, -4, -5, -6, -7, 1]
MOUND = MAP | {"values": STRENGTHS, "percentile_of_negatives": 50}
FRAME = {"sphere_centre_mm": [0, 0, 0], "sphere_radius_mm": 80, "standoff_mm": 2, "angle_to_midline_deg": 45, "side": "left"}


def failures(
    folder: Path, kind: str, given: dict[str, Any], expect: dict[str, Any], tolerance: dict[str, float] | None = None
) -> list[str]:
    vector = {"id": "x", "kind": kind, "input": given, "expect": expect, "tolerance": tolerance or {}}
    path = folder / "vectors.json"
    path.write_text(json.dumps({"vectors": [vector]}), encoding="utf-8")
    return run(path).failures


def test_tape_measures_may_be_exact_decimals_in_text(tmp_path: Path) -> None:
    measures = {"tragus_tragus_cm": "37", "nasion_inion_cm": "36.5", "circumference_cm": "57.5", "variant": "geometric"}
    assert failures(tmp_path, "beam_f3", measures, {"X_cm": 5.713, "Y_plus_0_35_cm": 9.191}, {"cm": 0.002}) == []


def test_head_measure_out_of_range_fails_in_words(tmp_path: Path) -> None:
    measures = {"tragus_tragus_cm": 37, "nasion_inion_cm": 365, "circumference_cm": 57.5}
    (line,) = failures(tmp_path, "beam_f3", measures, {"X_cm": 5.713})
    assert "nasion to inion of 365 cm is outside 30 to 44 cm" in line


@pytest.mark.parametrize(("variant", "named"), [("published", "'published'"), ("pubmed", "'pubmed'")])
def test_unusable_formula_of_beam_f3_is_not_known(tmp_path: Path, variant: str, named: str) -> None:
    measures = {"tragus_tragus_cm": 36, "nasion_inion_cm": 36, "circumference_cm": 56, "variant": variant}
    (line,) = failures(tmp_path, "beam_f3", measures, {"X_cm": 6.469})
    assert named in line


@pytest.mark.parametrize(
    ("scores", "wanted"),
    [
        ((0, 0), {"pct_reduction": None, "response": False, "remission": True}),
        ((60, 0), {"pct_reduction": 100.0, "response": True, "remission": True}),
        ((20, 10), {"pct_reduction": 50.0, "response": True, "remission": True}),
        ((21, 11), {"pct_reduction": 47.619, "response": False, "remission": False}),
        ((7, 60), {"pct_reduction": -757.1429, "response": False, "remission": False}),
    ],
)
def test_ratings_at_their_ends_and_bounds_come_out(tmp_path: Path, scores: tuple[int, int], wanted: dict[str, Any]) -> None:
    assert failures(tmp_path, "madrs", dict(zip(("baseline", "follow_up"), scores, strict=True)), wanted) == []


def test_rating_that_the_scale_does_not_have_fails_in_words(tmp_path: Path) -> None:
    (line,) = failures(tmp_path, "madrs", {"baseline": 61, "follow_up": 10}, {"remission": True})
    assert "baseline of 61 is not a whole number from 0 to 60" in line


def test_cluster_of_a_small_map_gives_its_numbers(tmp_path: Path) -> None:
    wanted = {
        "threshold": -4.0,
        "n_clusters": 1,
        "cluster_sizes": [4],
        "voxels_kept": 4,
        "peak_mm": [0, 1, 2],
        "peak_value": -7,
        "centre_mm": [0, 0.75, 1.5],
        "weighted_centre_mm": [0, 18 / 22, 32 / 22],
        "snapped_mm": [0, 1, 1],
    }
    assert failures(tmp_path, "target_from_map", MOUND, wanted, {"mm": 1e-9}) == []


def test_order_of_the_values_is_the_one_that_the_vector_names(tmp_path: Path) -> None:
    turned = MOUND | {"order": "Fortran (first index fastest)", "values": [-1, -5, -2, -6, -3, -7, -4, 1]}
    assert failures(tmp_path, "target_from_map", turned, {"peak_mm": [0, 1, 2], "snapped_mm": [0, 1, 1]}, {"mm": 1e-9}) == []
    assert len(failures(tmp_path, "target_from_map", MOUND | {"order": "spiral"}, {"voxels_kept": 4})) == 1


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_voxel_without_a_number_is_not_searched(tmp_path: Path, unknown: float | None) -> None:
    holed = MOUND | {"values": [*STRENGTHS[:6], unknown, 1]}
    assert failures(tmp_path, "target_from_map", holed, {"peak_value": -6, "threshold": -3.5}) == []


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([-1, -1, -1, -1, 1, 1, 1, 1], {"threshold": None, "n_clusters": 0, "cluster_sizes": [], "voxels_kept": 0}),
        ([-9, -1, -1, -1, -1, -1, 1, 1], {"threshold": -5.0, "n_clusters": 1, "cluster_sizes": [1], "voxels_kept": 1}),
    ],
)
def test_map_without_a_target_says_what_was_found_and_no_point(tmp_path: Path, values: list[float], wanted: dict[str, Any]) -> None:
    sparse = MAP | {"values": values, "percentile_of_negatives": 10}
    points = {"centre_mm": None, "weighted_centre_mm": None, "snapped_mm": None}
    assert failures(tmp_path, "target_from_map", sparse, wanted | points) == []


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("target", [(40, 42, 28), (-38, 44, 26), (2, 60, 3), (-3, -61, 2), (0, 0, 60), (30, -20, 50)])
def test_frame_of_any_target_is_the_rule_of_the_handle_and_the_axes(tmp_path: Path, side: str, target: tuple[float, float, float]) -> None:
    n = np.array(target) / np.linalg.norm(target)
    ahead = np.array((0.0, 1.0, 0.0)) if math.hypot(n[0], n[2]) >= 0.1 else np.array((0.0, 0.0, 1.0))
    a = ahead - (ahead @ n) * n
    a /= np.linalg.norm(a)
    to_the_right = np.cross(a, n)
    handle = math.sqrt(0.5) * (-a + (to_the_right if side == "right" else -to_the_right))
    rows = np.vstack((np.column_stack((np.cross(-handle, -n), -handle, -n, 82 * n)), (0, 0, 0, 1)))
    wanted = {
        "scalp_mm": (80 * n).tolist(),
        "normal": n.tolist(),
        "handle_dir": handle.tolist(),
        "scalp_cortex_mm": 80 - float(np.linalg.norm(target)),
        "matrix_rows": rows.tolist(),
    }
    assert failures(tmp_path, "coil_frame", FRAME | {"target_mm": target, "side": side}, wanted, {"mm": 1e-9}) == []


def test_sphere_may_lie_off_the_origin_and_its_figures_may_be_text(tmp_path: Path) -> None:
    moved = FRAME | {"sphere_centre_mm": ["1", "2", "3"], "target_mm": ["1", "2", "63"], "sphere_radius_mm": "80", "standoff_mm": "0.5"}
    wanted = {"scalp_mm": [1, 2, 83], "normal": [0, 0, 1], "scalp_cortex_mm": 20}
    assert failures(tmp_path, "coil_frame", moved, wanted, {"mm": 1e-9}) == []


@pytest.mark.parametrize("side", ["Left", "midline", ""])
def test_side_that_is_neither_left_nor_right_fails(tmp_path: Path, side: str) -> None:
    assert len(failures(tmp_path, "coil_frame", FRAME | {"target_mm": [0, 0, 60], "side": side}, {"normal": [0, 0, 1]})) == 1


def test_target_at_the_sphere_s_centre_has_no_frame(tmp_path: Path) -> None:
    assert len(failures(tmp_path, "coil_frame", FRAME | {"target_mm": [0, 0, 0]}, {"normal": [0, 0, 1]})) == 1
