"""The hot process left alone in mid-train: whoever falls silent, the stimulator is disabled in time and every pulse is told."""

import signal

import pytest

from daemon import ipc
from tests.loop.accounts import DAEMON_LOST_MS, PROCESS_LOST_MS, assert_accounted, assert_confirmed_off, assert_off
from tests.loop.hot_rig import HotRig


def test_a_daemon_that_ceases_to_beat_ends_the_train_and_the_arm(rig: HotRig) -> None:
    grant = rig.fire()
    last_ns = rig.stop_beating()
    assert_off(rig, last_ns, DAEMON_LOST_MS)
    assert rig.receipt(grant).why == ("daemon_late",)
    lost = rig.wait_for(ipc.ArmState, where=lambda state: not state.armed)
    assert (lost.stopped, lost.why) == (True, "daemon_late")
    assert_confirmed_off(rig, last_ns)
    assert_accounted(rig, exact=True)


def test_a_frozen_daemon_ends_the_train_and_finds_every_fact_when_it_wakes(rig: HotRig) -> None:
    grant = rig.fire()
    last_ns = rig.freeze()
    assert_off(rig, last_ns, DAEMON_LOST_MS)
    rig.go_on()
    assert rig.receipt(grant).why == ("daemon_late",)
    assert_confirmed_off(rig, last_ns)
    assert_accounted(rig, exact=True)


def test_an_arm_that_waits_is_taken_away_too_when_the_daemon_falls_silent(rig: HotRig) -> None:
    rig.arm()
    last_ns = rig.stop_beating()
    assert_confirmed_off(rig, last_ns, DAEMON_LOST_MS)
    assert rig.wait_for(ipc.ArmState, where=lambda state: not state.armed).stopped
    assert rig.given() == 0


def test_beats_alone_do_not_give_the_arm_back(rig: HotRig) -> None:
    rig.arm()
    last_ns = rig.stop_beating()
    rig.wait_for(ipc.ArmState, where=lambda state: not state.armed)
    rig.go_on()
    assert rig.receipt(rig.grant()).why == ("not_armed",)
    assert_confirmed_off(rig, last_ns)
    assert rig.given() == 0


def test_a_supervisor_that_falls_silent_ends_the_train_and_the_arm(rig: HotRig) -> None:
    grant = rig.fire()
    since_ns = rig.stop_supervising()
    assert_confirmed_off(rig, since_ns, PROCESS_LOST_MS)
    assert rig.receipt(grant).why == ("supervisor_late",)
    assert rig.wait_for(ipc.ArmState, where=lambda state: not state.armed).stopped
    assert_accounted(rig, exact=True)


def test_a_killed_daemon_makes_the_hot_process_disarm_and_leave(doomed_rig: HotRig) -> None:
    doomed_rig.fire()
    since_ns = doomed_rig.close_channels()
    assert_off(doomed_rig, since_ns, DAEMON_LOST_MS)
    assert doomed_rig.exit_code() == 0, doomed_rig.complaints


def test_a_killed_supervisor_makes_the_hot_process_disarm_and_leave(doomed_rig: HotRig) -> None:
    grant = doomed_rig.fire()
    since_ns = doomed_rig.cut_life()
    assert_off(doomed_rig, since_ns, PROCESS_LOST_MS)
    assert doomed_rig.exit_code() == 0, doomed_rig.complaints
    assert doomed_rig.wait_for(ipc.TrainBroken).grant_no == grant.grant_no


def test_a_hot_process_asked_to_end_disarms_first(doomed_rig: HotRig) -> None:
    doomed_rig.fire()
    since_ns = doomed_rig.kill(signal.SIGTERM)
    assert_off(doomed_rig, since_ns, PROCESS_LOST_MS)
    assert doomed_rig.exit_code() == 0, doomed_rig.complaints


def test_a_hot_process_that_was_stopped_itself_trusts_nothing_old_when_it_wakes(rig: HotRig) -> None:
    """What waited in the kernel meanwhile is old: neither its beats nor its frames are fresh."""
    grant = rig.fire()
    rig.kill(signal.SIGSTOP)
    rig.wait_for_bursts(5)
    since_ns = rig.kill(signal.SIGCONT)
    assert rig.receipt(grant).why != ()
    assert_confirmed_off(rig, since_ns)
    assert_accounted(rig, exact=True)


def test_news_that_nobody_reads_delay_nothing(rig: HotRig) -> None:
    rig.leave_unread("news")
    grant = rig.fire()
    receipt = rig.receipt(grant)
    assert (receipt.pulses, receipt.broken) == (30, False)
    assert_accounted(rig, exact=True)


@pytest.mark.parametrize("stopped_by", ["signal", "life"])
def test_leaving_at_rest_is_quick_and_in_order(doomed_rig: HotRig, stopped_by: str) -> None:
    if stopped_by == "signal":
        doomed_rig.kill(signal.SIGTERM)
    else:
        doomed_rig.cut_life()
    assert doomed_rig.exit_code() == 0, doomed_rig.complaints
    assert doomed_rig.given() == 0
