"""The six numbers of a protocol with one meaning each, and the exact schedule that they give. Knows no file, device or day.

Published wording is ambiguous ("inter-train interval" is used for the pause and for the period): here the gap is always the pause from
the nominal end of a train to the onset of the next. Onsets are exact rational time, rounded for each pulse by itself.
"""

import hashlib
import re
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import msgspec

from daemon.protocol_errors import BadProtocol

# Most pulses a day found in use (SAINT, Cole 2020; George 2014): one session can never hold more than a day.
MAX_SESSION_PULSES = 18_000

_DECIMAL = re.compile(r"\d{1,6}(\.\d{1,9})?")


class TimingFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The six numbers as a file gives them: rates and the gap are exact decimals in strings."""

    intra_burst_hz: str
    pulses_per_burst: int
    burst_hz: str
    bursts_per_train: int
    train_gap_s: str
    trains: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The six numbers. Frequencies in Hz, the gap in s from the nominal end of a train to the onset of the next.

    Raises BadProtocol, every fault in one text, when they contradict themselves.
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
    def is_plain(self) -> bool:
        """Single pulses, no bursts."""
        return self.pulses_per_burst == 1

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
    def train_first_to_last_s(self) -> Fraction:
        """Onset of a train's first pulse to the onset of its last, exact."""
        return (self.bursts_per_train - 1) / self.burst_hz + (self.pulses_per_burst - 1) / self.intra_burst_hz

    @property
    def first_to_last_s(self) -> Fraction:
        """Onset of the session's last pulse, exact."""
        return (self.trains - 1) * self.train_period_s + self.train_first_to_last_s

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


def parse_timing(
    *, intra_burst_hz: str, pulses_per_burst: int, burst_hz: str, bursts_per_train: int, train_gap_s: str, trains: int
) -> Timing:
    """The six fields as a file gives them, decimals as strings. Raises BadProtocol with every fault."""
    texts = {"intra_burst_hz": intra_burst_hz, "burst_hz": burst_hz, "train_gap_s": train_gap_s}
    faults = [f"{name} = {text!r} is no plain decimal such as '8' or '0.5'" for name, text in texts.items() if not is_decimal(text)]
    if faults:
        raise BadProtocol("; ".join(faults), "timing", "Write each as a decimal string.")
    return Timing(
        intra_burst_hz=Fraction(intra_burst_hz),
        pulses_per_burst=pulses_per_burst,
        burst_hz=Fraction(burst_hz),
        bursts_per_train=bursts_per_train,
        train_gap_s=Fraction(train_gap_s),
        trains=trains,
    )


def is_decimal(text: str) -> bool:
    """Digits, and at most nine after a point: a number that every machine reads alike."""
    return _DECIMAL.fullmatch(text) is not None


def whole_us(seconds: Fraction) -> int:
    """Exact seconds as whole µs, rounded half up."""
    return int((seconds * 2_000_000 + 1) // 2)


def _timing_faults(timing: Timing) -> list[str]:
    rates_are_positive = timing.intra_burst_hz > 0 and timing.burst_hz > 0
    counts = (timing.pulses_per_burst, timing.bursts_per_train, timing.trains)
    must_hold = {
        "a frequency is not positive": rates_are_positive,
        "pulses_per_burst, bursts_per_train and trains must be 1 or more": min(counts) >= 1,
        "bursts overlap": not rates_are_positive or (timing.pulses_per_burst - 1) * timing.burst_hz < timing.intra_burst_hz,
        "train_gap_s is negative": timing.train_gap_s >= 0,
        "several trains with no gap between them": timing.trains <= 1 or timing.train_gap_s != 0,
        f"more than {MAX_SESSION_PULSES} pulses": timing.total_pulses <= MAX_SESSION_PULSES,
    }
    return [fault for fault, holds in must_hold.items() if not holds]
