"""The day at the chair as a state machine. Pure: `advance(state, event, now_ns)` gives the next state and what is to be done.

    plan -> register -> aim -> armed -> deliver <-> hold -> done
                                 stopped: the arm is taken away; arming again leads back to hold, resuming to deliver

A hold keeps the operator's arm, a stop takes it. The rest of a broken train is not repeated. Nothing here reads a clock.
"""

from collections.abc import Callable

import msgspec

from daemon.ledger import CloseState, Refused
from daemon.messages import Step
from daemon.pacing import CHARGE_NS, GRANT_WINDOW_NS, LEAD_NS, next_onset
from daemon.session_words import (
    Action,
    ArmAsked,
    ArmChanged,
    CloseAsked,
    CloseLedger,
    Course,
    Event,
    HoldAsked,
    HotLost,
    Intend,
    IntentAnswered,
    LedgerClosed,
    OpenLedger,
    Outcome,
    Pending,
    PlanOpened,
    PulsesSought,
    ReceiptCame,
    Registered,
    ResumeAsked,
    SendArm,
    SendGrant,
    SendHold,
    SendStop,
    Session,
    SessionOpened,
    SettleReceipt,
    StartAsked,
    StopAsked,
    Tick,
    TrainBegun,
    TrainBroken,
    TrainRequested,
    Unregistered,
    VoidIntent,
)

ARM_WITHIN_NS = 15_000_000_000  # a device that is not charged by then has a fault that it does not tell
ARM_IDLE_NS = 600_000_000_000  # an arm that nobody uses is taken away after ten minutes
CHARGE_ALLOWANCE_NS = 3_000_000_000  # least time from a resume to the next train over a disabled device

FREE = frozenset({Step.PLAN, Step.REGISTER, Step.AIM, Step.DONE})  # no session holds the chair

# Which command is possible in which step; a pair that is not here is refused with WRONG_STEP.
COMMANDS: dict[str, frozenset[Step]] = {
    "open_plan": frozenset({Step.PLAN, Step.REGISTER, Step.AIM, Step.DONE}),
    "touch_landmark": frozenset({Step.REGISTER}),
    "touch_now": frozenset({Step.REGISTER}),
    "retake_landmark": frozenset({Step.REGISTER}),
    "undo_touch": frozenset({Step.REGISTER}),
    "start_sweep": frozenset({Step.REGISTER}),
    "end_sweep": frozenset({Step.REGISTER}),
    "accept_registration": frozenset({Step.REGISTER}),
    "reject_registration": frozenset({Step.REGISTER, Step.AIM}),
    "check_touch": frozenset({Step.REGISTER, Step.AIM, Step.ARMED, Step.HOLD, Step.STOPPED}),
    "start_quick_registration": frozenset({Step.AIM}),
    "test_hardware_stop": frozenset({Step.PLAN, Step.REGISTER, Step.AIM, Step.DONE}),
    "arm": frozenset({Step.AIM, Step.STOPPED}),
    "start": frozenset({Step.ARMED}),
    "hold": frozenset({Step.DELIVER}),
    "resume": frozenset({Step.HOLD}),
    "mt_open": FREE,
    "mt_arm": FREE,
    "mt_hotspot": FREE,
    "mt_confirm": FREE,
    "close": frozenset({Step.REGISTER, Step.AIM, Step.ARMED, Step.HOLD, Step.STOPPED, Step.DONE}),
}


def advance(state: Session, event: Event, now_ns: int) -> Outcome:
    """One event. A pair that has no meaning in this state changes nothing."""
    after, actions = HANDLERS[type(event)](state, event, now_ns)
    if after != state:
        after = msgspec.structs.replace(after, rev=state.rev + 1)
    return after, actions


def _with(state: Session, **changes: object) -> Session:
    return msgspec.structs.replace(state, **changes)


def _plan_opened(state: Session, event: PlanOpened, _now_ns: int) -> Outcome:
    if state.step not in COMMANDS["open_plan"]:
        return state, ()
    step = Step.AIM if event.registered else Step.REGISTER
    fresh = Session(rev=state.rev, step=step, course=event.course, arm_no=state.arm_no, grant_no=state.grant_no)
    return fresh, ()


def _registered(state: Session, _event: Registered, _now_ns: int) -> Outcome:
    return (_with(state, step=Step.AIM), ()) if state.step is Step.REGISTER else (state, ())


def _unregistered(state: Session, _event: Unregistered, _now_ns: int) -> Outcome:
    return (_with(state, step=Step.REGISTER), ()) if state.step is Step.AIM else (state, ())


def _arm_asked(state: Session, _event: ArmAsked, now_ns: int) -> Outcome:
    if state.step not in COMMANDS["arm"] or state.opening or state.arm_until_ns is not None or state.closing is not None:
        return state, ()
    if state.session_id is None:
        return _with(state, opening=True, stop_latched=False), (OpenLedger(),)
    return _send_arm(_with(state, stop_latched=False), now_ns)


def _send_arm(state: Session, now_ns: int) -> Outcome:
    if state.course is None:
        return state, ()
    arm_no = state.arm_no + 1
    asked = _with(state, arm_no=arm_no, arm_until_ns=now_ns + ARM_WITHIN_NS)
    return asked, (SendArm(arm_no=arm_no, settings=state.course.settings),)


def _session_opened(state: Session, event: SessionOpened, now_ns: int) -> Outcome:
    if not state.opening:
        return state, ()
    answer = event.answer
    if isinstance(answer, Refused):
        return _with(state, opening=False), ()
    opened = _with(state, opening=False, session_id=answer.session_id, lease_token=answer.lease_token)
    if state.stop_latched:
        return _close(opened, CloseState.ABORTED)
    return _send_arm(opened, now_ns)


def _arm_changed(state: Session, event: ArmChanged, now_ns: int) -> Outcome:
    if event.arm_no != state.arm_no or state.closing is not None:
        return state, ()
    if event.armed:
        if state.arm_until_ns is None:
            return state, ()
        step = Step.HOLD if state.begun else Step.ARMED
        return _with(state, step=step, arm_until_ns=None, armed_ns=now_ns, stopped_why=None), ()
    if state.arm_until_ns is None and not state.armed:
        return state, ()
    return _stopped(state, event.why, send=False)


def _start_asked(state: Session, _event: StartAsked, _now_ns: int) -> Outcome:
    return (_with(state, step=Step.DELIVER, held_why=(), by_request=False), ()) if state.step is Step.ARMED else (state, ())


def _train_requested(state: Session, _event: TrainRequested, now_ns: int) -> Outcome:
    """One train, if the session is armed and waits, and its pause is over: never after a hold or a stop."""
    course = state.course
    if state.step is not Step.ARMED or state.closing is not None or state.pending is not None or course is None:
        return state, ()
    if next_onset(course.pace, now_ns, state.last_onset_ns, state.last_pulse_ns, state.last_broken) > now_ns:
        return state, ()
    return _with(state, step=Step.DELIVER, held_why=(), by_request=True), ()


def _resume_asked(state: Session, _event: ResumeAsked, _now_ns: int) -> Outcome:
    if state.step is not Step.HOLD or state.closing is not None:
        return state, ()
    return _with(state, step=Step.DELIVER, held_why=()), ()


def _hold_asked(state: Session, event: HoldAsked, _now_ns: int) -> Outcome:
    if state.step is not Step.DELIVER:
        return state, ()
    return _with(state, step=Step.HOLD, held_why=event.why), (SendHold(why=", ".join(event.why), grant_no=state.grant_no),)


def _stop_asked(state: Session, event: StopAsked, _now_ns: int) -> Outcome:
    """Always goes out to the device, whatever the step; takes the arm where there is one."""
    after, actions = _stopped(_with(state, stop_latched=True), event.why, send=False)
    return after, (SendStop(why=event.why), *actions)


def _stopped(state: Session, why: str, *, send: bool) -> Outcome:
    """The arm is gone. A second stop for the same cause ends the session."""
    actions: tuple[Action, ...] = (SendStop(why=why),) if send else ()
    arming = state.arm_until_ns is not None
    if not state.armed and not arming:
        return state, actions
    stopped = _with(state, step=Step.STOPPED, arm_until_ns=None, stopped_why=why, stop_causes=(*state.stop_causes, why))
    if state.closing is None and why in state.stop_causes:
        return _close(stopped, CloseState.PARTIAL)
    return stopped, actions


def _close_asked(state: Session, _event: CloseAsked, _now_ns: int) -> Outcome:
    if state.step not in COMMANDS["close"] or state.opening or state.closing is not None:
        return state, ()
    if state.session_id is None:
        return Session(rev=state.rev, arm_no=state.arm_no, grant_no=state.grant_no), (SendStop(why="plan closed"),)
    closing = CloseState.PARTIAL if state.begun else CloseState.ABORTED
    after, actions = _close(state, closing)
    return after, (SendStop(why="session closed"), *actions)


def _close(state: Session, how: CloseState) -> Outcome:
    """End the session once nothing is pending any more."""
    return _try_close(_with(state, closing=how))


def _try_close(state: Session) -> Outcome:
    if state.closing is None or state.pending is not None or state.close_asked:
        return state, ()
    why = state.stopped_why or ", ".join(state.held_why) or "done"
    return _with(state, close_asked=True), (CloseLedger(state=state.closing, why=why),)


def _ledger_closed(state: Session, _event: LedgerClosed, _now_ns: int) -> Outcome:
    if not state.close_asked:
        return state, ()
    return _with(state, step=Step.DONE, session_id=None, lease_token=None, closing=None, close_asked=False, arm_until_ns=None), ()


def _intent_answered(state: Session, event: IntentAnswered, _now_ns: int) -> Outcome:
    pending = state.pending
    if pending is None or pending.grant_no != event.grant_no or pending.stage != "intending":
        return state, ()
    if isinstance(event.answer, Refused):
        why = tuple(str(reason) for reason in event.answer.reasons)
        refused = _with(state, pending=None, step=Step.HOLD if state.step is Step.DELIVER else state.step, held_why=why)
        after, actions = _try_close(refused)
        return after, (SendHold(why=", ".join(why), grant_no=state.grant_no), *actions)
    if state.step is not Step.DELIVER or state.closing is not None:
        after, actions = _try_close(_with(state, pending=None))
        return after, (VoidIntent(pending=pending), *actions)
    granted = msgspec.structs.replace(pending, stage="granted")
    return _with(state, pending=granted), (SendGrant(pending=granted, arm_no=state.arm_no),)


def _train_begun(state: Session, event: TrainBegun, _now_ns: int) -> Outcome:
    pending = state.pending
    if pending is None or pending.grant_no != event.grant_no:
        return state, ()
    running = msgspec.structs.replace(pending, stage="running")
    return _with(state, pending=running, last_onset_ns=event.at_ns, last_broken=False), ()


def _train_broken(state: Session, event: TrainBroken, _now_ns: int) -> Outcome:
    return (_with(state, step=Step.HOLD, held_why=event.why), ()) if state.step is Step.DELIVER else (state, ())


def _receipt_came(state: Session, event: ReceiptCame, now_ns: int) -> Outcome:
    """The ledger gets every receipt; the session only the one that it waits for."""
    receipt = event.receipt
    settle = SettleReceipt(receipt=receipt)
    pending = state.pending
    if pending is None or pending.grant_no != receipt.grant_no or state.course is None:
        return state, (settle,)
    whole = receipt.pulses >= state.course.settings.pulses and not receipt.broken
    used = receipt.pulses > 0 or pending.stage == "running"
    after = _with(
        state,
        pending=None,
        pulses=state.pulses + receipt.pulses,
        next_train=state.next_train + (1 if used else 0),
        trains_done=state.trains_done + (1 if whole else 0),
        trains_broken=state.trains_broken + (1 if used and not whole else 0),
        last_pulse_ns=receipt.last_ns if receipt.last_ns is not None else state.last_pulse_ns,
        last_broken=used and not whole,
    )
    if not whole and after.step is Step.DELIVER:
        after = _with(after, step=Step.HOLD, held_why=receipt.why)
    elif after.by_request and after.step is Step.DELIVER:
        after = _with(after, step=Step.ARMED, armed_ns=now_ns)  # until the next one is asked for
    after, actions = _finish(after, state.course)
    return after, (settle, *actions)


def _finish(state: Session, course: Course) -> Outcome:
    """After the last train the device is disabled and the session closed by itself."""
    if state.closing is not None:
        return _try_close(state)
    if state.next_train <= course.trains:
        return state, ()
    how = CloseState.COMPLETE if state.pulses >= course.pulses else CloseState.PARTIAL
    after, actions = _close(_with(state, stopped_why=None, held_why=()), how)
    return after, (SendStop(why="session complete"), *actions)


def _hot_lost(state: Session, _event: HotLost, _now_ns: int) -> Outcome:
    """What was pending counts in full: the ledger does so by itself when it closes."""
    lost = _with(state, pending=None, arm_until_ns=None, stop_latched=True)
    if state.session_id is None:
        return lost, ()
    return _close(_with(lost, step=Step.STOPPED, stopped_why="control lost"), CloseState.PARTIAL)


def _pulses_sought(state: Session, event: PulsesSought, _now_ns: int) -> Outcome:
    """The hot process takes rising numbers alone, whoever counts them."""
    if state.step not in FREE:
        return state, ()
    latched = state.stop_latched and not event.cleared
    used = _with(state, arm_no=max(state.arm_no, event.arm_no), grant_no=max(state.grant_no, event.grant_no), stop_latched=latched)
    return used, ()


def _tick(state: Session, event: Tick, now_ns: int) -> Outcome:
    if state.arm_until_ns is not None and now_ns > state.arm_until_ns:
        return _stopped(state, "the stimulator did not charge in time", send=True)
    if state.step is Step.ARMED and state.armed_ns is not None and now_ns > state.armed_ns + ARM_IDLE_NS:
        return _stopped(state, "armed and not started", send=True)
    if state.resume_until_ns is not None and now_ns > state.resume_until_ns and state.closing is None:
        after, actions = _close(_with(state, stopped_why="not resumed in time"), CloseState.PARTIAL)
        return after, (SendStop(why="not resumed in time"), *actions)
    if state.step is Step.DELIVER and state.pending is None and state.closing is None and state.course is not None:
        return _next_train(state, state.course, event.device_ready, now_ns)
    return state, ()


def _next_train(state: Session, course: Course, device_ready: bool, now_ns: int) -> Outcome:
    onset_ns = next_onset(course.pace, now_ns, state.last_onset_ns, state.last_pulse_ns, state.last_broken)
    if not device_ready:
        onset_ns = max(onset_ns, now_ns + CHARGE_ALLOWANCE_NS)
    if now_ns < onset_ns - (LEAD_NS if device_ready else CHARGE_NS):
        return state, ()
    pending = Pending(
        grant_no=state.grant_no + 1,
        train=state.next_train,
        stage="intending",
        not_before_ns=onset_ns,
        expires_ns=onset_ns + GRANT_WINDOW_NS,
    )
    return _with(state, grant_no=pending.grant_no, pending=pending), (Intend(pending=pending),)


HANDLERS: dict[type[Event], Callable[[Session, Event, int], Outcome]] = {
    PlanOpened: _plan_opened,  # type: ignore[dict-item]  # each handler takes its own event
    Registered: _registered,  # type: ignore[dict-item]
    Unregistered: _unregistered,  # type: ignore[dict-item]
    ArmAsked: _arm_asked,  # type: ignore[dict-item]
    SessionOpened: _session_opened,  # type: ignore[dict-item]
    ArmChanged: _arm_changed,  # type: ignore[dict-item]
    StartAsked: _start_asked,  # type: ignore[dict-item]
    TrainRequested: _train_requested,  # type: ignore[dict-item]
    ResumeAsked: _resume_asked,  # type: ignore[dict-item]
    HoldAsked: _hold_asked,  # type: ignore[dict-item]
    StopAsked: _stop_asked,  # type: ignore[dict-item]
    CloseAsked: _close_asked,  # type: ignore[dict-item]
    IntentAnswered: _intent_answered,  # type: ignore[dict-item]
    TrainBegun: _train_begun,  # type: ignore[dict-item]
    TrainBroken: _train_broken,  # type: ignore[dict-item]
    ReceiptCame: _receipt_came,  # type: ignore[dict-item]
    LedgerClosed: _ledger_closed,  # type: ignore[dict-item]
    PulsesSought: _pulses_sought,  # type: ignore[dict-item]
    HotLost: _hot_lost,  # type: ignore[dict-item]
    Tick: _tick,  # type: ignore[dict-item]
}
