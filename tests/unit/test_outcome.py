"""MADRS: totals, response at exactly half, remission at exactly ten, versions kept apart, scores that the scale does not have."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.outcome import Band, Rating, Recall, ScoreError, madrs_band, madrs_change, madrs_outcome, madrs_total

totals = st.integers(0, 60)


def rating(total: int, recall: Recall = Recall.WEEK) -> Rating:
    return Rating(items=tuple(min(6, max(0, total - 6 * before)) for before in range(10)), total=total, recall=recall)


def test_exactly_half_is_a_response_and_a_point_less_is_none() -> None:
    assert madrs_outcome(34, 17).response
    just_under = madrs_outcome(35, 18)
    assert not just_under.response
    assert just_under.pct_reduction == Fraction(1700, 35)


def test_remission_ends_at_ten() -> None:
    assert madrs_outcome(30, 10).remission
    assert not madrs_outcome(30, 11).remission


def test_remission_may_come_without_response_and_response_without_remission() -> None:
    low, high = madrs_outcome(12, 10), madrs_outcome(60, 30)
    assert (low.response, low.remission) == (False, True)
    assert (high.response, high.remission) == (True, False)


@pytest.mark.parametrize("follow_up", [0, 10, 11])
def test_nothing_can_be_reduced_from_a_baseline_of_nought(follow_up: int) -> None:
    found = madrs_outcome(0, follow_up)
    assert (found.pct_reduction, found.response, found.remission) == (None, False, follow_up <= 10)


def test_worse_is_a_negative_reduction() -> None:
    assert madrs_outcome(30, 36).pct_reduction == -20


@given(baseline=totals, follow_up=totals)
def test_response_is_half_the_points_gone_in_whole_numbers(baseline: int, follow_up: int) -> None:
    assert madrs_outcome(baseline, follow_up).response == (baseline > 0 and 2 * follow_up <= baseline)


@given(items=st.lists(st.integers(0, 6), min_size=10, max_size=10))
def test_total_is_the_sum_of_ten_items(items: list[int]) -> None:
    assert madrs_total(tuple(items)) == sum(items)


@pytest.mark.parametrize(
    ("items", "named"),
    [
        ((6,) * 9, "9 items"),
        ((6,) * 11, "11 items"),
        ((7, *(0,) * 9), "item 1 of 7"),
        ((0, -1, *(0,) * 8), "item 2 of -1"),
        ((True, *(0,) * 9), "item 1 of True"),
        ((*(0,) * 9, 2.5), "item 10 of 2.5"),
    ],
)
def test_items_that_the_scale_does_not_have_are_refused_by_name(items: tuple[int, ...], named: str) -> None:
    with pytest.raises(ScoreError, match=named):
        madrs_total(items)


@pytest.mark.parametrize("total", [-1, 61, 10.5, True])
def test_total_outside_the_scale_is_refused(total: int) -> None:
    for refused in (lambda: madrs_outcome(total, 5), lambda: madrs_outcome(5, total), lambda: madrs_band(total)):
        with pytest.raises(ScoreError):
            refused()


def test_form_whose_total_is_not_its_sum_is_refused() -> None:
    with pytest.raises(ScoreError, match="add up to 60, the form says 59"):
        Rating(items=(6,) * 10, total=59, recall=Recall.DAY)


def test_form_read_from_a_file_is_held_to_its_sum_too() -> None:
    written = msgspec.json.encode(rating(33))
    assert msgspec.json.decode(written, type=Rating) == rating(33)
    with pytest.raises(msgspec.ValidationError, match="add up to 33"):
        msgspec.json.decode(written.replace(b'"total":33', b'"total":32'), type=Rating)


def test_forms_of_two_versions_are_not_compared() -> None:
    assert madrs_change(rating(34), rating(17)) == madrs_outcome(34, 17)
    assert madrs_change(rating(30, Recall.DAY), rating(36, Recall.DAY)) == madrs_outcome(30, 36)
    for first, second in ((Recall.WEEK, Recall.DAY), (Recall.DAY, Recall.WEEK)):
        with pytest.raises(ScoreError, match="not comparable"):
            madrs_change(rating(34, first), rating(17, second))


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
