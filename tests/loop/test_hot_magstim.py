"""A Magstim under a real hot process: single pulses of a 200², whose charge lasts only as long as the daemon is heard."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from daemon import ipc
from drivers.values import TrainSettings
from tests.loop.accounts import DAEMON_LOST_MS, MS, assert_accounted, assert_off
from tests.loop.hot_rig import HotRig

PULSE = TrainSettings(amplitude_pct_mso=45, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="1", bursts=1)
PAUSE_MS = 2000  # of a 200² below 50 %


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HotRig]:
    with HotRig(tmp_path_factory.mktemp("magstim"), model="200") as rig:
        yield rig
    assert rig.process.returncode == 0, rig.complaints


@pytest.fixture
def rig(shared: HotRig) -> HotRig:
    shared.rest()
    return shared


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[HotRig]:
    with HotRig(tmp_path, model="200") as rig:
        yield rig


def pulse(rig: HotRig) -> ipc.Receipt:
    """One granted pulse; the unit may still have to rest after an earlier one."""
    return rig.receipt(rig.grant(expires_ns=time.monotonic_ns() + 6_000 * MS))


def test_a_granted_pulse_is_given_and_counted_as_an_estimate(rig: HotRig) -> None:
    rig.arm(PULSE)
    receipts = [pulse(rig) for _ in range(3)]
    assert [(receipt.pulses, receipt.confirmed, receipt.broken) for receipt in receipts] == [(1, False, False)] * 3
    given = rig.truth()
    assert [one.amplitude_pct for one in given] == [45, 45, 45]
    assert all(later.at_ns - earlier.at_ns >= PAUSE_MS * MS for earlier, later in pairwise(given))
    assert_accounted(rig, exact=True)


def test_a_coil_off_its_target_gets_no_pulse_and_the_unit_is_disarmed_at_the_operators_stop(rig: HotRig) -> None:
    rig.arm(PULSE)
    rig.room.slip()
    rig.wait_vetoed("off_target")
    assert rig.receipt(rig.grant()).pulses == 0
    assert_off(rig, rig.stop(), DAEMON_LOST_MS)
    assert rig.given() == 0


def test_a_unit_is_kept_armed_while_the_daemon_is_heard_and_disarmed_when_it_is_not(rig: HotRig) -> None:
    rig.arm(PULSE)
    armed_ns = time.monotonic_ns()
    rig.wait_for(ipc.StimNews, where=lambda news: news.report.received_ns > armed_ns + 2_000 * MS and news.report.enabled is True)
    last_beat_ns = rig.stop_beating()
    assert_off(rig, last_beat_ns, DAEMON_LOST_MS)
    rig.wait_for(ipc.StimNews, where=lambda news: news.report.enabled is False and news.report.received_ns > last_beat_ns)


def test_a_unit_whose_host_was_killed_disarms_itself_within_a_second(doomed: HotRig) -> None:
    doomed.arm(PULSE)
    killed_ns = doomed.kill(9)
    doomed.process.wait(5.0)
    assert_off(doomed, killed_ns, 1_100)
