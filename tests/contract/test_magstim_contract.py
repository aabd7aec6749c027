"""The Magstim driver against the stimulator contract, over the simulated unit's real bytes on a pseudo terminal."""

import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from drivers.disarm import disarm
from drivers.magstim import MagstimStimulator
from drivers.magstim_command_wire import UnlockCode
from drivers.protocols import Step, Stimulator
from drivers.values import Disabled, StimEvent, StimFault, TrainSettings
from sim.magstim_settings import DEFAULT_UNLOCK
from sim.magstim_sim import MagstimSim
from sim.pty_port import PtyPort
from sim.truth import TruthLog
from tests.contract.stimulator_kit import Pump, StimulatorContract

SHORT_TRAIN = TrainSettings(amplitude_pct_mso=40, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="20", bursts=20)
BEAT_NS = 300_000_000


class HeardMagstim(MagstimStimulator):
    """The driver in a process whose daemon beats at every turn."""

    def feed(self, data: bytes, now_ns: int) -> Step[StimEvent]:
        self.may_keep_alive(now_ns + BEAT_NS)
        return super().feed(data, now_ns)

    def tick(self, now_ns: int) -> Step[StimEvent]:
        self.may_keep_alive(now_ns + BEAT_NS)
        return super().tick(now_ns)


class MagstimRig:
    settings = SHORT_TRAIN
    impossible = replace(SHORT_TRAIN, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5")
    disarm_bytes = bytes.fromhex("454179")
    counts_bursts = False

    def __init__(self, simulator: MagstimSim, model: str, port: Path, truth: Path) -> None:
        self.simulator = simulator
        self.port = port
        self._model = model
        self._truth = truth

    def open(self) -> int:
        return os.open(self.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def stimulator(self) -> Stimulator:
        code = UnlockCode(DEFAULT_UNLOCK.encode())
        return HeardMagstim(self._model, 60, max_amplitude_pct_mso=80, unlock=code, spent_before_joules=0.0)

    def truth(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._truth.read_text().splitlines()]

    def pulses_ns(self) -> list[int]:
        return [int(str(record["mono_ns"])) for record in self.truth() if record["kind"] == "pulse"]


@pytest.fixture(params=[("superrapid", "7.2"), ("plus1", "9.0")], ids=["before-9", "from-9"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MagstimRig]:
    model, software = request.param
    log = tmp_path / "truth.jsonl"
    with TruthLog(log) as truth, PtyPort(tmp_path / "stimulator") as pty:
        simulator = MagstimSim(pty, truth, model=model, software=software)
        simulator.start()
        yield MagstimRig(simulator, model, pty.endpoint, log)
        simulator.stop()


class TestMagstim(StimulatorContract):
    def test_pulses_are_50_ms_apart_and_counted_as_one_train(self, rig: MagstimRig, pump: Pump) -> None:
        pump.make_ready(SHORT_TRAIN)
        pump.start()
        pump.until(lambda: len(rig.pulses_ns()) == SHORT_TRAIN.pulses)
        assert {later - earlier for earlier, later in itertools.pairwise(rig.pulses_ns())} == {50_000_000}
        kinds = [(record["kind"], record.get("train"), record.get("amplitude_pct")) for record in rig.truth()]
        assert kinds == [("enabled", None, None), *[("pulse", 1, 40)] * SHORT_TRAIN.pulses]

    def test_unit_whose_stop_is_pressed_while_ready_ends_disarmed(self, rig: MagstimRig, pump: Pump) -> None:
        pump.make_ready(SHORT_TRAIN)
        rig.simulator.press_stop()
        pump.next(StimFault)
        pump.until(lambda: any(event.confirmed for event in pump.all(Disabled)))
        assert not rig.simulator.armed

    def test_disarm_of_a_silent_unit_is_unconfirmed_at_its_deadline(self, rig: MagstimRig) -> None:
        rig.simulator.faults.silent = True
        fd = rig.open()
        deadline_ns = time.monotonic_ns() + 500_000_000
        outcome = disarm(fd, rig.stimulator(), deadline_ns, time.monotonic_ns)
        os.close(fd)
        assert not outcome.confirmed
        assert outcome.why.startswith("no answer")
        assert time.monotonic_ns() >= deadline_ns

    def test_disarm_waits_for_a_unit_that_ignores_the_first_tries(self, rig: MagstimRig) -> None:
        rig.simulator.press_arm()
        rig.simulator.faults.ignores_stop_ms = 120
        fd = rig.open()
        outcome = disarm(fd, rig.stimulator(), time.monotonic_ns() + 2_000_000_000, time.monotonic_ns)
        os.close(fd)
        assert outcome.confirmed
        assert outcome.found_enabled
        assert not rig.simulator.armed


def test_disarm_of_a_magstim_whose_port_is_gone_is_unconfirmed() -> None:
    ours, theirs = os.openpty()
    os.set_blocking(theirs, False)
    os.close(ours)
    outcome = disarm(theirs, MagstimStimulator("rapid", 60, max_amplitude_pct_mso=80), time.monotonic_ns() + 10**9, time.monotonic_ns)
    os.close(theirs)
    assert not outcome.confirmed
    assert outcome.why in ("the port is gone", "the port takes nothing")
