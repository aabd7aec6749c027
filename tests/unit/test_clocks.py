"""The clock fit on made-up cameras: each case says when every frame was really exposed, and asks what the fit makes of it."""

import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.clocks import FrameClock

MS = 1_000_000
LATENCY_NS = 14 * MS
BOOT_NS = 40 * 86400 * 1_000_000_000  # the host has been up for weeks


class Case:
    """What came of a run: by frame, its time since the start (s) and by how much its date is later than it was (ms), or None."""

    def __init__(self, results: list[tuple[float, float | None]]) -> None:
        self.results = results

    @property
    def first_s(self) -> float:
        return next(t_s for t_s, error in self.results if error is not None)

    def errors(self, after_s: float = 0.0) -> list[float]:
        return [error for t_s, error in self.results if error is not None and t_s >= after_s]


def run(
    *,
    hz: float = 60.0,
    seconds: float = 20.0,
    ppm: float = 0.0,
    extra_ms: Callable[[float], float] = lambda _: 0.0,
    frames: Callable[[range], Iterable[int]] = lambda every: every,
    first_number: int = 7,
    jitter_ms: float = 0.1,
) -> Case:
    """Frames exposed at `hz` on a camera clock that is slow by `ppm`, readable 14 ms later, read `extra_ms(t)` after that."""
    rng = random.Random(3)
    clock, results, last_ns = FrameClock(hz, LATENCY_NS), [], 0
    for index in frames(range(round(seconds * hz))):
        t_s = index / hz
        exposed_ns = BOOT_NS + round(index * 1e9 / hz * (1.0 + ppm * 1e-6))
        received_ns = exposed_ns + LATENCY_NS + round((abs(rng.gauss(0.0, jitter_ms)) + extra_ms(t_s)) * MS)
        last_ns = max(last_ns, received_ns)  # bytes do not overtake one another
        dated_ns = clock.add((first_number + index) % 2**32, last_ns)
        results.append((t_s, None if dated_ns is None else (dated_ns - exposed_ns) / MS))
    return Case(results)


def stall(start_s: float, length_s: float) -> Callable[[float], float]:
    """Nothing is read for a while, then all that waited at once."""
    return lambda t_s: max(0.0, 1e3 * (start_s + length_s - t_s)) if start_s <= t_s < start_s + length_s else 0.0


def step(at_s: float, ms: float) -> Callable[[float], float]:
    return lambda t_s: ms if t_s >= at_s else 0.0


@pytest.mark.parametrize("hz", [20.0, 60.0, 400.0])
def test_there_is_no_date_before_half_a_second_of_frames_and_one_right_after(hz: float) -> None:
    assert run(hz=hz, seconds=3.0).first_s == pytest.approx(0.5, abs=1.1 / hz)


@pytest.mark.parametrize("hz", [20.0, 60.0, 400.0])
@pytest.mark.parametrize("ppm", [-100.0, 0.0, 100.0])
def test_a_drifting_camera_is_dated_within_the_stated_bound(hz: float, ppm: float) -> None:
    errors = run(hz=hz, ppm=ppm, seconds=60.0).errors()
    assert max(map(abs, errors)) < FrameClock.bound_ns / MS
    assert max(map(abs, run(hz=hz, ppm=ppm, seconds=60.0).errors(after_s=30.0))) < 0.3


def test_after_a_stall_of_300_ms_the_backlog_is_as_old_as_it_is() -> None:
    case = run(hz=400.0, extra_ms=stall(5.0, 0.3))
    assert max(map(abs, case.errors())) < 0.5
    assert len(case.errors(after_s=1.0)) == 400 * 19


def test_stalls_every_three_seconds_from_the_start_change_nothing() -> None:
    case = run(hz=60.0, extra_ms=lambda t_s: stall(0.0, 0.3)(t_s % 3.0), seconds=30.0)
    assert max(map(abs, case.errors())) < 0.5


def test_a_backlog_at_the_start_gives_no_date_until_it_is_read() -> None:
    case = run(hz=60.0, extra_ms=stall(0.0, 2.0))
    assert case.first_s >= 2.0
    assert max(map(abs, case.errors())) < 0.5


def test_a_line_that_sinks_by_more_than_half_a_frame_begins_its_half_second_again() -> None:
    sinking = run(hz=400.0, extra_ms=lambda t_s: max(0.0, 8.0 - 20.0 * t_s), jitter_ms=0.0)  # 0.05 ms a frame, until 0.4 s
    assert sinking.first_s > 0.8


@pytest.mark.parametrize("ms", [2.0, 20.0, 80.0])
def test_a_way_that_becomes_longer_for_good_does_not_make_poses_look_fresher(ms: float) -> None:
    errors = run(ppm=50.0, extra_ms=step(10.0, ms), seconds=300.0).errors()
    assert max(errors) < FrameClock.bound_ns / MS
    assert min(errors) > -FrameClock.bound_ns / MS, "nor older than they are"


def test_a_way_that_becomes_longer_and_shorter_again_and_again_leaves_no_trace() -> None:
    errors = run(extra_ms=lambda t_s: 20.0 * (int(t_s / 10.0) % 2), seconds=200.0).errors()
    assert max(map(abs, errors)) < FrameClock.bound_ns / MS


def test_a_way_that_becomes_longer_slowly_is_not_taken_for_drift() -> None:
    errors = run(extra_ms=lambda t_s: max(0.0, t_s - 10.0), seconds=50.0).errors()  # 40 ms in 40 s
    assert max(errors) < 4.0


def test_a_way_that_becomes_shorter_is_seen_at_once() -> None:
    errors = run(extra_ms=lambda t_s: 5.0 if t_s < 10.0 else 0.0, seconds=20.0).errors(after_s=10.1)
    assert max(map(abs, errors)) < 0.5


def test_a_way_shorter_by_more_than_half_a_frame_was_no_fit() -> None:
    case = run(hz=400.0, extra_ms=lambda t_s: 5.0 if t_s < 10.0 else 0.0)
    gap = [error for t_s, error in case.results if 10.0 <= t_s < 10.49]
    assert set(gap) == {None}
    assert max(map(abs, case.errors(after_s=10.6))) < 0.5


def test_a_crowded_line_costs_time_until_the_fit_but_no_accuracy() -> None:
    rng = random.Random(5)
    errors = run(hz=400.0, extra_ms=lambda _: rng.expovariate(1.0 / 3.0), seconds=30.0).errors()
    assert errors and max(map(abs, errors)) < FrameClock.bound_ns / MS


def test_a_clock_slewed_by_500_ppm_is_followed() -> None:
    case = run(extra_ms=lambda t_s: 0.5 * min(max(0.0, t_s - 10.0), 60.0), seconds=90.0)
    drifted = [error - 0.5 * min(max(0.0, t_s - 10.0), 60.0) for t_s, error in case.results if error is not None]
    assert max(drifted) < FrameClock.bound_ns / MS and min(drifted) > -3.0


def test_frame_numbers_wrap_without_notice() -> None:
    case = run(first_number=2**32 - 100)
    assert len(case.errors()) == 60 * 20 - 30
    assert max(map(abs, case.errors())) < 0.5


def test_gaps_do_not_count_toward_the_fit_and_do_not_end_it() -> None:
    assert run(frames=lambda every: every[::10], seconds=5.0).first_s > 1.0
    third = run(frames=lambda every: [index for index in every if index % 3 == 0])
    assert third.first_s == pytest.approx(0.5, abs=0.06), "a camera that tracks every third frame is complete"
    holey = run(frames=lambda every: [index for index in every if not 300 <= index < 480])
    assert max(map(abs, holey.errors())) < 0.5 and len(holey.errors()) > 900


def test_a_gap_longer_than_the_window_ends_the_fit() -> None:
    case = run(frames=lambda every: [index for index in every if not 300 <= index < 600])
    assert {error for t_s, error in case.results if 10.0 <= t_s < 10.49} == {None}
    assert case.errors(after_s=10.6)


def test_the_same_number_again_gives_the_same_date_and_teaches_nothing() -> None:
    clock = FrameClock(60.0, LATENCY_NS)
    dates = []
    for index in range(120):
        received_ns = BOOT_NS + index * 16_666_667
        dates.append((clock.add(index, received_ns), clock.add(index, received_ns + 9 * MS), clock.add(index, received_ns + 11 * MS)))
    assert all(first == second == third for first, second, third in dates)
    once = FrameClock(60.0, LATENCY_NS)
    assert [once.add(index, BOOT_NS + index * 16_666_667) for index in range(120)] == [first for first, _, _ in dates]


@pytest.mark.parametrize("number", [99, 2**31 + 120, 100_000])
def test_a_number_that_does_not_go_on_begins_a_new_fit(number: int) -> None:
    clock = FrameClock(60.0, LATENCY_NS)
    for index in range(120):
        dated_ns = clock.add(100 + index, BOOT_NS + index * 16_666_667)
    assert dated_ns is not None
    assert [clock.add(number + index, BOOT_NS + (120 + index) * 16_666_667) for index in range(30)] == [None] * 30
    assert clock.add(number + 30, BOOT_NS + 150 * 16_666_667) is not None


def test_restart_forgets_and_takes_the_new_rate() -> None:
    clock = FrameClock(60.0, LATENCY_NS)
    for index in range(120):
        clock.add(index, BOOT_NS + index * 16_666_667)
    clock.restart(400.0)
    dates = [clock.add(500 + index, BOOT_NS + 10**10 + index * 2_500_000) for index in range(400)]
    assert dates[:200] == [None] * 200
    assert dates[-1] == pytest.approx(BOOT_NS + 10**10 + 399 * 2_500_000 - LATENCY_NS, abs=10)


@settings(max_examples=60, deadline=None)
@given(
    hz=st.sampled_from([20.0, 60.0, 400.0]),
    ppm=st.floats(-100.0, 100.0),
    first_number=st.integers(0, 2**32 - 1),
    stalls=st.lists(st.tuples(st.floats(0.0, 14.0), st.floats(0.0, 1.0)), max_size=4),
    loss=st.floats(0.0, 0.4),
    seed=st.integers(0, 1000),
)
def test_whatever_waits_or_is_lost_no_frame_is_dated_wrongly(
    hz: float, ppm: float, first_number: int, stalls: list[tuple[float, float]], loss: float, seed: int
) -> None:
    rng = random.Random(seed)
    case = run(
        hz=hz,
        ppm=ppm,
        seconds=16.0,
        first_number=first_number,
        extra_ms=lambda t_s: max((stall(*each)(t_s) for each in stalls), default=0.0),
        frames=lambda every: [index for index in every if rng.random() >= loss],
    )
    assert all(abs(error) < FrameClock.bound_ns / MS for error in case.errors())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 10**10)), max_size=60), st.floats(1.0, 500.0))
def test_no_numbers_at_any_times_date_an_exposure_after_it_was_received(frames: list[tuple[int, int]], hz: float) -> None:
    clock, now_ns = FrameClock(hz, LATENCY_NS), BOOT_NS
    for number, elapsed_ns in frames:
        now_ns += elapsed_ns
        dated_ns = clock.add(number, now_ns)
        assert dated_ns is None or dated_ns <= now_ns - LATENCY_NS + 1
