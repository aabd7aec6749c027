"""`python -m tests.vectors KIND PATH`: one line for each failure, then `N passed, N failed`; exit status 0 only if all is well.

Run from the repository's root. PATH may lie anywhere.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.vectors.outcome import Outcome

# Each module has `run(path: Path) -> Outcome`; imported only when asked for.
KINDS = {
    "registration": "tests.vectors.registration",
    "connectivity": "tests.vectors.connectivity",
    "headpoints": "tests.vectors.headpoints",
    "protocol": "tests.vectors.protocol",
    "targets": "tests.vectors.targets",
}


def outcome_of(kind: str, path: Path) -> Outcome:
    """What the file or folder at `path` ended in; what cannot be run at all is one failure."""
    if kind not in KINDS:
        return Outcome(0, [f"kind {kind!r} is not known; there are {', '.join(KINDS)}"])
    try:
        outcome: Outcome = importlib.import_module(KINDS[kind]).run(path)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a failure with a name and not a stack trace
        return Outcome(0, [f"{path}: {type(error).__name__}: {error}"])
    return outcome


def main(arguments: Sequence[str]) -> int:
    """Run one file of vectors; 0 if something passed and nothing failed."""
    if len(arguments) != 2:
        outcome = Outcome(0, ["usage: python -m tests.vectors KIND PATH"])
    else:
        outcome = outcome_of(arguments[0], Path(arguments[1]))
    for line in outcome.failures:
        print(" ".join(line.split()))
    print(f"{outcome.passed} passed, {outcome.failed_cases} failed")
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
