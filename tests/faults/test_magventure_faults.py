"""What can go wrong with a MagVenture or its line: each ends disabled, with a reason, and with every pulse accounted for."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from drivers.values import BurstFired, Disabled, PanelAct, Ready, Secured, StimFault, StimReport, StimState, TrainEnded
from tests.magventure_line import MS, THETA, MagVentureLine

Act = Callable[[MagVentureLine], None]


@dataclass(frozen=True)
class Trouble:
    """Something that goes wrong, what the fault must say, and what of the line is well again before the end is judged."""

    name: str
    act: Act
    words: str
    heal: Act = lambda _: None


def switch(name: str, value: object) -> Act:
    return lambda line: setattr(line.faults, name, value)


def loosen_coil(line: MagVentureLine) -> None:
    line.device.plug_coil(0, line.now_ns)


WHILE_FIRING = [
    Trouble("silence", switch("silent", True), "no status for 450 ms", switch("silent", False)),
    Trouble("deaf device", switch("deaf", True), "no status for 450 ms", switch("deaf", False)),
    Trouble("wrong checksums", switch("wrong_crc", True), "unreadable", switch("wrong_crc", False)),
    Trouble("slow replies", switch("reply_delay_ms", 900), "no status for 450 ms", switch("reply_delay_ms", 20)),
    Trouble("no receipts", switch("loses_receipts", True), "no receipt of burst"),
    Trouble("hot coil", switch("heating_c_per_s", 40.0), "degrees C"),
    Trouble("broken sensor", switch("reports_temperature_c", 0), "sensor"),
    Trouble("cooling not connected", switch("reports_temperature_c", 90), "sensor or its cooling"),
    Trouble("coil removed", loosen_coil, "coil type changed from 60 to 0"),
    Trouble("panel: another amplitude", lambda line: line.device.set_amplitude(60), "amplitude changed from 50 to 60 %"),
    Trouble("panel: disable", lambda line: line.device.disable(line.now_ns), "ended by itself"),
    Trouble("panel: another page", lambda line: line.device.show_page(1), "page changed from 2 to 1"),
    Trouble("power cycle", lambda line: line.device.reset(line.now_ns), "no status for 450 ms"),
]

WHILE_READY = [trouble for trouble in WHILE_FIRING if trouble.name not in ("no receipts", "panel: disable", "power cycle")] + [
    Trouble("power cycle", lambda line: line.device.reset(line.now_ns), "changed without being asked"),
    Trouble("panel: disable", lambda line: line.device.disable(line.now_ns), "disabled at the panel"),
    Trouble("panel: rate knob", lambda line: line.device.turn_rate(200), "rate"),
    Trouble("panel: a pulse", lambda line: line.device.trigger(line.now_ns), "a pulse was fired that nobody here asked for"),
    Trouble("panel: a train", lambda line: line.device.start_train(line.now_ns), "a train was started at the panel"),
]

DURING_THE_TRAIN = [
    Trouble("too many bursts", switch("extra_bursts", 3), "more pulses than planned"),
    Trouble("sagging output", switch("sag_pct_per_burst", 3.0), "the output sags"),
    Trouble("too slow a train", switch("rate_factor", 0.3), "two intervals after its time"),
    Trouble("too quick a train", switch("rate_factor", 3.0), "two intervals ahead"),
    Trouble("start ignored", switch("ignores_start", True), "did not start within 300 ms"),
    Trouble("end not reported", switch("stuck_running", True), "does not end", switch("stuck_running", False)),
]


def by_name(troubles: list[Trouble]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("trouble", troubles, ids=[trouble.name for trouble in troubles])


def assert_made_safe(line: MagVentureLine, trouble: Trouble) -> None:
    """Disabled, a fault with the reason, nothing prepared any more, and no pulse after the device confirmed."""
    confirmed = [event for event in line.all(Disabled) if event.confirmed]
    assert confirmed, line.events[-8:]
    assert not line.device.enabled
    assert line.driver.report.state is StimState.FAULT
    assert line.driver.report.fault
    assert line.driver.prepared is None
    assert trouble.words in line.fault_texts
    assert all(pulse_ns <= confirmed[-1].at_ns for pulse_ns in line.truth.pulses_ns)


@by_name(WHILE_FIRING)
def test_trouble_while_firing_ends_disabled_with_a_reason(trouble: Trouble) -> None:
    line = MagVentureLine()
    line.make_ready()
    line.start()
    line.run(500)
    trouble.act(line)
    line.next(StimFault, 1500)
    trouble.heal(line)
    line.run(3000)
    assert_made_safe(line, trouble)


@by_name(WHILE_READY)
def test_trouble_while_ready_ends_disabled_with_a_reason(trouble: Trouble) -> None:
    line = MagVentureLine()
    line.make_ready()
    line.run(300)
    trouble.act(line)
    line.next(StimFault, 1500)
    trouble.heal(line)
    line.run(3000)
    assert_made_safe(line, trouble)


@by_name(DURING_THE_TRAIN)
def test_train_that_leaves_its_plan_is_stopped(trouble: Trouble) -> None:
    line = MagVentureLine()
    line.make_ready()
    trouble.act(line)
    line.take(line.driver.start_train(line.now_ns))
    line.next(StimFault, 3000)
    trouble.heal(line)
    line.run(1500)
    assert_made_safe(line, trouble)


@by_name([trouble for trouble in WHILE_FIRING if trouble.name != "no receipts"])
def test_every_pulse_before_the_stop_has_a_receipt_or_falls_into_the_silence(trouble: Trouble) -> None:
    line = MagVentureLine()
    line.make_ready()
    line.start()
    line.run(500)
    heard = line.asked_bursts
    trouble.act(line)
    line.next(StimFault, 1500)
    trouble.heal(line)
    line.run(1500)
    fired = len(line.truth.pulses_ns) / 3
    assert heard == 3
    if trouble.name in ("silence", "wrong checksums", "power cycle"):
        assert fired >= line.asked_bursts
    else:
        assert fired == len(line.all(BurstFired))


def test_enable_that_never_comes_is_a_fault_after_two_seconds() -> None:
    line = MagVentureLine()
    line.connect()
    line.prepare()
    line.faults.ignores_enable = True
    begun_ns = line.now_ns
    line.take(line.driver.enable(line.now_ns))
    fault = line.next(StimFault)
    assert "not ready within 2 s" in fault.what
    assert fault.at_ns - begun_ns == 2000 * MS
    line.next(Disabled)
    assert not line.all(Ready)


def test_stop_that_the_device_ignores_is_repeated_and_alarmed_once() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.start()
    line.run(500)
    line.faults.ignores_stop_ms = 1000
    begun_ns = line.now_ns
    line.take(line.driver.stop(line.now_ns))
    alarm = line.next(Disabled)
    assert not alarm.confirmed
    assert alarm.at_ns - begun_ns == 300 * MS
    assert line.driver.report.state is StimState.FAULT
    relief = line.next(Disabled)
    assert relief.confirmed
    assert [event.confirmed for event in line.all(Disabled)] == [False, True]
    tries = [at_ns for at_ns, sent in line.sent if bytes.fromhex("FE02020091FF") in sent and at_ns >= begun_ns]
    assert len(tries) >= 10
    assert max(later - earlier for earlier, later in itertools.pairwise(tries)) == 100 * MS
    assert all(pulse_ns <= relief.at_ns for pulse_ns in line.truth.pulses_ns)


def test_running_that_never_ends_is_told_once_and_nothing_can_be_prepared() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.start()
    line.faults.stuck_running = True
    assert line.stop().confirmed
    line.run(3000)
    assert line.fault_texts.count("still reports a running train") == 1
    events = line.take(line.driver.prepare(THETA, line.now_ns))
    assert any(isinstance(event, StimFault) for event in events)
    line.faults.stuck_running = False
    line.device.disable(line.now_ns)
    line.run(500)
    assert line.prepare().mismatches == ()


def test_device_that_keeps_ignoring_the_first_disable_is_reported_as_found_enabled() -> None:
    line = MagVentureLine()
    line.device.enable(line.now_ns)
    line.device.take_frames()
    line.faults.ignores_stop_ms = 600
    secured = line.connect()
    assert secured.found_enabled
    assert "does not confirm" in line.fault_texts
    assert line.driver.report.state is StimState.STANDBY


def test_fault_that_nobody_has_seen_outlives_a_silence_and_a_securing() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.device.set_amplitude(60)
    line.next(Disabled)
    line.faults.silent = True
    line.within(3000, lambda: "no answer" in line.fault_texts)
    line.faults.silent = False
    line.next(Secured, 1000)
    assert line.state() is StimState.FAULT
    assert "amplitude changed" in str(line.driver.report.fault)


def test_receipt_long_after_a_stop_is_not_the_stopped_trains_even_if_its_end_was_never_told() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.start()
    line.faults.stuck_running = True
    line.stop()
    line.run(300)
    line.device.enable(line.now_ns)
    line.within(300, lambda: line.device.enabled)
    line.device.trigger(line.now_ns)
    line.run(1)
    assert [event.asked for event in line.all(BurstFired)] == [True, False]


def test_one_lost_answer_in_standby_is_no_fault() -> None:
    line = MagVentureLine()
    line.connect()
    line.faults.silent = True
    line.run(700)
    line.faults.silent = False
    line.run(3000)
    assert not line.all(StimFault)


def test_one_broken_frame_while_firing_is_no_fault() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.start()
    line.within(1000, lambda: line.sent[-1][1] == bytes.fromhex("FE01053FFF"))
    line.faults.wrong_crc = True
    answered = len(line.all(StimReport))
    line.run(25)
    line.faults.wrong_crc = False
    line.next(TrainEnded)
    assert not line.all(StimFault)
    assert len(line.all(StimReport)) > answered


def test_panel_knob_in_standby_voids_what_was_prepared() -> None:
    line = MagVentureLine()
    line.connect()
    line.prepare()
    line.device.set_amplitude(70)
    assert "amplitude changed from 50 to 70 %" in line.next(PanelAct).what
    assert line.driver.prepared is None
    assert line.driver.report.state is StimState.STANDBY


def test_warm_coil_is_not_enabled() -> None:
    line = MagVentureLine()
    line.connect()
    line.prepare()
    line.faults.reports_temperature_c = 40
    line.run(600)
    (fault,) = (event for event in line.take(line.driver.enable(line.now_ns)) if isinstance(event, StimFault))
    assert "the coil is at 40 degrees C, the limit is 40" in fault.what
    assert not line.device.enabled


def test_coil_that_warms_up_while_ready_starts_nothing_at_40_and_is_stopped_at_41() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.faults.reports_temperature_c = 40
    line.run(400)
    events = line.take(line.driver.start_train(line.now_ns))
    assert [event for event in events if isinstance(event, StimFault)]
    assert line.driver.report.state is StimState.READY
    line.faults.reports_temperature_c = 41
    assert "41 degrees C" in line.next(StimFault).what
    line.next(Disabled)
    assert not line.truth.pulses_ns


@pytest.mark.parametrize("receipts", [1, 3])
def test_receipts_per_burst_other_than_told_are_a_fault(receipts: int) -> None:
    line = MagVentureLine(events_per_burst=receipts, told_events_per_burst=4 - receipts)
    line.make_ready()
    line.take(line.driver.start_train(line.now_ns))
    line.next(StimFault)
    line.run(1000)
    assert not line.device.enabled


@pytest.mark.parametrize("receipts", [1, 3])
def test_receipts_per_burst_as_told_make_one_burst_event_each(receipts: int) -> None:
    line = MagVentureLine(events_per_burst=receipts)
    line.make_ready()
    line.fire()
    line.run(300)
    assert line.asked_bursts == 10
    assert len(line.truth.pulses_ns) == 30
    assert not line.all(StimFault)
