"""What else a machine has to do while something is measured: busy cores, a daemon at work with a client, and nothing that outlives it."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.rig import Rig
from bench.working_daemon import COMMANDS, TELEMETRY

CORES = 2
BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(20_000))"


@contextlib.contextmanager
def process(words: list[str], pass_fds: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed at the end; what it prints is dropped."""
    child = subprocess.Popen([sys.executable, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=pass_fds)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """One busy process of ordinary priority for each core."""
    with contextlib.ExitStack() as stack:
        for _ in range(CORES):
            stack.enter_context(process(["-c", BUSY]))
        yield


@contextlib.contextmanager
def working_daemon(rig: Rig) -> Iterator[None]:
    """Publishes every frame of the rig's hot process, commits, registers; one client prints all of it."""
    news = rig.hand_over_news()
    folder: Path = rig.folder
    words = ["-m", "bench.working_daemon", "--dir", str(folder), "--news-fd", str(news.fileno())]
    endpoints = ["--commands", f"ipc://{folder / COMMANDS}", "--telemetry", f"ipc://{folder / TELEMETRY}"]
    with process(words, (news.fileno(),)), process(["-m", "clients.watch", "--plain", *endpoints]):
        yield
