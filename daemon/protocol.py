"""Protocols as data: what a file must hold, and where the shipped files and the site's signed ones are found.

Knows no device, no patient and no day. Whether a sound protocol may be used here is `protocol_use`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import msgspec

from daemon.limits import Layer, LimitValue, merge, product_layer
from daemon.protocol_errors import BadProtocol, NotUsable, ProtocolError, UnknownProtocol
from daemon.protocol_file import Figures, Source, on_memory, parsed, read_of_site, read_shipped, refuse, source_faults
from daemon.protocol_rules import MAX_INTENSITY_PCT_RMT
from daemon.protocol_timing import Timing, TimingFields, parse_timing

__all__ = [
    "MAX_INTENSITY_PCT_RMT",
    "SIMULATION_ONLY",
    "BadProtocol",
    "NotUsable",
    "Protocol",
    "ProtocolError",
    "UnknownProtocol",
    "load_protocol",
    "protocol_files",
    "read_protocol",
]

SHIPPED_DIR = Path(__file__).parent / "protocols"
SITE_DIR = "protocols"  # within the site's folder
SIMULATION_ONLY = "simulation only"

Threshold = Literal["resting", "active", "leg"]  # of the hand at rest, of the hand in action, of the leg at rest
CoilClass = Literal["figure-8", "circular", "double-cone", "h1", "h7"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,63}")
_BASIS = re.compile(r"simulation only|cleared:(K\d{6}|DEN\d{6})|research:\S+|off_label:\S.*")
BASIS_FORMS = f"'cleared:K<number>', 'research:<protocol no.>', 'off_label:<signed by>', {SIMULATION_ONLY!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A protocol as its file states it; `sha256` is that of the file's bytes. `signed_by` is empty for a shipped one.

    `intensity_pct_rmt` is a percent of the threshold named; None: the site chooses it for each plan.
    """

    id: str
    title: str
    basis: str | None
    intensity_pct_rmt: int | None
    threshold: Threshold
    coil_class: CoilClass | None
    timing: Timing
    limits: Mapping[str, LimitValue]
    sources: tuple[Source, ...]
    path: Path
    sha256: str
    signed_by: tuple[str, ...] = ()

    @property
    def is_simulation_only(self) -> bool:
        return self.basis == SIMULATION_ONLY

    @property
    def trains(self) -> int:
        return self.timing.trains

    @property
    def pulses_per_train(self) -> int:
        return self.timing.pulses_per_train

    @property
    def total_pulses(self) -> int:
        return self.timing.total_pulses

    @property
    def train_period_s(self) -> Fraction:
        return self.timing.train_period_s

    @property
    def limit_layer(self) -> Layer:
        """The protocol's own limits as the layer they form."""
        return Layer(name="protocol", limits=self.limits, sha256=self.sha256)

    @property
    def on_memory(self) -> tuple[str, ...]:
        """Figures that nobody has confirmed yet; a file that the site signed is confirmed by that."""
        return () if self.signed_by else on_memory(self.sources)


class _ProtocolFields(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    title: str
    timing: dict[str, object]
    limits: dict[str, LimitValue]
    sources: tuple[Source, ...]
    basis: str | None = None
    intensity_pct_rmt: int | None = None
    threshold: Threshold = "resting"
    coil_class: CoilClass | None = None


def load_protocol(protocol_id: str, site_folder: Path | None = None) -> Protocol:
    """The protocol of that id, shipped or in the site's folder (there signed by a physician).

    Raises UnknownProtocol (its text lists the known ids) and BadProtocol (all faults of the file at once).
    """
    files = protocol_files(site_folder)
    path = files.get(protocol_id)
    if path is None:
        raise UnknownProtocol(f"there is no protocol {protocol_id!r}", "protocols", f"Known are: {', '.join(sorted(files))}.")
    return read_protocol(path, of_site=path.parent != SHIPPED_DIR)


def protocol_files(site_folder: Path | None = None) -> dict[str, Path]:
    """Ids and files of all protocols. Raises BadProtocol when the site reuses the id of a shipped one."""
    return shipped_and_site(SHIPPED_DIR, None if site_folder is None else site_folder / SITE_DIR)


def shipped_and_site(shipped_dir: Path, site_dir: Path | None) -> dict[str, Path]:
    """Ids and files of both folders. Raises BadProtocol for an id that is in both."""
    shipped = {path.stem: path for path in sorted(shipped_dir.glob("*.toml"))}
    site = {} if site_dir is None else {path.stem: path for path in sorted(site_dir.glob("*.toml"))}
    for reused in sorted(shipped.keys() & site.keys()):
        raise BadProtocol(f"{reused} is shipped with atmsd", str(site[reused]), "Give the site's version an id of its own.")
    return shipped | site


def read_protocol(path: Path, *, of_site: bool = False) -> Protocol:
    """Protocol in a file; one of the site must be signed by a physician. Raises BadProtocol with every fault of it."""
    return _protocol(read_of_site(path) if of_site else read_shipped(path))


def _protocol(figures: Figures) -> Protocol:
    faults: list[str] = []
    fields = parsed(figures.table, _ProtocolFields, faults)
    timing = _timing(figures.table.get("timing"), faults)
    if fields is not None:
        faults += _field_faults(fields, figures.path)
    refuse(faults, figures.path)
    if fields is None or timing is None:
        raise BadProtocol("it holds no protocol", str(figures.path), "Compare it with the shipped ones.")
    return Protocol(
        id=fields.id,
        title=fields.title,
        basis=fields.basis,
        intensity_pct_rmt=fields.intensity_pct_rmt,
        threshold=fields.threshold,
        coil_class=fields.coil_class,
        timing=timing,
        limits=fields.limits,
        sources=fields.sources,
        path=figures.path,
        sha256=figures.sha256,
        signed_by=figures.signed_by,
    )


def _timing(table: object, faults: list[str]) -> Timing | None:
    fields = parsed(table, TimingFields, faults, "timing.") if isinstance(table, dict) else None
    if fields is None:
        return None
    try:
        return parse_timing(**msgspec.structs.asdict(fields))
    except BadProtocol as error:
        faults.append(error.what)
        return None


def _field_faults(fields: _ProtocolFields, path: Path) -> list[str]:
    merged = merge((product_layer(one_d=True), Layer(name="protocol", limits=fields.limits, sha256="")))
    intensity = fields.intensity_pct_rmt
    must_hold = {
        f"id {fields.id!r} is not the file's name": fields.id == path.stem and _ID.fullmatch(fields.id) is not None,
        "title is empty": bool(fields.title.strip()),
        f"basis {fields.basis!r} is none of {BASIS_FORMS}": fields.basis is None or is_basis(fields.basis),
        f"intensity_pct_rmt is outside 1 to {MAX_INTENSITY_PCT_RMT}": intensity is None or 1 <= intensity <= MAX_INTENSITY_PCT_RMT,
    }
    faults = [fault for fault, holds in must_hold.items() if not holds]
    faults += [f"limits.{refused.key}: {refused.code}" for refused in merged.refused]
    return faults + source_faults(_figures(fields), fields.sources)


def _figures(fields: _ProtocolFields) -> list[str]:
    """Names of all figures that need a source."""
    stated = [name for name in ("basis", "intensity_pct_rmt", "coil_class") if getattr(fields, name) is not None]
    return [*TimingFields.__struct_fields__, *stated, *(f"limits.{key}" for key in fields.limits)]


def is_basis(text: str) -> bool:
    """Whether a text says on what ground a protocol is started, in one of `BASIS_FORMS`."""
    return _BASIS.fullmatch(text) is not None
