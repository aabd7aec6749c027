"""What may be asked of a bench: how long, or how many. None leaves it to the bench."""

from dataclasses import dataclass


class CouldNotRun(Exception):
    """What it needs was not there in time: what, and where to look."""


@dataclass(frozen=True, slots=True)
class Options:
    seconds: float | None = None  # of measuring, for each condition
    count: int | None = None

    def seconds_or(self, usual: float) -> float:
        return usual if self.seconds is None else self.seconds

    def count_or(self, usual: int) -> int:
        return usual if self.count is None else self.count
