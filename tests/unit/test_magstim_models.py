"""What each Magstim may be asked for, and the reasons why not."""

import pytest
from msgspec.structs import replace

from drivers.magstim import MagstimStimulator
from drivers.magstim_command_wire import SetDuration, SetFrequency, SetHighResolution, SetInterval, SetPower, SetPowerB, SetPulses
from drivers.magstim_frame_wire import Dialect, Family
from drivers.magstim_models import make_unit, reasons_against, writing
from drivers.magstim_table_wire import read_table
from drivers.values import Refused, TrainSettings
from tests.magstim_line import PAIR, SINGLE, TRAIN

TABLE = read_table()
V8, V9 = Dialect(family=Family.RAPID, software=8), Dialect(family=Family.RAPID, software=9)
THETA = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10)


def reasons(settings: TrainSettings, model: str = "rapid", dialect: Dialect = V9, mains_v: int = 240) -> str:
    unit = make_unit(model, mains_v, 100, TABLE, "here")
    if model in ("200", "bistim"):
        dialect = Dialect(family=Family(model))
    return "; ".join(reasons_against(settings, unit, dialect))


@pytest.mark.parametrize("model", ["200", "bistim", "rapid", "superrapid", "plus1"])
@pytest.mark.parametrize("bursts", [1, 10])
def test_theta_bursts_are_refused_on_every_model_with_the_reason(model: str, bursts: int) -> None:
    told = reasons(replace(THETA, bursts=bursts), model)
    assert told
    assert model == "bistim" or "theta bursts cannot be set over a Magstim's serial line" in told


@pytest.mark.parametrize(
    ("hz", "pulses", "power"), [("1", 600, 100), ("10", 50, 100), ("10", 40, 80), ("20", 40, 60), ("0.5", 20, 100), ("15", 30, 100)]
)
def test_ordinary_trains_within_the_tables_are_allowed(hz: str, pulses: int, power: int) -> None:
    assert not reasons(replace(TRAIN, burst_hz=hz, bursts=pulses, amplitude_pct_mso=power))


@pytest.mark.parametrize(
    ("model", "mains_v", "most"), [("rapid", 240, 30), ("superrapid", 240, 50), ("plus1", 240, 97), ("rapid", 115, 23), ("plus1", 115, 58)]
)
def test_rate_above_the_table_of_model_power_and_mains_is_refused(model: str, mains_v: int, most: int) -> None:
    assert not reasons(replace(TRAIN, burst_hz=str(most), bursts=most), model, V9, mains_v)
    assert f"above the {most} Hz" in reasons(replace(TRAIN, burst_hz=str(most + 1), bursts=most + 1), model, V9, mains_v)


def test_train_longer_than_the_hardware_bears_in_a_minute_is_refused() -> None:
    most = replace(TRAIN, amplitude_pct_mso=100, burst_hz="10", bursts=250)
    assert not reasons(most)
    assert "25.0 s of this in any minute" in reasons(replace(most, bursts=251))


def test_slow_train_may_last_longer_than_a_minute() -> None:
    assert not reasons(replace(TRAIN, amplitude_pct_mso=100, burst_hz="4", bursts=400))
    assert "in any minute" in reasons(replace(TRAIN, amplitude_pct_mso=100, burst_hz="5", bursts=400))


def test_number_of_pulses_follows_the_software() -> None:
    train = replace(TRAIN, amplitude_pct_mso=10, burst_hz="50")
    assert not reasons(replace(train, bursts=6000))
    assert "takes 6000" in reasons(replace(train, bursts=6050))
    assert not reasons(replace(train, bursts=1000), dialect=V8)
    assert "takes 1000" in reasons(replace(train, bursts=1050), dialect=V8)


def test_length_must_be_whole_tenths_and_fit_the_field() -> None:
    assert "no length" in reasons(replace(TRAIN, burst_hz="30", bursts=10))
    assert not reasons(replace(TRAIN, burst_hz="30", bursts=30))
    assert "no length" in reasons(replace(TRAIN, burst_hz="1", bursts=100), dialect=V8)
    assert not reasons(replace(TRAIN, burst_hz="1", bursts=99), dialect=V8)


@pytest.mark.parametrize("rate", ["0", "-1", "10.05", "NaN", "x"])
def test_rate_off_the_steps_is_refused(rate: str) -> None:
    assert "steps of 0.1 Hz" in reasons(replace(TRAIN, burst_hz=rate))


@pytest.mark.parametrize("model", ["200", "bistim"])
def test_models_that_pace_no_trains_fire_one_at_a_time(model: str) -> None:
    assert not reasons(SINGLE, model)
    assert "paces no trains" in reasons(replace(SINGLE, bursts=2), model)


@pytest.mark.parametrize(("us", "steps"), [(3_000, (3, False)), (999_000, (999, False)), (2_500, (25, True)), (99_900, (999, True))])
def test_bistim_pairs_are_set_in_the_coarsest_step_that_fits(us: int, steps: tuple[int, bool]) -> None:
    pair = replace(PAIR, intra_burst_interval_us=us)
    assert not reasons(pair, "bistim")
    sent = writing(pair, make_unit("bistim", 240, 100, TABLE, "here"), ignore_coil_switch=False)
    assert sent == (SetHighResolution(on=steps[1]), SetInterval(steps=steps[0]), SetPower(pct=50), SetPowerB(pct=50))


@pytest.mark.parametrize("us", [0, 50, 100_500, 1_000_000])
def test_bistim_intervals_off_the_steps_are_refused(us: int) -> None:
    assert "not one of the unit's steps" in reasons(replace(PAIR, intra_burst_interval_us=us), "bistim")


def test_power_goes_before_the_rate_and_the_length_that_opens_the_train_mode_before_both() -> None:
    sent = writing(TRAIN, make_unit("rapid", 240, 100, TABLE, "here"), ignore_coil_switch=False)
    length = SetDuration(tenth_s=20)
    assert sent == (length, SetPower(pct=50), SetFrequency(tenth_hz=100), SetPulses(pulses=20), length)


def test_amplitude_above_the_sites_ceiling_is_refused() -> None:
    unit = make_unit("rapid", 240, 70, TABLE, "here")
    assert not reasons_against(replace(TRAIN, amplitude_pct_mso=70), unit, V9)
    assert "outside 0 to 70 %" in reasons_against(replace(TRAIN, amplitude_pct_mso=71), unit, V9)[0]


def test_unknown_model_and_mains_are_refused_by_name() -> None:
    with pytest.raises(Refused, match="'horizon' is unknown"):
        MagstimStimulator("horizon", 60, max_amplitude_pct_mso=100)
    with pytest.raises(Refused, match="230 V"):
        MagstimStimulator("rapid", 60, max_amplitude_pct_mso=100, mains_v=230)


@pytest.mark.parametrize(("start_c", "stop_c"), [(41, 41), (40, 42), (40, 39)])
def test_temperature_limits_may_only_be_lowered(start_c: int, stop_c: int) -> None:
    with pytest.raises(ValueError, match="may only be below"):
        MagstimStimulator("rapid", 60, max_amplitude_pct_mso=100, start_temp_c=start_c, stop_temp_c=stop_c)


def test_least_gap_follows_energy_for_trains_and_the_family_for_single_pulses() -> None:
    rapid = MagstimStimulator("superrapid", 60, max_amplitude_pct_mso=100)
    assert rapid.least_gap_s(replace(TRAIN, amplitude_pct_mso=73, burst_hz="25", bursts=250)) == pytest.approx(21.95, abs=0.01)
    assert rapid.least_gap_s(SINGLE) == 1
    assert MagstimStimulator("200", 60, max_amplitude_pct_mso=100).least_gap_s(SINGLE) == 3
