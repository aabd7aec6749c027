"""The trigger box's driver, further: the bridge between, who paces, small things, and what proves that it is off."""

from collections.abc import Callable

import msgspec
import pytest
from msgspec.structs import replace

from drivers.lsl_bridge_wire import Down, Pong, encode_word
from drivers.lsl_trigger import LslTriggerStimulator
from drivers.lsl_trigger_wire import Status, decode_answer, decode_command, encode
from drivers.values import (
    Disabled,
    PanelAct,
    Prepared,
    Ready,
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


def last_status(line: BoxLine) -> Status:
    """As the box says it now."""
    line.box.press_stop(line.now_ns) if not line.box.armed else line.box.turn_dial(line.box.amplitude_pct, line.now_ns)
    answer = decode_answer(line.box.take(line.now_ns)[-1][1])
    assert isinstance(answer, Status)
    return answer


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
    line.take(line.driver.feed(f"{disarmed}\n{encode(armed)}\n".encode("ascii"), line.now_ns))
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


def test_a_fire_that_the_box_refuses_is_a_fault_in_its_words() -> None:
    line = BoxLine(makes="burst", model="train")
    line.make_ready(THETA)
    line.take(line.driver.start_train(line.now_ns))
    assert_off_with(line, "the box refuses: one at a time")
    assert line.pulses == 0


def test_a_box_that_stops_counting_while_it_is_armed_is_disarmed() -> None:
    line = ready()
    line.faults.no_count = True
    assert_off_with(line, "pulses given: not reported")


def test_a_foot_switch_in_the_midst_of_a_train_of_ours_is_nobody_s_and_ends_it() -> None:
    line = ready()
    line.start()
    line.within(1000, lambda: line.pulses == 4)
    line.box.foot_switch(line.now_ns)
    assert_off_with(line, "nobody here asked for")
    assert (line.asked, line.unasked) == (4, 1)
