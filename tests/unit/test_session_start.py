"""What speaks against a session outside the dose record: files that changed since the plan was opened, a threshold that does not hold."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from daemon.config import Config
from daemon.day import DoseReason
from daemon.mt_rules import Stale
from daemon.mt_values import Evidence, MotorThresholdRecord, StatedThreshold
from daemon.session_start import against_start, coil_name, threshold_reasons
from daemon.treatment import Treatment, open_treatment
from tests import mt_cases, plans, sites
from tests.chairs import chair

HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    plans.make(folder / "plan.json")
    return folder / "plan.json"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = chair(tmp_path)
    assert config.site.folder is not None
    sites.limit(config.site.folder, max_sessions_per_day=10)
    return config


@pytest.fixture
def treatment(plan: Path, config: Config) -> Treatment:
    return open_treatment(plan, config)


def measured(treatment: Treatment, config: Config, **changes: object) -> MotorThresholdRecord:
    here = {"patient": treatment.opened.plan.patient, "coil_serial": coil_name(config), "device": config.stimulator.model}
    return mt_cases.record(**(here | changes))


def dosed_by(treatment: Treatment, threshold: MotorThresholdRecord | StatedThreshold) -> Treatment:
    return replace(treatment, dose=replace(treatment.dose, threshold=threshold))


def codes(treatment: Treatment, config: Config, threshold: MotorThresholdRecord | StatedThreshold, after_h: float = 1) -> tuple[Stale, ...]:
    now_us = threshold.measured_utc_us + round(after_h * HOUR_US)
    return tuple(reason.code for reason in threshold_reasons(dosed_by(treatment, threshold), config, now_us))


def test_nothing_speaks_against_a_plan_whose_files_are_as_they_were(treatment: Treatment, config: Config) -> None:
    fresh = dosed_by(treatment, measured(treatment, config))
    assert against_start(fresh, config, fresh.dose.threshold.measured_utc_us + HOUR_US) == ()


@pytest.mark.parametrize("act", ["edit", "remove"])
def test_signed_file_that_changed_while_the_plan_was_open_refuses(treatment: Treatment, config: Config, act: str) -> None:
    fresh = dosed_by(treatment, measured(treatment, config))
    path = config.site.folder / "limits.toml"  # type: ignore[operator]  # this chair has a folder
    if act == "edit":
        path.write_bytes(path.read_bytes() + b"\n")
    else:
        path.unlink()
    assert against_start(fresh, config, fresh.dose.threshold.measured_utc_us + HOUR_US) == (DoseReason.LIMITS_INVALID,)


@pytest.mark.parametrize(("after_h", "stale"), [(24, ()), (24.0001, (Stale.TOO_OLD,))])
def test_threshold_of_an_accelerated_course_holds_for_a_day(
    treatment: Treatment, config: Config, after_h: float, stale: tuple[Stale, ...]
) -> None:
    assert codes(treatment, config, measured(treatment, config), after_h) == stale


@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        ({"coil_serial": "another"}, Stale.OTHER_COIL),
        ({"device": "another"}, Stale.OTHER_DEVICE),
        ({"value_mso": 50.0, "previous_mso": 70.0}, Stale.NEEDS_REPEAT),
    ],
)
def test_threshold_that_does_not_hold_at_this_chair_refuses(
    treatment: Treatment, config: Config, changes: dict[str, object], stale: Stale
) -> None:
    threshold = measured(treatment, config, **changes)
    assert codes(treatment, config, threshold) == (stale,)
    stated = dosed_by(treatment, threshold)
    assert against_start(stated, config, threshold.measured_utc_us + HOUR_US) == (DoseReason.MT_STALE,)


def test_what_the_plan_of_a_simulated_head_states_may_be_old(treatment: Treatment, config: Config) -> None:
    stated = StatedThreshold(value_mso=60.0, measured_utc_us=measured(treatment, config).measured_utc_us)
    assert treatment.simulation_only
    assert codes(treatment, config, stated, after_h=1000) == ()
    assert codes(treatment, config, stated, after_h=-1) == (Stale.FROM_THE_FUTURE,)


def test_what_the_plan_of_a_patient_states_may_not(treatment: Treatment, config: Config) -> None:
    plan = msgspec.structs.replace(treatment.opened.plan, basis="cleared:K220177")
    real = replace(treatment, opened=replace(treatment.opened, plan=plan), protocol=replace(treatment.protocol, basis="cleared:K220177"))
    stated = StatedThreshold(value_mso=60.0, measured_utc_us=measured(treatment, config).measured_utc_us)
    assert not real.simulation_only
    assert codes(real, config, stated, after_h=25) == (Stale.TOO_OLD,)


def test_threshold_told_by_eye_is_not_enough_where_research_admitted_the_protocol(treatment: Treatment, config: Config) -> None:
    by_eye = measured(treatment, config, evidence=Evidence.VISUAL)
    assert codes(treatment, config, by_eye) == ()
    admitted = replace(treatment, use=replace(treatment.use, is_admitted=True))
    assert codes(admitted, config, by_eye) == (Stale.NOT_BY_EMG,)


def test_coil_is_held_no_further_from_its_target_than_the_limits_allow(plan: Path, config: Config) -> None:
    assert config.site.folder is not None
    sites.limit(config.site.folder, max_position_error_mm=1, max_angle_error_deg=2, off_target_ms=50)
    targets = open_treatment(plan, config).on_target
    assert (targets.leave_lateral_mm, targets.enter_lateral_mm, targets.leave_tilt_deg, targets.dwell_off_s) == (1, 1, 2, 0.05)
