"""What every stimulator must do when nothing is wrong: states, refusals, read-back, trains, and a stop at any byte."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.values import BurstFired, Disabled, Prepared, Ready, Secured, StimFault, StimReport, StimState, TrainBegan, TrainEnded
from tests.contract.stimulator_kit import MS, Cannot, Line, Model, StopAt, Trouble, assert_off_and_counted, confirmed
from tests.contract.stimulator_models import MODELS, every_model

STALE_ARMED_MS = 450  # one and a half times the longest polling interval while armed, 300 ms
STALE_STANDBY_MS = 750
CONFIRM_MS = 700  # more than any unit's answers and tries take


def test_every_model_says_of_every_trouble_how_it_shows_it_or_why_it_cannot() -> None:
    for model in MODELS:
        assert set(model.troubles) == set(Trouble), model.name
        for shown in model.troubles.values():
            assert not isinstance(shown, Cannot) or len(shown.why.split()) >= 5, "a reason is a sentence"


# ---- the beginning --------------------------------------------------------------------------------------------------


@every_model()
def test_first_bytes_on_a_new_line_disarm(model: Model) -> None:
    line = Line(model)
    line.connect()
    assert line.sent[0][1].startswith(model.disarm_bytes)
    assert line.state is StimState.STANDBY
    assert line.driver.report.enabled is False


@every_model()
def test_simulator_is_recognised_as_one(model: Model) -> None:
    line = Line(model)
    line.connect()
    line.run(1000)
    assert line.driver.report.simulated


@every_model()
def test_reopened_line_is_secured_again_before_anything(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.lose()
    sent = len(line.sent)
    line.connect()
    assert line.sent[sent][1].startswith(model.disarm_bytes)
    assert line.driver.prepared is None
    assert not line.unit.enabled


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["enable", "start_train", "start_burst"])
@every_model()
def test_unprepared_device_refuses_and_sends_nothing(model: Model, act: str) -> None:
    line = Line(model)
    line.connect()
    line.run(300)
    events = line.driver_says(act)
    assert any(isinstance(event, StimFault) for event in events)
    assert not line.unit.enabled
    assert not line.pulses_ns


@every_model()
def test_train_that_the_model_cannot_deliver_is_refused_with_reasons(model: Model) -> None:
    line = Line(model)
    line.connect()
    line.run(600)
    assert line.driver.can(model.settings) == ()
    assert all(len(reason.split()) >= 3 for reason in line.driver.can(model.impossible))
    assert line.driver.can(model.impossible)
    step = line.driver.prepare(model.impossible, line.now_ns)
    assert any(isinstance(event, StimFault) for event in step.events)
    assert step.send == b""


@every_model()
def test_amplitude_above_the_site_s_ceiling_is_refused(model: Model) -> None:
    line = Line(model)
    line.connect()
    line.run(600)
    assert line.driver.can(model.stronger(81))
    assert not line.driver.can(model.stronger(80)) or "Hz" in " ".join(line.driver.can(model.stronger(80)))


@pytest.mark.parametrize("act", ["prepare", "enable"])
@every_model()
def test_ready_device_is_neither_prepared_nor_enabled_again(model: Model, act: str) -> None:
    line = Line(model)
    line.make_ready()
    before = line.driver.prepared
    step = line.driver.prepare(model.settings, line.now_ns) if act == "prepare" else line.driver.enable(line.now_ns)
    assert any(isinstance(event, StimFault) for event in step.events)
    assert line.driver.prepared == before


# ---- staleness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("act", "old_ms"), [("enable", STALE_STANDBY_MS + 1), ("start_train", STALE_ARMED_MS + 1)])
@every_model()
def test_nothing_is_enabled_or_fired_on_an_old_report(model: Model, act: str, old_ms: int) -> None:
    line = Line(model)
    if act == "enable":
        line.connect()
        line.prepare()
    else:
        line.make_ready()
    later_ns = line.driver.report.received_ns + old_ms * MS
    line.unit.keep_alive(later_ns)
    step = getattr(line.driver, act)(later_ns)
    assert any(isinstance(event, StimFault) and "too old" in event.what for event in step.events)
    assert step.send == b""


@every_model()
def test_reports_of_a_ready_device_are_never_stale_for_as_long_as_it_answers(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    oldest_ns = 0
    for _ in range(600):
        line.run(10)
        assert line.state is StimState.READY
        oldest_ns = max(oldest_ns, line.now_ns - line.driver.report.received_ns)
    assert oldest_ns < STALE_ARMED_MS * MS


# ---- read-back ------------------------------------------------------------------------------------------------------


@every_model()
def test_settings_are_read_back_equal(model: Model) -> None:
    line = Line(model)
    line.connect()
    assert line.driver.prepared is None
    assert line.prepare().mismatches == ()
    assert line.driver.prepared == model.settings


@every_model(Trouble.SETTING_DIFFERS)
def test_setting_that_reads_back_otherwise_is_named_and_never_armed(model: Model) -> None:
    line = Line(model)
    line.connect()
    line.take(line.driver.prepare(model.settings, line.now_ns))

    def is_named_while_it_will_not_hold() -> bool:
        line.strike(Trouble.SETTING_DIFFERS)
        return any(event.mismatches for event in line.all(Prepared)) or bool(line.all(StimFault))

    line.within(20_000, is_named_while_it_will_not_hold)
    assert line.driver.prepared is None
    line.run(100)
    line.driver_says("enable")
    line.run(3000)
    assert not line.unit.enabled


@every_model(Trouble.SETTING_REFUSED)
def test_setting_that_the_device_does_not_take_is_never_armed(model: Model) -> None:
    line = Line(model)
    line.connect()
    line.strike(Trouble.SETTING_REFUSED)
    line.take(line.driver.prepare(model.settings, line.now_ns))
    line.within(20_000, lambda: any(event.mismatches for event in line.all(Prepared)) or bool(line.all(StimFault)))
    line.run(100)
    line.driver_says("enable")
    line.run(3000)
    assert line.driver.prepared is None
    assert not line.unit.enabled


@every_model(Trouble.SETTING_DIFFERS)
def test_setting_changed_between_prepare_and_enable_is_found_before_ready(model: Model) -> None:
    line = Line(model)
    line.connect()
    line.prepare()
    line.strike(Trouble.SETTING_DIFFERS)
    line.driver_says("enable")
    line.within(5000, lambda: bool(confirmed(line)))
    assert not line.all(Ready)
    assert not line.unit.enabled
    assert line.driver.prepared is None


# ---- trains ---------------------------------------------------------------------------------------------------------


@every_model()
def test_states_follow_the_device_through_a_whole_train(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.run(300)
    line.start()
    line.next(TrainEnded)
    line.within(20_000, lambda: line.state is StimState.READY)
    line.stop()
    told = [event.state for event in line.all(StimReport)]
    assert told[0] is StimState.SECURING
    seen = [state for state, _ in itertools.groupby(told)]
    for earlier, later in itertools.pairwise([StimState.STANDBY, StimState.ARMING, StimState.READY, StimState.FIRING, StimState.READY]):
        assert later in seen[seen.index(earlier) :], seen
    assert seen[-1] is StimState.STANDBY
    assert StimState.FAULT not in seen


@every_model()
def test_train_delivers_exactly_its_pulses_and_counts_them(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    assert line.pulses_ns == []
    line.start()
    line.next(TrainEnded)
    line.run(400)
    assert len(line.pulses_ns) == model.settings.pulses
    assert line.counted_pulses() == model.settings.pulses
    assert not line.all(StimFault)


@every_model()
def test_second_train_needs_no_second_enable(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    for _ in range(2):
        line.start()
        line.next(TrainEnded)
        line.within(20_000, lambda: line.state is StimState.READY)
    line.run(400)
    assert len(line.pulses_ns) == 2 * model.settings.pulses
    assert line.counted_pulses() == 2 * model.settings.pulses


@every_model()
def test_nothing_but_the_start_fires(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.run(30_000)
    line.stop()
    assert not line.pulses_ns
    assert not line.all(BurstFired)
    assert not line.all(TrainBegan)


# ---- stopping -------------------------------------------------------------------------------------------------------


@every_model()
def test_stop_is_confirmed_in_standby_and_when_ready(model: Model) -> None:
    line = Line(model)
    line.connect()
    assert line.stop().confirmed
    assert line.prepare().mismatches == ()
    line.enable()
    assert line.stop().confirmed
    assert not line.unit.enabled
    assert line.driver.report.enabled is False


@every_model(Trouble.MID_TRAIN)
def test_stop_mid_train_is_written_at_once_and_no_pulse_follows_its_confirmation(model: Model) -> None:
    line = Line(model)
    line.fire(0.5)
    answer = line.stop()
    assert line.sent_since_stop.startswith(model.disarm_bytes)
    assert answer.confirmed
    line.run(1500)
    assert_off_and_counted(line)
    assert len(line.pulses_ns) < model.settings.pulses


@every_model()
def test_start_after_a_stop_takes_a_new_enable(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.stop()
    assert any(isinstance(event, StimFault) for event in line.ask_start())
    line.within(2000, lambda: line.state is StimState.STANDBY)
    assert line.prepare().mismatches == ()
    line.enable()
    assert line.unit.enabled
    assert not line.pulses_ns


@every_model(Trouble.MID_TRAIN)
def test_device_is_prepared_and_ready_again_right_after_a_stop_in_mid_train(model: Model) -> None:
    line = Line(model)
    line.fire()
    line.stop()
    assert line.prepare().mismatches == ()
    line.enable()
    line.start()
    line.next(TrainEnded)
    assert not line.all(StimFault)
    assert line.counted_pulses() >= len(line.pulses_ns) > model.settings.pulses


@every_model(Trouble.MID_TRAIN)
@given(after_us=st.integers(0, 2_200_000))
@settings(max_examples=40, deadline=None)
def test_stop_at_any_moment_of_a_train_is_written_at_once_and_final(model: Model, after_us: int) -> None:
    line = Line(model)
    line.make_ready()
    line.ask_start()
    line.run(after_us / 1000)
    answer = line.stop()
    assert line.sent_since_stop.startswith(model.disarm_bytes)
    assert answer.confirmed
    line.run(1000)
    assert_off_and_counted(line)


def whole_conversation(line: Line) -> None:
    """Each step as soon as the one before is answered, until a stop is asked for."""
    steps: list[tuple[Callable[[], object], type[object]]] = [
        (lambda: line.take(line.driver.connected(line.now_ns)), Secured),
        (lambda: line.take(line.driver.prepare(line.model.settings, line.now_ns)), Prepared),
        (lambda: line.take(line.driver.enable(line.now_ns)), Ready),
        (line.ask_start, TrainEnded),
    ]
    for act, answer in steps:
        if answer is TrainEnded:
            line.within(20_000, lambda: line.state is StimState.READY or line.stop_asked_ns is not None)
        if line.stop_asked_ns is not None:
            return
        seen = len(line.events)
        act()
        line.within(
            20_000,
            lambda seen=seen, answer=answer: line.stop_asked_ns is not None
            or any(isinstance(event, answer) for event in line.events[seen:]),
        )


def assert_stopped(line: Line) -> None:
    """Confirmed soon after it was asked for, enabled by nothing that was under way, and counted."""
    assert line.stop_asked_ns is not None
    asked_ns = line.stop_asked_ns
    line.within(CONFIRM_MS, lambda: any(event.at_ns >= asked_ns for event in confirmed(line)))
    proven_ns = confirmed(line)[-1].at_ns
    line.run(1500)
    assert not any(enabled for at_ns, enabled in line.unit.truth.charged_states if at_ns > proven_ns)
    assert_off_and_counted(line)
    assert all(event.confirmed for event in line.all(Disabled))


@every_model()
def test_stop_after_any_byte_that_came_in_ends_off_and_counted(model: Model) -> None:
    dry = Line(model)
    whole_conversation(dry)
    for count in range(1, dry.received_bytes + 1, model.stride):
        line = Line(model, stop_at=StopAt(received=count))
        whole_conversation(line)
        assert_stopped(line)


@every_model()
def test_stop_after_any_byte_that_went_out_finishes_the_frame_and_ends_off(model: Model) -> None:
    dry = Line(model)
    whole_conversation(dry)
    for count in range(1, dry.sent_bytes + 1, model.stride):
        line = Line(model, stop_at=StopAt(sent=count))
        whole_conversation(line)
        assert_stopped(line)
