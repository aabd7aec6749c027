"""A train whose bursts the host asks for one by one: each under every rule, each in its time, none made up."""

import msgspec
import pytest

from daemon.firing import SETTLE_NS
from daemon.ipc import ArmState, Receipt
from daemon.on_target import OnTarget
from daemon.purpose import Pacing
from tests.gate_views import BEAT, SETTINGS
from tests.puppet import MS, Bench

PERIOD_NS = 200 * MS


@pytest.fixture
def bench() -> Bench:
    """One train under way; its first burst has been asked for."""
    bench = Bench()
    bench.order_arm(SETTINGS, pacing=Pacing.BURST)
    bench.charge()
    bench.forget()
    bench.grant()
    bench.turn()
    assert bench.device.told == ["start_burst"]
    bench.forget()
    return bench


def asked(bench: Bench) -> int:
    return bench.device.told.count("start_burst")


def whole_train(bench: Bench) -> Receipt:
    for _ in range(SETTINGS.bursts):
        bench.fires(20 * MS)
        bench.turn(PERIOD_NS - 20 * MS)
    bench.turn(SETTLE_NS)
    return bench.receipts[-1]


def test_every_burst_is_asked_for_by_itself_and_the_train_is_ended_by_the_host(bench: Bench) -> None:
    receipt = whole_train(bench)
    assert [word for word in bench.device.told if word != "tick"] == ["start_burst"] * 9 + ["end_train"]
    assert (receipt.pulses, receipt.confirmed, receipt.broken, receipt.why) == (30, True, False, ())


def test_a_burst_that_came_too_late_is_left_out_and_counted_as_not_given(bench: Bench) -> None:
    bench.fires(20 * MS)
    bench.turn(PERIOD_NS + MS)  # 221 ms after the start: a moment too late
    assert asked(bench) == 0
    bench.turn(179 * MS)
    assert asked(bench) == 1
    for _ in range(8):
        bench.fires(20 * MS)
        bench.turn(PERIOD_NS - 20 * MS)
    bench.turn(PERIOD_NS)
    bench.turn(SETTLE_NS)
    receipt = bench.receipts[-1]
    assert (receipt.pulses, receipt.confirmed, receipt.broken) == (27, True, True)
    assert receipt.why == ("1 bursts came too late and were left out",)
    assert bench.firing.armed


@pytest.mark.parametrize("unseen", ["head_seen", "coil_seen"])
def test_no_burst_is_asked_for_while_head_or_coil_is_unseen_though_the_train_goes_on(bench: Bench, unseen: str) -> None:
    bench.fires(20 * MS)
    bench.changes[unseen] = False
    bench.turn(180 * MS)
    assert bench.device.told == []
    bench.changes[unseen] = True
    bench.turn(10 * MS)
    assert bench.device.told == ["start_burst"]


def test_a_coil_off_its_target_ends_the_train_at_once(bench: Bench) -> None:
    bench.fires(20 * MS)
    bench.changes["on_target"] = OnTarget()
    bench.turn(MS)
    assert bench.device.told == ["stop"]
    bench.off()
    bench.turn(SETTLE_NS)
    assert asked(bench) == 0
    assert (bench.receipts[-1].pulses, bench.receipts[-1].broken) == (3, True)


def test_a_daemon_heard_200_ms_ago_gets_no_further_burst(bench: Bench) -> None:
    bench.fires(20 * MS)
    bench.changes["beat"] = msgspec.structs.replace(BEAT, made_ns=bench.now_ns - 25 * MS)
    bench.turn(180 * MS)
    assert bench.device.told == []


def test_a_grant_for_another_pacing_than_the_arms_is_refused() -> None:
    bench = Bench().armed()
    bench.grant(pacing=Pacing.BURST)
    assert bench.receipts[-1].why == ("settings_differ",)


def test_a_burst_that_the_device_does_not_report_counts_as_given(bench: Bench) -> None:
    """Nine of ten reported on a line that lost something: all that were asked for count."""
    bench.device.damaged = 1
    for number in range(SETTINGS.bursts):
        if number != 4:
            bench.fires(20 * MS)
        else:
            bench.now_ns += 20 * MS
        bench.turn(PERIOD_NS - 20 * MS)
    bench.turn(SETTLE_NS)
    assert (bench.receipts[-1].pulses, bench.receipts[-1].confirmed) == (30, False)


def test_an_operators_stop_between_two_bursts_leaves_no_further_one(bench: Bench) -> None:
    bench.fires(20 * MS)
    bench.firing.stop("operator", bench.now_ns)
    bench.take()
    bench.turn(PERIOD_NS)
    assert asked(bench) == 0
    assert [fact.armed for fact in bench.all(ArmState) if isinstance(fact, ArmState)][-1] is False


def test_the_loop_wakes_for_the_next_burst_and_not_at_every_instant_while_one_may_not_be_asked_for(bench: Bench) -> None:
    start_ns = bench.now_ns
    bench.turn(MS)
    assert bench.firing.wake_ns == start_ns + PERIOD_NS
    bench.changes["coil_seen"] = False
    bench.turn(start_ns + PERIOD_NS - bench.now_ns)
    assert bench.firing.wake_ns == bench.now_ns + MS


def test_a_burst_whose_bytes_left_late_moves_the_next_one(bench: Bench) -> None:
    assert bench.firing.burst_is_leaving
    bench.firing.left(bench.now_ns + 3 * MS)
    assert not bench.firing.burst_is_leaving
    bench.fires(20 * MS)
    bench.turn(180 * MS)
    assert asked(bench) == 0
    bench.turn(3 * MS)
    assert asked(bench) == 1
