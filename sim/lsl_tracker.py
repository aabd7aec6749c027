"""`atmsd sim lsl-tracker`: the room's tools as a motion-capture stream of LSL. Needs pylsl."""

import argparse
import json
import math
import signal
import sys
import threading
import time
from typing import Any

from sim.ndi_poses import SlowMotion
from sim.ndi_room_tools import ROOM_BODIES
from sim.stream_source import StreamFrame, StreamSource, add_source_arguments, bad_option, source_from

OK, USAGE, UNAVAILABLE = 0, 64, 69
DEFAULT_STREAM = "atmsd-sim-tracker"
SERIAL = "SIM-LSL-1"
CHANNELS = ("PositionX", "PositionY", "PositionZ", "OrientationA", "OrientationB", "OrientationC", "OrientationD", "Confidence")
PER_METRE = {"meters": 1.0, "millimeters": 1000.0}
STALL_LOOK_S = 0.002


class LslSource:
    """A stream of the source's frames, in a thread between `start` and `stop`. `unit` is how lengths are described and sent.

    Every frame has NaN and confidence 0 for what is not seen. `lsl` is the pylsl module.
    """

    def __init__(self, stream: str, source: StreamSource, lsl: Any, *, unit: str = "meters") -> None:
        self.stream, self.source, self.faults = stream, source, source.faults
        self._lsl, self._unit = lsl, unit
        self._outlet: Any = None
        self._ends = threading.Event()
        self._renewed = threading.Event()
        self._thread: threading.Thread | None = None
        self._open()

    def start(self) -> None:
        self._thread = threading.Thread(target=self.run_forever, name="lsl-tracker")
        self._thread.start()

    def stop(self) -> None:
        """End `run_forever`, whoever runs it."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join()
            self._outlet = None

    def hang_up(self) -> None:
        """The stream ends; another of the same name begins."""
        self._renewed.set()

    def run_forever(self) -> None:
        """Send until `stop`."""
        while not self._ends.is_set():
            if self._renewed.is_set():
                self._renewed.clear()
                self._outlet = None
                self._open()
            for frame in self.source.due(time.monotonic_ns()):
                offset_s = self._lsl.local_clock() - time.monotonic()
                self._outlet.push_sample(self._values(frame), frame.stamp_ns / 1e9 + offset_s)
            wait_s = (self.source.next_ns() - time.monotonic_ns()) / 1e9
            self._ends.wait(STALL_LOOK_S if self.faults.stalled else max(0.0, wait_s))

    def _values(self, frame: StreamFrame) -> list[float]:
        scale = PER_METRE[self._unit] / 1000.0
        values: list[float] = []
        for pose in frame.poses.values():
            if pose is None:
                values += [math.nan] * 7 + [0.0]
            else:
                values += [scale * length for length in pose.mm] + [*pose.wxyz, 1.0]
        return values

    def _open(self) -> None:
        bodies = self.source.bodies
        info = self._lsl.StreamInfo(self.stream, "MoCap", len(CHANNELS) * len(bodies), self.source.rate_hz, "float32", SERIAL)
        desc = info.desc()
        channels = desc.append_child("channels")
        for body in bodies:
            for kind in CHANNELS:
                channel = channels.append_child("channel")
                unit = self._unit if kind.startswith("Position") else "quaternion" if kind.startswith("Orientation") else "normalized"
                for name, text in (("label", f"{body}_{kind}"), ("object", body), ("type", kind), ("unit", unit)):
                    channel.append_child_value(name, text)
        objects = desc.append_child("setup").append_child("objects")
        for body in bodies:
            entry = objects.append_child("object")
            entry.append_child_value("label", body)
            entry.append_child_value("class", "Rigid")
        acquisition = desc.append_child("acquisition")
        for name, text in (("manufacturer", "atmsd"), ("model", "simulated tracker"), ("compensated_lag", "0")):
            acquisition.append_child_value(name, text)
        self._outlet = self._lsl.StreamOutlet(info, chunk_size=1, max_buffered=2)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)
    parser.add_argument("--stream", default=DEFAULT_STREAM, metavar="NAME", help="name of the LSL stream (default: %(default)s)")
    parser.add_argument("--unit", choices=tuple(PER_METRE), default="meters", help="of lengths (default: %(default)s)")


def main(given: argparse.Namespace) -> int:
    """Send until SIGTERM or SIGINT. Exit codes: 0, 64 (a bad option), 69 (pylsl is missing)."""
    why = bad_option(given) or ("--stream: a name is needed" if not given.stream.strip() else None)
    if why is not None:
        print(f"lsl-tracker: {why}", file=sys.stderr)
        return USAGE
    try:
        import pylsl  # noqa: PLC0415  # an extra
    except (ImportError, RuntimeError):
        print("lsl-tracker: pylsl cannot be loaded. Install atmsd[lsl].", file=sys.stderr)
        return UNAVAILABLE
    sender = LslSource(given.stream, source_from(given, SlowMotion(ROOM_BODIES), time.monotonic_ns()), pylsl, unit=given.unit)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sender.stop())
    tools = {body: body for body in sender.source.bodies}
    line = {"ready": True, "endpoints": {"lsl": given.stream}, "stream": given.stream, "rate_hz": given.rate, "tools": tools}
    print(json.dumps(line), flush=True)
    sender.run_forever()
    return OK
