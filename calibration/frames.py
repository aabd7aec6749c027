"""Rigid transforms that know which two frames they join, and the quaternions they come from.

Owns composition, inversion and the check of matrices that come from files. Knows no devices, no fits, no clocks.
Frames are plain strings: mri, head, tracker, pointer, coiltool, coil.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Wxyz = tuple[float, float, float, float]
Xyz = tuple[float, float, float]

# Files written with three decimals (Brainsight up to 7) deviate by this much; anything worse is not a rounding error.
ORTHONORMAL_TOLERANCE = 1e-3


class FrameMismatch(ValueError):
    """Two transforms were composed whose inner frames differ."""


class NotRigid(ValueError):
    """A matrix that should be a rigid pose is not one; `code` says how it fails."""

    def __init__(self, code: str, what: str, where: str) -> None:
        super().__init__(f"{where}: {what}. Export the pose again, or check which program and which axes wrote it.")
        self.code, self.what = code, what


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """`to`_from_`frm`: maps coordinates (mm, column vectors) in frame `frm` to frame `to`.

    `matrix` is a rigid 4x4 float64 and is kept read-only; matrices from files go through `rigid_from_file`.
    """

    to: str
    frm: str
    matrix: FloatArray

    def __post_init__(self) -> None:
        matrix = self.matrix
        if matrix.shape != (4, 4):
            raise ValueError(f"{self.to}_from_{self.frm}: a 4x4 matrix is needed, not one of shape {matrix.shape}")
        if matrix.flags.writeable:
            matrix = np.array(matrix, dtype=np.float64)
            matrix.setflags(write=False)
            object.__setattr__(self, "matrix", matrix)

    def __matmul__(self, other: "Transform") -> "Transform":
        """Compose: `a_from_b @ b_from_c` is `a_from_c`. Raises FrameMismatch unless the inner frames are the same."""
        if self.frm != other.to:
            raise FrameMismatch(f"{self.to}_from_{self.frm} @ {other.to}_from_{other.frm}: {self.frm} is not {other.to}")
        product = self.matrix.dot(other.matrix)
        product.setflags(write=False)
        return Transform(self.to, other.frm, product)

    def inverse(self) -> "Transform":
        """The rigid inverse: transposed rotation, never a general matrix inverse, which would hide a matrix that is not rigid."""
        matrix = np.empty((4, 4))
        matrix[:3, :3] = self.matrix[:3, :3].T
        matrix[:3, 3] = -(matrix[:3, :3].dot(self.matrix[:3, 3]))
        matrix[3] = (0.0, 0.0, 0.0, 1.0)
        matrix.setflags(write=False)
        return Transform(self.frm, self.to, matrix)

    def apply(self, points_mm: ArrayLike) -> FloatArray:
        """Points (3,) or (N, 3) in `frm`, mm, as points in `to`."""
        return apply_rigid(self.matrix, points_mm)

    @property
    def rotation(self) -> FloatArray:
        """The 3x3 rotation; its columns are the axes of `frm` in `to`."""
        return self.matrix[:3, :3]

    @property
    def translation_mm(self) -> FloatArray:
        """The origin of `frm` in `to`, mm, (3,)."""
        return self.matrix[:3, 3]

    @property
    def wxyz(self) -> Wxyz:
        """The rotation as a unit quaternion w, x, y, z with w >= 0."""
        return quaternion_from_rotation(self.rotation)

    @classmethod
    def from_quaternion(cls, to: str, frm: str, wxyz: Iterable[float], translation_mm: Iterable[float]) -> Self:
        """Pose from a quaternion w, x, y, z (normalised here; trackers round to four decimals) and a translation in mm."""
        matrix = np.array(_rows(_unit(wxyz), translation_mm))
        matrix.setflags(write=False)
        return cls(to, frm, matrix)

    @classmethod
    def identity(cls, to: str, frm: str) -> Self:
        """The two frames coincide."""
        return cls(to, frm, np.eye(4))


def _rows(wxyz: Wxyz, translation_mm: Iterable[float]) -> tuple[Wxyz, Wxyz, Wxyz, Wxyz]:
    w, x, y, z = wxyz
    tx, ty, tz = translation_mm
    return (
        (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y), tx),
        (2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x), ty),
        (2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y), tz),
        (0.0, 0.0, 0.0, 1.0),
    )


def _unit(wxyz: Iterable[float]) -> Wxyz:
    w, x, y, z = wxyz
    length = math.sqrt(w * w + x * x + y * y + z * z)
    if not length > 1e-6:
        raise ValueError(f"({w}, {x}, {y}, {z}) is no rotation: a quaternion needs a length")
    return w / length, x / length, y / length, z / length


def canonical_quaternion(wxyz: Iterable[float]) -> Wxyz:
    """Unit length and w >= 0 (q and -q are one rotation); with w = 0 the first other part that is not 0 is positive.

    Raises ValueError for a quaternion without length, or with NaN in it.
    """
    unit = _unit(wxyz)
    leading = next(part for part in unit if part != 0.0)
    sign = 1.0 if leading > 0.0 else -1.0
    w, x, y, z = unit
    return sign * w + 0.0, sign * x + 0.0, sign * y + 0.0, sign * z + 0.0


def rotation_from_quaternion(wxyz: Iterable[float]) -> FloatArray:
    """The 3x3 rotation of a quaternion w, x, y, z of any length above 0."""
    return np.array(_rows(_unit(wxyz), (0.0, 0.0, 0.0)))[:3, :3]


def quaternion_from_rotation(rotation: FloatArray) -> Wxyz:
    """Unit quaternion w, x, y, z with w >= 0 of a 3x3 rotation. Divides by its largest part (Shepperd 1978, J Guid Control 1:223)."""
    (a, b, c), (d, e, f), (g, h, i) = rotation.tolist()
    trace = a + e + i
    largest = max(trace, a, e, i)
    if largest == trace:
        return canonical_quaternion((1.0 + trace, h - f, c - g, d - b))
    if largest == a:
        return canonical_quaternion((h - f, 1.0 + 2.0 * a - trace, b + d, c + g))
    if largest == e:
        return canonical_quaternion((c - g, b + d, 1.0 + 2.0 * e - trace, f + h))
    return canonical_quaternion((d - b, c + g, f + h, 1.0 + 2.0 * i - trace))


def rotation_vector(rotation: FloatArray) -> FloatArray:
    """Axis times angle (rad, 0 to pi) of a 3x3 rotation, (3,)."""
    w, x, y, z = quaternion_from_rotation(rotation)
    sine = math.sqrt(x * x + y * y + z * z)
    scale = 2.0 * math.atan2(sine, w) / sine if sine > 1e-12 else 2.0
    return np.array((scale * x, scale * y, scale * z))


def rotation_from_vector(vector_rad: ArrayLike) -> FloatArray:
    """The 3x3 rotation about `vector_rad` by its length (rad): the inverse of `rotation_vector`."""
    x, y, z = np.asarray(vector_rad, dtype=np.float64).tolist()
    angle = math.sqrt(x * x + y * y + z * z)
    scale = math.sin(angle / 2.0) / angle if angle > 1e-12 else 0.5
    return rotation_from_quaternion((math.cos(angle / 2.0), scale * x, scale * y, scale * z))


def angle_between_deg(rotation_a: FloatArray, rotation_b: FloatArray) -> float:
    """The angle, 0 to 180 degrees, that turns one 3x3 rotation into the other."""
    return math.degrees(float(np.linalg.norm(rotation_vector(rotation_a.T @ rotation_b))))


def rigid_matrix(rotation: FloatArray, translation_mm: FloatArray) -> FloatArray:
    """4x4 of a 3x3 rotation and a translation (3,) in mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = translation_mm
    return matrix


def apply_rigid(matrix: FloatArray, points_mm: ArrayLike) -> FloatArray:
    """Points (3,) or (N, 3) in mm through a 4x4."""
    moved: FloatArray = np.asarray(points_mm, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    return moved


def nearest_rotation(rotation: FloatArray) -> FloatArray:
    """The proper rotation nearest to a 3x3 in the least-squares sense: U diag(1, 1, det UV') V'."""
    U, _, Vt = np.linalg.svd(rotation)
    nearest: FloatArray = U @ np.diag((1.0, 1.0, np.linalg.det(U @ Vt))) @ Vt
    return nearest


def rigid_from_file(to: str, frm: str, matrix: ArrayLike, where: str, tolerance: float = ORTHONORMAL_TOLERANCE) -> Transform:
    """A pose read from a file, checked and with its rotation replaced by the nearest proper one.

    `where` names file and entry for the message. Raises NotRigid with code `not_finite`, `not_affine` (shape, or a bottom
    row other than 0 0 0 1), `left_handed_axes` or `axes_not_orthonormal`. Without the replacement, tilts computed from a
    file of three decimals are wrong by up to 0.7 degrees.
    """
    given = np.array(matrix, dtype=np.float64)
    if given.shape != (4, 4) or (np.isfinite(given).all() and not np.array_equal(given[3], (0.0, 0.0, 0.0, 1.0))):
        raise NotRigid("not_affine", "the pose is not a 4x4 matrix with bottom row 0 0 0 1", where)
    if not np.isfinite(given).all():
        raise NotRigid("not_finite", "the pose holds a value that is not a number", where)
    rotation = given[:3, :3]
    if np.linalg.det(rotation) < 0.0:
        raise NotRigid("left_handed_axes", "the axes are left-handed (mirrored)", where)
    deviation = float(np.abs(rotation.T @ rotation - np.eye(3)).max())
    if not deviation <= tolerance:
        raise NotRigid("axes_not_orthonormal", f"the axes are not of length 1 at right angles (off by {deviation:.4f})", where)
    given[:3, :3] = nearest_rotation(rotation)
    return Transform(to, frm, given)
