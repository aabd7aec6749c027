"""What holds of a hunt for the motor threshold under any sequence of events at any times."""

from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.motor_threshold import Method
from daemon.mt_hunt import LIKELIHOOD_PULSES, advance, begin
from daemon.mt_words import (
    Abort,
    Answer,
    AskPulse,
    Confirm,
    HotspotFound,
    Phase,
    PulseGiven,
    PulseLost,
    PulseWanted,
    Refuse,
    Save,
    Seen,
    StrayPulse,
    Tick,
    WaitingPulse,
)
from tests.mt_cases import S, record, setup

# Each word is a kind of event and what it is made of; numbers are against the last that was asked for.
given_one = st.tuples(st.just(PulseGiven), st.just(0), st.sampled_from([*Seen, Seen.RESPONSE, Seen.NONE, Seen.NONE]))
answered = st.tuples(st.just(Answer), st.just(0), st.none() | st.booleans())
others = st.one_of(
    st.tuples(st.just(PulseLost), st.just(0), st.booleans()),
    st.tuples(st.just(PulseWanted), st.integers(-5, 110), st.none()),
    st.tuples(st.just(HotspotFound), st.none(), st.none()),
    st.tuples(st.just(Tick), st.none(), st.none()),
    st.tuples(st.just(Confirm), st.none(), st.none()),
)
rare = st.one_of(
    st.sampled_from([(Abort, None, None), (StrayPulse, None, None)]),
    st.tuples(st.just(PulseGiven), st.sampled_from([-1, 1]), st.sampled_from(Seen)),
    st.tuples(st.just(PulseLost), st.sampled_from([-1, 1]), st.booleans()),
    st.tuples(st.just(Answer), st.sampled_from([-1, 1]), st.booleans()),
)
frequent = st.one_of(given_one, given_one, given_one, given_one, answered, answered, others)
steps = st.tuples(st.integers(0, 25 * S), st.integers(0, 60).flatmap(lambda n: rare if n == 47 else frequent))
TO_THE_HUNT = [
    (S, (PulseWanted, 20, None)),
    (S, (PulseGiven, 0, Seen.RESPONSE)),
    (S, (HotspotFound, None, None)),
]


def event(word, state, now_ns):
    kind, first, second = word
    number = state.asked + (first or 0)
    if kind is PulseGiven and first == 0 and not isinstance(state.waiting, WaitingPulse):
        return Tick()  # a well-behaved shell tells of no pulse that is not out; the others are the rare words
    return {
        PulseGiven: lambda: PulseGiven(number=number, at_ns=now_ns, seen=second),
        PulseLost: lambda: PulseLost(number=number, at_ns=now_ns, counts=second),
        Answer: lambda: Answer(number=number, responded=second),
        PulseWanted: lambda: PulseWanted(amplitude_mso=first),
        HotspotFound: HotspotFound,
        Tick: Tick,
        Confirm: lambda: Confirm(by="A", utc_us=5),
        Abort: lambda: Abort(why="it"),
        StrayPulse: lambda: StrayPulse(at_ns=now_ns),
    }[kind]()


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(Method),
    st.integers(1, 60),
    st.integers(20, 100),
    st.booleans(),
    st.sampled_from([[], TO_THE_HUNT]),
    st.lists(steps, min_size=30, max_size=90),
)
def test_whatever_happens_pulses_are_counted_bounded_and_apart(method, planned, most, known, beginning, happenings):
    state, now_ns = begin(setup(method=method, planned_pulses=planned, most_mso=most, previous=record() if known else None), 0), 0
    pulses, last_ns, out = 0, None, None
    for pause_ns, word in (*beginning, *happenings):
        now_ns += pause_ns
        happens = event(word, state, now_ns)
        before, refused = state, False
        state, actions = advance(state, happens, now_ns)
        refused = any(isinstance(action, Refuse) for action in actions)
        if not refused and (isinstance(happens, PulseGiven | StrayPulse) or (isinstance(happens, PulseLost) and happens.counts)):
            pulses, last_ns = pulses + 1, now_ns
        if isinstance(happens, PulseGiven | PulseLost) and out is not None and happens.number == out:
            out = None
        assert not refused or state == before
        for action in actions:
            if isinstance(action, AskPulse):
                assert out is None
                assert pulses < planned
                assert 1 <= action.amplitude_mso <= most
                assert last_ns is None or action.not_before_ns >= last_ns + 5 * S
                out = action.number
            if isinstance(action, Save):
                assert isinstance(happens, Confirm)
                assert before.phase is Phase.CONFIRM
        assert state.given == pulses
        assert method is Method.RELATIVE_FREQUENCY or state.hunt_pulses <= LIKELIHOOD_PULSES
        assert (state.record is not None) == (state.phase is Phase.SAVED)
        assert before.phase not in (Phase.SAVED, Phase.NOT_FOUND, Phase.ABORTED) or state.phase is before.phase
