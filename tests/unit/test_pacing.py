"""When the next train may start, and what a receipt counts."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.pacing import NS, Pace, TrainTally, burst_period_ns, bursts_given, next_onset

PACE = Pace(train_period_ns=10 * NS, train_gap_ns=8 * NS, train_length_ns=1_840_000_000, burst_period_ns=200_000_000)
STARTED = 100 * NS
WHOLE = TrainTally(
    bursts_planned=10,
    started_ns=STARTED,
    events_ns=tuple(STARTED + 30_000_000 + k * 200_000_000 for k in range(10)),
    stop_asked_ns=None,
    ended_ns=STARTED + 1_900_000_000,
    link_sound=True,
)


def stopped(events: int, after_ns: int, confirmed_after_ns: int = 30_000_000) -> TrainTally:
    return msgspec.structs.replace(
        WHOLE, events_ns=WHOLE.events_ns[:events], stop_asked_ns=STARTED + after_ns, ended_ns=STARTED + after_ns + confirmed_after_ns
    )


def test_the_first_train_may_start_now() -> None:
    assert next_onset(PACE, 5, None, None, False) == 5


def test_the_next_train_starts_one_period_after_the_last_onset() -> None:
    assert next_onset(PACE, 3 * NS, NS, NS + PACE.train_length_ns, False) == 11 * NS


def test_after_a_broken_train_the_full_gap_counts_from_its_last_pulse() -> None:
    assert next_onset(PACE, 3 * NS, NS, 2 * NS, True) == 10 * NS


def test_a_late_train_moves_what_follows_and_never_catches_up() -> None:
    assert next_onset(PACE, 40 * NS, NS, 2 * NS, False) == 40 * NS


@given(
    st.integers(0, 10**12),
    st.none() | st.integers(0, 10**12),
    st.none() | st.integers(0, 10**12),
    st.booleans(),
)
def test_no_train_ever_starts_inside_a_gap(now_ns: int, onset_ns: int | None, pulse_ns: int | None, broken: bool) -> None:
    at_ns = next_onset(PACE, now_ns, onset_ns, pulse_ns, broken)
    assert at_ns >= now_ns
    assert pulse_ns is None or at_ns - pulse_ns >= PACE.train_gap_ns


def test_a_whole_train_is_confirmed() -> None:
    assert bursts_given(WHOLE, PACE.burst_period_ns) == (10, True)


def test_a_stopped_train_counts_what_the_device_reported() -> None:
    assert bursts_given(stopped(4, 700_000_000), PACE.burst_period_ns) == (4, True)


def test_a_stop_before_the_first_burst_counts_nothing() -> None:
    assert bursts_given(stopped(0, 20_000_000), PACE.burst_period_ns) == (0, True)


def lossy(*lost: int) -> TrainTally:
    events = tuple(at_ns for k, at_ns in enumerate(WHOLE.events_ns) if k not in lost)
    return msgspec.structs.replace(WHOLE, events_ns=events)


@pytest.mark.parametrize("lost", [(0,), (4,), (9,), (3, 4, 5), (7, 8, 9), tuple(range(10))])
def test_reports_that_are_missing_over_a_sound_link_are_filled_in_by_the_plan(lost: tuple[int, ...]) -> None:
    assert bursts_given(lossy(*lost), PACE.burst_period_ns) == (10, False)


def test_the_last_report_that_is_missing_just_before_the_devices_own_end_is_filled_in() -> None:
    tally = msgspec.structs.replace(lossy(9), ended_ns=WHOLE.events_ns[8] + 240_000_000)
    assert bursts_given(tally, PACE.burst_period_ns) == (10, False)


def test_a_single_pulse_that_ran_to_its_end_counts_although_nothing_was_reported() -> None:
    tally = msgspec.structs.replace(WHOLE, bursts_planned=1, events_ns=(), ended_ns=STARTED + 60_000_000)
    assert bursts_given(tally, NS) == (1, False)


def test_a_silence_before_the_stop_counts_as_given() -> None:
    assert bursts_given(stopped(2, 1_500_000_000), PACE.burst_period_ns) == (8, False)


def test_over_a_damaged_link_every_burst_that_may_have_been_given_counts() -> None:
    tally = msgspec.structs.replace(stopped(3, 700_000_000), link_sound=False)
    assert bursts_given(tally, PACE.burst_period_ns) == (4, False)


def test_a_train_whose_end_nobody_confirmed_counts_in_full() -> None:
    tally = msgspec.structs.replace(stopped(2, 500_000_000), ended_ns=None)
    assert bursts_given(tally, PACE.burst_period_ns) == (10, False)


def test_more_reports_than_planned_all_count() -> None:
    tally = msgspec.structs.replace(WHOLE, events_ns=(*WHOLE.events_ns, STARTED + 2_100_000_000))
    assert bursts_given(tally, PACE.burst_period_ns) == (11, True)


@given(
    given_bursts=st.integers(0, 10),
    delay_ms=st.integers(1, 95),
    lost=st.sets(st.integers(0, 9)),
    confirm_ms=st.integers(1, 400),
)
def test_a_tally_never_says_less_than_the_device_gave(given_bursts: int, delay_ms: int, lost: set[int], confirm_ms: int) -> None:
    """The device starts after the command, reports each burst `delay_ms` late, and some reports are lost, which damages the link."""
    begun_ns = STARTED + 5_000_000
    bursts = [begun_ns + k * 200_000_000 for k in range(given_bursts)]
    events = tuple(at_ns + delay_ms * 1_000_000 for k, at_ns in enumerate(bursts) if k not in lost)
    last_ns = bursts[-1] if bursts else begun_ns
    tally = TrainTally(
        bursts_planned=10,
        started_ns=STARTED,
        events_ns=events,
        stop_asked_ns=last_ns + 1_000_000,
        ended_ns=last_ns + 1_000_000 + (delay_ms + confirm_ms) * 1_000_000,
        link_sound=len(events) == given_bursts,
    )
    counted, confirmed = bursts_given(tally, PACE.burst_period_ns)
    assert counted >= given_bursts
    assert not confirmed or counted == given_bursts


@pytest.mark.parametrize(("rate", "period_ns"), [("5", 200_000_000), ("0.5", 2_000_000_000), ("18", 55_555_556)])
def test_burst_period_is_exact(rate: str, period_ns: int) -> None:
    assert burst_period_ns(rate) == period_ns
