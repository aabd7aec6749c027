"""The MagVenture driver step by step: what it refuses, what it takes as proof, what it sends and asks, and when."""

import itertools

import pytest

from drivers.magventure import MagVentureStimulator
from drivers.magventure_command_wire import SetEnabled, StartTrain, decode_command, encode_command
from drivers.magventure_frame_wire import FrameReader
from drivers.magventure_wire import CoilReport, Event, LongStatus, Mode, ShortStatus, StatusBits, Waveform, encode_event
from drivers.values import (
    BurstFired,
    Disabled,
    PanelAct,
    Prepared,
    Ready,
    Refused,
    Secured,
    StimFault,
    StimReport,
    StimState,
    TrainBegan,
    TrainEnded,
    TrainSettings,
)
from tests.magventure_line import COIL, MS, START_NS, THETA, MagVentureLine

DISABLE = bytes.fromhex("FE02020091FF")
ASK_SHORT = bytes.fromhex("FE010000FF")
ASK_LONG = bytes.fromhex("FE01053FFF")


def new_driver(start_temp_c: int = 40, stop_temp_c: int = 41) -> MagVentureStimulator:
    return MagVentureStimulator(
        "x100-option", COIL, events_per_burst=1, max_amplitude_pct_mso=80, start_temp_c=start_temp_c, stop_temp_c=stop_temp_c
    )


def bits(*, enabled: bool) -> StatusBits:
    return StatusBits(mode=Mode.STANDARD, waveform=Waveform.BIPHASIC, enabled=enabled, model=3)


def coil_report(*, enabled: bool) -> bytes:
    return encode_event(CoilReport(temperature_c=23, coil_type=COIL, bits=bits(enabled=enabled)))


def short_status(*, enabled: bool, serial: int = 7) -> bytes:
    event: Event = ShortStatus(bits=bits(enabled=enabled), serial=serial, temperature_c=23, coil_type=COIL, a_pct=0, b_pct=0)
    return encode_event(event)


def long_status(*, running: bool) -> bytes:
    event: Event = LongStatus(
        bits=bits(enabled=False),
        serial=7,
        temperature_c=23,
        coil_type=COIL,
        a_pct=0,
        b_pct=0,
        original_a_pct=0,
        original_b_pct=0,
        factor_a_pct=100,
        factor_b_pct=100,
        page=1,
        running=running,
    )
    return encode_event(event)


# ---- connecting -----------------------------------------------------------------------------------------------------


def test_first_bytes_on_a_new_line_are_the_disable_and_the_question_that_proves_it() -> None:
    assert new_driver().connected(START_NS).send == DISABLE + ASK_SHORT


def test_frame_from_before_the_disable_proves_nothing() -> None:
    driver = new_driver()
    driver.connected(START_NS)
    step = driver.feed(coil_report(enabled=False), START_NS + 20 * MS)
    assert ASK_LONG not in step.send
    step = driver.feed(short_status(enabled=False), START_NS + 40 * MS)
    assert step.send == ASK_LONG


def test_secured_waits_until_no_train_is_running() -> None:
    driver = new_driver()
    driver.connected(START_NS)
    driver.feed(short_status(enabled=False), START_NS + 40 * MS)
    step = driver.feed(long_status(running=True), START_NS + 60 * MS)
    assert not any(isinstance(event, Secured) for event in step.events)
    driver.tick(START_NS + 190 * MS)
    step = driver.feed(long_status(running=False), START_NS + 210 * MS)
    assert Secured(found_enabled=True, found_running=True, at_ns=START_NS + 210 * MS) in step.events


def test_device_enabled_again_while_being_secured_is_disabled_again() -> None:
    driver = new_driver()
    driver.connected(START_NS)
    driver.feed(short_status(enabled=False), START_NS + 40 * MS)
    step = driver.feed(coil_report(enabled=True), START_NS + 50 * MS)
    assert step.send.startswith(DISABLE)
    step = driver.feed(long_status(running=False), START_NS + 60 * MS)
    assert not any(isinstance(event, Secured) for event in step.events)


def test_disable_is_repeated_every_100_ms_until_answered() -> None:
    driver = new_driver()
    step = driver.connected(START_NS)
    times = []
    for _ in range(5):
        step = driver.tick(step.wake_ns)
        times.append((step.wake_ns - START_NS) // MS)
        assert step.send.startswith(DISABLE)
    assert times == [200, 300, 400, 500, 600]


@pytest.mark.parametrize("act", ["prepare", "enable", "start_train"])
def test_before_secured_everything_but_stop_is_refused_and_sends_nothing(act: str) -> None:
    driver = new_driver()
    driver.connected(START_NS)
    step = driver.prepare(THETA, START_NS) if act == "prepare" else getattr(driver, act)(START_NS)
    assert step.send == b""
    assert [type(event) for event in step.events] == [StimFault]


def test_simulated_unit_is_told_by_its_serial_number() -> None:
    for serial, simulated in ((7, False), (0x53494D, True)):
        driver = new_driver()
        driver.connected(START_NS)
        driver.feed(short_status(enabled=False, serial=serial), START_NS)
        assert driver.report.simulated is simulated
        assert driver.report.serial == serial


# ---- a session ------------------------------------------------------------------------------------------------------


def test_whole_session_tells_its_steps_in_order() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.fire()
    line.stop()
    told = [type(event) for event in line.events if not isinstance(event, StimReport)]
    assert told == [Secured, Prepared, Ready, TrainBegan, *[BurstFired] * 10, TrainEnded, Disabled]


def test_report_follows_the_device() -> None:
    line = MagVentureLine()
    line.make_ready()
    states = [event.state for event in line.all(StimReport)]
    order = [state for index, state in enumerate(states) if index == 0 or state != states[index - 1]]
    assert order == [StimState.SECURING, StimState.STANDBY, StimState.ARMING, StimState.READY]
    report = line.driver.report
    assert (report.model, report.coil_type, report.amplitude_pct_mso, report.temperature_c) == ("x100-option", COIL, 50, 22)
    assert report.enabled
    assert report.running is False


def test_prepared_settings_outlive_a_stop_and_a_second_train_needs_no_second_prepare() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.fire()
    line.stop()
    assert line.driver.prepared == THETA
    line.run(1000)
    line.take(line.driver.enable(line.now_ns))
    line.next(Ready)
    line.fire()
    assert line.asked_bursts == 20


def test_only_a_whole_status_makes_the_report_newer() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.run(1000)
    asked = [at_ns for at_ns, sent in line.sent if sent == ASK_LONG]
    received = {event.received_ns for event in line.all(StimReport)} - {0}
    assert received <= {at_ns + 20 * MS for at_ns in asked}


def test_two_trains_in_one_enable() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.fire()
    line.run(8000)
    line.fire()
    line.run(500)
    assert not line.all(StimFault)
    assert len(line.truth.pulses_ns) == 60


def test_standby_is_polled_every_500_ms_and_ready_every_250() -> None:
    line = MagVentureLine()
    line.connect()
    line.run(3000)
    asked = [at_ns for at_ns, sent in line.sent if sent == ASK_LONG][2:]
    assert {later - earlier for earlier, later in itertools.pairwise(asked)} == {500 * MS}
    line = MagVentureLine()
    line.make_ready()
    line.run(3000)
    asked = [at_ns for at_ns, sent in line.sent if sent == ASK_LONG][-8:]
    assert {later - earlier for earlier, later in itertools.pairwise(asked)} == {250 * MS}


def test_one_question_at_a_time_is_out_while_armed() -> None:
    line = MagVentureLine(reply_delay_ms=80)
    line.make_ready()
    line.run(2000)
    commands = [decode_command(body) for _, sent in line.sent for body in FrameReader().feed(sent, 0)]
    times = [at_ns for at_ns, sent in line.sent for _ in FrameReader().feed(sent, 0)]
    begun = commands.index(SetEnabled(on=True))
    gaps = [later - earlier for earlier, later in itertools.pairwise(times[begun:])]
    assert min(gaps) >= 80 * MS


def test_start_does_not_wait_for_the_answer_to_a_poll() -> None:
    line = MagVentureLine(reply_delay_ms=80)
    line.make_ready()
    line.within(1000, lambda: line.sent[-1][0] > line.now_ns - 5 * MS)
    step = line.driver.start_train(line.now_ns)
    assert step.send == encode_command(StartTrain())
    line.take(step)
    line.next(TrainEnded)
    assert not line.all(StimFault)


@pytest.mark.parametrize("lead_ms", range(100, 600, 25))
@pytest.mark.parametrize("reply_delay_ms", [20, 80])
def test_no_question_is_put_in_the_80_ms_before_a_planned_start_and_the_status_stays_young(lead_ms: int, reply_delay_ms: int) -> None:
    line = MagVentureLine(reply_delay_ms=reply_delay_ms)
    line.make_ready()
    due_ns = line.now_ns + lead_ms * MS
    line.driver.start_is_due(due_ns)
    line.run(lead_ms + 2000)
    assert not [at_ns for at_ns, _ in line.sent if due_ns - 80 * MS <= at_ns < due_ns + 20 * MS]
    assert line.all(StimFault) == []


def test_wrong_coil_is_a_mismatch() -> None:
    line = MagVentureLine()
    line.device.plug_coil(56, line.now_ns)
    line.connect()
    assert line.prepare().mismatches == ("coil type: 56 read back, 60 asked",)
    assert line.driver.prepared is None


def test_settings_that_the_device_refuses_are_mismatches_after_the_settling_time() -> None:
    line = MagVentureLine()
    line.connect()
    line.device.settings.timing_control = 1
    begun_ns = line.now_ns
    prepared = line.prepare()
    assert prepared.mismatches == ("timing control: 1 read back, 0 asked",)
    assert 12_000 * MS <= prepared.at_ns - begun_ns <= 12_400 * MS


def test_single_pulses_are_prepared_as_biphasic() -> None:
    line = MagVentureLine()
    single = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="10", bursts=20)
    line.make_ready(single)
    line.fire()
    assert len(line.truth.pulses_ns) == 20
    assert not line.all(StimFault)


# ---- refusals -------------------------------------------------------------------------------------------------------


def refusal(line: MagVentureLine, act: str) -> str:
    """What a refused call says; fails if it sent anything or was not refused."""
    sent = len(line.sent)
    events = line.take(getattr(line.driver, act)(line.now_ns))
    assert len(line.sent) == sent
    (fault,) = events
    assert isinstance(fault, StimFault)
    return fault.what


def test_enable_without_prepare_is_refused() -> None:
    line = MagVentureLine()
    line.connect()
    line.run(100)
    assert refusal(line, "enable") == "the device is not enabled: no settings are read back equal"


def test_enable_on_an_old_status_is_refused() -> None:
    line = MagVentureLine()
    line.connect()
    line.prepare()
    line.faults.silent = True
    line.run(800)
    assert "last status is too old" in refusal(line, "enable")


def test_enable_twice_is_refused() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.run(60)
    assert "the device is ready, not idle" in refusal(line, "enable")


def test_start_from_standby_is_refused() -> None:
    line = MagVentureLine()
    line.connect()
    line.prepare()
    line.run(100)
    assert "the device is idle, not ready" in refusal(line, "start_train")


def test_second_start_during_a_train_is_refused() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.start()
    line.run(300)
    assert "the device is firing, not ready" in refusal(line, "start_train")
    assert "a train may be running" in line.fault_texts
    line.next(TrainEnded)
    assert line.asked_bursts == 10


def test_prepare_names_every_reason_against_the_train() -> None:
    line = MagVentureLine()
    line.connect()
    too_much = TrainSettings(amplitude_pct_mso=90, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5.05", bursts=10)
    events = line.take(line.driver.prepare(too_much, line.now_ns))
    (fault,) = (event for event in events if isinstance(event, StimFault))
    assert "90 % is outside 0 to 80 %" in fault.what
    assert "5.05 per second" in fault.what
    assert line.driver.prepared is None


def test_stop_without_a_line_is_unconfirmed() -> None:
    driver = new_driver()
    step = driver.stop(START_NS)
    assert step.send == b""
    assert Disabled(confirmed=False, at_ns=START_NS) in step.events


def test_stop_in_standby_is_confirmed_by_the_device() -> None:
    line = MagVentureLine()
    line.connect()
    assert line.stop().confirmed
    assert line.driver.report.state is StimState.STANDBY


def test_stop_called_at_every_frame_does_not_flood_the_line() -> None:
    line = MagVentureLine(reply_delay_ms=80)
    line.make_ready()
    begun_ns = line.now_ns
    for _ in range(40):
        line.take(line.driver.stop(line.now_ns))
        line.run(2.5)
    sent = [sent for at_ns, sent in line.sent if at_ns >= begun_ns and DISABLE in sent]
    assert len(sent) <= 3


def test_unasked_frame_after_an_enable_and_a_stop_is_no_proof() -> None:
    line = MagVentureLine()
    line.connect()
    line.prepare()
    line.run(100)
    line.take(line.driver.enable(line.now_ns))
    line.take(line.driver.stop(line.now_ns))
    early = line.take(line.driver.feed(coil_report(enabled=False), line.now_ns))
    assert not any(isinstance(event, Disabled) for event in early)
    assert line.next(Disabled).confirmed
    line.run(500)
    assert not line.device.enabled


def test_unknown_model_is_refused() -> None:
    with pytest.raises(Refused, match="unknown"):
        MagVentureStimulator("x200", COIL, events_per_burst=1, max_amplitude_pct_mso=80)


@pytest.mark.parametrize("limits", [{"start_temp_c": 41}, {"stop_temp_c": 42}, {"start_temp_c": 39, "stop_temp_c": 38}])
def test_temperature_limits_go_down_only(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="may only be below"):
        new_driver(**limits)


def test_lower_temperature_limit_holds() -> None:
    line = MagVentureLine()
    line.driver = new_driver(start_temp_c=22, stop_temp_c=30)
    line.connect()
    line.prepare()
    assert "the coil is at 22 degrees C, the limit is 22" in refusal(line, "enable")


def test_fault_stands_until_it_is_acknowledged_in_standby() -> None:
    line = MagVentureLine()
    line.make_ready()
    line.device.set_amplitude(60)
    line.next(StimFault)
    line.take(line.driver.acknowledge(line.now_ns))
    assert line.driver.report.fault, "acknowledged while the disable was not yet proven"
    line.next(Disabled)
    assert line.state() is StimState.FAULT
    line.take(line.driver.acknowledge(line.now_ns))
    assert line.state() is StimState.STANDBY
    assert line.driver.report.fault is None
    assert line.driver.prepared is None


def test_broken_frames_are_counted_as_damage() -> None:
    line = MagVentureLine()
    line.connect()
    assert line.driver.damaged == 0
    line.take(line.driver.feed(bytes.fromhex("FE01053EFF"), line.now_ns))
    assert line.driver.damaged == 1


def test_another_unit_on_the_cable_is_a_panel_act() -> None:
    driver = new_driver()
    driver.connected(START_NS)
    driver.feed(short_status(enabled=False), START_NS + 20 * MS)
    driver.feed(long_status(running=False), START_NS + 40 * MS)
    step = driver.feed(short_status(enabled=False, serial=8), START_NS + 60 * MS)
    assert PanelAct(what="serial number changed from 7 to 8", at_ns=START_NS + 60 * MS) in step.events
