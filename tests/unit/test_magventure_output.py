"""What trains put out and how warm they make the coil: the sag against the first pulse, the rise that forbids the next train."""

import pytest
from msgspec.structs import replace

from drivers.magventure_output import SOAK_NS, CoilRise, OutputWatch
from drivers.values import StimFault, StimState
from tests.magventure_line import THETA, MagVentureLine


@pytest.mark.parametrize(("first", "later", "sags"), [(75, 68, False), (75, 67, True), (75, 90, False), (5, 4, False), (5, 3, True)])
def test_more_than_ten_per_cent_below_the_first_pulse_is_a_sag(first: int, later: int, sags: bool) -> None:
    watch = OutputWatch()
    assert watch.fault(first, None) is None
    assert bool(watch.fault(later, None)) is sags


def test_second_pulse_of_a_pair_is_watched_as_the_first() -> None:
    watch = OutputWatch()
    assert watch.fault(75, 75) is None
    assert "sags" in str(watch.fault(75, 60))
    assert "without current" in str(watch.fault(75, 0))


def train(rise: CoilRise, before_c: int, hottest_c: int, *, whole: bool = True) -> None:
    rise.begin(before_c)
    rise.felt(hottest_c, 0)
    if whole:
        rise.end(0)


def test_unknown_rise_forbids_nothing() -> None:
    assert CoilRise().reason(39, 41) is None


def test_train_that_would_end_at_the_limit_is_forbidden() -> None:
    rise = CoilRise()
    train(rise, 30, 32)
    assert rise.reason(38, 41) is None
    assert rise.reason(39, 41) == "one more train would warm the coil by 2 to 41 degrees C, the limit is 41"


def test_hottest_reading_counts_until_ten_seconds_after_the_train() -> None:
    rise = CoilRise()
    train(rise, 30, 31)
    rise.felt(34, SOAK_NS)
    rise.felt(31, SOAK_NS)
    rise.felt(39, SOAK_NS + 1)
    assert rise.reason(37, 41)
    assert rise.reason(36, 41) is None


def test_greatest_rise_of_the_last_three_trains_counts() -> None:
    rise = CoilRise()
    for before, hottest in ((25, 30), (30, 31), (31, 32)):
        train(rise, before, hottest)
    assert rise.reason(36, 41)
    for before, hottest in ((32, 33), (33, 34)):
        train(rise, before, hottest)
    assert rise.reason(36, 41) is None


def test_broken_train_and_broken_sensor_tell_nothing() -> None:
    rise = CoilRise()
    train(rise, 25, 40, whole=False)
    assert rise.reason(30, 41) is None
    train(rise, 25, 90)
    assert rise.reason(30, 41) is None


def warmed(line: MagVentureLine) -> None:
    """A whole train that warms the coil by three degrees, then a coil at 38."""
    line.make_ready()
    line.run(300)
    line.faults.heating_c_per_s = 1.8
    line.fire()
    line.run(300)
    line.faults.heating_c_per_s = 0.0
    line.run(11_000)
    line.faults.reports_temperature_c = 38
    line.run(500)


@pytest.mark.parametrize("act", ["start_train", "start_burst"])
def test_train_whose_projected_end_is_too_warm_is_not_started(act: str) -> None:
    line = MagVentureLine()
    warmed(line)
    sent = len(line.sent)
    (fault,) = line.take(getattr(line.driver, act)(line.now_ns))
    assert isinstance(fault, StimFault)
    assert "one more train would warm the coil" in fault.what
    assert len(line.sent) == sent
    line.faults.reports_temperature_c = 35
    line.run(500)
    assert line.take(getattr(line.driver, act)(line.now_ns))
    assert line.state() is StimState.FIRING


def test_another_coil_starts_a_new_account() -> None:
    line = MagVentureLine()
    warmed(line)
    line.device.plug_coil(56, line.now_ns)
    line.run(1000)
    line.device.plug_coil(60, line.now_ns)
    line.run(1000)
    assert line.prepare().mismatches == ()
    line.run(100)
    events = line.take(line.driver.enable(line.now_ns))
    assert not [event for event in events if isinstance(event, StimFault)]


def test_pair_whose_second_pulse_fails_ends_disabled() -> None:
    line = MagVentureLine()
    line.make_ready(replace(THETA, pulses_per_burst=2))
    line.start()
    line.run(300)
    line.device.settings.b_pct = 20
    line.next(StimFault)
    line.run(1000)
    assert "the output sags" in line.fault_texts
    assert not line.device.enabled
