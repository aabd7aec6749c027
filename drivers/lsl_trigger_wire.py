"""The language between a host and an external trigger box, version 1: commands one way, statuses and pulse receipts the other. Pure.

Every command carries the random id of the host's present conversation (`run`) and a number that rises within it; every answer says which
was heard last. So doubled, late and earlier messages are known for what they are. docs/lsl.md tells a box's maker what must follow.
"""

from fractions import Fraction
from typing import Annotated, Final

import msgspec

from drivers.lsl_marker_wire import frame, unframe
from drivers.values import TrainSettings

LANGUAGE: Final = "atmsd/1"

Name = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]  # random, of a host's conversation or of a box since its start
Number = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=60_000)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
Rate = Annotated[str, msgspec.Meta(pattern=r"\A(?=.*[1-9])[0-9]{1,3}(\.[0-9]{1,9})?\Z")]
Text = Annotated[str, msgspec.Meta(max_length=80, pattern=r"\A[ -~]*\Z")]


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Pattern(Word, frozen=True, kw_only=True):
    """One train: bursts of pulses, times first pulse to first pulse. The rate is an exact decimal."""

    amplitude_pct_mso: Percent
    pulses_per_burst: Annotated[int, msgspec.Meta(ge=1, le=100)]
    intra_burst_interval_us: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    burst_hz: Rate
    bursts: Annotated[int, msgspec.Meta(ge=1, le=100_000)]


def pattern_of(settings: TrainSettings) -> Pattern:
    """The settings in the language's words."""
    return Pattern(
        amplitude_pct_mso=settings.amplitude_pct_mso,
        pulses_per_burst=settings.pulses_per_burst,
        intra_burst_interval_us=settings.intra_burst_interval_us,
        burst_hz=settings.burst_hz,
        bursts=settings.bursts,
    )


def period_ns(pattern: Pattern | TrainSettings) -> int:
    """Burst to burst."""
    return int(Fraction(1_000_000_000) / Fraction(pattern.burst_hz))


# ---- host to box ------------------------------------------------------------------------------------------------------------


class Command(Word, frozen=True, kw_only=True):
    run: Name
    id: Number


class Stop(Command, frozen=True, kw_only=True):
    """Disarm now, end what runs. Obeyed from any run; one from a new run begins its conversation."""


class Ask(Command, frozen=True, kw_only=True):
    """Say your status; while armed, this keeps the box armed."""


class Set(Command, frozen=True, kw_only=True):
    """The train that is to come."""

    pattern: Pattern


class Arm(Command, frozen=True, kw_only=True):
    """Charge, and disarm by yourself when no command was heard for `alive_ms`.

    Void unless the status of number `after` was sent no longer than `within_ms` ago by the box's own clock.
    """

    after: Number
    within_ms: Milliseconds
    alive_ms: Milliseconds


class Fire(Command, frozen=True, kw_only=True):
    """Give `bursts` bursts of the pattern now, the first of which is number `first` of its train. Void as an `Arm` is."""

    after: Number
    within_ms: Milliseconds
    first: Number
    bursts: Number


# ---- box to host ------------------------------------------------------------------------------------------------------------


class Status(Word, frozen=True, kw_only=True):
    """All that the box knows. `box` is new at each of its starts, `number` rises by one from then on. Null: it does not know.

    `heard`: the last command of `run`; `refused`: why that one was not carried out. `found_armed`, `found_running`: when `run` began.
    `running`: from hearing a `Fire` until its last pulse is out. `given`: pulse receipts sent since the start.
    """

    box: Name
    number: Number
    run: Name | None
    heard: Count
    armed: bool
    ready: bool
    running: bool
    found_armed: bool
    found_running: bool
    pattern: Pattern | None
    amplitude_pct_mso: Percent | None
    coil_type: Count | None
    temperature_c: Annotated[int, msgspec.Meta(ge=-50, le=200)] | None
    given: Count | None
    model: Text
    serial: Count
    refused: Text | None = None
    fault: Text | None = None
    simulated: bool = False


class PulseGiven(Word, frozen=True, kw_only=True):
    """One TTL pulse has left the box, the `number`-th since its start. `run` and `id` are those of the `Fire`; null: nobody's."""

    box: Name
    number: Number
    run: Name | None
    id: Number | None
    burst: Number
    pulse: Number


COMMANDS: Final[dict[str, type[msgspec.Struct]]] = {"stop": Stop, "ask": Ask, "set": Set, "arm": Arm, "fire": Fire}
ANSWERS: Final[dict[str, type[msgspec.Struct]]] = {"status": Status, "pulse": PulseGiven}
_VERBS: Final = {kind: verb for verb, kind in (COMMANDS | ANSWERS).items()}

AnyCommand = Stop | Ask | Set | Arm | Fire
Answer = Status | PulseGiven


def encode(message: AnyCommand | Answer) -> str:
    return frame(LANGUAGE, _VERBS[type(message)], message)


def decode_command(marker: str) -> AnyCommand:
    """Raises WireError."""
    command: AnyCommand = unframe(marker, LANGUAGE, COMMANDS)  # type: ignore[assignment]  # one of the kinds in the table
    return command


def decode_answer(marker: str) -> Answer:
    """Raises WireError."""
    answer: Answer = unframe(marker, LANGUAGE, ANSWERS)  # type: ignore[assignment]  # one of the kinds in the table
    return answer
