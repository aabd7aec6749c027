"""What the operator says at a terminal, as words; a stop goes out at once, over a link of its own, whatever else is under way.

Keys are read one by one, an escape sequence is a stop like a lone Esc. What the words mean is `mt`'s.
"""

import contextlib
import os
import queue
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator

LOOK_S = 0.1
WORDS = {
    "a": "arm",
    " ": "pulse",
    "+": "up 1",
    "-": "down 1",
    "]": "up 5",
    "[": "down 5",
    "h": "hotspot",
    "y": "yes",
    "n": "no",
    "u": "unsure",
    "c": "confirm",
    "\r": "confirm",
    "\n": "confirm",
    "\x1b": "stop",
    "q": "close",
}
KEYS = "a arm   space pulse   + - ] [ amplitude   h hotspot found   y n u answered?   c confirm   Esc STOP   q close"


class Ears:
    """Listens on a descriptor in a thread of its own; `stop` is called in it, the other words wait in `words`. Its end is "close"."""

    def __init__(self, fd: int, *, keys: bool, stop: Callable[[], None]) -> None:
        self.words: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._fd, self._keys, self._stop = fd, keys, stop
        self._begun = ""
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="ears", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ends.set()
        self._thread.join()

    def next(self) -> str | None:
        """The next word that was not yet heeded."""
        with contextlib.suppress(queue.Empty):
            return self.words.get_nowait()
        return None

    def _listen(self) -> None:
        while not self._ends.is_set():
            if not select.select([self._fd], [], [], LOOK_S)[0]:
                continue
            text = os.read(self._fd, 1024).decode(errors="replace")
            if not text:
                self.words.put("close")
                return
            for word in self._understood(text):
                if word == "stop":
                    self._stop()
                else:
                    self.words.put(word)

    def _understood(self, text: str) -> list[str]:
        """Words of keys, or of whole lines; a stop among them is all that is heeded."""
        if self._keys:
            words = [WORDS[key] for key in text if key in WORDS]
        else:
            *lines, self._begun = (self._begun + text).split("\n")
            words = [line.strip() for line in lines if line.strip()]
        return ["stop"] if "stop" in words else words


@contextlib.contextmanager
def single_keys(*, wanted: bool) -> Iterator[bool]:
    """Each key at once, without its echo, where a terminal is there; yields whether it is."""
    if not wanted or not sys.stdin.isatty():
        yield False
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
