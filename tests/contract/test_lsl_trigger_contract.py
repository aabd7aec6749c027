"""An external trigger box over a real bridge process and real streams of LSL: what the contract in simulated time cannot show."""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.disarm import disarm
from drivers.lsl_trigger_line import LslLine
from drivers.values import BurstFired, Disabled, Owned, PanelAct, StimFault, StimState, TrainEnded, TrainSettings
from tests.lsl_streams import BoxOnLsl, Pump, this_machine_only

TRAIN = TrainSettings(amplitude_pct_mso=40, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="20", bursts=20)
THETA = TrainSettings(amplitude_pct_mso=40, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=5)
S = 1_000_000_000


@pytest.fixture(scope="module", autouse=True)
def _here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with this_machine_only(tmp_path_factory.mktemp("lsl")):
        yield


@pytest.fixture
def box(tmp_path: Path) -> Iterator[BoxOnLsl]:
    one = BoxOnLsl(tmp_path)
    yield one
    one.close()


@pytest.fixture
def pump(box: BoxOnLsl) -> Iterator[Pump]:
    one = Pump(box.stimulator(), box.open())
    yield one
    os.close(one.fd)


def test_theta_burst_is_timed_by_the_box_and_each_burst_counts_once(box: BoxOnLsl, pump: Pump) -> None:
    pump.make_ready(THETA)
    pump.start()
    pump.next(TrainEnded)
    pulses_ns = box.pulses_ns()
    assert [later - earlier for earlier, later in itertools.pairwise(pulses_ns)][:3] == [20_000_000, 20_000_000, 160_000_000]
    assert [event.asked for event in pump.all(BurstFired)] == [True] * THETA.bursts
    assert len(pulses_ns) == THETA.pulses
    assert pump.driver.damaged == 0


def test_stop_mid_train_is_confirmed_and_no_pulse_follows(box: BoxOnLsl, pump: Pump) -> None:
    pump.make_ready(TRAIN)
    pump.start()
    pump.until(lambda: len(box.pulses_ns()) >= TRAIN.pulses // 2)
    answer = pump.stop()
    assert answer.confirmed
    pump.until_ns(answer.at_ns + S // 4)
    assert len(box.pulses_ns()) < TRAIN.pulses
    assert all(pulse_ns <= answer.at_ns for pulse_ns in box.pulses_ns())
    assert len(pump.all(BurstFired)) == len(box.pulses_ns())


def test_disarm_from_outside_stops_a_train_that_outlived_its_host(box: BoxOnLsl, pump: Pump) -> None:
    pump.make_ready(TRAIN)
    pump.start()
    outcome = disarm(pump.fd, box.stimulator(), time.monotonic_ns() + 2 * S, time.monotonic_ns)
    assert (outcome.confirmed, outcome.found_enabled, outcome.found_running) == (True, True, True)
    assert len(box.pulses_ns()) < TRAIN.pulses


def test_disarm_over_a_new_line_is_confirmed_within_the_supervisor_s_three_seconds(box: BoxOnLsl) -> None:
    box.simulator.press_arm()
    fd = box.open()
    outcome = disarm(fd, box.stimulator(), time.monotonic_ns() + 3 * S, time.monotonic_ns)
    os.close(fd)
    assert (outcome.confirmed, outcome.found_enabled) == (True, True)
    assert not box.simulator.box.armed


def test_stop_at_the_box_takes_the_arm(box: BoxOnLsl, pump: Pump) -> None:
    pump.make_ready(TRAIN)
    box.simulator.press_stop()
    assert pump.next(PanelAct).what.startswith("disabled")
    pump.until(lambda: any(event.confirmed for event in pump.all(Disabled)))


def test_hung_bridge_is_silence_and_what_it_held_back_fires_nothing_later(box: BoxOnLsl, pump: Pump) -> None:
    pump.make_ready(TRAIN)
    (bridge,) = box.line.bridges
    os.kill(bridge, signal.SIGSTOP)
    try:
        pump.take(pump.driver.start_train(time.monotonic_ns()))
        pump.next(StimFault)
        pump.until(lambda: not box.simulator.box.armed)  # by its own time-out
    finally:
        os.kill(bridge, signal.SIGCONT)
    pump.until(lambda: any(event.confirmed for event in pump.all(Disabled)))
    assert box.pulses_ns() == []


def test_host_that_dies_mid_train_leaves_the_box_disarmed_at_once(box: BoxOnLsl, pump: Pump) -> None:
    pump.make_ready(TRAIN)
    pump.start()
    os.close(pump.fd)
    closed_ns = time.monotonic_ns()
    box.line.wait_ended(10.0)
    pump.fd = box.open()
    assert pump.connect().found_enabled is False
    off_ns = [int(str(record["mono_ns"])) for record in box.truth() if record["kind"] == "disabled"]
    assert off_ns[0] < closed_ns + S // 2
    assert all(pulse_ns <= off_ns[0] for pulse_ns in box.pulses_ns())


def test_killed_bridge_is_a_lost_line_and_the_box_forgets_its_host(box: BoxOnLsl, pump: Pump) -> None:
    pump.make_ready(TRAIN)
    (bridge,) = box.line.bridges
    os.kill(bridge, signal.SIGKILL)
    box.line.wait_ended(10.0)
    os.set_blocking(pump.fd, True)
    while os.read(pump.fd, 65536):
        pass
    pump.take(pump.driver.disconnected(time.monotonic_ns()))
    assert pump.driver.report.state is StimState.DISCONNECTED
    os.close(pump.fd)
    pump.fd = box.open()
    assert pump.connect().found_running is False
    pump.until(lambda: not box.simulator.box.armed)


def test_second_owner_of_a_trigger_stream_is_refused(box: BoxOnLsl, pump: Pump) -> None:
    pump.connect()
    with pytest.raises(Owned, match="one owner"):
        LslLine(**box.names).open()
