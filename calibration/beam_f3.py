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
ROUNDING_CM: Final = 1e-9  # 32.2 less 31.7 is a hair more than a half in binary
MRI_ARC_CM: Final = 0.35  # navigation finds the arc from the vertex longer by this (Mir-Moghtadaei 2015, Brain Stimul 8:965): an option


class BeamError(BadInput):
    """Measurements from which no point may be laid out."""


class Variant(StrEnum):
    """`WEB`: the calculator that clinics use. `GEOMETRIC`: what follows from the construction. Up to a centimetre apart."""

    WEB = "web"
    GEOMETRIC = "geometric"


@dataclass(frozen=True, slots=True)
class _Construction:
    f7_across: float  # share of the semi-axis T3-T4 at which F7 is taken
    fp1_deg: float  # Fp1 on the ring, counted as F7's 324 degrees are
    arc_share: float  # of the length in the flattened plane


_CONSTRUCTIONS: Final = {
    Variant.WEB: _Construction(f7_across=1.0, fp1_deg=298.0, arc_share=0.91),
    Variant.GEOMETRIC: _Construction(f7_across=math.cos(math.radians(324.0)), fp1_deg=288.0, arc_share=0.90),
}
_F7_FORWARD: Final = math.sin(math.radians(324.0))


@dataclass(frozen=True, slots=True)
class BeamF3:
    """`x_cm` along the ring from the midline, `y_cm` from the vertex towards it; `theta_deg` in the flattened plane, negative.

    A point without its variant's name is no point: the variants differ by more than the method's own error.
    """

    variant: Variant
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
    built = _CONSTRUCTIONS[variant]
    r1, r2 = SEMI_AXIS_SHARE * nasion_inion_cm, SEMI_AXIS_SHARE * tragus_tragus_cm
    slope = (r2 * _F7_FORWARD + r1 / 2) / (r2 * built.f7_across)  # of the line Fz-F7
    fp1 = math.radians(built.fp1_deg)
    run, rise = r1 * math.cos(fp1) - r2 / 2, r1 * math.sin(fp1)  # of the line C3-Fp1: on some heads it has no slope, run is 0
    x = (r1 * run - r2 * rise) / (slope * run - rise) / 2
    y = slope * x - r1 / 2
    theta_deg = math.degrees(math.atan(y / x))
    return BeamF3(
        variant=variant,
        x_cm=circumference_cm / 4 * (90 + theta_deg) / 90,
        y_cm=built.arc_share * math.hypot(x, y),
        theta_deg=theta_deg,
    )


def measured_twice(name: str, first_cm: float, second_cm: float) -> float:
    """The mean of two measurements of one distance. Raises BeamError `measures_differ`."""
    if not abs(first_cm - second_cm) <= REPEAT_LIMIT_CM + ROUNDING_CM:
        what = f"{name}: {first_cm:g} and {second_cm:g} cm differ by more than {REPEAT_LIMIT_CM:g} cm"
        raise BeamError("measures_differ", what, "Beam F3", "Measure it twice more.")
    return (first_cm + second_cm) / 2


def _check(name: str, value_cm: float, allowed_cm: tuple[float, float]) -> None:
    if not allowed_cm[0] <= value_cm <= allowed_cm[1]:
        what = f"{name} of {value_cm:g} cm is outside {allowed_cm[0]:g} to {allowed_cm[1]:g} cm"
        raise BeamError("measure_out_of_range", what, "Beam F3", "Measure again, in centimetres.")
