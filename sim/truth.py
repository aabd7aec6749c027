"""The log of what a simulated stimulator physically did, for tests to hold the daemon's records against. Nobody else reads it.

JSON lines, each written whole and at once: a reader never sees half a line, a killed simulator loses none.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

POSE_FIELDS = ("lateral_mm", "tilt_deg", "twist_deg", "gap_mm", "head_seen", "coil_seen")

PoseProbe = Callable[[int], Mapping[str, float | bool | None]]  # monotonic nanoseconds -> the coil's true errors at that moment


class TruthLog:
    """Appends to `path`; with None nothing is kept. `probe` tells where the coil truly is; without one the errors are null."""

    def __init__(self, path: Path | None = None, probe: PoseProbe | None = None) -> None:
        self._fd = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self.probe = probe
        self.feel: Callable[[int, int], object] | None = None  # whoever the pulse reaches: monotonic nanoseconds, %MSO

    def pulse(self, mono_ns: int, amplitude_pct: int, *, enabled: bool, train: int | None) -> None:
        """One physical pulse; `train` counts trains since power-on, null for a single pulse or burst."""
        pose: Mapping[str, float | bool | None] = {} if self.probe is None else self.probe(mono_ns)
        fields = {field: pose.get(field) for field in POSE_FIELDS}
        if self.feel is not None:
            self.feel(mono_ns, amplitude_pct)
        self._write({"kind": "pulse", "mono_ns": mono_ns, "amplitude_pct": amplitude_pct, "enabled": enabled, "train": train} | fields)

    def charged(self, mono_ns: int, *, enabled: bool) -> None:
        """The charged state changed."""
        self._write({"kind": "enabled" if enabled else "disabled", "mono_ns": mono_ns})

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self, record: Mapping[str, object]) -> None:
        if self._fd is not None:
            os.write(self._fd, json.dumps(record).encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
