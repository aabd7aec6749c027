"""How much a Rapid² bears and how soon again: the maker's table and rules, to the figures that are published for them."""

import itertools

import pytest

from drivers.magstim_energy import (
    MINUTE_NS,
    NS_PER_S,
    EnergyBook,
    max_on_time_s,
    single_pause_s,
    wait_s,
)
from drivers.magstim_frame_wire import Family
from drivers.magstim_table_wire import read_table

TABLE = read_table()


@pytest.mark.parametrize(
    ("power", "rate", "joules", "on_time_s", "wait_after_100_s"),
    [
        (40, 10, 40.3, 156, 0.5),
        (50, 20, 63.0, 50.0, 1.0),
        (60, 20, 90.7, 34.7, 3.64),
        (70, 20, 123.4, 25.5, 6.75),
        (80, 20, 161.2, 19.5, 10.35),
        (100, 10, 252.0, 25.0, 14.0),
        (100, 25, 252.0, 10.0, 20.0),
    ],
)
def test_rules_give_the_published_figures(power: int, rate: int, joules: float, on_time_s: float, wait_after_100_s: float) -> None:
    assert TABLE[power].joules == joules
    assert max_on_time_s(joules, rate) == pytest.approx(on_time_s, rel=0.003)
    assert wait_s(joules, rate, 100) == pytest.approx(wait_after_100_s, abs=0.01)


def test_wait_after_250_pulses_of_73_pct_at_25_hz_is_22_s() -> None:
    assert wait_s(TABLE[73].joules, 25, 250) == pytest.approx(21.95, abs=0.005)


@pytest.mark.parametrize("power", [0, 1])
def test_pulses_without_energy_may_go_on_for_ever(power: int) -> None:
    joules = TABLE[power].joules
    assert max_on_time_s(joules, 50) == float("inf")
    assert wait_s(joules, 50, 100) == 0.5


@pytest.mark.parametrize(
    ("column", "rates"),
    [
        ("rapid_240V", (50, 30, 20, 15)),
        ("super_240V", (100, 50, 40, 25)),
        ("superplus1_240V", (100, 97, 68, 41)),
        ("rapid_115V", (36, 23, 16, 11)),
        ("super_115V", (60, 44, 32, 22)),
        ("superplus1_115V", (60, 58, 40, 25)),
    ],
)
def test_table_has_the_published_rates(column: str, rates: tuple[int, ...]) -> None:
    assert tuple(TABLE[power].max_hz[column] for power in (30, 50, 70, 100)) == rates


def test_table_never_rises_with_power_in_rate_nor_falls_in_energy() -> None:
    for lower, upper in itertools.pairwise(TABLE):
        assert lower.joules <= upper.joules
        assert all(lower.max_hz[column] >= rate for column, rate in upper.max_hz.items())


@pytest.mark.parametrize(
    ("family", "power", "pause_s"),
    [
        (Family.MAGSTIM_200, 49, 2),
        (Family.MAGSTIM_200, 50, 3),
        (Family.MAGSTIM_200, 79, 3),
        (Family.MAGSTIM_200, 80, 4),
        (Family.MAGSTIM_200, 100, 4),
        (Family.BISTIM, 30, 4),
        (Family.RAPID, 100, 1),
    ],
)
def test_single_pulses_pause_as_their_family_asks(family: Family, power: int, pause_s: float) -> None:
    assert single_pause_s(family, power) == pause_s


def test_host_that_has_just_started_supposes_that_the_last_minute_was_full() -> None:
    book = EnergyBook(63_000.0)
    book.open(0)
    assert book.may_start_ns(1.0, NS_PER_S) == MINUTE_NS
    assert book.may_start_ns(1.0, MINUTE_NS) <= MINUTE_NS


def test_opening_the_line_again_forgets_nothing_and_supposes_nothing_new() -> None:
    book = EnergyBook(0.0)
    book.open(0)
    book.fired(0, 60_000.0, 0.5)
    book.open(NS_PER_S)
    assert book.may_start_ns(3_000.0, NS_PER_S) == NS_PER_S // 2
    assert book.may_start_ns(3_001.0, NS_PER_S) == MINUTE_NS


def test_pause_after_a_train_holds_whatever_else_is_allowed() -> None:
    book = EnergyBook(0.0)
    book.fired(10 * NS_PER_S, 1.0, 21.95)
    assert book.may_start_ns(1.0, 11 * NS_PER_S) == 10 * NS_PER_S + round(21.95 * NS_PER_S)


def test_energy_comes_back_train_by_train_as_each_leaves_the_minute() -> None:
    book = EnergyBook(0.0)
    for second in (0, 10, 20):
        book.fired(second * NS_PER_S, 21_000.0, 0.5)
    assert book.may_start_ns(21_000.0, 21 * NS_PER_S) == MINUTE_NS
    assert book.may_start_ns(42_000.0, 21 * NS_PER_S) == MINUTE_NS + 10 * NS_PER_S
