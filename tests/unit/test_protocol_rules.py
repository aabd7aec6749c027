"""Rules of theta burst and of pauses, each at its edge."""

from fractions import Fraction

import pytest

from daemon.protocol_rules import rule_faults
from daemon.protocol_timing import Timing, parse_timing
from daemon.safety_tables import shipped_pauses


def itbs(**changes: object) -> Timing:
    fields = {"intra_burst_hz": "50", "pulses_per_burst": 3, "burst_hz": "5", "bursts_per_train": 10, "train_gap_s": "8", "trains": 20}
    return parse_timing(**(fields | changes))  # type: ignore[arg-type]


def plain(hz: str, pulses: int, gap_s: str, trains: int = 2) -> Timing:
    return parse_timing(intra_burst_hz=hz, pulses_per_burst=1, burst_hz=hz, bursts_per_train=pulses, train_gap_s=gap_s, trains=trains)


def faults(timing: Timing, pct: str = "90") -> str:
    return "; ".join(rule_faults(timing, Fraction(pct)))


def test_theta_burst_as_published_breaks_no_rule() -> None:
    assert faults(itbs(), "120") == ""
    assert faults(itbs(intra_burst_hz="30"), "90") == ""
    assert faults(itbs(bursts_per_train=200, train_gap_s="0", trains=1), "80") == ""


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"train_gap_s": "7.9"}, "8 s apart at least"),
        ({"bursts_per_train": 11}, "last 2 s at most"),
        ({"pulses_per_burst": 4}, "3 pulses a burst"),
        ({"pulses_per_burst": 2}, "3 pulses a burst"),
        ({"intra_burst_hz": "40"}, "50 Hz"),
        ({"burst_hz": "6"}, "5 bursts a second"),
        ({"burst_hz": "4.9"}, "5 bursts a second"),
        ({"bursts_per_train": 201, "train_gap_s": "0", "trains": 1}, "600 pulses in a row"),
        ({"bursts_per_train": 11, "trains": 1}, "last 2 s at most"),
    ],
)
def test_theta_burst_breaks_the_rule_by_name(changes: dict[str, object], fault: str) -> None:
    assert fault in faults(itbs(**changes))


def test_nothing_is_given_above_120_percent() -> None:
    assert faults(itbs(), "120.1") == "an intensity above 120 % of the threshold"
    assert faults(plain("1", 10, "10"), "121") == "an intensity above 120 % of the threshold"


def test_session_of_saint_s_size_is_given_at_90_percent_at_most() -> None:
    assert faults(itbs(trains=60), "90") == ""
    assert "90 % at most" in faults(itbs(trains=60), "90.1")
    assert faults(itbs(trains=59), "91") == ""


def test_trains_above_1_hz_are_5_s_apart_at_least() -> None:
    assert faults(plain("10", 40, "5"), "110") == ""
    assert "below 5 s" in faults(plain("10", 40, "4.999"), "110")
    assert "below 5 s" in faults(plain("1.001", 40, "4.999"), "90")


def test_up_to_1_hz_and_in_one_train_no_pause_is_asked_for() -> None:
    assert faults(plain("1", 40, "0.1"), "120") == ""
    assert faults(plain("10", 40, "0", 1), "120") == ""


def test_above_110_percent_trains_are_11_s_apart_at_least() -> None:
    assert faults(plain("10", 40, "11"), "120") == ""
    assert "below 11 s at 110.1 %" in faults(plain("10", 40, "10.999"), "110.1")


def test_pause_rule_takes_nothing_that_the_tested_pauses_call_unsafe_or_unknown() -> None:
    grid = shipped_pauses()
    for row in grid.rows:
        for pct, found in zip(grid.intensities_pct_rmt, row.found, strict=True):
            assert (faults(plain("20", 32, row.pause_s), str(pct)) == "") == (found == "safe")
