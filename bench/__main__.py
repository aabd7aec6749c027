"""`python -m bench [NAME ...|all]`: runs benches by name and prints their tables. Exit code 0 unless one could not run."""

import argparse
import importlib
import sys
import time

from bench.options import CouldNotRun, Options

NAMES = (
    "floor",
    "frame_to_trigger",
    "frame_cost",
    "frame_to_client",
    "slips",
    "stops",
    "pacing",
    "registration",
    "plan",
    "start",
    "commit",
    "ledger",
    "fuzz",
)
UNAVAILABLE, USAGE = 69, 64


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the budgets; asserts nothing.")
    parser.add_argument("names", nargs="*", metavar="NAME", default=["all"], help=f"all, or some of {', '.join(NAMES)}")
    parser.add_argument("--seconds", type=float, help="how long to measure under each condition (each bench has its own usual time)")
    parser.add_argument("--n", type=int, dest="count", help="how many samples, where a bench counts them")
    given = parser.parse_args(words)
    unknown = [name for name in given.names if name not in (*NAMES, "all")]
    if unknown:
        print(f"bench: no {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return USAGE
    names = NAMES if "all" in given.names else given.names
    options = Options(seconds=given.seconds, count=given.count)
    return max([_run(name, options) for name in names])


def _run(name: str, options: Options) -> int:
    """The bench of that name, imported only now: each loads what it needs, and no more."""
    begun_s = time.monotonic()
    try:
        importlib.import_module(f"bench.{name}").run(options)
    except CouldNotRun as trouble:
        print(f"bench: {name} could not run: {trouble}", file=sys.stderr)
        return UNAVAILABLE
    print(f"  ({name} took {time.monotonic() - begun_s:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
