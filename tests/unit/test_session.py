"""The session's machine, event by event."""

import msgspec
import pytest

from daemon.day import DoseReason
from daemon.ipc import Receipt
from daemon.ledger import CloseState, Intended, Opened, Refused
from daemon.messages import METHODS, Step
from daemon.pacing import NS, Pace
from daemon.session import ARM_IDLE_NS, ARM_WITHIN_NS, CHARGE_ALLOWANCE_NS, COMMANDS, HANDLERS, advance
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
    PlanOpened,
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
    Unregistered,
    VoidIntent,
)
from drivers.values import TrainSettings

COURSE = Course(
    patient="P1",
    protocol="short",
    settings=TrainSettings(amplitude_pct_mso=45, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10),
    pace=Pace(train_period_ns=10 * NS, train_gap_ns=8 * NS, train_length_ns=1_840_000_000, burst_period_ns=200_000_000),
    trains=2,
    resume_window_ns=600 * NS,
)
READY, UNREADY = Tick(device_ready=True), Tick(device_ready=False)


class Chair:
    """Drives the machine and keeps what it wanted done."""

    def __init__(self) -> None:
        self.state = Session(rev=7)
        self.now_ns = 100 * NS

    def happen(self, *events: Event) -> tuple[Action, ...]:
        actions: tuple[Action, ...] = ()
        for event in events:
            self.state, actions = advance(self.state, event, self.now_ns)
        return actions

    def armed(self) -> "Chair":
        self.happen(PlanOpened(course=COURSE, registered=False), Registered(), ArmAsked())
        self.happen(SessionOpened(answer=Opened(session_id="S", lease_token=3)))
        self.happen(ArmChanged(arm_no=1, armed=True, stopped=False, why=""))
        return self

    def granted(self) -> "Chair":
        self.armed().happen(StartAsked(), READY)
        self.happen(IntentAnswered(grant_no=1, answer=Intended(seq=1)))
        return self

    def running(self) -> "Chair":
        self.granted().happen(TrainBegun(grant_no=1, at_ns=self.now_ns))
        return self

    def receipt(self, grant_no: int, pulses: int, *why: str) -> tuple[Action, ...]:
        given = pulses > 0
        return self.happen(
            ReceiptCame(
                receipt=Receipt(
                    run_id="run",
                    grant_no=grant_no,
                    train=grant_no,
                    pulses=pulses,
                    confirmed=True,
                    broken=bool(why),
                    why=why,
                    first_ns=self.now_ns - NS if given else None,
                    last_ns=self.now_ns if given else None,
                    bursts=(),
                )
            )
        )


def test_a_session_runs_from_plan_to_done() -> None:
    chair = Chair().running()
    chair.now_ns += 2 * NS
    assert [type(action) for action in chair.receipt(1, 30)] == [SettleReceipt]
    assert chair.happen(READY) == ()
    chair.now_ns = 100 * NS + 10 * NS
    (intend,) = chair.happen(READY)
    assert isinstance(intend, Intend)
    assert intend.pending.train == 2
    chair.happen(IntentAnswered(grant_no=2, answer=Intended(seq=2)), TrainBegun(grant_no=2, at_ns=chair.now_ns))
    chair.now_ns += 2 * NS
    actions = chair.receipt(2, 30)
    assert [type(action) for action in actions] == [SettleReceipt, SendStop, CloseLedger]
    assert actions[2] == CloseLedger(state=CloseState.COMPLETE, why="done")
    chair.happen(LedgerClosed(state=CloseState.COMPLETE))
    assert (chair.state.step, chair.state.pulses, chair.state.session_id) == (Step.DONE, 60, None)


def test_arming_reserves_first_and_charges_then() -> None:
    chair = Chair()
    chair.happen(PlanOpened(course=COURSE, registered=True))
    assert chair.happen(ArmAsked()) == (OpenLedger(),)
    assert chair.happen(SessionOpened(answer=Opened(session_id="S", lease_token=3))) == (SendArm(arm_no=1, settings=COURSE.settings),)
    assert chair.state.step is Step.AIM


def test_a_refused_session_stays_in_aim_and_arms_nothing() -> None:
    chair = Chair()
    chair.happen(PlanOpened(course=COURSE, registered=True), ArmAsked())
    refused = Refused(reasons=(DoseReason.MIN_GAP,), earliest_utc_us=5)
    assert chair.happen(SessionOpened(answer=refused)) == ()
    assert (chair.state.step, chair.state.session_id) == (Step.AIM, None)


def test_a_stop_while_the_ledger_is_asked_closes_the_session_unarmed() -> None:
    chair = Chair()
    chair.happen(PlanOpened(course=COURSE, registered=True), ArmAsked(), StopAsked(why="stop"))
    (close,) = chair.happen(SessionOpened(answer=Opened(session_id="S", lease_token=3)))
    assert close == CloseLedger(state=CloseState.ABORTED, why="done")


def test_no_grant_goes_out_before_its_intent_is_on_disk() -> None:
    chair = Chair().armed()
    (intend,) = chair.happen(StartAsked(), READY)
    assert isinstance(intend, Intend)
    assert chair.happen(READY) == ()
    (grant,) = chair.happen(IntentAnswered(grant_no=1, answer=Intended(seq=1)))
    assert isinstance(grant, SendGrant)


def test_a_refused_intent_holds() -> None:
    chair = Chair().armed()
    chair.happen(StartAsked(), READY)
    refused = Refused(reasons=(DoseReason.LEDGER_UNAVAILABLE,), earliest_utc_us=None)
    (hold,) = chair.happen(IntentAnswered(grant_no=1, answer=refused))
    assert hold == SendHold(why="LEDGER_UNAVAILABLE", grant_no=1)
    assert chair.state.step is Step.HOLD


def test_an_intent_that_comes_back_after_a_hold_is_voided_not_granted() -> None:
    chair = Chair().armed()
    chair.happen(StartAsked(), READY, HoldAsked(why=("operator",)))
    (void,) = chair.happen(IntentAnswered(grant_no=1, answer=Intended(seq=1)))
    assert isinstance(void, VoidIntent)
    assert chair.state.pending is None


def test_a_broken_train_holds_at_once_and_its_rest_is_not_repeated() -> None:
    chair = Chair().running()
    chair.happen(TrainBroken(why=("off_target",)))
    assert (chair.state.step, chair.state.held_why) == (Step.HOLD, ("off_target",))
    chair.now_ns += NS
    chair.receipt(1, 12, "off_target")
    assert (chair.state.next_train, chair.state.trains_broken, chair.state.pulses) == (2, 1, 12)


def test_after_a_resume_the_full_gap_passes_before_the_next_train() -> None:
    chair = Chair().running()
    chair.happen(TrainBroken(why=("off_target",)))
    chair.now_ns += NS
    chair.receipt(1, 12, "off_target")
    last_ns = chair.now_ns
    chair.now_ns += 2 * NS
    chair.happen(ResumeAsked())
    assert chair.happen(UNREADY) == ()
    chair.now_ns = last_ns + 4 * NS
    (intend,) = chair.happen(UNREADY)
    assert isinstance(intend, Intend)
    assert intend.pending.not_before_ns == last_ns + 8 * NS


def test_a_resume_over_a_disabled_device_leaves_time_to_charge() -> None:
    chair = Chair().running()
    chair.happen(TrainBroken(why=("off_target",)))
    chair.receipt(1, 12, "off_target")
    chair.now_ns += 60 * NS
    chair.happen(ResumeAsked())
    (intend,) = chair.happen(UNREADY)
    assert isinstance(intend, Intend)
    assert intend.pending.not_before_ns == chair.now_ns + CHARGE_ALLOWANCE_NS


def test_an_unused_grant_holds_and_its_train_comes_again_under_a_new_intent() -> None:
    chair = Chair().granted()
    chair.receipt(1, 0, "off_target")
    assert (chair.state.step, chair.state.next_train, chair.state.held_why) == (Step.HOLD, 1, ("off_target",))
    chair.happen(ResumeAsked())
    (intend,) = chair.happen(READY)
    assert isinstance(intend, Intend)
    assert (intend.pending.grant_no, intend.pending.train) == (2, 1)


def test_a_stop_takes_the_arm_away_and_goes_out_whatever_the_step() -> None:
    assert Chair().happen(StopAsked(why="stop")) == (SendStop(why="stop"),)
    chair = Chair().running()
    assert chair.happen(StopAsked(why="stop")) == (SendStop(why="stop"),)
    assert (chair.state.step, chair.state.armed, chair.state.stop_latched) == (Step.STOPPED, False, True)
    assert chair.happen(ResumeAsked()) == ()
    assert chair.state.step is Step.STOPPED


def test_arming_after_a_stop_leads_back_to_hold_and_not_to_delivery() -> None:
    chair = Chair().running()
    chair.happen(StopAsked(why="stop"))
    chair.receipt(1, 6, "stop")
    assert chair.happen(ArmAsked()) == (SendArm(arm_no=2, settings=COURSE.settings),)
    chair.happen(ArmChanged(arm_no=2, armed=True, stopped=False, why=""))
    assert (chair.state.step, chair.state.stop_latched) == (Step.HOLD, False)


def test_an_arm_confirmed_late_from_an_earlier_act_is_ignored() -> None:
    chair = Chair()
    chair.happen(PlanOpened(course=COURSE, registered=True), ArmAsked())
    chair.happen(SessionOpened(answer=Opened(session_id="S", lease_token=3)))
    chair.happen(ArmChanged(arm_no=0, armed=True, stopped=False, why=""))
    assert chair.state.step is Step.AIM


def test_a_second_stop_for_the_same_cause_ends_the_session() -> None:
    chair = Chair().running()
    chair.happen(StopAsked(why="pain"))
    chair.receipt(1, 6, "pain")
    chair.happen(ArmAsked(), ArmChanged(arm_no=2, armed=True, stopped=False, why=""))
    actions = chair.happen(StopAsked(why="pain"))
    assert [type(action) for action in actions] == [SendStop, CloseLedger]


def test_the_arm_lost_in_the_hot_process_is_a_stop() -> None:
    chair = Chair().running()
    chair.happen(ArmChanged(arm_no=1, armed=False, stopped=True, why="front panel used"))
    assert (chair.state.step, chair.state.stopped_why) == (Step.STOPPED, "front panel used")


def test_a_hold_that_nobody_resumes_in_time_ends_as_partial() -> None:
    chair = Chair().running()
    chair.happen(TrainBroken(why=("off_target",)))
    chair.receipt(1, 12, "off_target")
    chair.now_ns += COURSE.resume_window_ns
    assert chair.happen(UNREADY) == ()
    chair.now_ns += 1
    actions = chair.happen(UNREADY)
    assert actions == (SendStop(why="not resumed in time"), CloseLedger(state=CloseState.PARTIAL, why="not resumed in time"))


def test_a_device_that_does_not_charge_is_stopped() -> None:
    chair = Chair()
    chair.happen(PlanOpened(course=COURSE, registered=True), ArmAsked())
    chair.happen(SessionOpened(answer=Opened(session_id="S", lease_token=3)))
    chair.now_ns += ARM_WITHIN_NS + 1
    (stop,) = chair.happen(UNREADY)
    assert isinstance(stop, SendStop)
    assert chair.state.step is Step.STOPPED


def test_an_arm_that_nobody_uses_is_taken_away() -> None:
    chair = Chair().armed()
    chair.now_ns += ARM_IDLE_NS + 1
    (stop,) = chair.happen(READY)
    assert isinstance(stop, SendStop)
    assert chair.state.step is Step.STOPPED


def test_closing_waits_for_the_receipt_of_the_running_train() -> None:
    chair = Chair().running()
    chair.happen(TrainBroken(why=("off_target",)))
    assert chair.happen(CloseAsked()) == (SendStop(why="session closed"),)
    actions = chair.receipt(1, 9, "off_target")
    assert [type(action) for action in actions] == [SettleReceipt, CloseLedger]


def test_the_end_of_the_hot_process_closes_without_waiting() -> None:
    chair = Chair().running()
    (close,) = chair.happen(HotLost())
    assert close == CloseLedger(state=CloseState.PARTIAL, why="control lost")


def test_a_receipt_that_nobody_waits_for_reaches_the_ledger_and_changes_nothing_else() -> None:
    chair = Chair().running()
    before = chair.state
    (settle,) = chair.receipt(9, 30)
    assert isinstance(settle, SettleReceipt)
    assert chair.state == before


def test_a_last_train_that_was_broken_ends_the_session_as_partial() -> None:
    chair = Chair().running()
    chair.receipt(1, 30)
    chair.now_ns += 10 * NS
    chair.happen(READY, IntentAnswered(grant_no=2, answer=Intended(seq=2)), TrainBegun(grant_no=2, at_ns=chair.now_ns))
    chair.happen(TrainBroken(why=("off_target",)))
    assert CloseLedger(state=CloseState.PARTIAL, why="done") in chair.receipt(2, 3, "off_target")


def test_a_rejected_registration_leads_back_to_it() -> None:
    chair = Chair()
    chair.happen(PlanOpened(course=COURSE, registered=True), Unregistered())
    assert chair.state.step is Step.REGISTER


def test_no_plan_is_opened_in_the_middle_of_a_session() -> None:
    chair = Chair().running()
    before = chair.state
    assert chair.happen(PlanOpened(course=COURSE, registered=True)) == ()
    assert chair.state == before


def test_the_revision_rises_with_every_change_and_only_then() -> None:
    chair = Chair()
    assert chair.happen(READY) == ()
    assert chair.state.rev == 7
    chair.happen(PlanOpened(course=COURSE, registered=True))
    assert chair.state.rev == 8


def test_every_event_has_a_handler_and_every_changing_command_its_steps() -> None:
    assert set(HANDLERS) == set(Event.__args__)  # type: ignore[attr-defined]
    assert {name for name, method in METHODS.items() if method.changes} <= set(COMMANDS)


@pytest.mark.parametrize("step", list(Step))
def test_nothing_is_intended_outside_delivery(step: Step) -> None:
    chair = Chair().armed()
    chair.state = msgspec.structs.replace(chair.state, step=step)
    intended = any(isinstance(action, Intend) for action in chair.happen(READY))
    assert intended == (step is Step.DELIVER)
