"""A train whose bursts this host asks for one by one, over a real hot process and a simulated MagPro."""

from itertools import pairwise

from daemon.purpose import Pacing
from tests.loop.accounts import DAEMON_LOST_MS, MS, assert_accounted, assert_off
from tests.loop.hot_rig import SHORT, THETA, HotRig

PERIOD_MS = 200
FLOOR_MS = 5  # what the machine's own writing and the simulator's reading may take off


def test_bursts_are_given_in_their_rhythm_and_never_closer_than_planned(rig: HotRig) -> None:
    rig.arm(THETA, Pacing.BURST)
    receipt = rig.receipt(rig.grant())
    onsets = [pulse.at_ns for pulse in rig.truth()[:: THETA.pulses_per_burst]]
    assert receipt.pulses == rig.given()
    assert len(onsets) >= THETA.bursts - 2, "a machine so busy that bursts are left out"
    assert all(later - earlier >= (PERIOD_MS - FLOOR_MS) * MS for earlier, later in pairwise(onsets))
    assert_accounted(rig, exact=True)


def test_a_second_train_follows_under_the_same_arm(rig: HotRig) -> None:
    rig.arm(SHORT, Pacing.BURST)
    receipts = [rig.receipt(rig.grant()) for _ in range(2)]
    assert [receipt.pulses for receipt in receipts] == [SHORT.pulses] * 2
    assert_accounted(rig, exact=True)


def test_a_slip_costs_at_most_the_burst_that_had_begun(rig: HotRig) -> None:
    grant = rig.fire(bursts=2, pacing=Pacing.BURST)
    rig.room.slip()
    receipt = rig.receipt(grant)
    assert receipt.why == ("off_target",)
    assert receipt.pulses < THETA.pulses
    assert_accounted(rig, exact=True)


def test_a_host_killed_between_two_bursts_leaves_at_most_one_more(doomed_rig: HotRig) -> None:
    doomed_rig.fire(bursts=2, pacing=Pacing.BURST)
    killed_ns = doomed_rig.kill(9)
    doomed_rig.process.wait(5.0)
    assert len(doomed_rig.room.pulses_since(killed_ns)) <= THETA.pulses_per_burst


def test_a_daemon_that_falls_silent_gets_no_further_burst_after_its_beats_are_old(rig: HotRig) -> None:
    rig.fire(bursts=2, pacing=Pacing.BURST)
    assert_off(rig, rig.stop_beating(), DAEMON_LOST_MS)
    assert_accounted(rig, exact=True)
