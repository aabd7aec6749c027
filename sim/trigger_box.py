"""`atmsd sim trigger-box`: a simulated external trigger box on LSL, in real time, with its faults and hands within reach. Needs pylsl.

Ties the box to its streams and a thread; what the box does stands in sim.lsl_box.
"""

import argparse
import json
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from sim.fault_switches import switch
from sim.lsl_box import TriggerBox
from sim.lsl_faults import BoxFaults
from sim.truth import TruthLog

OK, USAGE, UNAVAILABLE = 0, 64, 69
NS_PER_S = 1_000_000_000
LOOK_S, PULL_S, OPEN_S = 0.05, 0.2, 2.0
KEPT_HUNDREDS = 1
TRIGGER, STATUS, RECEIPTS = "atmsd.trigger", "atmsd-sim-box.status", "atmsd-sim-box.receipts"

Event = Callable[[int], None]


class TriggerBoxSim:
    """One box that follows the `trigger` stream and tells by two streams of its own. `start` gives it threads, `stop` ends them.

    `faults` may be switched, and the acts called, from any thread while it runs.
    """

    def __init__(self, lsl: Any, truth: TruthLog, *, trigger: str, status: str, receipts: str, **box: Any) -> None:
        self.faults = BoxFaults()
        self._lsl, self._trigger = lsl, trigger
        self._serial = box.get("serial", 1)
        self.box = TriggerBox(truth, self.faults, time.monotonic_ns(), **box)
        self._outlets = {"status": self._outlet(status), "receipt": self._outlet(receipts)}
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._later: list[tuple[int, str]] = []
        self._ends = threading.Event()
        self._threads: list[threading.Thread] = []

    def _outlet(self, name: str) -> Any:
        info = self._lsl.StreamInfo(name, "Markers", 1, self._lsl.IRREGULAR_RATE, "string", f"{name}-{self._serial}")
        return self._lsl.StreamOutlet(info, 0, KEPT_HUNDREDS)

    # ---- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._threads = [threading.Thread(target=target, name="trigger-box") for target in (self.run, self._listen)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.end_run()
        for thread in self._threads:
            thread.join()
        self._outlets.clear()  # LSL takes its time over streams that are left to the end of the program

    def end_run(self) -> None:
        self._ends.set()
        self._events.put(lambda _now_ns: None)

    def run(self) -> None:
        """Be the box until told to end."""
        while not self._ends.is_set():
            now_ns = time.monotonic_ns()
            self._switch_due(now_ns)
            self.box.advance(now_ns)
            for stream, marker in self.box.take(time.monotonic_ns()):
                self._outlets[stream].push_sample([marker])
            next_ns = min([self.box.next_ns, *(at_ns for at_ns, _ in self._later)])
            try:
                event = self._events.get(timeout=max(0, next_ns - time.monotonic_ns()) / NS_PER_S)
            except queue.Empty:
                continue
            event(time.monotonic_ns())

    def _listen(self) -> None:
        """Follow the trigger stream, the newest of its name, for as long as it is there, and again when it is back."""
        while not self._ends.is_set():
            found = self._lsl.resolve_byprop("name", self._trigger, minimum=1, timeout=PULL_S)
            if found:
                self._follow(max(found, key=lambda info: float(info.created_at())))

    def _follow(self, info: Any) -> None:
        inlet = self._lsl.StreamInlet(info, KEPT_HUNDREDS, 0, False)
        try:
            inlet.open_stream(OPEN_S)
            while not self._ends.is_set():
                values, _ = inlet.pull_sample(timeout=PULL_S)
                if values is not None:
                    self._events.put(self._hearing(values[0]))
        except (self._lsl.util.LostError, self._lsl.util.TimeoutError):
            self._ends.wait(LOOK_S)
        finally:
            inlet.close_stream()

    def _hearing(self, marker: str) -> Event:
        return lambda now_ns: self.box.hear(marker, now_ns)

    def switch_later(self, text: str, after_s: float) -> None:
        """Turn a fault on after a while; before `run`. Raises ValueError for a fault that there is not."""
        switch(BoxFaults(), text)
        self._later.append((time.monotonic_ns() + round(after_s * NS_PER_S), text))

    def _switch_due(self, now_ns: int) -> None:
        for at_ns, text in list(self._later):
            if at_ns <= now_ns:
                self._later.remove((at_ns, text))
                switch(self.faults, text)

    # ---- hands ------------------------------------------------------------------------------------------------------

    def press_stop(self) -> None:
        self._events.put(self.box.press_stop)

    def press_arm(self) -> None:
        self._events.put(self.box.press_arm)

    def foot_switch(self) -> None:
        self._events.put(self.box.foot_switch)

    def turn_dial(self, pct: int) -> None:
        self._events.put(lambda now_ns: self.box.turn_dial(pct, now_ns))

    def restart(self) -> None:
        self._events.put(self.box.restart)


# ---- the program ----------------------------------------------------------------------------------------------------


class Leave(BaseException):
    """Somebody asked the box to end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `sim trigger-box`; every one has a default."""
    parser.add_argument("--trigger", default=TRIGGER, metavar="NAME", help="LSL stream that it follows (default: %(default)s)")
    parser.add_argument("--status", default=STATUS, metavar="NAME", help="LSL stream of its statuses (default: %(default)s)")
    parser.add_argument("--receipts", default=RECEIPTS, metavar="NAME", help="LSL stream of its receipts (default: %(default)s)")
    parser.add_argument("--makes", choices=("train", "burst", "pulse"), default="train", help="of one marker (default: %(default)s)")
    parser.add_argument("--serial", type=int, default=1, help="its serial number (default: %(default)s)")
    parser.add_argument("--coil", type=int, default=60, metavar="TYPE", help="coil type that it reports (default: %(default)s)")
    parser.add_argument("--dial", type=int, metavar="PCT", help="amplitude set by hand (default: the box sets what it is told)")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="append every physical pulse as a JSON line (default: no log)")
    parser.add_argument("--seed", type=int, default=0, help="of the names that it gives itself (default: %(default)s)")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[=VALUE][@SECONDS]",
        help="turn a fault on, at once or after a while; may be repeated (sim/lsl_faults.py names them)",
    )


def main(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; one JSON line on stdout when the streams are there."""
    try:
        import pylsl  # noqa: PLC0415  # an extra
    except (ImportError, RuntimeError):
        print("sim trigger-box: pylsl cannot be loaded. Install atmsd[lsl].", file=sys.stderr)
        return UNAVAILABLE
    with TruthLog(args.truth) as truth:
        names = {"trigger": args.trigger, "status": args.status, "receipts": args.receipts}
        box = {"makes": args.makes, "serial": args.serial, "coil_type": args.coil, "seed": args.seed or time.time_ns()}
        simulator = TriggerBoxSim(pylsl, truth, **names, **box, follows=args.dial is None, amplitude_pct=args.dial or 0)
        try:
            for text in args.fault:
                fault, _, after_s = text.partition("@")
                simulator.switch_later(fault, float(after_s or 0))
        except ValueError as error:
            print(f"sim trigger-box: {error}. See --help.", file=sys.stderr)
            return USAGE
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _leave)
        simulator.start()
        try:
            print(json.dumps({"ready": True, "endpoints": {}, "streams": names, "makes": args.makes, "serial": args.serial}), flush=True)
            signal.pause()
        except Leave:
            pass
        finally:
            simulator.stop()
    return OK


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise Leave
