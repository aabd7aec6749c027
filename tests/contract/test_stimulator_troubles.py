"""What goes wrong with a unit, its coil or its line, and what hands do at it: each ends off, with a reason, every pulse accounted for."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.values import BurstFired, Disabled, PanelAct, Ready, Secured, StimFault, StimState
from tests.contract.stimulator_kit import MS, Line, Model, Trouble, assert_made_safe, assert_off_and_counted, confirmed
from tests.contract.stimulator_models import every_model, every_model_in

SOON_MS = 1500  # from the trouble to its fault, ramps included
CALM_MS = 6000  # time enough to be confirmed off once the line is well again
HOTTEST_C = 43  # a ramp of 40 degrees a second may pass the limit of 41 by what it gains between two readings
QUEUE_MS = 60_000  # a device that takes three seconds for each command works off what it was sent meanwhile
MUTE = (Trouble.SILENT, Trouble.DEAF, Trouble.WRONG_CHECKSUM, Trouble.SLOW)
OF_THE_COIL = (Trouble.WARMING, Trouble.COIL_REMOVED, Trouble.BROKEN_SENSOR)
OF_THE_CABLE = (Trouble.LOST_BYTES, Trouble.DOUBLED_BYTES)
BY_HAND = (Trouble.PANEL_DISABLE, Trouble.POWER_CYCLE)
ANY_TIME = (*MUTE, *OF_THE_COIL, *BY_HAND)


def test_no_trouble_is_left_out_of_the_contract() -> None:
    """Each has a test here or among those of a sound device and of the host."""
    elsewhere = {Trouble.SETTING_REFUSED, Trouble.SETTING_DIFFERS, Trouble.MID_TRAIN, Trouble.PACED_BY_HOST}
    elsewhere |= {Trouble.LEFT_ENABLED, Trouble.LATE_ANSWER, Trouble.DAEMON_SILENT}
    here = {*ANY_TIME, Trouble.LOST_BYTES, Trouble.DOUBLED_BYTES, Trouble.STUCK_ARMED, Trouble.IGNORES_STOP, Trouble.NEVER_READY}
    here |= {Trouble.START_IGNORED, Trouble.PANEL_ENABLE, Trouble.PANEL_DIAL, Trouble.PANEL_FIRE}
    assert elsewhere | here == set(Trouble)


# ---- while ready, while firing --------------------------------------------------------------------------------------


@every_model_in(*ANY_TIME, Trouble.PANEL_DIAL, Trouble.PANEL_FIRE)
def test_trouble_while_ready_ends_off_with_its_reason(model: Model, trouble: Trouble) -> None:
    line = Line(model)
    line.make_ready()
    line.run(300)
    line.strike(trouble)
    line.next(StimFault, SOON_MS)
    line.heal()
    line.run(CALM_MS)
    assert_made_safe(line)


@every_model_in(*ANY_TIME, also=(Trouble.MID_TRAIN,))
def test_trouble_while_firing_ends_off_with_its_reason(model: Model, trouble: Trouble) -> None:
    line = Line(model)
    line.fire()
    line.strike(trouble)
    line.next(StimFault, SOON_MS)
    line.heal()
    line.run(CALM_MS)
    assert_made_safe(line)


@every_model_in(*ANY_TIME)
def test_after_a_trouble_only_a_person_and_a_new_preparation_make_the_device_ready(model: Model, trouble: Trouble) -> None:
    line = Line(model)
    line.make_ready()
    line.strike(trouble)
    line.next(StimFault, SOON_MS)
    line.heal()
    line.run(CALM_MS)
    refused = line.driver_says("enable")
    assert any(isinstance(event, StimFault) for event in refused)
    line.run(3000)
    assert not line.unit.enabled
    assert line.state is StimState.FAULT

    def is_acknowledged() -> bool:
        line.driver_says("acknowledge")
        return line.state is StimState.STANDBY

    line.within(QUEUE_MS, is_acknowledged)
    assert line.driver.report.fault is None


# ---- the line -------------------------------------------------------------------------------------------------------


@every_model(Trouble.SILENT)
def test_absent_device_is_told_once_and_secured_when_it_comes(model: Model) -> None:
    line = Line(model)
    line.strike(Trouble.SILENT)
    line.take(line.driver.connected(line.now_ns))
    assert line.next(StimFault).what == "no answer"
    line.run(5000)
    assert len(line.all(StimFault)) == 1
    assert line.state is StimState.FAULT
    line.heal()
    line.next(Secured, 2000)
    assert line.state is StimState.STANDBY
    assert line.driver.report.fault is None


@every_model_in(*MUTE)
def test_line_that_fails_in_standby_is_secured_again_from_the_beginning(model: Model, trouble: Trouble) -> None:
    line = Line(model)
    line.connect()
    line.prepare()
    line.strike(trouble)
    line.next(StimFault, 12_000)
    assert line.driver.prepared is None
    line.heal()
    line.run(12_000)
    assert line.all(Secured)[1:] or confirmed(line)
    assert line.state in (StimState.STANDBY, StimState.FAULT)
    assert line.driver.prepared is None
    assert not line.unit.enabled


@every_model(Trouble.LOST_BYTES, Trouble.DOUBLED_BYTES)
@given(bad=st.sets(st.sampled_from(OF_THE_CABLE), min_size=1), seed=st.integers(0, 1000), at_ms=st.integers(0, 2500))
@settings(max_examples=40, deadline=None)
def test_line_that_loses_and_doubles_bytes_never_leaves_the_device_on(model: Model, bad: set[Trouble], seed: int, at_ms: int) -> None:
    line = Line(model, seed=seed)
    line.make_ready()
    for trouble in sorted(bad):
        line.strike(trouble)
    line.ask_start()
    line.run(at_ms)
    line.ask_stop()
    line.run(1600)
    assert len(line.pulses_ns) <= model.settings.pulses
    line.heal()
    line.run(CALM_MS)
    assert not line.unit.enabled
    assert line.driver.report.enabled is False
    assert line.state in (StimState.STANDBY, StimState.FAULT)
    assert line.counted_pulses() >= len(line.pulses_ns)


# ---- a device that does not do as it is told ------------------------------------------------------------------------


@every_model(Trouble.NEVER_READY)
def test_enable_that_never_comes_is_a_fault_and_ends_off(model: Model) -> None:
    line = Line(model)
    line.connect()
    line.prepare()
    line.strike(Trouble.NEVER_READY)
    line.take(line.driver.enable(line.now_ns))
    assert "not ready within" in line.next(StimFault, 3100).what
    line.within(1000, lambda: bool(confirmed(line)))
    assert not line.all(Ready)
    assert not line.unit.enabled


@every_model(Trouble.START_IGNORED)
def test_start_that_the_device_ignores_is_a_fault_within_half_a_second(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.strike(Trouble.START_IGNORED)
    line.ask_start()
    assert "did not start" in line.next(StimFault, 500).what
    line.run(CALM_MS)
    assert_made_safe(line)
    assert not line.pulses_ns


@every_model(Trouble.STUCK_ARMED)
def test_stop_that_is_never_obeyed_is_repeated_and_alarmed_once(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.strike(Trouble.STUCK_ARMED)
    begun_ns = line.now_ns
    alarm = line.stop()
    assert not alarm.confirmed
    assert alarm.at_ns - begun_ns == model.alarm_ms * MS
    assert line.state is StimState.FAULT
    tries_ns = [at_ns for at_ns, data in line.sent if model.disarm_bytes in data and at_ns >= begun_ns]
    assert len(tries_ns) >= 3
    assert all(later - earlier == model.retry_ms * MS for earlier, later in itertools.pairwise(tries_ns[:3]))
    line.heal()
    assert line.next(Disabled, 3000).confirmed
    assert [event.confirmed for event in line.all(Disabled)] == [False, True]
    assert not line.unit.enabled


@every_model(Trouble.STUCK_ARMED)
def test_nothing_starts_on_a_device_whose_stop_is_not_confirmed(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.strike(Trouble.STUCK_ARMED)
    line.stop()
    for act in ("start_train", "enable"):
        step = getattr(line.driver, act)(line.now_ns)
        assert any(isinstance(event, StimFault) for event in step.events)
        line.take(step)
    line.run(2000)
    assert not line.pulses_ns


@pytest.mark.parametrize("ms", [40, 120, 250, 600])
@every_model(Trouble.IGNORES_STOP, Trouble.MID_TRAIN)
def test_train_that_ignores_the_stop_for_a_while_is_counted_to_its_end(model: Model, ms: int) -> None:
    line = Line(model)
    line.fire()
    line.unit.ignore_stop(ms)
    line.ask_stop()
    asked_ns = line.now_ns
    line.within(3000, lambda: bool(confirmed(line)))
    off_ns = line.unit.truth.charged_states[-1][0]
    assert asked_ns + ms * MS <= off_ns
    line.run(1500)
    assert_off_and_counted(line)
    was_late = confirmed(line)[-1].at_ns - asked_ns > model.alarm_ms * MS
    assert [event.confirmed for event in line.all(Disabled)] == ([False, True] if was_late else [True])


@every_model(Trouble.IGNORES_STOP)
def test_device_that_obeys_the_stop_late_ends_off(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.strike(Trouble.IGNORES_STOP)
    assert line.stop().confirmed
    assert_off_and_counted(line)


# ---- the coil -------------------------------------------------------------------------------------------------------


@every_model_in(Trouble.COIL_REMOVED, Trouble.BROKEN_SENSOR)
def test_coil_that_is_not_fit_is_not_charged(model: Model, trouble: Trouble) -> None:
    line = Line(model)
    line.connect()
    line.prepare()
    line.strike(trouble)
    line.run(1500)
    line.driver_says("enable")
    line.run(3500)
    assert not line.all(Ready)
    assert not line.unit.enabled
    assert line.fault_texts


@every_model(Trouble.WARMING)
def test_coil_that_warms_up_starts_nothing_and_is_off_soon_after(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.strike(Trouble.WARMING)
    line.within(3000, lambda: "degrees C" in line.fault_texts)
    assert (line.driver.report.temperature_c or 0) <= HOTTEST_C
    assert any(isinstance(event, StimFault) for event in line.ask_start())
    line.within(1000, lambda: not line.unit.enabled)
    line.run(CALM_MS)
    assert not line.pulses_ns


# ---- hands at the unit ----------------------------------------------------------------------------------------------


@every_model(Trouble.PANEL_ENABLE)
def test_enable_pressed_in_standby_is_told_and_undone(model: Model) -> None:
    line = Line(model)
    line.connect()
    line.prepare()
    line.run(1000)
    line.strike(Trouble.PANEL_ENABLE)
    assert line.next(PanelAct, 1500).what
    assert line.next(Disabled, 1500).confirmed
    line.run(3000)
    assert any(enabled for _, enabled in line.unit.truth.charged_states)
    assert not line.unit.enabled
    assert line.driver.prepared is None


@every_model(Trouble.PANEL_DIAL)
def test_dial_turned_in_standby_voids_what_was_prepared(model: Model) -> None:
    line = Line(model)
    line.connect()
    line.prepare()
    line.strike(Trouble.PANEL_DIAL)
    line.within(2000, lambda: line.driver.prepared is None)
    line.driver_says("enable")
    line.run(3500)
    assert not line.unit.enabled


@every_model(Trouble.PANEL_FIRE)
def test_pulse_fired_by_hand_while_ready_is_told_as_nobody_s_and_counted(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.run(1000)
    line.strike(Trouble.PANEL_FIRE)
    line.next(StimFault, SOON_MS)
    line.run(CALM_MS)
    told = line.all(BurstFired)
    assert told
    assert not any(event.asked for event in told)
    assert line.pulses_ns
    assert_made_safe(line)


@every_model(Trouble.PANEL_DISABLE)
def test_disable_pressed_while_ready_is_told_in_the_words_that_the_stop_test_waits_for(model: Model) -> None:
    line = Line(model)
    line.make_ready()
    line.run(300)
    line.strike(Trouble.PANEL_DISABLE)
    assert line.next(PanelAct, 1000).what.startswith("disabled")


ACTS = (Trouble.PANEL_ENABLE, Trouble.PANEL_DISABLE, Trouble.PANEL_DIAL, Trouble.PANEL_FIRE, Trouble.COIL_REMOVED, Trouble.POWER_CYCLE)


@every_model(*ACTS)
@given(acts=st.lists(st.tuples(st.integers(0, 500), st.sampled_from(ACTS)), min_size=1, max_size=6), starts=st.booleans())
@settings(max_examples=40, deadline=None)
def test_whatever_hands_do_at_the_unit_it_ends_off_and_counted(model: Model, acts: list[tuple[int, Trouble]], starts: bool) -> None:
    line = Line(model)
    line.make_ready()
    if starts:
        line.ask_start()
    for wait_ms, act in acts:
        line.run(wait_ms)
        line.strike(act)
    line.run(3000)
    line.ask_stop()
    line.run(3000)
    assert not line.unit.enabled
    assert line.state in (StimState.STANDBY, StimState.FAULT)
    assert line.counted_pulses() >= len(line.countable_pulses_ns)
