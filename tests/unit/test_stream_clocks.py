"""Dates of streamed frames: never fresher than they are, and no date without a fit."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.clocks import ArrivalClock, ExchangeClock, FrameClock, StampClock
from daemon.dating import ExchangeDating, StampDating
from drivers.values import SourceStamp, TrackerFrame

MS, S = 1_000_000, 1_000_000_000
WORST = 15 * MS
PERIOD = 16_666_667
EPOCH = 1_700_000_000 * S  # of the sender's clock


def frame(received_ns: int, stamp: SourceStamp | None) -> TrackerFrame:
    return TrackerFrame(frame_number=1, received_ns=received_ns, tools=(), stamp=stamp)


def test_without_any_clock_the_stated_worst_latency_is_the_age_at_arrival() -> None:
    clock = ArrivalClock(WORST)
    assert clock.add(100 * S) == 100 * S - WORST
    assert clock.state.bound_ns == WORST


# ---- stamps of a clock that nobody compares ---------------------------------------------------------------------------


def run(clock: StampClock, seconds: float, delay_ms: list[float] | None = None, ppm: float = 0.0) -> list[float | None]:
    """How much too early each date is (ms, less the stated latency), None without one; the frames were sent at their stamps."""
    early = []
    for index in range(round(seconds * 60)):
        sent_ns = 100 * S + index * PERIOD
        stamp_ns = EPOCH + round((sent_ns - 100 * S) * (1.0 + ppm * 1e-6))
        late_ms = 0.0 if delay_ms is None else delay_ms[index % len(delay_ms)]
        dated_ns = clock.add(stamp_ns, sent_ns + round(late_ms * MS))
        early.append(None if dated_ns is None else (sent_ns - WORST - dated_ns) / MS)
    return early


def test_there_is_no_date_before_half_a_second_of_stamps() -> None:
    early = run(StampClock(WORST), 1.0)
    assert [value is None for value in early] == [True] * 30 + [False] * 30


def test_a_message_that_waited_is_as_old_as_its_stamp_says() -> None:
    clock = StampClock(WORST)
    run(clock, 2.0)
    sent_ns = 103 * S
    dated_ns = clock.add(EPOCH + 3 * S, sent_ns + 300 * MS)
    assert dated_ns == pytest.approx(sent_ns - WORST, abs=MS)


@pytest.mark.parametrize("ppm", [-100.0, 0.0, 100.0])
def test_drift_makes_dates_too_early_by_no_more_than_the_bound_and_never_too_late(ppm: float) -> None:
    rng = random.Random(5)
    delays = [abs(rng.gauss(0.0, 0.3)) for _ in range(97)]
    early = [value for value in run(StampClock(WORST), 30.0, delays, ppm) if value is not None]
    assert max(early) < StampClock.bound_ns / MS
    assert min(early) > -0.6, "a date is later than the sending by no more than the least delay of the window"


def test_the_drift_of_the_senders_clock_is_found() -> None:
    clock = StampClock(WORST)
    run(clock, 10.0, ppm=200.0)
    assert clock.state.drift_ppm == pytest.approx(-200.0, abs=20.0)
    assert clock.state.is_fitted


@pytest.mark.parametrize("jump_s", [-1.0, 5.0])
def test_stamps_from_behind_or_far_ahead_begin_a_new_fit(jump_s: float) -> None:
    clock = StampClock(WORST)
    run(clock, 2.0)
    assert clock.add(EPOCH + round((2.0 + jump_s) * S), 102 * S) is None
    assert not clock.state.is_fitted


@given(st.lists(st.floats(0.0, 400.0), min_size=40, max_size=120))
def test_no_frame_is_ever_dated_later_than_its_arrival_less_the_stated_latency(delays_ms: list[float]) -> None:
    clock = StampClock(WORST)
    for index, delay_ms in enumerate(delays_ms):
        sent_ns = 100 * S + index * PERIOD
        received_ns = sent_ns + round(delay_ms * MS)
        dated_ns = clock.add(EPOCH + index * PERIOD, received_ns)
        assert dated_ns is None or dated_ns <= received_ns - WORST


# ---- exchanged times --------------------------------------------------------------------------------------------------


def test_without_an_exchange_there_is_no_date() -> None:
    clock = ExchangeClock(WORST)
    assert clock.add(5 * S, 100 * S, None, None) is None
    assert not clock.state.is_fitted


def test_a_date_is_the_stamp_on_our_clock_less_all_that_may_be_wrong() -> None:
    clock = ExchangeClock(WORST)
    assert clock.add(5 * S, 100 * S, 95 * S - 20 * MS, 2 * MS) == 100 * S - 20 * MS - 2 * MS - WORST
    assert clock.state.bound_ns == WORST + 2 * MS


def test_a_stamp_from_the_future_makes_no_pose_fresher_than_its_arrival() -> None:
    assert ExchangeClock(WORST).add(9 * S, 100 * S, 95 * S, MS) == 100 * S - WORST


def test_an_exchange_that_grows_old_bounds_less_and_less() -> None:
    clock = ExchangeClock(WORST)
    first = clock.add(0, 100 * S, 100 * S, MS)
    later = clock.add(60 * S, 160 * S, 100 * S, MS)
    assert first is not None and later is not None
    assert (160 * S - later) - (100 * S - first) == 36 * MS  # 600 ppm for a minute
    renewed = clock.add(61 * S, 161 * S, 100 * S + 1, MS)
    assert renewed is not None and 161 * S - renewed < 17 * MS


def test_the_drift_of_exchanged_clocks_is_told_after_twenty_seconds() -> None:
    clock = ExchangeClock(WORST)
    for second in range(30):
        clock.add(second * S, (100 + second) * S, 100 * S + second * 50_000, MS)
        assert (clock.state.drift_ppm is None) == (second < 20)
    assert clock.state.drift_ppm == pytest.approx(50.0)


# ---- which clock dates what -------------------------------------------------------------------------------------------


def test_transforms_without_a_date_are_dated_by_arrival_and_those_with_one_by_the_fit() -> None:
    dating = StampDating(WORST)
    assert not dating.state.is_fitted
    assert dating.exposed_ns(frame(100 * S, None)) == 100 * S - WORST
    assert dating.exposed_ns(frame(100 * S, SourceStamp(source_ns=EPOCH))) is None
    assert not dating.state.is_fitted


def test_a_new_link_begins_a_new_fit() -> None:
    dating = StampDating(WORST)
    for index in range(60):
        dated_ns = dating.exposed_ns(frame(100 * S + index * PERIOD, SourceStamp(source_ns=EPOCH + index * PERIOD)))
    assert dated_ns is not None
    dating.restart(60.0)
    assert dating.exposed_ns(frame(102 * S, SourceStamp(source_ns=EPOCH + 60 * PERIOD))) is None


def test_an_lsl_frame_is_dated_by_its_exchange_alone() -> None:
    dating = ExchangeDating(WORST)
    assert dating.exposed_ns(frame(100 * S, None)) is None
    assert dating.exposed_ns(frame(100 * S, SourceStamp(source_ns=S))) is None
    known = SourceStamp(source_ns=S, host_minus_source_ns=99 * S - MS, bound_ns=0)
    assert dating.exposed_ns(frame(100 * S, known)) == 100 * S - MS - WORST
    dating.restart(60.0)
    assert not dating.state.is_fitted


def test_a_cameras_clock_tells_its_drift_and_bound_once_it_is_fitted() -> None:
    clock = FrameClock(60.0, 14 * MS)
    assert not clock.state.is_fitted
    for index in range(60 * 30):
        clock.add(index, 100 * S + round(index * PERIOD * (1.0 + 80e-6)))
    assert clock.state.drift_ppm == pytest.approx(80.0, abs=10.0)
    assert clock.state.bound_ns == FrameClock.bound_ns
