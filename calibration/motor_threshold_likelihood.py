"""Motor threshold by likelihood: maximum-likelihood hunting (best PEST) and Bayes, on one grid of thresholds.

One model of the response for both: a cumulative normal over the amplitude whose spread is a share of the threshold (Awiszus 2003).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from calibration.motor_threshold import FULL_OUTPUT_MSO, Ask, Found, Next, NotFound, Trial, check_start

Array = NDArray[np.float64]

RELATIVE_SPREAD: Final = 0.07  # of the response curve, relative to the threshold (Awiszus 2003; Wang, Peterchev, Goetz 2023)
TENTHS: Final = np.arange(10, 1001)  # the grid: 1.0 to 100.0 %MSO in steps of 0.1, as whole tenths
GRID_MSO: Final[Array] = TENTHS / 10.0
ALWAYS_SEEN: Final = (Trial(0, False), Trial(FULL_OUTPUT_MSO, True))  # pseudo-trials of Wang, Peterchev, Goetz 2023
PLATEAU: Final = 1e-9  # grid points this close to the greatest likelihood are equally likely
CI95_DROP: Final = 1.920729  # half of the 95 % quantile of chi-squared with one degree of freedom
TAILS: Final = (0.025, 0.975)
LEAST_TRIALS: Final = 10
ENOUGH_WIDTH_TENTHS: Final = 60  # 6 %MSO; engineering choice
ENOUGH_TRIALS: Final = 18  # converged by then: Shirota 2025, PMC12803948
# Widest interval of a threshold that may be kept, as a share of it: 4 000 simulated subjects of the model stayed below 0.19; wider, and
# the pulses were not given where the threshold is. Engineering choice.
CONVERGED_SHARE: Final = 0.2
COMFORT_STEP_MSO: Final = 10  # most that one stimulus may be above the one before
PRIOR_MEAN_MSO: Final = 65.8  # virtual population of Wang, Peterchev, Goetz 2023, device-specific
PRIOR_SD_MSO: Final = 9.0
LAST_THRESHOLD_SD_MSO: Final = 7.0  # around a patient's own last threshold; engineering choice


@dataclass(frozen=True, slots=True)
class Estimate:
    """Where the threshold lies after some trials, and its 95 % interval, in %MSO; the interval lies on the grid."""

    mso: float
    interval_mso: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Posterior:
    """Bayes: mean, standard deviation and equal-tailed 95 % interval, %MSO."""

    mean_mso: float
    sd_mso: float
    interval_mso: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pest:
    """Maximum-likelihood threshold hunting: every pulse at the present estimate; `comfort` limits each rise.

    Raises ValueError for settings that are none.
    """

    start_mso: int
    most_mso: int = FULL_OUTPUT_MSO
    comfort: bool = True

    def __post_init__(self) -> None:
        check_start(self.start_mso, self.most_mso)

    def after(self, trials: Sequence[Trial]) -> Next:
        """Next pulse, threshold, or why there is none."""
        if not trials:
            return Ask(self.start_mso)
        now = estimate(trials)
        if is_enough(len(trials), now.interval_mso):
            return _if_converged(trials, now.mso, now.interval_mso, self.most_mso)
        return _ask(now.mso, trials[-1], self.most_mso, self.comfort)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bayes:
    """Every pulse at the posterior's mean, the first at `start_mso`. Raises ValueError for settings or a prior that are none."""

    start_mso: int
    prior_mean_mso: float = PRIOR_MEAN_MSO
    prior_sd_mso: float = PRIOR_SD_MSO
    most_mso: int = FULL_OUTPUT_MSO
    comfort: bool = True

    def __post_init__(self) -> None:
        check_start(self.start_mso, self.most_mso)
        _check_prior(self.prior_mean_mso, self.prior_sd_mso)

    def after(self, trials: Sequence[Trial]) -> Next:
        """Next pulse, threshold, or why there is none."""
        if not trials:
            return Ask(self.start_mso)
        now = posterior(trials, self.prior_mean_mso, self.prior_sd_mso)
        if is_enough(len(trials), now.interval_mso):
            return _if_converged(trials, now.mean_mso, now.interval_mso, self.most_mso)
        return _ask(now.mean_mso, trials[-1], self.most_mso, self.comfort)


def log_likelihood(threshold_mso: Array, trials: Sequence[Trial]) -> Array:
    """Of each threshold in an array (N,), %MSO, given the trials alone. Awiszus 2003."""
    total = np.zeros_like(threshold_mso)
    for trial in trials:
        z = (trial.stimulus_mso - threshold_mso) / (RELATIVE_SPREAD * threshold_mso)
        total += log_ndtr(z if trial.responded else -z)
    return total


def estimate(trials: Sequence[Trial]) -> Estimate:
    """Most likely threshold on the grid; no response at 0 and one at 100 % are always taken as seen, and alone leave it wide open."""
    likelihood = log_likelihood(GRID_MSO, (*ALWAYS_SEEN, *trials))
    best = likelihood.max()
    plateau = TENTHS[likelihood >= best - PLATEAU]
    inside = TENTHS[likelihood >= best - CI95_DROP]
    mean = int(plateau.sum()) / (10 * len(plateau))
    return Estimate(mean, (int(inside[0]) / 10, int(inside[-1]) / 10))


def posterior(trials: Sequence[Trial], prior_mean_mso: float = PRIOR_MEAN_MSO, prior_sd_mso: float = PRIOR_SD_MSO) -> Posterior:
    """Normal prior times likelihood on the grid, without pseudo-trials. Raises ValueError for a prior that is none."""
    _check_prior(prior_mean_mso, prior_sd_mso)
    log_density = log_likelihood(GRID_MSO, trials) - 0.5 * ((GRID_MSO - prior_mean_mso) / prior_sd_mso) ** 2
    weights = np.exp(log_density - log_density.max())
    weights /= weights.sum()
    mean = float(weights @ GRID_MSO)
    sd = math.sqrt(float(weights @ (GRID_MSO - mean) ** 2))
    cumulative = np.cumsum(weights)
    low, high = (min(int(np.searchsorted(cumulative, share)), len(TENTHS) - 1) for share in TAILS)
    return Posterior(mean, sd, (int(TENTHS[low]) / 10, int(TENTHS[high]) / 10))


def next_stimulus(mso: float, previous_mso: int | None = None) -> int:
    """The estimate as a whole amplitude, half up, 1 to 100; with `previous_mso` never more than ten above it."""
    wanted = min(max(math.floor(mso + 0.5), 1), FULL_OUTPUT_MSO)
    return wanted if previous_mso is None else min(wanted, previous_mso + COMFORT_STEP_MSO)


def is_enough(trials: int, interval_mso: tuple[float, float]) -> bool:
    """Whether a search by likelihood ends: 18 trials, or 10 once the interval is at most 6 %MSO wide."""
    return trials >= ENOUGH_TRIALS or (trials >= LEAST_TRIALS and _width_tenths(interval_mso) <= ENOUGH_WIDTH_TENTHS)


def _ask(mso: float, last: Trial, most_mso: int, comfort: bool) -> Ask:
    return Ask(min(next_stimulus(mso, last.stimulus_mso if comfort else None), most_mso))


def _if_converged(trials: Sequence[Trial], mso: float, interval_mso: tuple[float, float], most_mso: int) -> Found | NotFound:
    """Answers that never differed, or that leave the threshold open, give none."""
    if len({trial.responded for trial in trials}) == 1:
        return NotFound("every pulse had the same answer", "Check the coil's place and the muscle's signal, then begin again.")
    if mso > most_mso:
        return NotFound(f"the threshold lies above the {most_mso} % that may be given", "Find the hotspot again, or allow a higher output.")
    if _width_tenths(interval_mso) > 10 * CONVERGED_SHARE * mso:
        low, high = interval_mso
        return NotFound(f"the threshold lies anywhere from {low:g} to {high:g} %", "Find the hotspot again, then begin again.")
    return Found(mso, interval_mso, len(trials))


def _width_tenths(interval_mso: tuple[float, float]) -> int:
    """Both ends lie on the grid, so the width is a whole number of tenths; a difference of floats is not."""
    return round(interval_mso[1] * 10) - round(interval_mso[0] * 10)


def _check_prior(mean_mso: float, sd_mso: float) -> None:
    if not (math.isfinite(mean_mso) and math.isfinite(sd_mso) and sd_mso > 0):
        raise ValueError("the prior needs a finite mean and a positive standard deviation")
