"""Tables of train durations and cleared protocols: look-up, the three verdicts, and files that contradict themselves."""

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from daemon.protocol import BadProtocol, load_protocol
from daemon.protocol_file import on_memory, read_shipped
from daemon.protocol_timing import Timing, parse_timing
from daemon.safety_tables import (
    CLEARED_FILE,
    TABLES_DIR,
    Cleared,
    Evidence,
    Judgement,
    Support,
    judge,
    read_clearances,
    read_table,
    shipped_clearances,
    shipped_tables,
)

ROSSI = next(table for table in shipped_tables() if table.id == "rossi2009")
CHEN = next(table for table in shipped_tables() if table.id == "chen1997")
CLEARED = read_clearances(shipped_clearances())
ALL = Evidence(tables=(ROSSI, CHEN), cleared=CLEARED)


def plain(hz: str, pulses: int, gap_s: str = "26", trains: int = 2) -> Timing:
    return parse_timing(intra_burst_hz=hz, pulses_per_burst=1, burst_hz=hz, bursts_per_train=pulses, train_gap_s=gap_s, trains=trains)


def judged(protocol_id: str, pct: float | None = None, coil: str | None = "figure-8", evidence: Evidence = ALL) -> Judgement:
    protocol = load_protocol(protocol_id)
    intensity = protocol.intensity_pct_rmt if pct is None else pct
    return judge(protocol.timing, None if intensity is None else Fraction(str(intensity)), coil, evidence)


def test_every_shipped_cell_rests_on_memory_and_says_so() -> None:
    assert {table.id for table in shipped_tables()} == {"rossi2009", "chen1997"}
    assert all(on_memory(table.sources) == ("every cell",) for table in shipped_tables())


def test_between_rows_and_columns_the_next_higher_one_counts() -> None:
    assert ROSSI.longest_s(Fraction(11), Fraction(105)) == Fraction("1.6")
    assert ROSSI.longest_s(Fraction(10), Fraction(115)) == Fraction("4.2")
    assert ROSSI.longest_s(Fraction("0.2"), Fraction(20)) == 1800


def test_the_longest_that_was_tried_is_a_cap() -> None:
    assert ROSSI.allows(Fraction(1), Fraction(120), Fraction(360))
    assert not ROSSI.allows(Fraction(1), Fraction(120), Fraction("360.1"))


def test_below_its_first_column_the_margin_table_takes_that_of_100_percent() -> None:
    assert CHEN.longest_s(Fraction(20), Fraction(90)) == Fraction("1.5")


@pytest.mark.parametrize(("hz", "pct"), [("25.01", "100"), ("10", "130.1"), ("0", "100"), ("10", "0"), ("-1", "100")])
def test_off_the_table_nothing_is_supported(hz: str, pct: str) -> None:
    assert ROSSI.longest_s(Fraction(hz), Fraction(pct)) is None
    assert not ROSSI.allows(Fraction(hz), Fraction(pct), Fraction("0.01"))


def test_equal_to_the_cap_is_allowed() -> None:
    assert ROSSI.allows(Fraction(20), Fraction(110), Fraction("1.6"))
    assert not ROSSI.allows(Fraction(20), Fraction(110), Fraction("1.601"))


def test_margin_table_is_nowhere_looser_than_the_other() -> None:
    for hz, cells in CHEN.rows:
        for pct in CHEN.intensities_pct_rmt:
            longest, cap = CHEN.longest_s(hz, Fraction(pct)), ROSSI.longest_s(hz, Fraction(pct))
            assert longest is not None and cap is not None and longest <= cap
        assert len(cells) == len(CHEN.intensities_pct_rmt)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('frequency_hz = "25"', 'frequency_hz = "15"', "frequencies do not rise"),
        ("[90, 100, 110, 120, 130]", "[90, 100, 110, 130, 120]", "intensities do not rise"),
        ('"1.28", "1.28", ', '"1.28", ', "one cell for each intensity"),
        ('"0.4", "0.24"', '"0.4", "0.5"', "more at a higher intensity"),
        ('"0.24"', '"0"', "not positive"),
        ('"0.24"', '"fast"', "'fast' is no plain decimal"),
        ('id = "rossi2009"', 'id = "other"', "file's name"),
        ("title", "name", "name: unknown field; title: missing"),
        ('fields = ["rows", "intensities_pct_rmt"]', 'fields = ["rows"]', "no source is named for intensities_pct_rmt"),
    ],
)
def test_table_that_contradicts_itself_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, what: str) -> None:
    text = (TABLES_DIR / "rossi2009.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "rossi2009.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadProtocol, match=re.escape(what)):
        read_table(path)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('clearance = "K083538"\n', "", "entry 1: clearance: missing"),
        ('burst_hz = "18"', 'burst_hz = "eighteen"', "no plain decimal"),
        ("# Cleared", "other = 1  # Cleared", "blocks and nothing else"),
    ],
)
def test_file_of_cleared_protocols_is_refused_by_its_fault(tmp_path: Path, old: str, new: str, what: str) -> None:
    path = tmp_path / "cleared.toml"
    path.write_text(CLEARED_FILE.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadProtocol, match=what):
        read_clearances(read_shipped(path))


def test_the_most_used_protocol_is_cleared_and_fails_the_margin() -> None:
    verdict = judged("rtms10_std_3000")
    assert (verdict.support, verdict.rests_on) == (Support.CLEARED_EXACT, "K083538 (NeuroStar)")
    assert not CHEN.allows(Fraction(10), Fraction(120), Fraction(4))
    assert ROSSI.allows(Fraction(10), Fraction(120), Fraction(4))


def test_within_every_signed_table_a_start_needs_no_clearance() -> None:
    verdict = judge(plain("10", 50, "25"), Fraction(110), None, Evidence(tables=(ROSSI, CHEN)))
    assert (verdict.support, verdict.against) == (Support.WITHIN_TABLE, ())


def test_one_table_that_refuses_is_enough() -> None:
    timing = plain("10", 40)
    assert judge(timing, Fraction(120), None, Evidence(tables=(ROSSI,))).support is Support.WITHIN_TABLE
    verdict = judge(timing, Fraction(120), None, Evidence(tables=(ROSSI, CHEN)))
    assert verdict.support is Support.OUTSIDE
    assert "longer than 3.2 s (Chen 1997" in verdict.against[0]


def test_without_a_signed_table_plain_pulses_are_outside() -> None:
    verdict = judge(plain("10", 10), Fraction(90), "figure-8", Evidence(cleared=CLEARED))
    assert verdict.support is Support.OUTSIDE
    assert "no table of train durations is signed" in verdict.against


def test_within_the_tables_but_too_close_together_is_outside() -> None:
    verdict = judge(plain("10", 30, "10"), Fraction(120), None, ALL)
    assert verdict.support is Support.OUTSIDE
    assert "below 11 s" in verdict.against[0]


def test_off_the_table_says_so() -> None:
    assert "off the table" in judge(plain("30", 3), Fraction(100), None, ALL).against[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"intra_burst_hz": Fraction(11)},
        {"burst_hz": Fraction("9.9")},
        {"bursts_per_train": 41},
        {"train_gap_s": Fraction("26.1")},
        {"trains": 76},
        {"trains": 74},
        {"pulses_per_burst": 2, "intra_burst_hz": Fraction(50)},
    ],
)
def test_a_cleared_protocol_with_one_of_six_numbers_changed_is_not_cleared(changes: dict[str, Fraction | int]) -> None:
    timing = replace(load_protocol("rtms10_std_3000").timing, **changes)  # type: ignore[arg-type]
    assert judge(timing, Fraction(120), "figure-8", Evidence(cleared=CLEARED)).support is Support.OUTSIDE


def test_1810_pulses_are_not_1800() -> None:
    timing = replace(load_protocol("itbs1800").timing, trains=61)
    verdict = judge(timing, Fraction(90), "figure-8", ALL)
    assert (verdict.support, verdict.rests_on) == (Support.WITHIN_TABLE, "the rules of theta burst, for which no table exists")


@pytest.mark.parametrize("coil", [None, "circular", "h1"])
def test_a_clearance_counts_for_its_coil_alone(coil: str | None) -> None:
    assert judged("rtms10_std_3000", coil=coil).support is Support.OUTSIDE


def test_a_clearance_counts_up_to_its_intensity() -> None:
    assert judged("itbs600", 120).support is Support.CLEARED_EXACT
    assert judged("itbs600", 120.5).support is Support.OUTSIDE
    assert judged("itbs1800", 90).support is Support.CLEARED_EXACT
    assert judged("itbs1800", 90.5).support is Support.OUTSIDE


def test_h1_protocol_fails_every_table_and_is_cleared_under_its_own_coil() -> None:
    assert judged("h1_18hz_1980", coil="h1").support is Support.CLEARED_EXACT
    outside = judged("h1_18hz_1980", coil="h1", evidence=Evidence(tables=(ROSSI, CHEN)))
    assert outside.support is Support.OUTSIDE
    assert "longer than 1 s (Rossi 2009" in outside.against[0]


def test_theta_burst_without_a_clearance_rests_on_its_own_rules() -> None:
    assert judged("itbs1620").support is Support.WITHIN_TABLE
    assert judge(replace(load_protocol("itbs600").timing, burst_hz=Fraction(6)), Fraction(90), None, ALL).support is Support.OUTSIDE


def test_an_intensity_that_nobody_states_is_outside() -> None:
    assert judged("itbs1200") == Judgement(support=Support.OUTSIDE, against=("no intensity is stated",))


def test_clearances_that_rest_on_memory_are_marked() -> None:
    recalled = {entry.clearance for entry in CLEARED if entry.rests_on_memory}
    assert recalled == {"K160703", "K122288", "DEN170078"}
    assert all(isinstance(entry, Cleared) for entry in CLEARED)
