"""From a motor threshold to an amplitude: one function, what limits it, and which threshold is in force."""

from fractions import Fraction

import msgspec
import pytest

from calibration.depth import DepthError
from calibration.motor_threshold import Method
from daemon.limits import Layer, effective_limits
from daemon.mt_values import Evidence, MotorThresholdRecord, StatedThreshold
from daemon.plan import read_plan
from daemon.plan_values import DepthFigures, FieldFigures, LinearDepth, PlanError, TargetField
from daemon.set_point import Caps, Intensity, LimitedBy, Output, planned_set_point, session_dose, set_point, threshold_in_force
from daemon.site_constants import FieldDosing, SiteConstants, Slope, corrected_by
from daemon.treatment import dosed_by, open_treatment
from tests import plans
from tests.chairs import chair

replace = msgspec.structs.replace
CREATED_US = 1_777_881_600_000_000  # 2026-05-04T08:00:00Z, as tests.plans has it
CONSTANTS = SiteConstants(
    linear=Slope(slope_mso_per_mm=3.0, device="magventure", coils=("C-1",), source="typed in"),
    efield=FieldDosing(allowed=True, source="typed in"),
    sha256="c" * 64,
)
LINEAR = LinearDepth(
    m1_depth_mm=16.4,
    target_depth_mm=19.1,
    t1_sha256="a" * 64,
    coil_serial="C-1",
    slope_mso_per_mm=3.0,
    constants_sha256="c" * 64,
)
IDENTITY = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def field(plan, **changes) -> TargetField:
    figures = {
        "m1_v_per_m": 1.3,
        "target_v_per_m": 1.1,
        "di_dt_a_per_us": 1.0,
        "statistic": "sphere_mean",
        "sphere_radius_mm": 5.0,
        "solver": "a solver",
        "solver_version": "4.1",
        "t1_sha256": plan.files.t1.sha256,
        "head_model_sha256": "b" * 64,
        "coil_file_sha256": "d" * 64,
        "coil_serial": "C-1",
        "conductivities_s_per_m": {"grey matter": 0.275},
        "m1_mri_from_coil": IDENTITY,
        "target_mri_from_coil": plan.target.mri_from_coil,
        "constants_sha256": "c" * 64,
    }
    return TargetField(**(figures | changes))


def record(**changes) -> MotorThresholdRecord:
    fields = {
        "patient": "P001",
        "value_mso": 52.0,
        "method": Method.PEST,
        "n_pulses": 18,
        "interval_mso": (49.0, 55.0),
        "evidence": Evidence.EMG,
        "muscle": "APB",
        "side": "right",
        "coil_serial": "C-1",
        "device": "magventure 1",
        "operator": "A",
        "measured_utc_us": CREATED_US + 1,
    }
    return MotorThresholdRecord(**(fields | changes))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    return path, plans.make(path)


@pytest.fixture
def plan(made):
    return made[1]


def with_dose(plan, **changes):
    return replace(plan, dose=replace(plan.dose, **changes))


def corrected(plan, correction, **changes):
    """The plan with a correction, its own T1, and the set point that follows."""
    found = planned_set_point(plan.dose.rmt_mso, plan.dose.intensity_pct_rmt, correction)
    return with_dose(plan, correction=correction, rmt_coil_serial="C-1", set_point_mso=found.mso, **changes)


def on_plan(plan, **changes) -> LinearDepth:
    return replace(LINEAR, t1_sha256=plan.files.t1.sha256, **changes)


# ---- the function ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "intensity", "correction", "expected"),
    [
        (52, 90, None, 46),
        (52, 90, LINEAR, 54),
        (58, 90, replace(LINEAR, m1_depth_mm=18.0, target_depth_mm=15.5), 45),
        (45, 90, replace(LINEAR, m1_depth_mm=14.0, target_depth_mm=24.0), 54),
        (52, 120, replace(LINEAR, slope_mso_per_mm=2.8), 62),
    ],
)
def test_worked_examples_give_their_set_points(threshold, intensity, correction, expected):
    assert planned_set_point(threshold, intensity, correction).mso == expected


def test_field_correction_gives_the_target_the_motor_cortexs_field(plan):
    found = planned_set_point(50, 90, field(plan))
    assert (found.mso, found.base.mso) == (53, Fraction(650, 11))
    limited = planned_set_point(50, 100, field(plan, m1_v_per_m=158.2, target_v_per_m=118.5))
    assert (limited.mso, limited.limited_by) == (60, (LimitedBy.THRESHOLD,))


def test_what_was_wanted_is_kept_beside_what_limits_it():
    found = planned_set_point(45, 90, replace(LINEAR, m1_depth_mm=14.0, target_depth_mm=24.0))
    assert (found.wanted.mso, found.limit.mso, found.limited_by) == (Fraction("67.5"), Fraction(54), (LimitedBy.THRESHOLD,))


@pytest.mark.parametrize(
    ("caps", "expected", "limited_by"),
    [
        (Caps(), 60, ()),
        (Caps(intensity=Intensity.of(100)), 50, (LimitedBy.THRESHOLD,)),
        (Caps(site=Output.of(41)), 41, (LimitedBy.SITE,)),
        (Caps(device=Output.of(42)), 42, (LimitedBy.DEVICE,)),
        (Caps(site=Output.of(41), device=Output.of(42)), 41, (LimitedBy.SITE, LimitedBy.DEVICE)),
    ],
)
def test_each_cap_limits_and_is_named(caps, expected, limited_by):
    found = set_point(Output.of(50), Intensity.of(120), None, caps)
    assert (found.mso, found.limited_by) == (expected, limited_by)


def test_percent_of_output_cannot_stand_for_percent_of_threshold():
    with pytest.raises(AttributeError):
        set_point(Intensity.of(50), Output.of(90), None, Caps())


def test_caps_are_those_of_the_limits_and_never_above_the_products():
    layer = {
        "max_intensity_pct_rmt": 100,
        "max_set_point_mso": 70,
        "max_sessions_per_day": 1,
        "max_pulses_per_day": 1,
        "min_gap_s": 900,
        "max_course_sessions": 1,
        "max_treatment_days": 1,
    }
    limits = effective_limits([Layer(name="site", limits=layer, sha256="")], "Etc/UTC")
    caps = Caps.of(limits, 80)
    assert (caps.intensity, caps.site, caps.device) == (Intensity.of(100), Output.of(70), Output.of(80))
    assert Caps.of(limits, 250).device == Output.of(100)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_threshold_that_is_no_number_gives_no_set_point(value):
    with pytest.raises(DepthError):
        planned_set_point(value, 90)
    with pytest.raises(DepthError):
        planned_set_point(50, value)


# ---- a plan's dose -----------------------------------------------------------------------------------------------------


def refusal(path, plan) -> str:
    with pytest.raises(PlanError) as refused:
        read_plan(plans.rewritten(path.parent, plan))
    return str(refused.value)


def test_plans_without_corrections_are_written_as_they_always_were(made):
    text = made[0].read_text()
    assert not any(word in text for word in ("correction", "rmt_measured_utc", "rmt_coil_serial"))


@pytest.mark.parametrize("correction", [on_plan, field])
def test_a_plan_with_a_correction_is_read_back_as_it_was_written(made, correction):
    path, plan = made
    whole = corrected(plan, correction(plan), rmt_measured_utc="2026-05-04T07:00:00+00:00")
    read = read_plan(plans.rewritten(path.parent, whole))
    assert read.dose == whole.dose


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"t1_sha256": "0" * 64}, "not from the plan's T1"),
        ({"coil_serial": "C-2"}, "of one coil"),
        ({"m1_depth_mm": 4.9}, "5 to 40 mm"),
        ({"target_depth_mm": 40.1}, "5 to 40 mm"),
        ({"target_depth_mm": 29.0}, "more than 12 mm"),
    ],
)
def test_depths_that_do_not_belong_to_the_plan_are_refused(made, changes, told):
    path, plan = made
    wrong = with_dose(plan, correction=replace(on_plan(plan), **changes), rmt_coil_serial="C-1", set_point_mso=54)
    assert told in refusal(path, wrong)


def test_a_correction_needs_to_know_the_thresholds_coil(made):
    path, plan = made
    assert "of one coil" in refusal(path, replace(corrected(plan, on_plan(plan)), dose=with_dose(plan, correction=on_plan(plan)).dose))


def test_a_correction_needs_a_named_coil(made):
    path, plan = made
    whole = corrected(plan, on_plan(plan, coil_serial=" "))
    assert "of one coil" in refusal(path, with_dose(whole, rmt_coil_serial=" "))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"solver": ""}, "solver"),
        ({"head_model_sha256": " "}, "head model"),
        ({"conductivities_s_per_m": {}}, "conductivities"),
        ({"conductivities_s_per_m": {"skull": 0.0}}, "conductivities"),
        ({"di_dt_a_per_us": 0.0}, "di_dt"),
        ({"sphere_radius_mm": None}, "5 to 10 mm"),
        ({"sphere_radius_mm": 4.9}, "5 to 10 mm"),
        ({"sphere_radius_mm": 10.1}, "5 to 10 mm"),
        ({"statistic": "percentile_99"}, "5 to 10 mm"),
        ({"target_mri_from_coil": IDENTITY}, "planned pose"),
        ({"target_v_per_m": 0.0}, "field is not positive"),
    ],
)
def test_fields_that_leave_something_open_are_refused(made, changes, told):
    path, plan = made
    wrong = with_dose(plan, correction=field(plan, **changes), rmt_coil_serial="C-1", set_point_mso=53)
    assert told in refusal(path, wrong)


@pytest.mark.parametrize("text", ["yesterday", "2026-05-04T07:00:00"])
def test_a_threshold_is_measured_at_a_moment_with_its_zone(made, text):
    path, plan = made
    assert "rmt_measured_utc" in refusal(path, with_dose(plan, rmt_measured_utc=text))


def test_a_set_point_that_forgets_the_correction_is_refused(made):
    path, plan = made
    wrong = with_dose(plan, correction=on_plan(plan), rmt_coil_serial="C-1")
    assert "set_point_mso is 45" in refusal(path, wrong)


def test_a_dose_too_low_for_any_set_point_is_refused(made):
    path, plan = made
    assert "set_point_mso is 0" in refusal(path, with_dose(plan, rmt_mso=0.5, set_point_mso=0))


def test_a_plan_is_made_with_its_correction(made, tmp_path):
    correction = on_plan(made[1])
    plan = plans.make(tmp_path / "plan.json", rmt_mso=52.0, rmt_coil_serial="C-1", correction=correction)
    assert (plan.dose.set_point_mso, plan.dose.correction) == (54, correction)


# ---- a session's dose --------------------------------------------------------------------------------------------------


def test_a_threshold_measured_after_the_plan_replaces_the_plans_and_both_are_kept(plan):
    dose = session_dose(plan, record(), Caps(), None, "magventure")
    assert (dose.set_point.mso, dose.planned.mso, dose.threshold) == (46, 45, record())
    assert dose.warnings == ("threshold_is_newer_than_plan", "set_point_differs_from_plan")


def test_a_threshold_measured_before_the_plan_changes_nothing(plan):
    old = record(measured_utc_us=CREATED_US - 1)
    dose = session_dose(plan, old, Caps(), None, "magventure")
    assert dose.threshold == StatedThreshold(value_mso=50.0, measured_utc_us=CREATED_US)
    assert (dose.set_point.mso, dose.warnings) == (45, ())


def test_the_plans_own_moment_of_measuring_counts_where_it_is_stated(plan):
    stated = with_dose(plan, rmt_measured_utc="2026-05-01T08:00:00+00:00")
    between = record(measured_utc_us=CREATED_US - 3_600_000_000)
    assert threshold_in_force(stated, between) == between
    assert isinstance(threshold_in_force(plan, between), StatedThreshold)
    assert isinstance(threshold_in_force(stated, None), StatedThreshold)


@pytest.mark.parametrize(("value", "second", "expected"), [(60.0, None, False), (60.1, None, True), (39.9, None, True), (60.1, "B", False)])
def test_a_change_of_more_than_a_fifth_from_the_plan_needs_a_second_person(plan, value, second, expected):
    dose = session_dose(plan, record(value_mso=value, second_person=second), Caps(), None, "magventure")
    assert dose.needs_repeat is expected
    assert ("threshold_needs_repeat" in dose.warnings) is expected


def test_a_record_that_nobody_repeated_stays_flagged_however_near_the_plan(plan):
    assert session_dose(plan, record(previous_mso=40.0), Caps(), None, "magventure").needs_repeat


def test_tighter_caps_lower_the_sessions_set_point_and_say_so(plan):
    dose = session_dose(plan, None, Caps(site=Output.of(40)), None, "magventure")
    assert (dose.set_point.mso, dose.set_point.wanted, dose.planned.mso) == (40, Output.of(45), 45)
    assert dose.warnings == ("set_point_limited", "set_point_differs_from_plan")


def test_another_patients_threshold_is_refused(plan):
    with pytest.raises(PlanError, match="another patient"):
        session_dose(plan, record(patient="P002"), Caps(), None, "magventure")


def test_a_threshold_too_low_for_any_set_point_is_refused(plan):
    with pytest.raises(PlanError, match="no set point"):
        session_dose(plan, record(value_mso=0.5), Caps(), None, "magventure")


@pytest.mark.parametrize(
    ("constants", "device", "told"),
    [
        (None, "magventure", "signed the slope"),
        (SiteConstants(), "magventure", "signed the slope"),
        (replace(CONSTANTS, linear=replace(CONSTANTS.linear, slope_mso_per_mm=2.8)), "magventure", "signed the slope"),
        (replace(CONSTANTS, linear=replace(CONSTANTS.linear, coils=("C-2",))), "magventure", "another stimulator or coil"),
        (CONSTANTS, "magstim", "another stimulator or coil"),
    ],
)
def test_a_slope_that_the_site_does_not_sign_for_this_chair_is_refused(plan, constants, device, told):
    with pytest.raises(PlanError, match=told):
        session_dose(corrected(plan, on_plan(plan)), None, Caps(), constants, device)


@pytest.mark.parametrize("constants", [None, SiteConstants(), replace(CONSTANTS, efield=FieldDosing(allowed=False, source="no"))])
def test_field_doses_that_the_site_does_not_admit_are_refused(plan, constants):
    with pytest.raises(PlanError, match="admitted"):
        session_dose(corrected(plan, field(plan)), None, Caps(), constants, "magventure")


@pytest.mark.parametrize("correction", [on_plan, field])
def test_a_threshold_of_another_coil_does_not_go_with_a_correction(plan, correction):
    whole = corrected(plan, correction(plan))
    assert session_dose(whole, record(), Caps(), CONSTANTS, "magventure").threshold == record()
    with pytest.raises(PlanError, match="another coil"):
        session_dose(whole, record(coil_serial="C-2"), Caps(), CONSTANTS, "magventure")


def test_a_newer_threshold_goes_through_the_same_correction(plan):
    dose = session_dose(corrected(plan, on_plan(plan)), record(), Caps(), CONSTANTS, "magventure")
    assert (dose.set_point.mso, dose.set_point.wanted) == (54, Output.of(54.09))


def test_figures_are_completed_by_what_the_site_signed_alone(plan):
    figures = msgspec.convert(msgspec.to_builtins(on_plan(plan)) | {"slope_mso_per_mm": 3.0}, LinearDepth)
    depth = DepthFigures(m1_depth_mm=16.4, target_depth_mm=19.1, t1_sha256=plan.files.t1.sha256, coil_serial="C-1")
    assert corrected_by(depth, CONSTANTS) == figures
    whole = field(plan)
    fields = FieldFigures(**{name: getattr(whole, name) for name in FieldFigures.__struct_fields__})
    assert corrected_by(fields, CONSTANTS) == whole
    for given in (depth, fields):
        for constants in (None, SiteConstants(), SiteConstants(efield=FieldDosing(allowed=False, source="no"))):
            with pytest.raises(PlanError, match="site has"):
                corrected_by(given, constants)


# ---- the treatment -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def treatment(made, tmp_path_factory):
    config = chair(tmp_path_factory.mktemp("chair"))
    return open_treatment(made[0], config), config


def test_an_opened_plan_is_dosed_by_its_own_threshold(treatment):
    opened, _ = treatment
    assert opened.course.settings.amplitude_pct_mso == opened.dose.set_point.mso == 45


def test_a_newer_threshold_changes_the_amplitude_that_is_sent(treatment):
    opened, config = treatment
    later = dosed_by(opened, config, record())
    assert later.course.settings.amplitude_pct_mso == later.dose.set_point.mso == 46
    assert dosed_by(opened, config, None).course == opened.course


def test_the_chairs_ceiling_is_a_cap(treatment):
    opened, config = treatment
    low = replace(config, stimulator=replace(config.stimulator, max_amplitude_pct_mso=30))
    dosed = dosed_by(opened, low, None)
    assert (dosed.course.settings.amplitude_pct_mso, dosed.dose.set_point.limited_by) == (30, (LimitedBy.DEVICE,))
