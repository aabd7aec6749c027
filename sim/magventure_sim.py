"""A simulated MagVenture MagPro on a pseudo terminal, in real time, with its panel and its faults within reach.

Ties the device to a port and a thread; what the device does stands in sim.magventure_device.
"""

import argparse
import contextlib
import functools
import json
import os
import queue
import random
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from drivers.magventure_frame_wire import FrameReader
from sim.fault_switches import switch
from sim.magventure_device import MagVentureDevice
from sim.magventure_faults import MagVentureFaults, damaged
from sim.magventure_settings import COIL_TYPE, DEFAULT_MODEL, MODELS
from sim.pty_port import PtyPort
from sim.truth import PoseProbe, TruthLog

NS_PER_S = 1_000_000_000
USAGE = 64
RECEIPTS = {"burst": 1, "pulse": 3}


class MagVentureSim:
    """One unit behind `pty`, logging what it physically does to `truth`. `start` gives it a thread of its own, `stop` ends it.

    `faults` may be switched, and the `panel_*` acts called, from any thread while it runs.
    """

    def __init__(
        self,
        pty: PtyPort,
        truth: TruthLog,
        *,
        model: str = DEFAULT_MODEL,
        reply_delay_ms: float = 20,
        events_per_burst: int = 1,
        clock: Callable[[], int] = time.monotonic_ns,
        pose_probe: PoseProbe | None = None,
        seed: int = 0,
    ) -> None:
        self.faults = MagVentureFaults()
        self._pty = pty
        self._clock = clock
        if pose_probe is not None:
            truth.probe = pose_probe
        self._device = MagVentureDevice(
            truth, self.faults, clock(), model=model, reply_delay_ms=reply_delay_ms, events_per_burst=events_per_burst
        )
        self._reader = FrameReader()
        self._rng = random.Random(seed)
        self._acts: queue.SimpleQueue[Callable[[int], None]] = queue.SimpleQueue()
        self._later: list[tuple[int, Callable[[], None]]] = []
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_ending = False
        self._thread: threading.Thread | None = None

    # ---- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Be there: the port answers and its link is in place when this returns."""
        self._thread = threading.Thread(target=self.run, name="magventure-sim")
        self._thread.start()
        self._pty.announce()

    def stop(self) -> None:
        """End the thread; the port and the truth log are the caller's to close."""
        self.end_run()
        if self._thread is not None:
            self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def end_run(self) -> None:
        """Let `run` return; may be called from a signal handler."""
        self._is_ending = True
        self._wake()

    def run(self) -> None:
        """Be the device until told to end."""
        while not self._is_ending:
            now_ns = self._clock()
            self._do_what_is_due(now_ns)
            self._device.advance(now_ns)
            for frame in self._device.take_frames():
                self._pty.write(damaged(frame, self.faults, self._rng))
            readable, _, _ = select.select([self._pty.fd, self._wake_read], [], [], self._wait_s())
            if self._pty.fd in readable:
                now_ns = self._clock()
                for body in self._reader.feed(self._pty.read(), now_ns):
                    self._device.hear(body, now_ns)
            if self._wake_read in readable:
                os.read(self._wake_read, 4096)
                self._carry_out_acts()

    def _wait_s(self) -> float:
        next_ns = min([self._device.next_ns, *(at_ns for at_ns, _ in self._later)])
        return max(0, next_ns - self._clock()) / NS_PER_S

    def later(self, text: str, after_s: float) -> None:
        """Turn a fault on, or let a hand act, after a while; before `run`. Raises ValueError for one that there is not."""
        name, _, value = text.partition("=")
        act: Callable[[], None]
        if name in self._hands:
            if value:
                raise ValueError(f"{name!r} takes no value")
            act = self._hands[name]
        elif name in self._knobs:
            turn, highest = self._knobs[name]
            if not value.isdecimal() or not 1 <= int(value) <= highest:
                raise ValueError(f"{name!r} takes a number from 1 to {highest}")
            act = functools.partial(turn, int(value))
        else:
            switch(MagVentureFaults(), text)
            act = functools.partial(switch, self.faults, text)
        self._later.append((self._clock() + round(after_s * NS_PER_S), act))

    @property
    def _hands(self) -> dict[str, Callable[[], None]]:
        """What hands can do that is no switch of the device, by its name on the command line."""
        return {
            "coil_removed": self.remove_coil,
            "panel_enable": self.panel_enable,
            "panel_disable": self.panel_disable,
            "panel_fire": self.panel_fire,
            "panel_start_train": self.panel_start_train,
            "power_cycle": self.power_cycle,
        }

    @property
    def _knobs(self) -> dict[str, tuple[Callable[[int], None], int]]:
        """What hands turn to a number, and the highest one."""
        return {
            "coil_plugged": (self.plug_coil, 199),
            "panel_amplitude": (self.panel_amplitude, 100),
            "panel_page": (self.panel_page, 19),
            "panel_rate": (self.panel_rate, 1000),
        }

    def _do_what_is_due(self, now_ns: int) -> None:
        for due in list(self._later):
            at_ns, act = due
            if at_ns <= now_ns:
                self._later.remove(due)
                act()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # a full pipe wakes as well, a closed one has nobody to wake
            os.write(self._wake_write, b".")

    def _act(self, act: Callable[[int], None]) -> None:
        self._acts.put(act)
        self._wake()

    def _carry_out_acts(self) -> None:
        while not self._acts.empty():
            self._acts.get()(self._clock())

    # ---- the panel, the coil and the mains --------------------------------------------------------------------------

    @property
    def enabled(self) -> bool:
        return self._device.enabled

    @property
    def running(self) -> bool:
        return self._device.running

    def panel_amplitude(self, pct: int) -> None:
        self._act(lambda _: self._device.set_amplitude(pct))

    def panel_enable(self) -> None:
        self._act(self._device.enable)

    def panel_disable(self) -> None:
        self._act(self._device.disable)

    def panel_fire(self) -> None:
        self._act(self._device.trigger)

    def panel_start_train(self) -> None:
        self._act(self._device.start_train)

    def panel_page(self, page: int) -> None:
        self._act(lambda _: self._device.show_page(page))

    def panel_rate(self, rate_tenth_hz: int) -> None:
        """Turn the rate knob: the device sends no event."""
        self._act(lambda _: self._device.turn_rate(rate_tenth_hz))

    def remove_coil(self) -> None:
        self.plug_coil(0)

    def plug_coil(self, coil_type: int = COIL_TYPE) -> None:
        self._act(lambda now_ns: self._device.plug_coil(coil_type, now_ns))

    def power_cycle(self) -> None:
        self._act(self._device.reset)


# ---- the program ----------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `sim magventure`; every one has a default."""
    parser.add_argument("--pty", type=Path, metavar="LINK", help="symbolic link to put at the port (default: none, use the pty's name)")
    parser.add_argument("--model", choices=sorted(MODELS), default=DEFAULT_MODEL, help="default: %(default)s")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="append every physical pulse as a JSON line (default: no log)")
    parser.add_argument("--seed", type=int, default=0, help="of the random faults (default: %(default)s)")
    receipts = "of one burst: one, or one for each pulse (default: %(default)s)"
    parser.add_argument("--receipts", choices=RECEIPTS, default="burst", help=receipts)
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[=VALUE][@SECONDS]",
        help="turn a fault on, or let a hand act at the panel, at once or after a while; may be repeated (docs/magventure.md names them)",
    )


def _do_all(simulator: MagVentureSim, faults: list[str]) -> None:
    for text in faults:
        fault, _, after_s = text.partition("@")
        simulator.later(fault, float(after_s or 0))


def main(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; one JSON line on stdout when the port answers."""
    with TruthLog(args.truth) as truth, PtyPort(args.pty) as pty:
        simulator = MagVentureSim(pty, truth, model=args.model, events_per_burst=RECEIPTS[args.receipts], seed=args.seed)
        try:
            _do_all(simulator, args.fault)
        except ValueError as error:
            print(f"sim magventure: {error}. See --help.", file=sys.stderr)
            return USAGE
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: simulator.end_run())
        pty.announce()
        ready = {"ready": True, "endpoints": {"stimulator": str(pty.endpoint)}, "model": args.model}
        print(json.dumps(ready), flush=True)
        simulator.run()
        simulator.stop()
    return 0
