"""By how much each number of the coil's error is expected to be wrong: registration, tracker, coil calibration and slip together.

Owns the sum of the parts. Each part comes from who knows it; a part that nobody knows leaves the numbers it enters unknown.
"""

import math

import msgspec

# Tools of four spheres, head reference 110 mm from the target, coil tool 90 mm from its face: 0.12 mm RMS of noise in each marker
# gives 0.27 mm of target error, 0.15 degrees of tilt and 0.09 of twist (simulated; the ratio holds for 0.25 mm too).
TARGET_MM_PER_MM = 0.27 / 0.12
TILT_DEG_PER_MM = 0.15 / 0.12
TWIST_DEG_PER_MM = 0.09 / 0.12
MARKERS = 4
# A fit to N markers leaves the share sqrt(1 - 2/N) of their noise as its residual (Fitzpatrick, West, Maurer 1998, IEEE TMI 17:694).
NOISE_PER_RESIDUAL = 1.0 / math.sqrt(1.0 - 2.0 / MARKERS)
# From the middle of what a registration rests on to a target in the cortex: as if all of its error were a turn about that middle.
TURN_LEVER_MM = 80.0


class ErrorParts(msgspec.Struct, frozen=True, kw_only=True):
    """1 sigma of each part; None: not known. Lengths are RMS in 3-D at the target, angles RMS about each axis."""

    registration_mm: float | None
    coil_mm: float | None
    coil_deg: float | None
    slip_mm: float | None = 0.0
    slip_deg: float | None = 0.0


class ErrorSigma(msgspec.Struct, frozen=True, kw_only=True):
    """1 sigma beside each number of `coil_error`; None where a part is not known."""

    distance_to_target_mm: float | None
    target_error_mm: float | None
    angular_error_deg: float | None
    twist_error_deg: float | None
    lateral_mm: float | None
    lateral_x_mm: float | None
    lateral_y_mm: float | None
    gap_mm: float | None
    tilt_x_deg: float | None
    tilt_y_deg: float | None
    rotation_total_deg: float | None
    beam_x_mm: float | None
    beam_y_mm: float | None
    beam_depth_mm: float | None


def error_sigma(parts: ErrorParts, head_fit_mm: float | None, coil_fit_mm: float | None) -> ErrorSigma:
    """From the parts and the camera's residuals of head and coil in this frame, mm.

    A distance in space is wrong by the errors of three axes, one in a plane by those of two, a coordinate by that of one.
    """
    residual_mm = None if head_fit_mm is None or coil_fit_mm is None else math.sqrt((head_fit_mm**2 + coil_fit_mm**2) / 2.0)
    noise_mm = None if residual_mm is None else residual_mm * NOISE_PER_RESIDUAL
    target_mm, tilt_deg, twist_deg = (
        None if noise_mm is None else noise_mm * ratio for ratio in (TARGET_MM_PER_MM, TILT_DEG_PER_MM, TWIST_DEG_PER_MM)
    )
    fixed_mm = _together(parts.registration_mm, parts.coil_mm, parts.slip_mm)
    axis_mm = _together(_scaled(fixed_mm, 1.0 / math.sqrt(3.0)), _scaled(target_mm, 1.0 / math.sqrt(2.0)))
    turn_deg = None if parts.registration_mm is None else math.degrees(parts.registration_mm / (math.sqrt(2.0) * TURN_LEVER_MM))
    fixed_deg = _together(turn_deg, parts.coil_deg, parts.slip_deg)
    tilt_axis_deg = _together(fixed_deg, _scaled(tilt_deg, 1.0 / math.sqrt(2.0)))
    twist_axis_deg = _together(fixed_deg, twist_deg)
    in_plane_mm = _scaled(axis_mm, math.sqrt(2.0))
    tilted_deg = _scaled(tilt_axis_deg, math.sqrt(2.0))
    return ErrorSigma(
        distance_to_target_mm=_scaled(axis_mm, math.sqrt(3.0)),
        target_error_mm=in_plane_mm,
        angular_error_deg=tilted_deg,
        twist_error_deg=twist_axis_deg,
        lateral_mm=in_plane_mm,
        lateral_x_mm=axis_mm,
        lateral_y_mm=axis_mm,
        gap_mm=axis_mm,
        tilt_x_deg=tilt_axis_deg,
        tilt_y_deg=tilt_axis_deg,
        rotation_total_deg=_together(tilted_deg, twist_axis_deg),
        beam_x_mm=axis_mm,
        beam_y_mm=axis_mm,
        beam_depth_mm=axis_mm,
    )


def _together(*parts: float | None) -> float | None:
    """Independent parts in quadrature; None where one is not known, or is no number."""
    total = 0.0
    for part in parts:
        if part is None or not math.isfinite(part):
            return None
        total += part * part
    return math.sqrt(total)


def _scaled(value: float | None, by: float) -> float | None:
    return None if value is None else value * by
