"""The motor threshold's state machine: hotspot, hunt, confirmation; every pulse counted, nothing saved that was not found."""

import msgspec
import pytest

from calibration.motor_threshold import Method, Trial
from daemon.mt_hunt import ANSWER_WITHIN_NS, IDLE_NS, LIKELIHOOD_PULSES, POSSIBLE, advance, highest_next_mso, search
from daemon.mt_values import Evidence
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
    Phase,
    PulseGiven,
    PulseLost,
    PulseWanted,
    Refuse,
    Save,
    Seen,
    StrayPulse,
    Tick,
)
from tests.mt_cases import Chair, S, record, setup
from tests.muscles import muscle

EVENTS: dict[type[Event], Event] = {
    PulseWanted: PulseWanted(amplitude_mso=40),
    HotspotFound: HotspotFound(),
    PulseGiven: PulseGiven(number=1, at_ns=0, seen=Seen.NONE),
    PulseLost: PulseLost(number=1, at_ns=0, counts=True),
    StrayPulse: StrayPulse(at_ns=0),
    Answer: Answer(number=1, responded=True),
    Confirm: Confirm(by="A", utc_us=5),
    Abort: Abort(why="it"),
    Tick: Tick(),
}


def sharp(threshold_mso):
    return lambda stimulus: stimulus >= threshold_mso


# ---- the whole way -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", Method)
def test_a_hunt_finds_the_muscles_threshold_and_saves_it_once_confirmed(method):
    chair = Chair(method=method, previous=record(value_mso=48.0))
    chair.pulse(45, Seen.NONE)
    chair.hotspot(55)
    chair.hunt(muscle(47.0, seed=3))
    assert chair.state.phase is Phase.CONFIRM
    assert chair.actions == (EndPulses(),)
    (save,) = chair.tell(Confirm(by="A", utc_us=77))
    assert isinstance(save, Save)
    assert chair.state.phase is Phase.SAVED
    assert chair.state.record == save.record
    assert save.record.value_mso == pytest.approx(47.0, abs=4.0)
    assert (save.record.method, save.record.measured_utc_us, save.record.evidence) == (method, 77, Evidence.EMG)
    assert save.record.n_pulses == len(chair.given_ns) - 2 == chair.state.hunt_pulses
    assert chair.state.given == len(chair.given_ns)


def test_the_hunt_gives_the_published_run_of_a_sharp_threshold():
    chair = Chair(previous=record(value_mso=60.0))
    chair.hotspot(60)
    chair.hunt(sharp(47))
    assert [ask.amplitude_mso for ask in chair.asked[1:]] == [trial.stimulus_mso for trial in chair.state.trials]
    assert [trial.stimulus_mso for trial in chair.state.trials][:4] == [60, 22, 32, 42]
    assert chair.state.found is not None
    assert chair.state.found.threshold_mso == pytest.approx(46.5, abs=0.5)


def test_the_record_says_everything_of_how_it_was_measured():
    pose = ((1.0, 0.0, 0.0, 2.5), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    chair = Chair(pulse_shape="biphasic", medication_sha256="m", previous=record(value_mso=30.0, operator="B"))
    chair.pulse(50, Seen.RESPONSE)
    chair.tell(HotspotFound(mri_from_coil=pose))
    chair.hunt(sharp(47))
    (save,) = chair.tell(Confirm(by="A", utc_us=77))
    kept = save.record
    assert (kept.patient, kept.operator, kept.muscle, kept.side) == ("P001", "A", "APB", "right")
    assert (kept.device, kept.coil_serial, kept.pulse_shape, kept.medication_sha256) == ("magventure 1", "C-1", "biphasic", "m")
    assert (kept.mri_from_coil, kept.previous_mso, kept.second_person) == (pose, 30.0, None)
    assert kept.needs_repeat
    assert kept.interval_mso == chair.state.found.interval_mso


def test_the_threshold_is_saved_to_a_tenth_and_never_rounded_up():
    chair = Chair(method=Method.BAYES)
    chair.hotspot()
    chair.hunt(muscle(47.0, seed=1))
    (save,) = chair.tell(Confirm(by="A", utc_us=77))
    found = chair.state.found.threshold_mso
    assert found - 0.1 < save.record.value_mso <= found
    assert round(save.record.value_mso * 10) / 10 == save.record.value_mso


# ---- hotspot -----------------------------------------------------------------------------------------------------------


def test_the_first_pulse_of_an_unknown_patient_is_at_most_half_the_output():
    chair = Chair()
    assert highest_next_mso(chair.state) == 50
    assert isinstance(chair.tell(PulseWanted(amplitude_mso=51))[0], Refuse)
    assert isinstance(chair.tell(PulseWanted(amplitude_mso=0))[0], Refuse)
    assert isinstance(chair.tell(PulseWanted(amplitude_mso=50))[0], AskPulse)


def test_the_first_pulse_may_have_the_last_threshold_of_the_same_coil_and_device():
    assert highest_next_mso(Chair(previous=record(value_mso=63.7)).state) == 63
    assert highest_next_mso(Chair(previous=record(value_mso=30.0)).state) == 50
    for other in ({"coil_serial": "C-2"}, {"device": "other"}, {"pulse_shape": "biphasic"}):
        assert highest_next_mso(Chair(previous=record(value_mso=63.7, **other)).state) == 50


def test_each_pulse_of_the_search_is_at_most_ten_above_the_last():
    chair = Chair()
    chair.pulse(30, Seen.NONE)
    assert isinstance(chair.tell(PulseWanted(amplitude_mso=41))[0], Refuse)
    assert isinstance(chair.tell(PulseWanted(amplitude_mso=40))[0], AskPulse)


def test_nothing_above_the_set_ups_amplitude_is_asked_for():
    chair = Chair(most_mso=45)
    assert highest_next_mso(chair.state) == 45
    chair.pulse(40, Seen.RESPONSE)
    assert highest_next_mso(chair.state) == 45
    chair.tell(HotspotFound())
    answers = iter([True] + [False] * 40)
    chair.hunt(lambda _stimulus: next(answers))
    assert chair.state.phase is Phase.NOT_FOUND
    assert max(ask.amplitude_mso for ask in chair.asked) == 45


def test_a_hotspot_needs_a_response():
    chair = Chair()
    assert isinstance(chair.tell(HotspotFound())[0], Refuse)
    chair.pulse(50, Seen.NONE)
    assert isinstance(chair.tell(HotspotFound())[0], Refuse)
    assert chair.state.phase is Phase.HOTSPOT


def test_the_hunt_starts_where_the_hotspot_last_answered():
    chair = Chair()
    chair.pulse(45, Seen.NONE)
    chair.pulse(50, Seen.RESPONSE)
    chair.pulse(40, Seen.NONE)
    chair.tell(HotspotFound())
    assert chair.asked[-1].amplitude_mso == 50


def test_one_pulse_at_a_time():
    chair = Chair()
    chair.tell(PulseWanted(amplitude_mso=40))
    assert isinstance(chair.tell(PulseWanted(amplitude_mso=40))[0], Refuse)
    assert isinstance(chair.tell(HotspotFound())[0], Refuse)
    assert len(chair.asked) == 1


def test_a_lost_pulse_of_the_search_is_asked_for_by_a_person_again():
    chair = Chair()
    chair.tell(PulseWanted(amplitude_mso=40))
    assert chair.tell(PulseLost(number=1, at_ns=chair.now_ns, counts=True)) == ()
    assert (chair.state.given, chair.state.waiting) == (1, None)


# ---- intervals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_pulses_keep_the_least_interval_and_none_can_be_foreseen(seed):
    chair = Chair(method=Method.RELATIVE_FREQUENCY, seed=seed)
    chair.hotspot()
    chair.hunt(muscle(45.0, seed=seed))
    gaps = [later - earlier for earlier, later in zip(chair.given_ns, chair.given_ns[1:], strict=False)]
    assert min(gaps) >= 5 * S
    assert max(gaps) <= 7.5 * S
    assert len(set(gaps)) == len(gaps)
    assert min(gaps) < 5.5 * S
    assert max(gaps) > 7 * S


def test_the_jitter_is_the_seeds_alone():
    first, same, other = Chair(seed=1), Chair(seed=1), Chair(seed=2)
    for chair in (first, same, other):
        chair.hotspot()
        chair.hunt(sharp(47))
    assert first.given_ns == same.given_ns != other.given_ns


@pytest.mark.parametrize("interval_ns", [1, 2, 3, 7])
def test_rounding_never_takes_a_pulse_below_the_least_interval(interval_ns):
    for seed in range(40):
        chair = Chair(min_interval_ns=interval_ns, seed=seed)
        chair.pulse(40, Seen.NONE)
        chair.tell(PulseWanted(amplitude_mso=40))
        assert chair.asked[-1].not_before_ns - chair.given_ns[-1] >= interval_ns


# ---- one pulse ---------------------------------------------------------------------------------------------------------


def test_an_undecided_pulse_is_asked_of_a_person_and_the_threshold_is_then_by_eye():
    chair = Chair()
    chair.hotspot()
    (ask,) = chair.give(Seen.UNDECIDED)
    assert ask == AskAnswer(number=2, until_ns=chair.now_ns + ANSWER_WITHIN_NS)
    (again,) = chair.tell(Answer(number=2, responded=True))
    assert isinstance(again, AskPulse)
    assert chair.state.trials == (Trial(50, True),)
    chair.hunt(sharp(47))
    (save,) = chair.tell(Confirm(by="A", utc_us=77))
    assert save.record.evidence is Evidence.VISUAL


def test_a_persons_answer_about_the_hotspot_does_not_make_the_threshold_one_by_eye():
    chair = Chair()
    chair.tell(PulseWanted(amplitude_mso=50))
    chair.give(Seen.UNDECIDED)
    assert chair.tell(Answer(number=1, responded=True)) == ()
    chair.tell(HotspotFound())
    chair.hunt(sharp(47))
    (save,) = chair.tell(Confirm(by="A", utc_us=77))
    assert save.record.evidence is Evidence.EMG


def test_a_pulse_that_nobody_could_judge_counts_and_is_given_again():
    chair = Chair()
    chair.hotspot()
    chair.give(Seen.UNDECIDED)
    (again,) = chair.tell(Answer(number=2, responded=None))
    assert (again.number, again.amplitude_mso) == (3, 50)
    assert (chair.state.given, chair.state.hunt_pulses, chair.state.trials, chair.state.by_eye) == (2, 1, (), 0)


def test_an_answer_that_does_not_come_in_time_is_none():
    chair = Chair()
    chair.hotspot()
    chair.give(Seen.UNDECIDED)
    chair.now_ns += ANSWER_WITHIN_NS
    assert chair.tell(Tick()) == ()
    chair.now_ns += 1
    (again,) = chair.tell(Tick())
    assert (again.number, again.amplitude_mso) == (3, 50)
    assert isinstance(chair.tell(Answer(number=2, responded=True))[0], Refuse)
    assert chair.state.trials == ()


def test_a_lost_pulse_that_was_given_counts_and_one_that_was_not_does_not():
    for counts in (True, False):
        chair = Chair()
        chair.hotspot()
        (again,) = chair.tell(PulseLost(number=2, at_ns=chair.now_ns + S, counts=counts))
        assert (again.number, again.amplitude_mso) == (3, 50)
        assert chair.state.given == (2 if counts else 1)
        assert again.not_before_ns >= (chair.now_ns + 6 * S if counts else chair.given_ns[-1] + 5 * S)


def test_an_answer_about_another_pulse_is_refused():
    chair = Chair()
    chair.hotspot()
    assert isinstance(chair.tell(Answer(number=2, responded=True))[0], Refuse)
    chair.give(Seen.UNDECIDED)
    assert isinstance(chair.tell(Answer(number=1, responded=True))[0], Refuse)
    assert chair.state.trials == ()


def test_a_pulse_that_was_not_asked_for_counts_and_ends_the_hunt():
    for stray in (
        StrayPulse(at_ns=0),
        PulseGiven(number=9, at_ns=0, seen=Seen.RESPONSE),
        PulseLost(number=9, at_ns=0, counts=True),
    ):
        chair = Chair()
        chair.hotspot()
        assert chair.tell(stray) == (EndPulses(),)
        assert (chair.state.phase, chair.state.given) == (Phase.ABORTED, 2)
        assert chair.state.last_pulse_ns == chair.given_ns[-1]


def test_a_pulse_that_was_neither_asked_for_nor_given_changes_nothing():
    chair = Chair()
    chair.hotspot()
    before = chair.state
    assert isinstance(chair.tell(PulseLost(number=9, at_ns=0, counts=False))[0], Refuse)
    assert chair.state == before


@pytest.mark.parametrize("late", [PulseGiven(number=2, at_ns=5, seen=Seen.RESPONSE), PulseLost(number=2, at_ns=5, counts=True)])
def test_the_receipt_of_a_pulse_that_was_out_when_the_hunt_was_aborted_still_counts(late):
    chair = Chair()
    chair.hotspot()
    assert chair.tell(Abort(why="the patient asked")) == (EndPulses(),)
    assert chair.tell(late) == ()
    assert (chair.state.given, chair.state.phase, chair.state.waiting) == (2, Phase.ABORTED, None)
    assert chair.tell(late) == ()
    assert chair.state.given == 3  # the same number again is a pulse that nobody asked for


def test_word_that_a_pulse_was_not_given_after_all_is_taken_after_an_abort_too():
    chair = Chair()
    chair.hotspot()
    chair.tell(Abort(why="the patient asked"))
    assert chair.tell(PulseLost(number=2, at_ns=5, counts=False)) == ()
    assert (chair.state.given, chair.state.waiting) == (1, None)


# ---- ends --------------------------------------------------------------------------------------------------------------


def test_a_muscle_that_never_answers_again_gives_no_threshold():
    chair = Chair()
    chair.hotspot()
    chair.hunt(lambda _stimulus: False)
    assert chair.state.phase is Phase.NOT_FOUND
    assert chair.state.why and chair.state.remedy
    assert isinstance(chair.tell(Confirm(by="A", utc_us=5))[0], Refuse)
    assert chair.state.record is None


def test_no_more_pulses_are_asked_for_than_were_planned():
    chair = Chair(planned_pulses=5)
    chair.hotspot()
    chair.hunt(sharp(47))
    assert (chair.state.phase, chair.state.given, len(chair.asked)) == (Phase.NOT_FOUND, 5, 5)
    assert "planned" in chair.state.why


def test_the_search_for_the_hotspot_is_within_the_planned_pulses_too():
    chair = Chair(planned_pulses=1)
    chair.pulse(40, Seen.NONE)
    assert chair.tell(PulseWanted(amplitude_mso=40)) == (EndPulses(),)
    assert chair.state.phase is Phase.NOT_FOUND


def test_a_search_by_likelihood_gives_thirty_pulses_at_most_however_few_were_judged():
    chair = Chair()
    chair.hotspot()
    while chair.state.phase is Phase.HUNT:
        chair.give(Seen.UNDECIDED)
        chair.tell(Answer(number=chair.asked[-1].number, responded=None))
    assert (chair.state.phase, chair.state.hunt_pulses) == (Phase.NOT_FOUND, LIKELIHOOD_PULSES)
    assert "judged" in chair.state.why


@pytest.mark.parametrize("by", ["", "B"])
def test_only_the_operator_who_measured_confirms(by):
    chair = Chair()
    chair.hotspot()
    chair.hunt(sharp(47))
    assert isinstance(chair.tell(Confirm(by=by, utc_us=5))[0], Refuse)
    assert chair.state.phase is Phase.CONFIRM


def test_a_threshold_found_but_not_taken_is_not_saved():
    chair = Chair()
    chair.hotspot()
    chair.hunt(sharp(47))
    assert chair.tell(Abort(why="the coil had slipped")) == (EndPulses(),)
    assert (chair.state.phase, chair.state.record) == (Phase.ABORTED, None)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_hunt_that_nobody_goes_on_with_ends_after_ten_minutes(steps):
    chair = Chair()
    if steps:
        chair.hotspot()
    if steps == 2:
        chair.hunt(sharp(47))
    chair.now_ns = chair.state.changed_ns + IDLE_NS
    assert chair.tell(Tick()) == ()
    chair.now_ns += 1
    assert chair.tell(Tick()) == (EndPulses(),)
    assert chair.state.phase is Phase.ABORTED


def test_time_alone_does_not_count_as_going_on():
    chair = Chair()
    started_ns = chair.state.changed_ns
    chair.now_ns += S
    chair.tell(Tick())
    chair.tell(HotspotFound())
    assert chair.state.changed_ns == started_ns


# ---- the table ---------------------------------------------------------------------------------------------------------


def in_phase(phase) -> Chair:
    chair = Chair()
    if phase is not Phase.HOTSPOT:
        chair.hotspot()
    if phase is Phase.NOT_FOUND:
        chair.hunt(lambda _stimulus: False)
    if phase is Phase.ABORTED:
        chair.tell(Abort(why="it"))
    if phase in (Phase.CONFIRM, Phase.SAVED):
        chair.hunt(sharp(47))
    if phase is Phase.SAVED:
        chair.tell(Confirm(by="A", utc_us=5))
    assert chair.state.phase is phase
    return chair


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("kind", EVENTS)
def test_a_pair_that_is_not_in_the_table_is_refused_and_changes_nothing(phase, kind):
    chair = in_phase(phase)
    before = chair.state
    actions = chair.tell(EVENTS[kind])
    if phase not in POSSIBLE[kind]:
        assert chair.state == before
        assert [type(action) for action in actions] == [Refuse]
        assert phase in actions[0].why


def test_the_table_is_the_one_that_was_agreed():
    going = {Phase.HOTSPOT, Phase.HUNT, Phase.CONFIRM}
    assert {kind: set(phases) for kind, phases in POSSIBLE.items()} == {
        PulseWanted: {Phase.HOTSPOT},
        HotspotFound: {Phase.HOTSPOT},
        Answer: {Phase.HOTSPOT, Phase.HUNT},
        Confirm: {Phase.CONFIRM},
        Abort: going,
        **{kind: set(Phase) for kind in (PulseGiven, PulseLost, StrayPulse, Tick)},
    }
    assert set(POSSIBLE) == set(EVENTS)


@pytest.mark.parametrize("phase", [Phase.SAVED, Phase.NOT_FOUND, Phase.ABORTED])
@pytest.mark.parametrize("kind", EVENTS)
def test_from_an_end_nothing_leads_on_and_no_pulse_is_asked_for(phase, kind):
    chair = in_phase(phase)
    actions = chair.tell(EVENTS[kind])
    assert chair.state.phase is phase
    assert not any(isinstance(action, AskPulse | Save) for action in actions)


@pytest.mark.parametrize("phase", Phase)
def test_a_state_is_read_back_as_it_was_sent(phase):
    state = in_phase(phase).state
    assert msgspec.json.decode(msgspec.json.encode(state), type=Hunt) == state


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        *(({name: ""}, "names patient") for name in ("patient", "operator", "muscle", "device", "coil_serial")),
        ({"planned_pulses": 0}, "positive"),
        ({"min_interval_ns": 0}, "positive"),
        ({"most_mso": 0}, "1 to 100"),
        ({"most_mso": 101}, "1 to 100"),
        ({"step_mso": 3}, "1 or 2"),
        ({"previous": record(patient="P002")}, "another patient"),
    ],
)
def test_a_set_up_that_contradicts_itself_cannot_be_built(changes, told):
    with pytest.raises(ValueError, match=told):
        setup(**changes)


def test_a_hunt_without_a_hotspot_has_no_search():
    with pytest.raises(ValueError, match="hotspot"):
        search(Chair().state)


def test_bayes_starts_from_the_last_threshold_only_where_it_can_be_compared():
    for previous, prior in ((record(value_mso=44.0), 44.0), (record(value_mso=44.0, coil_serial="C-2"), 65.8), (None, 65.8)):
        chair = Chair(method=Method.BAYES, previous=previous)
        chair.hotspot()
        assert search(chair.state).prior_mean_mso == prior


def test_an_event_leaves_the_state_before_it_as_it_was():
    chair = Chair()
    chair.hotspot()
    before = chair.state
    copy = msgspec.json.encode(before)
    advance(before, PulseGiven(number=2, at_ns=chair.now_ns, seen=Seen.NONE), chair.now_ns)
    assert msgspec.json.encode(before) == copy
