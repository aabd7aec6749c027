"""One channel of an EMG stream from LSL, its samples on the host's monotonic clock. Needs the `lsl` extra.

A thread of its own reads the inlet, so that nobody waits for it. What the samples mean is `emg`'s.
"""

import collections
import threading
import time
from typing import Any, Final

from drivers.emg import Sample
from drivers.values import NotThere

KEPT_S: Final = 5.0
RESOLVE_S: Final = 1.0
PULL_S: Final = 0.1
TO_MICROVOLTS: Final = {"uV": 1.0, "mV": 1e3, "V": 1e6}


class EmgStream:
    """A named stream: found when it is there, found again when it comes back. Raises NotThere without pylsl."""

    def __init__(self, name: str, channel: int, unit: str) -> None:
        try:
            import pylsl  # noqa: PLC0415  # an extra: a chair without EMG has none of it
        except (ImportError, RuntimeError) as error:
            raise NotThere("pylsl cannot be loaded", f"EMG stream {name!r}", "Install atmsd[lsl], or judge by eye.") from error
        self._lsl: Any = pylsl
        self._name, self._channel, self._scale = name, channel, TO_MICROVOLTS[unit]
        self._kept: collections.deque[Sample] = collections.deque()
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="emg", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ends.set()
        self._thread.join()

    def has_until(self, at_ns: int) -> bool:
        """Whether samples up to that moment have come."""
        with self._lock:
            return bool(self._kept) and self._kept[-1].at_ns >= at_ns

    def between(self, first_ns: int, last_ns: int) -> tuple[Sample, ...]:
        """The samples of that time; none where they are gone or never came."""
        with self._lock:
            return tuple(sample for sample in self._kept if first_ns <= sample.at_ns <= last_ns)

    def _run(self) -> None:
        while not self._ends.is_set():
            found = self._lsl.resolve_byprop("name", self._name, minimum=1, timeout=RESOLVE_S)
            if found:
                self._read(found[0])

    def _read(self, info: Any) -> None:
        """Until the stream is lost. Its clock is mapped onto the host's by LSL's own exchange; host and LSL clock run alike."""
        flags = self._lsl.proc_clocksync | self._lsl.proc_dejitter
        inlet = self._lsl.StreamInlet(info, max_buflen=2, processing_flags=flags, recover=False)
        try:
            while not self._ends.is_set():
                values, stamps = inlet.pull_chunk(timeout=PULL_S)
                if values:
                    self._keep(values, stamps)
        except self._lsl.util.LostError:
            pass  # found again when it is back
        finally:
            inlet.close_stream()

    def _keep(self, values: list[list[float]], stamps: list[float]) -> None:
        mono_minus_lsl_s = time.monotonic() - self._lsl.local_clock()
        new = [
            Sample(round((stamp + mono_minus_lsl_s) * 1e9), row[self._channel] * self._scale)
            for row, stamp in zip(values, stamps, strict=True)
            if self._channel < len(row)
        ]
        oldest_ns = round((time.monotonic() - KEPT_S) * 1e9)
        with self._lock:
            self._kept.extend(new)
            while self._kept and self._kept[0].at_ns < oldest_ns:
                self._kept.popleft()
