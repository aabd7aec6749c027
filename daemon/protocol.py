"""Protocols as data: six timing numbers with one meaning each, the exact schedule that they give, and what a file must hold.

Owns the shipped files in `protocols/` and the site's beside them. Knows no device, no patient and no day.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Literal

import msgspec

from daemon.limits import Layer, LimitValue, merge, product_layer, undecided

SHIPPED_DIR = Path(__file__).parent / "protocols"
SIMULATION_ONLY = "simulation only"

# Most pulses a day found in use (SAINT, Cole 2020; George 2014): one session can never hold more than a day.
MAX_SESSION_PULSES = 18_000
# Cleared use of theta burst and of 10 Hz rTMS alike stays at or below 120 % of the resting motor threshold (K201158, K083538).
MAX_INTENSITY_PCT_RMT = 120
# Theta burst as published (Brain Sci 2021 11:737; 30 Hz variant pubmed 22627376). No safety table exists for it: nothing else is taken.
THETA_PULSES_PER_BURST = 3
THETA_INTRA_BURST_HZ = (Fraction(50), Fraction(30))
THETA_BURST_HZ = Fraction(5)
ITBS_MAX_TRAIN_S = Fraction(2)
ITBS_MIN_GAP_S = Fraction(8)
CTBS_MAX_PULSES = 600  # a longer run reverses the after-effect (Gamboa 2010, PMC2892066)

_DECIMAL = re.compile(r"\d{1,6}(\.\d{1,9})?")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,63}")
_BASIS = re.compile(r"simulation only|cleared:K\d{6}|research:\S+|off_label:\S.*")


class ProtocolError(Exception):
    """A protocol cannot be used: what is wrong, where, and what to do."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.what, self.where, self.remedy = what, where, remedy


class UnknownProtocol(ProtocolError):
    """No file holds a protocol of that id."""


class BadProtocol(ProtocolError):
    """The file is there and cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The six numbers. Frequencies in Hz, the gap in s from the nominal end of a train to the onset of the next.

    Raises BadProtocol when they contradict themselves.
    """

    intra_burst_hz: Fraction
    pulses_per_burst: int
    burst_hz: Fraction
    bursts_per_train: int
    train_gap_s: Fraction
    trains: int

    def __post_init__(self) -> None:
        faults = _timing_faults(self)
        if faults:
            raise BadProtocol("; ".join(faults), "timing", "Correct the six timing fields.")

    @property
    def pulses_per_train(self) -> int:
        return self.pulses_per_burst * self.bursts_per_train

    @property
    def total_pulses(self) -> int:
        return self.pulses_per_train * self.trains

    @property
    def nominal_train_s(self) -> Fraction:
        """Bursts over burst rate: 4 s for 40 pulses at 10 Hz, though the last pulse is at 3.9 s."""
        return self.bursts_per_train / self.burst_hz

    @property
    def train_period_s(self) -> Fraction:
        """Onset of a train to the onset of the next."""
        return self.nominal_train_s + self.train_gap_s

    @property
    def nominal_session_s(self) -> Fraction:
        return self.trains * self.nominal_train_s + (self.trains - 1) * self.train_gap_s

    @property
    def first_to_last_s(self) -> Fraction:
        """Onset of the session's last pulse, exact."""
        last_train_s = (self.trains - 1) * self.train_period_s
        return last_train_s + (self.bursts_per_train - 1) / self.burst_hz + (self.pulses_per_burst - 1) / self.intra_burst_hz

    @property
    def first_to_last_us(self) -> int:
        return whole_us(self.first_to_last_s)

    def onsets_us(self) -> tuple[int, ...]:
        """Every onset in µs from the first pulse: exact rational time rounded half up for each pulse, never added up."""
        steps = (self.train_period_s, 1 / self.burst_hz, 1 / self.intra_burst_hz)
        unit = lcm(*(step.denominator for step in steps))
        period, burst_step, pulse_step = (int(step * unit) * 2_000_000 for step in steps)
        return tuple(
            (train * period + burst * burst_step + pulse * pulse_step + unit) // (2 * unit)
            for train in range(self.trains)
            for burst in range(self.bursts_per_train)
            for pulse in range(self.pulses_per_burst)
        )

    def schedule_sha256(self) -> str:
        """SHA-256 over all onsets in µs: decimal, LF after each, ASCII."""
        return hashlib.sha256("".join(f"{onset}\n" for onset in self.onsets_us()).encode("ascii")).hexdigest()


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a figure of the protocol comes from."""

    figure: str
    mark: Literal["verified", "memory", "design", "computed"]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A protocol as its file states it; `sha256` is that of the file's bytes."""

    id: str
    title: str
    basis: str
    intensity_pct_rmt: int
    coil_class: str | None
    timing: Timing
    limits: Mapping[str, LimitValue]
    sources: tuple[Source, ...]
    sha256: str

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A day's and a course's worth of one protocol; `onset_to_onset_s` is the plan's spacing, 0 where a day has one session."""

    timing: Timing
    sessions_per_day: int
    days: int
    onset_to_onset_s: Fraction

    @property
    def sessions(self) -> int:
        return self.sessions_per_day * self.days

    @property
    def pulses_per_day(self) -> int:
        return self.timing.total_pulses * self.sessions_per_day

    @property
    def pulses(self) -> int:
        return self.pulses_per_day * self.days

    @property
    def measured_gap_us(self) -> int | None:
        """Last pulse of a session to the first of the next, as the limit counts it; None where a day has one session."""
        return None if self.sessions_per_day == 1 else self.session_onset_us(2) - self.timing.first_to_last_us

    @property
    def day_first_to_last_us(self) -> int:
        return self.session_onset_us(self.sessions_per_day) + self.timing.first_to_last_us

    def session_onset_us(self, session: int) -> int:
        """Onset of a session in µs from the day's first pulse; session from 1."""
        return whole_us((session - 1) * self.onset_to_onset_s)


class _TimingFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    intra_burst_hz: str
    pulses_per_burst: int
    burst_hz: str
    bursts_per_train: int
    train_gap_s: str
    trains: int


class _ProtocolFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    title: str
    basis: str
    intensity_pct_rmt: int
    timing: _TimingFields
    limits: dict[str, LimitValue]
    sources: tuple[Source, ...]
    coil_class: str | None = None


def load_protocol(protocol_id: str, site_dir: Path | None = None) -> Protocol:
    """The protocol of that id, shipped or of the site.

    Raises UnknownProtocol (its text lists the known ids) and BadProtocol (all faults of the file at once).
    """
    path = protocol_files(site_dir).get(protocol_id)
    if path is None:
        known = ", ".join(sorted(protocol_files(site_dir)))
        raise UnknownProtocol(f"there is no protocol {protocol_id!r}", "protocols", f"Known are: {known}.")
    return read_protocol(path)


def protocol_files(site_dir: Path | None = None) -> dict[str, Path]:
    """Ids and files of all protocols. Raises BadProtocol when the site reuses the id of a shipped one."""
    shipped = {path.stem: path for path in SHIPPED_DIR.glob("*.toml")}
    site = {} if site_dir is None else {path.stem: path for path in site_dir.glob("*.toml")}
    for reused in sorted(shipped.keys() & site.keys()):
        raise BadProtocol(f"{reused} is shipped with atmsd", str(site[reused]), "Give the site's version an id of its own.")
    return shipped | site


def read_protocol(path: Path) -> Protocol:
    """Protocol in a file. Raises BadProtocol with every fault of it."""
    try:
        content = path.read_bytes()
        fields = msgspec.toml.decode(content, type=_ProtocolFile)
    except OSError as error:
        raise BadProtocol(f"cannot be read ({error.strerror})", str(path), "Check that the file is there and may be read.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadProtocol(str(error), str(path), "Correct the file; the shipped protocols show every field.") from error
    return _protocol(fields, path, hashlib.sha256(content).hexdigest())


def parse_timing(
    *, intra_burst_hz: str, pulses_per_burst: int, burst_hz: str, bursts_per_train: int, train_gap_s: str, trains: int
) -> Timing:
    """The six fields as a file gives them, decimals as strings. Raises BadProtocol."""
    return Timing(
        intra_burst_hz=_decimal("intra_burst_hz", intra_burst_hz),
        pulses_per_burst=pulses_per_burst,
        burst_hz=_decimal("burst_hz", burst_hz),
        bursts_per_train=bursts_per_train,
        train_gap_s=_decimal("train_gap_s", train_gap_s),
        trains=trains,
    )


def whole_us(seconds: Fraction) -> int:
    """Exact seconds as whole µs, rounded half up."""
    return int((seconds * 2_000_000 + 1) // 2)


def _decimal(name: str, text: str) -> Fraction:
    if not _DECIMAL.fullmatch(text):
        raise BadProtocol(f"{name} = {text!r} is no plain decimal such as '8' or '0.5'", "timing", "Write it as a decimal string.")
    return Fraction(text)


def _timing_faults(timing: Timing) -> list[str]:
    if timing.intra_burst_hz <= 0 or timing.burst_hz <= 0:
        return ["a frequency is not positive"]
    must_hold = {
        "pulses_per_burst, bursts_per_train and trains must be 1 or more": min(
            timing.pulses_per_burst, timing.bursts_per_train, timing.trains
        )
        >= 1,
        "bursts overlap": (timing.pulses_per_burst - 1) / timing.intra_burst_hz < 1 / timing.burst_hz,
        "train_gap_s is negative": timing.train_gap_s >= 0,
        "several trains with no gap between them": timing.trains <= 1 or timing.train_gap_s != 0,
        f"more than {MAX_SESSION_PULSES} pulses": timing.total_pulses <= MAX_SESSION_PULSES,
    }
    return [fault for fault, holds in must_hold.items() if not holds]


def _theta_burst_faults(timing: Timing) -> list[str]:
    if timing.pulses_per_burst == 1:
        return ["plain rTMS needs a table of train durations signed by the site, and this version takes none"]
    is_continuous = timing.train_gap_s == 0  # one train: several without a gap are no protocol
    must_hold = {
        "theta burst has 3 pulses a burst": timing.pulses_per_burst == THETA_PULSES_PER_BURST,
        "theta burst has 50 Hz (or 30 Hz) inside a burst": timing.intra_burst_hz in THETA_INTRA_BURST_HZ,
        "theta burst has 5 bursts a second": timing.burst_hz == THETA_BURST_HZ,
        "iTBS trains last 2 s at most": is_continuous or timing.nominal_train_s <= ITBS_MAX_TRAIN_S,
        "iTBS trains are 8 s apart at least": is_continuous or timing.train_gap_s >= ITBS_MIN_GAP_S,
        "cTBS has 600 pulses in a row at most": not is_continuous or timing.total_pulses <= CTBS_MAX_PULSES,
    }
    return [fault for fault, holds in must_hold.items() if not holds]


def _protocol(fields: _ProtocolFile, path: Path, sha256: str) -> Protocol:
    try:
        timing = parse_timing(**msgspec.structs.asdict(fields.timing))
    except BadProtocol as error:
        raise BadProtocol(error.what, str(path), error.remedy) from error
    merged = merge((product_layer(), Layer(name="protocol", limits=fields.limits, sha256=sha256)))
    must_hold = {
        f"id {fields.id!r} is not the file's name": fields.id == path.stem and _ID.fullmatch(fields.id) is not None,
        "title is empty": bool(fields.title.strip()),
        f"basis {fields.basis!r} is none of 'cleared:K<number>', 'research:<protocol no.>', 'off_label:<signed by>', "
        f"{SIMULATION_ONLY!r}": _BASIS.fullmatch(fields.basis) is not None,
        f"intensity_pct_rmt is outside 1 to {MAX_INTENSITY_PCT_RMT}": 1 <= fields.intensity_pct_rmt <= MAX_INTENSITY_PCT_RMT,
        "no source is named": len(fields.sources) > 0,
    }
    faults = [fault for fault, holds in must_hold.items() if not holds]
    faults += _theta_burst_faults(timing)
    faults += [f"limits.{refused.key}: {refused.code}" for refused in merged.refused]
    faults += [f"limits.{key} is missing" for key in undecided((Layer(name="protocol", limits=fields.limits, sha256=sha256),))]
    if faults:
        raise BadProtocol("; ".join(faults), str(path), "Correct the file; the shipped protocols show every field.")
    return Protocol(
        id=fields.id,
        title=fields.title,
        basis=fields.basis,
        intensity_pct_rmt=fields.intensity_pct_rmt,
        coil_class=fields.coil_class,
        timing=timing,
        limits=fields.limits,
        sources=fields.sources,
        sha256=sha256,
    )
