"""What a stimulator gives after its host has died in mid-train, held against what its family may give. Reads the simulator's own log."""

import json
from dataclasses import dataclass
from pathlib import Path

from daemon.purpose import Pacing
from tests.campaign.audit import TrueTrain, true_trains
from tests.campaign.family import MS, Family

# A question or trigger that left the host just before it died is still heard. The kernel carries a pty's bytes in a worker of ordinary
# priority: with the machine overloaded six times a discharge was seen 235 ms late.
UNDER_WAY_NS = 400 * MS


@dataclass(frozen=True, slots=True)
class Afterlife:
    """`pulses` came after the death, the last of them and the discharge so much later; None: none, or never."""

    in_train: bool
    pulses: int
    last_ms: float | None
    off_ms: float | None
    faults: tuple[str, ...]


def look(truth: Path, died_ns: int, until_ns: int, family: Family) -> Afterlife:
    """From the death to the moment at which somebody else came, or it was looked at."""
    trains, _ = true_trains(truth, family)
    after_ns = [pulse_ns for train in trains for pulse_ns in train.pulses_ns if died_ns < pulse_ns < until_ns]
    off_ns = _discharged_ns(truth, died_ns, until_ns)
    last_ms = (after_ns[-1] - died_ns) / MS if after_ns else None
    off_ms = None if off_ns is None else (off_ns - died_ns) / MS
    begun = [train for train in trains if train.first_ns <= died_ns]
    in_train = bool(begun) and died_ns <= begun[-1].first_ns + family.train_length_ns
    faults = [
        *_too_many(len(after_ns), family),
        *(_too_late(last_ms, off_ms, family) if _was_enabled(truth, died_ns) else []),
        *(f"a train of {len(train.pulses_ns)} pulses, {family.train_pulses} were started" for train in _overlong(trains, family)),
        *("a train began after the host's death" for train in trains if died_ns + UNDER_WAY_NS < train.first_ns < until_ns),
    ]
    return Afterlife(in_train=in_train, pulses=len(after_ns), last_ms=last_ms, off_ms=off_ms, faults=tuple(faults))


def _too_many(pulses: int, family: Family) -> list[str]:
    if pulses <= family.left_to_give:
        return []
    unit = "burst" if family.pacing is Pacing.BURST else "train"
    return [f"{pulses} pulses after the host's death, {family.left_to_give} are one {unit}"]


def _too_late(last_ms: float | None, off_ms: float | None, family: Family) -> list[str]:
    if family.after_death_ns is None:
        return []
    most_ms = (family.after_death_ns + UNDER_WAY_NS) / MS
    late = [f"a pulse {last_ms:.0f} ms after the host's death"] if last_ms is not None and last_ms > most_ms else []
    if off_ms is None or off_ms > most_ms:
        late.append(f"not discharged within {most_ms:.0f} ms of the host's death")
    return late


def _overlong(trains: list[TrueTrain], family: Family) -> list[TrueTrain]:
    return [train for train in trains if len(train.pulses_ns) > family.train_pulses]


def _charges(truth: Path) -> list[tuple[int, bool]]:
    facts = [json.loads(line) for line in truth.read_text().split("\n")[:-1]]
    return [(int(fact["mono_ns"]), fact["kind"] == "enabled") for fact in facts if fact["kind"] in ("enabled", "disabled")]


def _was_enabled(truth: Path, died_ns: int) -> bool:
    """A unit that was stopped before its host died has nothing to discharge."""
    before = [is_on for at_ns, is_on in _charges(truth) if at_ns <= died_ns]
    return bool(before) and before[-1]


def _discharged_ns(truth: Path, died_ns: int, until_ns: int) -> int | None:
    return next((at_ns for at_ns, is_on in _charges(truth) if not is_on and died_ns < at_ns < until_ns), None)
