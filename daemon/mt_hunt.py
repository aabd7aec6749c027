"""Finding a motor threshold as a state machine. Pure: `advance(state, event, now_ns)` gives the next state and what is to be done.

    hotspot -> hunt -> confirm -> saved
                 |  not found: nothing is saved, and why is told          aborted: from anywhere before saved

Single pulses only, one at a time, each asked for by the machine and answered for by the shell. Every pulse counts, whether or not
it could be judged; one that could not is asked again. What a pulse may be, and whether it may be given, is for grant and ledger.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

import msgspec

from calibration.motor_threshold import Found, Method, NotFound, RelativeFrequency, Search, Trial
from calibration.motor_threshold_likelihood import COMFORT_STEP_MSO, LAST_THRESHOLD_SD_MSO, Bayes, Pest
from daemon.mt_rules import succession
from daemon.mt_values import Evidence, MotorThresholdRecord
from daemon.mt_words import (
    Abort,
    Answer,
    AskAnswer,
    AskPulse,
    Confirm,
    EndPulses,
    Event,
    HotspotFound,
    Hunt,
    Outcome,
    Phase,
    PulseGiven,
    PulseLost,
    PulseWanted,
    Refuse,
    Save,
    Seen,
    Setup,
    StrayPulse,
    Tick,
    WaitingAnswer,
    WaitingPulse,
)

# Which event is possible in which phase; a pair that is not here changes nothing and is reported as a refusal.
POSSIBLE: Final[Mapping[type[Event], frozenset[Phase]]] = {
    PulseWanted: frozenset({Phase.HOTSPOT}),
    HotspotFound: frozenset({Phase.HOTSPOT}),
    PulseGiven: frozenset(Phase),
    PulseLost: frozenset(Phase),
    Answer: frozenset({Phase.HOTSPOT, Phase.HUNT}),
    Confirm: frozenset({Phase.CONFIRM}),
    StrayPulse: frozenset(Phase),
    Abort: frozenset({Phase.HOTSPOT, Phase.HUNT, Phase.CONFIRM}),
    Tick: frozenset(Phase),
}

ASKING: Final = frozenset({Phase.HOTSPOT, Phase.HUNT})  # pulses are asked for in these

FIRST_AT_MOST_MSO: Final = 50  # of a patient whose threshold is not known; higher in steps. Engineering choice
JITTER_PCT: Final = 20  # of the interval between pulses, either way: nobody may await the next one
ANSWER_WITHIN_NS: Final = 20_000_000_000  # what a person saw of a twitch is no longer known by then. Engineering choice
IDLE_NS: Final = 600_000_000_000  # as an arm that nobody uses
LIKELIHOOD_PULSES: Final = 30  # most that a search by likelihood gives, those asked again included. Engineering choice


def begin(setup: Setup, now_ns: int) -> Hunt:
    """A hunt before its first pulse. Raises ValueError for a set-up that is none."""
    return Hunt(setup=setup, phase=Phase.HOTSPOT, changed_ns=now_ns)


def advance(state: Hunt, event: Event, now_ns: int) -> Outcome:
    """One event."""
    kind = type(event)
    if state.phase not in POSSIBLE[kind]:
        return state, (Refuse(why=f"{kind.__name__} is not possible in {state.phase}"),)
    after, actions = HANDLERS[kind](state, event, now_ns)
    return (after, actions) if after == state or kind is Tick else (msgspec.structs.replace(after, changed_ns=now_ns), actions)


def _with(state: Hunt, **changes: object) -> Hunt:
    return msgspec.structs.replace(state, **changes)


def _refused(state: Hunt, why: str) -> Outcome:
    return state, (Refuse(why=why),)


# ---- hotspot -----------------------------------------------------------------------------------------------------------


def _pulse_wanted(state: Hunt, event: PulseWanted, now_ns: int) -> Outcome:
    if state.waiting is not None:
        return _refused(state, "the pulse before is not answered yet")
    highest = highest_next_mso(state)
    if not 1 <= event.amplitude_mso <= highest:
        return _refused(state, f"the next pulse may have 1 to {highest} % of output")
    return _ask(state, event.amplitude_mso, now_ns)


def highest_next_mso(state: Hunt) -> int:
    """Most that the next pulse of the search for the hotspot may have: ten above the last, and never above what the set-up allows."""
    previous = state.setup.comparable_mso
    first = FIRST_AT_MOST_MSO if previous is None else max(FIRST_AT_MOST_MSO, int(previous))
    highest = first if state.last_mso is None else state.last_mso + COMFORT_STEP_MSO
    return min(highest, state.setup.most_mso)


def _hotspot_found(state: Hunt, event: HotspotFound, now_ns: int) -> Outcome:
    if state.waiting is not None:
        return _refused(state, "the pulse before is not answered yet")
    if state.responded_mso is None:
        return _refused(state, "no pulse of the search was answered by the muscle yet")
    hunting = _with(state, phase=Phase.HUNT, start_mso=state.responded_mso, mri_from_coil=event.mri_from_coil)
    return _next(hunting, now_ns)


# ---- one pulse ---------------------------------------------------------------------------------------------------------


def _ask(state: Hunt, amplitude_mso: int, now_ns: int) -> Outcome:
    """The next pulse, or the end where all that were planned are given."""
    if state.given >= state.setup.planned_pulses:
        return _not_found(state, NotFound("all the pulses that were planned are given", "Begin again, with a start nearer to it."))
    if state.setup.method is not Method.RELATIVE_FREQUENCY and state.hunt_pulses >= LIKELIHOOD_PULSES:
        return _not_found(state, NotFound("too many pulses could not be judged", "Check the muscle's signal, then begin again."))
    number = state.asked + 1
    not_before_ns = now_ns if state.last_pulse_ns is None else max(now_ns, state.last_pulse_ns + _interval_ns(state.setup, number))
    waiting = WaitingPulse(number=number, amplitude_mso=amplitude_mso)
    ask = AskPulse(number=number, amplitude_mso=amplitude_mso, not_before_ns=not_before_ns)
    return _with(state, asked=number, waiting=waiting), (ask,)


def _interval_ns(setup: Setup, number: int) -> int:
    """The set-up's interval, jittered by its seed; never below the least interval."""
    digest = hashlib.sha256(f"{setup.seed}:{number}".encode()).digest()
    jitter_pct_e9 = int.from_bytes(digest[:8]) % (2 * JITTER_PCT * 10**9 + 1) - JITTER_PCT * 10**9
    return max(setup.interval_ns + setup.interval_ns * jitter_pct_e9 // 10**11, setup.min_interval_ns)


def _pulse_given(state: Hunt, event: PulseGiven, now_ns: int) -> Outcome:
    waiting = state.waiting
    if not isinstance(waiting, WaitingPulse) or waiting.number != event.number:
        return _stray(state, StrayPulse(at_ns=event.at_ns), now_ns)
    given = _counted(_with(state, last_mso=waiting.amplitude_mso), event.at_ns)
    if state.phase not in ASKING:
        return _with(given, waiting=None), ()
    if event.seen is Seen.UNDECIDED:
        asked = WaitingAnswer(number=event.number, amplitude_mso=waiting.amplitude_mso, until_ns=now_ns + ANSWER_WITHIN_NS)
        return _with(given, waiting=asked), (AskAnswer(number=asked.number, until_ns=asked.until_ns),)
    return _answered(given, waiting.amplitude_mso, event.seen is Seen.RESPONSE, now_ns)


def _pulse_lost(state: Hunt, event: PulseLost, now_ns: int) -> Outcome:
    """Not given at all, or given without anybody knowing what came of it: asked again."""
    waiting = state.waiting
    if not isinstance(waiting, WaitingPulse) or waiting.number != event.number:
        unasked = StrayPulse(at_ns=event.at_ns)
        return _stray(state, unasked, now_ns) if event.counts else _refused(state, f"pulse {event.number} is not the one awaited")
    after = _counted(state, event.at_ns) if event.counts else state
    if state.phase not in ASKING:
        return _with(after, waiting=None), ()
    return _again(after, waiting.amplitude_mso, now_ns)


def _answer(state: Hunt, event: Answer, now_ns: int) -> Outcome:
    waiting = state.waiting
    if not isinstance(waiting, WaitingAnswer) or waiting.number != event.number:
        return _refused(state, f"no answer about pulse {event.number} is awaited")
    if event.responded is None:
        return _again(state, waiting.amplitude_mso, now_ns)
    hunting = state.phase is Phase.HUNT
    by_eye = _with(state, by_eye=state.by_eye + hunting)
    return _answered(by_eye, waiting.amplitude_mso, event.responded, now_ns)


def _answered(state: Hunt, amplitude_mso: int, responded: bool, now_ns: int) -> Outcome:
    if state.phase is Phase.HOTSPOT:
        return _with(state, waiting=None, responded_mso=amplitude_mso if responded else state.responded_mso), ()
    trials = (*state.trials, Trial(amplitude_mso, responded))
    return _next(_with(state, waiting=None, trials=trials), now_ns)


def _again(state: Hunt, amplitude_mso: int, now_ns: int) -> Outcome:
    """In the search for the hotspot a person asks for each pulse; in the hunt the same amplitude is asked again."""
    free = _with(state, waiting=None)
    return (free, ()) if state.phase is Phase.HOTSPOT else _ask(free, amplitude_mso, now_ns)


def _counted(state: Hunt, at_ns: int) -> Hunt:
    last_ns = at_ns if state.last_pulse_ns is None else max(at_ns, state.last_pulse_ns)
    hunting = state.phase is Phase.HUNT
    return _with(state, given=state.given + 1, hunt_pulses=state.hunt_pulses + hunting, last_pulse_ns=last_ns)


# ---- hunt --------------------------------------------------------------------------------------------------------------


def _next(state: Hunt, now_ns: int) -> Outcome:
    step = search(state).after(state.trials)
    if isinstance(step, Found):
        return _with(state, phase=Phase.CONFIRM, found=step, waiting=None), (EndPulses(),)
    if isinstance(step, NotFound):
        return _not_found(state, step)
    return _ask(state, step.stimulus_mso, now_ns)


def search(state: Hunt) -> Search:
    """The set-up's way to find the threshold, from where the hotspot's search ended."""
    setup, start_mso = state.setup, state.start_mso
    if start_mso is None:
        raise ValueError("the hunt has no start before the hotspot is found")
    if setup.method is Method.RELATIVE_FREQUENCY:
        return RelativeFrequency(start_mso=start_mso, step_mso=setup.step_mso, most_mso=setup.most_mso)
    if setup.method is Method.PEST:
        return Pest(start_mso=start_mso, most_mso=setup.most_mso)
    if setup.comparable_mso is None:
        return Bayes(start_mso=start_mso, most_mso=setup.most_mso)
    return Bayes(start_mso=start_mso, prior_mean_mso=setup.comparable_mso, prior_sd_mso=LAST_THRESHOLD_SD_MSO, most_mso=setup.most_mso)


# ---- ends --------------------------------------------------------------------------------------------------------------


def _confirm(state: Hunt, event: Confirm, _now_ns: int) -> Outcome:
    if state.found is None or event.by != state.setup.operator:
        return _refused(state, f"{state.setup.operator} measured this threshold and confirms it, or nobody does")
    record = _record(state, state.found, event.utc_us)
    return _with(state, phase=Phase.SAVED, record=record), (Save(record=record),)


def _record(state: Hunt, found: Found, utc_us: int) -> MotorThresholdRecord:
    """One answer of a person in a hunt by EMG makes the whole threshold one by eye; rounding never raises it."""
    setup = state.setup
    value_mso = math.floor(Fraction(repr(found.threshold_mso)) * 10) / 10
    comes_after = succession(setup.previous, value_mso, setup.operator)
    return MotorThresholdRecord(
        patient=setup.patient,
        value_mso=value_mso,
        method=setup.method,
        n_pulses=state.hunt_pulses,
        interval_mso=found.interval_mso,
        evidence=Evidence.VISUAL if state.by_eye else setup.evidence,
        muscle=setup.muscle,
        side=setup.side,
        coil_serial=setup.coil_serial,
        device=setup.device,
        operator=setup.operator,
        measured_utc_us=utc_us,
        pulse_shape=setup.pulse_shape,
        mri_from_coil=state.mri_from_coil,
        medication_sha256=setup.medication_sha256,
        previous_mso=comes_after.previous_mso,
        second_person=comes_after.second_person,
    )


def _not_found(state: Hunt, reason: NotFound) -> Outcome:
    return _with(state, phase=Phase.NOT_FOUND, why=reason.why, remedy=reason.remedy, waiting=None), (EndPulses(),)


def _abort(state: Hunt, event: Abort, _now_ns: int) -> Outcome:
    """A pulse that is still out stays awaited: its receipt counts."""
    out = state.waiting if isinstance(state.waiting, WaitingPulse) else None
    return _with(state, phase=Phase.ABORTED, why=event.why, remedy="Begin again.", waiting=out), (EndPulses(),)


def _stray(state: Hunt, event: StrayPulse, now_ns: int) -> Outcome:
    """Counts whatever the phase; a hunt that is not over ends, for its next pulse would not be what it thinks."""
    counted = _counted(state, event.at_ns)
    if state.phase not in POSSIBLE[Abort]:
        return counted, ()
    return _abort(counted, Abort(why="a pulse came that nobody asked for"), now_ns)


def _tick(state: Hunt, _event: Tick, now_ns: int) -> Outcome:
    if state.phase not in POSSIBLE[Abort]:
        return state, ()
    if now_ns > state.changed_ns + IDLE_NS:
        return _abort(state, Abort(why="nothing happened for ten minutes"), now_ns)
    if isinstance(state.waiting, WaitingAnswer) and now_ns > state.waiting.until_ns:
        return _again(state, state.waiting.amplitude_mso, now_ns)
    return state, ()


HANDLERS: Final[Mapping[type[Event], Callable[[Hunt, Event, int], Outcome]]] = {
    PulseWanted: _pulse_wanted,  # type: ignore[dict-item]  # each handler takes its own event
    HotspotFound: _hotspot_found,  # type: ignore[dict-item]
    PulseGiven: _pulse_given,  # type: ignore[dict-item]
    PulseLost: _pulse_lost,  # type: ignore[dict-item]
    StrayPulse: _stray,  # type: ignore[dict-item]
    Answer: _answer,  # type: ignore[dict-item]
    Confirm: _confirm,  # type: ignore[dict-item]
    Abort: _abort,  # type: ignore[dict-item]
    Tick: _tick,  # type: ignore[dict-item]
}
