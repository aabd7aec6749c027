"""Published tables of train durations, and the verdict on a protocol: within a table, equal to a cleared one, or outside.

The cells ship as data and rest on memory: vectors read them, a session only once the site has signed them. Pure but for reading.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

TABLES_DIR: Final = Path(__file__).parent / "tables"
# Pauses between trains, Chen 1997: ten trains of 20 Hz, 1.6 s, 110 % were safe 5 s apart; 1 s or less was unsafe above 100 %.
SLOW_HZ: Final = Fraction(1)
MIN_TRAIN_GAP_S: Final = Fraction(5)
# Above 110 % no pause of 5 s is supported: the shortest gap of a cleared protocol (K160703 is believed to be the clearance).
GAP_TABLE_MAX_PCT: Final = 110
CLEARED_GAP_S: Final = Fraction(11)


class Verdict(StrEnum):
    """What stands behind a protocol's trains."""

    WITHIN_TABLE = "WITHIN_TABLE"
    CLEARED_EXACT = "CLEARED_EXACT"
    OUTSIDE = "OUTSIDE"


class TableRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Longest train in s at each of the table's intensities, decimals as strings."""

    frequency_hz: str
    longest_s: tuple[str, ...]


class _TableFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    title: str
    source: str
    mark: str
    intensities_pct_rmt: tuple[int, ...]
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainTable:
    """One published table; `sha256` is that of the file's bytes."""

    id: str
    title: str
    source: str
    mark: str
    intensities_pct_rmt: tuple[int, ...]
    rows: tuple[tuple[Fraction, tuple[Fraction, ...]], ...]
    sha256: str

    def longest_s(self, frequency_hz: Fraction, intensity_pct_rmt: Fraction) -> Fraction | None:
        """Cap on a nominal train: the next higher row and column of those tabulated; None above the table, which supports nothing."""
        row = next((longest for hz, longest in self.rows if hz >= frequency_hz), None)
        column = next((index for index, pct in enumerate(self.intensities_pct_rmt) if pct >= intensity_pct_rmt), None)
        return None if row is None or column is None else row[column]

    def allows(self, frequency_hz: Fraction, intensity_pct_rmt: Fraction, nominal_train_s: Fraction) -> bool:
        longest = self.longest_s(frequency_hz, intensity_pct_rmt)
        return longest is not None and nominal_train_s <= longest


class TableError(Exception):
    """A table that cannot be used: what is wrong, where, what to do."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.what, self.where, self.remedy = what, where, remedy


def shipped_tables() -> tuple[TrainTable, ...]:
    """Every table of the package, by id."""
    return tuple(read_table(path) for path in sorted(TABLES_DIR.glob("*.toml")))


def read_table(path: Path) -> TrainTable:
    """Raises TableError with every fault."""
    try:
        content = path.read_bytes()
        given = msgspec.toml.decode(content, type=_TableFile)
        rows = tuple((Fraction(row.frequency_hz), tuple(Fraction(cell) for cell in row.longest_s)) for row in given.rows)
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise TableError(f"it cannot be read ({error})", str(path), "Correct the table; the shipped ones show every field.") from error
    must_hold = {
        "id is not the file's name": given.id == path.stem,
        "intensities do not rise": _rise([Fraction(pct) for pct in given.intensities_pct_rmt]),
        "frequencies do not rise": _rise([hz for hz, _ in rows]),
        "a row has not one cell for each intensity": all(len(cells) == len(given.intensities_pct_rmt) for _, cells in rows),
        "a cell is not positive": all(cell > 0 for _, cells in rows for cell in cells),
        "a row allows more at a higher intensity": all(later <= earlier for _, cells in rows for earlier, later in pairwise(cells)),
    }
    if faults := [fault for fault, holds in must_hold.items() if not holds]:
        raise TableError("; ".join(faults), str(path), "Correct the table; the shipped ones show every field.")
    return TrainTable(
        id=given.id,
        title=given.title,
        source=given.source,
        mark=given.mark,
        intensities_pct_rmt=given.intensities_pct_rmt,
        rows=rows,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _rise(values: Sequence[Fraction]) -> bool:
    return len(values) > 0 and values[0] > 0 and all(later > earlier for earlier, later in pairwise(values))
