"""What supports a protocol at an intensity: tables of the longest safe train, cleared protocols, or nothing. Pure but for reading files.

The cells ship as data and rest on memory: none counts before the site has signed for its table. Nothing is interpolated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec

from daemon.protocol_errors import BadProtocol
from daemon.protocol_file import Figures, Source, blocks, parsed, read_shipped, refuse, required, source_faults
from daemon.protocol_rules import rule_faults
from daemon.protocol_timing import Timing, TimingFields, is_decimal, parse_timing

TABLES_DIR = Path(__file__).parent / "tables"
CLEARED_FILE, PAUSES_FILE = TABLES_DIR / "cleared.toml", TABLES_DIR / "chen1997_pauses.toml"
LONGEST_TESTED = ">"  # before a cell: the longest that was tried, and a cap all the same


class Support(StrEnum):
    """What a protocol rests on at its intensity."""

    WITHIN_TABLE = "WITHIN_TABLE"
    CLEARED_EXACT = "CLEARED_EXACT"
    OUTSIDE = "OUTSIDE"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainTable:
    """Longest train in s for each frequency (rows, Hz, rising) and intensity (columns, percent of the threshold, rising)."""

    id: str
    title: str
    intensities_pct_rmt: tuple[int, ...]
    rows: tuple[tuple[Fraction, tuple[str, ...]], ...]
    sources: tuple[Source, ...]
    sha256: str

    def longest_s(self, frequency_hz: Fraction, intensity_pct_rmt: Fraction) -> Fraction | None:
        """The cell of the next higher row and the next higher column; None beyond the table's edge, where nothing was tested."""
        cells = next((cells for row_hz, cells in self.rows if 0 < frequency_hz <= row_hz), None)
        column = next((at for at, pct in enumerate(self.intensities_pct_rmt) if 0 < intensity_pct_rmt <= pct), None)
        return None if cells is None or column is None else Fraction(cells[column].removeprefix(LONGEST_TESTED))

    def allows(self, frequency_hz: Fraction, intensity_pct_rmt: Fraction, nominal_train_s: Fraction) -> bool:
        """Whether a train of that nominal length (pulses over frequency) is no longer than the table's."""
        longest_s = self.longest_s(frequency_hz, intensity_pct_rmt)
        return longest_s is not None and nominal_train_s <= longest_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """One cleared protocol: the six numbers, the coil's class, and the highest intensity of the clearance."""

    clearance: str
    device: str
    timing: Timing
    coil_class: str
    intensity_pct_rmt: int
    rests_on_memory: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What counts at one site: the tables that it signed, and of all clearances those that are verified or signed for."""

    tables: tuple[TrainTable, ...] = ()
    cleared: tuple[Cleared, ...] = ()
    registered: tuple[Cleared, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`rests_on` says which table, rule or clearance; `against` why there is none, one reason each."""

    support: Support
    rests_on: str | None = None
    against: tuple[str, ...] = ()


class PauseRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was found at each intensity with trains so far apart."""

    pause_s: str
    found: tuple[Literal["safe", "unsafe", "insufficient data"], ...]


class PauseGrid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pauses that were tested, for people to read: the rule in use is `protocol_rules`', and is this grid's summary."""

    id: str
    title: str
    intensities_pct_rmt: tuple[int, ...]
    rows: tuple[PauseRow, ...]
    sources: tuple[Source, ...]


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    frequency_hz: str
    longest_s: tuple[str, ...]


class _TableFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    title: str
    intensities_pct_rmt: tuple[int, ...]
    rows: tuple[_Row, ...]
    sources: tuple[Source, ...]


class _ClearedEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    clearance: str
    device: str
    coil_class: str
    intensity_pct_rmt: int
    timing: TimingFields
    mark: Literal["verified", "memory"]
    source: str


def judge(timing: Timing, intensity_pct_rmt: Fraction | None, coil_class: str | None, evidence: Evidence) -> Judgement:
    """What supports these six numbers at that intensity (percent of the resting threshold) under a coil of that class.

    Plain rTMS: every signed table, else an exact clearance. Theta burst, which no table covers: an exact clearance, else its own rules.
    """
    if intensity_pct_rmt is None:
        return Judgement(support=Support.OUTSIDE, against=("no intensity is stated",))
    exact = next((entry for entry in evidence.cleared if _is_exactly(entry, timing, intensity_pct_rmt, coil_class)), None)
    broken = rule_faults(timing, intensity_pct_rmt)
    against = (*broken, *(_against_tables(timing, intensity_pct_rmt, evidence.tables) if timing.is_plain else ()))
    if timing.is_plain and not against:
        return Judgement(support=Support.WITHIN_TABLE, rests_on=", ".join(table.title for table in evidence.tables))
    if exact is not None:
        return Judgement(support=Support.CLEARED_EXACT, rests_on=f"{exact.clearance} ({exact.device})")
    if not timing.is_plain and not against:
        return Judgement(support=Support.WITHIN_TABLE, rests_on="the rules of theta burst, for which no table exists")
    return Judgement(support=Support.OUTSIDE, against=(*against, "not equal to a cleared protocol under this coil"))


def _is_exactly(entry: Cleared, timing: Timing, intensity_pct_rmt: Fraction, coil_class: str | None) -> bool:
    return entry.timing == timing and entry.coil_class == coil_class and intensity_pct_rmt <= entry.intensity_pct_rmt


def _against_tables(timing: Timing, intensity_pct_rmt: Fraction, tables: Sequence[TrainTable]) -> tuple[str, ...]:
    if not tables:
        return ("no table of train durations is signed",)
    return tuple(
        f"a train of {float(timing.nominal_train_s):g} s at {float(timing.burst_hz):g} Hz and {float(intensity_pct_rmt):g} % is "
        f"{_beyond(table.longest_s(timing.burst_hz, intensity_pct_rmt))} ({table.title})"
        for table in tables
        if not table.allows(timing.burst_hz, intensity_pct_rmt, timing.nominal_train_s)
    )


def _beyond(longest_s: Fraction | None) -> str:
    return "off the table" if longest_s is None else f"longer than {float(longest_s):g} s"


def shipped_tables() -> tuple[TrainTable, ...]:
    """Every table of train durations that ships, signed for or not. Raises BadProtocol."""
    return tuple(read_table(path) for path in sorted(TABLES_DIR.glob("*.toml")) if path not in (CLEARED_FILE, PAUSES_FILE))


def shipped_pauses() -> PauseGrid:
    """The grid of tested pauses. Raises BadProtocol."""
    return required(read_shipped(PAUSES_FILE), PauseGrid)


def read_table(path: Path) -> TrainTable:
    """A table of train durations. Raises BadProtocol with every fault."""
    figures = read_shipped(path)
    fields = required(figures, _TableFile)
    refuse(_table_faults(fields, path), path)
    return TrainTable(
        id=fields.id,
        title=fields.title,
        intensities_pct_rmt=fields.intensities_pct_rmt,
        rows=tuple((Fraction(row.frequency_hz), row.longest_s) for row in fields.rows),
        sources=fields.sources,
        sha256=figures.sha256,
    )


def _table_faults(fields: _TableFile, path: Path) -> list[str]:
    texts = [text for row in fields.rows for text in (row.frequency_hz, *(cell.removeprefix(LONGEST_TESTED) for cell in row.longest_s))]
    faults = [f"{text!r} is no plain decimal" for text in texts if not is_decimal(text)]
    faults += source_faults(("rows", "intensities_pct_rmt"), fields.sources)
    return faults if faults else _shape_faults(fields, path)


def _shape_faults(fields: _TableFile, path: Path) -> list[str]:
    cells = [[Fraction(cell.removeprefix(LONGEST_TESTED)) for cell in row.longest_s] for row in fields.rows]
    must_hold = {
        f"id {fields.id!r} is not the file's name": fields.id == path.stem,
        "intensities do not rise": _rise([Fraction(pct) for pct in fields.intensities_pct_rmt]),
        "frequencies do not rise": _rise([Fraction(row.frequency_hz) for row in fields.rows]),
        "a row has not one cell for each intensity": all(len(row) == len(fields.intensities_pct_rmt) for row in cells),
        "a cell is not positive": all(cell > 0 for row in cells for cell in row),
        "a row allows more at a higher intensity": all(later <= earlier for row in cells for earlier, later in pairwise(row)),
    }
    return [fault for fault, holds in must_hold.items() if not holds]


def _rise(values: Sequence[Fraction]) -> bool:
    return len(values) > 0 and values[0] > 0 and all(later > earlier for earlier, later in pairwise(values))


def shipped_clearances() -> Figures:
    """The file of cleared protocols, to be signed for where an entry rests on memory."""
    return read_shipped(CLEARED_FILE)


def read_clearances(figures: Figures) -> tuple[Cleared, ...]:
    """Every entry of the file. Raises BadProtocol with every fault."""
    faults: list[str] = []
    cleared = []
    for number, entry in enumerate(blocks(figures, "cleared"), 1):
        fields = parsed(entry, _ClearedEntry, faults, f"entry {number}: ")
        cleared += [] if fields is None else [_cleared(fields, faults)]
    refuse(faults, figures.path)
    return tuple(entry for entry in cleared if entry is not None)


def _cleared(fields: _ClearedEntry, faults: list[str]) -> Cleared | None:
    try:
        timing = parse_timing(**msgspec.structs.asdict(fields.timing))
    except BadProtocol as error:
        faults.append(f"{fields.clearance}: {error.what}")
        return None
    return Cleared(
        clearance=fields.clearance,
        device=fields.device,
        timing=timing,
        coil_class=fields.coil_class,
        intensity_pct_rmt=fields.intensity_pct_rmt,
        rests_on_memory=fields.mark == "memory",
    )
