"""Simulated muscles for tests of the motor threshold: a true threshold, and answers drawn from the curve around it."""

import random
from collections.abc import Callable
from statistics import NormalDist

from calibration.motor_threshold import Ask, Next, Search, Trial

Muscle = Callable[[int], bool]


def muscle(threshold_mso: float, seed: int) -> Muscle:
    """Answers one pulse of an amplitude in %MSO; its curve is a cumulative normal of relative spread 0.07."""
    rng, curve = random.Random(seed), NormalDist(threshold_mso, 0.07 * threshold_mso)
    return lambda stimulus: rng.random() < curve.cdf(stimulus)


def hunt(search: Search, responds: Muscle, most: int = 400) -> tuple[Next, list[Trial]]:
    """What a search ends in, and the pulses that it took."""
    trials: list[Trial] = []
    asked = search.after(trials)
    while isinstance(asked, Ask) and len(trials) < most:
        trials.append(Trial(asked.stimulus_mso, responds(asked.stimulus_mso)))
        asked = search.after(trials)
    return asked, trials
