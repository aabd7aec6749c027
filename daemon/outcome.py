"""What a rating scale says of a patient's course: MADRS totals, reduction, response, remission.

Pure. Montgomery-Åsberg scale: ten items of 0 to 6. Keeping the visits is not done here.
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
MILD_FROM, MODERATE_FROM, SEVERE_FROM = 7, 20, 35


class ScoreError(ValueError):
    """A score that the scale does not have."""


class Band(StrEnum):
    NONE = "none"
    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`pct_reduction` is exact, None from a baseline of 0: then there is no response to speak of."""

    pct_reduction: Fraction | None
    response: bool
    remission: bool


def madrs_total(items: tuple[int, ...]) -> int:
    """Sum of the ten items. Raises ScoreError."""
    if len(items) != MADRS_ITEMS or not all(_is_score(item, MADRS_ITEM_MAX) for item in items):
        raise ScoreError(f"MADRS has {MADRS_ITEMS} items of 0 to {MADRS_ITEM_MAX}, whole numbers")
    return sum(items)


def madrs_outcome(baseline: int, follow_up: int) -> Outcome:
    """Two totals of the same version of the scale, compared. Raises ScoreError."""
    if not all(_is_score(total, MADRS_MAX) for total in (baseline, follow_up)):
        raise ScoreError(f"a MADRS total is a whole number from 0 to {MADRS_MAX}")
    reduction = None if baseline == 0 else Fraction(100 * (baseline - follow_up), baseline)
    return Outcome(
        pct_reduction=reduction,
        response=reduction is not None and reduction >= RESPONSE_PCT,
        remission=follow_up <= REMISSION_MAX,
    )


def madrs_band(total: int) -> Band:
    """How severe a total is. Raises ScoreError."""
    if not _is_score(total, MADRS_MAX):
        raise ScoreError(f"a MADRS total is a whole number from 0 to {MADRS_MAX}")
    if total >= SEVERE_FROM:
        return Band.SEVERE
    if total >= MODERATE_FROM:
        return Band.MODERATE
    return Band.MILD if total >= MILD_FROM else Band.NONE


def _is_score(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
