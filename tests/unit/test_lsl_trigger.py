"""The driver of a trigger box beyond the common contract: whose message counts, what must be reported, what comes too late, who paces."""

import pytest
from msgspec.structs import replace

from drivers.lsl_trigger import LslTriggerStimulator
from drivers.lsl_trigger_wire import Fire, PulseGiven, Status, Stop, decode_answer, decode_command, encode
from drivers.values import (
    BurstFired,
    Disabled,
    Refused,
    Secured,
    StimFault,
    StimState,
    TrainSettings,
)
from tests.lsl_box_line import COIL, MS, SERIAL, SINGLE, SLOW, THETA, TRAIN, BoxLine


def ready(settings: TrainSettings = TRAIN, **box: object) -> BoxLine:
    line = BoxLine(**box)  # type: ignore[arg-type]  # the line's own options
    line.make_ready(settings)
    return line


def assert_off_with(line: BoxLine, what: str) -> None:
    assert what in line.next(StimFault).what
    line.within(1000, lambda: any(event.confirmed for event in line.all(Disabled)))
    assert not line.box.armed


# ---- what must be configured ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [None, "", "  "])
def test_a_box_without_a_receipt_stream_is_refused_where_nobody_signed_for_it(signed: str | None) -> None:
    with pytest.raises(Refused, match="nothing confirms"):
        LslTriggerStimulator("train", COIL, box_serial=SERIAL, max_amplitude_pct_mso=80, receipt_stream=None, unconfirmed_signed_by=signed)


def test_without_receipts_every_count_is_an_estimate() -> None:
    line = ready(receipts=False)
    assert line.driver.estimates
    before = line.driver.damaged
    line.fire()
    line.run(500)
    assert line.driver.damaged > before
    assert line.pulses == TRAIN.pulses
    assert not line.all(BurstFired)
    assert not line.all(StimFault)


def test_with_receipts_no_count_is_an_estimate() -> None:
    line = ready()
    assert not line.driver.estimates
    line.fire()
    assert line.driver.damaged == 0


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(Refused, match="train, burst, pulse"):
        LslTriggerStimulator("box", COIL, box_serial=SERIAL, max_amplitude_pct_mso=80, receipt_stream="r")


@pytest.mark.parametrize(("start_c", "stop_c"), [(41, 41), (40, 42), (41, 40)])
def test_temperature_limits_may_only_be_lowered(start_c: int, stop_c: int) -> None:
    with pytest.raises(ValueError, match="temperature limits"):
        LslTriggerStimulator(
            "train", COIL, box_serial=SERIAL, max_amplitude_pct_mso=80, receipt_stream="r", start_temp_c=start_c, stop_temp_c=stop_c
        )


# ---- what must be reported ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "named"),
    [("no_amplitude", "amplitude"), ("no_coil", "coil type"), ("no_temperature", "temperature"), ("no_count", "pulses given")],
)
def test_a_box_that_does_not_report_it_is_never_armed(fault: str, named: str) -> None:
    line = BoxLine()
    setattr(line.faults, fault, True)
    line.connect()
    told = line.prepare()
    assert [mismatch.partition(":")[0] for mismatch in told.mismatches] == [named]
    assert line.driver.prepared is None
    line.take(line.driver.enable(line.now_ns))
    line.run(1000)
    assert not line.box.armed


def test_another_coil_than_configured_is_named_and_never_armed() -> None:
    line = BoxLine()
    line.box.coil_type = COIL + 1
    line.connect()
    assert line.prepare().mismatches == (f"coil type: {COIL + 1} read back, {COIL} asked",)


def test_an_amplitude_set_by_hand_must_be_set_before_the_box_is_prepared() -> None:
    line = BoxLine(follows=False)
    line.connect()
    assert line.prepare().mismatches == ("amplitude: 0 read back, 50 asked",)
    line.box.turn_dial(50, line.now_ns)
    line.run(500)
    assert line.prepare().mismatches == ()


def test_a_fault_that_the_box_reports_keeps_it_from_being_armed_and_takes_its_arm() -> None:
    line = BoxLine()
    line.connect()
    line.prepare()
    line.faults.fault = "trigger cable open"
    line.run(1000)
    (refused,) = (event for event in line.take(line.driver.enable(line.now_ns)) if isinstance(event, StimFault))
    assert "trigger cable open" in refused.what
    line.faults.fault = ""
    line.run(1000)
    line.enable()
    line.faults.fault = "trigger cable open"
    assert_off_with(line, "trigger cable open")


# ---- whose message it is --------------------------------------------------------------------------------------------


def test_another_box_under_the_same_name_is_told_and_never_believed() -> None:
    line = BoxLine()
    line.faults.answers_as = SERIAL + 1
    line.take(line.driver.connected(line.now_ns))
    line.run(8000)
    assert f"serial number {SERIAL + 1}" in line.fault_texts
    assert line.driver.report.serial is None
    assert not line.all(Secured)


def last_status(line: BoxLine) -> Status:
    """As the box says it now."""
    line.box.press_stop(line.now_ns) if not line.box.armed else line.box.turn_dial(line.box.amplitude_pct, line.now_ns)
    answer = decode_answer(line.box.take(line.now_ns)[-1][1])
    assert isinstance(answer, Status)
    return answer


def test_a_status_for_another_host_means_that_somebody_else_commands_the_box() -> None:
    line = ready()
    foreign = replace(last_status(line), run="f" * 16, heard=1)
    line.say(encode(foreign))
    assert_off_with(line, "another program commands the box")


def test_another_program_s_stop_is_found_out() -> None:
    line = ready()
    line.box.hear(encode(Stop(run="e" * 16, id=1)), line.now_ns)
    line.next(StimFault)
    line.run(3000)
    assert not line.box.armed
    assert "another program commands the box" in line.fault_texts


def test_an_old_or_doubled_status_changes_nothing() -> None:
    line = BoxLine()
    line.connect()
    at_rest = last_status(line)
    assert line.prepare().mismatches == ()
    line.enable()
    before = line.driver.report
    line.take(line.driver.feed(f"{encode(at_rest)}\n{encode(at_rest)}\n".encode("ascii"), line.now_ns))
    assert line.driver.report == before
    assert not line.all(StimFault)


def test_a_box_that_says_everything_twice_counts_everything_once() -> None:
    line = BoxLine()
    line.faults.double_receipts = line.faults.double_statuses = True
    line.make_ready(THETA)
    line.fire()
    line.run(500)
    assert line.asked == THETA.bursts
    assert line.unasked == 0
    assert line.driver.damaged == 0
    assert not line.all(StimFault)


def test_the_age_of_a_status_runs_from_the_question_that_it_answers() -> None:
    line = BoxLine()
    line.connect()
    line.run(1000)
    line.faults.late_ms = 120
    line.run(1000)
    asked_ns = [at_ns for at_ns, text in line.sent if " ask " in text]
    assert line.driver.report.received_ns in asked_ns
    assert line.now_ns - line.driver.report.received_ns >= 120 * MS


def test_statuses_that_waited_long_secure_nothing() -> None:
    line = BoxLine()
    line.faults.late_ms = 500
    line.take(line.driver.connected(line.now_ns))
    line.run(4000)
    assert not line.all(Secured)
    line.faults.late_ms = 0
    line.next(Secured)


def test_a_box_that_starts_anew_is_a_fault_and_secured_again() -> None:
    line = ready()
    line.box.restart(line.now_ns)
    assert line.next(StimFault, 500).what == "the box has started anew"
    line.next(Secured)
    assert line.driver.prepared is None
    assert line.state_after(500) is StimState.FAULT


def test_receipts_of_an_earlier_start_of_the_box_still_count_and_are_nobody_s() -> None:
    line = ready()
    before = last_status(line).box
    line.box.restart(line.now_ns)
    line.next(Secured)
    line.say(encode(PulseGiven(box=before, number=9, run=None, id=None, burst=1, pulse=1)))
    line.run(100)
    assert line.unasked == 1


def test_a_receipt_of_an_earlier_train_of_ours_is_nobody_s() -> None:
    line = ready(SINGLE)
    line.fire()
    earlier = decode_command(next(text for _, text in line.sent if " fire " in text))
    line.run(1000)
    box = last_status(line)
    late = PulseGiven(box=box.box, number=(box.given or 0) + 1, run=earlier.run, id=earlier.id, burst=1, pulse=1)
    line.say(encode(late))
    assert_off_with(line, "nobody here asked for")
    assert (line.asked, line.unasked) == (1, 1)


def test_pulses_that_were_given_while_the_line_was_down_are_nobody_s_and_told() -> None:
    line = ready()
    line.fire()
    line.take(line.driver.disconnected(line.now_ns))
    for _ in range(3):
        line.box.foot_switch(line.now_ns)
    line.box.take(line.now_ns)
    line.connect()
    assert line.unasked == 3


def test_a_train_that_went_on_while_the_line_was_down_is_not_told_twice() -> None:
    line = ready()
    line.start()
    line.run(300)
    line.take(line.driver.disconnected(line.now_ns))
    line.box.advance(line.now_ns + 400 * MS)
    line.now_ns += 400 * MS
    line.box.take(line.now_ns)
    line.connect()
    assert line.unasked == 0


# ---- receipts -------------------------------------------------------------------------------------------------------


def test_a_lost_receipt_in_a_train_is_damage() -> None:
    line = ready()
    line.faults.drop_receipts = 7
    line.fire()
    line.run(500)
    assert line.driver.damaged == line.pulses - line.asked > 0


def test_the_last_receipt_of_a_stopped_train_that_is_lost_is_damage_before_the_account_is_closed() -> None:
    line = ready()
    line.start()
    line.within(3000, lambda: line.pulses == 5)
    line.faults.drop_receipts = 1
    line.within(3000, lambda: line.pulses == 6)
    stopped = line.stop()
    line.within(190, lambda: line.driver.damaged == 1)
    assert line.now_ns - stopped.at_ns < 190 * MS


def test_receipts_that_come_after_their_train_was_closed_count_again() -> None:
    line = ready()
    line.start()
    line.within(3000, lambda: line.pulses == 5)
    line.faults.late_ms = 250
    line.run(20)
    line.stop()
    line.faults.late_ms = 0
    line.run(1000)
    assert line.asked + line.unasked >= line.pulses


def test_more_bursts_than_asked_for_are_a_fault_and_all_counted() -> None:
    line = BoxLine()
    line.faults.extra_pulses = 2
    line.make_ready(SLOW)
    line.start()
    assert "more pulses than asked for" in line.next(StimFault, 8000).what
    line.run(1000)
    assert line.asked + line.unasked == line.pulses == SLOW.bursts + 1


def test_a_fourth_pulse_in_a_triplet_is_a_fault_and_counts_as_a_burst() -> None:
    line = ready(THETA)
    line.start()
    line.within(1000, lambda: line.pulses == 3)
    fire = decode_command(next(text for _, text in line.sent if " fire " in text))
    line.run(10)
    asked = line.asked
    status = last_status(line)
    line.say(encode(PulseGiven(box=status.box, number=(status.given or 0) + 1, run=fire.run, id=fire.id, burst=1, pulse=4)))
    line.run(10)
    assert line.asked == asked + 1
    assert "more pulses than asked for" in line.fault_texts


def test_a_train_faster_than_its_plan_is_stopped() -> None:
    line = BoxLine()
    line.faults.rate_factor = 2.0
    line.make_ready(TRAIN)
    line.start()
    assert_off_with(line, "ahead of the plan")


def test_a_train_slower_than_its_plan_is_stopped() -> None:
    line = BoxLine()
    line.faults.rate_factor = 0.3
    line.make_ready(TRAIN)
    line.start()
    assert_off_with(line, "no receipt of burst")


def test_a_train_that_the_box_ends_early_is_a_fault() -> None:
    line = BoxLine()
    line.faults.extra_pulses = -8
    line.make_ready(TRAIN)
    line.start()
    assert_off_with(line, "ended by itself after 12 of 20")


def test_an_unconfirmed_train_that_the_box_ends_early_is_a_fault() -> None:
    line = BoxLine(receipts=False)
    line.faults.extra_pulses = -8
    line.make_ready(TRAIN)
    line.start()
    assert_off_with(line, "before its last burst was due")


def test_an_unconfirmed_train_that_never_ends_is_a_fault() -> None:
    line = BoxLine(receipts=False)
    line.faults.extra_pulses = 50
    line.make_ready(TRAIN)
    line.start()
    assert_off_with(line, "does not end")


# ---- what comes too late --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late_ms", [460, 5000])
def test_a_fire_marker_that_waited_on_its_way_fires_nothing(late_ms: int) -> None:
    line = ready()
    line.bridge, alive = None, line.bridge
    line.take(line.driver.start_train(line.now_ns))
    (fire,) = (text for text in line.stuck if " fire " in text)
    line.run(late_ms)
    line.bridge = alive
    assert isinstance(decode_command(fire), Fire)
    line.box.hear(fire, line.now_ns)
    line.run(100)
    assert line.pulses == 0


def test_an_arm_marker_that_waited_on_its_way_arms_nothing() -> None:
    line = BoxLine()
    line.connect()
    line.prepare()
    line.bridge, alive = None, line.bridge
    line.take(line.driver.enable(line.now_ns))
    (arm,) = (text for text in line.stuck if " arm " in text)
    line.run(460)
    line.bridge = alive
    line.box.hear(arm, line.now_ns)
    assert not line.box.armed


def test_a_command_of_an_earlier_conversation_does_nothing() -> None:
    line = ready()
    arm = next(text for _, text in line.sent if " arm " in text)
    line.stop()
    line.take(line.driver.disconnected(line.now_ns))
    line.connect()
    line.box.hear(arm, line.now_ns)
    assert not line.box.armed


def test_a_doubled_fire_marker_gives_one_train() -> None:
    line = ready(SINGLE)
    line.fire()
    fire = next(text for _, text in line.sent if " fire " in text)
    line.box.hear(fire, line.now_ns)
    line.run(500)
    assert line.pulses == 1
