"""What every stimulator must do, whatever it speaks: a pump that owns the descriptor, and the tests that each driver inherits.

Runs against a simulator's real bytes in real time; every wait has a deadline and none is a sleep.
"""

import os
import select
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import pytest

from drivers.disarm import disarm
from drivers.protocols import Step, Stimulator
from drivers.values import (
    BurstFired,
    Disabled,
    Prepared,
    Ready,
    Secured,
    StimEvent,
    StimFault,
    StimState,
    TrainBegan,
    TrainEnded,
    TrainSettings,
)

DEADLINE_S = 10.0
AFTERMATH_S = 0.4  # late receipts, and pulses that must not come

Kind = TypeVar("Kind", bound=StimEvent)


class StimulatorRig(Protocol):
    """One simulated stimulator and what the kit must know of it."""

    settings: TrainSettings  # a short train that the model can deliver
    impossible: TrainSettings  # one that it cannot
    disarm_bytes: bytes  # the first bytes on a new line
    counts_bursts: bool  # whether the device itself tells of each burst

    def open(self) -> int:
        """A new non-blocking descriptor of the port."""

    def stimulator(self) -> Stimulator:
        """A driver that knows nothing yet."""

    def pulses_ns(self) -> list[int]:
        """When pulses physically left the simulated device, by its own hidden log."""


class Pump:
    """A shell as small as can be: one descriptor, one stimulator, everything that was sent and told."""

    def __init__(self, stimulator: Stimulator, fd: int) -> None:
        self.stimulator = stimulator
        self.fd = fd
        self.events: list[StimEvent] = []
        self.sent: list[bytes] = []
        self._wake_ns = 0

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
        wait_ns = max(0, min(self._wake_ns, end_ns) - time.monotonic_ns())
        readable, _, _ = select.select([self.fd], [], [], wait_ns / 1e9)
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

    def connect(self) -> Secured:
        self.take(self.stimulator.connected(time.monotonic_ns()))
        return self.next(Secured)

    def make_ready(self, settings: TrainSettings) -> None:
        self.connect()
        self.take(self.stimulator.prepare(settings, time.monotonic_ns()))
        assert self.next(Prepared).mismatches == ()
        self.take(self.stimulator.enable(time.monotonic_ns()))
        self.next(Ready)

    def start(self) -> None:
        self.take(self.stimulator.start_train(time.monotonic_ns()))
        self.next(TrainBegan)

    def stop(self) -> Disabled:
        self.take(self.stimulator.stop(time.monotonic_ns()))
        return self.next(Disabled)

    def see_aftermath(self) -> None:
        self.until_ns(time.monotonic_ns() + round(AFTERMATH_S * 1e9))


class StimulatorContract:
    """Inherited by the tests of each stimulator, which give the `rig`."""

    @pytest.fixture
    def pump(self, rig: StimulatorRig) -> Iterator[Pump]:
        fd = rig.open()
        yield Pump(rig.stimulator(), fd)
        os.close(fd)

    def test_first_bytes_on_a_new_line_disarm(self, rig: StimulatorRig, pump: Pump) -> None:
        pump.connect()
        assert pump.sent[0].startswith(rig.disarm_bytes)
        assert pump.stimulator.report.state is StimState.STANDBY
        assert pump.stimulator.report.enabled is False

    def test_simulator_is_recognised_as_one(self, pump: Pump) -> None:
        pump.connect()
        assert pump.stimulator.report.simulated

    @pytest.mark.parametrize("act", ["enable", "start_train"])
    def test_unprepared_device_refuses_and_sends_nothing(self, pump: Pump, act: str) -> None:
        pump.connect()
        sent = len(pump.sent)
        events = pump.take(getattr(pump.stimulator, act)(time.monotonic_ns()))
        assert [type(event) for event in events] == [StimFault]
        assert len(pump.sent) == sent

    def test_settings_are_read_back_equal(self, rig: StimulatorRig, pump: Pump) -> None:
        pump.connect()
        assert pump.stimulator.prepared is None
        pump.take(pump.stimulator.prepare(rig.settings, time.monotonic_ns()))
        assert pump.next(Prepared).mismatches == ()
        assert pump.stimulator.prepared == rig.settings

    def test_train_that_the_model_cannot_deliver_is_refused_with_reasons(self, rig: StimulatorRig, pump: Pump) -> None:
        pump.connect()
        assert rig.stimulator().can(rig.settings) == ()
        assert pump.stimulator.can(rig.impossible)
        sent = len(pump.sent)
        events = pump.take(pump.stimulator.prepare(rig.impossible, time.monotonic_ns()))
        assert any(isinstance(event, StimFault) for event in events)
        assert len(pump.sent) == sent

    def test_train_delivers_exactly_its_pulses(self, rig: StimulatorRig, pump: Pump) -> None:
        pump.make_ready(rig.settings)
        assert rig.pulses_ns() == []
        pump.start()
        pump.next(TrainEnded)
        pump.see_aftermath()
        assert len(rig.pulses_ns()) == rig.settings.pulses
        assert not pump.all(StimFault)
        if rig.counts_bursts:
            assert sum(event.asked for event in pump.all(BurstFired)) == rig.settings.bursts

    def test_stop_mid_train_is_written_at_once_and_no_pulse_follows_its_confirmation(self, rig: StimulatorRig, pump: Pump) -> None:
        pump.make_ready(rig.settings)
        pump.start()
        pump.until(lambda: len(rig.pulses_ns()) >= rig.settings.pulses // 2)
        sent = len(pump.sent)
        pump.take(pump.stimulator.stop(time.monotonic_ns()))
        assert pump.sent[sent].startswith(rig.disarm_bytes)
        disabled = pump.next(Disabled)
        assert disabled.confirmed
        pump.see_aftermath()
        pulses_ns = rig.pulses_ns()
        assert len(pulses_ns) < rig.settings.pulses
        assert all(pulse_ns <= disabled.at_ns for pulse_ns in pulses_ns)
        if rig.counts_bursts:
            assert rig.settings.pulses_per_burst * len(pump.all(BurstFired)) == len(pulses_ns)

    def test_stop_is_confirmed_in_standby_and_when_ready(self, rig: StimulatorRig, pump: Pump) -> None:
        pump.connect()
        assert pump.stop().confirmed
        pump.make_ready(rig.settings)
        assert pump.stop().confirmed
        assert pump.stimulator.report.enabled is False

    def test_ready_after_a_stop_takes_a_new_enable(self, rig: StimulatorRig, pump: Pump) -> None:
        pump.make_ready(rig.settings)
        pump.stop()
        events = pump.take(pump.stimulator.start_train(time.monotonic_ns()))
        assert any(isinstance(event, StimFault) for event in events)
        pump.until(lambda: pump.stimulator.report.state is StimState.STANDBY)
        pump.take(pump.stimulator.enable(time.monotonic_ns()))
        pump.next(Ready)

    def test_lost_line_is_disconnected_and_stays_silent(self, rig: StimulatorRig, pump: Pump) -> None:
        pump.make_ready(rig.settings)
        events = pump.take(pump.stimulator.disconnected(time.monotonic_ns()))
        assert any(isinstance(event, StimFault) for event in events)
        sent = len(pump.sent)
        pump.take(pump.stimulator.tick(time.monotonic_ns()))
        pump.take(pump.stimulator.feed(b"\xfe\x01", time.monotonic_ns()))
        assert len(pump.sent) == sent
        assert pump.stimulator.report.state is StimState.DISCONNECTED

    def test_reopened_line_is_secured_again_before_anything(self, rig: StimulatorRig, pump: Pump) -> None:
        pump.make_ready(rig.settings)
        pump.take(pump.stimulator.disconnected(time.monotonic_ns()))
        os.close(pump.fd)
        pump.fd = rig.open()
        sent = len(pump.sent)
        pump.connect()
        assert pump.sent[sent].startswith(rig.disarm_bytes)
        assert pump.stimulator.prepared is None

    def test_disarm_stops_a_train_that_outlived_its_host(self, rig: StimulatorRig, pump: Pump) -> None:
        pump.make_ready(rig.settings)
        pump.start()
        begun_ns = time.monotonic_ns()
        outcome = disarm(pump.fd, rig.stimulator(), begun_ns + 2_000_000_000, time.monotonic_ns)
        confirmed_ns = time.monotonic_ns()
        assert outcome.confirmed
        assert outcome.found_running
        assert outcome.found_enabled
        pump.see_aftermath()
        assert all(pulse_ns <= confirmed_ns for pulse_ns in rig.pulses_ns())
        assert len(rig.pulses_ns()) < rig.settings.pulses
