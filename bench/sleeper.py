"""The floor under every latency here: how late a bare 1 kHz sleep wakes on this machine, measured in a process of its own.

`python -m bench.sleeper` sleeps until its standard input closes, then writes every lateness.
"""

import array
import contextlib
import os
import select
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

PERIOD_NS = 1_000_000
FIFO_PRIORITY = 10  # below the hot process: what waits for the same core waits behind it


def prefer(priority: int) -> bool:
    """Ahead of ordinary processes, where that is allowed. Returns whether it is."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    return os.sched_getscheduler(0) == os.SCHED_FIFO


class Sleeper:
    """Sleeps beside whatever goes on while the `with` lasts; `late_ms` is filled at its end."""

    def __init__(self, *, fifo: bool) -> None:
        self.late_ms: list[float] = []
        words = [sys.executable, "-m", "bench.sleeper", *(["fifo"] if fifo else [])]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        said, _ = self._process.communicate()
        late_ns = array.array("q")
        late_ns.frombytes(said)
        self.late_ms = [late / 1e6 for late in late_ns]


def main() -> int:
    if "fifo" in sys.argv[1:]:
        prefer(FIFO_PRIORITY)
    late_ns = array.array("q")
    due_ns = time.monotonic_ns() + PERIOD_NS
    while not select.select([sys.stdin], [], [], 0)[0]:
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        now_ns = time.monotonic_ns()
        late_ns.append(now_ns - due_ns)
        due_ns = max(due_ns + PERIOD_NS, now_ns)
    sys.stdout.buffer.write(late_ns.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
