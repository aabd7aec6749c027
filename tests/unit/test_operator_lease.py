"""The operator lease, event by event and at its edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import ErrorCode
from daemon.operator_lease import FREE, LEASE_TTL_NS, OperatorLease, holds, keep, lapse, release, take

T = 10**12


def held(client: str = "a", now_ns: int = T) -> OperatorLease:
    lease = take(FREE, client, "Ada", now_ns)
    assert isinstance(lease, OperatorLease)
    return lease


def test_a_free_lease_is_held_by_who_takes_it() -> None:
    assert holds(held("a"), "a", T)


def test_a_lease_taken_is_not_held_by_another() -> None:
    assert not holds(held("a"), "b", T)


def test_the_record_keeps_the_name_without_blanks_around_it() -> None:
    lease = take(FREE, "a", "  Ada ", T)
    assert isinstance(lease, OperatorLease) and lease.holder is not None
    assert lease.holder.name == "Ada"


@pytest.mark.parametrize("name", ["", " ", "\t\n"])
def test_a_blank_name_takes_no_lease(name: str) -> None:
    assert take(FREE, "a", name, T) is ErrorCode.BAD_PARAMS


def test_a_second_client_is_refused_while_the_first_holds_it() -> None:
    assert take(held("a"), "b", "Ben", T + LEASE_TTL_NS - 1) is ErrorCode.LEASE_HELD


def test_a_second_client_gets_it_the_moment_it_lapses() -> None:
    lease = take(held("a"), "b", "Ben", T + LEASE_TTL_NS)
    assert isinstance(lease, OperatorLease) and holds(lease, "b", T + LEASE_TTL_NS)


def test_taking_it_again_renews_it() -> None:
    lease = take(held("a"), "a", "Ada", T + 1)
    assert isinstance(lease, OperatorLease) and holds(lease, "a", T + LEASE_TTL_NS)


def test_keeping_it_renews_it() -> None:
    lease = keep(held("a"), "a", T + 1)
    assert isinstance(lease, OperatorLease) and holds(lease, "a", T + LEASE_TTL_NS)


def test_a_lapsed_lease_cannot_be_kept_even_by_its_holder() -> None:
    assert keep(held("a"), "a", T + LEASE_TTL_NS) is ErrorCode.NOT_OPERATOR


def test_another_client_cannot_keep_it() -> None:
    assert keep(held("a"), "b", T) is ErrorCode.NOT_OPERATOR


def test_a_free_lease_cannot_be_kept() -> None:
    assert keep(FREE, "a", T) is ErrorCode.NOT_OPERATOR


def test_a_released_lease_is_free() -> None:
    assert release(held("a"), "a", T) == FREE


def test_another_client_cannot_release_it() -> None:
    assert release(held("a"), "b", T) is ErrorCode.NOT_OPERATOR


def test_a_lapsed_lease_cannot_be_released() -> None:
    assert release(held("a"), "a", T + LEASE_TTL_NS) is ErrorCode.NOT_OPERATOR


def test_it_is_held_one_nanosecond_before_its_end_and_free_at_its_end() -> None:
    assert lapse(held("a"), T + LEASE_TTL_NS - 1) == held("a")
    assert lapse(held("a"), T + LEASE_TTL_NS) == FREE


def test_it_lasts_three_seconds() -> None:
    assert LEASE_TTL_NS == 3_000_000_000


CLIENTS = st.sampled_from(["a", "b", "c"])
EVENTS = st.lists(st.tuples(st.sampled_from(["take", "keep", "release"]), CLIENTS, st.integers(0, 2 * LEASE_TTL_NS)), max_size=30)


@given(EVENTS)
def test_never_two_holders_and_never_one_who_was_silent_for_the_whole_time(events: list[tuple[str, str, int]]) -> None:
    lease, now_ns, last_heard_ns = FREE, T, {"a": 0, "b": 0, "c": 0}
    for event, client, passed_ns in events:
        now_ns += passed_ns
        before = [name for name in "abc" if holds(lease, name, now_ns)]
        outcome = {
            "take": lambda: take(lease, client, "Ada", now_ns),  # noqa: B023 (called at once)
            "keep": lambda: keep(lease, client, now_ns),  # noqa: B023
            "release": lambda: release(lease, client, now_ns),  # noqa: B023
        }[event]()
        if isinstance(outcome, OperatorLease):
            lease = outcome
            last_heard_ns[client] = now_ns
            assert before in ([], [client])
        else:
            assert before != [client]
        holders = [name for name in "abc" if holds(lease, name, now_ns)]
        assert len(holders) <= 1
        assert all(now_ns - last_heard_ns[name] < LEASE_TTL_NS for name in holders)
