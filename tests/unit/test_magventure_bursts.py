"""Trains whose bursts the host asks for one by one: what is fired, what is refused, what ends the train."""

import itertools

import pytest
from msgspec.structs import replace

from drivers.magventure_bursts import BurstWatch
from drivers.magventure_command_wire import SetEnabled, Trigger, encode_command
from drivers.values import (
    BurstFired,
    Disabled,
    PanelAct,
    StimEvent,
    StimFault,
    StimReport,
    StimState,
    TrainBegan,
    TrainEnded,
    TrainSettings,
)
from tests.magventure_line import MS, THETA, MagVentureLine

TRIGGER = encode_command(Trigger())
DISABLE = encode_command(SetEnabled(on=False))
PLAIN = replace(THETA, pulses_per_burst=1, intra_burst_interval_us=0)
PAIRS = replace(THETA, pulses_per_burst=2)


def ready(settings: TrainSettings = THETA, **line: object) -> MagVentureLine:
    """A charged device whose status has just come."""
    made = MagVentureLine(**line)  # type: ignore[arg-type]  # a wrong name fails at once
    made.make_ready(settings)
    made.run(300)
    return made


def refused(line: MagVentureLine) -> str:
    """What a burst is refused with; fails when anything is sent, or when the device is not left as it was."""
    state, sent = line.state(), len(line.sent)
    (fault,) = line.take(line.driver.start_burst(line.now_ns))
    assert isinstance(fault, StimFault)
    assert (len(line.sent), line.state()) == (sent, state)
    return fault.what


def told(line: MagVentureLine, since: int) -> list[type[StimEvent]]:
    return [type(event) for event in line.events[since:] if not isinstance(event, StimReport)]


# ---- as planned -----------------------------------------------------------------------------------------------------


def test_ten_triggers_are_ten_bursts_with_their_receipts_and_one_train() -> None:
    line = ready()
    since = len(line.events)
    line.fire_bursts(10)
    line.take(line.driver.end_train(line.now_ns))
    assert told(line, since) == [TrainBegan, *[BurstFired] * 10, TrainEnded]
    assert len(line.truth.pulses_ns) == 30
    assert {later - earlier for earlier, later in itertools.pairwise(line.truth.pulses_ns[::3])} == {200 * MS}
    assert line.state() is StimState.READY
    assert line.driver.prepared == THETA


def test_trigger_leaves_at_once_also_while_a_question_is_out() -> None:
    line = ready(reply_delay_ms=80)
    line.within(1000, lambda: line.sent[-1][0] == line.now_ns)
    assert line.driver.start_burst(line.now_ns).send == TRIGGER


@pytest.mark.parametrize("reply_delay_ms", [5, 20, 60])
def test_no_question_is_in_the_way_of_a_burst(reply_delay_ms: int) -> None:
    line = ready(reply_delay_ms=reply_delay_ms)
    line.driver.start_is_due(line.now_ns + 200 * MS)
    line.run(200)
    line.fire_bursts(10)
    asked = [at_ns for at_ns, sent in line.sent if sent == TRIGGER]
    assert [first - at_ns for first, at_ns in zip(line.truth.pulses_ns[::3], asked, strict=True)] == [reply_delay_ms * MS] * 10


def test_device_is_firing_from_the_first_trigger_to_the_end_of_the_train() -> None:
    line = ready()
    line.take(line.driver.start_burst(line.now_ns))
    assert line.state() is StimState.FIRING
    line.run(190)
    assert line.state() is StimState.FIRING


def test_status_stays_young_through_a_long_train_of_bursts() -> None:
    line = ready(replace(THETA, bursts=200))
    line.fire_bursts(200)
    line.take(line.driver.end_train(line.now_ns))
    assert line.all(StimFault) == []
    assert line.asked_bursts == 200


def test_bursts_left_out_leave_the_device_enabled_and_watched() -> None:
    line = ready()
    line.fire_bursts(2)
    line.run(3000)
    line.burst()
    assert line.all(StimFault) == []
    assert line.state() is StimState.FIRING


def test_two_trains_follow_each_other_in_one_enable_whoever_paces_them() -> None:
    line = ready()
    line.fire_bursts(3)
    line.take(line.driver.end_train(line.now_ns))
    line.run(1000)
    line.fire()
    line.run(1000)
    line.fire_bursts(2)
    assert line.asked_bursts == 15
    assert line.all(StimFault) == []


def test_three_receipts_of_a_burst_make_one_event() -> None:
    line = ready(events_per_burst=3)
    line.fire_bursts(4)
    assert line.asked_bursts == len(line.all(BurstFired)) == 4
    assert line.all(StimFault) == []


def test_end_of_the_train_waits_for_the_receipt_and_the_length_of_its_last_burst() -> None:
    line = ready()
    line.take(line.driver.start_burst(line.now_ns))
    assert line.take(line.driver.end_train(line.now_ns)) == ()
    assert "being ended" in refused(line)
    ended = line.next(TrainEnded)
    assert ended.at_ns == line.truth.pulses_ns[-1]
    assert len(line.truth.pulses_ns) == 3
    assert line.state() is StimState.READY


# ---- refusals -------------------------------------------------------------------------------------------------------


def test_burst_from_standby_is_refused() -> None:
    line = MagVentureLine()
    line.connect()
    line.prepare()
    line.run(100)
    assert "the device is idle, not ready" in refused(line)


@pytest.mark.parametrize("settings", [PLAIN, PAIRS])
def test_only_the_burst_waveform_is_paced_by_the_host(settings: TrainSettings) -> None:
    assert "only bursts of the burst waveform" in refused(ready(settings))


def test_rate_that_leaves_no_100_ms_between_bursts_is_refused() -> None:
    assert "140 ms apart at least" in refused(ready(replace(THETA, burst_hz="8")))
    line = ready(replace(THETA, burst_hz="7"))
    line.fire_bursts(3, every_ms=1000 / 7)
    assert line.all(StimFault) == []


def test_burst_is_refused_until_its_predecessors_length_and_100_ms_have_passed() -> None:
    line = ready()
    asked_ns = line.now_ns
    line.burst()
    line.run((asked_ns - line.now_ns) / MS + 139.9)
    assert "only 140 ms ago" in refused(line)
    line.run(0.1)
    line.burst()
    assert line.asked_bursts == 2


def test_burst_is_refused_while_its_predecessor_is_not_confirmed() -> None:
    line = ready()
    line.faults.reply_delay_ms = 250
    line.take(line.driver.start_burst(line.now_ns))
    line.run(200)
    assert "the burst before it is not confirmed" in refused(line)
    line.next(BurstFired, 100)
    line.run(30)
    assert "ms ago" in refused(line), "the burst is still under way"
    line.run(10)
    assert line.driver.start_burst(line.now_ns).send == TRIGGER


def test_more_bursts_than_planned_are_refused() -> None:
    line = ready(replace(THETA, bursts=2))
    line.fire_bursts(2)
    assert "all 2 bursts of the train were asked for" in refused(line)


def test_warm_coil_starts_no_train_of_bursts_but_may_go_on_below_the_stop_limit() -> None:
    line = ready()
    line.faults.reports_temperature_c = 40
    line.run(300)
    assert "the coil is at 40 degrees C, the limit is 40" in refused(line)
    line = ready()
    line.burst()
    line.faults.reports_temperature_c = 40
    line.run(300)
    line.burst()
    assert line.all(StimFault) == []


@pytest.mark.parametrize("state", ["standby", "ready"])
def test_end_without_a_train_of_bursts_is_refused(state: str) -> None:
    line = MagVentureLine()
    line.connect() if state == "standby" else line.make_ready()
    events = line.take(line.driver.end_train(line.now_ns))
    assert [type(event) for event in events] == [StimFault]
    assert not line.all(TrainEnded)


# ---- what ends in a disable -----------------------------------------------------------------------------------------


def assert_disabled(line: MagVentureLine, words: str) -> None:
    line.run(1500)
    assert words in line.fault_texts
    assert not line.device.enabled
    assert line.state() is StimState.FAULT
    assert line.driver.prepared is None
    confirmed = [event.at_ns for event in line.all(Disabled) if event.confirmed]
    assert all(at_ns <= confirmed[-1] for at_ns in line.truth.pulses_ns)


def test_burst_that_is_not_confirmed_within_300_ms_is_a_fault() -> None:
    line = ready()
    line.fire_bursts(2)
    line.faults.loses_receipts = True
    asked_ns = line.now_ns
    line.take(line.driver.start_burst(line.now_ns))
    fault = line.next(StimFault)
    assert fault.at_ns - asked_ns == 300 * MS
    assert_disabled(line, "burst 3 is not confirmed within 300 ms")


def test_burst_of_which_receipts_are_missing_is_a_fault() -> None:
    line = ready(told_events_per_burst=3)
    line.take(line.driver.start_burst(line.now_ns))
    line.next(StimFault)
    assert_disabled(line, "2 receipts are missing")


def test_receipts_beyond_those_told_are_pulses_that_nobody_asked_for() -> None:
    line = ready(events_per_burst=3, told_events_per_burst=1)
    line.take(line.driver.start_burst(line.now_ns))
    line.next(StimFault)
    assert_disabled(line, "nobody here asked for")


def test_foreign_pulse_between_two_bursts_is_told_and_ends_disabled() -> None:
    line = ready()
    line.fire_bursts(2)
    line.device.trigger(line.now_ns)
    assert not line.next(BurstFired, 50).asked
    assert_disabled(line, "nobody here asked for")


def test_train_started_at_the_panel_between_two_bursts_ends_disabled() -> None:
    line = ready()
    line.fire_bursts(2)
    line.device.start_train(line.now_ns)
    assert line.next(PanelAct).what == "a train was started at the panel"
    assert_disabled(line, "a train was started at the panel")
    assert sum(not event.asked for event in line.all(BurstFired)) >= 1


@pytest.mark.parametrize(("knob", "words"), [("pulses_per_burst", "pulses per burst"), ("ipi_us", "interval in the burst")])
def test_knob_that_no_event_tells_of_is_found_within_a_second_of_bursts(knob: str, words: str) -> None:
    line = ready(replace(THETA, bursts=50))
    line.fire_bursts(2)
    setattr(line.device.settings, knob, 5 if knob == "pulses_per_burst" else 30_000)
    for _ in range(5):
        if not line.all(StimFault):
            line.fire_bursts(1)
    assert_disabled(line, words)


def test_sag_against_the_trains_first_burst_ends_disabled() -> None:
    line = ready()
    line.fire_bursts(2)
    line.faults.recharge_pct_per_s = 5.0
    for _ in range(3):
        if not line.all(StimFault):
            line.fire_bursts(1)
    assert_disabled(line, "the output sags")


def test_hot_coil_between_two_bursts_ends_disabled() -> None:
    line = ready()
    line.fire_bursts(2)
    line.faults.heating_c_per_s = 60.0
    line.next(StimFault)
    assert_disabled(line, "degrees C")


def test_silence_after_a_burst_ends_in_a_stale_status() -> None:
    line = ready()
    line.fire_bursts(2)
    line.faults.silent = True
    line.next(StimFault)
    line.faults.silent = False
    assert_disabled(line, "no status for 450 ms")


def test_line_lost_between_two_bursts_is_an_alarm() -> None:
    line = ready()
    line.burst()
    line.take(line.driver.disconnected(line.now_ns))
    assert "stays enabled" in line.fault_texts


def test_stop_right_after_a_trigger_ends_disabled_with_every_burst_told() -> None:
    line = ready()
    line.fire_bursts(2)
    line.take(line.driver.start_burst(line.now_ns))
    step = line.driver.stop(line.now_ns)
    assert step.send.startswith(DISABLE)
    line.take(step)
    assert line.next(Disabled).confirmed
    line.run(300)
    assert len(line.truth.pulses_ns) == 3 * line.asked_bursts == 9
    assert line.driver.prepared == THETA


def test_receipt_belongs_to_a_stopped_train_for_200_ms() -> None:
    watch = BurstWatch(THETA, 1)
    watch.ask(0)
    watch.end(50 * MS)
    assert watch.owns_pulse(250 * MS)
    assert not watch.owns_pulse(250 * MS + 1)


def test_nothing_is_asked_between_a_trigger_and_its_receipt() -> None:
    line = ready()
    line.burst()
    line.run(495)  # the next question is due in 5 ms
    asked_ns = line.now_ns
    line.take(line.driver.start_burst(line.now_ns))
    line.run(10)
    assert line.take(line.driver.tick(line.now_ns)) == ()
    line.next(BurstFired)
    assert [at_ns for at_ns, _ in line.sent if at_ns >= asked_ns] == [asked_ns, asked_ns + 20 * MS]


def test_burst_on_an_old_status_is_refused_although_its_predecessor_was_confirmed() -> None:
    line = ready()
    line.next(StimReport)
    line.run(225)  # the next one is asked for 5 ms later
    line.burst()
    line.faults.silent = True
    line.run(206)
    assert line.now_ns - line.driver.report.received_ns > 450 * MS
    assert "its last status is too old" in refused(line)
