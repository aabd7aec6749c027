"""Grants and receipts in any order, doubled, late, lost or from another run: no grant fires twice, none outside what the record knows.

The session's machine and the hot process's firing over a device of few words, all in simulated time; hypothesis is the channel.
"""

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from daemon import ipc
from daemon.messages import Step as Stage
from daemon.session_words import (
    ArmAsked,
    CloseAsked,
    HoldAsked,
    HotLost,
    PlanOpened,
    ResumeAsked,
    StartAsked,
    StopAsked,
)
from tests.grant_chair import COURSE, MS, Chair


def deliver(chair: Chair, turns: int) -> None:
    """Let everything arrive at once and press whatever key comes next."""
    keys = {Stage.AIM: ArmAsked(), Stage.ARMED: StartAsked(), Stage.HOLD: ResumeAsked()}
    for _ in range(turns):
        chair.pass_time(1)
        chair.answer_intent(True)
        for grant in chair.grants:
            chair.take_grant(grant)
        chair.grants.clear()
        for fact in list(chair.facts):
            chair.facts.remove(fact)
            chair.hear(fact)
        if (event := keys.get(chair.session.step)) is not None:
            chair.happen(event)


INDEX = st.integers(0, 1000)


class Channel(RuleBasedStateMachine):
    """Whatever a channel and a day can do."""

    def __init__(self) -> None:
        super().__init__()
        self.chair = Chair()

    @rule(turns=st.sampled_from((1, 2, 5, 20, 60, 250)))
    def time_passes(self, turns: int) -> None:
        self.chair.pass_time(turns)

    @rule(turns=st.sampled_from((10, 30, 80)))
    def all_goes_well(self, turns: int) -> None:
        deliver(self.chair, turns)

    @rule(yes=st.sampled_from((True, True, True, False)))
    @precondition(lambda self: self.chair.unanswered is not None)
    def record_answers(self, yes: bool) -> None:
        self.chair.answer_intent(yes)

    @rule(index=INDEX, is_kept=st.booleans())
    @precondition(lambda self: self.chair.grants)
    def grant_arrives(self, index: int, is_kept: bool) -> None:
        grant = self.chair.grants[index % len(self.chair.grants)]
        if not is_kept:
            self.chair.grants.remove(grant)
        self.chair.take_grant(grant)

    @rule(index=INDEX)
    @precondition(lambda self: self.chair.past_grants)
    def past_grant_arrives(self, index: int) -> None:
        self.chair.take_grant(self.chair.past_grants[index % len(self.chair.past_grants)])

    @rule(index=INDEX)
    @precondition(lambda self: self.chair.grants)
    def grant_is_lost(self, index: int) -> None:
        self.chair.grants.pop(index % len(self.chair.grants))

    @rule(count=st.integers(1, 5), is_doubled=st.booleans())
    @precondition(lambda self: self.chair.facts)
    def facts_arrive(self, count: int, is_doubled: bool) -> None:
        for _ in range(min(count, len(self.chair.facts))):
            fact = self.chair.facts.pop(0)
            self.chair.hear(fact)
            if is_doubled and isinstance(fact, ipc.Receipt):
                self.chair.hear(fact)

    @rule(index=INDEX)
    @precondition(lambda self: self.chair.past_receipts)
    def past_receipt_arrives(self, index: int) -> None:
        self.chair.hear(self.chair.past_receipts[index % len(self.chair.past_receipts)])

    @rule()
    @precondition(lambda self: any(isinstance(fact, ipc.Receipt) for fact in self.chair.facts))
    def receipt_is_lost(self) -> None:
        lost = next(fact for fact in self.chair.facts if isinstance(fact, ipc.Receipt))
        self.chair.facts.remove(lost)

    @rule(key=st.sampled_from(("forward", "forward", "forward", "hold", "stop", "close")))
    def operator_presses(self, key: str) -> None:
        chair = self.chair
        forward = {Stage.AIM: ArmAsked(), Stage.ARMED: StartAsked(), Stage.HOLD: ResumeAsked(), Stage.STOPPED: ArmAsked()}
        if key == "forward" and chair.session.step is Stage.DONE:
            chair.happen(PlanOpened(course=COURSE, registered=True))
        elif key == "forward":
            chair.happen(forward.get(chair.session.step, StartAsked()))
        else:
            keys = {"stop": StopAsked(why="operator"), "hold": HoldAsked(why=("operator",)), "close": CloseAsked()}
            chair.happen(keys[key])

    @rule()
    def coil_slips_or_returns(self) -> None:
        self.chair.on_target = not self.chair.on_target

    @rule()
    def hot_process_dies(self) -> None:
        self.chair.happen(HotLost())
        self.chair.begin_run()

    @invariant()
    def no_pulse_is_uncounted(self) -> None:
        self.chair.check()


Channel.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
test_no_order_of_messages_fires_a_grant_twice_or_leaves_a_pulse_uncounted = Channel.TestCase


def test_a_faithful_channel_delivers_the_whole_course() -> None:
    chair = Chair()
    deliver(chair, 400)
    assert [grant.train for grant in chair.started] == [1, 2, 3]
    assert sum(chair.given.values()) == COURSE.pulses == sum(chair.record.said.values())
    assert chair.session.step is Stage.DONE
    chair.check()


def test_every_grant_of_a_run_sent_again_to_the_next_fires_nothing() -> None:
    chair = Chair()
    deliver(chair, 400)
    chair.begin_run()
    chair.happen(ArmAsked())
    for grant in chair.past_grants:
        moved = msgspec.structs.replace(grant, not_before_ns=chair.now_ns, expires_ns=chair.now_ns + 2000 * MS, arm_no=1)
        chair.take_grant(moved)
        chair.pass_time(30)
    assert chair.device.enabled
    assert len(chair.started) == chair.device.starts == COURSE.trains


def test_every_grant_of_a_run_doubled_fires_once() -> None:
    chair = Chair()
    for _ in range(400):
        deliver(chair, 1)
        for grant in chair.past_grants:
            chair.take_grant(grant)
    assert chair.device.starts == COURSE.trains


def test_grant_still_on_its_way_when_the_operator_holds_is_worth_nothing() -> None:
    chair = Chair()
    while not chair.grants:
        chair.pass_time(1)
        chair.answer_intent(True)
        for fact in list(chair.facts):
            chair.facts.remove(fact)
            chair.hear(fact)
        if (event := {Stage.AIM: ArmAsked(), Stage.ARMED: StartAsked()}.get(chair.session.step)) is not None:
            chair.happen(event)
    chair.happen(HoldAsked(why=("operator",)))
    chair.take_grant(chair.grants.pop())
    chair.pass_time(1000)
    assert chair.device.starts == 0
    assert any(isinstance(fact, ipc.Receipt) and fact.pulses == 0 for fact in chair.facts)
