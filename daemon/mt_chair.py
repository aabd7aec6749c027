"""A search for the motor threshold at the chair, as a state machine: the hunt's pulses through ledger, arm, grant and receipt. Pure.

    opening -> open -> arming -> armed -> open ...      closing -> closed, whatever the hunt then still awaits from a person

The operator arms once; every pulse is an intent of its own before it is granted. A stop takes the arm, and the hunt waits for it.
What the next amplitude is, is `mt_hunt`'s; nothing here reads a clock.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from daemon import mt_words
from daemon.ledger import CloseState, Refused
from daemon.mt_hunt import POSSIBLE, begin
from daemon.mt_hunt import advance as hunt_on
from daemon.mt_values import Evidence, MotorThresholdRecord
from daemon.mt_words import Abort, AskPulse, Hunt, PulseGiven, PulseLost, Seen, Setup, StrayPulse
from daemon.pacing import CHARGE_NS, GRANT_WINDOW_NS
from daemon.session_words import (
    ArmAsked,
    ArmChanged,
    CloseAsked,
    HotLost,
    IntentAnswered,
    LedgerClosed,
    Pending,
    ReceiptCame,
    SessionOpened,
    StopAsked,
    Tick,
    TrainBegun,
)
from drivers.values import TrainSettings

ARM_WITHIN_NS: Final = 15_000_000_000  # as for a treatment
CHARGE_ALLOWANCE_NS: Final = 3_000_000_000
JUDGE_WITHIN_NS: Final = 2_000_000_000  # the muscle's signal of a pulse is in by then, or a person is asked


class Step(StrEnum):
    """How far the chair has come with the search."""

    OPENING = "opening"
    OPEN = "open"
    ARMING = "arming"
    ARMED = "armed"
    CLOSING = "closing"
    CLOSED = "closed"
    REFUSED = "refused"


class Value(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Judging(Value, frozen=True, kw_only=True):
    """A pulse was given and the muscle's signal is awaited. `at_ns`: the latest moment that it can have had."""

    number: int
    at_ns: int
    until_ns: int


class Search(Value, frozen=True, kw_only=True):
    """Everything that decides what comes next. Numbers of arms and grants go on from those that the hot process has seen."""

    hunt: Hunt
    step: Step
    arm_no: int
    grant_no: int
    session_id: str | None = None
    lease_token: int | None = None
    arm_until_ns: int | None = None
    wanted: AskPulse | None = None  # asked for by the hunt, not yet under way
    pending: Pending | None = None
    pending_mso: int = 0
    sent_ns: int | None = None  # when the hot process told the device to give it
    judging: Judging | None = None
    closing: CloseState | None = None
    close_asked: bool = False
    refused: Refused | None = None
    why: str = ""

    @property
    def setup(self) -> Setup:
        return self.hunt.setup

    @property
    def is_over(self) -> bool:
        """Nothing of it is open any more at the ledger or the device."""
        return self.step in (Step.CLOSED, Step.REFUSED)


# ---- events of its own -------------------------------------------------------------------------------------------------


class HuntAsked(Value, frozen=True, kw_only=True):
    """The operator's act in the hunt."""

    event: mt_words.PulseWanted | mt_words.HotspotFound | mt_words.Answer | mt_words.Confirm


class Judged(Value, frozen=True, kw_only=True):
    """What the muscle's signal said of a pulse."""

    number: int
    seen: Seen


class Stray(Value, frozen=True, kw_only=True):
    """The device gave a pulse without a grant; the ledger has it already."""

    at_ns: int


Event = (
    HuntAsked
    | Judged
    | Stray
    | ArmAsked
    | SessionOpened
    | ArmChanged
    | StopAsked
    | CloseAsked
    | IntentAnswered
    | TrainBegun
    | ReceiptCame
    | LedgerClosed
    | HotLost
    | Tick
)


# ---- actions -----------------------------------------------------------------------------------------------------------


class OpenPulses(Value, frozen=True, kw_only=True):
    """Reserve the planned pulses in the ledger."""


class ArmPulses(Value, frozen=True, kw_only=True):
    arm_no: int
    settings: TrainSettings


class IntendPulse(Value, frozen=True, kw_only=True):
    pending: Pending
    settings: TrainSettings


class GrantPulse(Value, frozen=True, kw_only=True):
    pending: Pending
    arm_no: int
    settings: TrainSettings


class VoidPulse(Value, frozen=True, kw_only=True):
    """The intent was committed but never granted: settle it with zero."""

    pending: Pending


class TakeReceipt(Value, frozen=True, kw_only=True):
    event: ReceiptCame


class Judge(Value, frozen=True, kw_only=True):
    """Measure the muscle's answer to the pulse between these moments; told back as Judged."""

    number: int
    sent_ns: int
    told_ns: int


class StopPulses(Value, frozen=True, kw_only=True):
    why: str


class ClosePulses(Value, frozen=True, kw_only=True):
    state: CloseState
    why: str


class KeepThreshold(Value, frozen=True, kw_only=True):
    record: MotorThresholdRecord


class Refusal(Value, frozen=True, kw_only=True):
    """The operator's act changed nothing, and why."""

    why: str


Action = (
    OpenPulses | ArmPulses | IntendPulse | GrantPulse | VoidPulse | TakeReceipt | Judge | StopPulses | ClosePulses | KeepThreshold | Refusal
)
Outcome = tuple[Search, tuple[Action, ...]]


def single_pulse(amplitude_mso: int) -> TrainSettings:
    """One pulse as the device is set for it; interval and rate have no meaning for one pulse, but are fields of its command."""
    return TrainSettings(amplitude_pct_mso=amplitude_mso, pulses_per_burst=1, intra_burst_interval_us=20_000, burst_hz="1", bursts=1)


def open_search(setup: Setup, arm_no: int, grant_no: int, now_ns: int) -> Outcome:
    """A search that asks the ledger for its pulses. Raises ValueError for a set-up that is none."""
    return Search(hunt=begin(setup, now_ns), step=Step.OPENING, arm_no=arm_no, grant_no=grant_no), (OpenPulses(),)


def advance(state: Search, event: Event, now_ns: int) -> Outcome:
    """One event. A pair that has no meaning in this state changes nothing."""
    return HANDLERS[type(event)](state, event, now_ns)


def _with(state: Search, **changes: object) -> Search:
    return msgspec.structs.replace(state, **changes)


# ---- the ledger's session and the arm ----------------------------------------------------------------------------------


def _session_opened(state: Search, event: SessionOpened, _now_ns: int) -> Outcome:
    if state.step is not Step.OPENING:
        return state, ()
    if isinstance(event.answer, Refused):
        return _with(state, step=Step.REFUSED, refused=event.answer), ()
    opened = _with(state, session_id=event.answer.session_id, lease_token=event.answer.lease_token, step=Step.OPEN)
    return _try_close(opened)


def _arm_asked(state: Search, _event: ArmAsked, now_ns: int) -> Outcome:
    if state.step is not Step.OPEN or state.closing is not None:
        return state, (Refusal(why=f"arming is not possible while the search is {state.step}"),)
    arm_no = state.arm_no + 1
    asked = _with(state, step=Step.ARMING, arm_no=arm_no, arm_until_ns=now_ns + ARM_WITHIN_NS, why="")
    return asked, (ArmPulses(arm_no=arm_no, settings=single_pulse(state.setup.most_mso)),)


def _arm_changed(state: Search, event: ArmChanged, _now_ns: int) -> Outcome:
    if event.arm_no != state.arm_no:
        return state, ()
    if event.armed:
        return (_with(state, step=Step.ARMED, arm_until_ns=None), ()) if state.step is Step.ARMING else (state, ())
    return _disarmed(state, event.why), ()


def _disarmed(state: Search, why: str) -> Search:
    """The arm is gone; the hunt waits for the operator to give it back."""
    if state.step not in (Step.ARMING, Step.ARMED):
        return state
    return _with(state, step=Step.OPEN, arm_until_ns=None, why=why)


def _stop_asked(state: Search, event: StopAsked, _now_ns: int) -> Outcome:
    """Always goes out to the device, whatever the step."""
    return _disarmed(state, event.why), (StopPulses(why=event.why),)


def _close_asked(state: Search, _event: CloseAsked, now_ns: int) -> Outcome:
    """The operator ends the search; what was not saved is not."""
    hunt = state.hunt
    if hunt.phase in POSSIBLE[Abort]:
        hunt, _ = hunt_on(hunt, Abort(why="closed by the operator"), now_ns)
    after, actions = _end(_with(state, hunt=hunt), CloseState.PARTIAL)
    return after, (StopPulses(why="search closed"), *actions)


def _end(state: Search, how: CloseState) -> Outcome:
    """No further pulse: close the ledger's session as soon as nothing is under way."""
    if state.closing is not None or state.is_over:
        return state, ()
    used = how if state.hunt.given else CloseState.ABORTED
    return _try_close(_with(_disarmed(state, ""), closing=used, wanted=None))


def _try_close(state: Search) -> Outcome:
    if state.closing is None or state.pending is not None or state.close_asked or state.session_id is None:
        return state, ()
    why = state.hunt.why or state.hunt.phase.value
    return _with(state, step=Step.CLOSING, close_asked=True), (ClosePulses(state=state.closing, why=why),)


def _ledger_closed(state: Search, _event: LedgerClosed, _now_ns: int) -> Outcome:
    return (_with(state, step=Step.CLOSED, session_id=None, lease_token=None), ()) if state.close_asked else (state, ())


def _hot_lost(state: Search, _event: HotLost, now_ns: int) -> Outcome:
    """What was pending counts in full: the ledger does so by itself when it closes."""
    hunt = state.hunt
    if state.pending is not None:
        hunt, _ = hunt_on(hunt, PulseLost(number=state.pending.train, at_ns=now_ns, counts=True), now_ns)
    if hunt.phase in POSSIBLE[Abort]:
        hunt, _ = hunt_on(hunt, Abort(why="control lost"), now_ns)
    return _end(_with(state, hunt=hunt, pending=None, judging=None), CloseState.PARTIAL)


# ---- one pulse ---------------------------------------------------------------------------------------------------------


def _hunted(state: Search, event: mt_words.Event, now_ns: int) -> Outcome:
    """The hunt's answer to one event, as actions at the chair."""
    hunt, asked = hunt_on(state.hunt, event, now_ns)
    after = _with(state, hunt=hunt)
    actions: list[Action] = []
    for action in asked:
        match action:
            case AskPulse():
                after = _with(after, wanted=action)
            case mt_words.EndPulses():
                complete = hunt.phase is mt_words.Phase.CONFIRM
                after, ends = _end(after, CloseState.COMPLETE if complete else CloseState.PARTIAL)
                actions += [StopPulses(why="search ended"), *ends]
            case mt_words.Save(record=record):
                actions.append(KeepThreshold(record=record))
            case mt_words.Refuse(why=why):
                actions.append(Refusal(why=why))
            case mt_words.AskAnswer():
                pass  # the state says so, and every screen shows it
    return after, tuple(actions)


def _hunt_asked(state: Search, event: HuntAsked, now_ns: int) -> Outcome:
    return _hunted(state, event.event, now_ns)


def _next_pulse(state: Search, wanted: AskPulse, now_ns: int) -> Outcome:
    """Its intent, in time for the device to charge. Never before its time, never catching up."""
    onset_ns = max(wanted.not_before_ns, now_ns + CHARGE_ALLOWANCE_NS)
    if now_ns < onset_ns - CHARGE_NS:
        return state, ()
    pending = Pending(
        grant_no=state.grant_no + 1,
        train=wanted.number,
        stage="intending",
        not_before_ns=onset_ns,
        expires_ns=onset_ns + GRANT_WINDOW_NS,
    )
    after = _with(state, grant_no=pending.grant_no, pending=pending, pending_mso=wanted.amplitude_mso, sent_ns=None, wanted=None)
    return after, (IntendPulse(pending=pending, settings=single_pulse(wanted.amplitude_mso)),)


def _intent_answered(state: Search, event: IntentAnswered, now_ns: int) -> Outcome:
    pending = state.pending
    if pending is None or pending.grant_no != event.grant_no or pending.stage != "intending":
        return state, ()
    if isinstance(event.answer, Refused):
        why = ", ".join(event.answer.reasons)
        after, actions = _hunted(_with(state, pending=None, refused=event.answer), Abort(why=f"the ledger refused: {why}"), now_ns)
        closed, more = _try_close(after)
        return closed, (*actions, *more)
    if state.step is not Step.ARMED or state.closing is not None:
        after, actions = _not_given(state, pending, now_ns)
        return after, (VoidPulse(pending=pending), *actions)
    granted = msgspec.structs.replace(pending, stage="granted")
    return _with(state, pending=granted), (GrantPulse(pending=granted, arm_no=state.arm_no, settings=single_pulse(state.pending_mso)),)


def _train_begun(state: Search, event: TrainBegun, _now_ns: int) -> Outcome:
    if state.pending is None or state.pending.grant_no != event.grant_no:
        return state, ()
    return _with(state, pending=msgspec.structs.replace(state.pending, stage="running"), sent_ns=event.at_ns), ()


def _receipt_came(state: Search, event: ReceiptCame, now_ns: int) -> Outcome:
    """The ledger gets every receipt; the hunt only the one that it waits for."""
    receipt, pending, take = event.receipt, state.pending, TakeReceipt(event=event)
    if pending is None or pending.grant_no != receipt.grant_no:
        return state, (take,)
    if receipt.pulses == 0:
        after, actions = _not_given(state, pending, now_ns)
        return after, (take, *actions)
    at_ns = now_ns if receipt.last_ns is None else receipt.last_ns
    given = _with(state, pending=None)
    if state.setup.evidence is Evidence.EMG and receipt.confirmed and state.sent_ns is not None and state.closing is None:
        judging = Judging(number=pending.train, at_ns=at_ns, until_ns=now_ns + JUDGE_WITHIN_NS)
        return _with(given, judging=judging), (take, Judge(number=pending.train, sent_ns=state.sent_ns, told_ns=at_ns))
    after, actions = _hunted(given, PulseGiven(number=pending.train, at_ns=at_ns, seen=Seen.UNDECIDED), now_ns)
    closed, more = _try_close(after)
    return closed, (take, *actions, *more)


def _not_given(state: Search, pending: Pending, now_ns: int) -> Outcome:
    after = _with(state, pending=None)
    actions: tuple[Action, ...] = ()
    if state.hunt.phase in POSSIBLE[PulseLost]:
        after, actions = _hunted(after, PulseLost(number=pending.train, at_ns=now_ns, counts=False), now_ns)
    closed, more = _try_close(after)
    return closed, (*actions, *more)


def _judged(state: Search, event: Judged, now_ns: int) -> Outcome:
    judging = state.judging
    if judging is None or judging.number != event.number:
        return state, ()
    given = PulseGiven(number=judging.number, at_ns=judging.at_ns, seen=event.seen)
    return _hunted(_with(state, judging=None), given, now_ns)


def _strayed(state: Search, event: Stray, now_ns: int) -> Outcome:
    after, actions = _hunted(state, StrayPulse(at_ns=event.at_ns), now_ns)
    return after, (StopPulses(why="uncommanded pulse"), *actions)


def _tick(state: Search, _event: Tick, now_ns: int) -> Outcome:
    if state.arm_until_ns is not None and now_ns > state.arm_until_ns:
        return _disarmed(state, "the stimulator did not charge in time"), (StopPulses(why="not charged in time"),)
    if state.judging is not None and now_ns > state.judging.until_ns:
        return _judged(state, Judged(number=state.judging.number, seen=Seen.UNDECIDED), now_ns)
    if state.step is Step.ARMED and state.wanted is not None and state.pending is None and state.judging is None:
        return _next_pulse(state, state.wanted, now_ns)
    return _hunted(state, mt_words.Tick(), now_ns)


HANDLERS: Final[Mapping[type[Event], Callable[[Search, Event, int], Outcome]]] = {
    HuntAsked: _hunt_asked,  # type: ignore[dict-item]  # each handler takes its own event
    Judged: _judged,  # type: ignore[dict-item]
    Stray: _strayed,  # type: ignore[dict-item]
    ArmAsked: _arm_asked,  # type: ignore[dict-item]
    SessionOpened: _session_opened,  # type: ignore[dict-item]
    ArmChanged: _arm_changed,  # type: ignore[dict-item]
    StopAsked: _stop_asked,  # type: ignore[dict-item]
    CloseAsked: _close_asked,  # type: ignore[dict-item]
    IntentAnswered: _intent_answered,  # type: ignore[dict-item]
    TrainBegun: _train_begun,  # type: ignore[dict-item]
    ReceiptCame: _receipt_came,  # type: ignore[dict-item]
    LedgerClosed: _ledger_closed,  # type: ignore[dict-item]
    HotLost: _hot_lost,  # type: ignore[dict-item]
    Tick: _tick,  # type: ignore[dict-item]
}
