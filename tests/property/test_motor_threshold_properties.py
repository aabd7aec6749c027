"""What holds of every search for the motor threshold, whatever the muscle answers."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.motor_threshold import Ask, Found, RelativeFrequency, Trial
from calibration.motor_threshold_likelihood import GRID_MSO, Bayes, Pest, estimate, log_likelihood, posterior
from tests.muscles import hunt

answers = st.lists(st.tuples(st.integers(1, 100), st.booleans()), max_size=30).map(lambda pairs: [Trial(*pair) for pair in pairs])
some_answers = st.lists(st.tuples(st.integers(1, 100), st.booleans()), min_size=1, max_size=30).map(
    lambda pairs: [Trial(*pair) for pair in pairs]
)


@st.composite
def searches(draw):
    most = draw(st.integers(1, 100))
    common = {"start_mso": draw(st.integers(1, most)), "most_mso": most}
    return draw(
        st.sampled_from(
            [
                RelativeFrequency(step_mso=draw(st.sampled_from([1, 2])), raise_mso=draw(st.none() | st.integers(5, 10)), **common),
                Pest(comfort=draw(st.booleans()), **common),
                Bayes(comfort=draw(st.booleans()), prior_mean_mso=draw(st.floats(1, 100)), prior_sd_mso=draw(st.floats(0.5, 50)), **common),
            ]
        )
    )


@settings(max_examples=100, deadline=None)
@given(searches(), st.randoms(use_true_random=False))
def test_every_search_ends_and_asks_for_nothing_outside_its_bounds(search, random):
    found, trials = hunt(search, lambda _stimulus: random.random() < 0.5, most=1100)
    assert not isinstance(found, Ask)
    assert all(1 <= trial.stimulus_mso <= search.most_mso for trial in trials)
    if isinstance(found, Found):
        assert 1 <= found.threshold_mso <= 100


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 100), st.randoms(use_true_random=False))
def test_with_comfort_no_pulse_is_more_than_ten_above_the_one_before(start, random):
    for search in (Pest(start_mso=start), Bayes(start_mso=start)):
        _, trials = hunt(search, lambda _stimulus: random.random() < 0.5)
        amplitudes = [trial.stimulus_mso for trial in trials]
        assert all(later <= earlier + 10 for earlier, later in pairwise(amplitudes))


@settings(max_examples=60, deadline=None)
@given(st.integers(10, 85), st.integers(0, 15), st.sampled_from([1, 2]))
def test_a_muscle_without_spread_is_found_to_the_step_by_five_of_ten(threshold, above, step):
    found, _ = hunt(RelativeFrequency(start_mso=min(threshold + above, 100), step_mso=step), lambda stimulus: stimulus >= threshold)
    assert isinstance(found, Found)
    assert threshold <= found.threshold_mso < threshold + step


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 80), st.integers(-10, 15))
def test_a_muscle_without_spread_is_found_to_two_percent_of_output_by_likelihood(threshold, above):
    found, _ = hunt(Pest(start_mso=threshold + above), lambda stimulus: stimulus >= threshold)
    assert isinstance(found, Found)
    assert abs(found.threshold_mso - threshold) <= 2


@settings(max_examples=100, deadline=None)
@given(some_answers)
def test_estimates_stay_on_the_grid_and_inside_their_intervals(trials):
    likely, bayesian = estimate(trials), posterior(trials)
    assert 1.0 <= likely.interval_mso[0] <= likely.mso <= likely.interval_mso[1] <= 100.0
    assert 1.0 <= bayesian.interval_mso[0] <= bayesian.interval_mso[1] <= 100.0
    assert 1.0 <= bayesian.mean_mso <= 100.0
    assert np.isfinite(log_likelihood(GRID_MSO, trials)).all()


@settings(max_examples=100, deadline=None)
@given(some_answers, st.randoms(use_true_random=False))
def test_the_order_of_the_pulses_does_not_matter_to_an_estimate(trials, random):
    shuffled = random.sample(trials, len(trials))
    assert abs(estimate(shuffled).mso - estimate(trials).mso) <= 0.1
    assert abs(posterior(shuffled).mean_mso - posterior(trials).mean_mso) <= 1e-9


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 100), answers)
def test_one_more_response_never_raises_the_posterior_and_one_more_miss_never_lowers_it(stimulus, trials):
    now = posterior(trials).mean_mso
    assert posterior([*trials, Trial(stimulus, True)]).mean_mso <= now + 1e-9
    assert posterior([*trials, Trial(stimulus, False)]).mean_mso >= now - 1e-9
