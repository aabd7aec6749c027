"""LSL on this machine alone, and a simulated trigger box with a bridge to it."""

import json
import os
import select
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from drivers.lsl_trigger import LslTriggerStimulator
from drivers.lsl_trigger_line import LslLine
from drivers.protocols import Step
from drivers.values import Disabled, Owned, Prepared, Ready, Secured, StimEvent, TrainBegan, TrainSettings
from sim.trigger_box import TriggerBoxSim
from sim.truth import TruthLog

DEADLINE_S = 20.0
COIL, SERIAL = 60, 7
BEAT_NS = 300_000_000

Kind = TypeVar("Kind", bound=StimEvent)


@contextmanager
def this_machine_only(folder: Path) -> Iterator[None]:
    """LSL reads its configuration once, when it is loaded; programs that are started meanwhile read it too."""
    config = folder / "lsl_api.cfg"
    config.write_text("[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSLAPICFG", str(config))
        yield


def lsl() -> Any:
    """The library, once its configuration is in place."""
    import pylsl  # noqa: PLC0415

    return pylsl


class BoxOnLsl:
    """A box with names of its own, and the line to it."""

    def __init__(self, folder: Path, makes: str = "train") -> None:
        name = uuid.uuid4().hex[:8]
        self.names = {word: f"test-{name}.{word}" for word in ("trigger", "status", "receipts")}
        self.truth_file = folder / "truth.jsonl"
        self._truth = TruthLog(self.truth_file)
        self.makes = makes
        self.simulator = TriggerBoxSim(lsl(), self._truth, **self.names, makes=makes, serial=SERIAL, coil_type=COIL, seed=time.time_ns())
        self.simulator.start()
        self.line = LslLine(**self.names)

    def open(self) -> int:
        """The bridge before must have ended; its owner has closed the descriptor."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                return self.line.open()
            except Owned:
                assert time.monotonic() < deadline
                os.sched_yield()

    def stimulator(self) -> LslTriggerStimulator:
        return LslTriggerStimulator(self.makes, COIL, box_serial=SERIAL, max_amplitude_pct_mso=80, receipt_stream="receipts")

    def truth(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.truth_file.read_text().splitlines()]

    def pulses_ns(self) -> list[int]:
        return [int(str(record["mono_ns"])) for record in self.truth() if record["kind"] == "pulse"]

    def close(self) -> None:
        """Once every descriptor is closed."""
        self.simulator.stop()
        self._truth.close()
        try:
            self.line.wait_ended(DEADLINE_S)
        except subprocess.TimeoutExpired:
            pytest.fail("a bridge outlives its descriptor")


class Pump:
    """A shell as small as can be: one descriptor, one driver, all that was told."""

    def __init__(self, driver: LslTriggerStimulator, fd: int) -> None:
        self.driver, self.fd = driver, fd
        self.events: list[StimEvent] = []
        self._wake_ns = 0

    def take(self, step: Step[StimEvent]) -> tuple[StimEvent, ...]:
        """Carry out what a call asked for."""
        self._wake_ns = step.wake_ns
        self.events += step.events
        if step.send:
            assert os.write(self.fd, step.send) == len(step.send)
        return step.events

    def turn(self, end_ns: int) -> None:
        """Read, or tick, once."""
        now_ns = time.monotonic_ns()
        self.driver.may_keep_alive(now_ns + BEAT_NS)
        readable, _, _ = select.select([self.fd], [], [], max(0, min(self._wake_ns, end_ns) - now_ns) / 1e9)
        if readable:
            self.take(self.driver.feed(os.read(self.fd, 65536), time.monotonic_ns()))
        elif time.monotonic_ns() >= self._wake_ns:
            self.take(self.driver.tick(time.monotonic_ns()))

    def until(self, holds: Callable[[], bool]) -> None:
        """Carry bytes until it holds; fails when that takes too long."""
        end_ns = time.monotonic_ns() + round(DEADLINE_S * 1e9)
        while not holds():
            if time.monotonic_ns() >= end_ns:
                pytest.fail(f"not within {DEADLINE_S} s; last events: {self.events[-5:]}")
            self.turn(end_ns)

    def until_ns(self, end_ns: int) -> None:
        """Carry bytes up to that moment."""
        while time.monotonic_ns() < end_ns:
            self.turn(end_ns)

    def after(self, act: Callable[[int], Step[StimEvent]], kind: type[Kind]) -> Kind:
        """The first event of that kind that the act brings about, at once or later."""
        seen = len(self.events)
        self.take(act(time.monotonic_ns()))
        self.until(lambda: any(isinstance(event, kind) for event in self.events[seen:]))
        return next(event for event in self.events[seen:] if isinstance(event, kind))

    def next(self, kind: type[Kind]) -> Kind:
        return self.after(self.driver.tick, kind)

    def all(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    def connect(self) -> Secured:
        return self.after(self.driver.connected, Secured)

    def make_ready(self, settings: TrainSettings) -> None:
        """The box's receipt stream may come a while after its statuses: prepared again until it is there."""
        self.connect()
        deadline = time.monotonic() + DEADLINE_S
        while mismatches := self.after(lambda now_ns: self.driver.prepare(settings, now_ns), Prepared).mismatches:
            assert time.monotonic() < deadline, mismatches
        self.driver.may_keep_alive(time.monotonic_ns() + BEAT_NS)
        self.after(self.driver.enable, Ready)

    def start(self) -> None:
        self.after(self.driver.start_train, TrainBegan)

    def stop(self) -> Disabled:
        return self.after(self.driver.stop, Disabled)
