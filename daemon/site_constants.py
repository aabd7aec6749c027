"""The site's signed word on corrections of the dose: the slope over depth, and whether doses by simulated field are admitted.

Owns `constants.toml` in the site's folder, and what a correction must hold against it. No figure here has a default.
"""

import tomllib
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Final

import msgspec

from daemon.people import PHYSICIAN
from daemon.plan_values import Correction, DepthFigures, FieldFigures, LinearDepth, Matrix, PlanError, TargetField
from daemon.signed_file import SignatureError, read_signed

FILE_NAME: Final = "constants.toml"
MAX_SLOPE_MSO_PER_MM: Final = 5.0  # 3 in Stokes 2005, 2.8 in Stokes 2007: beyond this it is another unit. Engineering choice
SPHERE_MM: Final = (5.0, 10.0)  # grey matter that a field is averaged over; smaller is a single maximum. Engineering choice
SAME_MM: Final = 0.01


class Figure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Slope(Figure, frozen=True, kw_only=True):
    """Output per mm of depth, %MSO, for one kind of stimulator and the coils named, and where the figure is from."""

    slope_mso_per_mm: float
    device: str
    coils: tuple[str, ...]
    source: str


class FieldDosing(Figure, frozen=True, kw_only=True):
    """Whether doses may follow a simulated field, which is research: the simulation's and the threshold's errors are open."""

    allowed: bool
    source: str


class DoseFigures(Figure, frozen=True, kw_only=True):
    """When and with which coil a plan's threshold was measured, and the figures of its correction."""

    rmt_measured_utc: str | None = None
    rmt_coil_serial: str | None = None
    correction: DepthFigures | FieldFigures | None = None


class SiteConstants(Figure, frozen=True, kw_only=True):
    """What the site signed; what it says nothing of is not allowed. `sha256`: of the file."""

    linear: Slope | None = None
    efield: FieldDosing | None = None
    sha256: str = ""


def read_constants(folder: Path) -> SiteConstants:
    """The constants in the site's folder. Raises PlanError where there are none, or none that a physician signed."""
    path = folder / FILE_NAME
    remedy = f"Correct it, then have a {PHYSICIAN} sign it with `atmsd sign`."
    try:
        signed = read_signed(path)
        constants = msgspec.convert(signed.figures, SiteConstants)
    except SignatureError as error:
        raise PlanError(error.what, error.where, error.remedy) from error
    except msgspec.ValidationError as error:
        raise PlanError(str(error), str(path), remedy) from error
    if PHYSICIAN not in signed.roles():
        raise PlanError(f"no {PHYSICIAN} signed it", str(path), remedy)
    slope = constants.linear
    if slope is not None and not 0 < slope.slope_mso_per_mm <= MAX_SLOPE_MSO_PER_MM:
        what = f"slope_mso_per_mm is {slope.slope_mso_per_mm:g}, above 0 to {MAX_SLOPE_MSO_PER_MM:g} is believed"
        raise PlanError(what, str(path), remedy)
    return msgspec.structs.replace(constants, sha256=signed.sha256)


def read_figures(path: Path) -> DoseFigures:
    """What a person measured for one plan, from a TOML file. Raises PlanError."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), DoseFigures)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise PlanError(f"it holds no figures of a dose ({error})", path.name, "Correct the file.") from error


def corrected_by(figures: DepthFigures | FieldFigures, constants: SiteConstants | None) -> Correction:
    """The figures with what the site signed for them. Raises PlanError where the site signed nothing for this kind."""
    if isinstance(figures, DepthFigures):
        if constants is None or constants.linear is None:
            raise PlanError("the site has signed no slope over depth", FILE_NAME, "Plan without a correction, or have a slope signed.")
        slope = constants.linear.slope_mso_per_mm
        return LinearDepth(**msgspec.structs.asdict(figures), slope_mso_per_mm=slope, constants_sha256=constants.sha256)
    if constants is None or constants.efield is None or not constants.efield.allowed:
        raise PlanError("the site has not admitted doses by simulated field", FILE_NAME, "Plan without, or have it admitted.")
    return TargetField(**msgspec.structs.asdict(figures), constants_sha256=constants.sha256)


def correction_text(correction: Correction) -> str:
    """In words, for people."""
    if isinstance(correction, LinearDepth):
        depths = f"{correction.m1_depth_mm:g} mm deep at the motor cortex, {correction.target_depth_mm:g} mm at the target"
        return f"by {correction.slope_mso_per_mm:g} % of output per mm, {depths}"
    return f"by field, {correction.m1_v_per_m:g} V/m at the motor cortex, {correction.target_v_per_m:g} V/m at the target"


def correction_faults(correction: Correction, rmt_coil_serial: str | None, t1_sha256: str, mri_from_coil: Matrix) -> Iterator[str]:
    """What is wrong between a correction and the rest of its plan: another image, another coil, another pose, figures left out."""
    if correction.t1_sha256 != t1_sha256:
        yield "the correction's figures are not from the plan's T1"
    if rmt_coil_serial is None or rmt_coil_serial != correction.coil_serial or not correction.coil_serial.strip():
        yield "motor threshold and correction are not known to be of one coil"
    if isinstance(correction, TargetField):
        yield from _field_faults(correction, mri_from_coil)


def site_faults(correction: Correction | None, constants: SiteConstants | None, device: str) -> Iterator[str]:
    """What the site does not, or no longer, sign of a plan's correction for this kind of stimulator."""
    if isinstance(correction, LinearDepth):
        slope = None if constants is None else constants.linear
        if slope is None or slope.slope_mso_per_mm != correction.slope_mso_per_mm:
            yield "the site has not signed the slope that the plan's dose was corrected by"
        elif slope.device != device or correction.coil_serial not in slope.coils:
            yield f"the site signed its slope for another stimulator or coil than {device}, {correction.coil_serial}"
    elif isinstance(correction, TargetField):
        allowed = constants is not None and constants.efield is not None and constants.efield.allowed
        if not allowed:
            yield "the site has not admitted doses by simulated field"


def _field_faults(field: TargetField, mri_from_coil: Matrix) -> Iterator[str]:
    if not all(text.strip() for text in (field.solver, field.solver_version, field.head_model_sha256, field.coil_file_sha256)):
        yield "the field's solver, version, head model or coil file is not named"
    if not field.conductivities_s_per_m or not all(value > 0 for value in field.conductivities_s_per_m.values()):
        yield "the field's conductivities are not given, or not positive"
    if not (field.di_dt_a_per_us > 0 and isfinite(field.di_dt_a_per_us)):
        yield "di_dt_a_per_us must be positive"
    radius = field.sphere_radius_mm
    if (radius is not None) != (field.statistic == "sphere_mean") or (radius is not None and not SPHERE_MM[0] <= radius <= SPHERE_MM[1]):
        yield "a mean over a sphere has a radius of 5 to 10 mm, another statistic none"
    pairs = zip((x for row in field.target_mri_from_coil for x in row), (x for row in mri_from_coil for x in row), strict=True)
    if not all(abs(one - other) <= SAME_MM for one, other in pairs):
        yield "the field was not simulated at the planned pose"
