import pytest

from calibration.filters import Filtered, OneEuro, filtered

SETTINGS = OneEuro()
FRAME_NS = 16_666_667


def run(values: list[float], period_ns: int = FRAME_NS) -> list[float]:
    state: Filtered | None = None
    outputs = []
    for index, value in enumerate(values):
        state = filtered(state, value, index * period_ns, SETTINGS)
        outputs.append(state.value)
    return outputs


def test_the_first_output_is_the_first_input() -> None:
    assert run([3.25]) == [3.25]


def test_a_value_that_stays_stays() -> None:
    assert run([2.0] * 50) == [2.0] * 50


def test_a_jump_is_followed_and_never_overshot() -> None:
    outputs = run([0.0] * 10 + [1.0] * 200)
    assert all(0.0 <= value <= 1.0 for value in outputs)
    assert outputs[-1] == pytest.approx(1.0, abs=1e-3)
    assert outputs[10] < 1.0


def test_noise_at_rest_comes_out_smaller() -> None:
    outputs = run([0.1, -0.1] * 100)
    assert max(abs(value) for value in outputs[50:]) < 0.05


def test_after_a_gap_of_more_than_200_ms_the_past_is_forgotten() -> None:
    before = Filtered(value=0.0, speed=5.0, at_ns=0)
    assert filtered(before, 7.0, 200_000_001, SETTINGS) == Filtered(7.0, 0.0, 200_000_001)


def test_a_gap_of_200_ms_is_still_filtered() -> None:
    assert filtered(Filtered(0.0, 0.0, 0), 7.0, 200_000_000, SETTINGS).value < 7.0


@pytest.mark.parametrize("at_ns", [1_000, 999])
def test_a_sample_that_is_no_later_changes_nothing(at_ns: int) -> None:
    before = Filtered(1.0, 0.0, 1_000)
    assert filtered(before, 9.0, at_ns, SETTINGS) == before
