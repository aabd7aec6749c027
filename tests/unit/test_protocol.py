"""Protocol files: what ships, what a site adds, and every fault of a file at once."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

from daemon.limits import DECIDED_BY_A_LAYER
from daemon.protocol import BadProtocol, Protocol, UnknownProtocol, load_protocol, protocol_files, read_protocol
from daemon.protocol_timing import parse_timing, whole_us
from tests import sites

IN_USE = ("demo_itbs90", "itbs600", "itbs1800")
# id: pulses, trains, onset of the last pulse in us. Those of print, then those that follow from the six numbers.
SCHEDULES = {
    "demo_itbs90": (90, 3, 21_840_000),
    "demo_rtms10": (60, 3, 21_900_000),
    "itbs600": (600, 20, 191_840_000),
    "itbs1800": (1800, 60, 591_840_000),
    "itbs600_30hz": (600, 20, 191_866_667),
    "cTBS600": (600, 1, 39_840_000),
    "cTBS300": (300, 1, 19_840_000),
    "itbs1200": (1200, 40, 391_840_000),
    "itbs1620": (1620, 54, 531_840_000),
    "rtms10_std_3000": (3000, 75, 2_223_900_000),
    "rtms10_5on25off_3000": (3000, 60, 1_774_900_000),
    "rtms10_dash_3000": (3000, 75, 1_113_900_000),
    "rtms10_5on10off_6000": (6000, 120, 1_789_900_000),
    "rtms1_right_360": (360, 1, 359_000_000),
    "rtms1_right_600": (600, 1, 599_000_000),
    "rtms1_right_1200": (1200, 1, 1_199_000_000),
    "h1_18hz_1980": (1980, 55, 1_189_944_444),
    "h7_20hz_2000": (2000, 50, 1_079_950_000),
    "rtms20_bortolomasi_800": (800, 20, 571_950_000),
}


def changed(folder: Path, *, replace: tuple[str, str] = ("", "")) -> Path:
    """The shipped iTBS 1800 under another id, with one text of it replaced."""
    text = protocol_files()["itbs1800"].read_text(encoding="utf-8").replace('id = "itbs1800"', 'id = "site_itbs"')
    assert replace[0] in text
    path = folder / "site_itbs.toml"
    path.write_text(text.replace(*replace, 1) if replace[0] else text, encoding="utf-8")
    return path


def site_protocol(folder: Path, *people: tuple[str, str]) -> Path:
    """The same file in the protocols of a site's folder, signed by these people."""
    return sites.signed(folder / "protocols/site_itbs.toml", changed(folder).read_text(encoding="utf-8"), *people)


def test_everything_that_is_known_of_ships() -> None:
    assert protocol_files().keys() == SCHEDULES.keys()


@pytest.mark.parametrize("protocol_id", SCHEDULES)
def test_shipped_protocol_gives_its_schedule(protocol_id: str) -> None:
    protocol = load_protocol(protocol_id)
    assert (protocol.total_pulses, protocol.trains, protocol.timing.first_to_last_us) == SCHEDULES[protocol_id]
    assert protocol.total_pulses == protocol.trains * protocol.pulses_per_train
    assert protocol.title and protocol.sources


@pytest.mark.parametrize("protocol_id", IN_USE)
def test_protocol_in_use_names_its_basis_and_own_limits_and_rests_on_nobody_s_memory(protocol_id: str) -> None:
    protocol = load_protocol(protocol_id)
    assert protocol.basis
    assert protocol.on_memory == ()
    assert set(DECIDED_BY_A_LAYER) <= protocol.limits.keys()
    assert protocol.limit_layer.sha256 == protocol.sha256


def test_shipped_limits_are_those_of_the_published_courses() -> None:
    day = ("max_sessions_per_day", "min_gap_s", "max_pulses_per_day")
    limits = {protocol_id: tuple(load_protocol(protocol_id).limits[key] for key in day) for protocol_id in IN_USE}
    assert limits == {"itbs1800": (10, 3000, 18_000), "itbs600": (8, 3000, 4800), "demo_itbs90": (10, 900, 900)}


def test_only_the_demonstration_is_for_simulation_only() -> None:
    assert [protocol_id for protocol_id in SCHEDULES if load_protocol(protocol_id).is_simulation_only] == ["demo_itbs90", "demo_rtms10"]


def test_what_rests_on_memory_says_so() -> None:
    recalled = {protocol_id for protocol_id in SCHEDULES if load_protocol(protocol_id).on_memory}
    assert recalled == {
        "cTBS300", "cTBS600", "h1_18hz_1980", "h7_20hz_2000", "rtms10_dash_3000",
        "rtms1_right_360", "rtms1_right_600", "rtms1_right_1200", "rtms20_bortolomasi_800",
    }  # fmt: skip


def test_unknown_protocol_is_refused_with_the_known_ids() -> None:
    with pytest.raises(UnknownProtocol, match=r"no protocol 'itbs9000'.*Known are: cTBS300,.*itbs1800, itbs600,"):
        load_protocol("itbs9000")


def test_site_protocol_signed_by_a_physician_is_found_beside_the_shipped_ones(tmp_path: Path) -> None:
    site_protocol(tmp_path, sites.PHYSICIAN)
    protocol = load_protocol("site_itbs", tmp_path)
    assert (protocol.total_pulses, protocol.signed_by) == (1800, ("Physician A",))
    assert load_protocol("itbs600", tmp_path).signed_by == ()


def test_site_protocol_is_confirmed_by_its_signature_even_where_it_rests_on_memory(tmp_path: Path) -> None:
    text = changed(tmp_path, replace=('mark = "verified"', 'mark = "memory"')).read_text(encoding="utf-8")
    sites.signed(tmp_path / "protocols/site_itbs.toml", text, sites.PHYSICIAN)
    assert load_protocol("site_itbs", tmp_path).on_memory == ()
    assert read_protocol(tmp_path / "site_itbs.toml").on_memory != ()


def test_site_protocol_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    site_protocol(tmp_path)
    with pytest.raises(BadProtocol, match="nobody has signed it"):
        load_protocol("site_itbs", tmp_path)


def test_site_protocol_that_no_physician_signed_is_refused(tmp_path: Path) -> None:
    site_protocol(tmp_path, sites.INVESTIGATOR)
    with pytest.raises(BadProtocol, match="no physician has signed it"):
        load_protocol("site_itbs", tmp_path)


def test_site_protocol_changed_after_it_was_signed_is_refused(tmp_path: Path) -> None:
    path = site_protocol(tmp_path, sites.PHYSICIAN)
    path.write_text(path.read_text(encoding="utf-8").replace("trains = 60", "trains = 61"), encoding="utf-8")
    with pytest.raises(BadProtocol, match="changed after Physician A signed them"):
        load_protocol("site_itbs", tmp_path)


def test_site_protocol_cannot_take_a_shipped_id(tmp_path: Path) -> None:
    sites.signed(tmp_path / "protocols/itbs1800.toml", "id = 1\n", sites.PHYSICIAN)
    with pytest.raises(BadProtocol, match="itbs1800 is shipped with atmsd"):
        load_protocol("itbs1800", tmp_path)


def test_hash_is_that_of_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = changed(tmp_path)
    before = read_protocol(path).sha256
    path.write_text(path.read_text(encoding="utf-8") + "# signed\n", encoding="utf-8")
    assert read_protocol(path).sha256 != before


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('intra_burst_hz = "50"', 'intra_burst_hz = "0"', "a frequency is not positive"),
        ('\nburst_hz = "5"\n', '\nburst_hz = "0"\n', "a frequency is not positive"),
        ('intra_burst_hz = "50"', 'intra_burst_hz = "1/50"', "no plain decimal"),
        ('intra_burst_hz = "50"', 'intra_burst_hz = "5e1"', "no plain decimal"),
        ('intra_burst_hz = "50"', 'intra_burst_hz = "-50"', "no plain decimal"),
        ('intra_burst_hz = "50"', "intra_burst_hz = 50", "timing.intra_burst_hz: Expected `str`"),
        ('intra_burst_hz = "50"', 'intra_burst_hz = "10"', "bursts overlap"),
        ('intra_burst_hz = "50"\n', "", "timing.intra_burst_hz: missing"),
        ("trains = 60\n", "", "timing.trains: missing"),
        ("pulses_per_burst = 3", "pulses_per_burst = 0", "must be 1 or more"),
        ("pulses_per_burst = 3", "pulses_per_burst = true", "timing.pulses_per_burst: Expected `int`"),
        ("trains = 60", "trains = 0", "must be 1 or more"),
        ("trains = 60", "trains = 601", "more than 18000 pulses"),
        ("trains = 60", "trains = 60\nrepeats = 2", "timing.repeats: unknown field"),
        ('train_gap_s = "8"', 'train_gap_s = "-8"', "no plain decimal"),
        ('train_gap_s = "8"', 'train_gap_s = "0"', "several trains with no gap"),
        ("intensity_pct_rmt = 90", "intensity_pct_rmt = 121", "outside 1 to 120"),
        ("intensity_pct_rmt = 90", "intensity_pct_rmt = 0", "outside 1 to 120"),
        ('basis = "cleared:K220177"', 'basis = ""', "basis '' is none of"),
        ('basis = "cleared:K220177"', 'basis = "cleared:K22"', "basis 'cleared:K22' is none of"),
        ('coil_class = "figure-8"', 'coil_class = "round"', "coil_class: Invalid enum value"),
        ('title = "iTBS 1800, up to ten a day"', 'title = " "', "title is empty"),
        ("min_gap_s = 3000", "min_gap_s = 899", "limits.min_gap_s: LOOSENS"),
        ("min_gap_s = 3000", "min_gap = 3000", "limits.min_gap: UNKNOWN_LIMIT"),
        ("max_treatment_days = 5", "max_treatment_days = true", "limits.max_treatment_days: BAD_VALUE"),
        ("max_treatment_days = 5", "max_treatment_days = nan", "limits.max_treatment_days: BAD_VALUE"),
        ('mark = "verified"', 'mark = "hearsay"', "Invalid enum value"),
        ('id = "site_itbs"', 'id = "another"', "is not the file's name"),
        ('fields = ["trains"]\n', "", "no source is named for trains"),
        ('fields = ["trains"]', 'fields = ["trains", "phase"]', "a source names 'phase', which the file does not hold"),
        ("[timing]", "timing = 3\n[other]", "timing: Expected `object`"),
    ],
)
def test_file_is_refused_by_the_fault_in_it(tmp_path: Path, old: str, new: str, fault: str) -> None:
    with pytest.raises(BadProtocol, match=re.escape(fault)) as caught:
        read_protocol(changed(tmp_path, replace=(old, new)))
    assert caught.value.where == str(tmp_path / "site_itbs.toml")


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    path = changed(tmp_path, replace=("min_gap_s = 3000", "min_gap_s = 1"))
    text = path.read_text(encoding="utf-8").replace('train_gap_s = "8"', 'train_gap_s = "0"').replace("trains = 60", "trains = 900")
    path.write_text(text.replace("intensity_pct_rmt = 90", "intensity_pct_rmt = 200"), encoding="utf-8")
    with pytest.raises(BadProtocol) as caught:
        read_protocol(path)
    for fault in ("several trains with no gap", "more than 18000 pulses", "outside 1 to 120", "limits.min_gap_s: LOOSENS"):
        assert fault in caught.value.what


def test_figure_may_be_left_to_the_site_but_not_left_without_a_source(tmp_path: Path) -> None:
    path = changed(tmp_path, replace=("intensity_pct_rmt = 90\n", ""))
    path.write_text(path.read_text(encoding="utf-8").replace('fields = ["intensity_pct_rmt"]\n', ""), encoding="utf-8")
    assert read_protocol(path).intensity_pct_rmt is None


@pytest.mark.parametrize("intensity", [1, 120])
def test_intensity_may_be_at_either_end(tmp_path: Path, intensity: int) -> None:
    path = changed(tmp_path, replace=("intensity_pct_rmt = 90", f"intensity_pct_rmt = {intensity}"))
    assert read_protocol(path).intensity_pct_rmt == intensity


@pytest.mark.parametrize("content", [b"id = \xff", b"id =", b"x = " + b"[" * 5000, b"x = " + b"1" * 9999, b"#" * 300_000])
def test_file_that_cannot_be_parsed_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.toml").write_bytes(content)
    with pytest.raises(BadProtocol, match=r"broken\.toml"):
        read_protocol(tmp_path / "broken.toml")


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadProtocol, match="No such file"):
        read_protocol(tmp_path / "absent.toml")


def test_a_session_never_holds_more_than_a_day_of_pulses() -> None:
    itbs = {"intra_burst_hz": "50", "pulses_per_burst": 3, "burst_hz": "5", "bursts_per_train": 10, "train_gap_s": "8"}
    assert parse_timing(**itbs, trains=600).total_pulses == 18_000  # type: ignore[arg-type]
    with pytest.raises(BadProtocol, match="more than 18000 pulses"):
        parse_timing(**itbs, trains=601)  # type: ignore[arg-type]


def test_every_timing_fault_is_named_at_once() -> None:
    with pytest.raises(BadProtocol, match=r"a frequency is not positive.*must be 1 or more.*several trains with no gap"):
        parse_timing(intra_burst_hz="0", pulses_per_burst=0, burst_hz="5", bursts_per_train=10, train_gap_s="0", trains=2)


def test_half_a_microsecond_is_rounded_up() -> None:
    assert [whole_us(Fraction(n, 2_000_000)) for n in (0, 1, 2, 3)] == [0, 1, 1, 2]


def test_protocol_is_immutable() -> None:
    protocol: Protocol = load_protocol("itbs600")
    with pytest.raises(AttributeError):
        protocol.title = "other"  # type: ignore[misc]
