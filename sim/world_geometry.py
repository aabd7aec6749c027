"""The simulated room's own geometry: rigid poses and the coil's error, in plain numbers.

Written apart from the product's geometry on purpose, so that the two can contradict each other. No motion, no devices.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

NO_TURN: Quaternion = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Pose:
    """`a_from_b`: unit quaternion (w, x, y, z) and the place of b's origin in a, mm."""

    wxyz: Quaternion
    mm: Vector

    def __matmul__(self, other: "Pose") -> "Pose":
        return Pose(product(self.wxyz, other.wxyz), self.carry(other.mm))

    def inverse(self) -> "Pose":
        w, x, y, z = self.wxyz
        back = (w, -x, -y, -z)
        return Pose(back, scaled(rotated(back, self.mm), -1.0))

    def carry(self, point_mm: Vector) -> Vector:
        """A point of frame b, in frame a."""
        return added(rotated(self.wxyz, point_mm), self.mm)

    def turn(self, direction: Vector) -> Vector:
        """A direction of frame b, in frame a."""
        return rotated(self.wxyz, direction)

    def moved(self, by_mm: Vector = (0.0, 0.0, 0.0), by_deg: Vector = (0.0, 0.0, 0.0)) -> "Pose":
        """Shifted and turned in its own axes; `by_deg` is a rotation vector."""
        return self @ Pose(from_rotation_vector(by_deg), by_mm)


IDENTITY = Pose(NO_TURN, (0.0, 0.0, 0.0))


@dataclass(frozen=True, slots=True)
class CoilError:
    """Where the coil is in the target coil's frame.

    Lateral along the target's x and y; gap + lifted off; tilt is the angle between the two normals and, split, the rotation
    about the target's x and y that carries its normal to the coil's (0, 0 where the coil faces exactly away: no such axis);
    twist + counter-clockwise seen from outside the head.
    """

    lateral_x_mm: float
    lateral_y_mm: float
    gap_mm: float
    tilt_deg: float
    tilt_x_deg: float
    tilt_y_deg: float
    twist_deg: float

    @property
    def lateral_mm(self) -> float:
        return math.hypot(self.lateral_x_mm, self.lateral_y_mm)


def coil_error(mri_from_target: Pose, mri_from_coil: Pose) -> CoilError:
    """The coil against its target. The coil's z points into the head, its y away from the handle."""
    target_from_coil = mri_from_target.inverse() @ mri_from_coil
    x_axis, y_axis, normal = (target_from_coil.turn(axis) for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    sine = math.hypot(normal[0], normal[1])
    tilt_deg = math.degrees(math.atan2(sine, normal[2]))
    about_x, about_y = (-normal[1] / sine, normal[0] / sine) if sine > 0.0 else (0.0, 0.0)
    return CoilError(
        lateral_x_mm=target_from_coil.mm[0],
        lateral_y_mm=target_from_coil.mm[1],
        gap_mm=-target_from_coil.mm[2],
        tilt_deg=tilt_deg,
        tilt_x_deg=tilt_deg * about_x,
        tilt_y_deg=tilt_deg * about_y,
        twist_deg=math.degrees(math.atan2(-x_axis[1], y_axis[1])),
    )


def added(a: Vector, b: Vector) -> Vector:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def scaled(a: Vector, factor: float) -> Vector:
    return (a[0] * factor, a[1] * factor, a[2] * factor)


def distance(a: Vector, b: Vector) -> float:
    return math.dist(a, b)


def unit(a: Vector) -> Vector:
    return scaled(a, 1.0 / math.hypot(*a))


def crossed(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def product(a: Quaternion, b: Quaternion) -> Quaternion:
    """Hamilton's product: first b, then a."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def rotated(wxyz: Quaternion, v: Vector) -> Vector:
    """v + 2w(u × v) + 2u × (u × v), with u the quaternion's vector part."""
    w, axis = wxyz[0], (wxyz[1], wxyz[2], wxyz[3])
    twice = scaled(crossed(axis, v), 2.0)
    return added(added(v, scaled(twice, w)), crossed(axis, twice))


def from_rotation_vector(deg: Vector) -> Quaternion:
    angle = math.hypot(*deg)
    if angle == 0.0:
        return NO_TURN
    half = math.radians(angle) / 2.0
    share = math.sin(half) / angle
    return (math.cos(half), deg[0] * share, deg[1] * share, deg[2] * share)


def between(start: Pose, goal: Pose, share: float) -> Pose:
    """The pose that far on the straight way: places in a line, turn at constant axis the short way round."""
    dot = sum(a * b for a, b in zip(start.wxyz, goal.wxyz, strict=True))
    sign = 1.0 if dot >= 0.0 else -1.0
    angle = math.acos(min(1.0, abs(dot)))
    if angle < 1e-6:
        weights = (1.0 - share, share)
    else:
        weights = (math.sin((1.0 - share) * angle) / math.sin(angle), math.sin(share * angle) / math.sin(angle))
    w, x, y, z = (weights[0] * a + sign * weights[1] * b for a, b in zip(start.wxyz, goal.wxyz, strict=True))
    norm = math.hypot(w, x, y, z)
    mm = added(scaled(start.mm, 1.0 - share), scaled(goal.mm, share))
    return Pose((w / norm, x / norm, y / norm, z / norm), mm)


def from_axes(x: Vector, y: Vector, z: Vector, mm: Vector) -> Pose:
    """Pose of a frame whose right-handed unit axes are given in the outer frame."""
    trace = x[0] + y[1] + z[2]
    pairs = (
        (trace, (1.0 + trace, y[2] - z[1], z[0] - x[2], x[1] - y[0])),
        (x[0], (y[2] - z[1], 1.0 + x[0] - y[1] - z[2], y[0] + x[1], z[0] + x[2])),
        (y[1], (z[0] - x[2], y[0] + x[1], 1.0 - x[0] + y[1] - z[2], z[1] + y[2])),
        (z[2], (x[1] - y[0], z[0] + x[2], z[1] + y[2], 1.0 - x[0] - y[1] + z[2])),
    )
    w, i, j, k = max(pairs)[1]  # the largest part first: no division by a small number
    norm = math.hypot(w, i, j, k)
    return Pose((w / norm, i / norm, j / norm, k / norm), mm)


def from_matrix(rows: Sequence[Sequence[float]]) -> Pose:
    """Pose from a 4 x 4 rigid matrix given by rows."""
    x, y, z, mm = ((rows[0][i], rows[1][i], rows[2][i]) for i in range(4))
    return from_axes(x, y, z, mm)


def to_matrix(pose: Pose) -> list[list[float]]:
    """4 x 4 by rows."""
    columns = [pose.turn(axis) for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))]
    return [[*(column[i] for column in columns), pose.mm[i]] for i in range(3)] + [[0.0, 0.0, 0.0, 1.0]]
