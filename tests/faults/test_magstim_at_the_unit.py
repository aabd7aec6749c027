"""Hands at a Magstim, units that are not fit to be armed, and control that is not given: each is named, and ends disarmed."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from drivers.magstim_command_wire import UnlockCode
from drivers.values import BurstFired, Disabled, PanelAct, Ready, Secured, StimFault, StimState, TrainEnded
from tests.magstim_line import MS, SINGLE, TRAIN, MagstimLine

Act = Callable[[MagstimLine], None]


def switch(name: str, value: object) -> Act:
    return lambda line: setattr(line.faults, name, value)


def warm_coil(line: MagstimLine) -> None:
    line.device.windings.warm_to(39.0)
    line.faults.heating_c_per_s = 1.5


# ---- hands ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "most"), [(TRAIN, 20), (SINGLE, 1)])
def test_pulses_by_the_trigger_input_are_told_one_by_one_and_never_too_few(settings: object, most: int) -> None:
    line = MagstimLine()
    line.make_ready(TRAIN if settings is TRAIN else SINGLE)
    line.run(1000)
    line.device.trigger(line.now_ns)
    line.next(Disabled, 1500)
    line.run(1000)
    assert len(line.truth.pulses_ns) <= line.unasked_pulses <= most
    assert all(event.didt_a_per_us is None for event in line.all(BurstFired))


def test_trigger_input_half_a_second_after_our_own_pulse_is_not_ours() -> None:
    line = MagstimLine()
    line.make_ready(SINGLE)
    line.fire()
    line.until(StimState.READY)
    line.run(300)
    line.device.trigger(line.now_ns)
    line.next(Disabled, 1500)
    assert line.unasked_pulses == 1


def test_trigger_input_just_after_the_unit_is_ready_again_is_not_taken_for_our_own_train() -> None:
    line = MagstimLine()
    line.make_ready(SINGLE)
    line.fire()
    line.until(StimState.READY)
    line.stop()
    line.enable_again(SINGLE)
    line.run(100)
    line.device.trigger(line.now_ns)
    line.next(Disabled, 1500)
    assert line.unasked_pulses == 1
    assert len(line.truth.pulses_ns) == 2


def test_unit_that_disarms_itself_after_its_minute_is_not_taken_for_a_pressed_stop() -> None:
    line = MagstimLine()
    line.make_ready()
    fault = line.next(StimFault, 70_000)
    assert "armed for a minute" in fault.what
    assert not line.all(PanelAct)


def test_unit_that_disarms_its_hot_coil_itself_is_not_taken_for_a_pressed_stop() -> None:
    line = MagstimLine()
    line.make_ready()
    warm_coil(line)
    line.next(StimFault)
    line.run(1000)
    assert not line.all(PanelAct)


def test_error_in_standby_is_told_with_its_code() -> None:
    line = MagstimLine()
    line.connect()
    line.run(1000)
    line.faults.error = "C12"
    line.within(3000, lambda: "C12" in line.fault_texts)


# ---- arming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "words"), [("never_ready", "not ready within 3 s"), ("ignores_arm", "not ready within 3 s")])
def test_unit_that_never_gets_ready_is_a_fault_after_three_seconds(fault: str, words: str) -> None:
    line = MagstimLine()
    line.connect()
    line.prepare()
    setattr(line.faults, fault, True)
    begun_ns = line.now_ns
    line.take(line.driver.enable(line.now_ns))
    told = line.next(StimFault)
    assert words in told.what
    assert told.at_ns - begun_ns == 3000 * MS
    line.next(Disabled)
    assert not line.all(Ready)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (switch("reports_tenth_c", 400), "the coil is at 40.0 degrees C, the limit is 40"),
        (switch("reports_tenth_c", 0), "sensor"),
        (switch("supply_missing", True), "high-voltage supply"),
        (switch("coil_switch_open", True), "the coil is not ready"),
        (switch("error", "E03"), "error"),
        (lambda line: line.device.plug_coil(False, line.now_ns), "no coil"),
        (lambda line: setattr(line.device.settings, "enhanced", True), "enhanced power mode"),
    ],
)
def test_unit_that_is_not_fit_is_not_armed(act: Act, words: str) -> None:
    line = MagstimLine()
    line.connect()
    line.prepare()
    act(line)
    line.run(1500)
    faults = [event.what for event in line.take(line.driver.enable(line.now_ns)) if isinstance(event, StimFault)]
    assert len(faults) == 1
    assert words in faults[0]
    assert not line.device.armed


@pytest.mark.parametrize(("model", "told"), [("plus1", "superrapid"), ("superrapid", "plus1")])
def test_unit_that_is_another_model_than_the_chair_file_says_is_not_armed(model: str, told: str) -> None:
    line = MagstimLine(model=model, told_model=told)
    line.connect()
    line.prepare()
    events = line.take(line.driver.enable(line.now_ns))
    assert any(isinstance(event, StimFault) and "Plus¹" in event.what for event in events)


def test_coil_whose_trains_warm_it_too_much_starts_no_further_one() -> None:
    line = MagstimLine()
    line.make_ready()
    line.faults.reports_tenth_c = 360
    line.run(700)
    line.start()
    line.faults.reports_tenth_c = 390
    line.next(TrainEnded)
    line.until(StimState.READY)
    line.run(1000)
    events = line.take(line.driver.start_train(line.now_ns))
    assert any(isinstance(event, StimFault) and "would warm the coil by 3.0 to 42.0" in event.what for event in events)


# ---- control --------------------------------------------------------------------------------------------------------


def test_wrong_code_is_told_as_soon_as_the_unit_is_secured_and_nowhere_shown() -> None:
    line = MagstimLine(unlock=UnlockCode(b"cccc-dddddddd-00"))
    line.connect()
    fault = line.next(StimFault, 500)
    assert "the unit refuses remote control" in fault.what
    assert "unlock code" in fault.remedy
    assert "dddd" not in repr(line.events)
    assert line.state() is StimState.FAULT


def test_unit_that_is_silent_to_a_wrong_code_is_told_with_the_same_remedy() -> None:
    line = MagstimLine()
    line.take(line.driver.connected(line.now_ns))
    line.next(Secured)
    line.faults.silent = True
    fault = line.next(StimFault, 500)
    assert "no answer to remote control" in fault.what
    assert "unlock code" in fault.remedy


def test_missing_code_refuses_to_prepare_and_asks_for_nothing() -> None:
    line = MagstimLine(unlock=None)
    line.connect()
    line.run(500)
    assert not line.all(StimFault)
    (fault,) = (event for event in line.take(line.driver.prepare(TRAIN, line.now_ns)) if isinstance(event, StimFault))
    assert "unlock code and none is configured" in fault.what


def test_unit_of_other_software_than_the_chair_file_says_is_not_used() -> None:
    line = MagstimLine(told_software=8)
    line.connect()
    (fault,) = (event for event in line.take(line.driver.prepare(TRAIN, line.now_ns)) if isinstance(event, StimFault))
    assert "its software is 9, the chair file says 8" in fault.what


def test_a_unit_is_planned_by_the_software_that_the_chair_file_tells_until_it_tells_its_own() -> None:
    long = replace(TRAIN, bursts=360, burst_hz="1")
    assert MagstimLine(told_software=None).driver.can(long)
    assert not MagstimLine(told_software=9).driver.can(long)


def test_coil_switch_is_overridden_only_where_the_site_says_so() -> None:
    line = MagstimLine(ignore_coil_switch=True)
    line.faults.coil_switch_open = True
    line.make_ready()
    assert line.state() is StimState.READY
