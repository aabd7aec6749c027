"""The MagVenture driver against the stimulator contract, over the simulated unit's real bytes on a pseudo terminal."""

import itertools
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from drivers.disarm import disarm
from drivers.magventure import MagVentureStimulator
from drivers.protocols import Stimulator
from drivers.values import Disabled, StimFault, TrainSettings
from sim.magventure_sim import MagVentureSim
from sim.pty_port import PtyPort
from sim.truth import TruthLog
from tests.contract.stimulator_kit import Pump, StimulatorContract

SHORT_TRAIN = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="10", bursts=6)
PLAIN_TRAIN = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="10", bursts=8)


@dataclass(frozen=True, slots=True)
class Kind:
    """A model, a short train that it can deliver, and one that it cannot."""

    model: str
    settings: TrainSettings
    impossible: TrainSettings
    events_per_burst: int = 1


THETA_X100_OPTION = Kind("x100-option", SHORT_TRAIN, replace(SHORT_TRAIN, burst_hz="21"))


class MagVentureRig:
    disarm_bytes = bytes.fromhex("FE02020091FF")
    counts_bursts = True

    def __init__(self, simulator: MagVentureSim, port: Path, truth: Path, kind: Kind) -> None:
        self.simulator = simulator
        self.port = port
        self._truth = truth
        self._kind = kind
        self.settings, self.impossible = kind.settings, kind.impossible

    def open(self) -> int:
        return os.open(self.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def stimulator(self) -> Stimulator:
        events = self._kind.events_per_burst
        return MagVentureStimulator(self._kind.model, 60, events_per_burst=events, max_amplitude_pct_mso=80)

    def truth(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._truth.read_text().splitlines()]

    def pulses_ns(self) -> list[int]:
        return [int(str(record["mono_ns"])) for record in self.truth() if record["kind"] == "pulse"]


@pytest.fixture
def kind() -> Kind:
    return THETA_X100_OPTION


@pytest.fixture
def rig(tmp_path: Path, kind: Kind) -> Iterator[MagVentureRig]:
    log = tmp_path / "truth.jsonl"
    with TruthLog(log) as truth, PtyPort(tmp_path / "stimulator") as pty:
        simulator = MagVentureSim(pty, truth, model=kind.model, events_per_burst=kind.events_per_burst)
        simulator.start()
        yield MagVentureRig(simulator, pty.endpoint, log, kind)
        simulator.stop()


class TestPlainTrainsOfAnR30(StimulatorContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Kind("r30", PLAIN_TRAIN, SHORT_TRAIN)


class TestPlainTrainsWhereABurstHasThreeReceipts(StimulatorContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Kind("x100", PLAIN_TRAIN, replace(PLAIN_TRAIN, burst_hz="101"), events_per_burst=3)


class TestMagVenture(StimulatorContract):
    def test_pulses_of_a_burst_are_20_ms_apart_and_bursts_100_ms(self, rig: MagVentureRig, pump: Pump) -> None:
        pump.make_ready(SHORT_TRAIN)
        pump.start()
        pump.until(lambda: len(rig.pulses_ns()) == 18)
        pulses_ns = rig.pulses_ns()
        assert [later - earlier for earlier, later in itertools.pairwise(pulses_ns)][:6] == [
            20_000_000,
            20_000_000,
            60_000_000,
            20_000_000,
            20_000_000,
            60_000_000,
        ]

    def test_truth_tells_the_charged_state_around_the_pulses(self, rig: MagVentureRig, pump: Pump) -> None:
        pump.make_ready(SHORT_TRAIN)
        pump.start()
        pump.until(lambda: len(rig.pulses_ns()) == 18)
        pump.stop()
        kinds = [record["kind"] for record in rig.truth()]
        assert kinds == ["enabled", *["pulse"] * 18, "disabled"]
        assert rig.truth()[1] | {"mono_ns": 0} == {
            "kind": "pulse",
            "mono_ns": 0,
            "amplitude_pct": 50,
            "enabled": True,
            "train": 1,
            "lateral_mm": None,
            "tilt_deg": None,
            "twist_deg": None,
            "gap_mm": None,
            "head_seen": None,
            "coil_seen": None,
        }

    def test_hand_at_the_panel_while_ready_ends_disabled(self, rig: MagVentureRig, pump: Pump) -> None:
        pump.make_ready(SHORT_TRAIN)
        rig.simulator.panel_amplitude(70)
        pump.next(StimFault)
        pump.until(lambda: any(event.confirmed for event in pump.all(Disabled)))
        assert not rig.simulator.enabled

    def test_disarm_of_a_silent_device_is_unconfirmed_at_its_deadline(self, rig: MagVentureRig) -> None:
        rig.simulator.faults.silent = True
        fd = rig.open()
        deadline_ns = time.monotonic_ns() + 1_200_000_000
        outcome = disarm(fd, rig.stimulator(), deadline_ns, time.monotonic_ns)
        os.close(fd)
        assert not outcome.confirmed
        assert outcome.why.startswith("no answer")
        assert time.monotonic_ns() >= deadline_ns

    def test_disarm_waits_for_a_device_that_ignores_the_first_tries(self, rig: MagVentureRig) -> None:
        rig.simulator.panel_enable()
        rig.simulator.faults.ignores_stop_ms = 250
        fd = rig.open()
        outcome = disarm(fd, rig.stimulator(), time.monotonic_ns() + 2_000_000_000, time.monotonic_ns)
        os.close(fd)
        assert outcome.confirmed
        assert outcome.found_enabled
        assert not rig.simulator.enabled


def test_disarm_of_a_port_that_is_gone_is_unconfirmed() -> None:
    ours, theirs = os.openpty()
    os.set_blocking(theirs, False)
    os.close(ours)
    stimulator = MagVentureStimulator("x100-option", 60, events_per_burst=1, max_amplitude_pct_mso=80)
    outcome = disarm(theirs, stimulator, time.monotonic_ns() + 1_000_000_000, time.monotonic_ns)
    os.close(theirs)
    assert not outcome.confirmed
    assert outcome.why in ("the port is gone", "the port takes nothing")
