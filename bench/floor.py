"""`floor`: how late a bare sleep is here and how long a bare pseudo terminal takes. No program on this machine can be better."""

import contextlib
import time

from bench.floors import KINDS, Floor
from bench.options import Options
from bench.table import Row, print_rows

SECONDS = 5.0


def run(options: Options) -> None:
    with contextlib.ExitStack() as stack:
        floors = [stack.enter_context(Floor(kind)) for kind in KINDS]
        time.sleep(options.seconds_or(SECONDS))
    print_rows("floor: what this machine needs by itself", [Row(floor.name, floor.took_ms) for floor in floors])
