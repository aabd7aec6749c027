"""`registration`: 300 swept points laid onto a scalp, on the sample's 20 000 vertices and on all that its T1 gives.

Two ways in: `register` as a session calls it, from three touched landmarks 2.5 mm off; and the surface fit alone, from a start that is
10 mm and 10 degrees off. Each result is held against the truth, and against the error that it expects of itself.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.options import Options
from bench.table import Row, ms, print_rows
from calibration.expected_error import assumed_landmark_error_mm, with_unmodelled_mm
from calibration.frames import FloatArray, rigid_matrix, rotation_from_vector
from calibration.nifti import check_image, load_volume
from calibration.registration import RegistrationLimits, register
from calibration.scalp import extract_scalp
from calibration.surface import Surface
from calibration.surface_fit import Anchors, fit_surface
from tests.swept_head import DATA, TARGET_IN_MRI_MM, Sweep, marked, on_scalp, scalp, sweep

RUNS = 30
POINTS = 300
T1, SPACE = "mni152nlin2009csym_T1w_1mm_uint8.nii.gz", "MNI152NLin2009cSym"
OFF_MM, OFF_DEG = 10.0, 10.0
LIMITS = RegistrationLimits(expected_error_mm=5.0)
BUDGET = (("max", 200.0),)


@dataclass(frozen=True, slots=True)
class Fitted:
    """One run: how long, how far the target truly is off, how far it says."""

    took_ns: int
    true_mm: float
    expected_mm: float


Way = Callable[[Sweep, Surface, int], tuple[FloatArray, float]]


def run(options: Options) -> None:
    runs = options.count_or(RUNS)
    rows = []
    for name, surface, points in _heads():
        for way_name, way in (("register, from landmarks", _register), (f"fit, {OFF_MM:g} mm and {OFF_DEG:g} deg off", _fit_from_afar)):
            fitted = [_timed(way, surface, points, seed) for seed in range(runs)]
            what = f"{name}: {way_name}"
            rows.append(Row(what, ms(each.took_ns for each in fitted), budget=BUDGET))
            rows.append(Row(f"{what}: target truly off", [each.true_mm for each in fitted], "mm"))
            rows.append(Row(f"{what}: expected error", [each.expected_mm for each in fitted], "mm"))
    print_rows(f"registration: {POINTS} points", rows)


def _heads() -> Iterator[tuple[str, Surface, Callable[[np.random.Generator], FloatArray]]]:
    """Name, surface, and how points on it are found."""
    sample = scalp()
    yield f"{len(sample.vertices_mm)} vertices", sample, lambda rng: on_scalp(rng, POINTS)
    mesh = extract_scalp(load_volume(check_image(Path(DATA) / T1, SPACE)), T1)
    dense = Surface.from_mesh(mesh.vertices_mm, mesh.faces)
    x, y, z = mesh.vertices_mm.T
    swept = mesh.vertices_mm[((z > 0.0) | ((y > 60.0) & (z > -45.0) & (np.abs(x) < 45.0))) & ~((np.abs(x) > 70.0) & (z < 10.0))]
    yield f"{len(mesh.vertices_mm)} vertices", dense, lambda rng: rng.choice(swept, POINTS, replace=False)


def _timed(way: Way, surface: Surface, points: Callable[[np.random.Generator], FloatArray], seed: int) -> Fitted:
    swept = sweep(seed, points_in_mri_mm=points(np.random.default_rng(seed)))
    begun_ns = time.perf_counter_ns()
    matrix, expected_mm = way(swept, surface, seed)
    took_ns = time.perf_counter_ns() - begun_ns
    return Fitted(took_ns, swept.target_error_mm(matrix), expected_mm)


def _register(swept: Sweep, surface: Surface, _seed: int) -> tuple[FloatArray, float]:
    found = register(swept.touched, marked(), swept.points_in_head_mm, surface, target_in_mri_mm=TARGET_IN_MRI_MM, limits=LIMITS)
    return found.mri_from_head.matrix, found.expected_error_mm


def _fit_from_afar(swept: Sweep, surface: Surface, seed: int) -> tuple[FloatArray, float]:
    rng = np.random.default_rng(1000 + seed)
    turn, shift = (each / np.linalg.norm(each) for each in rng.normal(size=(2, 3)))
    off = rigid_matrix(rotation_from_vector(np.radians(OFF_DEG) * turn), OFF_MM * shift)
    marks = np.array([marked()[name] for name in swept.touched])
    anchors = Anchors(np.array(list(swept.touched.values())), marks, assumed_landmark_error_mm(0.0, len(marks)))
    found = fit_surface(off @ swept.true_mri_from_head, swept.points_in_head_mm, surface, anchors)
    return found.mri_from_head, with_unmodelled_mm(found.covariance.error_at_mm(TARGET_IN_MRI_MM))
