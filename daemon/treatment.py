"""What a plan, its protocol, its course and the site together allow: everything a session needs, put together once when the plan is opened.

Pure but for reading files. Refusals come as PlanError, ProtocolError or LimitsInvalid, each with what, where and what to do.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from calibration.frames import Transform
from calibration.scalp_patch import ScalpPatch, patch_of
from calibration.surface import Surface
from daemon.config import SIMULATION_ONLY, Config
from daemon.course import Course as DayCourse
from daemon.course import Given, Spacing, load_course, next_onset_us
from daemon.limit_files import SiteLimits, site_limits
from daemon.limits import Layer, Limits, effective_limits
from daemon.mt_values import MotorThresholdRecord
from daemon.on_target import TargetLimits
from daemon.pacing import Pace
from daemon.plan import OpenedPlan, open_plan, registration_surface
from daemon.plan_values import Dose, PlanError
from daemon.protocol import NotUsable, Protocol, load_protocol
from daemon.protocol_device import device_reasons, pacing_of, train_settings
from daemon.protocol_site import PinnedFile, ProtocolSite, changed_files, read_protocol_site
from daemon.protocol_use import Coil, Use, require_course, require_use
from daemon.session_words import Course
from daemon.set_point import Caps, SessionDose, session_dose
from daemon.site_constants import FILE_NAME, SiteConstants, read_constants

NS, US_PER_S = 1_000_000_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Treatment:
    """One opened plan, ready for a session. `day_course` None: the protocol's own limits say how often."""

    opened: OpenedPlan
    protocol: Protocol
    limits: Limits
    scalp: Surface
    course: Course
    on_target: TargetLimits
    use: Use
    site: SiteLimits
    pinned: tuple[PinnedFile, ...]
    dose: SessionDose
    constants: SiteConstants | None = None
    day_course: DayCourse | None = None
    scalp_patch: ScalpPatch | None = None  # around the target

    @property
    def simulation_only(self) -> bool:
        return self.protocol.is_simulation_only or self.opened.plan.basis == SIMULATION_ONLY

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of the plan, of the dose as it stands now, and of the ground it is given on: for every screen and report."""
        outside = ("outside_safety_tables",) if self.outside_admitted else ()
        overrides = tuple(f"override_refused: {refused}" for refused in self.site.refused_overrides)
        return (*self.opened.plan.warnings, *self.dose.warnings, *outside, *overrides)

    @property
    def basis(self) -> str:
        """On what ground it is started, for every report: with the device, where it is another's clearance."""
        if self.simulation_only or self.use.basis is None:
            return SIMULATION_ONLY
        return self.use.basis if self.use.cleared_for is None else f"{self.use.basis}, for {self.use.cleared_for}: elsewhere off-label"

    @property
    def outside_admitted(self) -> bool:
        """Outside every safety table and admitted by research alone: to be marked on every screen and report."""
        return self.use.is_admitted

    def next_session_us(self, last: Given) -> int:
        """Earliest first pulse of the day's next session by plan and limit alike, on the clock of `last`: late starts shift the rest."""
        spacing = Spacing() if self.day_course is None else self.day_course.spacing
        return next_onset_us(spacing, math.ceil(self.limits.min_gap_s * US_PER_S), last)

    def changed_files(self) -> tuple[str, ...]:
        """Protocol, course and signed files that are no longer what was read: nothing may be armed on them."""
        return (*(str(path) for path in changed_files(self.pinned)), *self.site.changed())


def open_treatment(path: Path, config: Config) -> Treatment:
    """Read the plan and all it rests on. Takes some tenths of a second."""
    site = read_protocol_site(config.site.folder)
    opened = open_plan(path, lambda protocol_id: load_protocol(protocol_id, site.folder).sha256)
    plan = opened.plan
    if plan.auto_resume or plan.make_up:
        raise PlanError(
            "it asks for auto_resume or make_up, which only a signed plan may, and this version checks no signatures",
            str(path),
            "Make the plan without them.",
        )
    protocol = load_protocol(plan.dose.protocol, site.folder)
    day_course = _day_course(plan.dose, protocol, site, path)
    use = require_use(protocol, plan.dose.intensity_pct_rmt, site, Coil(coil_class=config.stimulator.coil_class))
    figures = site_limits(config, plan.patient)
    limits = effective_limits(figures.layers(dose_layer(protocol, day_course)), config.site.timezone)
    constants = _constants(plan.dose, config)
    scalp = registration_surface(opened)
    dose = session_dose(plan, None, Caps.of(limits, config.stimulator.max_amplitude_pct_mso), constants, config.stimulator.kind)
    return Treatment(
        opened=opened,
        protocol=protocol,
        limits=limits,
        scalp=scalp,
        course=_course(plan.patient, dose, protocol, limits, config),
        on_target=within(stricter(config.on_target, plan.on_target), limits),
        use=use,
        site=figures,
        pinned=(*_pinned(protocol, day_course, site), *_pinned_constants(constants, config)),
        dose=dose,
        constants=constants,
        day_course=day_course,
        scalp_patch=patch_of(scalp, Transform("mri", "coil", np.array(plan.target.mri_from_coil, dtype=np.float64))),
    )


def dosed_by(treatment: Treatment, config: Config, record: MotorThresholdRecord | None) -> Treatment:
    """The same with the patient's last motor threshold of the ledger, where that is newer than the plan's.

    Raises PlanError, and NotUsable where the device cannot deliver the amplitude that follows.
    """
    plan, limits = treatment.opened.plan, treatment.limits
    caps = Caps.of(limits, config.stimulator.max_amplitude_pct_mso)
    dose = session_dose(plan, record, caps, treatment.constants, config.stimulator.kind)
    return replace(treatment, dose=dose, course=_course(plan.patient, dose, treatment.protocol, limits, config))


def stricter(site: TargetLimits, plan: TargetLimits | None) -> TargetLimits:
    """Of each limit the stricter one."""
    if plan is None:
        return site
    pairs = {name: (getattr(site, name), getattr(plan, name)) for name in TargetLimits.__struct_fields__}
    return TargetLimits(**{name: max(pair) if name == "dwell_on_s" else min(pair) for name, pair in pairs.items()})


def within(targets: TargetLimits, limits: Limits) -> TargetLimits:
    """The same, no wider than the limits in force: these name the leave limits of lateral error and tilt, and how long beyond them."""
    lateral_mm, tilt_deg = limits.max_position_error_mm, limits.max_angle_error_deg
    return msgspec.structs.replace(
        targets,
        enter_lateral_mm=min(targets.enter_lateral_mm, lateral_mm),
        leave_lateral_mm=min(targets.leave_lateral_mm, lateral_mm),
        enter_tilt_deg=min(targets.enter_tilt_deg, tilt_deg),
        leave_tilt_deg=min(targets.leave_tilt_deg, tilt_deg),
        dwell_off_s=min(targets.dwell_off_s, limits.off_target_ms / 1000),
    )


def dose_layer(protocol: Protocol, course: DayCourse | None) -> Layer:
    """The protocol's layer of limits, as its course has it where there is one."""
    return protocol.limit_layer if course is None else course.limit_layer(protocol)


def _day_course(dose: Dose, protocol: Protocol, site: ProtocolSite, path: Path) -> DayCourse | None:
    if dose.course is None:
        return None
    course = load_course(dose.course, site.folder)
    if course.sha256 != dose.course_sha256:
        raise PlanError(f"{course.id} changed after the plan was made", path.name, "Make the plan again.")
    require_course(course, protocol, site)
    return course


def _pinned(protocol: Protocol, course: DayCourse | None, site: ProtocolSite) -> tuple[PinnedFile, ...]:
    files: Mapping[Path, str] = {each.path: each.sha256 for each in (protocol, course) if each is not None}
    return (*(PinnedFile(path=path, sha256=sha256) for path, sha256 in files.items()), *site.pinned)


def _constants(dose: Dose, config: Config) -> SiteConstants | None:
    """Read where the dose needs them, and there they must be."""
    if dose.correction is None or config.site.folder is None:
        return None
    return read_constants(config.site.folder)


def _pinned_constants(constants: SiteConstants | None, config: Config) -> tuple[PinnedFile, ...]:
    if constants is None or config.site.folder is None:
        return ()
    return (PinnedFile(path=config.site.folder / FILE_NAME, sha256=constants.sha256),)


def _course(patient: str, dose: SessionDose, protocol: Protocol, limits: Limits, config: Config) -> Course:
    timing = protocol.timing
    settings = train_settings(timing, dose.set_point.mso)
    if reasons := device_reasons(timing, settings, config):
        remedy = "Choose a protocol that this stimulator can deliver, or another intensity."
        raise NotUsable(f"the {config.stimulator.model} cannot deliver it: {'; '.join(reasons)}", protocol.id, remedy)
    pace = Pace(
        train_period_ns=round(protocol.train_period_s * NS),
        train_gap_ns=round(timing.train_gap_s * NS),
        train_length_ns=round(timing.train_first_to_last_s * NS),
        burst_period_ns=round(NS / timing.burst_hz),
    )
    return Course(
        patient=patient,
        protocol=protocol.id,
        settings=settings,
        pace=pace,
        trains=protocol.trains,
        pacing=pacing_of(timing, config),
        resume_window_ns=round(limits.session_resume_window_s * NS),
    )
