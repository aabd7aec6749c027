"""A stream of text markers of LSL by its name: found when it is there, found again when it comes back. A thread reads it.

What the markers mean is others'. The library is handed in, for it is an extra and its loading is somebody's decision.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

LOOK_S: Final = 0.2  # between two looks for a stream that is not there
PULL_S: Final = 0.2
OPEN_S: Final = 2.0
FORGET_S: Final = 2.0  # a stream that has not answered for so long is gone
KEPT_HUNDREDS: Final = 1  # of markers that may wait for whoever reads them


class MarkerInlet:
    """Hands each marker to `take`, with its time stamp in seconds, from a thread of its own once started.

    `synced`: the time is of this machine's LSL clock, for which the two clocks are compared before the first marker is taken, half a second
    long; else it is the sender's.
    """

    def __init__(self, lsl: Any, name: str, take: Callable[[str, float], None], *, synced: bool) -> None:
        self._lsl, self._take, self._synced = lsl, take, synced
        self._resolver = lsl.ContinuousResolver("name", name, None, FORGET_S)
        self._uid: str | None = None
        self._ends = threading.Event()
        self.is_open = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="lsl-markers", daemon=True).start()

    def close(self) -> None:
        """No marker is taken after the one under way; waits for nothing."""
        self._ends.set()

    @property
    def rivals(self) -> int:
        """Streams of this name beside the one that is connected."""
        return sum(info.uid() != self._uid for info in self._resolver.results()) if self.is_open else 0

    def _run(self) -> None:
        while not self._ends.is_set():
            found = self._resolver.results()
            if found:
                self._read(max(found, key=lambda info: float(info.created_at())))
            else:
                time.sleep(LOOK_S)

    def _read(self, info: Any) -> None:
        """Until the stream is lost."""
        inlet = self._lsl.StreamInlet(info, KEPT_HUNDREDS, 0, False, self._lsl.proc_clocksync if self._synced else 0)
        try:
            inlet.open_stream(OPEN_S)
            if self._synced:
                inlet.time_correction(OPEN_S)
            self._uid, self.is_open = info.uid(), True
            while not self._ends.is_set():
                values, stamp_s = inlet.pull_sample(timeout=PULL_S)
                if values is not None:
                    self._take(str(values[0]), float(stamp_s))
        except (self._lsl.util.LostError, self._lsl.util.TimeoutError, RuntimeError):
            time.sleep(LOOK_S)
        finally:
            self.is_open = False
            inlet.close_stream()
