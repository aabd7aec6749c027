"""How much of a train people are shown while it runs."""

from daemon.train_account import Train, bursts_seen
from tests.puppet import MS, Bench

PERIOD_NS = 200 * MS


def train() -> Train:
    bench = Bench().running()
    assert bench.firing.train is not None
    return bench.firing.train


def test_where_the_device_reports_bursts_only_those_are_shown() -> None:
    running = train()
    assert bursts_seen(running, False, running.started_ns + 5 * PERIOD_NS) == 0


def test_where_it_reports_none_the_plan_is_shown_up_to_the_end_and_never_beyond_it() -> None:
    running = train()
    shown = [bursts_seen(running, True, running.started_ns + at * PERIOD_NS) for at in (0, 1, 4, 9, 50)]
    assert shown == [1, 2, 5, 10, 10]
    running.ended_ns = running.started_ns + 3 * PERIOD_NS
    assert bursts_seen(running, True, running.started_ns + 50 * PERIOD_NS) == 4
