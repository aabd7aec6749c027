"""A plan opened at a chair: protocol, course, site, coil and stimulator together, and each refusal with its reasons."""

from pathlib import Path

import msgspec
import pytest

from daemon.config import ConfigError
from daemon.course import Given, load_course
from daemon.limits import LimitsInvalid
from daemon.on_target import TargetLimits
from daemon.plan import write_plan
from daemon.plan_values import Plan, PlanError
from daemon.protocol import NotUsable, ProtocolError, load_protocol
from daemon.protocol_device import decimal, device_reasons, train_settings
from daemon.protocol_timing import parse_timing
from daemon.set_point import planned_set_point
from daemon.treatment import Treatment, open_treatment, stricter
from tests import plans, sites
from tests.chairs import chair


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    folder = tmp_path_factory.mktemp("treatment")
    return folder, plans.make(folder / "plan.json")


def plan_of(
    planned: tuple[Path, Plan], protocol_id: str, pct: float | None = None, *, site: Path | None = None, course: str | None = None
) -> Path:
    """The sample plan with another dose and a fitting checksum."""
    folder, plan = planned
    protocol = load_protocol(protocol_id, site)
    intensity = float(pct if pct is not None else protocol.intensity_pct_rmt or 90)
    loaded = None if course is None else load_course(course, site)
    dose = msgspec.structs.replace(
        plan.dose,
        protocol=protocol.id,
        protocol_sha256=protocol.sha256,
        intensity_pct_rmt=intensity,
        set_point_mso=planned_set_point(plan.dose.rmt_mso, intensity).mso,
        course=None if loaded is None else loaded.id,
        course_sha256=None if loaded is None else loaded.sha256,
    )
    return plans.rewritten(folder, plan, dose=dose)


def refused(planned: tuple[Path, Plan], tmp_path: Path, protocol_id: str, pct: float | None = None, **changes: object) -> str:
    with pytest.raises(ProtocolError) as caught:
        open_treatment(plan_of(planned, protocol_id, pct), chair(tmp_path, **changes))
    return str(caught.value)


def opened(planned: tuple[Path, Plan], tmp_path: Path, protocol_id: str, **changes: object) -> Treatment:
    return open_treatment(plan_of(planned, protocol_id), chair(tmp_path, **changes))


def test_demonstration_opens_with_its_own_limits(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    treatment = opened(planned, tmp_path, "demo_itbs90")
    assert (treatment.limits.max_sessions_per_day, treatment.limits.min_gap_s) == (10, 900)
    assert (treatment.simulation_only, treatment.basis, treatment.outside_admitted) == (True, "simulation only", False)
    assert (treatment.course.settings.burst_hz, treatment.course.settings.intra_burst_interval_us) == ("5", 20_000)
    assert treatment.course.pace.train_period_ns == 10_000_000_000
    assert treatment.course.pace.train_length_ns == 1_840_000_000
    assert treatment.day_course is None


@pytest.mark.parametrize("protocol_id", ["itbs600", "itbs1800"])
def test_theta_burst_in_use_opens_at_the_room_s_chair(planned: tuple[Path, Plan], tmp_path: Path, protocol_id: str) -> None:
    treatment = opened(planned, tmp_path, protocol_id, site=False)
    assert treatment.use.judgement.support == "CLEARED_EXACT"
    assert treatment.course.pulses == load_protocol(protocol_id).total_pulses


def test_plain_pulses_are_asked_of_the_device_as_single_ones(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    settings = opened(planned, tmp_path, "rtms10_std_3000").course.settings
    assert (settings.pulses_per_burst, settings.intra_burst_interval_us, settings.burst_hz, settings.bursts) == (1, 0, "10", 40)
    assert settings.pulses == 40


def test_protocol_on_memory_is_refused_when_the_plan_is_opened(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    assert "rests on memory" in refused(planned, tmp_path, "rtms10_dash_3000")
    sites.enable(tmp_path / "site", "rtms10_dash_3000")
    sites.sign_tables(tmp_path / "site", "cleared")
    assert opened(planned, tmp_path, "rtms10_dash_3000").basis == "simulation only"  # the plan's own subject is a template


def test_intensity_of_the_plan_is_judged_and_not_the_protocol_s(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    assert "90 % at most" in refused(planned, tmp_path, "itbs1800", 91)


def test_chair_of_another_coil_is_refused(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    path = plan_of(planned, "itbs600")
    config = chair(tmp_path)
    other = msgspec.structs.replace(config, stimulator=msgspec.structs.replace(config.stimulator, coil_class="circular"))
    with pytest.raises(NotUsable, match="needs a figure-8 coil, and this chair has circular"):
        open_treatment(path, other)


def test_train_that_would_outlive_the_host_is_refused_by_its_length(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    site = tmp_path / "site"
    config = chair(tmp_path)
    sites.enable(site, "rtms1_right_360", basis="off_label:Physician A")
    sites.sign_tables(site, "rossi2009")
    sites.limit(site, **sites.ONE_A_DAY)
    with pytest.raises(NotUsable, match=r"a train of 360 s runs on when the host dies; \[stimulator\].longest_train_s is 10 s"):
        open_treatment(plan_of(planned, "rtms1_right_360", 110), config)
    longer = chair(tmp_path, stimulator="longest_train_s = 360.0")
    assert open_treatment(plan_of(planned, "rtms1_right_360", 110), longer).course.settings.bursts == 360


@pytest.mark.parametrize("longest_s", ["0.0", "-1.0", "1200.1", "nan", "inf"])
def test_no_chair_may_leave_a_device_alone_for_longer_than_20_minutes(tmp_path: Path, longest_s: str) -> None:
    with pytest.raises(ConfigError, match=r"\[stimulator\]\.longest_train_s: above 0, at most 1200"):
        chair(tmp_path, stimulator=f"longest_train_s = {longest_s}")


def test_device_s_own_reasons_are_told(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    site = tmp_path / "site"
    chair(tmp_path)
    sites.enable(site, "itbs600_30hz", basis="off_label:Physician A")
    sites.limit(site, **sites.ONE_A_DAY)
    text = refused(planned, tmp_path, "itbs600_30hz")
    assert "the x100-option cannot deliver it: an interval of 33333 us inside the burst is not one of the device's steps" in text


def test_theta_burst_is_not_possible_on_a_device_without_bursts(tmp_path: Path) -> None:
    config = chair(tmp_path)
    r30 = msgspec.structs.replace(config, stimulator=msgspec.structs.replace(config.stimulator, model="r30"))  # type: ignore[arg-type]
    timing = load_protocol("itbs600").timing
    assert "no burst waveform" in device_reasons(timing, train_settings(timing, 45), r30)[0]
    assert device_reasons(timing, train_settings(timing, 45), config) == ()


def test_amplitude_above_the_chair_s_ceiling_is_refused(tmp_path: Path) -> None:
    config = chair(tmp_path, stimulator="max_amplitude_pct_mso = 40")
    timing = load_protocol("itbs600").timing
    assert "an amplitude of 45 % is outside 0 to 40 %" in device_reasons(timing, train_settings(timing, 45), config)[0]


def test_course_brings_its_limits_and_its_spacing(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    treatment = open_treatment(plan_of(planned, "itbs1800", course="saint"), chair(tmp_path))
    assert treatment.day_course is not None
    assert (treatment.limits.max_sessions_per_day, treatment.limits.max_course_sessions, treatment.limits.min_gap_s) == (10, 50, 3000)
    assert treatment.next_session_us(Given(first_us=0, last_us=591_840_000)) == 3_600_000_000
    alone = opened(planned, tmp_path, "itbs1800")
    assert alone.next_session_us(Given(first_us=0, last_us=591_840_000)) == 3_591_840_000


def test_course_that_loosens_the_site_is_refused(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    config = chair(tmp_path, limits="max_sessions_per_day = 8")
    with pytest.raises(LimitsInvalid, match="max_sessions_per_day in the protocol layer: LOOSENS"):
        open_treatment(plan_of(planned, "itbs1800", course="saint"), config)
    assert open_treatment(plan_of(planned, "itbs600", course="standard_itbs_36"), config).limits.max_sessions_per_day == 1


def test_course_that_changed_since_the_plan_is_refused(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    site = tmp_path / "site"
    config = chair(tmp_path)
    text = load_course("saint").path.read_text(encoding="utf-8").replace('"course.saint"', '"course.ours"')
    path = sites.signed(site / "courses/course.ours.toml", text, sites.PHYSICIAN)
    plan = plan_of(planned, "itbs1800", site=site, course="ours")
    assert open_treatment(plan, config).day_course is not None
    sites.signed(path, text.replace("10, 10]", "10, 9]"), sites.PHYSICIAN)
    with pytest.raises(PlanError, match=r"course\.ours changed after the plan was made"):
        open_treatment(plan, config)


def test_course_of_another_protocol_is_refused(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    with pytest.raises(NotUsable, match="it is a course of itbs1800, not of itbs600"):
        open_treatment(plan_of(planned, "itbs600", course="saint"), chair(tmp_path))


def test_site_protocol_is_found_when_the_plan_is_opened(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    site = tmp_path / "site"
    config = chair(tmp_path)
    text = load_protocol("itbs600").path.read_text(encoding="utf-8").replace('"itbs600"', '"ours"')
    sites.signed(site / "protocols/ours.toml", text, sites.PHYSICIAN)
    assert open_treatment(plan_of(planned, "ours", site=site), config).protocol.signed_by == ("Physician A",)


def test_research_marks_what_it_admits(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    site = tmp_path / "site"
    chair(tmp_path)
    assert "outside every table and clearance" in refused(planned, tmp_path, "rtms10_5on10off_6000")
    sites.admit(site, "rtms10_5on10off_6000", 120)
    treatment = opened(planned, tmp_path, "rtms10_5on10off_6000")
    assert (treatment.outside_admitted, treatment.use.basis) == (True, "research:TEST-1")


def test_every_file_that_a_treatment_rests_on_is_watched(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    site = tmp_path / "site"
    config = chair(tmp_path)
    tables = sites.sign_tables(site, "rossi2009")
    treatment = open_treatment(plan_of(planned, "itbs1800", course="saint"), config)
    assert treatment.changed_files() == ()
    assert {pinned.path.name for pinned in treatment.pinned} == {"itbs1800.toml", "course.saint.toml", "tables.toml"}
    tables.unlink()
    assert treatment.changed_files() == (str(tables),)


def test_plan_that_names_a_course_without_its_checksum_is_refused(planned: tuple[Path, Plan], tmp_path: Path) -> None:
    folder, plan = planned
    path = plans.rewritten(folder, plan, dose=msgspec.structs.replace(plan.dose, course="course.saint"))
    with pytest.raises(PlanError, match="course and course_sha256 must be there together"):
        open_treatment(path, chair(tmp_path))


@pytest.mark.parametrize("name", ["auto_resume", "make_up"])
def test_plan_that_asks_to_go_on_by_itself_is_refused(planned: tuple[Path, Plan], tmp_path: Path, name: str) -> None:
    folder, plan = planned
    path = folder / f"{name}.json"
    path.unlink(missing_ok=True)
    write_plan(path, msgspec.structs.replace(plan, **{name: True}))
    with pytest.raises(PlanError, match="auto_resume"):
        open_treatment(path, chair(tmp_path))


def test_of_plan_and_site_the_stricter_target_counts() -> None:
    site, plan = TargetLimits(enter_lateral_mm=1.5), TargetLimits(dwell_on_s=1.0)
    both = stricter(site, plan)
    assert (both.enter_lateral_mm, both.dwell_on_s) == (1.5, 1.0)
    assert stricter(site, None) is site


def test_rate_is_given_to_the_device_as_an_exact_decimal() -> None:
    timing = parse_timing(intra_burst_hz="0.5", pulses_per_burst=1, burst_hz="0.5", bursts_per_train=2, train_gap_s="8", trains=1)
    assert decimal(timing.burst_hz) == "0.5"
    assert [decimal(load_protocol(name).timing.burst_hz) for name in ("rtms10_std_3000", "h1_18hz_1980")] == ["10", "18"]
    with pytest.raises(ValueError, match="no exact decimal"):
        decimal(1 / load_protocol("h1_18hz_1980").timing.burst_hz)
