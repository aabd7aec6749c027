"""A train asked for by another program, in the session's machine: where an operator has armed and waits, one at a time, never early."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from daemon.ipc import Receipt
from daemon.ledger import Intended, Opened
from daemon.messages import Step
from daemon.pacing import NS
from daemon.session import advance
from daemon.session_words import (
    ArmAsked,
    ArmChanged,
    Event,
    HoldAsked,
    Intend,
    IntentAnswered,
    PlanOpened,
    ReceiptCame,
    ResumeAsked,
    Session,
    SessionOpened,
    StartAsked,
    StopAsked,
    Tick,
    TrainBegun,
    TrainRequested,
)
from tests.grant_chair import COURSE

TICK = Tick(device_ready=True)
PERIOD_NS = COURSE.pace.train_period_ns


class Chair:
    """The machine, and the acts of everybody around it."""

    def __init__(self) -> None:
        self.now_ns = 1_000 * NS
        self.state = Session(rev=1)
        self.intended = 0
        self.do(PlanOpened(course=COURSE, registered=True))

    def do(self, *events: Event) -> Session:
        for event in events:
            self.state, actions = advance(self.state, event, self.now_ns)
            self.intended += sum(isinstance(action, Intend) for action in actions)
        return self.state

    def arm(self) -> None:
        self.do(ArmAsked())
        if self.state.opening:
            self.do(SessionOpened(answer=Opened(session_id="S", lease_token=1)))
        self.do(ArmChanged(arm_no=self.state.arm_no, armed=True, stopped=False, why=""))

    def give(self, pulses: int = COURSE.settings.pulses) -> Session:
        """The train that is intended, from grant to receipt."""
        number = self.state.grant_no
        self.do(IntentAnswered(grant_no=number, answer=Intended(seq=1)), TrainBegun(grant_no=number, at_ns=self.now_ns))
        self.now_ns += COURSE.pace.train_length_ns
        receipt = Receipt(
            run_id="run",
            grant_no=number,
            train=self.state.next_train,
            pulses=pulses,
            confirmed=True,
            broken=pulses < COURSE.settings.pulses,
            why=(),
            first_ns=self.now_ns,
            last_ns=self.now_ns,
            bursts=(),
        )
        return self.do(ReceiptCame(receipt=receipt))


def armed() -> Chair:
    chair = Chair()
    chair.arm()
    return chair


def test_a_request_gives_the_next_train_at_once_and_no_other() -> None:
    chair = armed()
    assert chair.do(TrainRequested(), TICK).step is Step.DELIVER
    assert chair.give().step is Step.ARMED
    for _ in range(100):
        chair.now_ns += NS // 2
        chair.do(TICK)
    assert chair.intended == 1
    assert chair.state.trains_done == 1


def test_trains_follow_each_other_request_by_request_to_the_end_of_the_session() -> None:
    chair = armed()
    for number in range(1, COURSE.trains + 1):
        chair.do(TrainRequested(), TICK)
        chair.give()
        chair.now_ns += PERIOD_NS
        assert chair.intended == number
    assert chair.state.close_asked
    assert chair.do(TrainRequested(), TICK).pending is None


@pytest.mark.parametrize(("after_ns", "follows"), [(PERIOD_NS - 1, False), (PERIOD_NS, True)])
def test_a_request_before_the_pause_is_over_changes_nothing(after_ns: int, follows: bool) -> None:
    chair = armed()
    begun_ns = chair.now_ns
    chair.do(TrainRequested(), TICK)
    before = chair.give()
    chair.now_ns = begun_ns + after_ns
    assert (chair.do(TrainRequested()) != before) is follows


def test_a_request_changes_nothing_unless_the_operator_has_armed() -> None:
    chair = Chair()
    before = chair.state
    assert chair.do(TrainRequested()) == before
    chair.do(ArmAsked())
    arming = chair.state
    assert chair.do(TrainRequested()) == arming


def test_a_request_never_resumes_a_hold() -> None:
    chair = armed()
    chair.do(StartAsked(), HoldAsked(why=("operator",)))
    before = chair.state
    assert before.step is Step.HOLD
    assert chair.do(TrainRequested()) == before


def test_a_request_never_takes_up_a_stop() -> None:
    chair = armed()
    chair.do(TrainRequested(), TICK)
    chair.give()
    chair.do(StopAsked(why="patient"))
    before = chair.state
    assert before.step is Step.STOPPED
    assert chair.do(TrainRequested()) == before


def test_a_request_while_a_train_is_under_way_is_not_kept_for_later() -> None:
    chair = armed()
    chair.do(TrainRequested(), TICK)
    chair.do(TrainRequested(), TrainRequested())
    chair.give()
    chair.now_ns += PERIOD_NS
    chair.do(TICK)
    assert chair.intended == 1


def test_the_operator_s_start_gives_all_that_follow_even_after_requests() -> None:
    chair = armed()
    chair.do(TrainRequested(), TICK)
    chair.give()
    chair.do(StartAsked())
    chair.now_ns += PERIOD_NS
    chair.do(TICK)
    assert chair.give().step is Step.DELIVER


def test_the_operator_s_resume_gives_one_train_where_trains_are_asked_for_one_by_one() -> None:
    chair = armed()
    chair.do(TrainRequested(), TICK)
    assert chair.give(pulses=3).step is Step.HOLD
    chair.now_ns += PERIOD_NS
    chair.do(ResumeAsked(), TICK)
    assert chair.give().step is Step.ARMED


ACTS: list[Event | str] = [
    *(TrainRequested() for _ in range(4)),
    TICK,
    StartAsked(),
    ResumeAsked(),
    HoldAsked(why=("operator",)),
    StopAsked(why="stop"),
    "arm",
    "whole",
    "part",
    "wait",
]


@given(st.lists(st.sampled_from(ACTS), max_size=60))
@settings(max_examples=300)
def test_whatever_happens_a_request_itself_arms_resumes_and_shortens_nothing(acts: list[Event | str]) -> None:
    chair = armed()
    for act in acts:
        before = chair.state
        match act:
            case "arm":
                chair.arm()
            case "whole" | "part":
                if chair.state.pending is not None:
                    chair.give(COURSE.settings.pulses if act == "whole" else 2)
            case "wait":
                chair.now_ns += PERIOD_NS
            case str():
                pass
            case _:
                chair.do(act)
        if isinstance(act, TrainRequested) and chair.state != before:
            assert before.step is Step.ARMED
            assert before.pending is None
            assert chair.state == replace(before, rev=before.rev + 1, step=Step.DELIVER, held_why=(), by_request=True)
            assert before.last_pulse_ns is None or chair.now_ns - before.last_pulse_ns >= COURSE.pace.train_gap_ns
        assert chair.state.pulses <= COURSE.pulses
