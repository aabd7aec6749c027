"""`floor`: how late a bare 1 kHz sleep is here, at ordinary and at real-time priority. No program can be better than that."""

import time

from bench.options import Options
from bench.sleeper import Sleeper
from bench.table import Row, print_rows

SECONDS = 5.0


def run(options: Options) -> None:
    rows = []
    for fifo in (False, True):
        with Sleeper(fifo=fifo) as sleeper:
            time.sleep(options.seconds_or(SECONDS))
        rows.append(Row(f"1 kHz sleep, {'SCHED_FIFO if allowed' if fifo else 'ordinary priority'}", sleeper.late_ms))
    print_rows("floor: a bare sleep's lateness", rows)
