"""Programs that benches start and hear line by line: the room, the daemon, the operator. All of them end with the `with`."""

import contextlib
import json
import selectors
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.options import CouldNotRun

END_S = 10.0
TOLD = 500  # characters of a log that ended badly


class Program:
    """One running program. Say its lines are JSON; what it says on standard error goes to `log`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    def facts(self, seconds: float) -> dict[str, object]:
        """Its next line. Raises `CouldNotRun` when none comes in time, or none any more."""
        pipe = self.process.stdout
        with selectors.DefaultSelector() as selector:
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ)
            line = pipe.readline() if pipe is not None and selector.select(seconds) else b""
        if not line:
            said = self._log.read_text(encoding="utf-8", errors="replace")[-TOLD:]
            raise CouldNotRun(f"{self._log.stem} said nothing within {seconds:g} s. {said}")
        facts: dict[str, object] = json.loads(line)
        return facts

    def await_event(self, name: str, seconds: float) -> None:
        """Skip its lines until one tells of that event."""
        while (facts := self.facts(seconds)).get("event") != name:
            if facts.get("event") == "failed":
                raise CouldNotRun(f"{self._log.stem} failed: {facts.get('why')}")


@contextlib.contextmanager
def running(folder: Path, name: str, *words: str) -> Iterator[Program]:
    """`python -m words…`, asked to leave at the end and made to leave soon after; FOLDER/NAME.log is its log."""
    log = folder / f"{name}.log"
    with log.open("ab") as errors:
        process = subprocess.Popen([sys.executable, "-m", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
    with process:
        try:
            yield Program(process, log)
        finally:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
