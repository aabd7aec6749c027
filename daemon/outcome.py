"""What a rating scale says of a patient's course: MADRS totals, reduction, response, remission, severity.

Pure. Montgomery-Åsberg scale: ten items of 0 to 6. Keeping the visits, and who may read them, is not done here.
"""

from enum import StrEnum
from fractions import Fraction
from typing import Final

import msgspec

MADRS_ITEMS: Final = 10
MADRS_ITEM_MAX: Final = 6
MADRS_MAX: Final = MADRS_ITEMS * MADRS_ITEM_MAX
RESPONSE_PCT: Final = 50  # a reduction of half from the baseline, itself included
REMISSION_MAX: Final = 10  # "below 11" in Cole 2020, Am J Psychiatry 177:716
MILD_FROM, MODERATE_FROM, SEVERE_FROM = 7, 20, 35  # bands of the scale's common reading


class ScoreError(ValueError):
    """A score that the scale does not have, or two that must not be compared."""


class Recall(StrEnum):
    """The time a rating speaks of: two versions of the scale, whose scores must not be mixed."""

    WEEK = "7d"
    DAY = "24h"


class Band(StrEnum):
    NONE = "none"
    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"


class Rating(msgspec.Struct, frozen=True, kw_only=True):
    """One filled form: its ten items, the total written under them, the version. Raises ScoreError where the total is not their sum."""

    items: tuple[int, ...]
    total: int
    recall: Recall

    def __post_init__(self) -> None:
        if madrs_total(self.items) != self.total:
            raise ScoreError(f"MADRS: the items add up to {sum(self.items)}, the form says {self.total!r}. Correct the form.")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`pct_reduction` is exact, negative when worse, None from a baseline of 0: then there is no response to speak of."""

    pct_reduction: Fraction | None
    response: bool
    remission: bool


def madrs_total(items: tuple[int, ...]) -> int:
    """Sum of the ten items. Raises ScoreError."""
    if len(items) != MADRS_ITEMS:
        raise ScoreError(f"MADRS: {len(items)} items given, the scale has {MADRS_ITEMS}. Rate every item.")
    for number, item in enumerate(items, 1):
        _check(f"item {number}", item, MADRS_ITEM_MAX)
    return sum(items)


def madrs_outcome(baseline: int, follow_up: int) -> Outcome:
    """Two totals of the same version of the scale, compared. Raises ScoreError."""
    _check("baseline", baseline, MADRS_MAX)
    _check("follow-up", follow_up, MADRS_MAX)
    reduction = None if baseline == 0 else Fraction(100 * (baseline - follow_up), baseline)
    return Outcome(
        pct_reduction=reduction,
        response=reduction is not None and reduction >= RESPONSE_PCT,
        remission=follow_up <= REMISSION_MAX,
    )


def madrs_change(baseline: Rating, follow_up: Rating) -> Outcome:
    """What came of a course between two forms. Raises ScoreError where one asks for a week and the other for a day."""
    if baseline.recall is not follow_up.recall:
        what = f"the baseline asks for {baseline.recall}, the follow-up for {follow_up.recall}"
        raise ScoreError(f"MADRS: {what}; the two versions are not comparable. Compare forms of one version.")
    return madrs_outcome(baseline.total, follow_up.total)


def madrs_band(total: int) -> Band:
    """How severe a total is. Raises ScoreError."""
    _check("total", total, MADRS_MAX)
    if total >= SEVERE_FROM:
        return Band.SEVERE
    if total >= MODERATE_FROM:
        return Band.MODERATE
    return Band.MILD if total >= MILD_FROM else Band.NONE


def _check(name: str, score: object, most: int) -> None:
    if not (isinstance(score, int) and not isinstance(score, bool) and 0 <= score <= most):
        raise ScoreError(f"MADRS: {name} of {score!r} is not a whole number from 0 to {most}. Correct the form.")
