"""The firing logic over a simulated MagPro's real bytes: whole trains, single pulses, the test of the hardware stop."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from daemon import ipc
from daemon.firing import MOST_PULSES_PER_BURST
from daemon.ipc import ArmState, DeviceAlarm, HardwareStopSeen, Ungranted
from daemon.purpose import Purpose
from drivers.values import StimState, TrainSettings
from tests.firing_line import FiringLine, S
from tests.gate_views import SETTINGS
from tests.puppet import PULSE
from tests.unit.test_magventure_pulses import EIGHTEEN_HZ, ONE_HZ, TEN_HZ

INTERVAL_NS = 5 * S


def test_pulses_of_a_search_are_given_as_granted_and_the_device_is_off_between_them() -> None:
    line = FiringLine()
    line.arm(PULSE, Purpose.MT)
    amplitudes = (60, 18, 28, 38, 44, 47)
    receipts = [line.give(replace(PULSE, amplitude_pct_mso=amplitude), INTERVAL_NS) for amplitude in amplitudes]
    line.within(1000, lambda: line.driver.report.enabled is False)
    assert [(receipt.pulses, receipt.confirmed) for receipt in receipts] == [(1, True)] * 6
    assert len(line.truth.pulses_ns) == 6
    assert all(later - earlier >= INTERVAL_NS for earlier, later in pairwise(line.truth.pulses_ns))
    charged = [enabled for _, enabled in line.truth.charged_states]
    assert charged == [True, False] * 7  # once for the arm
    assert line.all(DeviceAlarm) == []
    assert line.firing.armed


@pytest.mark.parametrize("settings", [SETTINGS, TEN_HZ, ONE_HZ, EIGHTEEN_HZ], ids=["theta", "10 Hz", "1 Hz", "18 Hz"])
def test_a_train_is_receipted_as_given_and_confirmed(settings: TrainSettings) -> None:
    line = FiringLine()
    line.arm(settings)
    first, second = (line.give(settings, gap_ns=2 * S) for _ in range(2))
    assert first.pulses + second.pulses == len(line.truth.pulses_ns)
    assert first.confirmed
    assert second.confirmed
    assert line.all(DeviceAlarm) == []


def test_a_train_that_is_held_counts_what_it_gave() -> None:
    line = FiringLine()
    line.arm(TEN_HZ)
    line.firing.order_grant(_grant(line), line.now_ns)
    line.within(5000, lambda: len(line.truth.pulses_ns) >= 12)
    line.firing.hold("operator", line.now_ns)
    line.take()
    line.within(2000, lambda: bool(line.all(ipc.Receipt)))
    assert line.all(ipc.Receipt)[0].pulses == len(line.truth.pulses_ns) < TEN_HZ.pulses
    assert line.firing.armed


def _grant(line: FiringLine) -> ipc.Grant:
    return ipc.Grant(
        run_id="run",
        grant_no=1,
        arm_no=1,
        train=1,
        settings=TEN_HZ,
        not_before_ns=line.now_ns,
        expires_ns=line.now_ns + 2 * S,
        gap_ns=0,
        wall_minus_mono_ns=5_000,
    )


@pytest.mark.parametrize("delay_ms", [0, 130, 900])
def test_the_test_of_the_hardware_stop_leaves_the_device_in_standby_without_a_fault(delay_ms: int) -> None:
    line = FiringLine()
    line.firing.order_test(ipc.TestStop(arm_no=-1, within_ns=30 * S), line.now_ns)
    line.within(5000, lambda: line.driver.report.state is StimState.READY)
    line.run(delay_ms)
    line.device.disable(line.now_ns)
    line.run(1000)
    assert line.all(HardwareStopSeen) == [HardwareStopSeen(arm_no=-1, seen=True, why="")]
    assert (line.driver.report.state, line.driver.report.fault) == (StimState.STANDBY, None)
    assert line.all(DeviceAlarm) == []
    assert line.truth.pulses_ns == []
    line.arm(SETTINGS)


def test_a_fault_after_the_test_of_the_hardware_stop_is_told() -> None:
    line = FiringLine()
    line.firing.order_test(ipc.TestStop(arm_no=-1, within_ns=30 * S), line.now_ns)
    line.within(5000, lambda: line.driver.report.state is StimState.READY)
    line.device.disable(line.now_ns)
    line.run(1000)
    line.arm(SETTINGS)
    line.device.plug_coil(72, line.now_ns)
    line.run(500)
    assert not line.all(ArmState)[-1].armed
    assert line.all(DeviceAlarm)


def test_a_pulse_at_the_panel_during_a_search_counts_as_the_most_that_it_can_have_been() -> None:
    line = FiringLine()
    line.arm(PULSE, Purpose.MT)
    line.give(PULSE, INTERVAL_NS)
    line.within(1000, lambda: line.driver.report.enabled is False)
    line.device.enable(line.now_ns)
    line.within(300, lambda: line.device.enabled)
    line.device.trigger(line.now_ns)
    line.run(500)
    assert [stray.pulses for stray in line.all(Ungranted)] == [MOST_PULSES_PER_BURST]  # the hand had already taken the arm
    assert len(line.truth.pulses_ns) == 2
    assert not line.firing.armed
    assert line.driver.report.enabled is False


def test_a_pulse_whose_report_is_lost_counts_although_the_device_ends_in_order() -> None:
    line = FiringLine()
    line.arm(PULSE, Purpose.MT)
    line.give(PULSE, INTERVAL_NS)
    line.faults.loses_receipts = True
    receipt = line.give(PULSE, INTERVAL_NS)
    assert (receipt.pulses, receipt.confirmed) == (1, False)
    assert len(line.truth.pulses_ns) == 2


@pytest.mark.parametrize("seed", range(10))
def test_a_search_over_a_line_that_drops_bytes_never_counts_too_little(seed: int) -> None:
    line = FiringLine(seed=seed)
    line.arm(PULSE, Purpose.MT)
    line.faults.drop_byte_probability = 0.02
    for _ in range(6):
        if line.firing.armed:
            line.give(PULSE, INTERVAL_NS)
            line.run(500)
    told = sum(receipt.pulses for receipt in line.all(ipc.Receipt)) + sum(stray.pulses for stray in line.all(Ungranted))
    assert told >= len(line.truth.pulses_ns)
