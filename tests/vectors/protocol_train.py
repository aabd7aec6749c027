"""Vectors of the tables of train durations, by the cells that are shipped."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from daemon.safety_tables import shipped_tables

Values = Mapping[str, Any]


def _train_limit(given: Values, _expect: Values) -> Values:
    frequency, intensity = Fraction(str(given["frequency_hz"])), Fraction(str(given["intensity_pct_rmt"]))
    duration = Fraction(str(given["train_duration_s"]))
    answer: dict[str, Any] = {}
    for table in shipped_tables():
        longest = table.longest_s(frequency, intensity)
        answer[f"{table.id}_max_s"] = None if longest is None else float(longest)
        answer[f"{table.id}_ok"] = table.allows(frequency, intensity, duration)
    return answer


INPUT_KEYS: Mapping[str, frozenset[str]] = {
    "train_limit": frozenset(("frequency_hz", "train_duration_s", "intensity_pct_rmt")),
}
RUNNERS: Mapping[str, Callable[[Values, Values], Values]] = {"train_limit": _train_limit}
