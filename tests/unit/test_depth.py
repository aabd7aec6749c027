"""Set points: depth and field corrections, what limits them, and that rounding never raises the dose."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.depth import Clamps, DepthError, efield, exact, linear, uncorrected

CLAMPS = Clamps(of_threshold=Fraction("1.2"))
F = Fraction
percent = st.decimals(1, 100, places=1).map(Fraction)


def stokes(**changes: str) -> int:
    given = {"rmt": "52", "share": "0.9", "slope": "3", "m1": "16.4", "target": "19.1"} | changes
    return linear(*(F(given[key]) for key in ("rmt", "share", "slope", "m1", "target")), CLAMPS).set_point_mso


def test_depth_moves_the_threshold_before_the_share_is_taken() -> None:
    found = linear(F(52), F("0.9"), F(3), F("16.4"), F("19.1"), CLAMPS)
    assert (found.base_mso, found.wanted_mso, found.set_point_mso) == (F("60.1"), F("54.09"), 54)
    assert not found.is_limited


def test_wish_above_the_clamp_is_kept_and_marked() -> None:
    found = linear(F(45), F("0.9"), F(3), F(14), F(24), CLAMPS)
    assert (found.wanted_mso, found.limit_mso, found.set_point_mso, found.is_limited) == (F("67.5"), F(54), 54, True)


def test_each_clamp_holds() -> None:
    assert uncorrected(F(50), F("1.2"), Clamps(of_threshold=F(1))).set_point_mso == 50
    assert uncorrected(F(50), F("1.2"), Clamps(of_threshold=F(2), max_set_point_mso=F(41))).set_point_mso == 41
    assert uncorrected(F(50), F("1.2"), Clamps(of_threshold=F(2), device_max_mso=F(42))).set_point_mso == 42
    assert uncorrected(F(95), F("1.2"), Clamps(of_threshold=F(2), max_set_point_mso=F(200), device_max_mso=F(200))).set_point_mso == 100


def test_exact_decimals_lose_no_percent() -> None:
    assert uncorrected(F(60), F("0.45"), CLAMPS).set_point_mso == 27


@pytest.mark.parametrize(
    "changes",
    [
        {"m1": "4.9"},
        {"target": "40.1"},
        {"m1": "5", "target": "17.1"},
        {"slope": "0"},
        {"slope": "-3"},
        {"share": "0"},
        {"rmt": "0"},
        {"rmt": "100.1"},
        {"rmt": "20", "m1": "17", "target": "5"},
    ],
)
def test_figures_nobody_should_believe_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(DepthError):
        stokes(**changes)


def test_depths_at_their_limits_are_taken() -> None:
    assert stokes(m1="5", target="17") > 0
    assert stokes(m1="28", target="40") > 0


@pytest.mark.parametrize(("m1", "target"), [("0", "100"), ("100", "0"), ("-1", "100")])
def test_field_that_is_not_positive_is_refused(m1: str, target: str) -> None:
    with pytest.raises(DepthError):
        efield(F(50), F(1), F(m1), F(target), CLAMPS)


@given(
    percent,
    percent,
    percent,
    st.integers(50, 400).map(lambda tenths: F(tenths, 10)),
    st.integers(50, 400).map(lambda tenths: F(tenths, 10)),
)
def test_set_point_never_passes_the_wish_or_a_clamp(rmt: F, share_pct: F, highest: F, m1: F, target: F) -> None:
    clamps = Clamps(of_threshold=F("1.2"), max_set_point_mso=highest)
    try:
        found = linear(rmt, share_pct / 100, F(3), m1, target, clamps)
    except DepthError:
        return
    assert found.set_point_mso <= min(found.wanted_mso, F("1.2") * rmt, highest)


@pytest.mark.parametrize(("value", "fraction"), [(0.9, F(9, 10)), ("16.4", F(82, 5)), (58, F(58)), (1e-3, F(1, 1000))])
def test_numbers_are_taken_as_they_are_written(value: float | str, fraction: F) -> None:
    assert exact(value, "it") == fraction


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "nan", "", "5 mm", "1/0"])
def test_what_is_no_finite_number_is_refused_by_name(value: float | str) -> None:
    with pytest.raises(DepthError, match="the slope"):
        exact(value, "the slope")


@given(percent, percent, st.integers(50, 400), st.integers(50, 400), st.integers(1, 50))
def test_a_deeper_target_never_lowers_the_set_point(rmt: F, share_pct: F, m1: int, target: int, deeper: int) -> None:
    def at(tenths: int) -> int:
        return linear(rmt, share_pct / 100, F(3), F(m1, 10), F(tenths, 10), CLAMPS).set_point_mso

    try:
        assert at(target) <= at(target + deeper)
    except DepthError:
        return


@given(percent, percent, st.floats(0.1, 500), st.floats(0.1, 500))
def test_a_weaker_field_at_the_target_never_lowers_the_set_point(rmt: F, share_pct: F, one: float, other: float) -> None:
    weak, strong = sorted((exact(one, "one"), exact(other, "other")))
    m1 = F(100)
    assert efield(rmt, share_pct / 100, m1, weak, CLAMPS).set_point_mso >= efield(rmt, share_pct / 100, m1, strong, CLAMPS).set_point_mso
