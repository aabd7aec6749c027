"""What ends a running train: people, the coil, the camera. Each ends it in time, with its reason, and counts what was given."""

import time

import pytest

from daemon import ipc
from drivers.values import TrackerState
from tests.loop.accounts import MS, assert_accounted, assert_confirmed_off, assert_whole
from tests.loop.hot_rig import SHORT, THETA, HotRig

POSE_AGE_MS, DWELL_MS = 100, 100
CHAIN_MS = 150  # frame period, camera latency, a burst that is finished, the device's answer, a noisy machine


def assert_held(rig: HotRig) -> None:
    """The arm stands: nobody has to arm again."""
    assert all(state.armed for state in rig.all(ipc.ArmState))


def assert_goes_on(rig: HotRig) -> None:
    """The next grant fires a whole train without another arm."""
    grant = rig.grant(expires_ns=time.monotonic_ns() + 6_000 * MS)
    receipt = rig.receipt(grant)
    assert_whole(receipt, SHORT)


def test_an_undisturbed_train_is_told_pulse_by_pulse(rig: HotRig) -> None:
    grant = rig.fire()
    receipt = rig.receipt(grant)
    assert_whole(receipt, THETA)
    given = rig.truth()
    onsets = [pulse.at_ns for pulse in given[::3]]
    assert len(receipt.bursts) == len(onsets) == 10
    assert all(0 <= told.at_ns - onset_ns <= 100 * MS for told, onset_ns in zip(receipt.bursts, onsets, strict=True))
    assert {pulse.amplitude_pct for pulse in given} == {45}
    assert_accounted(rig, exact=True)


def test_a_stop_ends_the_train_and_takes_the_arm_away(rig: HotRig) -> None:
    grant = rig.fire(settings=SHORT)
    since_ns = rig.stop("the operator's stop")
    assert_confirmed_off(rig, since_ns, CHAIN_MS + 50)
    receipt = rig.receipt(grant)
    assert (receipt.why, receipt.broken, receipt.confirmed) == (("the operator's stop",), True, True)
    lost = rig.wait_for(ipc.ArmState, where=lambda state: not state.armed)
    assert (lost.stopped, lost.why) == (True, "the operator's stop")
    assert rig.receipt(rig.grant()).why == ("not_armed",)
    assert_accounted(rig, exact=True)


def test_a_stop_before_the_first_pulse_gives_none(rig: HotRig) -> None:
    rig.arm(SHORT)
    grant = rig.grant(not_before_ns=time.monotonic_ns() + 5_000 * MS, expires_ns=time.monotonic_ns() + 7_000 * MS)
    rig.wait_for(ipc.GateNews, where=lambda gate: "too_soon" in gate.vetoes and "no_grant" not in gate.vetoes)
    since_ns = rig.stop()
    receipt = rig.receipt(grant)
    assert (receipt.pulses, receipt.why, receipt.first_ns, receipt.last_ns) == (0, ("operator",), None, None)
    assert_confirmed_off(rig, since_ns)
    assert rig.given() == 0


def test_a_hold_ends_the_train_keeps_the_arm_and_the_next_grant_charges_again(rig: HotRig) -> None:
    grant = rig.fire(settings=SHORT)
    since_ns = rig.hold("operator")
    assert_confirmed_off(rig, since_ns, CHAIN_MS + 50)
    assert rig.receipt(grant).why == ("operator",)
    assert_held(rig)
    assert_goes_on(rig)
    assert_accounted(rig, exact=True)


def test_a_slip_ends_the_train_by_itself_and_a_coil_put_back_goes_on(rig: HotRig) -> None:
    grant = rig.fire(settings=SHORT)
    since_ns = rig.room.slip(mm=8.0, ms=20.0)
    assert_confirmed_off(rig, since_ns, 20 + DWELL_MS + CHAIN_MS)
    receipt = rig.receipt(grant)
    assert (receipt.why, receipt.broken) == (("off_target",), True)
    assert_held(rig)
    rig.room.put_coil_on_target()
    assert_goes_on(rig)
    assert_accounted(rig, exact=True)


def test_a_small_slip_ends_the_train_after_the_dwell(rig: HotRig) -> None:
    """Beyond the leave limit, within twice the same."""
    grant = rig.fire(settings=SHORT)
    since_ns = rig.room.slip(mm=4.5, ms=20.0)
    assert_confirmed_off(rig, since_ns, 20 + DWELL_MS + CHAIN_MS)
    assert rig.receipt(grant).why == ("off_target",)
    assert_accounted(rig, exact=True)


def test_a_head_unseen_for_60_ms_is_no_slip(rig: HotRig) -> None:
    grant = rig.fire(settings=SHORT)
    rig.room.occlude("head", 0.060)
    receipt = rig.receipt(grant)
    assert_whole(receipt, SHORT)
    assert any(sample.unseen for frame in rig.all(ipc.FrameNews) for sample in frame.tools if sample.tool == "head")
    assert_accounted(rig, exact=True)


def test_a_head_unseen_beyond_the_leave_dwell_ends_the_train_and_starts_none(rig: HotRig) -> None:
    grant = rig.fire(settings=SHORT)
    since_ns = rig.room.occlude("head", 1.5)
    assert_confirmed_off(rig, since_ns, DWELL_MS + CHAIN_MS)
    assert rig.receipt(grant).why == ("off_target",)
    assert_held(rig)
    blocked = rig.receipt(rig.grant(expires_ns=time.monotonic_ns() + 500 * MS))
    assert (blocked.pulses, "head_unseen" in blocked.why) == (0, True)
    assert_accounted(rig, exact=True)


@pytest.mark.parametrize(
    ("fault", "value", "rest"),
    [("silent", True, False), ("close", 1, 0), ("restart", 1, 0)],
)
def test_a_camera_that_fails_ends_the_train_and_comes_back_without_a_restart(rig: HotRig, fault: str, value: int, rest: int) -> None:
    grant = rig.fire(settings=SHORT)
    since_ns = time.monotonic_ns()
    setattr(rig.room.camera.faults, fault, value)
    assert_confirmed_off(rig, since_ns, POSE_AGE_MS + CHAIN_MS)
    receipt = rig.receipt(grant)
    assert receipt.broken
    assert set(receipt.why) <= {"pose_stale", "tracker_silent", "off_target"}
    assert_held(rig)
    setattr(rig.room.camera.faults, fault, rest)
    rig.wait_on_target()
    assert_goes_on(rig)
    assert_accounted(rig, exact=True)


def test_a_lost_camera_is_told_with_its_reason_and_found_again(rig: HotRig) -> None:
    rig.room.camera.faults.close = 1
    lost = rig.wait_for(ipc.TrackerNews, where=lambda news: news.state == TrackerState.LOST)
    assert lost.why != ""
    assert lost.remedy != ""
    rig.wait_vetoed("tracker_silent")
    rig.wait_for(ipc.TrackerNews, where=lambda news: news.state == TrackerState.TRACKING)


@pytest.mark.parametrize(
    ("fact", "veto", "is_hold"),
    [("operator_present", "operator_absent", True), ("stop_inputs_clear", "stop_input", False)],
)
def test_a_fact_that_the_daemon_takes_back_ends_the_train(rig: HotRig, fact: str, veto: str, is_hold: bool) -> None:
    grant = rig.fire(settings=SHORT)
    since_ns = time.monotonic_ns()
    setattr(rig, fact, False)
    assert_confirmed_off(rig, since_ns, 50 + CHAIN_MS)
    assert rig.receipt(grant).why == (veto,)
    assert all(state.armed for state in rig.all(ipc.ArmState)) is is_hold
    assert_accounted(rig, exact=True)


def test_a_registration_that_expires_or_is_withdrawn_ends_the_train(rig: HotRig) -> None:
    grant = rig.fire(settings=SHORT)
    since_ns = rig.clear_aim()
    assert_confirmed_off(rig, since_ns, CHAIN_MS)
    assert "registration_expired" in rig.receipt(grant).why
    assert_accounted(rig, exact=True)
