"""One train held against its plan: which receipts are its own and what counts as leaving the plan."""

import pytest
from msgspec.structs import replace

from drivers.magventure_train import TrainWatch
from tests.magventure_line import MS, THETA


def watch(*, events_per_burst: int = 1) -> TrainWatch:
    """A theta train of ten bursts asked for at 0 and begun at 20 ms."""
    begun = TrainWatch(THETA, events_per_burst, 0)
    begun.begin(20 * MS)
    return begun


def receive(train: TrainWatch, receipts: int, didt: int = 75) -> str | None:
    fault = None
    for index in range(receipts):
        train.count((20 + 200 * index) * MS)
        fault = fault or train.receipt_fault(didt)
    return fault


def test_train_as_planned_has_no_fault() -> None:
    train = watch()
    assert receive(train, 10) is None
    train.end(1860 * MS)
    assert train.short_fault() is None
    assert train.deadline_ns() is None


def test_start_is_overdue_after_300_ms() -> None:
    train = TrainWatch(THETA, 1, 0)
    assert train.overdue_fault(300 * MS - 1) is None
    assert train.overdue_fault(300 * MS) == "the train did not start within 300 ms"


def test_burst_is_overdue_two_intervals_after_its_time() -> None:
    train = watch()
    receive(train, 3)
    due_ms = 20 + 3 * 200 + 400
    assert train.overdue_fault(due_ms * MS - 1) is None
    assert train.overdue_fault(due_ms * MS) == "no receipt of burst 4 two intervals after its time"


def test_end_is_overdue_two_intervals_after_the_last_burst() -> None:
    train = watch()
    receive(train, 10)
    due_ms = 20 + 9 * 200 + 40 + 400
    assert train.overdue_fault(due_ms * MS - 1) is None
    assert train.overdue_fault(due_ms * MS) == "the train does not end after its last burst"


def test_receipt_more_than_planned_is_a_fault() -> None:
    fault = receive(watch(), 11)
    assert fault is not None
    assert fault.startswith("more pulses than planned")


@pytest.mark.parametrize(("first", "later", "sags"), [(75, 68, False), (75, 67, True), (75, 90, False), (5, 4, False), (5, 3, True)])
def test_output_ten_per_cent_below_the_first_pulse_is_a_fault(first: int, later: int, sags: bool) -> None:
    train = watch()
    assert receive(train, 1, first) is None
    train.count(220 * MS)
    assert bool(train.receipt_fault(later)) is sags


def test_pulse_without_current_is_a_fault() -> None:
    train = watch()
    train.count(20 * MS)
    assert "without current" in str(train.receipt_fault(0))


def test_burst_two_intervals_early_is_a_fault() -> None:
    train = watch()
    for _ in range(3):
        train.count(20 * MS)
    assert train.receipt_fault(75) is None
    train.count(20 * MS)
    assert train.receipt_fault(75) == "burst 4 came two intervals ahead of the plan"


def test_receipts_of_one_burst_count_as_one_burst() -> None:
    train = watch(events_per_burst=3)
    assert [train.count(20 * MS) for _ in range(6)] == [True, False, False, True, False, False]
    assert train.bursts_seen == 2


@pytest.mark.parametrize(("receipts", "is_short"), [(10, False), (9, False), (8, True)])
def test_train_that_leaves_out_two_bursts_is_short(receipts: int, is_short: bool) -> None:
    train = watch()
    receive(train, receipts)
    train.end(2000 * MS)
    assert bool(train.short_fault()) is is_short


def test_late_receipt_belongs_to_the_train_for_200_ms() -> None:
    train = watch()
    receive(train, 9)
    train.end(1860 * MS)
    assert train.owns_pulse(2060 * MS)
    assert not train.owns_pulse(2061 * MS)


def test_receipt_beyond_the_plan_after_the_end_is_not_the_trains() -> None:
    train = watch()
    receive(train, 10)
    train.end(1860 * MS)
    assert not train.owns_pulse(1861 * MS)


def test_quick_trains_allow_for_the_hosts_own_lateness() -> None:
    quick = replace(THETA, pulses_per_burst=1, burst_hz="100", bursts=50)
    train = TrainWatch(quick, 1, 0)
    train.begin(0)
    train.count(0)
    assert train.overdue_fault(110 * MS - 1) is None
    assert train.overdue_fault(110 * MS) is not None
