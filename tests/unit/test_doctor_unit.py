"""What a stimulator said, judged: alike for both families, then each family's own."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from daemon.config import SIMULATION_ONLY
from daemon.doctor import EX_CONFIG, Status
from daemon.doctor_magstim import (
    coil_is_cool as magstim_coil_is_cool,
)
from daemon.doctor_magstim import (
    coil_is_there,
    control_is_given,
    unit_is_as_configured,
    unit_may_be_charged,
    unlock_file_is_private,
)
from daemon.doctor_magventure import coil_is_as_configured, coil_is_cool, model_is_as_configured
from daemon.doctor_unit import (
    UnitFacts,
    amplitude_is_told,
    disarm_is_confirmed,
    figures_fit_the_unit,
    nothing_went_wrong,
    rts_is_as_wanted,
    unit_is_left_off,
)
from daemon.stimulator_section import MagstimSection, MagVentureSection
from drivers.disarm import DisarmOutcome
from drivers.magstim_picture import Picture
from drivers.magstim_wire import ExtendedStatus, InstrumentStatus, RapidParameters, RapidStatus, Version
from drivers.values import StimFault, StimReport, StimState

OFF = DisarmOutcome(confirmed=True, found_enabled=False, found_running=False)
REPORT = StimReport(
    received_ns=1, state=StimState.STANDBY, model="x100", serial=4711, temperature_c=24, coil_type=60, amplitude_pct_mso=30, enabled=False
)
FACTS = UnitFacts(disarmed=OFF, rts_low=True, report=REPORT, left_disabled=True)
UNIT = MagVentureSection(port=Path("/dev/ttyUSB-magpro"), model="x100", coil_type=60, events_per_burst=1)
RAPID = MagstimSection(port=Path("/dev/ttyUSB-rapid"), model="rapid", coil_type=1, mains_v=240, unlock=Path("unlock.code"))


def changed(**values: object) -> StimReport:
    return msgspec.structs.replace(REPORT, **values)


@pytest.mark.parametrize(
    ("confirmed", "enabled", "running", "status"),
    [
        (True, False, False, Status.OK),
        (True, True, False, Status.WARN),
        (True, True, True, Status.WARN),
        (True, False, True, Status.WARN),
        (False, False, False, Status.FAIL),
        (False, True, True, Status.FAIL),
    ],
)
def test_disarm_is_judged_by_its_confirmation_first_then_by_what_was_found(
    confirmed: bool, enabled: bool, running: bool, status: Status
) -> None:
    outcome = DisarmOutcome(confirmed=confirmed, found_enabled=enabled, found_running=running, why="no answer. Check it.")
    check = disarm_is_confirmed(replace(FACTS, disarmed=outcome), answer_tells_before=True)
    assert check.status is status
    assert ("mains off" in check.remedy) is (not confirmed)


def test_unit_whose_answer_tells_nothing_of_before_is_not_said_to_have_been_off() -> None:
    assert "found off" in disarm_is_confirmed(FACTS, answer_tells_before=True).what
    assert "found off" not in disarm_is_confirmed(FACTS, answer_tells_before=False).what


@pytest.mark.parametrize(("rts_low", "status"), [(True, Status.OK), (None, Status.WARN), (False, Status.FAIL)])
def test_rts_must_be_read_back_low(rts_low: bool | None, status: Status) -> None:
    check = rts_is_as_wanted(replace(FACTS, rts_low=rts_low))
    assert check.status is status
    assert ("not verified" in check.what) is (rts_low is None)


def test_what_went_wrong_fails_and_hands_at_the_unit_are_warned_of() -> None:
    fault = StimFault(what="the unit refuses remote control", remedy="Check the code.", at_ns=1)
    checks = nothing_went_wrong(replace(FACTS, faults=(fault,), acts=("amplitude changed from 3 to 4 %",)))
    assert [check.status for check in checks] == [Status.FAIL, Status.WARN]
    assert nothing_went_wrong(FACTS) == ()


def test_unit_that_does_not_confirm_its_end_fails_loudly() -> None:
    assert unit_is_left_off(FACTS) is not None
    check = unit_is_left_off(replace(FACTS, left_disabled=False))
    assert check is not None
    assert check.failed
    assert "mains off" in check.remedy


@pytest.mark.parametrize(
    ("simulated", "basis", "status"),
    [
        (True, SIMULATION_ONLY, Status.OK),
        (True, "commissioned", Status.OK),
        (False, SIMULATION_ONLY, Status.FAIL),
        (False, "commissioned", None),
    ],
)
def test_figures_of_a_simulation_fail_on_a_real_unit(simulated: bool, basis: str, status: Status | None) -> None:
    check = figures_fit_the_unit(replace(FACTS, report=changed(simulated=simulated)), basis)
    assert (None if check is None else check.status) is status


def test_amplitude_is_told_with_the_chairs_ceiling() -> None:
    check = amplitude_is_told(FACTS, 80)
    assert check is not None
    assert "30 %" in check.what
    assert "80 %" in check.what
    assert amplitude_is_told(replace(FACTS, report=changed(amplitude_pct_mso=None)), 80) is None


# ---- MagVenture -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "failed"), [("x100", False), ("x100-option", True), (None, True)])
def test_magventure_model_is_compared_with_the_chair_file(model: str | None, failed: bool) -> None:
    check = model_is_as_configured(changed(model=model), UNIT)
    assert check.failed is failed
    assert "4711" in check.what


@pytest.mark.parametrize(
    ("coil", "failed", "word"), [(60, False, "type 60"), (72, True, "72"), (0, True, "no coil"), (None, True, "no coil")]
)
def test_magventure_coil_is_compared_with_the_chair_file(coil: int | None, failed: bool, word: str) -> None:
    check = coil_is_as_configured(changed(coil_type=coil), UNIT)
    assert check.failed is failed
    assert word in check.what


@pytest.mark.parametrize(("temperature_c", "failed"), [(24, False), (39, False), (40, True), (90, True), (0, True), (None, True)])
def test_magventure_coil_that_may_not_start_fails(temperature_c: int | None, failed: bool) -> None:
    assert coil_is_cool(changed(temperature_c=temperature_c), UNIT).failed is failed


# ---- Magstim --------------------------------------------------------------------------------------------------------

STATUS = InstrumentStatus.from_byte(0x89)
TRAIN_STATUS = RapidStatus.from_byte(0b0011_1000)
PICTURE = Picture(
    status=STATUS,
    rapid=TRAIN_STATUS,
    extended=ExtendedStatus(),
    train=RapidParameters(status=STATUS, rapid=TRAIN_STATUS, power_pct=30, tenth_hz=0, pulses=0, duration_tenth_s=0, wait_tenth_s=1),
    hottest_tenth_c=235,
    version=Version(text="V9.0"),
)


def seen(**values: object) -> Picture:
    return msgspec.structs.replace(PICTURE, **values)


def test_rapid_as_it_should_be_passes_every_check() -> None:
    checks = [
        unit_is_as_configured(PICTURE, True, RAPID),
        control_is_given(PICTURE, True, RAPID),
        coil_is_there(PICTURE, RAPID),
        magstim_coil_is_cool(PICTURE, RAPID),
        *unit_may_be_charged(PICTURE, RAPID),
    ]
    assert {check.status for check in checks} == {Status.OK}
    assert "V9.0" in checks[0].what


def test_unit_that_does_not_speak_the_models_language_fails() -> None:
    assert unit_is_as_configured(seen(train=None), True, RAPID).failed
    assert unit_is_as_configured(PICTURE, False, RAPID).failed
    assert unit_is_as_configured(PICTURE, True, msgspec.structs.replace(RAPID, model="200")).failed


def test_software_that_asks_for_a_code_fails_without_one() -> None:
    check = control_is_given(PICTURE, True, msgspec.structs.replace(RAPID, unlock=None))
    assert check.failed
    assert "unlock" in check.remedy
    assert not control_is_given(PICTURE, False, msgspec.structs.replace(RAPID, unlock=None)).failed


def test_unit_that_does_not_give_remote_control_fails() -> None:
    assert control_is_given(seen(status=msgspec.structs.replace(STATUS, remote=False)), True, RAPID).failed
    assert control_is_given(seen(status=None), False, RAPID).failed


def test_missing_coil_fails_once() -> None:
    without = seen(status=msgspec.structs.replace(STATUS, coil_present=False))
    assert coil_is_there(without, RAPID).failed
    assert [check.status for check in unit_may_be_charged(without, RAPID)] == [Status.OK]


@pytest.mark.parametrize(("tenths", "failed"), [(235, False), (399, False), (400, True), (0, True), (900, True), (None, True)])
def test_magstim_coil_that_may_not_start_fails(tenths: int | None, failed: bool) -> None:
    assert magstim_coil_is_cool(seen(hottest_tenth_c=tenths), RAPID).failed is failed


def test_open_coil_switch_is_a_warning_unless_the_chair_ignores_it() -> None:
    open_switch = seen(rapid=msgspec.structs.replace(TRAIN_STATUS, coil_ready=False))
    assert [check.status for check in unit_may_be_charged(open_switch, RAPID)] == [Status.WARN]
    ignoring = msgspec.structs.replace(RAPID, ignore_coil_switch=True)
    assert [check.status for check in unit_may_be_charged(open_switch, ignoring)] == [Status.OK]


def test_plus1_module_that_the_chair_file_does_not_know_fails() -> None:
    plus1 = seen(extended=msgspec.structs.replace(ExtendedStatus(), plus1=True))
    (check,) = unit_may_be_charged(plus1, RAPID)
    assert check.failed
    assert "Plus¹" in check.what


def test_every_reason_against_charging_has_its_line() -> None:
    broken = seen(
        status=msgspec.structs.replace(STATUS, error=True, replace_coil=True), rapid=msgspec.structs.replace(TRAIN_STATUS, supply=False)
    )
    assert [check.status for check in unit_may_be_charged(broken, RAPID)] == [Status.FAIL] * 3


@pytest.mark.parametrize(("mode", "failed"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_unlock_file_is_for_its_owner_alone(tmp_path: Path, mode: int, failed: bool) -> None:
    code = tmp_path / "unlock.code"
    code.write_text("aaaa-bbbbbbbb-00\n")
    code.chmod(mode)
    check = unlock_file_is_private(msgspec.structs.replace(RAPID, unlock=code))
    assert check is not None
    assert check.failed is failed
    assert "bbbb" not in check.line()
    assert not failed or check.exit_code == EX_CONFIG
    assert unlock_file_is_private(msgspec.structs.replace(RAPID, unlock=None)) is None
