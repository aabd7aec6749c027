"""Figures of a quality check, worked by hand; the report's verdict and words."""

import math

import numpy as np
import pytest

from calibration.quality import distance_accuracy, jitter, pooled, repeatability
from daemon.calibration_messages import QaItem, QaReport, ToolCalibration
from daemon.quality_report import compose, text_of

CORNERS = [(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, -2.0, 0.0)]


def test_repeatability_is_of_distances_from_the_mean_point() -> None:
    found = repeatability(np.add(CORNERS, (5.0, 6.0, 7.0)))
    assert (found.count, found.mean_mm, found.max_mm) == (4, pytest.approx(1.5), pytest.approx(2.0))
    assert found.sd_mm == pytest.approx(math.sqrt(1.0 / 3.0))
    assert found.rms_mm == pytest.approx(math.sqrt(2.5))
    assert found.p95_mm == pytest.approx(2.0)


def test_points_are_pooled_each_about_its_own_mean() -> None:
    apart = {"A": CORNERS, "B": np.add(CORNERS, (100.0, 0.0, 0.0)), "C": np.empty((0, 3))}
    assert pooled(apart).max_mm == pytest.approx(2.0)
    assert pooled(apart).count == 8


def test_one_measurement_has_no_spread() -> None:
    assert repeatability([(1.0, 2.0, 3.0)]).sd_mm == 0.0


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="no measurement"):
        repeatability([])
    with pytest.raises(ValueError, match="no distance"):
        distance_accuracy({"A": (0.0, 0.0, 0.0)}, {("A", "B"): 10.0})


def test_distances_have_a_signed_bias_and_the_sizes_of_their_errors() -> None:
    touched = {"A": (0.0, 0.0, 0.0), "B": (50.2, 0.0, 0.0), "C": (0.0, 39.9, 0.0)}
    found = distance_accuracy(touched, {("A", "B"): 50.0, ("A", "C"): 40.0, ("A", "D"): 1.0})
    assert found.count == 2
    assert found.bias_mm == pytest.approx(0.05)
    assert found.max_mm == pytest.approx(0.2)
    assert found.rms_mm == pytest.approx(math.sqrt((0.04 + 0.01) / 2.0))
    assert found.sd_mm == pytest.approx(0.3 / math.sqrt(2.0))


def test_jitter_tells_places_turns_and_drift_apart() -> None:
    places = [(0.01 * index, 0.0, 0.0) for index in range(100)]
    half = math.radians(1.0) / 2.0
    turns = [(math.cos(half), math.sin(half) * sign, 0.0, 0.0) for sign in (1.0, -1.0)] * 50
    found = jitter(places, turns)
    assert found.drift_mm == pytest.approx(0.9)
    assert found.rms_deg == pytest.approx(1.0)
    assert found.place.max_mm == pytest.approx(0.495)


CALIBRATED = ToolCalibration(tool="coil", source="store", version=2, valid_until_utc="2027-07-01", refused=(), why="")


def item(name: str, passed: bool | None = True) -> QaItem:
    return QaItem(name=name, subject="pointer", value=0.1, limit=0.2, passed=passed, numbers={"rms_mm": 0.1})


def report(measured: dict[str, tuple[QaItem, ...]], *, has_block: bool = True) -> QaReport:
    said = {"utc": "2027-01-01", "by": "E", "chair": "c", "tracker": "t"}
    return compose(measured, has_block=has_block, calibrations=(CALIBRATED,), rom_sha256={"coil": "ab"}, **said)


WHOLE = {"jitter": (item("jitter"),), "spread": (item("spread"),), "block": (item("distance"), item("repeatability"))}


def test_all_measured_and_within_is_passed() -> None:
    assert (report(WHOLE).verdict, report(WHOLE).missing) == ("passed", ())


def test_one_beyond_its_limit_fails_whatever_is_missing() -> None:
    assert report({"jitter": (item("jitter", passed=False),)}).verdict == "failed"


@pytest.mark.parametrize("part", list(WHOLE))
def test_a_missing_part_is_named_and_nothing_is_passed(part: str) -> None:
    found = report({name: items for name, items in WHOLE.items() if name != part})
    assert (found.verdict, found.missing) == ("incomplete", (part,))


def test_without_a_block_nothing_is_passed() -> None:
    found = report({name: items for name, items in WHOLE.items() if name != "block"}, has_block=False)
    assert (found.verdict, found.missing) == ("incomplete", ("block",))


def test_the_text_says_verdict_limits_and_which_calibration() -> None:
    text = text_of(report(WHOLE | {"jitter": (item("jitter", passed=False),)}))
    for words in ("VERDICT: FAILED", "BEYOND THE LIMIT", "limit 0.20 mm", "version 2 of the history", "ASTM F2554"):
        assert words in text
