"""The driver of a trigger box beyond the common contract: whose message counts, what must be reported, what comes too late, who paces."""

from collections.abc import Callable

import msgspec
import pytest
from msgspec.structs import replace

from drivers.lsl_bridge_wire import Down, Pong, encode_word
from drivers.lsl_trigger import LslTriggerStimulator
from drivers.lsl_trigger_wire import Fire, PulseGiven, Status, Stop, decode_answer, decode_command, encode
from drivers.values import (
    BurstFired,
    Disabled,
    PanelAct,
    Prepared,
    Ready,
    Refused,
    Secured,
    StimFault,
    StimState,
    TrainEnded,
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
        LslTriggerStimulator(
            "train", COIL, box_serial=SERIAL, max_amplitude_pct_mso=80, receipt_stream=None, unconfirmed_signed_by=signed
        )


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


# ---- the bridge -----------------------------------------------------------------------------------------------------


def test_a_hung_bridge_is_named_and_the_box_disarms_itself() -> None:
    line = ready()
    line.bridge = None
    line.within(2000, lambda: "bridge" in line.fault_texts)
    line.within(2000, lambda: not line.box.armed)


@pytest.mark.parametrize(
    ("pong", "what"),
    [
        ({"listened": False}, "nobody listens"),
        ({"status": False}, "offers no status stream"),
        ({}, "says nothing"),
    ],
)
def test_who_is_missing_is_told(pong: dict[str, bool], what: str) -> None:
    line = ready()
    line.faults.silent = True
    assert line.bridge is not None
    line.bridge = replace(line.bridge, **pong)
    assert what in line.next(StimFault).what


@pytest.mark.parametrize(("change", "what"), [({"rivals": 1}, "have the names"), ({"receipts": False}, "receipt stream is missing")])
def test_nothing_is_armed_over_a_way_that_is_not_whole_or_not_ours_alone(change: dict[str, object], what: str) -> None:
    line = BoxLine()
    line.connect()
    line.prepare()
    assert line.bridge is not None
    line.bridge = msgspec.structs.replace(line.bridge, **change)
    line.run(1000)
    (refused,) = (event for event in line.take(line.driver.enable(line.now_ns)) if isinstance(event, StimFault))
    assert what in refused.what
    assert not line.box.armed
    assert any(what in mismatch for mismatch in line.prepare().mismatches)


def test_nothing_is_fired_while_another_host_offers_the_same_trigger_stream() -> None:
    line = ready()
    assert line.bridge is not None
    line.bridge = replace(line.bridge, rivals=1)
    line.run(300)
    assert any(isinstance(event, StimFault) for event in line.take(line.driver.start_train(line.now_ns)))
    line.run(300)
    assert line.pulses == 0


def test_a_bridge_that_cannot_work_says_why() -> None:
    line = BoxLine()
    line.bridge = None
    line.take(line.driver.connected(line.now_ns))
    line.say(encode_word(Down(why="pylsl cannot be loaded")))
    line.run(10)
    assert "pylsl cannot be loaded" in line.fault_texts


def test_unreadable_lines_are_counted_and_harm_nothing() -> None:
    line = ready()
    line.say("?", "atmsd/1 status 00000000 {}", encode_word(Pong(id=1, listened=True, status=True, receipts=True, rivals=0))[:-1])
    line.run(10)
    assert line.driver.damaged == 3
    assert line.driver.report.state is StimState.READY


def test_the_box_is_not_kept_armed_once_the_daemon_is_not_heard() -> None:
    line = ready()
    line.daemon_beats = False
    assert_off_with(line, "the daemon was not heard")


def test_a_hot_process_that_is_gone_leaves_a_box_that_disarms_itself_within_a_second() -> None:
    line = ready()
    begun_ns = line.now_ns
    line.box.advance(begun_ns + 1000 * MS)
    assert not line.box.armed


# ---- who paces ------------------------------------------------------------------------------------------------------


def reasons(model: str, settings: TrainSettings) -> tuple[str, ...]:
    return LslTriggerStimulator(model, COIL, box_serial=SERIAL, max_amplitude_pct_mso=80, receipt_stream="r").can(settings)


@pytest.mark.parametrize(
    ("model", "settings", "why"),
    [
        ("train", THETA, None),
        ("burst", replace(THETA, bursts=1), None),
        ("burst", replace(THETA, burst_hz="2"), None),
        ("burst", replace(THETA, burst_hz="2.001"), "every 500 ms at the most"),
        ("burst", THETA, "every 500 ms at the most"),
        ("pulse", SLOW, None),
        ("pulse", replace(THETA, burst_hz="1"), "does not time the pulses of a burst"),
        ("pulse", TRAIN, "every 500 ms at the most"),
        ("train", replace(TRAIN, amplitude_pct_mso=81), "the ceiling is 80"),
        ("train", replace(TRAIN, amplitude_pct_mso=-1), "the ceiling is 80"),
        ("train", replace(TRAIN, burst_hz="101"), "101 bursts a second"),
        ("train", replace(TRAIN, burst_hz="0"), "no rate"),
        ("train", replace(TRAIN, burst_hz="fast"), "no rate"),
        ("train", replace(TRAIN, bursts=0), "at least one burst"),
        ("train", replace(THETA, pulses_per_burst=6), "1 to 5 pulses"),
        ("train", replace(THETA, intra_burst_interval_us=9_999), "9999 us"),
        ("train", replace(THETA, intra_burst_interval_us=70_000), "runs into the next"),
    ],
)
def test_what_a_box_can_be_told_follows_from_what_it_makes_of_a_marker(model: str, settings: TrainSettings, why: str | None) -> None:
    against = reasons(model, settings)
    assert (why is None) == (against == ())
    assert why is None or why in " ".join(against)


def test_a_box_that_makes_pulses_is_asked_for_each_and_each_counts() -> None:
    line = ready(SLOW, makes="pulse")
    for _ in range(SLOW.bursts):
        assert not any(isinstance(event, StimFault) for event in line.burst())
        line.run(1000)
    (ended,) = (event for event in line.take(line.driver.end_train(line.now_ns)) if isinstance(event, TrainEnded))
    assert ended.at_ns == line.now_ns
    assert (line.pulses, line.asked) == (SLOW.bursts, SLOW.bursts)
    assert line.driver.report.state is StimState.READY


@pytest.mark.parametrize(("wait_ms", "why"), [(999, "too lately"), (1000, "")])
def test_no_burst_is_asked_for_closer_than_planned(wait_ms: int, why: str) -> None:
    line = ready(SLOW, makes="pulse")
    line.burst()
    line.run(wait_ms)
    faults = [event.what for event in line.burst() if isinstance(event, StimFault)]
    assert (why in " ".join(faults)) and bool(faults) == bool(why)


def test_no_more_bursts_are_asked_for_than_were_prepared() -> None:
    line = ready(SINGLE, makes="pulse")
    line.burst()
    line.run(2000)
    (refused,) = (event for event in line.burst() if isinstance(event, StimFault))
    assert "has been asked for" in refused.what
    line.run(500)
    assert line.pulses == 1


def test_bursts_closer_than_half_a_second_are_not_paced_by_the_host() -> None:
    line = ready(THETA)
    (refused,) = (event for event in line.burst() if isinstance(event, StimFault))
    assert "closer than 500 ms" in refused.what
    line.run(500)
    assert line.pulses == 0


def test_a_box_that_makes_pulses_is_not_asked_for_a_whole_train() -> None:
    line = ready(SLOW, makes="pulse")
    (refused,) = (event for event in line.take(line.driver.start_train(line.now_ns)) if isinstance(event, StimFault))
    assert "the host has to ask for each" in refused.what
    line.run(3000)
    assert line.pulses == 0


def test_a_paced_burst_of_which_no_receipt_comes_is_a_fault() -> None:
    line = ready(SLOW, makes="pulse")
    line.burst()
    line.run(1000)
    line.faults.drop_receipts = 1
    line.burst()
    assert_off_with(line, "no receipt of burst 2")


def test_a_train_of_the_host_s_that_is_not_there_cannot_be_ended() -> None:
    line = ready(SLOW, makes="pulse")
    assert any(isinstance(event, StimFault) for event in line.take(line.driver.end_train(line.now_ns)))


def test_a_paced_burst_is_refused_while_the_coil_is_too_warm() -> None:
    line = ready(SLOW, makes="pulse")
    line.burst()
    line.run(950)
    line.faults.reports_c = 41
    line.box.turn_dial(45, line.now_ns)
    assert_off_with(line, "41 degrees C")


@pytest.mark.parametrize(("act", "phase"), [("start", 40), ("run", 41)])
def test_a_warm_coil_starts_nothing_at_40_and_ends_all_at_41_degrees(act: str, phase: int) -> None:
    line = ready()
    line.faults.reports_c = phase
    line.run(250)
    if act == "start":
        assert any(isinstance(event, StimFault) for event in line.take(line.driver.start_train(line.now_ns)))
        line.run(200)
        assert line.pulses == 0
    else:
        assert not line.box.armed
        assert "41 degrees C" in line.fault_texts


# ---- small things ---------------------------------------------------------------------------------------------------


def test_a_refusal_of_the_box_is_told_in_its_words() -> None:
    line = BoxLine(makes="pulse", model="train")
    line.connect()
    line.take(line.driver.prepare(THETA, line.now_ns))
    assert "refused: no bursts" in line.next(Prepared).mismatches


def test_a_box_that_is_not_ready_yet_fires_nothing() -> None:
    line = ready()
    line.faults.never_ready = True
    line.run(300)
    assert line.driver.report.state is StimState.ARMING
    (refused,) = (event for event in line.take(line.driver.start_train(line.now_ns)) if isinstance(event, StimFault))
    assert "not ready" in refused.what


def test_hands_at_the_box_are_told_with_the_words_that_the_stop_test_waits_for() -> None:
    line = ready()
    line.box.press_stop(line.now_ns)
    assert line.next(PanelAct).what.startswith("disabled")


def test_stop_goes_out_at_once_and_again_every_tenth_of_a_second() -> None:
    line = ready()
    line.faults.deaf = True
    asked_ns = line.now_ns
    line.take(line.driver.stop(line.now_ns))
    line.run(950)
    stops_ns = [at_ns - asked_ns for at_ns, text in line.sent if " stop " in text and at_ns >= asked_ns]
    assert stops_ns == [100 * MS * number for number in range(10)]
    line.faults.deaf = False
    line.within(500, lambda: any(event.confirmed for event in line.all(Disabled)))


def test_ready_comes_once() -> None:
    line = ready()
    line.run(1000)
    assert len(line.all(Ready)) == 1


def test_every_line_that_goes_out_can_be_read() -> None:
    line = ready(THETA)
    line.fire()
    line.stop()
    decode: Callable[[str], object] = decode_command
    assert all(decode(text) for _, text in line.sent if text.startswith("atmsd/1"))


# ---- proofs ---------------------------------------------------------------------------------------------------------


def test_of_two_statuses_in_the_wrong_order_the_newer_one_stands() -> None:
    line = ready()
    armed = last_status(line)
    line.box.press_stop(line.now_ns)
    _, disarmed = line.box.take(line.now_ns)[-1]
    line.say(disarmed, encode(armed))
    line.run(1)
    assert line.driver.report.enabled is False


def test_a_status_of_the_conversation_before_proves_nothing() -> None:
    line = BoxLine()
    line.connect()
    before = replace(last_status(line), heard=1)
    line.take(line.driver.disconnected(line.now_ns))
    line.faults.deaf = True
    line.take(line.driver.connected(line.now_ns))
    line.say(encode(before))
    seen = len(line.all(Secured))
    line.run(500)
    assert len(line.all(Secured)) == seen


def test_a_status_from_before_the_stop_does_not_confirm_it() -> None:
    line = BoxLine()
    line.connect()
    line.prepare()
    line.faults.late_ms = 100
    line.run(430)
    line.take(line.driver.enable(line.now_ns))
    asked_ns = line.now_ns
    assert line.stop().at_ns >= asked_ns + 100 * MS


def test_a_box_that_is_disarmed_but_still_gives_pulses_confirms_nothing() -> None:
    line = ready()
    line.take(line.driver.stop(line.now_ns))
    going_on = replace(last_status(line), armed=False, running=True)
    line.faults.silent = True
    line.say(encode(going_on))
    line.run(50)
    assert not line.all(Disabled)


def test_nothing_is_armed_while_the_daemon_is_not_heard() -> None:
    line = BoxLine()
    line.connect()
    line.prepare()
    line.daemon_beats = False
    line.run(400)
    (refused,) = (event for event in line.take(line.driver.enable(line.now_ns)) if isinstance(event, StimFault))
    assert "daemon was not heard" in refused.what
    assert "arm" not in line.verbs()


def test_receipts_of_a_box_that_has_started_anew_count_from_one_again() -> None:
    line = ready()
    line.fire()
    line.box.restart(line.now_ns)
    line.next(Secured)
    line.run(200)
    line.take(line.driver.acknowledge(line.now_ns))
    assert line.prepare().mismatches == ()
    line.enable()
    line.fire()
    line.run(500)
    assert line.asked == line.pulses == 2 * TRAIN.pulses
