"""What each MagPro model can deliver: reasons against a train, one per broken rule."""

import pytest
from msgspec.structs import replace

from drivers.magventure_command_wire import SetAmplitude, SetTrain, encode_command
from drivers.magventure_models import (
    CAPABILITIES,
    amplitude_command,
    capability,
    host_pacing_reasons,
    rate_tenth_hz,
    reasons_against,
    train_command,
    waveform_command,
)
from drivers.magventure_wire import Mode, Waveform
from drivers.values import Refused
from tests.magventure_line import THETA

X100 = CAPABILITIES["x100-option"]
SINGLE = replace(THETA, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="10")


@pytest.mark.parametrize("model", ["x100", "x100-option"])
def test_x100_paces_theta_bursts(model: str) -> None:
    assert reasons_against(THETA, CAPABILITIES[model], 100) == ()


@pytest.mark.parametrize("model", ["r30", "r30-option"])
def test_r30_cannot_pace_theta_bursts_but_single_pulses(model: str) -> None:
    assert any("no burst waveform" in reason for reason in reasons_against(THETA, CAPABILITIES[model], 100))
    assert reasons_against(SINGLE, CAPABILITIES[model], 100) == ()


@pytest.mark.parametrize("model", ["r30-option-mono", "mst", "", "X100"])
def test_model_without_a_record_is_refused(model: str) -> None:
    with pytest.raises(Refused):
        capability(model, "stimulator")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"amplitude_pct_mso": 81}, "outside 0 to 80"),
        ({"amplitude_pct_mso": -1}, "outside 0 to 80"),
        ({"pulses_per_burst": 6}, "1 to 5"),
        ({"pulses_per_burst": 0}, "1 to 5"),
        ({"intra_burst_interval_us": 20_100}, "device's steps"),
        ({"intra_burst_interval_us": 0}, "device's steps"),
        ({"burst_hz": "5.05"}, "device's steps"),
        ({"burst_hz": "nan"}, "device's steps"),
        ({"burst_hz": "-5"}, "device's steps"),
        ({"burst_hz": "0"}, "device's steps"),
        ({"burst_hz": "five"}, "device's steps"),
        ({"burst_hz": "21"}, "above the model's 20"),
        ({"burst_hz": "20", "pulses_per_burst": 5}, "before the next one begins"),
        ({"bursts": 0}, "1 to 1000"),
        ({"bursts": 1001}, "1 to 1000"),
        ({"bursts": 2100}, "1 to 1000"),
    ],
)
def test_one_broken_rule_gives_one_reason(changes: dict[str, int | str], word: str) -> None:
    (reason,) = reasons_against(replace(THETA, **changes), X100, 80)
    assert word in reason


def test_zero_amplitude_is_taken_for_the_test_of_the_hardware_stop() -> None:
    assert reasons_against(replace(THETA, amplitude_pct_mso=0), X100, 80) == ()


@pytest.mark.parametrize(("rate", "taken"), [("20.1", False), ("20", True), ("0.1", True), ("100", True), ("101", False)])
def test_single_pulse_rates_follow_the_devices_steps(rate: str, taken: bool) -> None:
    assert (reasons_against(replace(SINGLE, burst_hz=rate), X100, 80) == ()) is taken


@pytest.mark.parametrize(("text", "tenths"), [("5", 50), ("5.0", 50), ("0.3", 3), ("1e1", 100), ("0.05", None), ("inf", None)])
def test_rate_is_exact_or_none(text: str, tenths: int | None) -> None:
    assert rate_tenth_hz(text) == tenths


def test_theta_train_is_one_train_of_ten_bursts() -> None:
    assert train_command(THETA) == SetTrain(rate_tenth_hz=50, pulses=10, trains=1, gap_tenth_s=10)
    assert encode_command(waveform_command(THETA, X100)) == bytes.fromhex("FE0B09010300000302 00C80064B8FF")


def test_single_pulses_are_biphasic() -> None:
    assert waveform_command(SINGLE, X100).waveform is Waveform.BIPHASIC


def test_rate_off_the_steps_is_never_written() -> None:
    with pytest.raises(ValueError, match="device's steps"):
        train_command(replace(THETA, burst_hz="5.05"))


PAIR = replace(SINGLE, pulses_per_burst=2, intra_burst_interval_us=3_000, burst_hz="5")


@pytest.mark.parametrize(
    ("model", "mode", "waveform"),
    [
        ("r30-option", Mode.TWIN, Waveform.BIPHASIC),
        ("x100-option", Mode.TWIN, Waveform.BIPHASIC),
        ("x100", Mode.STANDARD, Waveform.BURST),
    ],
)
def test_pairs_are_of_the_twin_mode_where_the_model_has_it(model: str, mode: Mode, waveform: Waveform) -> None:
    assert reasons_against(PAIR, CAPABILITIES[model], 80) == ()
    command = waveform_command(PAIR, CAPABILITIES[model])
    assert (command.mode, command.waveform, command.pulses_per_burst, command.ipi_us, command.ba_pct) == (mode, waveform, 2, 3_000, 100)


def test_r30_makes_no_pairs() -> None:
    (reason,) = reasons_against(PAIR, CAPABILITIES["r30"], 80)
    assert "no burst waveform nor a twin mode" in reason


def test_second_pulse_of_a_pair_is_as_strong_as_the_first() -> None:
    assert amplitude_command(PAIR, X100) == SetAmplitude(a_pct=50, b_pct=50)
    assert amplitude_command(SINGLE, X100) == SetAmplitude(a_pct=50)


@pytest.mark.parametrize(
    ("model", "changes", "word"),
    [
        ("r30-option", {"burst_hz": "6"}, "above the model's 5"),
        ("x100-option", {"burst_hz": "51"}, "above the model's 50"),
        ("x100-option", {"intra_burst_interval_us": 500}, "inside the pair"),
        ("x100-option", {"intra_burst_interval_us": 300_000}, "before the next one begins"),
        ("x100", {"burst_hz": "21"}, "above the model's 20"),
    ],
)
def test_one_broken_rule_of_pairs_gives_one_reason(model: str, changes: dict[str, int | str], word: str) -> None:
    (reason,) = reasons_against(replace(PAIR, **changes), CAPABILITIES[model], 80)
    assert word in reason


@pytest.mark.parametrize("model", CAPABILITIES)
@pytest.mark.parametrize("rate", ["1", "10"])
def test_plain_trains_of_one_and_ten_pulses_a_second_are_every_models(model: str, rate: str) -> None:
    assert reasons_against(replace(SINGLE, burst_hz=rate, bursts=40), CAPABILITIES[model], 80) == ()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, ""),
        ({"burst_hz": "7"}, ""),
        ({"burst_hz": "8"}, "140 ms apart"),
        ({"pulses_per_burst": 5, "burst_hz": "5"}, ""),
        ({"pulses_per_burst": 1}, "only bursts"),
        ({"pulses_per_burst": 2}, "only bursts"),
    ],
)
def test_host_paces_bursts_that_leave_it_100_ms(changes: dict[str, int | str], word: str) -> None:
    reasons = host_pacing_reasons(replace(THETA, **changes), X100)
    assert [word in reason for reason in reasons] == ([True] if word else [])
