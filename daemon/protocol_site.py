"""What the site has signed for about protocols: which it enables and on what basis, which tables count, what research admits.

Three files in the site's folder, each optional and each signed by a physician: `enabled.toml`, `tables.toml` and, by two people in two
roles, `research.toml`. An entry names the file it speaks of by its SHA-256, and means nothing once that file has changed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from daemon.course import course_files
from daemon.protocol import BASIS_FORMS, is_basis, protocol_files
from daemon.protocol_file import Fields, Figures, blocks, parsed, read_of_site, refuse
from daemon.safety_tables import Evidence, read_clearances, shipped_clearances, shipped_tables

ENABLED, TABLES, RESEARCH = "enabled.toml", "tables.toml", "research.toml"
CLEARANCES = "cleared"  # the id of the cleared protocols among the tables
RESEARCH_SIGNERS = 2


class Enabled(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A protocol or course whose figures the site confirms; `basis` replaces the file's own where it is given."""

    id: str
    sha256: str
    basis: str | None = None


class Admitted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A protocol outside every table that research may start, up to an intensity."""

    id: str
    sha256: str
    basis: str
    intensity_pct_rmt: int


class _Signed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    sha256: str


class PinnedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was when a plan was opened."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolSite:
    """Everything the site says about protocols; without a folder it says nothing."""

    folder: Path | None = None
    enabled: Mapping[str, Enabled] = field(default_factory=dict)
    admitted: Mapping[str, Admitted] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
    signed_tables: frozenset[str] = frozenset()
    pinned: tuple[PinnedFile, ...] = ()


def read_protocol_site(folder: Path | None) -> ProtocolSite:
    """The site's word. Raises BadProtocol where one of its files is unsigned, malformed, or speaks of what does not exist."""
    enabled = _figures(folder, ENABLED)
    tables = _figures(folder, TABLES)
    research = _figures(folder, RESEARCH, roles=RESEARCH_SIGNERS)
    known = protocol_files(folder).keys() | course_files(folder).keys()
    signed = _entries(tables, "tables", _Signed)
    evidence, current = _evidence(signed)
    if tables is not None:
        refuse([f"there is no table {entry.id!r}" for entry in signed if entry.id not in current], tables.path)
    admitted = _entries(research, "admitted", Admitted)
    if research is not None:
        faults = [f"{entry.id}: basis {entry.basis!r} is no 'research:<protocol no.>'" for entry in admitted if not _is_research(entry)]
        refuse(faults + _unknown(admitted, known), research.path)
    wanted = _entries(enabled, "files", Enabled)
    if enabled is not None:
        bad = [f"{entry.id}: basis {entry.basis!r} is none of {BASIS_FORMS}" for entry in wanted if not _may_be_basis(entry.basis)]
        refuse(bad + _unknown(wanted, known), enabled.path)
    return ProtocolSite(
        folder=folder,
        enabled={entry.id: entry for entry in wanted},
        admitted={entry.id: entry for entry in admitted},
        evidence=evidence,
        signed_tables=frozenset(entry.id for entry in signed if entry.sha256 == current[entry.id]),
        pinned=tuple(PinnedFile(path=file.path, sha256=file.sha256) for file in (enabled, tables, research) if file is not None),
    )


def changed_files(pinned: Sequence[PinnedFile]) -> tuple[Path, ...]:
    """Those that are no longer what they were: nothing may be armed on them."""
    return tuple(file.path for file in pinned if _sha256(file.path) != file.sha256)


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _figures(folder: Path | None, name: str, *, roles: int = 1) -> Figures | None:
    path = None if folder is None else folder / name
    return None if path is None or not path.exists() else read_of_site(path, roles=roles)


def _entries(figures: Figures | None, block: str, kind: type[Fields]) -> tuple[Fields, ...]:
    if figures is None:
        return ()
    faults: list[str] = []
    given = blocks(figures, block)
    entries = [parsed(entry, kind, faults, f"{block} {number}: ") for number, entry in enumerate(given, 1)]
    ids = [str(entry.get("id")) for entry in given]
    faults += [f"{twice} stands there twice" for twice in sorted({one for one in ids if ids.count(one) > 1})]
    refuse(faults, figures.path)
    return tuple(entry for entry in entries if entry is not None)


def _evidence(signed: Sequence[_Signed]) -> tuple[Evidence, dict[str, str]]:
    """What counts under these signatures, and the checksum of each table as it stands."""
    tables, clearances = shipped_tables(), shipped_clearances()
    current = {table.id: table.sha256 for table in tables} | {CLEARANCES: clearances.sha256}
    counts = {entry.id for entry in signed if current.get(entry.id) == entry.sha256}
    registered = read_clearances(clearances)
    cleared = tuple(entry for entry in registered if not entry.rests_on_memory or CLEARANCES in counts)
    in_force = tuple(table for table in tables if table.id in counts)
    return Evidence(tables=in_force, cleared=cleared, registered=registered), current


def _unknown(entries: Sequence[Enabled | Admitted], known: set[str]) -> list[str]:
    return [f"there is no protocol or course {entry.id!r}" for entry in entries if entry.id not in known]


def _is_research(entry: Admitted) -> bool:
    return is_basis(entry.basis) and entry.basis.startswith("research:")


def _may_be_basis(basis: str | None) -> bool:
    return basis is None or is_basis(basis)
