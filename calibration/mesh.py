"""Sums over triangle meshes: open edges, connected pieces, and what is left when vertices are dropped.

Plain arrays in, plain arrays out; the surface that registration uses is `surface.Surface`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Vertices = NDArray[np.float64]
Faces = NDArray[np.int32]


def open_edges(faces: Faces) -> int:
    """Edges not run through as often in one direction as in the other: 0 for a closed, consistently turned mesh."""
    start, end = faces.astype(np.int64).T.reshape(-1), np.roll(faces, -1, axis=1).astype(np.int64).T.reshape(-1)
    stride = int(faces.max()) + 1
    _, edge = np.unique(np.minimum(start, end) * stride + np.maximum(start, end), return_inverse=True)
    balance = np.bincount(edge, weights=np.where(start < end, 1.0, -1.0))
    return int(np.count_nonzero(balance))


def kept(vertices_mm: Vertices, faces: Faces, keep: NDArray[np.bool_]) -> tuple[Vertices, Faces]:
    """The mesh without the vertices not in `keep` (V,), nor the faces that touch them."""
    renumbered = np.cumsum(keep, dtype=np.int32) - 1
    return vertices_mm[keep], renumbered[faces[keep[faces].all(axis=1)]]


def largest_piece(vertices_mm: Vertices, faces: Faces) -> tuple[Vertices, Faces]:
    """The connected piece with the most vertices."""
    rows, columns = faces[:, [0, 1]].reshape(-1), faces[:, [1, 2]].reshape(-1)
    links = coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(len(vertices_mm), len(vertices_mm)))
    _, piece = connected_components(links, directed=False)
    return kept(vertices_mm, faces, piece == np.bincount(piece).argmax())
