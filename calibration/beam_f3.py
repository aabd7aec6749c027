"""Beam F3: where on a head the electrode position F3 lies, from three measurements with a tape.

Flattened 10-20 plane: the vertex Cz is the origin, Fpz-Oz and T3-T4 are semi-axes of 0.4 times the tape's measures, F3 is where the
lines Fz-F7 and C3-Fp1 cross. Beam 2009, J ECT 25:129; the variants are those of the calculators in public use. Right side: mirrored.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from calibration.bad_input import BadInput

SEMI_AXIS_SHARE: Final = 0.4  # vertex to the 10 % ring, of a whole measure
ARC_RANGE_CM: Final = (30.0, 44.0)  # tragus to tragus, nasion to inion, of any head a tape is laid on
RING_RANGE_CM: Final = (48.0, 66.0)
REPEAT_LIMIT_CM: Final = 0.5  # each is measured twice
MRI_ARC_CM: Final = 0.35  # navigation finds the arc from the vertex longer by this (Mir-Moghtadaei 2015, Brain Stimul 8:965): an option


class BeamError(BadInput):
    """Measurements from which no point may be laid out."""


class Variant(StrEnum):
    """`WEB`: the calculator that clinics use. `GEOMETRIC`: what follows from the construction. Up to a centimetre apart."""

    WEB = "web"
    GEOMETRIC = "geometric"


@dataclass(frozen=True, slots=True)
class BeamF3:
    """`x_cm` along the ring from the midline, `y_cm` from the vertex towards it; `theta_deg` in the flattened plane, negative."""

    x_cm: float
    y_cm: float
    theta_deg: float

    @property
    def y_mri_cm(self) -> float:
        """The arc from the vertex as navigation finds it."""
        return self.y_cm + MRI_ARC_CM


def beam_f3(tragus_tragus_cm: float, nasion_inion_cm: float, circumference_cm: float, variant: Variant = Variant.WEB) -> BeamF3:
    """F3 (left) or, mirrored, F4. Arcs over the vertex and the ring through the 10-20 positions, in cm.

    Raises BeamError `measure_out_of_range`.
    """
    _check("tragus to tragus", tragus_tragus_cm, ARC_RANGE_CM)
    _check("nasion to inion", nasion_inion_cm, ARC_RANGE_CM)
    _check("circumference", circumference_cm, RING_RANGE_CM)
    r1, r2 = SEMI_AXIS_SHARE * nasion_inion_cm, SEMI_AXIS_SHARE * tragus_tragus_cm
    slope_fz_f7, slope_c3_fp1, share = _web(r1, r2) if variant is Variant.WEB else _geometric(r1, r2)
    x = (r1 - r2 * slope_c3_fp1) / (slope_fz_f7 - slope_c3_fp1) / 2
    y = slope_fz_f7 * x - r1 / 2
    theta_deg = math.degrees(math.atan(y / x))
    return BeamF3(x_cm=circumference_cm / 4 * (90 + theta_deg) / 90, y_cm=share * math.hypot(x, y), theta_deg=theta_deg)


def measured_twice(name: str, first_cm: float, second_cm: float) -> float:
    """The mean of two measurements of one distance. Raises BeamError `measures_differ`."""
    if not abs(first_cm - second_cm) <= REPEAT_LIMIT_CM:
        what = f"{name}: {first_cm:g} and {second_cm:g} cm differ by more than {REPEAT_LIMIT_CM:g} cm"
        raise BeamError("measures_differ", what, "Beam F3", "Measure it twice more.")
    return (first_cm + second_cm) / 2


def _web(r1: float, r2: float) -> tuple[float, float, float]:
    fz_f7 = (r2 * _sin(324) + r1 / 2) / r2
    c3_fp1 = r1 * _sin(298) / (r1 * _cos(298) - r2 / 2)
    return fz_f7, c3_fp1, 0.91


def _geometric(r1: float, r2: float) -> tuple[float, float, float]:
    fz_f7 = (r2 * _sin(324) + r1 / 2) / (r2 * _cos(324))
    c3_fp1 = r1 * _sin(288) / (r1 * _cos(288) - r2 / 2)
    return fz_f7, c3_fp1, 0.90


def _sin(degrees: float) -> float:
    return math.sin(math.radians(degrees))


def _cos(degrees: float) -> float:
    return math.cos(math.radians(degrees))


def _check(name: str, value_cm: float, allowed_cm: tuple[float, float]) -> None:
    if not allowed_cm[0] <= value_cm <= allowed_cm[1]:
        what = f"{name} of {value_cm:g} cm is outside {allowed_cm[0]:g} to {allowed_cm[1]:g} cm"
        raise BeamError("measure_out_of_range", what, "Beam F3", "Measure again, in centimetres.")
