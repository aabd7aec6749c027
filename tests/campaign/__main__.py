"""`python -m tests.campaign`: chairs under trial, several at a time; one JSON line for each chair, a summary at the end.

Everything is imported once; each chair is a fork. `--chair SEED` does one chair again.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: a process that forks has one thread

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from daemon.ledger_store import Ledger
from tests.campaign.chair import make_plans
from tests.campaign.family import FAMILIES, MAGVENTURE
from tests.campaign.forking import fork
from tests.campaign.outcome import ChairResult, summarize
from tests.campaign.trial import DEATHS, LIVES, run_chair, run_whole_room

JOBS = 10
RESULT = "result.json"
Trial = tuple[str, Callable[[Path, Mapping[str, Path]], ChairResult]]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign")
    parser.add_argument("--runs", type=int, default=200, help="lives for each family, at least (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first chair (default: %(default)s)")
    parser.add_argument("--chair", type=int, help="only this chair, by its seed")
    parser.add_argument("--whole", type=int, default=0, help="lives in a whole room besides (default: %(default)s)")
    parser.add_argument("--family", nargs="+", choices=sorted(FAMILIES), default=[MAGVENTURE.name], help="the chairs' stimulators")
    parser.add_argument("--deaths", action="store_true", help="every life ends with the whole host, at a random moment of a train")
    parser.add_argument("--jobs", type=int, default=JOBS, help="chairs at a time (default: %(default)s)")
    parser.add_argument("--dir", type=Path, help="where the chairs' folders go, and stay (default: a temporary folder)")
    args = parser.parse_args(argv)
    chairs = -(-args.runs // (DEATHS if args.deaths else LIVES))
    seeds = list(range(args.seed, args.seed + chairs)) if args.chair is None else [args.chair]
    trials: list[Trial] = [
        (f"{name}-{seed}", partial(run_chair, seed=seed, family=FAMILIES[name], dies=args.deaths)) for seed in seeds for name in args.family
    ]
    if args.whole:
        trials.insert(0, ("whole", partial(run_whole, seed=args.seed, lives=args.whole)))
    with tempfile.TemporaryDirectory(prefix="cc", ignore_cleanup_errors=True) as temporary:
        folder = args.dir or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        began, wanted = time.monotonic(), len(trials)
        results = _run(trials, folder, args.jobs)
    summary = summarize(results, round(time.monotonic() - began, 1))
    print(msgspec.json.encode(summary).decode(), flush=True)
    return 1 if summary.faulty_chairs or len(results) != wanted else 0


def run_whole(folder: Path, _plans: Mapping[str, Path], *, seed: int, lives: int) -> ChairResult:
    return run_whole_room(folder, seed, lives)


def _run(trials: list[Trial], folder: Path, jobs: int) -> list[ChairResult]:
    plans = make_plans(folder)
    Ledger.open(f"sqlite:///{folder / 'first.sqlite'}").close()  # what its first use imports, all forks then have
    gc.collect()
    gc.freeze()  # pages that nobody touches are not copied
    running: dict[int, str] = {}
    results: list[ChairResult] = []
    while trials or running:
        while trials and len(running) < jobs:
            name, trial = trials.pop(0)
            here = folder / name
            here.mkdir()
            running[fork(lambda here=here, trial=trial: _kept(here, trial(here, plans)), (), here / "chair.log")] = name
        pid, _ = os.waitpid(-1, 0)
        results += _told(folder / running.pop(pid))
    return results


def _kept(here: Path, result: ChairResult) -> int:
    (here / RESULT).write_bytes(msgspec.json.encode(result))
    return 0


def _told(here: Path) -> list[ChairResult]:
    if not (here / RESULT).exists():
        print(f"chair {here.name} failed: {(here / 'chair.log').read_text(encoding='utf-8')[-2000:]}", file=sys.stderr, flush=True)
        return []
    result = msgspec.json.decode((here / RESULT).read_bytes(), type=ChairResult)
    print(msgspec.json.encode(result).decode(), flush=True)
    return [result]


if __name__ == "__main__":
    sys.exit(main())
