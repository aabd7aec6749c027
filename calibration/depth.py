"""The set point of a treatment from the motor threshold: intensity, depth or field correction, clamps, rounding down.

Exact arithmetic on decimals: amplitudes in percent of the stimulator's output (%MSO), distances in mm. Sites are no matter here.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from calibration.bad_input import BadInput

DEPTH_RANGE_MM: Final = (Fraction(5), Fraction(40))  # scalp to cortex; outside it the image or the point is wrong
MAX_DEPTH_DIFFERENCE_MM: Final = Fraction(12)
FULL_OUTPUT_MSO: Final = Fraction(100)


class DepthError(BadInput):
    """Figures that give no set point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A set point and how it came about. `base_mso`: the threshold as the target would have it; `wanted_mso`: before the clamps."""

    base_mso: Fraction
    wanted_mso: Fraction
    limit_mso: Fraction
    set_point_mso: int

    @property
    def is_limited(self) -> bool:
        return self.wanted_mso > self.limit_mso


@dataclass(frozen=True, slots=True, kw_only=True)
class Clamps:
    """What a set point may never pass: a share of the measured threshold, and outputs in %MSO."""

    of_threshold: Fraction
    max_set_point_mso: Fraction = FULL_OUTPUT_MSO
    device_max_mso: Fraction = FULL_OUTPUT_MSO


def exact(value: float | str, name: str) -> Fraction:
    """A number exactly as it is written: 0.9 is nine tenths. Raises DepthError for what is no finite number."""
    try:
        return Fraction(value if isinstance(value, str) else repr(float(value)))
    except (ValueError, ZeroDivisionError) as error:
        raise _bad(f"{name} is {value!r}", "Give a finite number.") from error


def uncorrected(rmt_mso: Fraction, share: Fraction, clamps: Clamps) -> Corrected:
    """`share` of the threshold as measured."""
    return _clamped(_threshold(rmt_mso), rmt_mso, share, clamps)


def linear(
    rmt_mso: Fraction, share: Fraction, slope_mso_per_mm: Fraction, m1_mm: Fraction, target_mm: Fraction, clamps: Clamps
) -> Corrected:
    """Share of the threshold moved by the slope times (target's less motor cortex's scalp-to-cortex distance).

    Stokes 2005, 2007: the slope is in absolute output per mm. Raises DepthError.
    """
    for name, depth_mm in (("motor cortex", m1_mm), ("target", target_mm)):
        if not DEPTH_RANGE_MM[0] <= depth_mm <= DEPTH_RANGE_MM[1]:
            raise _bad(f"the {name} lies {float(depth_mm):g} mm deep, 5 to 40 mm are believed", "Measure it again on the same image.")
    if abs(target_mm - m1_mm) > MAX_DEPTH_DIFFERENCE_MM:
        raise _bad("the two depths differ by more than 12 mm", "Measure both again on the same image.")
    if not slope_mso_per_mm > 0:
        raise _bad("the slope is not positive", "Give it in percent of output per mm, as the site signed it.")
    adjusted = _threshold(rmt_mso) + slope_mso_per_mm * (target_mm - m1_mm)
    if not adjusted > 0:
        raise _bad("the adjusted threshold is not positive", "Check slope and depths.")
    return _clamped(adjusted, rmt_mso, share, clamps)


def efield(rmt_mso: Fraction, share: Fraction, field_m1: Fraction, field_target: Fraction, clamps: Clamps) -> Corrected:
    """Share of the output that gives the target the motor cortex's field at threshold; both fields at the same output, same unit.

    Caulfield 2021. Raises DepthError.
    """
    if not (field_m1 > 0 and field_target > 0):
        raise _bad("a field is not positive", "Give both fields at the same output, in the same unit.")
    return _clamped(_threshold(rmt_mso) * field_m1 / field_target, rmt_mso, share, clamps)


def _clamped(base_mso: Fraction, rmt_mso: Fraction, share: Fraction, clamps: Clamps) -> Corrected:
    if not share > 0:
        raise _bad("the intensity is not positive", "Give it as a share of the threshold.")
    if not min(clamps.of_threshold, clamps.max_set_point_mso, clamps.device_max_mso) > 0:
        raise _bad("a clamp is not positive", "Give the limits in percent.")
    limit = min(clamps.of_threshold * rmt_mso, clamps.max_set_point_mso, clamps.device_max_mso, FULL_OUTPUT_MSO)
    wanted = share * base_mso
    return Corrected(base_mso=base_mso, wanted_mso=wanted, limit_mso=limit, set_point_mso=math.floor(min(wanted, limit)))


def _threshold(rmt_mso: Fraction) -> Fraction:
    if not 0 < rmt_mso <= FULL_OUTPUT_MSO:
        raise _bad(f"a motor threshold of {float(rmt_mso):g} %MSO", "Give it in percent of output, above 0 and at most 100.")
    return rmt_mso


def _bad(what: str, remedy: str) -> DepthError:
    return DepthError("depth", what, "depth correction", remedy)
