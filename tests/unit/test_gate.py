"""The gate: one view in which everything holds, and for each rule one way in which it does not."""

import math

import msgspec
import pytest

from daemon.gate import (
    ARMED_RULES,
    BEAT_RUN_NS,
    BEAT_START_NS,
    HOLDS,
    MT_RUN_RULES,
    MT_START_RULES,
    NEEDS_TARGET,
    POSE_MAX_AGE_NS,
    RUN_RULES,
    START_RULES,
    Veto,
    View,
    off_target_parts,
    vetoes,
)
from daemon.messages import CoilErrorBody
from daemon.on_target import DEFAULT_LIMITS, Hysteresis, OnTarget
from daemon.reasons import TABLE, reasons
from drivers.values import StimState
from tests.gate_views import GOOD, NOW, SECOND, SETTINGS, beat_but, but, grant_but, stim_but

OFF = OnTarget()
BROKEN: list[tuple[Veto, View]] = [
    (Veto.STOP_INPUT, beat_but(stop_inputs_clear=False)),
    (Veto.DISARM_UNCONFIRMED, but(disarm_failed=True)),
    (Veto.DISARM_UNCONFIRMED, but(secured=False)),
    (Veto.DAEMON_LATE, beat_but(made_ns=NOW - BEAT_RUN_NS - 1)),
    (Veto.DAEMON_LATE, beat_but(made_ns=NOW + 1)),
    (Veto.SUPERVISOR_LATE, but(supervisor_ns=NOW - SECOND - 1)),
    (Veto.SUPERVISOR_LATE, but(supervisor_ns=None)),
    (Veto.STIM_FAULT, stim_but(fault="hot", state=StimState.READY)),
    (Veto.POSE_STALE, but(exposed_ns=NOW - POSE_MAX_AGE_NS - 1)),
    (Veto.HEAD_UNSEEN, but(head_seen=False)),
    (Veto.COIL_UNSEEN, but(coil_seen=False)),
    (Veto.TRACKER_QUALITY, but(fit_rms_mm=0.36)),
    (Veto.TRACKER_QUALITY, but(fit_rms_mm=None)),
    (Veto.TRACKER_QUALITY, but(fit_rms_mm=math.nan)),
    (Veto.TRACKER_QUALITY, but(flagged=True)),
    (Veto.REGISTRATION_EXPIRED, but(registration_expires_ns=NOW)),
    (Veto.REFERENCE_SLIPPED, but(reference_holds=False)),
    (Veto.CHECK_DUE, but(check_expires_ns=NOW)),
    (Veto.CHECK_DUE, but(check_expires_ns=None)),
    (Veto.CALIBRATION_INVALID, but(calibration_expires_ns=NOW)),
    (Veto.CALIBRATION_INVALID, but(calibration_expires_ns=None)),
    (Veto.OFF_TARGET, but(on_target=OFF)),
    (Veto.STIM_STALE, stim_but(received_ns=NOW - 2 * SECOND)),
    (Veto.STIM_NOT_READY, stim_but(state=StimState.ARMING)),
    (Veto.STIM_NOT_READY, stim_but(running=True)),
    (Veto.STIM_NOT_READY, stim_but(running=None)),
    (Veto.COIL_WRONG, stim_but(coil_type=72)),
    (Veto.COIL_WRONG, stim_but(coil_type=None)),
    (Veto.COIL_HOT, stim_but(temperature_c=41)),
    (Veto.COIL_HOT, stim_but(temperature_c=None)),
    (Veto.SETTINGS_DIFFER, stim_but(amplitude_pct_mso=46)),
    (Veto.SETTINGS_DIFFER, grant_but(settings=msgspec.structs.replace(SETTINGS, bursts=11))),
    (Veto.SETTINGS_DIFFER, but(prepared=None)),
    (Veto.HARDWARE_STOP_UNTESTED, beat_but(hardware_stop_tested=False)),
    (Veto.OPERATOR_ABSENT, beat_but(operator_present=False)),
    (Veto.NOT_ARMED, but(armed=False)),
    (Veto.TOO_SOON, but(last_pulse_ns=NOW - 8 * SECOND + 1)),
    (Veto.TOO_SOON, grant_but(not_before_ns=NOW + 1)),
    (Veto.NO_GRANT, grant_but(expires_ns=NOW - 1)),
    (Veto.NO_GRANT, but(wall_minus_mono_ns=3 * SECOND)),
    (Veto.NO_GRANT, but(wall_minus_mono_ns=None)),
    (Veto.RECORD_BLOCKED, but(record_open=False)),
]


def test_gate_is_open_when_everything_holds() -> None:
    assert vetoes(GOOD, NOW) == ()
    assert vetoes(GOOD, NOW, RUN_RULES) == ()
    assert vetoes(GOOD, NOW, ARMED_RULES) == ()


@pytest.mark.parametrize(("veto", "view"), BROKEN)
def test_gate_names_the_one_thing_that_does_not_hold(veto: Veto, view: View) -> None:
    assert vetoes(view, NOW) == (veto,)


@pytest.mark.parametrize(("veto", "view"), [pair for pair in BROKEN if pair[0] in RUN_RULES])
def test_a_running_train_is_ended_by_the_one_thing_that_does_not_hold(veto: Veto, view: View) -> None:
    assert vetoes(view, NOW, RUN_RULES) == (veto,)


@pytest.mark.parametrize(("veto", "view"), [pair for pair in BROKEN if pair[0] in ARMED_RULES])
def test_an_idle_arm_is_ended_by_the_one_thing_that_does_not_hold(veto: Veto, view: View) -> None:
    assert veto in vetoes(view, NOW, ARMED_RULES)


# Nothing is known of where head and coil are, as in a search for the hotspot before any registration.
NO_TRACKER = {
    "exposed_ns": None,
    "head_seen": False,
    "coil_seen": False,
    "fit_rms_mm": None,
    "flagged": True,
    "registration_expires_ns": None,
    "check_expires_ns": None,
    "reference_holds": False,
    "calibration_expires_ns": None,
    "on_target": OFF,
}


def test_a_pulse_that_seeks_the_motor_threshold_needs_no_target() -> None:
    assert vetoes(but(**NO_TRACKER), NOW, MT_START_RULES) == ()
    assert vetoes(but(**NO_TRACKER), NOW, MT_RUN_RULES) == ()
    assert set(vetoes(but(**NO_TRACKER), NOW)) == NEEDS_TARGET


@pytest.mark.parametrize(("veto", "view"), [pair for pair in BROKEN if pair[0] not in NEEDS_TARGET])
def test_a_pulse_that_seeks_the_motor_threshold_needs_everything_else(veto: Veto, view: View) -> None:
    assert vetoes(msgspec.structs.replace(view, **NO_TRACKER), NOW, MT_START_RULES) == (veto,)


def test_a_running_pulse_of_the_search_is_ended_by_what_ends_a_train_but_its_target() -> None:
    assert set(RUN_RULES) - set(MT_RUN_RULES) == NEEDS_TARGET & set(RUN_RULES)
    for veto, view in BROKEN:
        if veto in MT_RUN_RULES:
            assert veto in vetoes(view, NOW, MT_RUN_RULES)


def test_every_rule_is_broken_by_a_case() -> None:
    with_companions = {Veto.TRACKER_SILENT, Veto.NOT_REGISTERED}
    assert {veto for veto, _ in BROKEN} | with_companions == set(START_RULES) == set(Veto)


def test_gate_says_that_the_tracker_is_silent_when_nothing_was_exposed() -> None:
    assert vetoes(but(exposed_ns=None), NOW) == (Veto.TRACKER_SILENT, Veto.POSE_STALE)
    assert Veto.TRACKER_SILENT in vetoes(but(exposed_ns=None), NOW, RUN_RULES)


def test_gate_says_that_nothing_is_registered() -> None:
    assert vetoes(but(registration_expires_ns=None), NOW) == (Veto.NOT_REGISTERED, Veto.REGISTRATION_EXPIRED)


def test_a_head_check_that_runs_out_lets_the_running_train_end() -> None:
    assert Veto.CHECK_DUE in vetoes(but(check_expires_ns=NOW), NOW)
    assert Veto.CHECK_DUE not in RUN_RULES
    assert vetoes(but(reference_holds=False), NOW, RUN_RULES) == (Veto.REFERENCE_SLIPPED,)


def test_an_unregistered_head_is_not_called_slipped_too() -> None:
    told = reasons(vetoes(View(), NOW), (), in_session=True)
    assert Veto.NOT_REGISTERED in {line.code for line in told}
    assert not {Veto.REFERENCE_SLIPPED, Veto.CHECK_DUE} & {line.code for line in told}
    assert [line.code for line in reasons((Veto.REFERENCE_SLIPPED,), (), in_session=True)] == [Veto.REFERENCE_SLIPPED]


def test_an_empty_view_closes_on_every_rule_but_the_gap() -> None:
    assert set(vetoes(View(), NOW)) == set(Veto)


def test_gate_refuses_a_start_when_the_daemon_is_201_ms_silent_and_lets_a_train_run() -> None:
    view = beat_but(made_ns=NOW - BEAT_START_NS - 1)
    assert vetoes(view, NOW) == (Veto.DAEMON_LATE,)
    assert vetoes(view, NOW, RUN_RULES) == ()


def test_gate_refuses_when_pose_is_101_ms_old_and_not_at_100() -> None:
    assert vetoes(but(exposed_ns=NOW - POSE_MAX_AGE_NS), NOW) == ()
    assert Veto.POSE_STALE in vetoes(but(exposed_ns=NOW - POSE_MAX_AGE_NS - 1_000_000), NOW)


def test_gate_refuses_a_start_at_40_degrees_and_a_train_at_41() -> None:
    assert vetoes(stim_but(temperature_c=39), NOW) == ()
    assert vetoes(stim_but(temperature_c=40), NOW) == (Veto.COIL_HOT,)
    assert vetoes(stim_but(temperature_c=40), NOW, RUN_RULES) == ()


def test_a_running_train_rides_out_an_unseen_frame() -> None:
    view = but(coil_seen=False, on_target=OnTarget(machine=Hysteresis(on=True), published=False))
    assert set(vetoes(view, NOW)) == {Veto.COIL_UNSEEN, Veto.OFF_TARGET}
    assert vetoes(view, NOW, RUN_RULES) == ()


@pytest.mark.parametrize("name", [field for field in View.__struct_fields__ if field not in ("last_pulse_ns", "head_seen", "coil_seen")])
def test_any_missing_knowledge_refuses(name: str) -> None:
    unknown: object = False if isinstance(getattr(GOOD, name), bool) else None
    missing: object = {"flagged": True, "disarm_failed": True, "on_target": OFF}.get(name, unknown)
    assert vetoes(but(**{name: missing}), NOW) != ()


def test_only_a_hold_keeps_the_arm() -> None:
    kept = {Veto.TRACKER_SILENT, Veto.POSE_STALE, Veto.REGISTRATION_EXPIRED, Veto.REFERENCE_SLIPPED}
    kept |= {Veto.OFF_TARGET, Veto.OPERATOR_ABSENT, Veto.COIL_HOT}
    assert kept == HOLDS


def _error(**changes: object) -> CoilErrorBody:
    good = CoilErrorBody(
        frame_number=1,
        exposed_ns=1,
        age_ms=1.0,
        on_target=False,
        settling=False,
        lateral_mm=0.0,
        angular_error_deg=0.0,
        twist_error_deg=0.0,
        gap_mm=0.0,
    )
    return msgspec.structs.replace(good, **changes)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"lateral_mm": 2.1}, ("lateral",)),
        ({"angular_error_deg": 3.1}, ("tilt",)),
        ({"twist_error_deg": -4.1}, ("twist",)),
        ({"twist_error_deg": 175.0}, ("reversed",)),
        ({"gap_mm": 2.1}, ("lifted",)),
        ({"gap_mm": -3.1}, ("pressed",)),
        ({"angular_error_deg": 61.0}, ("facing_away", "tilt")),
        ({"lateral_mm": None}, ()),
    ],
)
def test_off_target_says_what_is_off(changes: dict[str, object], parts: tuple[str, ...]) -> None:
    assert off_target_parts(_error(**changes), False, DEFAULT_LIMITS) == parts


def test_every_veto_has_words_and_the_most_urgent_comes_first() -> None:
    assert set(Veto) <= set(TABLE)
    lines = reasons((Veto.OFF_TARGET, Veto.NO_GRANT, Veto.DAEMON_LATE), ("lateral",), True)
    assert [line.code for line in lines] == ["daemon_late", "lateral", "no_grant"]
