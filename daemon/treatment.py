"""What a plan, its protocol and the site together allow: everything a session needs, put together once when the plan is opened.

Pure but for reading the plan's files. Refusals come as PlanError, ProtocolError or LimitsInvalid, each with what, where and what to do.
"""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import msgspec

from calibration.surface import Surface
from daemon.config import SIMULATION_ONLY, Config
from daemon.limits import Layer, Limits, LimitValue, effective_limits
from daemon.on_target import TargetLimits
from daemon.pacing import Pace
from daemon.plan import OpenedPlan, open_plan, registration_surface
from daemon.plan_values import PlanError
from daemon.protocol import Protocol, load_protocol
from daemon.session_words import Course
from drivers.values import TrainSettings

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Treatment:
    """One opened plan, ready for a session."""

    opened: OpenedPlan
    protocol: Protocol
    limits: Limits
    scalp: Surface
    course: Course
    on_target: TargetLimits

    @property
    def simulation_only(self) -> bool:
        return self.protocol.is_simulation_only or self.opened.plan.basis == SIMULATION_ONLY


def open_treatment(path: Path, config: Config) -> Treatment:
    """Read the plan and all it rests on. Takes some tenths of a second."""
    opened = open_plan(path, lambda protocol_id: load_protocol(protocol_id).sha256)
    plan = opened.plan
    if plan.auto_resume or plan.make_up:
        raise PlanError(
            "it asks for auto_resume or make_up, which only a signed plan may, and this version checks no signatures",
            str(path),
            "Make the plan without them.",
        )
    protocol = load_protocol(plan.dose.protocol)
    limits = effective_limits([_site_layer(config), protocol.limit_layer], config.site.timezone)
    return Treatment(
        opened=opened,
        protocol=protocol,
        limits=limits,
        scalp=registration_surface(opened),
        course=_course(opened, protocol, limits),
        on_target=stricter(config.on_target, plan.on_target),
    )


def stricter(site: TargetLimits, plan: TargetLimits | None) -> TargetLimits:
    """Of each limit the stricter one."""
    if plan is None:
        return site
    pairs = {name: (getattr(site, name), getattr(plan, name)) for name in TargetLimits.__struct_fields__}
    return TargetLimits(**{name: max(pair) if name == "dwell_on_s" else min(pair) for name, pair in pairs.items()})


def _site_layer(config: Config) -> Layer:
    given: dict[str, LimitValue] = {
        name: value for name, value in msgspec.structs.asdict(config.limits).items() if value is not None
    }
    return Layer(name="site", limits=given, sha256=hashlib.sha256(msgspec.json.encode(given, order="sorted")).hexdigest())


def _course(opened: OpenedPlan, protocol: Protocol, limits: Limits) -> Course:
    timing, dose = protocol.timing, opened.plan.dose
    settings = TrainSettings(
        amplitude_pct_mso=dose.set_point_mso,
        pulses_per_burst=timing.pulses_per_burst,
        intra_burst_interval_us=round(1_000_000 / timing.intra_burst_hz),
        burst_hz=decimal(timing.burst_hz),
        bursts=timing.bursts_per_train,
    )
    first_to_last_s = (timing.bursts_per_train - 1) / timing.burst_hz + (timing.pulses_per_burst - 1) / timing.intra_burst_hz
    pace = Pace(
        train_period_ns=round(protocol.train_period_s * NS),
        train_gap_ns=round(timing.train_gap_s * NS),
        train_length_ns=round(first_to_last_s * NS),
        burst_period_ns=round(NS / timing.burst_hz),
    )
    return Course(
        patient=opened.plan.patient,
        protocol=protocol.id,
        settings=settings,
        pace=pace,
        trains=protocol.trains,
        resume_window_ns=round(limits.session_resume_window_s * NS),
    )


def decimal(value: Fraction) -> str:
    """A rate as the exact decimal string that the device layer takes; rates come from decimals, so one always exists."""
    whole = value * 1_000_000_000
    if whole.denominator != 1:
        raise ValueError(f"{value} has no exact decimal")
    digits = f"{int(whole):010d}"
    return f"{digits[:-9]}.{digits[-9:]}".rstrip("0").rstrip(".")
