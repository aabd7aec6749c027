"""The one way from a motor threshold to an amplitude: intensity, correction, clamps, rounding down. And which threshold is in force.

Planning and opening both go through here. Pure, exact in the decimals as written. Percent of output and percent of threshold are
two types, so that one cannot stand where the other belongs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Final, Self

from calibration.depth import Clamps, Corrected, DepthError, efield, exact, linear, uncorrected
from daemon.limits import Limits
from daemon.mt_values import MotorThresholdRecord, StatedThreshold, is_far
from daemon.plan_values import Correction, Dose, LinearDepth, Plan, PlanError
from daemon.protocol import MAX_INTENSITY_PCT_RMT
from daemon.site_constants import SiteConstants, correction_faults, site_faults

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Output:
    """An amplitude or a threshold: percent of the stimulator's output."""

    mso: Fraction

    @classmethod
    def of(cls, mso: float) -> Self:
        """Raises DepthError for what is no finite number."""
        return cls(exact(mso, "an output"))


@dataclass(frozen=True, slots=True, order=True)
class Intensity:
    """Percent of the resting motor threshold."""

    pct_rmt: Fraction

    @classmethod
    def of(cls, pct_rmt: float) -> Self:
        """Raises DepthError for what is no finite number."""
        return cls(exact(pct_rmt, "an intensity"))


FULL_OUTPUT: Final = Output(Fraction(100))


class LimitedBy(StrEnum):
    """What kept a set point below what was wanted."""

    THRESHOLD = "max_intensity_pct_rmt"
    SITE = "max_set_point_mso"
    DEVICE = "device maximum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What no set point may pass."""

    intensity: Intensity = Intensity(Fraction(MAX_INTENSITY_PCT_RMT))
    site: Output = FULL_OUTPUT
    device: Output = FULL_OUTPUT

    @classmethod
    def of(cls, limits: Limits, device_max_mso: int) -> Self:
        """Those of the limits in force, which are within the product's, and of the device."""
        return cls(
            intensity=Intensity.of(limits.max_intensity_pct_rmt),
            site=Output.of(limits.max_set_point_mso),
            device=min(Output.of(device_max_mso), FULL_OUTPUT),
        )


PRODUCT_CAPS: Final = Caps()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPoint:
    """Whole percent of output and how it came about. `base`: the threshold as corrected; `wanted`: before the caps."""

    mso: int
    threshold: Output
    base: Output
    wanted: Output
    limit: Output
    limited_by: tuple[LimitedBy, ...]

    @property
    def is_limited(self) -> bool:
        return bool(self.limited_by)


def set_point(threshold: Output, intensity: Intensity, correction: Correction | None, caps: Caps) -> SetPoint:
    """floor(min(intensity of the corrected threshold, every cap)); the caps' share is of the threshold as measured.

    Raises DepthError for figures that give no set point.
    """
    share = intensity.pct_rmt / 100
    clamps = Clamps(of_threshold=caps.intensity.pct_rmt / 100, max_set_point_mso=caps.site.mso, device_max_mso=caps.device.mso)
    found = _corrected(threshold, share, correction, clamps)
    highest = {
        LimitedBy.THRESHOLD: clamps.of_threshold * threshold.mso,
        LimitedBy.SITE: caps.site.mso,
        LimitedBy.DEVICE: caps.device.mso,
    }
    return SetPoint(
        mso=found.set_point_mso,
        threshold=threshold,
        base=Output(found.base_mso),
        wanted=Output(found.wanted_mso),
        limit=Output(found.limit_mso),
        limited_by=tuple(cap for cap, mso in highest.items() if found.wanted_mso > mso),
    )


def _corrected(threshold: Output, share: Fraction, correction: Correction | None, clamps: Clamps) -> Corrected:
    if correction is None:
        return uncorrected(threshold.mso, share, clamps)
    if isinstance(correction, LinearDepth):
        slope = exact(correction.slope_mso_per_mm, "the slope")
        m1_mm, target_mm = exact(correction.m1_depth_mm, "m1_depth_mm"), exact(correction.target_depth_mm, "target_depth_mm")
        return linear(threshold.mso, share, slope, m1_mm, target_mm, clamps)
    m1, target = exact(correction.m1_v_per_m, "m1_v_per_m"), exact(correction.target_v_per_m, "target_v_per_m")
    return efield(threshold.mso, share, m1, target, clamps)


# ---- of a plan ---------------------------------------------------------------------------------------------------------


def planned_set_point(rmt_mso: float, intensity_pct_rmt: float, correction: Correction | None = None) -> SetPoint:
    """The set point that a plan states: under the product's caps alone, for the site's may change. Raises DepthError."""
    return set_point(Output.of(rmt_mso), Intensity.of(intensity_pct_rmt), correction, PRODUCT_CAPS)


def dose_faults(plan: Plan) -> Iterator[str]:
    """Everything that is wrong with a plan's dose by itself and against its image and pose."""
    dose = plan.dose
    rmt_is_one, intensity_is_one = 0 < dose.rmt_mso <= 100, 0 < dose.intensity_pct_rmt <= MAX_INTENSITY_PCT_RMT
    if not rmt_is_one:
        yield "rmt_mso must be above 0, at most 100"
    if not intensity_is_one:
        yield f"intensity_pct_rmt must be above 0, at most {MAX_INTENSITY_PCT_RMT}"
    if dose.rmt_measured_utc is not None and _utc_us(dose.rmt_measured_utc) is None:
        yield f"rmt_measured_utc is no moment with its zone: {dose.rmt_measured_utc!r}"
    if dose.correction is not None:
        yield from correction_faults(dose.correction, dose.rmt_coil_serial, plan.files.t1.sha256, plan.target.mri_from_coil)
    if rmt_is_one and intensity_is_one:
        yield from _set_point_faults(dose)


def _set_point_faults(dose: Dose) -> Iterator[str]:
    try:
        planned = planned_set_point(dose.rmt_mso, dose.intensity_pct_rmt, dose.correction).mso
    except DepthError as error:
        yield str(error)
    else:
        if dose.set_point_mso != planned or planned < 1:
            yield f"set_point_mso is {dose.set_point_mso} where threshold and intensity give {planned}"


# ---- of a session ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDose:
    """What a session is dosed by. `planned`: what the plan states; the two differ where the ledger's threshold is newer, or caps
    are tighter now. `needs_repeat`: the threshold moved by more than a fifth and no second person has confirmed it.
    """

    set_point: SetPoint
    planned: SetPoint
    threshold: MotorThresholdRecord | StatedThreshold
    needs_repeat: bool

    @property
    def warnings(self) -> tuple[str, ...]:
        """Short codes for the screen and the record."""
        holds = {
            "set_point_limited": self.set_point.is_limited,
            "threshold_is_newer_than_plan": isinstance(self.threshold, MotorThresholdRecord),
            "set_point_differs_from_plan": self.set_point.mso != self.planned.mso,
            "threshold_needs_repeat": self.needs_repeat,
        }
        return tuple(code for code, does in holds.items() if does)


def threshold_in_force(plan: Plan, record: MotorThresholdRecord | None) -> MotorThresholdRecord | StatedThreshold:
    """The ledger's record where it was measured later than the plan's threshold, else the plan's.

    A plan that does not say when its threshold was measured was made no earlier than that.
    """
    stated_utc_us = _utc_us(plan.dose.rmt_measured_utc or plan.created_utc)
    if stated_utc_us is None:
        raise PlanError("it does not say when it was made, with the zone", "plan", "Make the plan again.")
    if record is not None and record.measured_utc_us >= stated_utc_us:
        return record
    return StatedThreshold(value_mso=plan.dose.rmt_mso, measured_utc_us=stated_utc_us)


def session_dose(plan: Plan, record: MotorThresholdRecord | None, caps: Caps, constants: SiteConstants | None, device: str) -> SessionDose:
    """Set point of a session by this plan, with the patient's last threshold of the ledger, under the caps in force now.

    `constants`: what the site signed of corrections; `device`: the stimulator's kind. Raises PlanError.
    """
    if record is not None and record.patient != plan.patient:
        raise PlanError("the motor threshold is another patient's", "motor threshold", "Open the session again.")
    threshold = threshold_in_force(plan, record)
    correction = plan.dose.correction
    faults = list(site_faults(correction, constants, device))
    if correction is not None and isinstance(threshold, MotorThresholdRecord) and threshold.coil_serial != correction.coil_serial:
        faults.append("the motor threshold was measured with another coil than the one the dose was corrected for")
    if faults:
        raise PlanError("; ".join(faults), "dose", "Have the site's constants checked, or plan without a correction.")
    try:
        found = set_point(Output.of(threshold.value_mso), Intensity.of(plan.dose.intensity_pct_rmt), correction, caps)
        planned = planned_set_point(plan.dose.rmt_mso, plan.dose.intensity_pct_rmt, correction)
    except DepthError as error:
        raise PlanError(error.what, error.where, error.remedy) from error
    if found.mso < 1:
        raise PlanError(f"a threshold of {threshold.value_mso:g} % gives no set point", "dose", "Measure the motor threshold.")
    return SessionDose(set_point=found, planned=planned, threshold=threshold, needs_repeat=_needs_repeat(threshold, plan.dose))


def _needs_repeat(threshold: MotorThresholdRecord | StatedThreshold, dose: Dose) -> bool:
    if isinstance(threshold, StatedThreshold):
        return False
    return threshold.needs_repeat or (threshold.second_person is None and is_far(threshold.value_mso, dose.rmt_mso))


def _utc_us(text: str) -> int | None:
    """Microseconds of UTC; None for what is no moment with its zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else (moment - _EPOCH) // timedelta(microseconds=1)
