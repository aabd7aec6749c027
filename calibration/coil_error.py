"""Where the coil is against its target: every number of one frame, from poses in MRI coordinates.

The first four are, sign included, what Brainsight calls Dist. to Target, Target Error, Angular Error and Twist Error. Filters
nothing and decides nothing: whether this is on target is the daemon's to say.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec

from calibration.frames import Transform, Xyz

if TYPE_CHECKING:  # the hot process needs no meshes, and no scipy
    from calibration.scalp_patch import ScalpPatch
    from calibration.surface import Surface

UNDEFINED_SINE = 1e-6  # below this length a direction seen along itself is rounding


class CoilError(msgspec.Struct, frozen=True, kw_only=True):
    """Coil against target; mm and degrees. None: undefined at this pose, or the cortical target is not known.

    Signs: lateral along the target's x and y (away from the handle); gap + lifted off; twist + counter-clockwise seen from
    outside, looking at the head; tilts turn the target's normal to the coil's; depth + in front of the coil's face.
    """

    distance_to_target_mm: float
    target_error_mm: float  # of the cortical target, or else the target coil's origin, from the coil's axis
    angular_error_deg: float
    twist_error_deg: float | None
    lateral_mm: float
    lateral_x_mm: float
    lateral_y_mm: float
    gap_mm: float
    tilt_x_deg: float | None
    tilt_y_deg: float | None
    rotation_total_deg: float
    beam_x_mm: float | None
    beam_y_mm: float | None
    beam_depth_mm: float | None
    scalp_gap_mm: float | None = None  # + free air; None where no scalp is known, and beyond its patch


def coil_error(
    mri_from_target: Transform,
    mri_from_coil: Transform,
    cortical_target_in_mri_mm: Xyz | None,
    scalp: "Surface | None" = None,
    patch: "ScalpPatch | None" = None,
) -> CoilError:
    """All numbers of a coil pose against a target's (both with y away from the handle, z into the head).

    The first four agree with 1346 samples of a Brainsight 2.5 export to 0.002 mm and 0.005 degrees. With a scalp (MRI
    coordinates) its gap is measured too, which takes milliseconds; with a patch of it around the target, microseconds.
    """
    beam_mm = None if cortical_target_in_mri_mm is None else _seen_by(mri_from_coil, cortical_target_in_mri_mm)
    error = _numbers(mri_from_target.inverse() @ mri_from_coil, beam_mm, patch)
    if scalp is None:
        return error
    gap_mm = scalp.gap_along_mm(mri_from_coil.translation_mm, mri_from_coil.rotation[:, 2])
    return msgspec.structs.replace(error, scalp_gap_mm=gap_mm)


@dataclass(frozen=True, slots=True, eq=False)
class CoilChain:
    """All that stays the same from frame to frame; built by `prepare` once a registration is accepted."""

    target_from_head: Transform
    mri_from_head: Transform
    coiltool_from_coil: Transform
    cortical_target_in_head_mm: Xyz | None
    patch: "ScalpPatch | None" = None

    @classmethod
    def prepare(
        cls,
        mri_from_head: Transform,
        coiltool_from_coil: Transform,
        mri_from_target: Transform,
        cortical_target_in_mri_mm: Xyz | None,
        patch: "ScalpPatch | None" = None,
    ) -> Self:
        """`mri_from_target` is the planned coil pose. Raises FrameMismatch for transforms between other frames."""
        _refuse_other_frames(mri_from_head, coiltool_from_coil, mri_from_target)
        target = cortical_target_in_mri_mm
        target_in_head = None if target is None else _seen_by(mri_from_head, target)
        return cls(mri_from_target.inverse() @ mri_from_head, mri_from_head, coiltool_from_coil, target_in_head, patch)

    def error(self, tracker_from_head: Transform, tracker_from_coiltool: Transform) -> CoilError:
        """Coil against target from two poses of one tracker frame; where the camera stands cancels."""
        return self._error(self._head_from_coil(tracker_from_head, tracker_from_coiltool))

    def mri_from_coil(self, tracker_from_head: Transform, tracker_from_coiltool: Transform) -> Transform:
        """Where the coil is in MRI coordinates, from two poses of one tracker frame."""
        return self.mri_from_head @ self._head_from_coil(tracker_from_head, tracker_from_coiltool)

    def both(self, tracker_from_head: Transform, tracker_from_coiltool: Transform) -> tuple[CoilError, Transform]:
        """`error` and `mri_from_coil` for little more than the price of one."""
        head_from_coil = self._head_from_coil(tracker_from_head, tracker_from_coiltool)
        return self._error(head_from_coil), self.mri_from_head @ head_from_coil

    def _error(self, head_from_coil: Transform) -> CoilError:
        target = self.cortical_target_in_head_mm
        return _numbers(self.target_from_head @ head_from_coil, None if target is None else _seen_by(head_from_coil, target), self.patch)

    def _head_from_coil(self, tracker_from_head: Transform, tracker_from_coiltool: Transform) -> Transform:
        return tracker_from_head.inverse() @ tracker_from_coiltool @ self.coiltool_from_coil


def _refuse_other_frames(mri_from_head: Transform, coiltool_from_coil: Transform, mri_from_target: Transform) -> None:
    """Compose them once as they will be composed, so that a wrong one is refused before the first frame and not in it."""
    mri_from_coil = mri_from_head @ Transform.identity("head", "coiltool") @ coiltool_from_coil
    _ = mri_from_target @ mri_from_coil.inverse() @ mri_from_target


def _seen_by(outer_from_inner: Transform, point_mm: Xyz) -> Xyz:
    """A point of the outer frame in the inner one, mm."""
    (a, b, c, tx), (d, e, f, ty), (g, h, i, tz), _ = outer_from_inner.matrix.tolist()
    x, y, z = point_mm
    x, y, z = x - tx, y - ty, z - tz
    return a * x + d * y + g * z, b * x + e * y + h * z, c * x + f * y + i * z


def _numbers(target_from_coil: Transform, beam_mm: Xyz | None, patch: "ScalpPatch | None") -> CoilError:
    """Plain floats and atan2 throughout: acos loses eight digits near 0 and fails on 1 + rounding."""
    (r00, r01, r02, x), (r10, r11, r12, y), (r20, r21, r22, z), _ = target_from_coil.matrix.tolist()
    aim_x, aim_y, _ = _seen_by(target_from_coil, (0.0, 0.0, 0.0)) if beam_mm is None else beam_mm
    sine = math.hypot(r02, r12)
    tilt_rad = math.atan2(sine, r22)
    tilt_x_deg, tilt_y_deg = _tilt_parts_deg(tilt_rad, r02, r12, sine)
    turn_sine = math.hypot(r21 - r12, r02 - r20, r10 - r01)
    return CoilError(
        distance_to_target_mm=math.hypot(x, y, z),
        target_error_mm=math.hypot(aim_x, aim_y),
        angular_error_deg=math.degrees(tilt_rad),
        twist_error_deg=_twist_deg(r10, r11),
        lateral_mm=math.hypot(x, y),
        lateral_x_mm=x,
        lateral_y_mm=y,
        gap_mm=-z,
        tilt_x_deg=tilt_x_deg,
        tilt_y_deg=tilt_y_deg,
        rotation_total_deg=math.degrees(math.atan2(turn_sine, r00 + r11 + r22 - 1.0)),
        beam_x_mm=None if beam_mm is None else beam_mm[0],
        beam_y_mm=None if beam_mm is None else beam_mm[1],
        beam_depth_mm=None if beam_mm is None else beam_mm[2],
        scalp_gap_mm=None if patch is None else patch.gap_mm(x, y, z, r02, r12, r22),
    )


def _twist_deg(r10: float, r11: float) -> float | None:
    """The target's y seen in the coil's plane; None where it is seen along itself. In (-180, 180]."""
    if not math.hypot(r10, r11) >= UNDEFINED_SINE:
        return None
    twist_deg = math.degrees(math.atan2(-r10, r11))
    return twist_deg if twist_deg > -180.0 else 180.0


def _tilt_parts_deg(tilt_rad: float, r02: float, r12: float, sine: float) -> tuple[float | None, float | None]:
    """The tilt split along the target's x and y; None, None for a coil that faces exactly away."""
    if sine >= UNDEFINED_SINE:
        scale = math.degrees(tilt_rad) / sine
        return -r12 * scale, r02 * scale
    faces_away = not tilt_rad < math.pi / 2.0
    return (None, None) if faces_away else (math.degrees(-r12), math.degrees(r02))
