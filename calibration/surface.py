"""A triangle mesh as a value: vertices, outward unit normals, a tree of them, and the closest point on its triangles.

Owns geometry alone. Making a scalp from an image, and reading mesh files, belong to `scalp`.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from calibration.frames import FloatArray

IntArray = NDArray[np.int32]

NEAREST_FACES = 24  # as many middles of triangles are searched for the closest point, and every large triangle besides
LARGE_FACE_MM = 12.0  # a corner further from its middle than this: the cut through the neck, not scalp
POINTS_AT_ONCE = 2048  # bounds the memory of one query
RAY_REACH_MM = 60.0  # a coil further from the scalp than this is not being aimed
LEAST_LENGTH = 1e-12  # keeps the direction of a vanishing vector finite


class BadMesh(ValueError):
    """A mesh that is no surface; the message says why."""


class Closest(NamedTuple):
    """For N points: the closest points on the triangles (N, 3) mm, outward unit normals there (N, 3), distances (N,) mm, + outside."""

    points_mm: FloatArray
    normals: FloatArray
    signed_mm: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Vertices (V, 3) in mm, faces (F, 3) counter-clockwise seen from outside, outward unit normals (V, 3). Built by `from_mesh`."""

    vertices_mm: FloatArray
    faces: IntArray
    normals: FloatArray
    tree: cKDTree
    middles: cKDTree  # of the faces' centroids
    large_faces: IntArray

    @classmethod
    def from_mesh(cls, vertices_mm: ArrayLike, faces: ArrayLike) -> Self:
        """A surface in the frame of its vertices (V, 3), mm; faces (F, 3) index them.

        Turned inside out if it encloses a negative volume; vertices without a face are dropped. Raises BadMesh when a
        coordinate is not finite, an index has no vertex, or no triangle has an area.
        """
        vertices, triangles = _checked(np.array(vertices_mm, dtype=np.float64), np.array(faces, dtype=np.int64))
        if signed_volume_mm3(vertices, triangles) < 0.0:
            triangles = triangles[:, ::-1].copy()
        normals = _vertex_normals(vertices, triangles)
        middles = vertices[triangles].mean(axis=1)
        reach_mm = np.linalg.norm(vertices[triangles] - middles[:, None], axis=2).max(axis=1)
        large = np.flatnonzero(reach_mm > LARGE_FACE_MM).astype(np.int32)
        for array in (vertices, triangles, normals, large):
            array.setflags(write=False)
        return cls(vertices, triangles, normals, cKDTree(vertices), cKDTree(middles), large)

    def closest(self, points_mm: ArrayLike) -> Closest:
        """Closest points on the triangles to points (N, 3) in mm. The normals are interpolated between the corners."""
        points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
        starts = range(0, max(len(points), 1), POINTS_AT_ONCE)
        parts = [self._closest(points[start : start + POINTS_AT_ONCE]) for start in starts]
        return Closest(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _closest(self, points: FloatArray) -> Closest:
        _, nearest = self.middles.query(points, k=range(1, min(NEAREST_FACES, len(self.faces)) + 1))
        found = self._closest_among(points, nearest)
        reachable = self._large_in_reach(points, np.abs(found.signed_mm))
        if reachable.any():
            large = np.broadcast_to(self.large_faces, (int(reachable.sum()), len(self.large_faces)))
            better = self._closest_among(points[reachable], np.concatenate((nearest[reachable], large), axis=1))
            for known, new in zip(found, better, strict=True):
                known[reachable] = new
        return found

    def _closest_among(self, points: FloatArray, candidates: NDArray[np.integer]) -> Closest:
        corners = self.vertices_mm[self.faces[candidates]]
        weights = _closest_weights(points[:, None], corners)
        there = (weights[..., None] * corners).sum(axis=2)
        row = np.arange(len(points))
        best = np.argmin(((points[:, None] - there) ** 2).sum(axis=2), axis=1)
        of_corners = self.normals[self.faces[candidates[row, best]]]
        normals = _unit((weights[row, best][..., None] * of_corners).sum(axis=1))
        offset = points - there[row, best]
        side = np.where((offset * normals).sum(axis=1) >= 0.0, 1.0, -1.0)
        return Closest(there[row, best], normals, side * np.linalg.norm(offset, axis=1))

    def _large_in_reach(self, points: FloatArray, distance_mm: FloatArray) -> NDArray[np.bool_]:
        """Points to which a large triangle may be nearer than what the search by middles found."""
        corners = self.vertices_mm[self.faces[self.large_faces]]
        middles = corners.mean(axis=1)
        reach_mm = np.linalg.norm(corners - middles[:, None], axis=2).max(axis=1, initial=0.0)
        nearer: NDArray[np.bool_] = (cdist(points, middles) - reach_mm < distance_mm[:, None]).any(axis=1)
        return nearer

    def gap_along_mm(self, point_mm: ArrayLike, direction: ArrayLike) -> float:
        """Free way (mm) from a point (3,) along a unit direction (3,) to the surface; negative from inside, measured backwards.

        Where the line meets nothing within `RAY_REACH_MM`: the signed distance to the closest point.
        """
        point = np.asarray(point_mm, dtype=np.float64)
        signed_mm = float(self.closest(point[None]).signed_mm[0])
        sense = 1.0 if signed_mm >= 0.0 else -1.0
        met_mm = self._ray_mm(point, sense * np.asarray(direction, dtype=np.float64))
        return signed_mm if met_mm is None else sense * met_mm

    def _ray_mm(self, origin: FloatArray, direction: FloatArray) -> float | None:
        """Distance to the first triangle met (Moeller and Trumbore 1997, J Graph Tools 2:21), None if none is within reach."""
        half_mm = RAY_REACH_MM / 2.0
        near = self.middles.query_ball_point(origin + half_mm * direction, half_mm + LARGE_FACE_MM)
        faces = np.concatenate((np.array(near, dtype=np.int32), self.large_faces))
        a, b, c = self.vertices_mm[self.faces[faces]].transpose(1, 0, 2)
        across = np.cross(direction, c - a)
        determinant = ((b - a) * across).sum(axis=1)
        crossed = np.abs(determinant) > LEAST_LENGTH  # a triangle along the line is met by its neighbours
        a, b, c, across, determinant = a[crossed], b[crossed], c[crossed], across[crossed], determinant[crossed]
        over = np.cross(origin - a, b - a)
        u = ((origin - a) * across).sum(axis=1) / determinant
        v = (over @ direction) / determinant
        way_mm = ((c - a) * over).sum(axis=1) / determinant
        met = way_mm[(u >= 0.0) & (v >= 0.0) & (u + v <= 1.0) & (way_mm >= 0.0) & (way_mm <= RAY_REACH_MM)]
        return float(met.min()) if len(met) else None


def signed_volume_mm3(vertices_mm: FloatArray, faces: NDArray[np.integer]) -> float:
    """Volume enclosed by faces (F, 3) over vertices (V, 3), mm3; negative when the faces point inwards."""
    a, b, c = (vertices_mm - vertices_mm.mean(axis=0))[faces].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6.0)


def _checked(vertices: FloatArray, faces: NDArray[np.int64]) -> tuple[FloatArray, IntArray]:
    """The vertices in use and the faces with an area."""
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise BadMesh(f"a mesh needs vertices (V, 3) and faces (F, 3), not {vertices.shape} and {faces.shape}")
    if not np.isfinite(vertices).all():
        raise BadMesh("a coordinate of the mesh is not a number")
    if faces.size and not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise BadMesh(f"a triangle names vertex {faces.max()}, but there are {len(vertices)}")
    faces = faces[np.linalg.norm(_area_vectors(vertices, faces), axis=1) > 0.0]
    if len(faces) == 0:
        raise BadMesh("no triangle of the mesh has an area")
    used = np.zeros(len(vertices), dtype=bool)
    used[faces] = True
    return vertices[used], (np.cumsum(used) - 1)[faces].astype(np.int32)


def _area_vectors(vertices: FloatArray, faces: NDArray[np.integer]) -> FloatArray:
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return np.cross(b - a, c - a)


def _unit(vectors: FloatArray) -> FloatArray:
    lengths: FloatArray = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, LEAST_LENGTH)


def _vertex_normals(vertices: FloatArray, faces: IntArray) -> FloatArray:
    """Means of the normals of the faces around each vertex, weighted by area."""
    area_vectors = _area_vectors(vertices, faces)
    sums = np.zeros_like(vertices)
    for corner in range(3):
        for axis in range(3):
            sums[:, axis] += np.bincount(faces[:, corner], weights=area_vectors[:, axis], minlength=len(vertices))
    return _unit(sums)


def _closest_weights(points: FloatArray, corners: FloatArray) -> FloatArray:
    """Barycentric weights (..., 3) of the point closest to `points` (..., 3) on triangles (..., 3 corners, 3)."""
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    weights = _plane_weights(points - a, b - a, c - a)
    outside = (weights < 0.0).any(axis=-1)
    points = np.broadcast_to(points, a.shape)[outside]
    weights[outside] = _edge_weights(points, corners[outside])
    return weights


def _edge_weights(points: FloatArray, corners: FloatArray) -> FloatArray:
    """Barycentric weights (K, 3) of the point closest to `points` (K, 3) on the edges of triangles (K, 3, 3)."""
    ends = np.roll(corners, -1, axis=1)
    edges = ends - corners
    lengths2 = np.maximum((edges * edges).sum(axis=2), LEAST_LENGTH**2)
    share = np.clip(((points[:, None] - corners) * edges).sum(axis=2) / lengths2, 0.0, 1.0)
    there = corners + share[..., None] * edges
    edge = np.argmin(((points[:, None] - there) ** 2).sum(axis=2), axis=1)
    row = np.arange(len(points))
    weights = np.zeros((len(points), 3))
    weights[row, edge] = 1.0 - share[row, edge]
    weights[row, (edge + 1) % 3] = share[row, edge]
    return weights


def _plane_weights(to_point: FloatArray, ab: FloatArray, ac: FloatArray) -> FloatArray:
    """Barycentric weights of the foot of the perpendicular on the triangle's plane; a negative one lies outside."""
    bb, bc, cc = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    pb, pc = (to_point * ab).sum(-1), (to_point * ac).sum(-1)
    area = np.maximum(bb * cc - bc * bc, LEAST_LENGTH**2)
    v, w = (cc * pb - bc * pc) / area, (bb * pc - bc * pb) / area
    return np.stack((1.0 - v - w, v, w), axis=-1)
