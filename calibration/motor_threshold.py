"""Resting motor threshold from single pulses: what every search has in common, and relative frequency (5 of 10, descending).

Amplitudes in whole percent of the stimulator's output (%MSO). No device, no clock, no patient; likelihoods have their own file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

FULL_OUTPUT_MSO: Final = 100
CRITERION_POSITIVE: Final = 5  # of ten: IFCN rule for the resting threshold (Rossini 2015)
CRITERION_NEGATIVE: Final = 6
RAISE_MSO: Final = (5, 10)  # least and most that a start which gave no five responses is raised by


class Method(StrEnum):
    """How the threshold is found."""

    RELATIVE_FREQUENCY = "relative_frequency"
    PEST = "pest"
    BAYES = "bayes"


@dataclass(frozen=True, slots=True)
class Trial:
    """One pulse that was given and answered. Raises ValueError for an amplitude that no stimulator has."""

    stimulus_mso: int
    responded: bool

    def __post_init__(self) -> None:
        if not 0 <= self.stimulus_mso <= FULL_OUTPUT_MSO:
            raise ValueError(f"a pulse of {self.stimulus_mso} % of output; an amplitude is 0 to 100")


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


class Search(Protocol):
    """A way to find the threshold; its value never changes, what it knows are the trials that it is given."""

    def after(self, trials: Sequence[Trial]) -> Next:
        """What follows once these pulses, in this order, were given and answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeFrequency:
    """Descending 5 of 10: down by `step_mso` while five respond before six do not; the threshold is the last level that did.

    A first level without five responses is raised by `raise_mso` (None: the search ends) and begun again, never above
    `most_mso`. Rossini 2015; stop rules as in Wang, Peterchev, Goetz 2023. Raises ValueError for settings that are none.
    """

    start_mso: int
    step_mso: int = 1
    raise_mso: int | None = RAISE_MSO[0]
    most_mso: int = FULL_OUTPUT_MSO

    def __post_init__(self) -> None:
        check_start(self.start_mso, self.most_mso)
        if self.step_mso not in (1, 2):
            raise ValueError("the step is 1 or 2 % of output")
        if self.raise_mso is not None and not RAISE_MSO[0] <= self.raise_mso <= RAISE_MSO[1]:
            raise ValueError("a start is raised by 5 to 10 % of output")

    def after(self, trials: Sequence[Trial]) -> Next:
        """Next pulse, threshold, or why there is none. Raises ValueError for a trial that this search did not ask for."""
        passed: int | None = None
        wanted = self.start_mso
        for level in levels_of(trials):
            if level.stimulus_mso != wanted:
                raise ValueError(f"a trial at {level.stimulus_mso} %MSO does not belong to a search that stands at {wanted} %MSO")
            if level.positives >= CRITERION_POSITIVE:
                passed, wanted = wanted, wanted - self.step_mso
            elif level.pulses - level.positives < CRITERION_NEGATIVE:
                return Ask(wanted)
            elif passed is None and (higher := self._raised(wanted)) is not None:
                wanted = higher
            else:
                return _last_passed(passed, len(trials))
        return Ask(wanted) if wanted >= 1 else _last_passed(passed, len(trials))

    def _raised(self, level_mso: int) -> int | None:
        if self.raise_mso is None or level_mso >= self.most_mso:
            return None
        return min(level_mso + self.raise_mso, self.most_mso)


def levels_of(trials: Sequence[Trial]) -> tuple[Level, ...]:
    """Trials counted by amplitude, in the order they were given."""
    levels: list[Level] = []
    for trial in trials:
        if not levels or levels[-1].stimulus_mso != trial.stimulus_mso:
            levels.append(Level(trial.stimulus_mso, 0, 0))
        last = levels[-1]
        levels[-1] = Level(last.stimulus_mso, last.positives + trial.responded, last.pulses + 1)
    return tuple(levels)


def check_start(start_mso: int, most_mso: int) -> None:
    """Raises ValueError unless 1 <= start <= most <= 100."""
    if not 1 <= start_mso <= most_mso <= FULL_OUTPUT_MSO:
        raise ValueError(f"a search from {start_mso} to at most {most_mso} % of output; both are 1 to 100, the start not the larger")


def _last_passed(passed: int | None, trials: int) -> Found | NotFound:
    if passed is None:
        return NotFound("the first level gave no five responses", "Raise the start by 5 to 10 % of output and begin again.")
    return Found(float(passed), None, trials)
