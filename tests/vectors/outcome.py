"""What running one file of vectors ended in: how many cases passed, and one line for each value that did not.

Knows no kind of vector and prints nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Outcome:
    """Cases passed, the lines that say why others did not, and how many cases those were (None: one a line)."""

    passed: int
    failures: list[str] = field(default_factory=list)
    failed: int | None = None

    @property
    def failed_cases(self) -> int:
        """Number of failed cases; never 0 while a line complains."""
        return len(self.failures) if self.failed is None else max(self.failed, min(len(self.failures), 1))

    @property
    def is_good(self) -> bool:
        """Something passed and nothing failed."""
        return self.passed > 0 and self.failed_cases == 0


Check = Callable[[], list[str]]  # differences found; empty means passed


def run_checks(checks: Iterable[tuple[str, Check]]) -> Outcome:
    """Run each named check. An exception is that check's failure, and the next one still runs."""
    passed, failed = 0, 0
    failures: list[str] = []
    for name, check in checks:
        try:
            lines = check()
        except Exception as error:  # noqa: BLE001  # any exception is this case's failure
            lines = [f"{type(error).__name__}: {error}"]
        failures += [f"{name}: {line}" for line in lines]
        passed, failed = (passed, failed + 1) if lines else (passed + 1, failed)
    return Outcome(passed, failures, failed)
