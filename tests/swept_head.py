"""The project's own scalp, swept by a simulated pointer: points with noise, touched landmarks with error, and the true answer."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.frames import FloatArray, apply_rigid, rigid_matrix, rotation_from_quaternion
from calibration.surface import Surface

DATA = Path(__file__).parents[1] / "sim" / "data"
TARGET_IN_MRI_MM = (-42.0, 40.0, 32.0)


@cache
def mesh() -> tuple[FloatArray, NDArray[np.int32]]:
    """Vertices and faces of the head."""
    held = np.load(DATA / "scalp_20k.npz")
    return held["v"].astype(np.float64), held["f"]


@cache
def scalp() -> Surface:
    """The head as a surface."""
    return Surface.from_mesh(*mesh())


@cache
def marked() -> dict[str, tuple[float, float, float]]:
    """NAS, LPA and RPA in MRI coordinates, mm."""
    fiducials = json.loads((DATA / "fiducials.json").read_text(encoding="utf-8"))["fiducials"]
    return {name: tuple(fiducials[name]) for name in ("NAS", "LPA", "RPA", "LEX", "REX")}


def on_scalp(rng: np.random.Generator, count: int) -> FloatArray:
    """Points (N, 3) spread over scalp, forehead and nose bridge by area."""
    vertices, faces = mesh()
    corners = vertices[faces]
    x, y, z = corners.mean(axis=1).T
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    swept = ((z > 0) | ((y > 60) & (z > -45) & (np.abs(x) < 45))) & ~((np.abs(x) > 70) & (z < 10))
    face = rng.choice(len(faces), count, p=area * swept / (area * swept).sum())
    points: FloatArray = (rng.dirichlet((1.0, 1.0, 1.0), count)[:, :, None] * corners[face]).sum(axis=1)
    return points


@dataclass(frozen=True)
class Sweep:
    """What the tracker saw, and mri_from_head as it truly is."""

    touched: dict[str, FloatArray]
    points_in_head_mm: FloatArray
    true_mri_from_head: FloatArray

    def target_error_mm(self, mri_from_head: FloatArray) -> float:
        """How far a fit puts the target from where it is."""
        moved = apply_rigid(mri_from_head @ np.linalg.inv(self.true_mri_from_head), TARGET_IN_MRI_MM)
        return float(np.linalg.norm(moved - TARGET_IN_MRI_MM))


def sweep(
    seed: int,
    *,
    points_in_mri_mm: FloatArray | None = None,
    noise_mm: float = 0.5,
    landmark_error_mm: float = 2.5,
    landmarks: tuple[str, ...] = ("NAS", "LPA", "RPA"),
) -> Sweep:
    """A sweep of 300 points, or of those given, by a head anywhere before the camera."""
    rng = np.random.default_rng(seed)
    points = on_scalp(rng, 300) if points_in_mri_mm is None else points_in_mri_mm
    true = rigid_matrix(rotation_from_quaternion(rng.normal(size=4)), rng.uniform(-150.0, 150.0, 3))
    head_from_mri: FloatArray = np.linalg.inv(true).astype(np.float64)
    marks = np.array([marked()[name] for name in landmarks])
    touched = apply_rigid(head_from_mri, marks + rng.normal(0.0, landmark_error_mm / np.sqrt(3.0), marks.shape))
    noisy = apply_rigid(head_from_mri, points + rng.normal(0.0, noise_mm, points.shape))
    return Sweep(dict(zip(landmarks, touched, strict=True)), noisy, true)
