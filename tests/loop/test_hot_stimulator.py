"""A stimulator, its line and its panel that misbehave: the device ends disabled, and no pulse is counted less than it was given."""

import time
from collections.abc import Callable

import pytest

from daemon import ipc
from sim.magventure_faults import MagVentureFaults
from tests.loop.accounts import MS, PROCESS_LOST_MS, assert_accounted, assert_confirmed_off, assert_off
from tests.loop.hot_rig import SHORT, THETA, HotRig

SILENCE_MS = 700  # the driver's own limits: a status older than 450 ms, a receipt two intervals late; then a disable
CHAIN_MS = 150


def faults(rig: HotRig) -> MagVentureFaults:
    return rig.room.stimulator.faults


def assert_arm_lost(rig: HotRig) -> str:
    lost = rig.wait_for(ipc.ArmState, where=lambda state: not state.armed)
    assert lost.stopped
    return lost.why


def test_a_device_that_falls_silent_is_disabled_alarmed_and_its_train_counts_in_full(rig: HotRig) -> None:
    grant = rig.fire()
    since_ns = time.monotonic_ns()
    faults(rig).silent = True
    assert_off(rig, since_ns, SILENCE_MS)
    alarm = rig.wait_for(ipc.DeviceAlarm, where=lambda one: one.code == "disarm_unconfirmed")
    assert alarm.high
    receipt = rig.receipt(grant)
    assert (receipt.pulses, receipt.confirmed) == (THETA.pulses, False)
    assert rig.ask_arm(SHORT).why == "the stimulator is not confirmed safe yet"
    faults(rig).silent = False
    assert_confirmed_off(rig, since_ns)
    assert_accounted(rig, exact=False)


@pytest.mark.parametrize(
    "damage",
    [
        lambda one: setattr(one, "wrong_crc", True),
        lambda one: setattr(one, "duplicate_byte_probability", 0.3),
        lambda one: setattr(one, "drop_byte_probability", 0.3),
        lambda one: setattr(one, "loses_receipts", True),
    ],
    ids=["wrong checksums", "doubled bytes", "lost bytes", "lost receipts"],
)
def test_a_damaged_line_ends_the_train_and_the_holes_are_filled(rig: HotRig, damage: Callable[[MagVentureFaults], None]) -> None:
    grant = rig.fire()
    since_ns = time.monotonic_ns()
    damage(faults(rig))
    assert_off(rig, since_ns, PROCESS_LOST_MS)
    rig.room.mend()
    receipt = rig.receipt(grant)
    assert not receipt.confirmed
    assert_arm_lost(rig)
    assert_confirmed_off(rig, since_ns)
    assert_accounted(rig, exact=False)


def test_a_pulled_cable_is_an_alarm_and_the_train_that_runs_on_counts_in_full(rig: HotRig) -> None:
    grant = rig.fire()
    rig.room.cable.pull()
    alarm = rig.wait_for(ipc.DeviceAlarm)
    assert "stays enabled" in alarm.text
    assert assert_arm_lost(rig) != ""
    receipt = rig.receipt(grant)
    assert (receipt.pulses, receipt.confirmed) == (THETA.pulses, False)
    assert rig.given() == THETA.pulses, "nobody could stop it"
    assert rig.room.stimulator.enabled
    rig.room.cable.plug()
    assert rig.wait_for(ipc.Safe, where=lambda safe: safe.opening).confirmed
    assert not rig.room.stimulator.enabled
    assert_accounted(rig, exact=True)


def test_a_cable_that_is_put_back_in_mid_train_disarms_first(rig: HotRig) -> None:
    grant = rig.fire()
    rig.room.cable.pull()
    rig.wait_for(ipc.DeviceAlarm)
    since_ns = time.monotonic_ns()
    rig.room.cable.plug()
    found = rig.wait_for(ipc.Safe, where=lambda safe: safe.opening)
    assert (found.found_enabled, found.found_running) == (True, True)
    assert_off(rig, since_ns, PROCESS_LOST_MS)
    assert rig.given() < THETA.pulses
    assert not rig.receipt(grant).confirmed
    assert_accounted(rig, exact=False)


def test_a_device_that_ignores_the_stop_for_300_ms_is_told_again_until_it_obeys(rig: HotRig) -> None:
    grant = rig.fire()
    faults(rig).ignores_stop_ms = 300.0
    since_ns = rig.stop()
    assert_off(rig, since_ns, 300 + 100 + CHAIN_MS)
    rig.wait_for(ipc.Safe, where=lambda safe: safe.confirmed)
    assert rig.receipt(grant).why == ("operator",)
    assert_accounted(rig, exact=False)


def test_a_device_that_never_obeys_the_stop_is_the_loudest_alarm(rig: HotRig) -> None:
    grant = rig.fire(settings=SHORT)
    faults(rig).ignores_stop_ms = 2_000.0
    rig.stop()
    alarm = rig.wait_for(ipc.DeviceAlarm, where=lambda one: one.code == "disarm_unconfirmed")
    assert (alarm.high, "red button" in alarm.remedy) == (True, True)
    assert rig.wait_for(ipc.Safe).confirmed is False
    rig.wait_for(ipc.Safe, where=lambda safe: safe.confirmed)
    assert rig.receipt(grant).pulses == SHORT.pulses
    assert_accounted(rig, exact=True)


@pytest.mark.parametrize(
    ("mid_train", "press", "words"),
    [
        (True, lambda rig: rig.room.stimulator.panel_disable(), "the train ended by itself after 1 of 5 bursts"),
        (True, lambda rig: rig.room.stimulator.panel_amplitude(60), "amplitude changed from 45 to 60"),
        (True, lambda rig: rig.room.stimulator.remove_coil(), "coil type changed"),
        (False, lambda rig: rig.room.stimulator.panel_disable(), "disabled at the panel"),
        (False, lambda rig: rig.room.stimulator.panel_amplitude(60), "amplitude changed from 45 to 60"),
        (False, lambda rig: rig.room.stimulator.remove_coil(), "coil type changed"),
    ],
)
def test_a_hand_at_the_panel_takes_the_arm_away(rig: HotRig, mid_train: bool, press: Callable[[HotRig], None], words: str) -> None:
    if mid_train:
        rig.fire(settings=SHORT)
    else:
        rig.arm(SHORT)
    since_ns = time.monotonic_ns()
    press(rig)
    assert_confirmed_off(rig, since_ns)
    rig.wait_for(ipc.DeviceAlarm, where=lambda one: words in one.text)
    assert_arm_lost(rig)
    assert (rig.given() > 0) is mid_train
    assert_accounted(rig, exact=True)


def test_the_enable_key_at_rest_is_answered_with_a_disable(rig: HotRig) -> None:
    since_ns = time.monotonic_ns()
    rig.room.stimulator.panel_enable()
    assert_confirmed_off(rig, since_ns)
    assert "enabled at the panel" in rig.wait_for(ipc.DeviceAlarm).text
    assert rig.given() == 0


def test_a_pulse_fired_at_the_panel_while_armed_is_counted_and_ends_the_arm(rig: HotRig) -> None:
    rig.arm(SHORT)
    since_ns = time.monotonic_ns()
    rig.room.stimulator.panel_fire()
    assert_confirmed_off(rig, since_ns)
    alarm = rig.wait_for(ipc.DeviceAlarm, where=lambda one: one.code == "uncommanded_pulse")
    assert alarm.high
    assert assert_arm_lost(rig) == "uncommanded pulse"
    assert rig.given() == 3
    assert_accounted(rig, exact=True, strays=True)


def test_a_train_started_at_the_panel_while_armed_is_stopped_and_every_pulse_of_it_counted(rig: HotRig) -> None:
    rig.arm(SHORT)
    since_ns = time.monotonic_ns()
    rig.room.stimulator.panel_start_train()
    assert_confirmed_off(rig, since_ns)
    assert_arm_lost(rig)
    assert 0 < rig.given() < SHORT.pulses
    assert_accounted(rig, exact=False, strays=True)


def test_pulses_fired_at_the_panel_at_rest_are_counted_too(rig: HotRig) -> None:
    since_ns = time.monotonic_ns()
    rig.room.stimulator.panel_enable()
    rig.room.wait("the charge", lambda: any(charge.enabled and charge.at_ns > since_ns for charge in rig.room.truth.charges))
    rig.room.stimulator.panel_fire()
    assert_confirmed_off(rig, since_ns)
    stray = rig.wait_for(ipc.Ungranted)
    assert stray.pulses >= rig.given() > 0
    assert_accounted(rig, exact=False, strays=True)


def test_an_ungranted_pulse_starts_the_gap_anew(rig: HotRig) -> None:
    rig.arm(SHORT)
    rig.room.stimulator.panel_fire()
    rig.wait_for(ipc.Safe, where=lambda safe: safe.confirmed)
    stray_ns = rig.truth()[-1].at_ns
    rig.room.wait("the device's rest", lambda: not rig.room.stimulator.enabled)
    rig.arm(SHORT)
    rig.receipt(rig.grant(gap_ns=1_500 * MS))
    assert rig.truth()[3].at_ns - stray_ns >= 1_500 * MS


def test_a_coil_at_41_degrees_ends_the_train(rig: HotRig) -> None:
    grant = rig.fire()
    since_ns = time.monotonic_ns()
    faults(rig).reports_temperature_c = 41
    assert_confirmed_off(rig, since_ns)
    assert "41 degrees" in ", ".join(rig.receipt(grant).why)
    assert_accounted(rig, exact=True)


def test_a_coil_at_40_degrees_starts_no_train(rig: HotRig) -> None:
    rig.arm(SHORT)
    faults(rig).reports_temperature_c = 40
    rig.wait_vetoed("coil_hot")
    receipt = rig.receipt(rig.grant(expires_ns=time.monotonic_ns() + 400 * MS))
    assert (receipt.pulses, "coil_hot" in receipt.why) == (0, True)
    assert rig.given() == 0


def test_more_bursts_than_the_plan_are_counted_and_stopped(rig: HotRig) -> None:
    rig.arm(SHORT)
    faults(rig).extra_bursts = 4
    grant = rig.grant()
    receipt = rig.receipt(grant)
    assert receipt.pulses + sum(stray.pulses for stray in rig.all(ipc.Ungranted)) >= rig.given() > SHORT.pulses
    assert_arm_lost(rig)
    assert rig.given() < SHORT.pulses + 4 * 3
    assert_accounted(rig, exact=False)
