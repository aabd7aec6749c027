"""The patient's true head in MRI coordinates: scalp, landmarks, and the way a hand sweeps a pointer over it.

Where the tip goes: scalp, forehead and nose bridge; not ears, cheeks, jaw or eyes. No devices, no time.
"""

import itertools
import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from sim.world_geometry import Vector, unit

Array = npt.NDArray[np.float64]

DATA = Path(__file__).parent / "data"
MIDDLE_MM: Vector = (0.0, -12.0, 10.0)  # from here each swept direction meets the scalp once
NEAR_TRIANGLES = 24
NEAR_RAYS = 400  # triangles are long and thin in places: the one that is met may be far down the list
EDGE = 1e-6
STEP_DEG = 1.5


class Head:
    """Triangles and landmarks of one head, RAS mm. `sweep_mm` are the points of one sweep, close together, in the order of the hand."""

    def __init__(self, scalp: Path = DATA / "scalp_20k.npz", fiducials: Path = DATA / "fiducials.json") -> None:
        with np.load(scalp) as mesh:
            vertices, faces = mesh["v"].astype(np.float64), mesh["f"]
        self._corners_mm: Array = vertices[faces]
        across = np.cross(self._corners_mm[:, 1] - self._corners_mm[:, 0], self._corners_mm[:, 2] - self._corners_mm[:, 0])
        self._normals: Array = across / np.linalg.norm(across, axis=1, keepdims=True)
        centres = self._corners_mm.mean(axis=1)
        self._centres = cKDTree(centres)
        directions = centres - np.asarray(MIDDLE_MM)
        self._directions = cKDTree(directions / np.linalg.norm(directions, axis=1, keepdims=True))
        named = json.loads(fiducials.read_text(encoding="utf-8"))["fiducials"]
        self.landmarks_mm: dict[str, Vector] = {name: (float(x), float(y), float(z)) for name, (x, y, z) in named.items()}
        self.sweep_mm: tuple[Vector, ...] = tuple(self.skin(_direction(azimuth, elevation)) for azimuth, elevation in _sweep_angles())

    def outward(self, near_mm: Vector) -> Vector:
        """Unit normal of the skin around that point, averaged over a patch the size of a finger tip."""
        _, nearest = self._centres.query(near_mm, k=NEAR_TRIANGLES)
        x, y, z = self._normals[nearest].mean(axis=0).tolist()
        return unit((x, y, z))

    def skin(self, direction: Vector) -> Vector:
        """Where the skin is met from the head's middle in that direction. Raises ValueError where there is none (neck)."""
        along, middle = np.asarray(unit(direction)), np.asarray(MIDDLE_MM)
        _, nearest = self._directions.query(along, k=NEAR_RAYS)
        reach = _reach(self._corners_mm[nearest] - middle, along)
        if reach is None:
            raise ValueError(f"no skin in direction {direction}")
        x, y, z = (middle + reach * along).tolist()
        return (x, y, z)


def _reach(corners: Array, along: Array) -> float | None:
    """How far along a ray from the origin the outermost of the triangles (N, 3, 3) is met (Möller and Trumbore 1997)."""
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(along, two)
    volume = np.einsum("ij,ij->i", one, across)
    volume[np.abs(volume) < 1e-9] = np.inf  # seen edge-on: never met
    turned = np.cross(-corners[:, 0], one)
    u = np.einsum("ij,ij->i", -corners[:, 0], across) / volume
    v = turned @ along / volume
    met = (u >= -EDGE) & (v >= -EDGE) & (u + v <= 1.0 + EDGE) & np.isfinite(volume)
    reach = np.einsum("ij,ij->i", two, turned) / volume
    return float(reach[met].max()) if met.any() else None


def _direction(azimuth_deg: float, elevation_deg: float) -> Vector:
    """Azimuth from the patient's right (0) over the front (90); elevation from the horizontal."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    return (math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation))


def _sweep_angles() -> Iterable[tuple[float, float]]:
    """Up the nose bridge in small strokes, along the brow both ways, then a spiral of three turns to the crown."""
    corners = [(90.0, -28.0), (87.0, -26.0), (93.0, -24.0), (87.0, -22.0), (93.0, -20.0), (90.0, -14.0)]
    corners += [(125.0, -10.0), (130.0, -4.0), (50.0, -4.0), (50.0, 6.0), (130.0, 8.0), (130.0, 16.0), (90.0, 14.0), (90.0, -4.0)]
    turns, start, top = 3, -4.0, 82.0
    corners += [(90.0 + 360.0 * turns * share, start + (top - start) * share) for share in np.linspace(0.0, 1.0, 180)[1:].tolist()]
    yield corners[0]
    for (azimuth, elevation), (next_azimuth, next_elevation) in itertools.pairwise(corners):
        arc = math.hypot((next_azimuth - azimuth) * math.cos(math.radians(elevation)), next_elevation - elevation)
        steps = max(1, math.ceil(arc / STEP_DEG))
        for i in range(1, steps + 1):
            yield (azimuth + (next_azimuth - azimuth) * i / steps, elevation + (next_elevation - elevation) * i / steps)
