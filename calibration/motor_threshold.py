"""Resting motor threshold from single pulses: relative frequency, maximum likelihood, Bayes. Each a function of the trials so far.

Amplitudes in percent of the stimulator's output (%MSO). No device, no clock, no patient.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

Array = NDArray[np.float64]

RELATIVE_SPREAD: Final = 0.07  # of the response curve, relative to the threshold (Awiszus 2003; Wang, Peterchev, Goetz 2023)
TENTHS: Final = np.arange(10, 1001)  # the grid: 1.0 to 100.0 %MSO in steps of 0.1, as whole tenths
GRID_MSO: Final[Array] = TENTHS / 10.0
PLATEAU: Final = 1e-9  # grid points this close to the greatest likelihood are equally likely
CI95_DROP: Final = 1.920729  # half of the 95 % quantile of chi-squared with one degree of freedom
CRITERION_POSITIVE: Final = 5  # of ten: IFCN rule for the resting threshold
CRITERION_NEGATIVE: Final = 6
ENOUGH_TRIALS: Final = 10
ENOUGH_WIDTH_MSO: Final = 6.0
MOST_TRIALS: Final = 18  # convergence by then: Shirota 2025, PMC12803948
COMFORT_STEP_MSO: Final = 10  # most that one stimulus may be above the one before
PRIOR_MEAN_MSO: Final = 65.8  # virtual population of Wang, Peterchev, Goetz 2023, device-specific
PRIOR_SD_MSO: Final = 9.0
LAST_MT_SD_MSO: Final = 7.0  # around a patient's own last threshold


class Method(StrEnum):
    """How the threshold is found."""

    RELATIVE_FREQUENCY = "relative_frequency"
    PEST = "pest"
    BAYES = "bayes"


@dataclass(frozen=True, slots=True)
class Trial:
    """One pulse that was given and answered."""

    stimulus_mso: int
    responded: bool


@dataclass(frozen=True, slots=True)
class Level:
    """What relative frequency saw at one amplitude."""

    stimulus_mso: int
    positives: int
    pulses: int


@dataclass(frozen=True, slots=True)
class Ask:
    """The amplitude of the next pulse."""

    stimulus_mso: int


@dataclass(frozen=True, slots=True)
class Found:
    """The threshold; `interval_mso` 95 % where the method has one."""

    threshold_mso: float
    interval_mso: tuple[float, float] | None
    trials: int


@dataclass(frozen=True, slots=True)
class NotFound:
    """No threshold may be reported: `why`, and what to do."""

    why: str
    remedy: str


Next = Ask | Found | NotFound


@dataclass(frozen=True, slots=True)
class Estimate:
    """Where the threshold lies after some trials, and its 95 % interval, in %MSO."""

    mso: float
    interval_mso: tuple[float, float]

    @property
    def width_mso(self) -> float:
        return self.interval_mso[1] - self.interval_mso[0]


@dataclass(frozen=True, slots=True)
class Posterior:
    """Bayes: mean, standard deviation and equal-tailed 95 % interval, %MSO."""

    mean_mso: float
    sd_mso: float
    interval_mso: tuple[float, float]


# ---- relative frequency ------------------------------------------------------------------------------------------------


def levels_of(trials: Sequence[Trial]) -> tuple[Level, ...]:
    """Trials counted by amplitude, in the order they were given."""
    levels: list[Level] = []
    for trial in trials:
        if not levels or levels[-1].stimulus_mso != trial.stimulus_mso:
            levels.append(Level(trial.stimulus_mso, 0, 0))
        last = levels[-1]
        levels[-1] = Level(last.stimulus_mso, last.positives + trial.responded, last.pulses + 1)
    return tuple(levels)


def relative_frequency(start_mso: int, step_mso: int, trials: Sequence[Trial]) -> Next:
    """Descending 5 of 10: down by `step_mso` while five respond before six do not; the threshold is the last level that did.

    Rossini 2015; stop rules as in Wang, Peterchev, Goetz 2023.
    """
    _check_amplitude(start_mso)
    if step_mso < 1:
        raise ValueError("the step is at least 1 % of output")
    passed: int | None = None
    wanted = start_mso
    for level in levels_of(trials):
        if level.stimulus_mso != wanted:
            raise ValueError(f"a trial at {level.stimulus_mso} %MSO does not belong to a search that stands at {wanted} %MSO")
        if level.positives >= CRITERION_POSITIVE:
            passed, wanted = wanted, wanted - step_mso
        elif level.pulses - level.positives >= CRITERION_NEGATIVE:
            return _last_passed(passed, len(trials))
        else:
            return Ask(wanted)
    return Ask(wanted) if wanted >= 1 else _last_passed(passed, len(trials))


def _last_passed(passed: int | None, trials: int) -> Found | NotFound:
    if passed is None:
        return NotFound("the first level gave no five responses", "Raise the start by 5 to 10 % of output and begin again.")
    return Found(float(passed), None, trials)


# ---- maximum likelihood ------------------------------------------------------------------------------------------------


def log_likelihood(threshold_mso: Array, trials: Sequence[Trial]) -> Array:
    """Of each threshold in an array, given the trials alone. Awiszus 2003: a cumulative normal of relative spread 0.07."""
    total = np.zeros_like(threshold_mso)
    for trial in trials:
        z = (trial.stimulus_mso - threshold_mso) / (RELATIVE_SPREAD * threshold_mso)
        total += log_ndtr(z if trial.responded else -z)
    return total


def estimate(trials: Sequence[Trial]) -> Estimate:
    """Most likely threshold on the grid; no response at 0 and one at 100 % are always taken as seen."""
    likelihood = log_likelihood(GRID_MSO, (Trial(0, False), Trial(100, True), *trials))
    best = likelihood.max()
    plateau = TENTHS[likelihood >= best - PLATEAU]
    inside = TENTHS[likelihood >= best - CI95_DROP]
    mean = int(plateau.sum()) / (10 * len(plateau))
    return Estimate(mean, (int(inside[0]) / 10, int(inside[-1]) / 10))


def next_stimulus(mso: float, previous_mso: int | None = None) -> int:
    """The estimate as a whole amplitude, half up, 1 to 100; with `previous_mso` never more than ten above it."""
    wanted = min(max(math.floor(mso + 0.5), 1), 100)
    return wanted if previous_mso is None else min(wanted, previous_mso + COMFORT_STEP_MSO)


def pest(start_mso: int, trials: Sequence[Trial], *, comfort: bool = True) -> Next:
    """Maximum-likelihood threshold hunting: every pulse at the present estimate; `comfort` limits each rise."""
    _check_amplitude(start_mso)
    if not trials:
        return Ask(start_mso)
    now = estimate(trials)
    if _is_enough(len(trials), now.width_mso):
        return _unless_one_sided(trials, Found(now.mso, now.interval_mso, len(trials)))
    return Ask(next_stimulus(now.mso, trials[-1].stimulus_mso if comfort else None))


# ---- Bayes -------------------------------------------------------------------------------------------------------------


def posterior(trials: Sequence[Trial], prior_mean_mso: float = PRIOR_MEAN_MSO, prior_sd_mso: float = PRIOR_SD_MSO) -> Posterior:
    """Normal prior times likelihood on the grid. Raises ValueError for a prior that is none."""
    if not (math.isfinite(prior_mean_mso) and math.isfinite(prior_sd_mso) and prior_sd_mso > 0):
        raise ValueError("the prior needs a finite mean and a positive standard deviation")
    log_density = log_likelihood(GRID_MSO, trials) - 0.5 * ((GRID_MSO - prior_mean_mso) / prior_sd_mso) ** 2
    weights = np.exp(log_density - log_density.max())
    weights /= weights.sum()
    mean = float(weights @ GRID_MSO)
    sd = math.sqrt(float(weights @ (GRID_MSO - mean) ** 2))
    cumulative = np.cumsum(weights)
    low, high = (min(int(np.searchsorted(cumulative, share)), len(TENTHS) - 1) for share in (0.025, 0.975))
    return Posterior(mean, sd, (int(TENTHS[low]) / 10, int(TENTHS[high]) / 10))


def bayes(
    start_mso: int,
    trials: Sequence[Trial],
    *,
    prior_mean_mso: float = PRIOR_MEAN_MSO,
    prior_sd_mso: float = PRIOR_SD_MSO,
    comfort: bool = True,
) -> Next:
    """Every pulse at the posterior's mean, the first at `start_mso`."""
    _check_amplitude(start_mso)
    if not trials:
        return Ask(start_mso)
    now = posterior(trials, prior_mean_mso, prior_sd_mso)
    if _is_enough(len(trials), now.interval_mso[1] - now.interval_mso[0]):
        return _unless_one_sided(trials, Found(now.mean_mso, now.interval_mso, len(trials)))
    return Ask(next_stimulus(now.mean_mso, trials[-1].stimulus_mso if comfort else None))


def _is_enough(trials: int, width_mso: float) -> bool:
    return trials >= MOST_TRIALS or (trials >= ENOUGH_TRIALS and width_mso <= ENOUGH_WIDTH_MSO)


def _unless_one_sided(trials: Sequence[Trial], found: Found) -> Found | NotFound:
    """While every answer was the same, the threshold was never bracketed."""
    if len({trial.responded for trial in trials}) == 1:
        return NotFound("every pulse had the same answer", "Check the coil's place and the muscle's signal, then begin again.")
    return found


def _check_amplitude(mso: int) -> None:
    if not 1 <= mso <= 100:
        raise ValueError("an amplitude is 1 to 100 % of output")
