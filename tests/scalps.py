"""Scalps for tests: the sample head, a sphere, and a synthetic T1 with the sample head's ways of going wrong."""

import json
from functools import cache
from pathlib import Path

import numpy as np

from calibration.fiducials import Fiducials
from calibration.nifti import Volume
from calibration.scalp import Mesh
from calibration.surface import Surface
from calibration.surface_files import read_surface
from calibration.surface_nets import surface_nets

DATA = Path("sim/data")
T1 = DATA / "mni152nlin2009csym_T1w_1mm_uint8.nii.gz"
TEMPLATE = "MNI152NLin2009cSym"


@cache
def sample_mesh() -> Mesh:
    """The sample head's scalp as its GIFTI gives it."""
    found = read_surface(DATA / "scalp_20k.surf.gii")
    return Mesh(found.vertices_mm, found.faces)


@cache
def sample_scalp() -> Surface:
    """The sample head's scalp."""
    return Surface.from_mesh(sample_mesh().vertices_mm, sample_mesh().faces)


def sample_fiducials() -> Fiducials:
    """The landmarks of the sample head."""
    points = json.loads((DATA / "fiducials.json").read_text())["fiducials"]
    return Fiducials.from_points({name: np.array(point) for name, point in points.items()})


@cache
def sphere(radius_mm: float = 82.0, centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Surface:
    """A sphere of some 9000 vertices."""
    grid = np.indices((64, 64, 64)).astype(np.float32) - 31.5
    vertices, faces = surface_nets(25.0 - np.linalg.norm(grid, axis=0), 0.0)
    directions = (vertices - 31.5) / np.linalg.norm(vertices - 31.5, axis=1, keepdims=True)
    return Surface.from_mesh(np.array(centre_mm) + radius_mm * directions, faces)


def ball_t1(radius_mm: float = 90.0, *, voxel_mm: float = 3.0, half_field_mm: float = 120.0) -> Volume:
    """A bright ball with a dark cavity and dark air, centred at zero."""
    n = round(2 * half_field_mm / voxel_mm)
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = -voxel_mm * (n - 1) / 2
    distance_mm = np.linalg.norm(voxel_mm * (np.indices((n, n, n)) - (n - 1) / 2), axis=0)
    values = np.where((distance_mm < radius_mm) & (distance_mm > 20), 200.0, 3.0).astype(np.float32)
    return Volume(values, affine)
