"""How results are printed: one row a measurement, percentiles beside the budget they are held against."""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PERCENTILES = (("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0))
MET, NOT_MET = "met", "NOT MET"


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `budget` holds limits for some of the percentiles, in the unit of the samples."""

    what: str
    samples: Sequence[float]
    unit: str = "ms"
    budget: tuple[tuple[str, float], ...] = ()

    def percentile(self, percent: float) -> float | None:
        """By nearest rank, so that it is always a sample; None of no samples."""
        ordered = sorted(self.samples)
        if not ordered:
            return None
        return ordered[max(0, math.ceil(percent / 100.0 * len(ordered)) - 1)]

    def verdict(self) -> str:
        """The budget and whether it was met, empty where there is none."""
        if not self.budget:
            return ""
        of_name = dict(PERCENTILES)
        found = [(self.percentile(of_name[name]), limit) for name, limit in self.budget]
        is_met = all(value is not None and value <= limit for value, limit in found)
        limits = ", ".join(f"{name} <= {limit:g}" for name, limit in self.budget)
        return f"{limits}: {MET if is_met else NOT_MET}"

    def cells(self) -> tuple[str, ...]:
        values = (self.percentile(percent) for _, percent in PERCENTILES)
        return (self.what, str(len(self.samples)), *map(_number, values), self.unit, self.verdict())


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if value < 10.0 else f"{value:.1f}"


def print_rows(title: str, rows: Iterable[Row], notes: Iterable[str] = ()) -> None:
    """One table, then its notes, a line each."""
    head = ("what", "n", *(name for name, _ in PERCENTILES), "unit", "budget")
    lines = [head, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    load = " ".join(f"{part:.1f}" for part in os.getloadavg())
    print(f"\n{title}   (load average {load})")
    for line in lines:
        cells = [line[0].ljust(widths[0]), *(line[i].rjust(widths[i]) for i in range(1, 6)), *line[6:]]
        print("  " + "  ".join(cells).rstrip())
    for note in notes:
        print(f"  {note}")


def ms(durations_ns: Iterable[int]) -> list[float]:
    return [duration / 1e6 for duration in durations_ns]


def us(durations_ns: Iterable[int]) -> list[float]:
    return [duration / 1e3 for duration in durations_ns]
