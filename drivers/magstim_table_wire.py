"""What a Rapid² takes at each power: joules of one pulse and the highest rate of a train, by model and mains. Data, no rule.

The table is the maker's, as the public clients carry it (MAGIC, magpy, agreeing in every figure); Horizon from MAGIC alone.
"""

import csv
from importlib import resources

import msgspec

TABLE = "data/magstim_limits.csv"
POWERS = 101
MAINS_V = (240, 115)


class PowerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """One row: `max_hz` by the name of its column."""

    joules: float
    max_hz: dict[str, int]


def read_table() -> tuple[PowerLimits, ...]:
    """The table by power, 0 to 100 %. Raises ValueError for a file that is not whole."""
    with resources.files("drivers").joinpath(TABLE).open(encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    if [int(row["power_pct"]) for row in rows] != list(range(POWERS)):
        raise ValueError(f"{TABLE}: a row for each power from 0 to 100 % must stand in order; install the package anew")
    return tuple(_limits(row) for row in rows)


def _limits(row: dict[str, str]) -> PowerLimits:
    rates = {name.removeprefix("fmax_"): int(value) for name, value in row.items() if name.startswith("fmax_")}
    return PowerLimits(joules=float(row["energy_j_per_pulse"]), max_hz=rates)
