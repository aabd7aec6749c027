"""MADRS: totals, response at exactly half, remission at exactly ten, and scores that the scale does not have."""

from fractions import Fraction

import pytest

from daemon.outcome import Band, ScoreError, madrs_band, madrs_outcome, madrs_total


def test_exactly_half_is_a_response_and_a_point_less_is_none() -> None:
    assert madrs_outcome(34, 17).response
    just_under = madrs_outcome(35, 18)
    assert not just_under.response
    assert just_under.pct_reduction == Fraction(1700, 35)


def test_remission_ends_at_ten() -> None:
    assert madrs_outcome(30, 10).remission
    assert not madrs_outcome(30, 11).remission


def test_nothing_can_be_reduced_from_a_baseline_of_nought() -> None:
    found = madrs_outcome(0, 0)
    assert (found.pct_reduction, found.response, found.remission) == (None, False, True)


def test_worse_is_a_negative_reduction() -> None:
    assert madrs_outcome(30, 36).pct_reduction == -20


def test_total_is_the_sum_of_ten_items() -> None:
    assert madrs_total((6,) * 10) == 60
    for items in ((6,) * 9, (7, *(0,) * 9), (-1, *(0,) * 9), (True, *(0,) * 9)):
        with pytest.raises(ScoreError):
            madrs_total(items)


@pytest.mark.parametrize("total", [-1, 61, 10.5, True])
def test_total_outside_the_scale_is_refused(total: int) -> None:
    for refused in (lambda: madrs_outcome(total, 5), lambda: madrs_outcome(5, total), lambda: madrs_band(total)):
        with pytest.raises(ScoreError):
            refused()


@pytest.mark.parametrize(
    ("total", "band"),
    [
        (0, Band.NONE),
        (6, Band.NONE),
        (7, Band.MILD),
        (19, Band.MILD),
        (20, Band.MODERATE),
        (34, Band.MODERATE),
        (35, Band.SEVERE),
        (60, Band.SEVERE),
    ],
)
def test_bands_begin_where_the_scale_says(total: int, band: Band) -> None:
    assert madrs_band(total) is band
