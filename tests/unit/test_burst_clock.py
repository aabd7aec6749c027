"""When a host that paces bursts asks for each of them: never closer than planned, never made up."""

from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import given

from daemon.burst_clock import LATE_SHARE, BurstClock
from tests.gate_views import SETTINGS
from tests.puppet import MS, S

PERIOD_NS = 200 * MS


def played(lateness_ms: list[int]) -> tuple[BurstClock, list[int]]:
    """The clock looked at so late each time, and when each burst was asked for."""
    clock, asked = BurstClock(SETTINGS, S), [S]
    for late_ms in lateness_ms:
        now_ns = clock.next_ns + late_ms * MS
        if clock.is_due(now_ns):
            clock.ask(now_ns)
            asked.append(now_ns)
    return clock, asked


def test_a_punctual_host_asks_for_every_burst_at_its_time() -> None:
    clock, asked = played([0] * 9)
    assert asked == [S + number * PERIOD_NS for number in range(10)]
    assert not clock.is_over(asked[-1] + PERIOD_NS - 1)
    assert clock.is_over(asked[-1] + PERIOD_NS)
    assert clock.left_out == 0


def test_a_burst_is_not_asked_for_before_its_time() -> None:
    clock = BurstClock(SETTINGS, S)
    assert not clock.is_due(S + PERIOD_NS - 1)
    assert clock.is_due(S + PERIOD_NS)


def test_a_burst_late_by_more_than_a_tenth_of_its_period_is_left_out_and_the_next_keeps_its_time() -> None:
    clock = BurstClock(SETTINGS, S)
    assert clock.is_due(S + PERIOD_NS + PERIOD_NS // LATE_SHARE)
    assert not clock.is_due(S + PERIOD_NS + PERIOD_NS // LATE_SHARE + 1)
    assert (clock.left_out, clock.next_ns) == (1, S + 2 * PERIOD_NS)


def test_what_a_late_burst_took_is_not_made_up() -> None:
    clock, asked = played([15, 0])
    assert asked[2] - asked[1] == PERIOD_NS
    assert clock.latest_end_ns == asked[2] + 8 * PERIOD_NS


def test_the_next_burst_is_counted_from_when_the_command_left_and_not_from_when_it_was_decided() -> None:
    clock = BurstClock(SETTINGS, S)
    clock.left(S + 2 * MS)
    assert clock.next_ns == S + 2 * MS + PERIOD_NS
    clock.left(S + MS)
    assert clock.next_ns == S + 2 * MS + PERIOD_NS


@given(st.lists(st.integers(min_value=-50, max_value=2000), max_size=60))
def test_bursts_are_never_closer_than_planned_and_never_more_than_planned(lateness_ms: list[int]) -> None:
    clock, asked = played(lateness_ms)
    assert all(later - earlier >= PERIOD_NS for earlier, later in pairwise(asked))
    assert len(asked) == clock.asked
    assert clock.asked + clock.left_out <= SETTINGS.bursts
