"""From a cortical point to a coil pose: scalp entry, averaged normal, handle direction, gap for hair, depth.

Coil axes as in SimNIBS: z into the head, y away from the handle, x = y x z. Owns geometry alone; which scalp is not its business.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from calibration.bad_input import BadInput
from calibration.fiducials import Side
from calibration.frames import FloatArray, Transform, rotation_from_vector
from calibration.surface import RAY_REACH_MM, Surface

NORMAL_RADIUS_MM: Final = 10.0  # one vertex's normal is noisy
HANDLE_ANGLE_DEG: Final = 45.0  # to the midline, backward and outward: the usual default over the prefrontal cortex
MAX_HANDLE_ANGLE_DEG: Final = 180.0
HANDLE_OFF_NORMAL_DEG: Final = 10.0  # nearer to the normal, its projection on the scalp has no reliable direction
MAX_TILT_DEG: Final = 10.0
GAP_RANGE_MM: Final = (0.0, 5.0)  # cap or hair
DEPTH_RANGE_MM: Final = (8.0, 40.0)  # scalp to cortical target; less is no cortex, more is out of a figure-of-eight coil's reach
DEEP_MM: Final = 30.0  # a figure-of-eight coil fades
ON_SURFACE_MM: Final = 0.1  # a ray's crossing lies on the mesh; anything else was no crossing
BEAM_MISS_MM: Final = 3.0  # as much as the coil may be off its target before a train stops


class PlacementError(BadInput):
    """A target to which no coil pose may be planned."""


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """A planned pose and how it relates to the scalp and the target; points and directions in mri, mm."""

    mri_from_coil: Transform
    entry_mm: FloatArray
    normal: FloatArray  # outward, averaged
    handle: FloatArray  # where the handle leaves the coil
    depth_mm: float  # target to the nearest point of the scalp
    beam_miss_mm: float  # target to the coil's axis
    tilt_deg: float  # coil axis against the scalp's normal
    warnings: tuple[str, ...]


def place_coil(
    surface: Surface,
    target_mm: ArrayLike,
    side: Side,
    *,
    handle: ArrayLike | None = None,
    handle_angle_deg: float = HANDLE_ANGLE_DEG,
    gap_mm: float = 0.0,
    entry_direction: ArrayLike | None = None,
    tilt_to_target: bool = False,
) -> Placement:
    """The pose over `target_mm` (3,): entry at the nearest scalp point, or where `entry_direction` from the target leaves the head.

    `handle`: direction in which the handle leaves, else the rule of `handle_direction`. With `tilt_to_target` the axis is
    turned towards the target by at most 10 degrees, else it stays normal to the scalp and the miss is reported.
    Raises PlacementError: target_outside_scalp, target_depth, gap_out_of_range, handle_angle_out_of_range, handle_along_normal,
    entry_not_found.
    """
    target = np.asarray(target_mm, dtype=np.float64)
    if not np.isfinite(target).all():
        raise PlacementError("target_outside_scalp", "the target is not finite", "placement", "Give three finite coordinates.")
    if not GAP_RANGE_MM[0] <= gap_mm <= GAP_RANGE_MM[1]:
        raise PlacementError("gap_out_of_range", f"a gap of {gap_mm:g} mm for hair", "placement", "Give 0 to 5 mm.")
    if not abs(handle_angle_deg) <= MAX_HANDLE_ANGLE_DEG:
        what = f"a handle angle of {handle_angle_deg:g} degrees"
        raise PlacementError("handle_angle_out_of_range", what, "placement", "Give at most 180, or a direction.")
    nearest = surface.closest(target[None])
    depth_mm = _checked_depth(-float(nearest.signed_mm[0]))
    entry = nearest.points_mm[0] if entry_direction is None else _entry_along(surface, target, np.asarray(entry_direction, float))
    normal = averaged_normal(surface, entry)
    wished = handle_direction(normal, side, handle_angle_deg) if handle is None else np.asarray(handle, dtype=np.float64)
    matrix = coil_frame(entry, normal, wished, gap_mm)
    if tilt_to_target:
        matrix[:3, :3] = _tilted(matrix, target)
    axis = matrix[:3, 2]
    to_target = target - matrix[:3, 3]
    beam_miss_mm = float(np.linalg.norm(to_target - (to_target @ axis) * axis))
    warnings = {"target_deep": depth_mm > DEEP_MM, "beam_misses_target": beam_miss_mm > BEAM_MISS_MM}
    return Placement(
        mri_from_coil=Transform("mri", "coil", matrix),
        entry_mm=entry,
        normal=normal,
        handle=-matrix[:3, 1],
        depth_mm=depth_mm,
        beam_miss_mm=beam_miss_mm,
        tilt_deg=_angle_deg(axis, -normal),
        warnings=tuple(name for name, holds in warnings.items() if holds),
    )


def averaged_normal(surface: Surface, point_mm: FloatArray) -> FloatArray:
    """Outward unit normal (3,) averaged over the scalp's vertices within 10 mm of a point on it; on a coarser mesh, that of the point."""
    near = surface.tree.query_ball_point(point_mm, NORMAL_RADIUS_MM)
    total = surface.normals[near].sum(axis=0) if near else surface.closest(point_mm[None]).normals[0]
    unit: FloatArray = total / np.linalg.norm(total)
    return unit


def handle_direction(normal: FloatArray, side: Side, angle_deg: float = HANDLE_ANGLE_DEG) -> FloatArray:
    """Unit direction (3,) of the handle on the scalp: backward, and outward by `angle_deg` from the midline's direction."""
    forward = np.array((0.0, 1.0, 0.0))
    if np.linalg.norm(np.cross(forward, normal)) < 0.1:  # on the forehead or the occiput there is no forward along the scalp
        forward = np.array((0.0, 0.0, 1.0))
    anterior = forward - (forward @ normal) * normal
    anterior /= np.linalg.norm(anterior)
    outward = np.cross(anterior, normal) * (1.0 if side == "right" else -1.0)
    angle = math.radians(angle_deg)
    direction: FloatArray = -math.cos(angle) * anterior + math.sin(angle) * outward
    return direction


def coil_frame(entry_mm: FloatArray, normal: FloatArray, handle: FloatArray, gap_mm: float) -> FloatArray:
    """mri_from_coil (4, 4) on a scalp point with outward unit `normal`; `handle` of any length is laid on the tangent plane.

    Raises PlacementError `handle_along_normal` when the handle is within 10 degrees of the normal, either way.
    """
    length = float(np.linalg.norm(handle))
    along = handle - (handle @ normal) * normal
    if not (math.isfinite(length) and np.linalg.norm(along) > length * math.sin(math.radians(HANDLE_OFF_NORMAL_DEG))):
        what = "the wished handle direction stands on the scalp"
        raise PlacementError("handle_along_normal", what, "placement", "Give a direction along the scalp.")
    z = -normal
    y = -along / np.linalg.norm(along)
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack((np.cross(y, z), y, z))
    matrix[:3, 3] = entry_mm + gap_mm * normal
    return matrix


def _checked_depth(depth_mm: float) -> float:
    if not depth_mm > 0:
        what = f"the target lies {-depth_mm:.1f} mm outside the scalp"
        raise PlacementError("target_outside_scalp", what, "placement", "Check that map, scalp and T1 are of one person and one space.")
    if not DEPTH_RANGE_MM[0] <= depth_mm <= DEPTH_RANGE_MM[1]:
        what = f"the target is {depth_mm:.1f} mm from the scalp, 8 to 40 mm can be treated"
        raise PlacementError("target_depth", what, "placement", "Choose another target, or check the scalp.", {"depth_mm": depth_mm})
    return depth_mm


def _entry_along(surface: Surface, target: FloatArray, direction: FloatArray) -> FloatArray:
    """Where the ray from the target leaves the head: searched inwards from outside, so that it is the outermost crossing."""
    length = float(np.linalg.norm(direction))
    remedy = "Give a direction that leads out of the head over the target."
    if not (math.isfinite(length) and length > 0):
        raise PlacementError("entry_not_found", "the entry direction has no length", "placement", remedy)
    outward = direction / length
    outside = target + RAY_REACH_MM * outward
    entry: FloatArray = outside - surface.gap_along_mm(outside, -outward) * outward
    way_mm = float((entry - target) @ outward)
    if not (0 < way_mm <= RAY_REACH_MM and abs(float(surface.closest(entry[None]).signed_mm[0])) < ON_SURFACE_MM):
        raise PlacementError("entry_not_found", "the given direction does not leave the head within 60 mm", "placement", remedy)
    return entry


def _tilted(matrix: FloatArray, target: FloatArray) -> FloatArray:
    """The rotation of a pose turned about the axis that carries z to the target, by at most 10 degrees."""
    axis, wanted = matrix[:3, 2], target - matrix[:3, 3]
    angle_deg = min(_angle_deg(axis, wanted), MAX_TILT_DEG)
    about = np.cross(axis, wanted)
    length = float(np.linalg.norm(about))
    if length == 0:
        return matrix[:3, :3]
    tilted: FloatArray = rotation_from_vector(about / length * math.radians(angle_deg)) @ matrix[:3, :3]
    return tilted


def _angle_deg(a: FloatArray, b: FloatArray) -> float:
    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b)))
