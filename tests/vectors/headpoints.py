"""Vectors of kind `headpoints`: simulated pointer points on our own scalp, registered by the product, against the true answer."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from calibration.frames import FloatArray, apply_rigid
from calibration.registration import RegistrationLimits, register
from calibration.surface import Surface
from tests.vectors.compare import unknown_keys
from tests.vectors.outcome import Check, Outcome, run_checks

HEAD = Path(__file__).parents[2] / "sim" / "data"
MESH = "scalp_20k"
FILE_KEYS = frozenset({"mesh", "note", "cases"})
CASE_KEYS = frozenset({"id", "note", "points_in_head", "fiducials_in_head", "brain_check_points", "expected", "accept"})


def run(path: Path) -> Outcome:
    """Every case of the file against the registration; the mesh is the project's own, never one beside the file."""
    given = json.loads(path.read_text(encoding="utf-8"))
    return run_checks(_checks(given))


def _checks(given: Mapping[str, Any]) -> Iterator[tuple[str, Check]]:
    strange = unknown_keys(given, FILE_KEYS, "key") + _strange_mesh(given.get("mesh", MESH))
    if strange:
        yield "the file", lambda: strange
    vertices = np.load(HEAD / f"{MESH}.npz")
    scalp = Surface.from_mesh(vertices["v"], vertices["f"])
    marked = json.loads((HEAD / "fiducials.json").read_text(encoding="utf-8"))["fiducials"]
    for number, case in enumerate(given["cases"], start=1):
        yield str(case.get("id", f"case {number}")), partial(_differences, case, scalp, marked)


def _strange_mesh(named: str) -> list[str]:
    """The file may name several forms of one mesh: `scalp_20k.npz / .stl`."""
    names = {stem for stem in re.findall(r"([\w-]*)(?:\.\w+)+", named) if stem} or {named.strip()}
    return [] if names == {MESH} else [f"mesh {named!r} is not known"]


def _differences(case: Mapping[str, Any], scalp: Surface, marked: Mapping[str, Any]) -> list[str]:
    accept = case["accept"]
    touched = {name: point for name, point in case["fiducials_in_head"].items() if point is not None}
    strange = unknown_keys(case, CASE_KEYS, "key") + unknown_keys(accept, frozenset({"tre_mean_below_mm"}), "accept key")
    strange += [f"fiducial {name!r} is not known" for name in touched if name not in marked]
    if strange:
        return strange
    brain = np.array(case["brain_check_points"], dtype=np.float64).reshape(-1, 3)
    fit = register(touched, marked, case["points_in_head"], scalp, target_in_mri_mm=brain[0], limits=RegistrationLimits()).mri_from_head
    error_mm = _mean_error_mm(fit.matrix, np.array(case["true_mri_from_head"], dtype=np.float64), brain)
    limit_mm = accept["tre_mean_below_mm"]
    return [] if error_mm < limit_mm else [f"tre_mean_mm: got {error_mm:.4f}, wanted below {limit_mm}"]


def _mean_error_mm(fit: FloatArray, true: FloatArray, points: FloatArray) -> float:
    back_and_forth = apply_rigid(fit @ np.linalg.inv(true), points)
    return float(np.linalg.norm(back_and_forth - points, axis=1).mean())
