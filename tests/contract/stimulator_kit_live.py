"""A pump that owns the descriptor of a simulated unit on a real pseudo terminal, in real time; every wait has a deadline."""

import json
import os
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from drivers.protocols import Step, Stimulator
from drivers.values import Disabled, Prepared, Ready, Secured, StimEvent, StimState, TrainBegan, TrainSettings
from sim.room_unit import RoomUnit

DEADLINE_S = 15.0
BEAT_NS = 300_000_000

Kind = TypeVar("Kind", bound=StimEvent)


def true_pulses_ns(truth: Path) -> list[int]:
    """When pulses physically left the simulated device, by its own hidden log."""
    facts = [json.loads(line) for line in truth.read_text().splitlines()]
    return [int(fact["mono_ns"]) for fact in facts if fact["kind"] == "pulse"]


class Pump:
    """A shell as small as can be: one descriptor, one stimulator, everything that was told.."""

    def __init__(self, stimulator: Stimulator, unit: RoomUnit, port: Path, truth: Path) -> None:
        self.stimulator, self.unit = stimulator, unit
        self.port, self._truth = port, truth
        self.fd = self.open()
        self.events: list[StimEvent] = []
        self.sent: list[bytes] = []
        self._wake_ns = 0

    def open(self) -> int:
        return os.open(self.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    @property
    def pulses_ns(self) -> list[int]:
        return true_pulses_ns(self._truth)

    def take(self, step: Step[StimEvent]) -> tuple[StimEvent, ...]:
        """Carry out what a call asked for."""
        self._wake_ns = step.wake_ns
        self.events += step.events
        if step.send:
            assert os.write(self.fd, step.send) == len(step.send)
            self.sent.append(step.send)
        return step.events

    def turn(self, end_ns: int) -> None:
        """Read, or tick, once."""
        now_ns = time.monotonic_ns()
        self.stimulator.may_keep_alive(now_ns + BEAT_NS)
        readable, _, _ = select.select([self.fd], [], [], max(0, min(self._wake_ns, end_ns) - now_ns) / 1e9)
        if readable:
            data = os.read(self.fd, 4096)
            self.take(self.stimulator.feed(data, time.monotonic_ns()))
        elif time.monotonic_ns() >= self._wake_ns:
            self.take(self.stimulator.tick(time.monotonic_ns()))

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

    def next(self, kind: type[Kind]) -> Kind:
        """The next event of that kind that has not happened yet."""
        seen = len(self.events)
        self.until(lambda: any(isinstance(event, kind) for event in self.events[seen:]))
        return next(event for event in self.events[seen:] if isinstance(event, kind))

    def all(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    def make_ready(self, settings: TrainSettings) -> None:
        self.take(self.stimulator.connected(time.monotonic_ns()))
        self.next(Secured)
        self.take(self.stimulator.prepare(settings, time.monotonic_ns()))
        assert self.next(Prepared).mismatches == ()
        self.take(self.stimulator.enable(time.monotonic_ns()))
        self.next(Ready)
        self.until(lambda: self.stimulator.report.state is StimState.READY)

    def start(self) -> None:
        self.take(self.stimulator.start_train(time.monotonic_ns()))
        self.next(TrainBegan)

    def stop(self) -> Disabled:
        self.take(self.stimulator.stop(time.monotonic_ns()))
        return self.next(Disabled)
