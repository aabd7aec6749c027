"""What a Magstim's replies say of it: each field that differs is named, each condition that does not hold is a reason, unknown is one."""

import pytest
from msgspec.structs import replace

from drivers.magstim_models import make_unit
from drivers.magstim_phases import Phase, fired_unasked, has_dropped, settle_ns, unasked
from drivers.magstim_picture import Picture, condition_reasons, mismatches, seen, tells_status, temperature_reason, was_running
from drivers.magstim_table_wire import read_table
from drivers.magstim_wire import (
    Ack,
    ErrorCode,
    ExtendedStatus,
    InstrumentStatus,
    PairParameters,
    RapidAck,
    RapidParameters,
    RapidStatus,
    Reply,
    SystemStatus,
    Temperature,
)
from tests.magstim_line import PAIR, SINGLE, TRAIN

TABLE = read_table()
RAPID, BISTIM, OLD = (make_unit(model, 240, 100, TABLE, "here") for model in ("plus1", "bistim", "200"))
STANDBY = InstrumentStatus(standby=True, coil_present=True, remote=True)
ARMED = InstrumentStatus(armed=True, coil_present=True, remote=True)
READY = InstrumentStatus(ready=True, coil_present=True, remote=True)
FIT = RapidStatus(supply=True, coil_ready=True)
SET = RapidParameters(status=STANDBY, rapid=FIT, power_pct=50, tenth_hz=100, pulses=20, duration_tenth_s=20, wait_tenth_s=5)
GOOD = Picture(status=STANDBY, rapid=FIT, extended=ExtendedStatus(plus1=True), train=SET, hottest_tenth_c=240)


def test_unit_that_is_fit_has_no_reason_against_it() -> None:
    assert condition_reasons(GOOD, RAPID) == []


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (replace(GOOD, status=None), "told no status"),
        (replace(GOOD, rapid=None), "no status of its train generator"),
        (replace(GOOD, status=replace(STANDBY, coil_present=False)), "no coil"),
        (replace(GOOD, status=replace(STANDBY, replace_coil=True)), "another coil"),
        (replace(GOOD, status=replace(STANDBY, error=True)), "an error"),
        (replace(GOOD, status=replace(STANDBY, fatal=True)), "a fatal error"),
        (replace(GOOD, status=replace(STANDBY, error=True), error=ErrorCode(status=STANDBY, source="C", code=7)), "an error C07"),
        (replace(GOOD, rapid=replace(FIT, supply=False)), "high-voltage supply"),
        (replace(GOOD, rapid=replace(FIT, coil_ready=False)), "coil is not ready"),
        (replace(GOOD, rapid=replace(FIT, enhanced=True)), "enhanced power"),
        (replace(GOOD, extended=ExtendedStatus()), "no Plus¹ module"),
        (replace(GOOD, extended=ExtendedStatus(plus1=True, special_trigger=True)), "special trigger mode"),
        (replace(GOOD, extended=ExtendedStatus(plus1=True, charge_delay=True)), "charge delay"),
    ],
)
def test_each_condition_that_does_not_hold_is_one_reason(picture: Picture, words: str) -> None:
    (reason,) = condition_reasons(picture, RAPID)
    assert words in reason


@pytest.mark.parametrize(
    ("tenths", "words"), [(None, "unknown"), (0, "sensor"), (601, "sensor"), (400, "limit is 40"), (399, None), (1, None)]
)
def test_temperature_is_a_reason_unless_it_is_known_sane_and_below_the_limit(tenths: int | None, words: str | None) -> None:
    reason = temperature_reason(tenths, 40)
    assert (reason is None) == (words is None)
    assert words is None or words in str(reason)


def test_settings_read_back_equal_differ_in_nothing() -> None:
    assert mismatches(TRAIN, GOOD, RAPID) == ()


@pytest.mark.parametrize(
    ("picture", "field"),
    [
        (replace(GOOD, train=replace(SET, power_pct=51)), "amplitude"),
        (replace(GOOD, train=replace(SET, tenth_hz=101)), "rate"),
        (replace(GOOD, train=replace(SET, pulses=21)), "pulses in the train"),
        (replace(GOOD, train=replace(SET, duration_tenth_s=21)), "length"),
        (replace(GOOD, rapid=replace(FIT, single_pulse=True)), "single-pulse mode"),
    ],
)
def test_each_field_of_a_train_that_differs_is_named(picture: Picture, field: str) -> None:
    (mismatch,) = mismatches(TRAIN, picture, RAPID)
    assert mismatch.startswith(field)


def test_single_pulse_wants_the_single_pulse_mode_and_nothing_of_the_train() -> None:
    (mismatch,) = mismatches(SINGLE, GOOD, RAPID)
    assert mismatch.startswith("single-pulse mode")
    single = replace(GOOD, rapid=replace(FIT, single_pulse=True))
    assert mismatches(SINGLE, single, RAPID) == ()


def test_what_was_not_told_differs() -> None:
    assert len(mismatches(TRAIN, Picture(), RAPID)) == 5
    assert len(mismatches(PAIR, Picture(), BISTIM)) == 4
    assert len(mismatches(SINGLE, Picture(), OLD)) == 1


@pytest.mark.parametrize(
    ("change", "mode", "field"),
    [
        ({"a_pct": 49}, "2", "amplitude:"),
        ({"b_pct": 49}, "2", "amplitude of the second pulse"),
        ({"interval_steps": 4}, "2", "interval"),
        ({}, "4", "system mode"),
        ({}, "3", "system mode"),
        ({}, "R", "system mode"),
    ],
)
def test_each_field_of_a_pair_that_differs_is_named(change: dict[str, int], mode: str, field: str) -> None:
    told = PairParameters(status=STANDBY, a_pct=50, b_pct=50, interval_steps=3)
    assert mismatches(PAIR, Picture(pair=told, mode="2"), BISTIM) == ()
    (mismatch,) = mismatches(PAIR, Picture(pair=replace(told, **change), mode=mode), BISTIM)
    assert mismatch.startswith(field)


@pytest.mark.parametrize("letter", ["E", "@", "A", "C", "Y", "b"])
def test_status_in_an_acknowledgement_tells_nothing_of_now(letter: str) -> None:
    reply = Ack(letter=letter, status=READY)
    assert not tells_status(reply)
    assert seen(GOOD, reply) == GOOD


@pytest.mark.parametrize(
    "reply",
    [
        RapidAck(letter="B", status=READY, rapid=RapidStatus(train=True)),
        SystemStatus(letter="n", status=READY, rapid=RapidStatus(train=True), extended=ExtendedStatus()),
    ],
)
def test_status_in_the_answer_to_a_rapid_setting_tells_nothing_of_now(reply: Reply) -> None:
    assert seen(GOOD, reply) == GOOD


@pytest.mark.parametrize("letter", ["Q", "R"])
def test_status_in_the_answer_to_a_change_of_control_is_the_new_one(letter: str) -> None:
    assert seen(GOOD, Ack(letter=letter, status=READY)).status == READY


def test_hotter_winding_counts() -> None:
    picture = seen(GOOD, Temperature(status=STANDBY, first_tenth_c=301, second_tenth_c=312))
    assert (picture.hottest_tenth_c, picture.temperature_c) == (312, 32)


def test_pause_after_a_train_tells_that_one_was_running() -> None:
    assert was_running(replace(SET, rapid=replace(FIT, wait=True)))
    assert was_running(replace(SET, rapid=replace(FIT, train=True)))
    assert not was_running(SET)


READY_NOW = replace(GOOD, status=READY)


@pytest.mark.parametrize(
    ("new", "phase", "fired"),
    [
        (replace(GOOD, status=ARMED), Phase.READY, True),
        (replace(GOOD, status=ARMED), Phase.RECOVERING, True),
        (replace(READY_NOW, rapid=replace(FIT, train=True)), Phase.READY, True),
        (replace(READY_NOW, rapid=replace(FIT, train=True)), Phase.RECOVERING, True),
        (replace(READY_NOW, rapid=replace(FIT, wait=True)), Phase.READY, True),
        (replace(READY_NOW, rapid=replace(FIT, wait=True)), Phase.RECOVERING, False),
        (READY_NOW, Phase.READY, False),
        (replace(GOOD, status=ARMED), Phase.FIRING, False),
    ],
)
def test_charge_or_train_bit_that_we_did_not_ask_for_means_that_something_fired(new: Picture, phase: Phase, fired: bool) -> None:
    assert fired_unasked(READY_NOW, new, phase) is fired


def test_acts_that_were_not_asked_for_are_named_in_the_phases_in_which_they_are_not_ours() -> None:
    local = replace(READY_NOW, status=replace(READY, remote=False))
    stronger = replace(READY_NOW, train=replace(SET, power_pct=60))
    assert unasked(READY_NOW, READY_NOW, Phase.READY) == []
    assert unasked(READY_NOW, local, Phase.READY) == ["remote control was taken away"]
    assert unasked(READY_NOW, stronger, Phase.READY) == ["amplitude changed from 50 to 60 %"]
    assert unasked(GOOD, replace(GOOD, train=replace(SET, power_pct=60)), Phase.PREPARING) == []
    assert unasked(GOOD, READY_NOW, Phase.IDLE) == unasked(GOOD, READY_NOW, Phase.PREPARING) == ["armed at the unit"]


def test_standby_while_armed_is_a_drop_but_not_before_the_arm_command_took_effect() -> None:
    assert has_dropped(READY_NOW, GOOD, Phase.READY)
    assert has_dropped(replace(GOOD, status=ARMED), GOOD, Phase.ARMING)
    assert not has_dropped(GOOD, GOOD, Phase.ARMING)
    assert not has_dropped(READY_NOW, GOOD, Phase.STOPPING)


@pytest.mark.parametrize(("old", "new", "ms"), [(30, 80, 500), (80, 30, 5000), (50, 50, 0), (None, 30, 7000), (None, 95, 950)])
def test_power_is_given_its_time_to_follow(old: int | None, new: int, ms: int) -> None:
    assert settle_ns(old, new) == ms * 1_000_000
