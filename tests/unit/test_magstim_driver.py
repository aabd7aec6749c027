"""The Magstim driver step by step: what goes out when, what its reports say, what counts as given."""

import itertools

import pytest
from msgspec.structs import replace

from daemon.ipc import Grant
from daemon.purpose import Purpose
from daemon.train_account import Train, receipt_of
from drivers.magstim_command_wire import (
    FIRE,
    Ask,
    BadCommand,
    Command,
    CommandReader,
    EnableRemote,
    SetPower,
    UnknownLetter,
    encode_command,
)
from drivers.magstim_energy import DAMAGE_J_PER_MINUTE
from drivers.magstim_wire import Ack, InstrumentStatus, encode_reply
from drivers.values import BurstFired, Disabled, Prepared, Ready, StimFault, StimState, TrainBegan, TrainEnded, TrainSettings
from tests.magstim_line import CODE, MS, PAIR, SINGLE, START_NS, TRAIN, MagstimLine

FIRE_BYTES = bytes.fromhex("454872")
STRONG = replace(TRAIN, amplitude_pct_mso=100, burst_hz="20", bursts=200)  # 50.4 kJ in 10 s


def commands(line: MagstimLine, since: int = 0) -> list[Command]:
    """What was sent, as the unit hears it."""
    reader = CommandReader(line.device.dialect)
    heard = reader.feed(b"".join(sent for _, sent in line.sent[since:]), 0)
    return [command for command in heard if not isinstance(command, Ask | BadCommand | UnknownLetter)]


@pytest.mark.parametrize(
    ("model", "software", "settings"),
    [
        ("rapid", "5.0", TRAIN),
        ("rapid", "7.1", TRAIN),
        ("superrapid", "8.0", TRAIN),
        ("plus1", "9.0", TRAIN),
        ("plus1", "11.0", TRAIN),
        ("rapid", "9.0", SINGLE),
        ("200", "", SINGLE),
        ("bistim", "", SINGLE),
        ("bistim", "", PAIR),
        ("bistim", "", replace(PAIR, intra_burst_interval_us=2_500)),
    ],
)
def test_every_model_goes_from_its_line_to_its_pulses_and_back(model: str, software: str, settings: TrainSettings) -> None:
    line = MagstimLine(model=model, software=software)
    secured = line.connect()
    assert (secured.found_enabled, secured.found_running) == (False, False)
    assert line.prepare(settings).mismatches == ()
    line.enable()
    line.fire()
    line.until(StimState.READY)
    assert line.stop().confirmed
    assert len(line.truth.pulses_ns) == settings.pulses
    assert set(line.truth.amplitudes_pct) == {settings.amplitude_pct_mso}
    assert not line.all(StimFault)
    assert line.driver.report.model == f"{model} V{software}".removesuffix(" V")
    assert line.driver.report.simulated


def test_pairs_are_as_far_apart_as_asked_to_a_tenth_of_a_millisecond() -> None:
    line = MagstimLine(model="bistim")
    line.make_ready(replace(PAIR, intra_burst_interval_us=2_500))
    line.fire()
    line.run(100)
    first, second = line.truth.pulses_ns
    assert second - first == 2_500_000


def test_code_goes_out_only_to_software_that_asks_for_one() -> None:
    new, old = MagstimLine(software="9.0"), MagstimLine(software="8.0")
    for line in (new, old):
        line.connect()
        line.run(200)
    assert EnableRemote(unlock=CODE) in commands(new)
    assert EnableRemote() in commands(old)
    assert EnableRemote(unlock=CODE) not in commands(old)


def test_control_is_taken_only_after_the_unit_is_secured() -> None:
    line = MagstimLine()
    line.take(line.driver.connected(line.now_ns))
    line.within(1000, lambda: line.state() is StimState.STANDBY)
    assert not any(isinstance(command, EnableRemote) for command in commands(line)[:-1])


def test_settings_are_read_back_after_the_power_has_had_its_time() -> None:
    line = MagstimLine()
    line.connect()
    line.prepare(replace(TRAIN, amplitude_pct_mso=80, burst_hz="10"))
    begun_ns = line.now_ns
    prepared = line.prepare(replace(TRAIN, amplitude_pct_mso=60))
    assert prepared.at_ns - begun_ns >= 2_000 * MS  # 20 % downward
    sent_ns = max(at_ns for at_ns, sent in line.sent if b"@060" in sent)
    assert line.driver.report.received_ns > sent_ns


def test_start_goes_out_at_once_where_no_question_is_out() -> None:
    line = MagstimLine()
    line.make_ready()
    line.within(300, lambda: line.sent[-1][0] == line.now_ns)
    line.run(40)  # its answer is there
    assert line.driver.start_train(line.now_ns).send == FIRE_BYTES


def test_start_behind_a_question_goes_out_with_its_answer_within_28_ms() -> None:
    line = MagstimLine()
    line.make_ready()
    line.within(300, lambda: line.sent[-1][0] == line.now_ns)
    asked_ns = line.now_ns
    line.take(line.driver.start_train(asked_ns))
    line.next(TrainBegan)
    fired_ns = next(at_ns for at_ns, sent in line.sent if FIRE_BYTES in sent)
    assert 0 < fired_ns - asked_ns <= 29 * MS


def test_no_question_is_put_in_the_50_ms_before_an_announced_start() -> None:
    line = MagstimLine()
    line.make_ready()
    due_ns = line.now_ns + 1000 * MS
    line.driver.start_is_due(due_ns)
    line.run(1000)
    asked_ns = [at_ns for at_ns, _ in line.sent if due_ns - 50 * MS <= at_ns < due_ns]
    assert not asked_ns
    assert line.driver.start_train(line.now_ns).send == FIRE_BYTES


def test_announced_start_that_never_comes_does_not_starve_the_unit() -> None:
    line = MagstimLine()
    line.make_ready()
    line.driver.start_is_due(line.now_ns + 500 * MS)
    line.run(3000)
    assert line.state() is StimState.READY
    sent_ns = [at_ns for at_ns, _ in line.sent]
    assert max(later - earlier for earlier, later in itertools.pairwise(sent_ns)) <= 300 * MS


def test_one_question_at_a_time_while_armed() -> None:
    line = MagstimLine()
    line.make_ready()
    since = len(line.sent)
    line.run(2000)
    assert all(len(CommandReader(line.device.dialect).feed(sent, 0)) == 1 for _, sent in line.sent[since:])


def test_acknowledgement_of_arm_is_never_taken_for_ready() -> None:
    line = MagstimLine()
    line.connect()
    line.prepare()
    line.take(line.driver.enable(line.now_ns))
    status = InstrumentStatus(ready=True, coil_present=True, remote=True)
    line.take(line.driver.feed(encode_reply(Ack(letter="E", status=status), line.device.dialect), line.now_ns))
    assert not line.all(Ready)
    assert line.state() is StimState.ARMING


def test_acknowledgement_of_disarm_is_never_taken_for_disarmed() -> None:
    line = MagstimLine()
    line.make_ready()
    line.take(line.driver.stop(line.now_ns))
    status = InstrumentStatus(standby=True, coil_present=True, remote=True)
    line.take(line.driver.feed(encode_reply(Ack(letter="E", status=status), line.device.dialect), line.now_ns))
    assert not line.all(Disabled)


def test_late_status_from_before_the_disarm_is_no_proof() -> None:
    line = MagstimLine()
    line.connect()
    line.run(600)
    question_ns = line.now_ns
    line.take(line.driver.tick(question_ns))
    line.take(line.driver.stop(line.now_ns))
    standby = bytes.fromhex("78 89 78 00 01 85")
    line.take(line.driver.feed(standby, line.now_ns))
    assert not line.all(Disabled)


def test_readiness_after_a_train_waits_for_the_units_own_half_second() -> None:
    line = MagstimLine()
    line.make_ready()
    line.fire()
    ended_ns = line.all(TrainEnded)[0].at_ns
    assert line.state() is StimState.ARMING
    line.until(StimState.READY)
    assert line.now_ns - ended_ns >= 500 * MS


def test_readiness_after_a_strong_train_waits_for_its_energy() -> None:
    line = MagstimLine()
    line.make_ready(STRONG)
    line.start()
    line.next(TrainEnded, 11_000)
    ended_ns = line.all(TrainEnded)[0].at_ns
    line.run(37_000)
    assert line.state() is StimState.ARMING
    line.until(StimState.READY, 30_000)
    assert line.now_ns - ended_ns >= 59_000 * MS  # two such trains are more than 63 kJ in a minute


def test_start_in_the_pause_is_refused_and_nothing_is_sent() -> None:
    line = MagstimLine()
    line.make_ready()
    line.fire()
    step = line.driver.start_train(line.now_ns)
    assert any(isinstance(event, StimFault) and "not ready" in event.what for event in step.events)
    assert FIRE_BYTES not in step.send


def test_host_that_has_just_started_rests_for_a_minute_before_its_first_train() -> None:
    line = MagstimLine(spent_before_joules=DAMAGE_J_PER_MINUTE)
    line.make_ready_but_resting(TRAIN)
    line.run(30_000)
    assert line.state() is StimState.ARMING
    line.until(StimState.READY, 31_000)
    assert line.now_ns - START_NS >= 60_000 * MS


@pytest.mark.parametrize(
    ("model", "power", "pause_s"), [("200", 40, 2), ("200", 60, 3), ("200", 90, 4), ("bistim", 40, 4), ("rapid", 90, 1)]
)
def test_single_pulses_keep_the_pause_of_their_family(model: str, power: int, pause_s: int) -> None:
    line = MagstimLine(model=model)
    line.make_ready(replace(SINGLE, amplitude_pct_mso=power))
    for _ in range(3):
        line.fire()
        line.until(StimState.READY)
    fired = line.truth.pulses_ns
    assert len(fired) == 3
    assert min(later - earlier for earlier, later in itertools.pairwise(fired)) >= pause_s * 1000 * MS


def receipt(line: MagstimLine, started_ns: int, damaged_before: int, ended_ns: int | None) -> tuple[int, bool]:
    grant = Grant(
        run_id="run",
        grant_no=1,
        arm_no=1,
        train=1,
        settings=TRAIN,
        purpose=Purpose.TREATMENT,
        not_before_ns=0,
        expires_ns=0,
        gap_ns=0,
        wall_minus_mono_ns=0,
    )
    train = Train(grant=grant, started_ns=started_ns, damaged_before=damaged_before, ended_ns=ended_ns)
    told = receipt_of(train, "run", line.driver.damaged)
    return told.pulses, told.confirmed


def test_receipt_of_a_whole_train_is_all_of_it_and_marked_as_estimated() -> None:
    line = MagstimLine()
    line.make_ready()
    before, started_ns = line.driver.damaged, line.now_ns
    line.fire()
    assert not line.all(BurstFired)
    assert receipt(line, started_ns, before, line.all(TrainEnded)[0].at_ns) == (20, False)


@pytest.mark.parametrize("stop_after_ms", [0, 3, 10, 40, 99, 500, 1950])
def test_receipt_of_a_stopped_train_is_never_less_than_its_pulses(stop_after_ms: int) -> None:
    line = MagstimLine()
    line.make_ready()
    line.run(60)
    before, started_ns = line.driver.damaged, line.now_ns
    line.take(line.driver.start_train(line.now_ns))
    line.run(stop_after_ms)
    disabled = line.stop()
    line.run(500)
    pulses, confirmed = receipt(line, started_ns, before, disabled.at_ns)
    assert len(line.truth.pulses_ns) <= pulses <= len(line.truth.pulses_ns) + 1
    assert not confirmed


def test_report_tells_the_coil_of_the_site_only_where_the_unit_sees_one() -> None:
    line = MagstimLine()
    line.connect()
    assert line.driver.report.coil_type == 60
    line.device.plug_coil(False, line.now_ns)
    line.run(1000)
    assert line.driver.report.coil_type is None


def test_report_rounds_the_hotter_winding_up() -> None:
    line = MagstimLine()
    line.device.windings.warm_to(38.2)
    line.connect()
    assert line.driver.report.temperature_c == 39


def test_nothing_is_known_before_the_unit_has_spoken() -> None:
    report = MagstimLine().driver.report
    assert (report.enabled, report.running, report.temperature_c, report.amplitude_pct_mso, report.coil_type) == (None,) * 5
    assert report.state is StimState.DISCONNECTED


def test_real_unit_is_not_taken_for_a_simulated_one() -> None:
    line = MagstimLine()
    line.device.hear = lambda data, now_ns: type(line.device).hear(line.device, data.replace(b"\x46\x21\x98", b"\x46\x40\x79"), now_ns)  # type: ignore[method-assign]
    line.connect()
    assert not line.driver.report.simulated


def test_stop_without_a_line_is_unconfirmed_at_once() -> None:
    line = MagstimLine()
    assert line.stop() == Disabled(confirmed=False, at_ns=line.now_ns)


def test_prepare_of_other_settings_voids_the_old_ones_at_once() -> None:
    line = MagstimLine()
    line.connect()
    line.prepare()
    line.take(line.driver.prepare(replace(TRAIN, amplitude_pct_mso=60), line.now_ns))
    assert line.driver.prepared is None
    assert line.next(Prepared).mismatches == ()


def test_raising_the_power_of_a_fast_train_lowers_its_rate_in_the_unit_and_the_rate_is_sent_behind_it() -> None:
    line = MagstimLine(model="rapid")
    line.connect()
    line.prepare(replace(TRAIN, amplitude_pct_mso=30, burst_hz="50", bursts=50))
    line.device.settings.set_power(100)
    assert line.device.settings.tenth_hz == 150
    assert line.prepare(replace(TRAIN, amplitude_pct_mso=60, burst_hz="25", bursts=25)).mismatches == ()


def test_fault_stands_until_it_is_acknowledged_in_standby() -> None:
    line = MagstimLine()
    line.make_ready()
    line.device.disarm(line.now_ns)
    line.next(Disabled)
    assert line.state() is StimState.FAULT
    line.take(line.driver.acknowledge(line.now_ns))
    assert line.state() is StimState.STANDBY


def test_frames_are_the_ones_of_the_published_sequence() -> None:
    line = MagstimLine()
    line.connect()
    line.run(200)
    since = len(line.sent)
    line.prepare()
    line.enable()
    line.fire()
    kinds = [type(command).__name__ for command in commands(line, since)]
    assert kinds == ["EnableRemote", "SetDuration", "SetPower", "SetFrequency", "SetPulses", "SetDuration", "SetMode", "SetMode"]
    assert SetPower(pct=50) in commands(line, since)
    assert encode_command(FIRE, line.device.dialect) == FIRE_BYTES
