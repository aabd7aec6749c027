"""What can go wrong with a Magstim or its line: each ends disarmed, with a reason, and with every pulse accounted for."""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from drivers.magstim_command_wire import ARM, FIRE, encode_command
from drivers.magstim_safing import SILENCE_NS
from drivers.transport import Pipe
from drivers.values import Disabled, StimFault, StimState, TrainBegan, TrainEnded
from tests.magstim_line import MS, TRAIN, MagstimLine

Act = Callable[[MagstimLine], None]
DISARM_BYTES = bytes.fromhex("454179")


@dataclass(frozen=True)
class Trouble:
    """Something that goes wrong, what the fault must say, and what of the line is well again before the end is judged."""

    name: str
    act: Act
    words: str
    heal: Act = lambda _: None


def switch(name: str, value: object) -> Act:
    return lambda line: setattr(line.faults, name, value)


def warm_coil(line: MagstimLine) -> None:
    line.device.windings.warm_to(39.0)
    line.faults.heating_c_per_s = 1.5


def mute_daemon(line: MagstimLine) -> None:
    line.daemon_beats = False


WHILE_ARMED = [
    Trouble("silence", switch("silent", True), "no status for 450 ms", switch("silent", False)),
    Trouble("deaf unit", switch("deaf", True), "no status for 450 ms", switch("deaf", False)),
    Trouble("wrong checksums", switch("wrong_crc", True), "no status for 450 ms", switch("wrong_crc", False)),
    Trouble("slow replies", switch("reply_delay_ms", 3000), "no status for 450 ms", switch("reply_delay_ms", 0)),
    Trouble("daemon not heard", mute_daemon, "the daemon was not heard"),
    Trouble("hot coil", warm_coil, "degrees C"),
    Trouble("broken sensor", switch("reports_tenth_c", 0), "sensor"),
    Trouble("sensor off its scale", switch("reports_tenth_c", 900), "sensor"),
    Trouble("coil unplugged", lambda line: line.device.plug_coil(False, line.now_ns), "no coil is plugged in"),
    Trouble("coil switch let go", switch("coil_switch_open", True), "the coil is not ready"),
    Trouble("error", switch("error", "E03"), "the unit reports an error"),
    Trouble("fatal error", switch("error", "E17!"), "the unit reports a fatal error"),
    Trouble("supply lost", switch("supply_missing", True), "high-voltage supply"),
    Trouble("coil worn", switch("replace_coil", True), "asks for another coil"),
]

WHILE_FIRING = [
    *WHILE_ARMED,
    Trouble("stop pressed at the unit", lambda line: line.device.disarm(line.now_ns), "disabled at the unit"),
    Trouble("power cycle", lambda line: line.device.reset(line.now_ns), "disabled at the unit"),
]

WHILE_READY = [
    *WHILE_ARMED,
    Trouble("stop pressed at the unit", lambda line: line.device.disarm(line.now_ns), "disabled at the unit"),
    Trouble("power cycle", lambda line: line.device.reset(line.now_ns), "disabled at the unit"),
    # recharging to another power cannot be told from recharging after a pulse: the worse is supposed
    Trouble("another power", lambda line: line.device.turn_power(60, line.now_ns), "fired that nobody here asked for"),
    Trouble("another rate", lambda line: setattr(line.device.settings, "tenth_hz", 200), "rate"),
    Trouble("trigger input", lambda line: line.device.trigger(line.now_ns), "fired that nobody here asked for"),
]

DURING_THE_TRAIN = [
    Trouble("too many pulses", switch("extra_pulses", 20), "does not end after its last pulse"),
    Trouble("too few pulses", switch("extra_pulses", -8), "the train ended by itself"),
    Trouble("too slow a train", switch("rate_factor", 0.3), "does not end after its last pulse"),
    Trouble("too quick a train", switch("rate_factor", 3.0), "the train ended by itself"),
    Trouble("fire ignored", switch("ignores_fire", True), "did not start within 300 ms"),
    Trouble("fire refused", switch("conflicts_with", "E"), "refuses to fire (Conflict)", switch("conflicts_with", "")),
    Trouble("end not reported", switch("stuck_running", True), "does not end", switch("stuck_running", False)),
]


def by_name(troubles: list[Trouble]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("trouble", troubles, ids=[trouble.name for trouble in troubles])


def assert_made_safe(line: MagstimLine, trouble: Trouble) -> None:
    """Disarmed, a fault with the reason, nothing prepared any more, and no pulse after the unit confirmed."""
    confirmed = [event for event in line.all(Disabled) if event.confirmed]
    assert confirmed, line.events[-8:]
    assert not line.device.armed
    assert line.driver.report.state is StimState.FAULT
    assert line.driver.report.fault
    assert line.driver.prepared is None
    assert trouble.words in line.fault_texts
    assert all(pulse_ns <= confirmed[-1].at_ns for pulse_ns in line.truth.pulses_ns)


@by_name(WHILE_FIRING)
def test_trouble_while_firing_ends_disarmed_with_a_reason(trouble: Trouble) -> None:
    line = MagstimLine()
    line.make_ready()
    line.start()
    line.run(500)
    trouble.act(line)
    line.next(StimFault, 1500)
    trouble.heal(line)
    line.run(6000)
    assert_made_safe(line, trouble)


@by_name(WHILE_READY)
def test_trouble_while_ready_ends_disarmed_with_a_reason(trouble: Trouble) -> None:
    line = MagstimLine()
    line.make_ready()
    line.run(300)
    trouble.act(line)
    line.next(StimFault, 1500)
    trouble.heal(line)
    line.run(6000)
    assert_made_safe(line, trouble)


@by_name(DURING_THE_TRAIN)
def test_train_that_leaves_its_plan_is_stopped(trouble: Trouble) -> None:
    line = MagstimLine()
    line.make_ready()
    trouble.act(line)
    line.take(line.driver.start_train(line.now_ns))
    line.next(StimFault, 6000)
    trouble.heal(line)
    line.run(3000)
    assert_made_safe(line, trouble)


@by_name([trouble for trouble in WHILE_FIRING if trouble.name not in ("stop pressed at the unit",)])
def test_plan_up_to_the_confirmed_stop_is_never_less_than_what_was_fired(trouble: Trouble) -> None:
    line = MagstimLine()
    line.make_ready()
    line.start()
    began_ns = next(at_ns for at_ns, sent in reversed(line.sent) if encode_command(FIRE, line.device.dialect) in sent)
    line.run(500)
    trouble.act(line)
    line.next(StimFault, 1500)
    trouble.heal(line)
    line.run(6000)
    ended_ns = line.all(TrainEnded)[-1].at_ns
    assert min(TRAIN.bursts, (ended_ns - began_ns) // (100 * MS) + 1) >= len(line.truth.pulses_ns)


# ---- the dead man's switch ------------------------------------------------------------------------------------------


def test_unit_disarms_by_itself_one_second_after_the_last_question() -> None:
    line = MagstimLine()
    line.make_ready()
    line.start()
    line.run(200)
    heard_ns = line.sent[-1][0]
    line.device.advance(heard_ns + 1200 * MS)
    (off_ns,) = (at_ns for at_ns, enabled in line.truth.charged_states if not enabled)
    assert 1000 * MS <= off_ns - heard_ns <= 1010 * MS
    assert not line.device.remote
    assert all(pulse_ns <= off_ns for pulse_ns in line.truth.pulses_ns)


def test_questions_keep_the_unit_armed_for_as_long_as_the_daemon_is_heard() -> None:
    line = MagstimLine()
    line.make_ready()
    line.run(50_000)
    assert line.state() is StimState.READY
    sent_ns = [at_ns for at_ns, _ in line.sent]
    assert max(later - earlier for earlier, later in itertools.pairwise(sent_ns)) <= 300 * MS


def test_driver_disarms_at_the_moment_to_which_the_daemon_was_heard() -> None:
    line = MagstimLine()
    line.make_ready()
    line.daemon_beats = False
    line.driver.may_keep_alive(line.now_ns + 300 * MS)
    until_ns = line.now_ns + 300 * MS
    fault = line.next(StimFault, 400)
    assert fault.at_ns == until_ns
    assert line.sent[-1] == (until_ns, DISARM_BYTES)


def test_beat_that_is_old_when_it_comes_extends_nothing() -> None:
    line = MagstimLine()
    line.make_ready()
    line.daemon_beats = False
    until_ns = line.now_ns + 300 * MS
    line.driver.may_keep_alive(line.now_ns - 5000 * MS)
    assert line.next(StimFault, 400).at_ns <= until_ns


@pytest.mark.parametrize("act", ["enable", "start_train"])
def test_nothing_is_armed_or_fired_while_the_daemon_is_not_heard(act: str) -> None:
    line = MagstimLine()
    if act == "enable":
        line.connect()
        line.prepare()
    else:
        line.make_ready()
    line.daemon_beats = False
    later_ns = line.now_ns + 301 * MS
    step = getattr(line.driver, act)(later_ns)
    assert any(isinstance(event, StimFault) and "the daemon was not heard lately" in event.what for event in step.events)
    assert encode_command(ARM, line.device.dialect) not in step.send
    assert encode_command(FIRE, line.device.dialect) not in step.send


# ---- stopping -------------------------------------------------------------------------------------------------------


def test_after_the_alarm_the_host_is_silent_so_that_the_units_own_time_out_disarms_it() -> None:
    line = MagstimLine()
    line.make_ready()
    line.start()
    line.faults.stuck_armed = True
    line.take(line.driver.stop(line.now_ns))
    assert not line.next(Disabled).confirmed
    relief = line.next(Disabled, 2000)
    assert relief.confirmed
    assert not line.device.armed
    silence = max(later - earlier for (earlier, _), (later, _) in itertools.pairwise(line.sent))
    assert silence >= SILENCE_NS - 50 * MS
    assert [event.confirmed for event in line.all(Disabled)] == [False, True]


def test_unit_in_standby_that_still_reports_a_train_is_not_confirmed_off() -> None:
    line = MagstimLine()
    line.make_ready()
    line.start()
    line.faults.stuck_running = True
    assert not line.stop().confirmed
    assert not line.device.armed
    line.faults.stuck_running = False
    assert line.next(Disabled, 2000).confirmed


def test_stop_that_is_pressed_again_during_that_silence_is_sent_at_once() -> None:
    line = MagstimLine()
    line.make_ready()
    line.faults.stuck_armed = True
    line.take(line.driver.stop(line.now_ns))
    line.next(Disabled)
    line.run(300)
    assert line.driver.stop(line.now_ns).send == DISARM_BYTES


def test_stop_while_a_start_waits_for_an_answer_cancels_it() -> None:
    line = MagstimLine()
    line.make_ready()
    line.within(300, lambda: line.sent[-1][0] == line.now_ns)  # a question has just gone out
    step = line.driver.start_train(line.now_ns)
    line.take(step)
    assert step.send == b""
    assert line.stop().confirmed
    line.run(1000)
    assert not line.truth.pulses_ns
    assert encode_command(FIRE, line.device.dialect) not in b"".join(sent for _, sent in line.sent)


def test_start_whose_question_is_not_answered_in_50_ms_is_given_up() -> None:
    line = MagstimLine()
    line.make_ready()
    line.faults.deaf = True
    line.within(300, lambda: line.sent[-1][0] == line.now_ns)
    asked_ns = line.now_ns
    line.take(line.driver.start_train(line.now_ns))
    fault = line.next(StimFault)
    assert "nothing was fired" in fault.what
    assert fault.at_ns - asked_ns == 50 * MS
    assert not line.all(TrainBegan)


# ---- what is found at the start -------------------------------------------------------------------------------------


@pytest.mark.parametrize("software", ["5.0", "8.0", "9.0", "11.0"])
def test_unit_found_firing_is_stopped_and_reported_before_anything_is_allowed(software: str) -> None:
    line = MagstimLine(software=software)
    line.make_ready()
    line.start()
    line.run(300)
    line.take(line.driver.disconnected(line.now_ns))
    secured = line.connect()
    assert secured.found_running
    assert secured.found_enabled
    assert not line.device.armed
    assert all(pulse_ns <= secured.at_ns for pulse_ns in line.truth.pulses_ns)


def test_unit_found_armed_is_reported_as_armed_but_not_running() -> None:
    line = MagstimLine()
    line.device.arm(line.now_ns)
    secured = line.connect()
    assert (secured.found_enabled, secured.found_running) == (True, False)


def test_unit_whose_version_cannot_be_read_is_secured_but_never_prepared() -> None:
    line = MagstimLine()
    line.faults.misunderstands = "N"
    line.device.arm(line.now_ns)
    secured = line.connect()
    assert secured.found_running  # what cannot be read is supposed
    (fault,) = (event for event in line.take(line.driver.prepare(TRAIN, line.now_ns)) if isinstance(event, StimFault))
    assert "software version is not known" in fault.what


# ---- the line -------------------------------------------------------------------------------------------------------


def test_one_lost_answer_while_ready_is_no_fault() -> None:
    line = MagstimLine()
    line.make_ready()
    line.within(300, lambda: line.sent[-1][0] == line.now_ns)
    line.faults.silent = True
    line.run(60)
    line.faults.silent = False
    line.run(2000)
    assert not line.all(StimFault)
    assert line.state() is StimState.READY


def test_status_that_nobody_waits_for_is_late_and_freshens_nothing() -> None:
    line = MagstimLine()
    line.make_ready()
    line.within(300, lambda: line.sent[-1][0] == line.now_ns)
    line.run(40)  # its answer is there
    known_ns = line.driver.report.received_ns
    line.take(line.driver.feed(bytes.fromhex("78 8C 78 00 01 82"), line.now_ns + MS))
    assert line.driver.report.received_ns == known_ns


def test_setting_that_is_not_answered_is_in_doubt_and_ends_in_a_disarm() -> None:
    line = MagstimLine()
    line.connect()
    line.run(100)
    line.faults.silent = True
    line.take(line.driver.prepare(TRAIN, line.now_ns))
    fault = line.next(StimFault)
    assert "what came of it is not known" in fault.what
    assert line.sent[-1][1] == DISARM_BYTES


@pytest.mark.parametrize(("letters", "what"), [("@", "SetPower"), ("B", "SetFrequency"), ("D", "SetPulses"), ("[", "SetDuration")])
@pytest.mark.parametrize("fault", ["conflicts_with", "misunderstands"])
def test_setting_that_the_unit_refuses_is_named(letters: str, what: str, fault: str) -> None:
    line = MagstimLine()
    line.connect()
    setattr(line.faults, fault, letters)
    line.take(line.driver.prepare(TRAIN, line.now_ns))
    assert f"the unit refuses {what}" in line.next(StimFault).what
    assert line.next(Disabled).confirmed
    assert line.driver.prepared is None


def test_line_lost_while_armed_is_an_alarm_and_counts_the_whole_train_as_energy() -> None:
    line = MagstimLine()
    strong = replace(TRAIN, amplitude_pct_mso=100, burst_hz="20", bursts=200)
    line.make_ready(strong)
    line.start()
    events = line.take(line.driver.disconnected(line.now_ns))
    assert any(isinstance(event, StimFault) and "the line was lost while the unit was armed" in event.what for event in events)
    assert line.state() is StimState.DISCONNECTED
    line.run(3000)
    line.make_ready_but_resting(strong)
    assert line.state() is StimState.ARMING  # 50 400 J within the last minute


def test_pty_that_hangs_up_ends_the_reading() -> None:
    ours, theirs = os.openpty()
    os.set_blocking(theirs, False)
    pipe = Pipe(theirs)
    os.close(ours)
    assert pipe.read() is None
    pipe.close()
