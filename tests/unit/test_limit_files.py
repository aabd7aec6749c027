"""Limits as a site signs them: who has to sign, how long they hold, and that no unsound file is passed over."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.config import Config, load_config
from daemon.limit_files import SiteLimits, site_limits
from daemon.limits import Layer, LimitsInvalid, effective_limits
from tests import sites
from tests.chairs import chair
from tests.unit.test_limits import ITBS1800

NOW = datetime(2026, 3, 2, 13, tzinfo=UTC)
PROTOCOL = Layer(name="protocol", limits=ITBS1800, sha256="protocol")
BOTH = (sites.PHYSICIAN, sites.ADMINISTRATOR)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return chair(tmp_path, limits="min_gap_s = 950")


def site_file(config: Config, limits: str, *people: tuple[str, str], more: str = "", valid: str = "2026-01-01T00:00:00Z") -> Path:
    assert config.site.folder is not None
    text = f'reason = "test"\nvalid_from_utc = "{valid}"\nvalid_to_utc = "2027-01-01T00:00:00Z"\n{more}\n[limits]\n{limits}\n'
    return sites.signed(config.site.folder / "limits.toml", text, *(people or BOTH))


def patient_file(config: Config, limits: str, *people: tuple[str, str], patient: str = "P1", name: str = "P1") -> Path:
    assert config.site.folder is not None
    text = f'reason = "epilepsy in the family"\npatient = "{patient}"\n[limits]\n{limits}\n'
    return sites.signed(config.site.folder / f"patients/{name}.toml", text, *(people or (sites.PHYSICIAN,)))


def read(config: Config, now: datetime = NOW) -> SiteLimits:
    return site_limits(config, "P1", now)


def refusal(config: Config, now: datetime = NOW) -> str:
    with pytest.raises(LimitsInvalid) as caught:
        effective_limits(read(config, now).layers(PROTOCOL), "UTC")
    return str(caught.value)


# ---- order -------------------------------------------------------------------------------------------------------------


def test_layers_come_device_site_chair_protocol_patient(config: Config) -> None:
    site_file(config, "max_sessions_per_day = 10")
    patient_file(config, "max_sessions_per_day = 4")
    layers = read(config).layers(PROTOCOL)
    assert [(layer.name, layer.signed) for layer in layers] == [
        ("device", False),
        ("site", True),
        ("site", False),
        ("protocol", False),
        ("patient", True),
    ]
    limits = effective_limits(layers, "UTC")
    assert (limits.max_sessions_per_day, limits.min_gap_s, limits.max_set_point_mso) == (4, 3000, 100)


def test_patient_may_be_allowed_less_and_never_more(config: Config) -> None:
    patient_file(config, "max_pulses_per_day = 18001")
    assert "max_pulses_per_day in the patient layer: LOOSENS" in refusal(config)


def test_chair_cannot_loosen_what_its_site_signed(config: Config) -> None:
    site_file(config, "min_gap_s = 1000")
    assert "min_gap_s in the site layer: LOOSENS" in refusal(config)


def test_protocol_that_asks_for_more_than_the_site_allows_is_refused(config: Config) -> None:
    site_file(config, "max_sessions_per_day = 6")
    assert "max_sessions_per_day in the protocol layer: LOOSENS" in refusal(config)


def test_device_sets_the_highest_set_point(tmp_path: Path) -> None:
    config = chair(tmp_path, stimulator="max_amplitude_pct_mso = 80")
    assert effective_limits(read(config).layers(PROTOCOL), "UTC").max_set_point_mso == 80


def test_typing_error_in_a_signed_file_is_no_limit_less(config: Config) -> None:
    site_file(config, "max_session_per_day = 6")
    assert "max_session_per_day in the site layer: UNKNOWN_LIMIT" in refusal(config)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "true", '"1000"'])
def test_signed_value_that_is_no_plain_number_is_refused(config: Config, value: str) -> None:
    site_file(config, f"min_gap_s = {value}")
    assert "BAD_VALUE" in refusal(config)


# ---- who signs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "people",
    [
        (sites.PHYSICIAN,),
        (sites.ADMINISTRATOR,),
        (sites.PHYSICIAN, ("Physician C", "physician")),
        (sites.PHYSICIAN, ("physician  a", "site administrator")),
        (sites.ADMINISTRATOR, ("Nurse N", "nurse")),
    ],
)
def test_site_limits_are_signed_by_two_people_in_two_roles(config: Config, people: tuple[tuple[str, str], ...]) -> None:
    site_file(config, "max_sessions_per_day = 10", *people)
    assert "two different people" in refusal(config)


def test_patient_limits_are_signed_by_a_physician(config: Config) -> None:
    patient_file(config, "max_sessions_per_day = 4", sites.ADMINISTRATOR)
    assert "nobody has signed it as 'physician'" in refusal(config)


def test_unsigned_file_is_refused_and_not_passed_over(config: Config) -> None:
    path = patient_file(config, "max_sessions_per_day = 4")
    path.write_text(path.read_text(encoding="utf-8").partition("[[signatures]]")[0], encoding="utf-8")
    assert "nobody has signed it" in refusal(config)


def test_file_edited_after_it_was_signed_is_refused(config: Config) -> None:
    path = site_file(config, "max_sessions_per_day = 10")
    path.write_text(path.read_text(encoding="utf-8").replace("= 10", "= 9"), encoding="utf-8")
    assert "changed after" in refusal(config)


def test_patients_file_is_that_patients(config: Config) -> None:
    patient_file(config, "max_sessions_per_day = 4", patient="P2")
    assert "it is P2's, not P1's" in refusal(config)


def test_file_states_its_reason(config: Config) -> None:
    assert config.site.folder is not None
    sites.signed(config.site.folder / "patients/P1.toml", 'reason = " "\npatient = "P1"\n[limits]\n', sites.PHYSICIAN)
    assert "states no reason" in refusal(config)


def test_unknown_key_beside_the_limits_is_refused(config: Config) -> None:
    site_file(config, "max_sessions_per_day = 10", more='colour = "blue"')
    assert "colour" in refusal(config)


@pytest.mark.parametrize("patient", ["../P1", "P1/..", "", ".", "P 1", "a" * 65])
def test_pseudonym_that_cannot_name_a_file_is_refused(config: Config, patient: str) -> None:
    if patient == "":
        assert site_limits(config, patient, NOW).patient == ()  # nobody
        return
    with pytest.raises(LimitsInvalid, match="cannot name a file"):
        site_limits(config, patient, NOW)


# ---- when --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "holds"),
    [("2025-12-31T23:59:59Z", False), ("2026-01-01T00:00:00Z", True), ("2026-12-31T23:59:59Z", True), ("2027-01-01T00:00:00Z", False)],
)
def test_site_limits_hold_from_one_moment_to_another(config: Config, now: str, holds: bool) -> None:
    site_file(config, "max_sessions_per_day = 10")
    if holds:
        read(config, datetime.fromisoformat(now))
    else:
        assert "not now" in refusal(config, datetime.fromisoformat(now))


def test_moment_without_its_zone_is_refused(config: Config) -> None:
    site_file(config, "max_sessions_per_day = 10", valid="2026-01-01T00:00:00")
    assert "no moment with its zone" in refusal(config)


def test_nothing_has_changed_when_the_files_are_as_they_were_read(config: Config) -> None:
    site_file(config, "max_sessions_per_day = 10")
    patient_file(config, "max_sessions_per_day = 4")
    assert read(config).changed(NOW) == ()


@pytest.mark.parametrize("name", ["limits.toml", "patients/P1.toml"])
@pytest.mark.parametrize("act", ["edit", "remove"])
def test_file_that_changed_since_it_was_read_is_named(config: Config, name: str, act: str) -> None:
    site_file(config, "max_sessions_per_day = 10")
    patient_file(config, "max_sessions_per_day = 4")
    figures, path = read(config), config.site.folder / name  # type: ignore[operator]  # this chair has a folder
    if act == "edit":
        path.write_bytes(path.read_bytes() + b"\n")
    else:
        path.unlink()
    assert figures.changed(NOW) == (str(path),)


def test_file_that_came_since_is_named_too(config: Config) -> None:
    figures = read(config)
    path = patient_file(config, "max_sessions_per_day = 4")
    assert figures.changed(NOW) == (str(path),)


def test_limits_that_ran_out_since_they_were_read_hold_no_more(config: Config) -> None:
    site_file(config, "max_sessions_per_day = 10")
    assert read(config).changed(datetime(2027, 1, 1, tzinfo=UTC)) == ("valid until 2027-01-01T00:00:00+00:00",)


def test_file_that_the_chair_names_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "chair.toml"
    chair(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("[site]\n", '[site]\nrequired = ["limits.toml"]\n'), encoding="utf-8")
    with pytest.raises(LimitsInvalid, match=r"limits\.toml, which is missing"):
        site_limits(load_config(path), "P1", NOW)


def test_chair_without_a_folder_has_its_own_limits(tmp_path: Path) -> None:
    config = chair(tmp_path, site=False, limits="min_gap_s = 3100")
    assert [layer.name for layer in read(config).site] == ["device", "site"]


# ---- the one-day licence -----------------------------------------------------------------------------------------------

ONE_DAY = Layer(
    name="protocol",
    limits={
        "max_sessions_per_day": 20,
        "max_pulses_per_day": 12_000,
        "min_gap_s": 1500,
        "max_course_sessions": 20,
        "max_treatment_days": 1,
    },
    sha256="one day",
)


def test_twenty_sessions_a_day_need_the_licence_in_the_signed_site_file(config: Config) -> None:
    site_file(config, "", more='one_d_licence = "K-1"')
    limits = effective_limits(read(config).layers(ONE_DAY), "UTC")
    assert (limits.max_sessions_per_day, limits.max_sessions_rolling) == (20, 20)


@pytest.mark.parametrize("more", ["", 'one_d_licence = ""'])
def test_without_the_licence_ten_a_day_are_the_most(config: Config, more: str) -> None:
    site_file(config, "", more=more)
    with pytest.raises(LimitsInvalid):
        effective_limits(read(config).layers(ONE_DAY), "UTC")


def test_licence_in_another_layer_is_no_licence() -> None:
    for layer in (
        Layer(name="site", limits={}, sha256="", one_d_licence="K-1"),
        Layer(name="patient", limits={}, sha256="", signed=True, one_d_licence="K-1"),
    ):
        with pytest.raises(LimitsInvalid, match="max_sessions_per_day in the protocol layer: LOOSENS"):
            effective_limits((layer, ONE_DAY), "UTC")
