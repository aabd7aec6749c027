"""Whatever happens in whatever order: no pulse beyond the plan, no grant before its intent, none without a standing arm."""

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.day import DoseReason
from daemon.ipc import Receipt
from daemon.ledger import CloseState, Intended, Opened, Refused
from daemon.messages import Step
from daemon.pacing import NS, Pace
from daemon.session import advance
from daemon.session_words import (
    ArmAsked,
    ArmChanged,
    CloseAsked,
    Course,
    Event,
    HoldAsked,
    HotLost,
    Intend,
    IntentAnswered,
    LedgerClosed,
    PlanOpened,
    ReceiptCame,
    Registered,
    ResumeAsked,
    SendGrant,
    Session,
    SessionOpened,
    StartAsked,
    StopAsked,
    Tick,
    TrainBegun,
    TrainBroken,
    Unregistered,
)
from drivers.values import TrainSettings

COURSE = Course(
    patient="P1",
    protocol="short",
    settings=TrainSettings(amplitude_pct_mso=45, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10),
    pace=Pace(train_period_ns=10 * NS, train_gap_ns=8 * NS, train_length_ns=1_840_000_000, burst_period_ns=200_000_000),
    trains=3,
    resume_window_ns=600 * NS,
)
REFUSED = Refused(reasons=(DoseReason.MIN_GAP,), earliest_utc_us=None)
ACTS: list[Event] = [
    PlanOpened(course=COURSE, registered=True),
    Registered(),
    Unregistered(),
    ArmAsked(),
    SessionOpened(answer=Opened(session_id="S", lease_token=1)),
    SessionOpened(answer=REFUSED),
    StartAsked(),
    ResumeAsked(),
    HoldAsked(why=("operator",)),
    StopAsked(why="stop"),
    CloseAsked(),
    TrainBroken(why=("off_target",)),
    LedgerClosed(state=CloseState.COMPLETE),
    HotLost(),
    Tick(device_ready=True),
    Tick(device_ready=False),
]
LIKELY = st.sampled_from([*ACTS, "armed", "lost", "intended", "refused", "begun", "whole", "part", "unused"])


def _meant(state: Session, name: str, now_ns: int) -> Event:
    """The answer that the state waits for, by name."""
    grant_no = state.grant_no
    if name in ("armed", "lost"):
        return ArmChanged(arm_no=state.arm_no, armed=name == "armed", stopped=name == "lost", why="panel")
    if name in ("intended", "refused"):
        return IntentAnswered(grant_no=grant_no, answer=Intended(seq=1) if name == "intended" else REFUSED)
    if name == "begun":
        return TrainBegun(grant_no=grant_no, at_ns=now_ns)
    pulses = {"whole": 30, "part": 12, "unused": 0}[name]
    return ReceiptCame(
        receipt=Receipt(
            run_id="run",
            grant_no=grant_no,
            train=1,
            pulses=pulses,
            confirmed=True,
            broken=pulses < 30,
            why=() if pulses == 30 else ("off_target",),
            first_ns=now_ns if pulses else None,
            last_ns=now_ns if pulses else None,
            bursts=(),
        )
    )


@settings(max_examples=300)
@given(st.lists(st.tuples(LIKELY, st.integers(0, 12 * NS)), max_size=60))
def test_no_order_of_events_leads_beyond_the_plan(events: list[tuple[Event | str, int]]) -> None:
    state, now_ns = Session(rev=1), 10**12
    intended: set[int] = set()
    armed_no = 0
    for event, passed_ns in events:
        now_ns += passed_ns
        given_event = _meant(state, event, now_ns) if isinstance(event, str) else event
        before = state
        state, actions = advance(before, given_event, now_ns)
        assert state.rev == before.rev + (1 if state != before else 0)
        if isinstance(given_event, ArmChanged) and given_event.armed:
            armed_no = given_event.arm_no
        if isinstance(given_event, IntentAnswered) and isinstance(given_event.answer, Intended):
            intended.add(given_event.grant_no)
        for action in actions:
            if isinstance(action, Intend):
                assert state.step is Step.DELIVER
                assert before.pending is None
                assert state.next_train <= COURSE.trains
                assert state.last_pulse_ns is None or action.pending.not_before_ns - state.last_pulse_ns >= COURSE.pace.train_gap_ns
            if isinstance(action, SendGrant):
                assert action.pending.grant_no in intended
                assert action.arm_no == armed_no
                assert state.step is Step.DELIVER
        assert state.pulses <= COURSE.pulses
        if state.step is Step.STOPPED:
            assert not state.armed
