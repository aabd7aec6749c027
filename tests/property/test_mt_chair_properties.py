"""The search at the chair under events in any order: no grant without an intent and an arm, one pulse at a time, nothing uncounted."""

import hypothesis.strategies as st
from hypothesis import given

from daemon.day import DoseReason
from daemon.ipc import Receipt
from daemon.ledger import CloseState, Intended, Opened, Refused
from daemon.mt_chair import (
    Action,
    ArmPulses,
    ClosePulses,
    Event,
    GrantPulse,
    HuntAsked,
    IntendPulse,
    Judged,
    Search,
    Step,
    StopPulses,
    Stray,
    TakeReceipt,
    VoidPulse,
    advance,
    open_search,
)
from daemon.mt_words import Answer, Confirm, HotspotFound, PulseWanted, Seen
from daemon.session_words import (
    ArmAsked,
    ArmChanged,
    CloseAsked,
    HotLost,
    IntentAnswered,
    LedgerClosed,
    ReceiptCame,
    SessionOpened,
    StopAsked,
    Tick,
    TrainBegun,
)
from tests.mt_cases import S, setup

NAMES = (
    "opened",
    "refused",
    "arm",
    "armed",
    "arm lost",
    "want",
    "hotspot",
    "yes",
    "no",
    "confirm",
    "intended",
    "not intended",
    "begun",
    "given",
    "nothing",
    "judged",
    "stray",
    "stop",
    "close",
    "closed",
    "lost",
    "tick",
    "tick",
    "tick",
)


class Play:
    """The search, all that it wanted done, and what the world would say next."""

    def __init__(self) -> None:
        self.now_ns = 100 * S
        self.state, done = open_search(setup(min_interval_ns=3 * S), 4, 7, self.now_ns)
        self.done: list[Action] = list(done)

    def happen(self, name: str) -> None:
        event = self._event(name)
        self.now_ns += S
        before = self.state
        self.state, done = advance(before, event, self.now_ns)
        self._check(before, event, done)
        self.done += done

    def of(self, kind: type[Action]) -> list[Action]:
        return [action for action in self.done if isinstance(action, kind)]

    def _check(self, before: Search, event: Event, done: tuple[Action, ...]) -> None:
        for action in done:
            if isinstance(action, GrantPulse):
                assert isinstance(event, IntentAnswered)
                assert isinstance(event.answer, Intended)
                assert before.step is Step.ARMED
                assert self.state.pending is not None
                assert 1 <= action.settings.amplitude_pct_mso <= before.setup.most_mso
                assert action.settings.pulses == 1
            if isinstance(action, IntendPulse):
                assert before.step is Step.ARMED
                assert before.pending is None
                assert action.pending.not_before_ns > self.now_ns
            if isinstance(action, ClosePulses):
                assert self.state.pending is None
        if isinstance(event, StopAsked):
            assert any(isinstance(action, StopPulses) for action in done)
            assert self.state.step not in (Step.ARMING, Step.ARMED)

    def _event(self, name: str) -> Event:
        state, pending = self.state, self.state.pending
        grant_no = state.grant_no if pending is None else pending.grant_no
        number = state.hunt.asked
        events: dict[str, Event] = {
            "opened": SessionOpened(answer=Opened(session_id="S", lease_token=3)),
            "refused": SessionOpened(answer=Refused(reasons=(DoseReason.MT_PULSES,), earliest_utc_us=None)),
            "arm": ArmAsked(),
            "armed": ArmChanged(arm_no=state.arm_no, armed=True, stopped=False, why=""),
            "arm lost": ArmChanged(arm_no=state.arm_no, armed=False, stopped=True, why="a fault"),
            "want": HuntAsked(event=PulseWanted(amplitude_mso=45)),
            "hotspot": HuntAsked(event=HotspotFound()),
            "yes": HuntAsked(event=Answer(number=number, responded=True)),
            "no": HuntAsked(event=Answer(number=number, responded=False)),
            "confirm": HuntAsked(event=Confirm(by="A", utc_us=1_800_000_000_000_000)),
            "intended": IntentAnswered(grant_no=grant_no, answer=Intended(seq=1)),
            "not intended": IntentAnswered(grant_no=grant_no, answer=Refused(reasons=(DoseReason.LEASE_LOST,), earliest_utc_us=None)),
            "begun": TrainBegun(grant_no=grant_no, at_ns=self.now_ns),
            "given": ReceiptCame(receipt=self._receipt(grant_no, 1)),
            "nothing": ReceiptCame(receipt=self._receipt(grant_no, 0)),
            "judged": Judged(number=number, seen=Seen.RESPONSE),
            "stray": Stray(at_ns=self.now_ns),
            "stop": StopAsked(why="operator"),
            "close": CloseAsked(),
            "closed": LedgerClosed(state=CloseState.PARTIAL),
            "lost": HotLost(),
            "tick": Tick(device_ready=True),
        }
        return events[name]

    def _receipt(self, grant_no: int, pulses: int) -> Receipt:
        at_ns = self.now_ns if pulses else None
        return Receipt(
            run_id="run",
            grant_no=grant_no,
            train=self.state.hunt.asked,
            pulses=pulses,
            confirmed=True,
            broken=not pulses,
            why=(),
            first_ns=at_ns,
            last_ns=at_ns,
            bursts=(),
        )


names = st.lists(st.sampled_from(NAMES), max_size=60)
START = ("opened", "arm", "armed")


@given(names, st.booleans())
def test_every_intent_is_granted_voided_refused_or_left_to_the_ledger_and_the_session_is_closed_once(acts: list[str], begun: bool) -> None:
    play = Play()
    for name in (*(START if begun else ()), *acts):
        play.happen(name)
    intents = [action.pending.grant_no for action in play.of(IntendPulse) if isinstance(action, IntendPulse)]
    grants = [action.pending.grant_no for action in play.of(GrantPulse) if isinstance(action, GrantPulse)]
    voids = [action.pending.grant_no for action in play.of(VoidPulse) if isinstance(action, VoidPulse)]
    assert len(set(intents)) == len(intents)
    assert sorted({*grants, *voids}) == sorted([*grants, *voids])
    assert {*grants, *voids} <= set(intents)
    assert len(play.of(ClosePulses)) <= 1
    arms = [action.arm_no for action in play.of(ArmPulses) if isinstance(action, ArmPulses)]
    assert arms == sorted(set(arms))


@given(names)
def test_no_receipt_is_lost_and_every_pulse_that_came_is_counted(acts: list[str]) -> None:
    play = Play()
    for name in (*START, *acts):
        play.happen(name)
    receipts = [action for action in play.of(TakeReceipt) if isinstance(action, TakeReceipt)]
    assert len(receipts) == acts.count("given") + acts.count("nothing")
    assert play.state.hunt.given <= play.state.setup.planned_pulses + acts.count("stray") + acts.count("given") + acts.count("lost")


@given(names)
def test_a_search_that_is_closed_by_the_operator_always_comes_to_its_end(acts: list[str]) -> None:
    play = Play()
    for name in (*START, *acts, "close"):
        play.happen(name)
    for _ in range(4):
        for name in ("opened", "not intended", "nothing", "tick", "closed"):
            if not play.state.is_over:
                play.happen(name)
    assert play.state.is_over
