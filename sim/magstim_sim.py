"""A simulated Magstim on a pseudo terminal, in real time, with its faults and the hands at it within reach.

Ties the device to a port and a thread; what the device does stands in sim.magstim_device and behind it.
"""

import argparse
import contextlib
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

from sim.fault_switches import switch
from sim.magstim_device import MagstimDevice
from sim.magstim_faults import MagstimFaults, damaged
from sim.magstim_settings import DEFAULT_MODEL, DEFAULT_SOFTWARE, MODELS
from sim.pty_port import PtyPort
from sim.truth import PoseProbe, TruthLog

NS_PER_S = 1_000_000_000
USAGE = 64


class MagstimSim:
    """One unit behind `pty`, logging what it physically does to `truth`. `start` gives it a thread of its own, `stop` ends it.

    `faults` may be switched, and the acts called, from any thread while it runs. Raises ValueError for software that is no version or
    an unlock code that cannot be one.
    """

    def __init__(
        self,
        pty: PtyPort,
        truth: TruthLog,
        *,
        model: str = DEFAULT_MODEL,
        software: str = DEFAULT_SOFTWARE,
        unlock: str | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        pose_probe: PoseProbe | None = None,
        seed: int = 0,
    ) -> None:
        self.faults = MagstimFaults()
        self._pty = pty
        self._clock = clock
        if pose_probe is not None:
            truth.probe = pose_probe
        self._device = MagstimDevice(truth, self.faults, clock(), model=model, software=software, unlock=unlock)
        self._rng = random.Random(seed)
        self._acts: queue.SimpleQueue[Callable[[int], None]] = queue.SimpleQueue()
        self._later: list[tuple[int, str]] = []
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_ending = False
        self._thread: threading.Thread | None = None

    # ---- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Be there: the port answers and its link is in place when this returns."""
        self._thread = threading.Thread(target=self.run, name="magstim-sim")
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
            self._switch_due(now_ns)
            self._device.advance(now_ns)
            for frame in self._device.take_frames(now_ns):
                self._pty.write(damaged(frame, self.faults, self._rng))
            readable, _, _ = select.select([self._pty.fd, self._wake_read], [], [], self._wait_s())
            if self._pty.fd in readable:
                self._device.hear(self._pty.read(), self._clock())
            if self._wake_read in readable:
                os.read(self._wake_read, 4096)
                self._carry_out_acts()

    def _wait_s(self) -> float:
        next_ns = min([self._device.next_ns, *(at_ns for at_ns, _ in self._later)])
        return max(0, next_ns - self._clock()) / NS_PER_S

    def switch_later(self, text: str, after_s: float) -> None:
        """Turn a fault on after a while; before `run`. Raises ValueError for a fault that there is not."""
        switch(MagstimFaults(), text)
        self._later.append((self._clock() + round(after_s * NS_PER_S), text))

    def _switch_due(self, now_ns: int) -> None:
        for at_ns, text in list(self._later):
            if at_ns <= now_ns:
                self._later.remove((at_ns, text))
                switch(self.faults, text)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # a full pipe wakes as well, a closed one has nobody to wake
            os.write(self._wake_write, b".")

    def _act(self, act: Callable[[int], None]) -> None:
        self._acts.put(act)
        self._wake()

    def _carry_out_acts(self) -> None:
        while not self._acts.empty():
            self._acts.get()(self._clock())

    # ---- hands at the unit, its coil and its mains ------------------------------------------------------------------

    @property
    def armed(self) -> bool:
        return self._device.armed

    @property
    def running(self) -> bool:
        return self._device.running

    @property
    def remote(self) -> bool:
        return self._device.remote

    def panel_disable(self) -> None:
        """The unit's own stop: standby at once."""
        self._act(self._device.disarm)

    def panel_enable(self) -> None:
        self._act(self._device.arm)

    def panel_fire(self) -> None:
        """The foot switch or the trigger input."""
        self._act(self._device.trigger)

    def panel_amplitude(self, pct: int) -> None:
        self._act(lambda now_ns: self._device.turn_power(pct, now_ns))

    def remove_coil(self) -> None:
        self._act(lambda now_ns: self._device.plug_coil(False, now_ns))

    def plug_coil(self) -> None:
        self._act(lambda now_ns: self._device.plug_coil(True, now_ns))

    def power_cycle(self) -> None:
        self._act(self._device.reset)


# ---- the program ----------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `sim magstim`; every one has a default."""
    parser.add_argument("--pty", type=Path, metavar="LINK", help="symbolic link to put at the port (default: none, use the pty's name)")
    parser.add_argument("--model", choices=MODELS, default=DEFAULT_MODEL, help="default: %(default)s")
    parser.add_argument("--software", default=DEFAULT_SOFTWARE, metavar="VERSION", help="of a Rapid² (default: %(default)s)")
    parser.add_argument("--unlock", metavar="CODE", help="lock a Rapid² of software 9 or later with it (default: it is not locked)")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="append every physical pulse as a JSON line (default: no log)")
    parser.add_argument("--seed", type=int, default=0, help="of the random faults (default: %(default)s)")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[=VALUE][@SECONDS]",
        help="turn a fault on, at once or after a while; may be repeated (sim/magstim_faults.py names them)",
    )


def _switch_all(simulator: MagstimSim, faults: list[str]) -> None:
    for text in faults:
        fault, _, after_s = text.partition("@")
        simulator.switch_later(fault, float(after_s or 0))


def main(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; one JSON line on stdout when the port answers."""
    with TruthLog(args.truth) as truth, PtyPort(args.pty) as pty:
        try:
            simulator = MagstimSim(pty, truth, model=args.model, software=args.software, unlock=args.unlock, seed=args.seed)
            _switch_all(simulator, args.fault)
        except ValueError as error:
            print(f"sim magstim: {error}. See --help.", file=sys.stderr)
            return USAGE
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: simulator.end_run())
        pty.announce()
        ready = {"ready": True, "endpoints": {"stimulator": str(pty.endpoint)}, "model": args.model, "software": args.software}
        print(json.dumps(ready), flush=True)
        simulator.run()
        simulator.stop()
    return 0
