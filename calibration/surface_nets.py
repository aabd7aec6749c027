"""Closed triangle meshes out of a grid of values, by surface nets: a vertex per mixed cell, a quad per crossed edge.

Gibson 1998, MICCAI, "Constrained elastic surface nets"; here without relaxation. Knows no heads and no files.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from calibration.mesh import Faces, Vertices

CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))
EDGES = [(a, b) for a, b in itertools.combinations(range(8), 2) if np.abs(CORNERS[a] - CORNERS[b]).sum() == 1]


def surface_nets(values: NDArray[np.float32], level: float) -> tuple[Vertices, Faces]:
    """Surface where `values` (3-D) cross `level`: vertices (V, 3) in voxel indices, triangles (F, 3), higher values inside.

    The outermost layer of `values` must lie below `level`, then the mesh has no boundary.
    """
    inside = values > level
    mixed = _mixed_cells(inside)
    cells = np.argwhere(mixed)
    number = np.full(mixed.shape, -1, dtype=np.int32)
    number[mixed] = np.arange(len(cells), dtype=np.int32)
    faces = np.concatenate([_quads(inside, number, axis) for axis in range(3)])
    return cells + _mean_crossing(values, cells, level), faces


def _mixed_cells(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    some, every = inside, inside
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        some, every = some[low] | some[high], every[low] & every[high]
    return some & ~every


def _mean_crossing(values: NDArray[np.float32], cells: NDArray[np.int64], level: float) -> Vertices:
    """Mean of the points where the twelve edges of each cell cross the level, relative to the cell's first corner."""
    corner_values = np.stack([values[tuple((cells + corner).T)] for corner in CORNERS], axis=1).astype(np.float64) - level
    total, count = np.zeros((len(cells), 3)), np.zeros(len(cells))
    for a, b in EDGES:
        start, end = corner_values[:, a], corner_values[:, b]
        crossed = (start > 0) != (end > 0)
        share = start[crossed] / (start[crossed] - end[crossed])
        total[crossed] += CORNERS[a] + share[:, None] * (CORNERS[b] - CORNERS[a])
        count[crossed] += 1
    return total / count[:, None]


def _quads(inside: NDArray[np.bool_], number: NDArray[np.int32], axis: int) -> Faces:
    """Two triangles for each edge along `axis` whose ends differ; its four cells lie around it."""
    low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
    high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
    edges = np.argwhere(inside[low] != inside[high])
    outward = inside[low][tuple(edges.T)]
    u, v = np.eye(3, dtype=np.int64)[[(axis + 1) % 3, (axis + 2) % 3]]
    around = np.stack([number[tuple((edges - back).T)] for back in (u + v, v, 0 * u, u)], axis=1)
    around[~outward] = around[~outward][:, ::-1]
    return np.concatenate([around[:, [0, 1, 2]], around[:, [0, 2, 3]]])
