"""Whether the ledger says what the simulated stimulator physically did, pulse by pulse. Pure: values in, differences out."""

import bisect
from collections.abc import Sequence

import msgspec

RECEIPT_NS = 250_000_000  # a receipt comes this late at most: the device's own delay and the line's


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the truth log: one physical pulse, and where the coil truly was."""

    mono_ns: int
    amplitude_pct: int
    enabled: bool
    lateral_mm: float | None


class Train(msgspec.Struct, frozen=True, kw_only=True):
    """A train of the ledger; `pulse_mono_ns` are the device's receipts, one for each burst."""

    train: int | None
    amplitude_pct: int | None
    not_before_mono_ns: int | None
    counted_pulses: int
    pulse_mono_ns: tuple[int, ...]


class Ungranted(msgspec.Struct, frozen=True, kw_only=True):
    pulses: int


class Session(msgspec.Struct, frozen=True, kw_only=True):
    session_id: str
    state: str
    planned_pulses: int
    counted_pulses: int
    trains: tuple[Train, ...]
    ungranted: tuple[Ungranted, ...]

    def gave_since(self, moment_ns: int) -> bool:
        """Whether any of its trains was granted after that moment."""
        return any(train.not_before_mono_ns is not None and train.not_before_mono_ns >= moment_ns for train in self.trains)


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a ledger's export."""

    verified: object
    sessions: tuple[Session, ...]
    ungranted: tuple[Ungranted, ...]


class _Kind(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    mono_ns: int


def pulses_since(truth: str, since_ns: int) -> list[Pulse]:
    """The physical pulses in a truth log (JSON lines) from a moment on."""
    kinds = [(line, msgspec.json.decode(line, type=_Kind)) for line in truth.splitlines()]
    return [msgspec.json.decode(line, type=Pulse) for line, entry in kinds if entry.kind == "pulse" and entry.mono_ns >= since_ns]


def disabled_after(truth: str, moment_ns: int) -> int | None:
    """When the stimulator was first physically off after a moment."""
    entries = [msgspec.json.decode(line, type=_Kind) for line in truth.splitlines()]
    return min((entry.mono_ns for entry in entries if entry.kind == "disabled" and entry.mono_ns >= moment_ns), default=None)


def differences(pulses: Sequence[Pulse], sessions: Sequence[Session]) -> list[str]:
    """Where truth and ledger part, a line each; empty means that they are equal.

    Each train must hold exactly the pulses that were given in its time, each receipt must belong to a pulse just before it,
    and no pulse may be left over.
    """
    times = [pulse.mono_ns for pulse in pulses]
    trains = [(session.session_id, train) for session in sessions for train in session.trains if train.counted_pulses]
    found: list[str] = []
    taken = 0
    for session_id, train in trains:
        where = f"session {session_id}, train {train.train}"
        given = pulses[taken : taken + train.counted_pulses]
        taken += train.counted_pulses
        if len(given) < train.counted_pulses:
            found.append(f"{where}: the ledger counts {train.counted_pulses} pulses, {len(given)} were given")
        wrong = sum(pulse.amplitude_pct != train.amplitude_pct for pulse in given)
        if wrong:
            found.append(f"{where}: {wrong} pulses were not given at {train.amplitude_pct} %")
        if not train.pulse_mono_ns:
            found.append(f"{where}: no receipt of the device")
        for receipt_ns in train.pulse_mono_ns:
            before = bisect.bisect_right(times, receipt_ns) - 1
            if before < 0 or receipt_ns - times[before] > RECEIPT_NS or pulses[before] not in given:
                found.append(f"{where}: a receipt at {receipt_ns} ns without a pulse of this train before it")
    if taken < len(pulses):
        found.append(f"{len(pulses) - taken} pulses were given that the ledger does not count")
    if any(not pulse.enabled for pulse in pulses):
        found.append("pulses were given while the stimulator was off")
    return found
