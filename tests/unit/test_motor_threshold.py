"""Searches for the motor threshold on answers typed in and on simulated muscles."""

from statistics import fmean

import pytest

from calibration.motor_threshold import Ask, Found, NotFound, RelativeFrequency, Search, Trial, levels_of
from calibration.motor_threshold_likelihood import (
    ENOUGH_TRIALS,
    Bayes,
    Pest,
    estimate,
    is_enough,
    next_stimulus,
    posterior,
)
from tests.muscles import hunt, muscle

SEARCHES: dict[str, Search] = {
    "relative_frequency": RelativeFrequency(start_mso=60),
    "pest": Pest(start_mso=60),
    "bayes": Bayes(start_mso=60),
    "bayes_of_last": Bayes(start_mso=60, prior_mean_mso=52.0, prior_sd_mso=7.0),
}


def test_five_of_ten_goes_down_until_six_pulses_fail_and_reports_the_level_above():
    found, trials = hunt(SEARCHES["relative_frequency"], lambda stimulus: stimulus >= 48)
    assert found == Found(48.0, None, len(trials))
    assert trials[-1].stimulus_mso == 47


def test_five_of_ten_goes_down_by_two_where_that_is_the_step():
    found, trials = hunt(RelativeFrequency(start_mso=60, step_mso=2), lambda stimulus: stimulus >= 47)
    assert found == Found(48.0, None, len(trials))


def test_a_level_passes_with_its_fifth_response_and_fails_with_its_sixth_miss():
    answers = iter([False, True, False, True, False, True, False, True, False, True, True, False, False, False, False, False, False])
    found, trials = hunt(RelativeFrequency(start_mso=50), lambda _stimulus: next(answers))
    assert found == Found(50.0, None, 17)
    assert [(level.positives, level.pulses) for level in levels_of(trials)] == [(5, 10), (1, 7)]


def test_five_of_ten_that_fails_at_its_start_begins_again_five_higher():
    found, trials = hunt(RelativeFrequency(start_mso=40), lambda stimulus: stimulus >= 47)
    assert found == Found(47.0, None, len(trials))
    assert [level.stimulus_mso for level in levels_of(trials)] == [40, 45, 50, 49, 48, 47, 46]


def test_five_of_ten_that_may_not_be_raised_reports_nothing():
    found, trials = hunt(RelativeFrequency(start_mso=40, raise_mso=None), lambda _stimulus: False)
    assert isinstance(found, NotFound)
    assert len(trials) == 6


def test_five_of_ten_is_raised_no_further_than_the_most_that_may_be_given():
    found, trials = hunt(RelativeFrequency(start_mso=40, most_mso=52), lambda _stimulus: False)
    assert isinstance(found, NotFound)
    assert [level.stimulus_mso for level in levels_of(trials)] == [40, 45, 50, 52]


def test_five_of_ten_ends_at_the_bottom_of_the_scale():
    found, _ = hunt(RelativeFrequency(start_mso=2), lambda _stimulus: True)
    assert found == Found(1.0, None, 10)


def test_trial_at_another_amplitude_is_no_part_of_the_search():
    with pytest.raises(ValueError, match="does not belong"):
        SEARCHES["relative_frequency"].after([Trial(55, True)])


@pytest.mark.parametrize("start", [0, 101, -1])
@pytest.mark.parametrize("kind", [RelativeFrequency, Pest, Bayes])
def test_start_outside_the_scale_is_refused(start, kind):
    with pytest.raises(ValueError, match="1 to 100"):
        kind(start_mso=start)


@pytest.mark.parametrize("kind", [RelativeFrequency, Pest, Bayes])
def test_start_above_the_most_that_may_be_given_is_refused(kind):
    with pytest.raises(ValueError, match="at most 50"):
        kind(start_mso=51, most_mso=50)


@pytest.mark.parametrize("changes", [{"step_mso": 0}, {"step_mso": 3}, {"raise_mso": 4}, {"raise_mso": 11}])
def test_steps_that_nobody_published_are_refused(changes):
    with pytest.raises(ValueError, match="of output"):
        RelativeFrequency(start_mso=50, **changes)


@pytest.mark.parametrize("stimulus", [-1, 101])
def test_a_pulse_that_no_stimulator_gives_is_no_trial(stimulus):
    with pytest.raises(ValueError, match="0 to 100"):
        Trial(stimulus, True)


def test_no_pulse_leaves_the_whole_scale_open():
    low, high = estimate([]).interval_mso
    assert low < 10
    assert high > 80


def test_one_answer_leaves_a_plateau_and_its_middle_is_taken():
    assert estimate([Trial(60, True)]).mso == pytest.approx(21.6)


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("search", [Pest(start_mso=60), Bayes(start_mso=60)])
def test_same_answer_throughout_is_no_threshold(search, answer):
    found, trials = hunt(search, lambda _stimulus: answer)
    assert isinstance(found, NotFound)
    assert "same answer" in found.why
    assert len(trials) <= ENOUGH_TRIALS


def test_a_threshold_above_what_may_be_given_is_not_reported():
    answers = iter([True] + [False] * 30)
    found, trials = hunt(Pest(start_mso=60, most_mso=60), lambda _stimulus: next(answers))
    assert isinstance(found, NotFound)
    assert "above the 60 %" in found.why
    assert max(trial.stimulus_mso for trial in trials) == 60


@pytest.mark.parametrize("search", [Pest(start_mso=60), Bayes(start_mso=60, prior_sd_mso=50.0)])
def test_pulses_far_from_the_threshold_leave_it_open_and_nothing_is_reported(search):
    found = search.after([Trial(20, False)] * 17 + [Trial(90, True)])
    assert isinstance(found, NotFound)
    assert "lies anywhere" in found.why


def test_comfort_lets_no_stimulus_rise_by_more_than_ten():
    assert next_stimulus(80.0, 40) == 50
    assert next_stimulus(20.0, 40) == 20
    assert next_stimulus(0.2) == 1
    assert next_stimulus(46.5) == 47
    assert next_stimulus(100.0) == 100


def test_comfort_can_be_done_without():
    low = [Trial(60, True), Trial(22, False)]
    assert Pest(start_mso=60).after(low) == Ask(32)
    assert Pest(start_mso=60, comfort=False).after(low) == Ask(40)


def test_a_search_ends_with_the_eighteenth_trial_or_the_tenth_once_the_interval_is_six_wide():
    assert is_enough(18, (1.0, 100.0))
    assert not is_enough(17, (43.3, 49.4))
    assert is_enough(10, (43.3, 49.3))  # as floats the two differ by more than six
    assert not is_enough(9, (43.3, 43.4))


@pytest.mark.parametrize("name", SEARCHES)
def test_simulated_muscles_are_found_within_the_methods_accuracy(name):
    errors, pulses = [], []
    for seed in range(40):
        threshold = 40 + seed % 30 * 0.6
        found, trials = hunt(SEARCHES[name], muscle(threshold, seed))
        assert isinstance(found, Found)
        errors.append(abs(found.threshold_mso - threshold) / threshold)
        pulses.append(len(trials))
    assert fmean(errors) < 0.035
    assert max(errors) < 0.15
    assert fmean(pulses) < (130 if name == "relative_frequency" else 18)


@pytest.mark.parametrize("search", [Pest(start_mso=65), Bayes(start_mso=65)])
def test_interval_holds_the_true_threshold_in_nine_of_ten_runs(search):
    inside = 0
    for seed in range(100):
        found, _ = hunt(search, muscle(55.0, seed))
        assert isinstance(found, Found)
        assert found.interval_mso is not None
        inside += found.interval_mso[0] <= 55.0 <= found.interval_mso[1]
    assert inside >= 90


def test_the_prior_alone_is_what_bayes_knows_before_the_first_pulse():
    alone = posterior([], 50.0, 5.0)
    assert (alone.mean_mso, alone.sd_mso) == (pytest.approx(50.0, abs=0.01), pytest.approx(5.0, abs=0.01))


@pytest.mark.parametrize(("mean", "sd"), [(float("nan"), 9.0), (65.0, 0.0), (65.0, -1.0), (65.0, float("inf")), (65.0, float("nan"))])
def test_prior_that_is_none_is_refused(mean, sd):
    with pytest.raises(ValueError, match="prior"):
        Bayes(start_mso=50, prior_mean_mso=mean, prior_sd_mso=sd)
    with pytest.raises(ValueError, match="prior"):
        posterior([], mean, sd)
