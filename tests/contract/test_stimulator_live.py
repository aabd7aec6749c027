"""The contract's chief promises once more in real time, on a pseudo terminal and against a unit with a thread of its own."""

import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.disarm import disarm
from drivers.values import StimFault, TrainEnded
from sim.magventure_settings import COIL_TYPE
from sim.pty_port import PtyPort
from sim.room_unit import make_unit
from sim.truth import TruthLog
from tests.contract.stimulator_kit import MS, Model
from tests.contract.stimulator_kit_live import Pump
from tests.contract.stimulator_models import MODELS

AFTERMATH_NS = 400 * MS  # late receipts, and pulses that must not come


@dataclass(frozen=True, slots=True)
class Live:
    """A model of the contract, and what the room calls it."""

    model: Model
    name: str
    period_ns: int


BY_NAME = {model.name: model for model in MODELS}
LIVES = (Live(BY_NAME["magventure x100-option"], "x100-option", 200 * MS), Live(BY_NAME["magstim plus1 v9.0"], "plus1", 100 * MS))


@pytest.fixture(params=LIVES, ids=[live.name for live in LIVES])
def live(request: pytest.FixtureRequest) -> Live:
    chosen: Live = request.param
    return chosen


@pytest.fixture
def pump(live: Live, tmp_path: Path) -> Iterator[Pump]:
    assert COIL_TYPE == 60, "the contract's drivers expect this coil"
    log = tmp_path / "truth.jsonl"
    with TruthLog(log) as truth, PtyPort(tmp_path / "stimulator") as pty:
        unit = make_unit(live.name, pty, truth, seed=1)
        unit.start()
        pump = Pump(live.model.make(0).driver, unit, pty.endpoint, log)
        yield pump
        os.close(pump.fd)
        unit.stop()


def test_train_delivers_exactly_its_pulses_at_exactly_its_times(live: Live, pump: Pump) -> None:
    pump.make_ready(live.model.settings)
    assert pump.pulses_ns == []
    pump.start()
    pump.next(TrainEnded)
    pump.until_ns(time.monotonic_ns() + AFTERMATH_NS)
    onsets_ns = pump.pulses_ns[:: live.model.settings.pulses_per_burst]
    assert len(pump.pulses_ns) == live.model.settings.pulses
    assert {later - earlier for earlier, later in itertools.pairwise(onsets_ns)} == {live.period_ns}
    assert not pump.all(StimFault)


def test_stop_mid_train_is_written_at_once_and_no_pulse_follows_its_confirmation(live: Live, pump: Pump) -> None:
    pump.make_ready(live.model.settings)
    pump.start()
    pump.until(lambda: len(pump.pulses_ns) >= live.model.settings.pulses // 4)
    sent = len(pump.sent)
    answer = pump.stop()
    assert pump.sent[sent].startswith(live.model.disarm_bytes)
    assert answer.confirmed
    pump.until_ns(time.monotonic_ns() + AFTERMATH_NS)
    assert len(pump.pulses_ns) < live.model.settings.pulses
    assert all(pulse_ns <= answer.at_ns for pulse_ns in pump.pulses_ns)


def test_disarm_stops_a_train_that_outlived_its_host(live: Live, pump: Pump) -> None:
    pump.make_ready(live.model.settings)
    pump.start()
    outcome = disarm(pump.fd, live.model.make(0).driver, time.monotonic_ns() + 2000 * MS, time.monotonic_ns)
    confirmed_ns = time.monotonic_ns()
    assert (outcome.confirmed, outcome.found_running, outcome.found_enabled) == (True, True, True)
    pump.until_ns(confirmed_ns + AFTERMATH_NS)
    assert all(pulse_ns <= confirmed_ns for pulse_ns in pump.pulses_ns)
    assert len(pump.pulses_ns) < live.model.settings.pulses


def test_disarm_of_a_silent_device_is_unconfirmed_at_its_deadline(live: Live, pump: Pump) -> None:
    setattr(pump.unit.faults, "silent", True)  # noqa: B010  # both families' switches have it
    deadline_ns = time.monotonic_ns() + 1200 * MS
    outcome = disarm(pump.fd, live.model.make(0).driver, deadline_ns, time.monotonic_ns)
    assert not outcome.confirmed
    assert outcome.why.startswith("no answer")
    assert time.monotonic_ns() >= deadline_ns


def test_disarm_of_a_port_that_is_gone_is_unconfirmed(live: Live) -> None:
    ours, theirs = os.openpty()
    os.set_blocking(theirs, False)
    os.close(ours)
    outcome = disarm(theirs, live.model.make(0).driver, time.monotonic_ns() + 1000 * MS, time.monotonic_ns)
    os.close(theirs)
    assert not outcome.confirmed
    assert outcome.why in ("the port is gone", "the port takes nothing")
