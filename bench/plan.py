"""`plan`: `atmsd plan make` from the sample's whole-head T1 and connectivity map: wall time and the most memory it ever held."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.options import CouldNotRun, Options
from bench.table import Row, print_rows
from sim.world_head import DATA

RUNS = 3
SECONDS_BUDGET, GIB_BUDGET = (("max", 5.0),), (("max", 1.0),)
WORDS = (
    *("--t1", str(DATA / "mni152nlin2009csym_T1w_1mm_uint8.nii.gz")),
    *("--map", str(DATA / "zmap_native.nii.gz")),
    *("--mask", str(DATA / "mask_native.nii.gz")),
    *("--polarity", "negative", "--subject-is-template", "MNI152NLin2009cSym"),
    *("--fiducials", str(DATA / "fiducials.json")),
    *("--side", "left", "--rmt", "50", "--patient", "BENCH-1", "--protocol", "demo_itbs90", "--by", "bench"),
)


def run(options: Options) -> None:
    took_s, most_gib = [], []
    with tempfile.TemporaryDirectory(prefix="atmsd-bench-") as folder:
        for number in range(options.count_or(RUNS)):
            begun_s = time.monotonic()
            most_gib.append(_make(Path(folder) / f"{number}.plan.json"))
            took_s.append(time.monotonic() - begun_s)
    rows = [
        Row("wall time, interpreter's start and all", took_s, "s", SECONDS_BUDGET),
        Row("most memory held", most_gib, "GiB", GIB_BUDGET),
    ]
    print_rows("plan: `atmsd plan make` from a 1 mm whole-head T1 and a map", rows)


def _make(out: Path) -> float:
    """GiB of the largest resident set of that process. Raises `CouldNotRun`."""
    log = out.with_suffix(".log")
    with log.open("wb") as said:
        process = subprocess.Popen([sys.executable, "-m", "daemon", "plan", "make", *WORDS, "--out", str(out)], stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)  # of this child alone
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise CouldNotRun(f"the planner ended with {process.returncode}: {log.read_text(encoding='utf-8', errors='replace')[-500:]}")
    return usage.ru_maxrss / 2**20
