"""A trigger box's last status held against what is wanted and what was before: each difference as a sentence. Pure.

What the box does not report is unknown, and nothing that a file says stands in for it.
"""

import enum
from typing import Final

from drivers.lsl_trigger_watch import ReceiptTally
from drivers.lsl_trigger_wire import Pattern, Status, pattern_of
from drivers.values import StimReport, StimState, TrainSettings

# 0 and 90 are what broken sensors of either family report; nothing above 60 can be a coil's (MagPro and Magstim clients)
SENSOR_FAULTS_C: Final = (0, 90)
SENSOR_CEILING_C: Final = 60


class Phase(enum.Enum):
    """What we are about. What the box is, its status tells."""

    OFF = enum.auto()  # no line
    SECURING = enum.auto()  # disarming before anything else is known
    IDLE = enum.auto()
    PREPARING = enum.auto()
    ARMING = enum.auto()
    READY = enum.auto()
    STARTING = enum.auto()  # a fire marker is out and nothing has come of it yet
    FIRING = enum.auto()
    STOPPING = enum.auto()  # disarming after anything else


ENABLED_PHASES: Final = frozenset({Phase.READY, Phase.STARTING, Phase.FIRING})
ARMED_PHASES: Final = ENABLED_PHASES | {Phase.ARMING}
SAFING_PHASES: Final = frozenset({Phase.SECURING, Phase.STOPPING})

STATE_OF: Final = {
    Phase.OFF: StimState.DISCONNECTED,
    Phase.SECURING: StimState.SECURING,
    Phase.IDLE: StimState.STANDBY,
    Phase.PREPARING: StimState.STANDBY,
    Phase.ARMING: StimState.ARMING,
    Phase.READY: StimState.READY,
    Phase.STARTING: StimState.FIRING,
    Phase.FIRING: StimState.FIRING,
    Phase.STOPPING: StimState.SECURING,
}

# Every phase but the safing ones, which repeat their stop, asks so often. A start wants a report younger than 500 ms.
POLL_NS: Final = {
    Phase.IDLE: 200_000_000,
    Phase.PREPARING: 100_000_000,
    Phase.ARMING: 100_000_000,
    Phase.READY: 100_000_000,
    Phase.STARTING: 100_000_000,
    Phase.FIRING: 100_000_000,
}


def mismatches(settings: TrainSettings, status: Status, coil_type: int, *, counts: bool) -> tuple[str, ...]:
    """Each field of the box that differs from what such a train needs, or that it has not told; empty means equal.

    `counts`: its receipts are relied on.
    """
    wanted, got = pattern_of(settings), status.pattern
    pairs: list[tuple[str, int | str | None, int | str]] = [
        ("amplitude", status.amplitude_pct_mso, settings.amplitude_pct_mso),
        ("coil type", status.coil_type, coil_type),
    ]
    pairs += [(name.replace("_", " "), _field(got, name), _field(wanted, name) or 0) for name in Pattern.__struct_fields__]
    differ = [f"{name}: {_said(have)}, {want} asked" for name, have, want in pairs if have != want]
    if status.temperature_c is None:
        differ.append("temperature: not reported")
    if counts and status.given is None:
        differ.append("pulses given: not reported")
    return tuple(differ)


def _field(pattern: Pattern | None, name: str) -> int | str | None:
    value: int | str | None = None if pattern is None else getattr(pattern, name)
    return value


def _said(got: int | str | None) -> str:
    return "not reported" if got is None else f"{got} read back"


def condition_reasons(status: Status, limit_c: int) -> list[str]:
    """Why no pulse may be given in this condition; unknown is a reason."""
    reasons = [f"the box reports a fault: {status.fault}"] if status.fault is not None else []
    temperature_c = status.temperature_c
    if temperature_c is None:
        reasons.append("the coil's temperature is not reported")
    elif temperature_c in SENSOR_FAULTS_C or temperature_c > SENSOR_CEILING_C:
        reasons.append(f"the coil reports {temperature_c} degrees C: its sensor or its cooling is at fault")
    elif temperature_c >= limit_c:
        reasons.append(f"the coil is at {temperature_c} degrees C, the limit is {limit_c}")
    return reasons


def unasked(old: Status | None, new: Status, phase: Phase, train_is_ours: bool) -> list[str]:
    """What changed, in this phase, without our doing: each as a sentence."""
    if old is None or phase in SAFING_PHASES:
        return []
    acts = [_change("coil type", old.coil_type, new.coil_type), _change("model", old.model, new.model)]
    if phase is not Phase.PREPARING:
        acts.append(_change("amplitude", old.amplitude_pct_mso, new.amplitude_pct_mso, " %"))
        acts.append("the train's pattern changed" if old.pattern != new.pattern else "")
    if new.armed and phase in (Phase.IDLE, Phase.PREPARING):
        acts.append("armed at the box")
    if not new.armed and (phase in ENABLED_PHASES or (phase is Phase.ARMING and old.armed)):
        acts.append("disabled at the box or by the stimulator")
    if new.running and not train_is_ours:
        acts.append("a train was started at the box")
    return [act for act in acts if act]


def _change(name: str, before: int | str | None, after: int | str | None, unit: str = "") -> str:
    return f"{name} changed from {before} to {after}{unit}" if before != after else ""


def reported(status: Status | None, as_of_ns: int, state: StimState, fault: str | None) -> StimReport:
    """The status as every stimulator tells it. `as_of_ns`: when the command went out that the box had heard by then."""
    if status is None:
        return StimReport(received_ns=0, state=state, fault=fault)
    return StimReport(
        received_ns=as_of_ns,
        state=StimState.ARMING if state is StimState.READY and not status.ready else state,
        model=status.model,
        serial=status.serial,
        enabled=status.armed,
        running=status.running,
        temperature_c=status.temperature_c,
        coil_type=status.coil_type,
        amplitude_pct_mso=status.amplitude_pct_mso,
        fault=fault,
        simulated=status.simulated,
    )


class Heard:
    """What a box was heard saying since the line was opened: its statuses in order, its receipts by number.

    A status counts only if it is newer than all before, of the same start of the same box, and of our own conversation. Its age runs
    from when the newest command went out that it had heard: a message that waited on its way is as old as it is.
    """

    def __init__(self, box_serial: int, run: str) -> None:
        self._box_serial, self._run = box_serial, run
        self._asked_ns: dict[int, int] = {}
        self.status: Status | None = None
        self.as_of_ns = 0
        self.receipts = ReceiptTally()
        self.box: str | None = None  # the start of the box that is known
        self._past: set[str] = set()
        self._number = 0

    def begin(self, run: str) -> None:
        """A new conversation over the same line."""
        self._run = run
        self.status, self.as_of_ns = None, 0

    def asked(self, command_id: int, now_ns: int) -> None:
        self._asked_ns[command_id] = now_ns

    def is_foreign(self, status: Status) -> str | None:
        """Whose status this is, where it is not our box's answer to us."""
        if status.serial != self._box_serial:
            return f"a box with serial number {status.serial} answers, {self._box_serial} is configured"
        if self.status is not None and status.number > self._number and status.run != self._run:
            return "another program commands the box"
        return None

    def starts_anew(self, box: str) -> bool:
        """True once for each further start of the box; what it said before no longer tells anything."""
        if self.box is None or box == self.box or box in self._past:
            return False
        self._past.add(self.box)
        self.box, self._number, self.status = box, 0, None
        self.receipts.start_anew()
        return True

    def is_past(self, box: str) -> bool:
        return box in self._past

    def is_news(self, status: Status) -> bool:
        """Take a status in; False for one that is old, doubled, or of another conversation."""
        asked_ns = self._asked_ns.get(status.heard)
        if status.run != self._run or asked_ns is None or self.is_past(status.box) or status.number <= self._number:
            return False
        self.box, self._number, self.status = status.box, status.number, status
        self.as_of_ns = max(self.as_of_ns, asked_ns)
        self.receipts.heard_of(status.given)
        self._asked_ns = {known: at_ns for known, at_ns in self._asked_ns.items() if known >= status.heard}
        return True
