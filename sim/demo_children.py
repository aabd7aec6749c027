"""Processes that the demo starts: their lines come in one queue, and all of them end with it, in the order opposite to their start."""

import contextlib
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

END_S = 8.0


class ChildTrouble(Exception):
    """A process did not say what it should in time, or ended too early."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a child's output; `text` None: it has ended."""

    child: str
    text: str | None


class Children:
    """Each in a session of its own, so that a Ctrl-C reaches us alone and we end them in order. Errors go to `DIR/<name>.log`."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        self._lines: queue.SimpleQueue[Line] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name in reversed(tuple(self._running)):
            self.end(name)
        for reader in self._readers:
            reader.join()

    def start(self, name: str, *words: str) -> None:
        """`python -m words…`."""
        with (self._logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._running[name] = child
        reader = threading.Thread(target=self._read, args=(name, child), name=f"reader of {name}")
        reader.start()
        self._readers.append(reader)

    def wait(self, name: str) -> int:
        """For one that has said its last word: its exit code. Raises `ChildTrouble` when it does not leave."""
        try:
            return self._running[name].wait(END_S)
        except subprocess.TimeoutExpired as error:
            raise ChildTrouble(f"the {name} does not end") from error

    def end(self, name: str) -> int:
        """Ask it to leave, insist after a while; returns its exit code."""
        child = self._running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            return child.wait(END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    def lines(self, seconds: float) -> Iterator[Line]:
        """Lines as they come, until the time is over."""
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0.0:
            try:
                yield self._lines.get(timeout=left_s)
            except queue.Empty:
                return

    def log_tail(self, name: str) -> str:
        """The last line that it wrote to its log."""
        lines = (self._logs / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _read(self, name: str, child: subprocess.Popen[str]) -> None:
        if child.stdout is not None:
            with child.stdout:
                for text in child.stdout:
                    self._lines.put(Line(name, text.rstrip("\n")))
        self._lines.put(Line(name, None))
