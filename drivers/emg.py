"""What a muscle's signal says of one pulse: whether it answered, and whether it was at rest before. Pure.

Samples in µV with their times on the host's monotonic clock; where they come from is not known here. Of the pulse the host knows
no moment, but two that it lies between: when the device was told to fire, and when it reported that it had.
"""

import enum
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

ANSWER_NS: Final = (15_000_000, 50_000_000)  # after the pulse: hand muscles answer after about 20 ms. Engineering choice
STAMPS_OFF_NS: Final = 20_000_000  # a stream's stamps and the host's clock may differ by so much. Engineering choice
REST_NS: Final = (-125_000_000, -STAMPS_OFF_NS - 5_000_000)  # before the pulse: the muscle has to be at rest. Engineering choice
RESPONSE_UV: Final = 50.0  # peak to peak, IFCN rule for the resting threshold (Rossini 2015)
REST_RMS_UV: Final = 7.0  # noise of this size stays under 50 µV peak to peak, more would be taken for answers. Engineering choice
LEAST_HZ: Final = 500.0  # fewer samples may miss a peak of some ms. Engineering choice
SATURATED_UV: Final = 20_000.0  # no muscle gives as much: the amplifier is at its rails
PULSE_STEP_UV: Final = 1_500.0  # from one sample to the next no muscle changes so much, the stimulator's field does. Engineering choice
LONGEST_DOUBT_NS: Final = 200_000_000  # between order and report; a stimulator answers within 20 to 80 ms


class Judgement(enum.Enum):
    """What can be said of one pulse."""

    RESPONSE = "response"
    NONE = "none"
    UNDECIDED = "undecided"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A judgement with what it rests on: the answer's size where there was one to measure, and why nothing could be decided."""

    judgement: Judgement
    peak_to_peak_uv: float | None = None
    why: str = ""


class Peaks(msgspec.Struct, frozen=True, kw_only=True):
    """By what an answer is told from none.

    `shows_pulse`: the amplifier passes the pulse's own artefact, and the answer is sought after it; else it blanks the artefact,
    and the answer is sought over all the time in which it can have come.
    """

    threshold_uv: float = RESPONSE_UV
    rest_rms_uv: float = REST_RMS_UV
    shows_pulse: bool = True


class Sample(msgspec.Struct, frozen=True):
    """One value of one channel."""

    at_ns: int
    uv: float


def needed_ns(sent_ns: int, told_ns: int) -> tuple[int, int]:
    """First and last moment of the samples that `judge` looks at."""
    return sent_ns + REST_NS[0], told_ns + STAMPS_OFF_NS + ANSWER_NS[1]


def judge(samples: Sequence[Sample], sent_ns: int, told_ns: int, peaks: Peaks) -> Verdict:
    """Of a pulse between `sent_ns` and `told_ns`: an answer, none, or undecided.

    Undecided: gaps, too few samples, values that are none, rails, a muscle that was not at rest, a pulse that cannot be placed.
    """
    if not 0 <= told_ns - sent_ns <= LONGEST_DOUBT_NS:
        return _undecided("the stimulator's report came too late")
    rest = _values(samples, (sent_ns + REST_NS[0], sent_ns + REST_NS[1]))
    if rest is None:
        return _undecided("no signal before the pulse")
    if _rms(rest) > peaks.rest_rms_uv or _peak_to_peak(rest) >= peaks.threshold_uv:
        return _undecided("the muscle was not at rest")
    span = _answer_span(samples, sent_ns, told_ns, peaks)
    if span is None:
        return _undecided("the pulse does not show in the signal")
    answer = _values(samples, span)
    if answer is None:
        return _undecided("no signal after the pulse")
    size_uv = _peak_to_peak(answer)
    return Verdict(judgement=Judgement.RESPONSE if size_uv >= peaks.threshold_uv else Judgement.NONE, peak_to_peak_uv=size_uv)


def _undecided(why: str) -> Verdict:
    return Verdict(judgement=Judgement.UNDECIDED, why=why)


def _answer_span(samples: Sequence[Sample], sent_ns: int, told_ns: int, peaks: Peaks) -> tuple[int, int] | None:
    """When an answer can have come; None where an artefact is needed and there is none."""
    first_ns, last_ns = sent_ns - STAMPS_OFF_NS, told_ns + STAMPS_OFF_NS
    if not peaks.shows_pulse:
        return first_ns + ANSWER_NS[0], last_ns + ANSWER_NS[1]
    for before, after in pairwise(samples):
        if first_ns <= after.at_ns <= last_ns and abs(after.uv - before.uv) >= PULSE_STEP_UV:
            return after.at_ns + ANSWER_NS[0], after.at_ns + ANSWER_NS[1]
    return None


def _values(samples: Sequence[Sample], span_ns: tuple[int, int]) -> list[float] | None:
    """The values in that time; None where they are too few, leave a gap, or cannot be believed."""
    inside = [sample for sample in samples if span_ns[0] <= sample.at_ns <= span_ns[1]]
    moments = [span_ns[0], *(sample.at_ns for sample in inside), span_ns[1]]
    if len(inside) < 2 or any(later - earlier > 1.5e9 / LEAST_HZ for earlier, later in pairwise(moments)):
        return None
    values = [sample.uv for sample in inside]
    return values if all(math.isfinite(uv) and abs(uv) < SATURATED_UV for uv in values) else None


def _peak_to_peak(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _rms(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
