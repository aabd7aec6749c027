"""One train of a Magstim held against its plan: what may have been given, what is overdue, how warm the next one would make the coil."""

import pytest
from msgspec.structs import replace

from drivers.magstim_watch import CoilRise, TrainWatch
from tests.magstim_line import MS, SINGLE, TRAIN


def sent(settings: object = TRAIN) -> TrainWatch:
    watch = TrainWatch(SINGLE if settings is SINGLE else TRAIN, 0)
    watch.sent_ns = 0
    return watch


@pytest.mark.parametrize(("ms", "pulses"), [(0, 1), (99, 1), (100, 2), (1899, 19), (1900, 20), (60_000, 20)])
def test_pulse_counts_from_the_moment_at_which_the_plan_begins_it(ms: int, pulses: int) -> None:
    assert sent().begun_by(ms * MS) == pulses


def test_nothing_counts_before_the_fire_command_went_out_and_one_for_a_single_pulse_ever_after() -> None:
    assert TrainWatch(TRAIN, 0).begun_by(10**12) == 0
    assert sent(SINGLE).begun_by(0) == sent(SINGLE).begun_by(10**12) == 1


def test_answer_beginning_and_end_are_each_overdue_at_their_own_time() -> None:
    watch = sent()
    assert watch.deadline_ns() == 120 * MS
    assert watch.overdue_fault(120 * MS - 1) is None
    assert "not answered" in str(watch.overdue_fault(120 * MS))
    watch.answered = True
    assert "did not start" in str(watch.overdue_fault(300 * MS))
    watch.began_ns = 50 * MS
    assert watch.overdue_fault(2499 * MS) is None
    assert "does not end" in str(watch.overdue_fault(2500 * MS))
    watch.ended_ns = 2600 * MS
    assert watch.overdue_fault(10**12) is None


def test_train_that_ends_a_fifth_of_a_second_early_ended_by_itself() -> None:
    assert sent().short_fault(1700 * MS) is None
    assert "ended by itself" in str(sent().short_fault(1700 * MS - 1))


def test_interval_that_is_no_whole_number_of_nanoseconds_never_counts_too_few() -> None:
    watch = TrainWatch(replace(TRAIN, burst_hz="30", bursts=30), 0)
    watch.sent_ns = 0
    assert watch.begun_by(33_333_334) == 2


def test_worst_of_the_last_three_trains_is_what_the_next_one_is_expected_to_warm() -> None:
    rise = CoilRise()
    for before, after in ((300, 330), (330, 340), (340, 350)):
        rise.begin(before)
        rise.felt(before + 5)  # while it runs
        rise.end()
        rise.felt(after)
    assert rise.reason(379, 41) is None
    assert "by 3.0 to 41.0 degrees C" in str(rise.reason(380, 41))
    rise.begin(350)
    rise.end()
    rise.felt(360)
    assert rise.reason(380, 41) is None


def test_unknown_temperature_teaches_nothing_about_the_rise() -> None:
    rise = CoilRise()
    rise.begin(None)
    rise.end()
    rise.felt(400)
    assert rise.reason(400, 41) is None
