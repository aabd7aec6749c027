"""The words of the session's machine: its state, what happens to it, and what it wants done. Values only."""

import msgspec

from daemon.ipc import Receipt
from daemon.ledger import CloseState, Intended, Opened, Refused
from daemon.messages import Step
from daemon.pacing import Pace
from daemon.purpose import Pacing
from drivers.values import TrainSettings


class Value(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Course(Value, frozen=True, kw_only=True):
    """What one session is to deliver."""

    patient: str
    protocol: str
    settings: TrainSettings
    pace: Pace
    trains: int
    resume_window_ns: int
    pacing: Pacing = Pacing.TRAIN

    @property
    def pulses(self) -> int:
        return self.settings.pulses * self.trains


class Pending(Value, frozen=True, kw_only=True):
    """The one train under way: `intending` until its intent is on disk, then `granted`, then `running`."""

    grant_no: int
    train: int
    stage: str
    not_before_ns: int
    expires_ns: int


class Session(Value, frozen=True, kw_only=True):
    """Everything that decides what comes next. `rev` rises with every change."""

    rev: int
    step: Step = Step.PLAN
    course: Course | None = None
    session_id: str | None = None
    lease_token: int | None = None
    opening: bool = False  # the ledger is being asked for the session
    arm_no: int = 0
    arm_until_ns: int | None = None  # arming: to be confirmed by then
    armed_ns: int | None = None  # since when the arm stands unused
    grant_no: int = 0
    pending: Pending | None = None
    next_train: int = 1
    trains_done: int = 0
    trains_broken: int = 0
    pulses: int = 0
    last_onset_ns: int | None = None
    last_pulse_ns: int | None = None
    last_broken: bool = False
    held_why: tuple[str, ...] = ()
    stopped_why: str | None = None
    stop_causes: tuple[str, ...] = ()
    stop_latched: bool = False
    closing: CloseState | None = None
    close_asked: bool = False  # the ledger has been asked to close
    by_request: bool = False  # trains are given one by one, each when it is asked for

    @property
    def armed(self) -> bool:
        return self.step in (Step.ARMED, Step.DELIVER, Step.HOLD)

    @property
    def begun(self) -> bool:
        """At least one train was granted in this session."""
        return self.last_onset_ns is not None

    @property
    def resume_until_ns(self) -> int | None:
        """End of the window in which a held or stopped session may go on."""
        if self.course is None or self.step not in (Step.HOLD, Step.STOPPED) or self.last_pulse_ns is None:
            return None
        return self.last_pulse_ns + self.course.resume_window_ns


# ---- events -------------------------------------------------------------------------------------------------------------


class PlanOpened(Value, frozen=True, kw_only=True):
    course: Course
    registered: bool  # an accepted registration of the same head and image still holds


class Registered(Value, frozen=True, kw_only=True):
    pass


class Unregistered(Value, frozen=True, kw_only=True):
    pass


class ArmAsked(Value, frozen=True, kw_only=True):
    pass


class SessionOpened(Value, frozen=True, kw_only=True):
    """The ledger's answer to an arm."""

    answer: Opened | Refused


class ArmChanged(Value, frozen=True, kw_only=True):
    """What the hot process says of the arm."""

    arm_no: int
    armed: bool
    stopped: bool
    why: str


class StartAsked(Value, frozen=True, kw_only=True):
    pass


class TrainRequested(Value, frozen=True, kw_only=True):
    """Another program asks for the next train alone: what an operator's start is for all that follow."""


class ResumeAsked(Value, frozen=True, kw_only=True):
    pass


class HoldAsked(Value, frozen=True, kw_only=True):
    why: tuple[str, ...]


class StopAsked(Value, frozen=True, kw_only=True):
    why: str


class CloseAsked(Value, frozen=True, kw_only=True):
    pass


class IntentAnswered(Value, frozen=True, kw_only=True):
    grant_no: int
    answer: Intended | Refused


class TrainBegun(Value, frozen=True, kw_only=True):
    grant_no: int
    at_ns: int


class TrainBroken(Value, frozen=True, kw_only=True):
    """The hot process has stopped a running train; its receipt follows."""

    why: tuple[str, ...]


class ReceiptCame(Value, frozen=True, kw_only=True):
    receipt: Receipt


class LedgerClosed(Value, frozen=True, kw_only=True):
    state: CloseState


class HotLost(Value, frozen=True, kw_only=True):
    """The hot process is gone: no receipt will come any more."""


class PulsesSought(Value, frozen=True, kw_only=True):
    """A search for the motor threshold has used arms and grants up to these numbers; `cleared`: its operator takes up a stop."""

    arm_no: int
    grant_no: int
    cleared: bool = False


class Tick(Value, frozen=True, kw_only=True):
    device_ready: bool


Event = (
    PlanOpened
    | Registered
    | Unregistered
    | ArmAsked
    | SessionOpened
    | ArmChanged
    | StartAsked
    | TrainRequested
    | ResumeAsked
    | HoldAsked
    | StopAsked
    | CloseAsked
    | IntentAnswered
    | TrainBegun
    | TrainBroken
    | ReceiptCame
    | LedgerClosed
    | HotLost
    | PulsesSought
    | Tick
)


# ---- actions ------------------------------------------------------------------------------------------------------------


class OpenLedger(Value, frozen=True, kw_only=True):
    """Reserve the whole session."""


class SendArm(Value, frozen=True, kw_only=True):
    arm_no: int
    settings: TrainSettings


class Intend(Value, frozen=True, kw_only=True):
    """Commit the intent of this train; its answer comes back as IntentAnswered."""

    pending: Pending


class SendGrant(Value, frozen=True, kw_only=True):
    pending: Pending
    arm_no: int


class VoidIntent(Value, frozen=True, kw_only=True):
    """The intent was committed but never granted: settle it with zero."""

    pending: Pending


class SendHold(Value, frozen=True, kw_only=True):
    """Hold at the device; grants up to `grant_no` are void, wherever they are."""

    why: str
    grant_no: int


class SendStop(Value, frozen=True, kw_only=True):
    why: str


class SettleReceipt(Value, frozen=True, kw_only=True):
    receipt: Receipt


class CloseLedger(Value, frozen=True, kw_only=True):
    state: CloseState
    why: str


Action = OpenLedger | SendArm | Intend | SendGrant | VoidIntent | SendHold | SendStop | SettleReceipt | CloseLedger
Outcome = tuple[Session, tuple[Action, ...]]
