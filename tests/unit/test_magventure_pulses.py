"""Single pulses and plain trains on every MagPro model, in simulated time: what leaves the device, what is told of it."""

import itertools

import pytest
from msgspec.structs import replace

from drivers.values import BurstFired, Prepared, StimFault, StimState, TrainEnded, TrainSettings
from tests.magventure_line import MS, MagVentureLine

MODELS = ("r30", "r30-option", "x100", "x100-option")
ONE = TrainSettings(amplitude_pct_mso=47, pulses_per_burst=1, intra_burst_interval_us=20_000, burst_hz="1", bursts=1)
TEN_HZ = TrainSettings(amplitude_pct_mso=60, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="10", bursts=40)
ONE_HZ = replace(TEN_HZ, burst_hz="1", bursts=10)
EIGHTEEN_HZ = replace(TEN_HZ, burst_hz="18", bursts=36)


def fire(line: MagVentureLine, settings: TrainSettings) -> None:
    line.make_ready(settings)
    line.start()
    line.within(30_000, lambda: bool(line.all(TrainEnded)))
    line.run(400)


@pytest.mark.parametrize("model", MODELS)
def test_one_pulse_is_one_pulse_with_one_receipt(model: str) -> None:
    line = MagVentureLine(model=model)
    fire(line, ONE)
    assert len(line.truth.pulses_ns) == 1
    assert [event.asked for event in line.all(BurstFired)] == [True]
    assert line.all(StimFault) == []
    assert line.state() is StimState.READY


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("settings", "interval_ns"), [(TEN_HZ, 100 * MS), (ONE_HZ, 1000 * MS), (EIGHTEEN_HZ, 55_555_556)])
def test_a_plain_train_has_its_pulses_at_its_rate(model: str, settings: TrainSettings, interval_ns: int) -> None:
    line = MagVentureLine(model=model)
    fire(line, settings)
    assert len(line.truth.pulses_ns) == settings.pulses
    gaps = {later - earlier for earlier, later in itertools.pairwise(line.truth.pulses_ns)}
    assert gaps == {interval_ns}
    assert len(line.all(BurstFired)) == settings.bursts
    assert line.all(StimFault) == []


@pytest.mark.parametrize("settings", [ONE, TEN_HZ])
def test_a_single_pulse_has_one_receipt_where_a_burst_has_three(settings: TrainSettings) -> None:
    line = MagVentureLine(events_per_burst=3)
    fire(line, settings)
    assert len(line.all(BurstFired)) == len(line.truth.pulses_ns) == settings.pulses
    assert line.all(StimFault) == []


def test_pulses_of_different_strength_follow_with_the_device_disabled_between_them() -> None:
    line = MagVentureLine()
    line.connect()
    for number, amplitude in enumerate((60, 22, 40), start=1):
        wanted = replace(ONE, amplitude_pct_mso=amplitude)
        assert line.prepare(wanted).mismatches == ()
        line.take(line.driver.enable(line.now_ns))
        line.within(3000, lambda: line.state() is StimState.READY)
        line.start()
        line.within(3000, lambda number=number: len(line.all(TrainEnded)) == number)  # type: ignore[misc]
        assert line.stop().confirmed
        line.within(3000, lambda: line.state() is StimState.STANDBY)
    assert len(line.truth.pulses_ns) == 3
    assert [enabled for _, enabled in line.truth.charged_states] == [True, False] * 3
    assert line.all(StimFault) == []


def test_a_stop_in_a_plain_train_ends_it_with_every_pulse_told() -> None:
    line = MagVentureLine(model="r30")
    line.make_ready(TEN_HZ)
    line.start()
    line.within(5000, lambda: len(line.truth.pulses_ns) >= 15)
    assert line.stop().confirmed
    line.run(400)
    assert 15 <= len(line.truth.pulses_ns) <= 16
    assert len(line.all(BurstFired)) == len(line.truth.pulses_ns)


def test_the_devices_own_steps_take_a_long_slow_train() -> None:
    line = MagVentureLine()
    assert line.driver.can(replace(ONE_HZ, bursts=1200)) == ()
    assert line.driver.can(replace(ONE_HZ, bursts=1250)) != ()


PAIRS = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=2, intra_burst_interval_us=3_000, burst_hz="5", bursts=8)


@pytest.mark.parametrize("model", ["r30-option", "x100", "x100-option"])
def test_pairs_have_their_interval_and_one_receipt_each(model: str) -> None:
    line = MagVentureLine(model=model)
    fire(line, PAIRS)
    pulses_ns = line.truth.pulses_ns
    assert len(pulses_ns) == 16
    assert {second - first for first, second in zip(pulses_ns[::2], pulses_ns[1::2], strict=True)} == {3 * MS}
    assert line.asked_bursts == len(line.all(BurstFired)) == 8
    assert line.all(StimFault) == []


def test_pair_of_the_twin_mode_has_one_receipt_where_a_burst_has_one_for_each_pulse() -> None:
    line = MagVentureLine(events_per_burst=3)
    fire(line, PAIRS)
    assert line.asked_bursts == 8
    assert line.all(StimFault) == []


def test_pair_whose_second_pulse_is_not_as_strong_is_not_prepared() -> None:
    line = MagVentureLine(model="r30-option")
    line.connect()
    line.take(line.driver.prepare(PAIRS, line.now_ns))
    line.run(70)
    line.device.settings.ba_pct = 150
    line.device.settings.set_amplitude(50, None)
    line.within(20_000, lambda: bool(line.all(Prepared)))
    (prepared,) = line.all(Prepared)
    assert prepared.mismatches == ("amplitude of pulse B: 75 read back, 50 asked", "pulse B over pulse A, %: 150 read back, 100 asked")
    assert line.driver.prepared is None


def test_knob_of_the_pairs_ratio_while_ready_ends_disabled() -> None:
    line = MagVentureLine()
    line.make_ready(PAIRS)
    line.run(300)
    line.device.settings.ba_pct = 500
    line.device.set_amplitude(50)
    line.next(StimFault)
    line.run(500)
    assert "amplitude of pulse B changed from 50 to 100 %" in line.fault_texts
    assert not line.device.enabled
