"""Estimators of the motor threshold on answers typed in and on simulated muscles."""

import random
from collections.abc import Callable, Sequence
from statistics import NormalDist, fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.motor_threshold import (
    GRID_MSO,
    MOST_TRIALS,
    Ask,
    Found,
    Next,
    NotFound,
    Trial,
    bayes,
    estimate,
    log_likelihood,
    next_stimulus,
    pest,
    posterior,
    relative_frequency,
)

Step = Callable[[Sequence[Trial]], Next]
METHODS: dict[str, Step] = {
    "relative_frequency": lambda trials: relative_frequency(60, 1, trials),
    "pest": lambda trials: pest(60, trials),
    "bayes": lambda trials: bayes(60, trials),
}


def hunt(step: Step, responds: Callable[[int], bool], most: int = 400) -> tuple[Next, list[Trial]]:
    trials: list[Trial] = []
    asked = step(trials)
    while isinstance(asked, Ask) and len(trials) < most:
        trials.append(Trial(asked.stimulus_mso, responds(asked.stimulus_mso)))
        asked = step(trials)
    return asked, trials


def muscle(threshold_mso: float, seed: int) -> Callable[[int], bool]:
    rng, curve = random.Random(seed), NormalDist(threshold_mso, 0.07 * threshold_mso)
    return lambda stimulus: rng.random() < curve.cdf(stimulus)


def test_five_of_ten_goes_down_until_six_pulses_fail_and_reports_the_level_above() -> None:
    found, trials = hunt(METHODS["relative_frequency"], lambda stimulus: stimulus >= 48)
    assert found == Found(48.0, None, len(trials))
    assert trials[-1].stimulus_mso == 47


def test_five_of_ten_that_fails_at_its_start_reports_nothing() -> None:
    found, trials = hunt(METHODS["relative_frequency"], lambda _stimulus: False)
    assert isinstance(found, NotFound)
    assert len(trials) == 6


def test_five_of_ten_ends_at_the_bottom_of_the_scale() -> None:
    found, _ = hunt(lambda trials: relative_frequency(2, 1, trials), lambda _stimulus: True)
    assert found == Found(1.0, None, 10)


def test_trial_at_another_amplitude_is_no_part_of_the_search() -> None:
    with pytest.raises(ValueError, match="does not belong"):
        relative_frequency(60, 1, [Trial(55, True)])


@pytest.mark.parametrize("start", [0, 101])
@pytest.mark.parametrize("method", [pest, bayes])
def test_start_outside_the_scale_is_refused(start: int, method: Callable[[int, list[Trial]], Next]) -> None:
    with pytest.raises(ValueError, match="1 to 100"):
        method(start, [])


def test_one_answer_leaves_a_plateau_and_its_middle_is_taken() -> None:
    assert estimate([Trial(60, True)]).mso == pytest.approx(21.6)


@pytest.mark.parametrize("method", ["pest", "bayes"])
def test_same_answer_throughout_is_no_threshold(method: str) -> None:
    for answer in (True, False):
        found, trials = hunt(METHODS[method], lambda _stimulus, answer=answer: answer)
        assert isinstance(found, NotFound)
        assert len(trials) <= MOST_TRIALS


def test_comfort_lets_no_stimulus_rise_by_more_than_ten() -> None:
    assert next_stimulus(80.0, 40) == 50
    assert next_stimulus(20.0, 40) == 20
    assert next_stimulus(0.2) == 1
    assert next_stimulus(46.5) == 47


@pytest.mark.parametrize("method", METHODS)
def test_simulated_muscles_are_found_within_the_methods_accuracy(method: str) -> None:
    errors, pulses = [], []
    for seed in range(40):
        threshold = 40 + seed % 30 * 0.7
        found, trials = hunt(METHODS[method], muscle(threshold, seed))
        if isinstance(found, Found):  # a relative-frequency search may fail at a start that lies too low
            errors.append(abs(found.threshold_mso - threshold) / threshold)
            pulses.append(len(trials))
    assert len(errors) >= 30
    assert fmean(errors) < 0.06
    assert fmean(pulses) < (130 if method == "relative_frequency" else 20)


def test_interval_holds_the_true_threshold_in_nine_of_ten_runs_or_more() -> None:
    inside = 0
    for seed in range(60):
        found, _ = hunt(METHODS["pest"], muscle(55.0, seed))
        assert isinstance(found, Found)
        assert found.interval_mso is not None
        inside += found.interval_mso[0] <= 55.0 <= found.interval_mso[1]
    assert inside >= 50


@given(st.lists(st.tuples(st.integers(1, 100), st.booleans()), max_size=30))
def test_estimates_stay_on_the_grid_and_inside_their_intervals(answers: list[tuple[int, bool]]) -> None:
    trials = [Trial(*answer) for answer in answers]
    likely, bayesian = estimate(trials), posterior(trials)
    assert 1.0 <= likely.interval_mso[0] <= likely.mso <= likely.interval_mso[1] <= 100.0
    assert 1.0 <= bayesian.interval_mso[0] <= bayesian.interval_mso[1] <= 100.0
    assert 1.0 <= bayesian.mean_mso <= 100.0
    assert np.isfinite(log_likelihood(GRID_MSO, trials)).all()


@given(st.integers(1, 100), st.lists(st.tuples(st.integers(1, 100), st.booleans()), min_size=1, max_size=17))
def test_one_more_response_never_raises_the_estimate(stimulus: int, answers: list[tuple[int, bool]]) -> None:
    trials = [Trial(*answer) for answer in answers]
    assert posterior([*trials, Trial(stimulus, True)]).mean_mso <= posterior(trials).mean_mso + 1e-9


@pytest.mark.parametrize(("mean", "sd"), [(float("nan"), 9.0), (65.0, 0.0), (65.0, -1.0), (65.0, float("inf"))])
def test_prior_that_is_none_is_refused(mean: float, sd: float) -> None:
    with pytest.raises(ValueError, match="prior"):
        posterior([], mean, sd)
