"""Protocol files and the schedule that six numbers give."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

from daemon.limits import DECIDED_BY_A_LAYER
from daemon.protocol import BadProtocol, Protocol, UnknownProtocol, load_protocol, parse_timing, protocol_files, read_protocol, whole_us

SHIPPED = ("demo_itbs90", "itbs600", "itbs1800")


def site_file(folder: Path, protocol_id: str = "site_itbs", *, replace: tuple[str, str] = ("", "")) -> Path:
    """The shipped iTBS 1800 under another id, with one text of it replaced."""
    text = protocol_files()["itbs1800"].read_text(encoding="utf-8").replace('id = "itbs1800"', f'id = "{protocol_id}"')
    assert replace[0] in text
    path = folder / f"{protocol_id}.toml"
    path.write_text(text.replace(*replace) if replace[0] else text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("protocol_id", "pulses", "trains", "first_to_last_us"),
    [("itbs600", 600, 20, 191_840_000), ("itbs1800", 1800, 60, 591_840_000), ("demo_itbs90", 90, 3, 21_840_000)],
)
def test_shipped_protocol_gives_its_published_schedule(protocol_id: str, pulses: int, trains: int, first_to_last_us: int) -> None:
    protocol = load_protocol(protocol_id)
    assert (protocol.total_pulses, protocol.trains, protocol.pulses_per_train) == (pulses, trains, 30)
    assert protocol.timing.first_to_last_us == first_to_last_us
    assert protocol.train_period_s == 10


@pytest.mark.parametrize("protocol_id", SHIPPED)
def test_shipped_protocol_names_its_basis_sources_and_own_limits(protocol_id: str) -> None:
    protocol = load_protocol(protocol_id)
    assert protocol.basis and protocol.sources and protocol.title
    assert set(DECIDED_BY_A_LAYER) <= protocol.limits.keys()
    assert protocol.limit_layer.sha256 == protocol.sha256


def test_shipped_limits_are_those_of_the_published_courses() -> None:
    day = ("max_sessions_per_day", "min_gap_s", "max_pulses_per_day")
    limits = {protocol_id: tuple(load_protocol(protocol_id).limits[key] for key in day) for protocol_id in SHIPPED}
    assert limits == {"itbs1800": (10, 3000, 18_000), "itbs600": (8, 3000, 4800), "demo_itbs90": (10, 900, 900)}


def test_only_the_demonstration_is_for_simulation_only() -> None:
    assert [protocol_id for protocol_id in SHIPPED if load_protocol(protocol_id).is_simulation_only] == ["demo_itbs90"]


def test_unknown_protocol_is_refused_with_the_known_ids() -> None:
    with pytest.raises(UnknownProtocol, match=r"no protocol 'itbs9000'.*Known are: demo_itbs90, itbs1800, itbs600"):
        load_protocol("itbs9000")


def test_site_protocol_is_found_beside_the_shipped_ones(tmp_path: Path) -> None:
    site_file(tmp_path)
    assert load_protocol("site_itbs", tmp_path).total_pulses == 1800
    assert load_protocol("itbs600", tmp_path).total_pulses == 600


def test_site_protocol_cannot_take_a_shipped_id(tmp_path: Path) -> None:
    site_file(tmp_path, "itbs1800")
    with pytest.raises(BadProtocol, match="itbs1800 is shipped with atmsd"):
        load_protocol("itbs1800", tmp_path)


def test_hash_is_that_of_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = site_file(tmp_path)
    before = read_protocol(path).sha256
    path.write_text(path.read_text(encoding="utf-8") + "# signed\n", encoding="utf-8")
    assert read_protocol(path).sha256 != before


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('intra_burst_hz = "50"', 'intra_burst_hz = "0"', "a frequency is not positive"),
        ('burst_hz = "5"\n', 'burst_hz = "0"\n', "a frequency is not positive"),
        ('intra_burst_hz = "50"', 'intra_burst_hz = "1/50"', "no plain decimal"),
        ('intra_burst_hz = "50"', 'intra_burst_hz = "5e1"', "no plain decimal"),
        ('intra_burst_hz = "50"', "intra_burst_hz = 50", "Expected `str`"),
        ('intra_burst_hz = "50"', 'intra_burst_hz = "10"', "bursts overlap"),
        ('intra_burst_hz = "50"\n', "", "missing required field `intra_burst_hz`"),
        ("pulses_per_burst = 3", "pulses_per_burst = 0", "must be 1 or more"),
        ("trains = 60", "trains = 0", "must be 1 or more"),
        ("trains = 60", "trains = 601", "more than 18000 pulses"),
        ("trains = 60", "trains = 60\nrepeats = 2", "unknown field `repeats`"),
        ('train_gap_s = "8"', 'train_gap_s = "-8"', "no plain decimal"),
        ('train_gap_s = "8"', 'train_gap_s = "0"', "several trains with no gap"),
        ('train_gap_s = "8"', 'train_gap_s = "7.9"', "8 s apart at least"),
        ("bursts_per_train = 10", "bursts_per_train = 11", "last 2 s at most"),
        ("pulses_per_burst = 3", "pulses_per_burst = 4", "3 pulses a burst"),
        ("pulses_per_burst = 3", "pulses_per_burst = 1", "plain rTMS needs a table"),
        ('intra_burst_hz = "50"', 'intra_burst_hz = "40"', "50 Hz"),
        ('burst_hz = "5"\n', 'burst_hz = "6"\n', "5 bursts a second"),
        ("intensity_pct_rmt = 90", "intensity_pct_rmt = 121", "outside 1 to 120"),
        ("intensity_pct_rmt = 90", "intensity_pct_rmt = 0", "outside 1 to 120"),
        ('basis = "cleared:K220177"', 'basis = ""', "basis '' is none of"),
        ('basis = "cleared:K220177"\n', "", "missing required field `basis`"),
        ('title = "iTBS 1800, up to ten a day"', 'title = " "', "title is empty"),
        ("min_gap_s = 3000", "min_gap_s = 899", "limits.min_gap_s: LOOSENS"),
        ("min_gap_s = 3000\n", "", "limits.min_gap_s is missing"),
        ("min_gap_s = 3000", "min_gap = 3000", "limits.min_gap: UNKNOWN_LIMIT"),
        ("max_treatment_days = 5", "max_treatment_days = true", "limits.max_treatment_days: BAD_VALUE"),
        ('mark = "verified"', 'mark = "hearsay"', "Invalid enum value"),
        ('id = "site_itbs"', 'id = "another"', "is not the file's name"),
    ],
)
def test_file_is_refused_by_the_fault_in_it(tmp_path: Path, old: str, new: str, fault: str) -> None:
    with pytest.raises(BadProtocol, match=re.escape(fault)) as caught:
        read_protocol(site_file(tmp_path, replace=(old, new)))
    assert caught.value.where == str(tmp_path / "site_itbs.toml")


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    path = site_file(tmp_path, replace=("bursts_per_train = 10", "bursts_per_train = 11"))
    path.write_text(path.read_text(encoding="utf-8").replace("min_gap_s = 3000", "min_gap_s = 1"), encoding="utf-8")
    with pytest.raises(BadProtocol, match=r"last 2 s at most.*limits\.min_gap_s: LOOSENS"):
        read_protocol(path)


def test_continuous_theta_burst_beyond_600_pulses_is_refused(tmp_path: Path) -> None:
    path = site_file(tmp_path, replace=("trains = 60", "trains = 1"))
    one_train = path.read_text(encoding="utf-8").replace('train_gap_s = "8"', 'train_gap_s = "0"')
    path.write_text(one_train.replace("bursts_per_train = 10", "bursts_per_train = 200"), encoding="utf-8")
    assert read_protocol(path).total_pulses == 600
    path.write_text(one_train.replace("bursts_per_train = 10", "bursts_per_train = 201"), encoding="utf-8")
    with pytest.raises(BadProtocol, match="600 pulses in a row"):
        read_protocol(path)


def test_single_train_with_a_gap_is_intermittent(tmp_path: Path) -> None:
    path = site_file(tmp_path, replace=("trains = 60", "trains = 1"))
    path.write_text(path.read_text(encoding="utf-8").replace("bursts_per_train = 10", "bursts_per_train = 11"), encoding="utf-8")
    with pytest.raises(BadProtocol, match="last 2 s at most"):
        read_protocol(path)


@pytest.mark.parametrize("intensity", [1, 120])
def test_intensity_may_be_at_either_end(tmp_path: Path, intensity: int) -> None:
    path = site_file(tmp_path, replace=("intensity_pct_rmt = 90", f"intensity_pct_rmt = {intensity}"))
    assert read_protocol(path).intensity_pct_rmt == intensity


def test_file_that_is_not_toml_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_bytes(b"id = \xff")
    with pytest.raises(BadProtocol, match=r"broken\.toml"):
        read_protocol(tmp_path / "broken.toml")
    with pytest.raises(BadProtocol, match="No such file"):
        read_protocol(tmp_path / "absent.toml")


def test_protocol_without_a_source_is_refused(tmp_path: Path) -> None:
    path = site_file(tmp_path)
    head = path.read_text(encoding="utf-8").split("[[sources]]", maxsplit=1)[0]
    path.write_text(f"sources = []\n{head}", encoding="utf-8")
    with pytest.raises(BadProtocol, match="no source is named"):
        read_protocol(path)


def test_a_session_never_holds_more_than_a_day_of_pulses() -> None:
    itbs = {"intra_burst_hz": "50", "pulses_per_burst": 3, "burst_hz": "5", "bursts_per_train": 10, "train_gap_s": "8"}
    assert parse_timing(**itbs, trains=600).total_pulses == 18_000  # type: ignore[arg-type]
    with pytest.raises(BadProtocol, match="more than 18000 pulses"):
        parse_timing(**itbs, trains=601)  # type: ignore[arg-type]


def test_half_a_microsecond_is_rounded_up() -> None:
    assert [whole_us(Fraction(n, 2_000_000)) for n in (0, 1, 2, 3)] == [0, 1, 1, 2]


def test_protocol_is_immutable() -> None:
    protocol: Protocol = load_protocol("itbs600")
    with pytest.raises(AttributeError):
        protocol.title = "other"  # type: ignore[misc]
