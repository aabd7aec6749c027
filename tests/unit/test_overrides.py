"""Overrides: a layer issued anew by two people for one patient. No other way leads past a refusal; this one ends at the site's limit."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.config import Config
from daemon.limit_files import SiteLimits, site_limits
from daemon.limits import Layer, Limits, LimitsInvalid, effective_limits
from tests import sites
from tests.chairs import chair
from tests.unit.test_limits import ITBS1800

NOW = datetime(2026, 3, 2, 13, tzinfo=UTC)
PROTOCOL = Layer(name="protocol", limits=ITBS1800 | {"max_sessions_per_day": 5}, sha256="protocol-1")
BOTH = (sites.PHYSICIAN, sites.ADMINISTRATOR)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return chair(tmp_path, limits="max_sessions_per_day = 8")


def override(
    config: Config, limits: str = "max_sessions_per_day = 7", *people: tuple[str, str], name: str = "more", **changes: str
) -> Path:
    fields = {
        "reason": "the morning's session was broken off",
        "patient": "P1",
        "layer": "protocol",
        "reissues": "protocol-1",
        "valid_from_utc": "2026-03-02T00:00:00Z",
        "valid_to_utc": "2026-03-03T00:00:00Z",
    } | changes
    text = "".join(f'{key} = "{value}"\n' for key, value in fields.items()) + f"[limits]\n{limits}\n"
    assert config.site.folder is not None
    return sites.signed(config.site.folder / f"overrides/{name}.toml", text, *(people or BOTH))


def read(config: Config, now: datetime = NOW, patient: str = "P1") -> SiteLimits:
    return site_limits(config, patient, now)


def limits(config: Config, now: datetime = NOW, patient: str = "P1", protocol: Layer = PROTOCOL) -> Limits:
    return effective_limits(read(config, now, patient).layers(protocol), "UTC")


def test_layer_is_issued_anew_up_to_the_sites_limit(config: Config) -> None:
    override(config, "max_sessions_per_day = 8")
    assert limits(config).max_sessions_per_day == 8


def test_nothing_goes_past_the_layer_that_set_it(config: Config) -> None:
    override(config, "max_sessions_per_day = 9")
    with pytest.raises(LimitsInvalid, match="max_sessions_per_day in the protocol layer: LOOSENS"):
        limits(config)


def test_nothing_goes_past_the_product(config: Config) -> None:
    override(config, "min_gap_s = 899")
    with pytest.raises(LimitsInvalid, match="min_gap_s in the protocol layer: LOOSENS"):
        limits(config)


def test_override_of_the_patients_layer_stays_under_the_protocol(config: Config) -> None:
    assert config.site.folder is not None
    text = 'reason = "tired"\npatient = "P1"\n[limits]\nmax_sessions_per_day = 3\n'
    path = sites.signed(config.site.folder / "patients/P1.toml", text, sites.PHYSICIAN)
    assert limits(config).max_sessions_per_day == 3
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    override(config, "max_sessions_per_day = 5", layer="patient", reissues=sha256)
    assert limits(config).max_sessions_per_day == 5
    override(config, "max_sessions_per_day = 6", layer="patient", reissues=sha256)
    with pytest.raises(LimitsInvalid, match="max_sessions_per_day in the patient layer: LOOSENS"):
        limits(config)


@pytest.mark.parametrize(
    ("now", "sessions"),
    [("2026-03-01T23:59:59Z", 5), ("2026-03-02T00:00:00Z", 7), ("2026-03-02T23:59:59Z", 7), ("2026-03-03T00:00:00Z", 5)],
)
def test_override_is_in_force_from_one_moment_to_another(config: Config, now: str, sessions: int) -> None:
    override(config)
    assert limits(config, datetime.fromisoformat(now)).max_sessions_per_day == sessions


def test_override_that_is_over_says_so(config: Config) -> None:
    path = override(config)
    (refused,) = read(config, datetime(2026, 3, 3, tzinfo=UTC)).refused_overrides
    assert str(path) in refused
    assert "not now" in refused


@pytest.mark.parametrize("people", [(sites.PHYSICIAN,), (sites.ADMINISTRATOR,), (sites.PHYSICIAN, ("Physician A", "site administrator"))])
def test_override_by_one_person_overrides_nothing(config: Config, people: tuple[tuple[str, str], ...]) -> None:
    override(config, "max_sessions_per_day = 7", *people)
    assert limits(config).max_sessions_per_day == 5
    assert "two different people" in read(config).refused_overrides[0]


def test_override_that_nobody_signed_overrides_nothing(config: Config) -> None:
    path = override(config)
    path.write_text(path.read_text(encoding="utf-8").partition("[[signatures]]")[0], encoding="utf-8")
    assert limits(config).max_sessions_per_day == 5
    assert "nobody has signed it" in read(config).refused_overrides[0]


def test_edited_override_overrides_nothing(config: Config) -> None:
    path = override(config)
    path.write_text(path.read_text(encoding="utf-8").replace("= 7", "= 8"), encoding="utf-8")
    assert limits(config).max_sessions_per_day == 5


def test_override_is_one_patients(config: Config) -> None:
    override(config, patient="P2")
    assert limits(config).max_sessions_per_day == 5
    assert limits(config, patient="P2").max_sessions_per_day == 7


def test_override_is_of_one_version_of_its_layer(config: Config) -> None:
    override(config)
    other = Layer(name="protocol", limits=PROTOCOL.limits, sha256="protocol-2")
    assert limits(config, protocol=other).max_sessions_per_day == 5


def test_override_replaces_and_adds_nothing(config: Config) -> None:
    override(config, "max_sessions_rolling = 7")
    with pytest.raises(LimitsInvalid, match="max_sessions_rolling is not set by the protocol layer"):
        limits(config)


def test_two_overrides_of_one_value_are_refused(config: Config) -> None:
    override(config)
    override(config, "max_sessions_per_day = 6", name="other")
    with pytest.raises(LimitsInvalid, match="re-issued by"):
        limits(config)


def test_override_without_limits_or_reason_overrides_nothing(config: Config) -> None:
    override(config, "")
    override(config, reason=" ", name="other")
    assert len(read(config).refused_overrides) == 2


def test_every_use_can_be_written_down(config: Config) -> None:
    path = override(config)
    in_force = limits(config).overrides
    assert [(each.name, each.layer, each.limits, each.by, each.until_utc) for each in in_force] == [
        ("more", "protocol", {"max_sessions_per_day": 7}, ("Physician A", "Administrator D"), "2026-03-03T00:00:00Z")
    ]
    assert in_force[0].reason == "the morning's session was broken off"
    path.unlink()
    assert limits(config).overrides == ()


def test_limits_under_an_override_have_another_hash(config: Config) -> None:
    before = limits(config).sha256
    override(config, "max_sessions_per_day = 5")
    assert limits(config).sha256 != before


def test_override_that_changed_or_ran_out_since_it_was_read_is_noticed(config: Config) -> None:
    path = override(config)
    figures = read(config)
    assert figures.changed(NOW) == ()
    assert figures.changed(datetime(2026, 3, 3, tzinfo=UTC)) == ("valid until 2026-03-03T00:00:00+00:00",)
    path.write_bytes(path.read_bytes() + b"\n")
    assert figures.changed(NOW) == (str(path),)
