"""A pulse's answer in the muscle's signal: threshold, where the answer is sought, and every way in which the signal cannot be believed."""

import math
import random

import hypothesis.strategies as st
import pytest
from hypothesis import given

from drivers.emg import LONGEST_DOUBT_NS, Judgement, Peaks, Sample, needed_ns
from drivers.emg import judge as verdict

MS = 1_000_000
PULSE_NS = 10_000_000_000
SENT_NS, TOLD_NS = PULSE_NS - 30 * MS, PULSE_NS + 40 * MS  # the order left 30 ms before the pulse, its report came 40 ms after it
BLANKED = Peaks(shows_pulse=False)


def judge(samples: list[Sample], sent_ns: int, told_ns: int, peaks: Peaks) -> Judgement:
    """By the samples that are asked for, and no others."""
    first_ns, last_ns = needed_ns(sent_ns, told_ns)
    said = verdict([sample for sample in samples if first_ns <= sample.at_ns <= last_ns], sent_ns, told_ns, peaks)
    assert (said.why != "") is (said.judgement is Judgement.UNDECIDED)
    return said.judgement


def signal(
    size_uv: float,
    *,
    after_ms: float = 21.0,
    hz: float = 2000.0,
    noise_uv: float = 3.0,
    artefact_uv: float = 5000.0,
    pulse_ns: int = PULSE_NS,
    seed: int = 1,
) -> list[Sample]:
    """A twitch of that size, so long after the pulse, on noise; the pulse itself shows for 2 ms."""
    rng = random.Random(seed)
    samples = []
    for number in range(int(0.45 * hz)):
        since_ms = -250.0 + 1000.0 * number / hz
        wave = size_uv / 2 * math.sin(2 * math.pi * (since_ms - after_ms) / 12) if after_ms <= since_ms <= after_ms + 12 else 0.0
        artefact = artefact_uv if 0.0 <= since_ms < 2.0 else 0.0
        samples.append(Sample(pulse_ns + round(since_ms * MS), wave + artefact + rng.gauss(0.0, noise_uv)))
    return samples


@pytest.mark.parametrize("peaks", [Peaks(), BLANKED])
def test_twitch_is_a_response_and_noise_is_none(peaks: Peaks) -> None:
    artefact_uv = 5000.0 if peaks.shows_pulse else 0.0
    assert judge(signal(200.0, artefact_uv=artefact_uv), SENT_NS, TOLD_NS, peaks) is Judgement.RESPONSE
    assert judge(signal(0.0, artefact_uv=artefact_uv), SENT_NS, TOLD_NS, peaks) is Judgement.NONE


def test_fifty_microvolts_peak_to_peak_are_the_line() -> None:
    assert judge(signal(51.0, noise_uv=0.0), SENT_NS, TOLD_NS, Peaks()) is Judgement.RESPONSE
    assert judge(signal(49.0, noise_uv=0.0), SENT_NS, TOLD_NS, Peaks()) is Judgement.NONE


@given(st.integers(0, 100), st.integers(0, 90))
def test_the_answer_is_found_wherever_the_pulse_lies_between_order_and_report(before_ms: int, after_ms: int) -> None:
    sent_ns, told_ns = PULSE_NS - before_ms * MS, PULSE_NS + after_ms * MS
    assert judge(signal(200.0), sent_ns, told_ns, Peaks()) is Judgement.RESPONSE
    assert judge(signal(0.0), sent_ns, told_ns, Peaks()) is Judgement.NONE
    assert judge(signal(200.0, artefact_uv=0.0), sent_ns, told_ns, BLANKED) is Judgement.RESPONSE
    assert judge(signal(0.0, artefact_uv=0.0), sent_ns, told_ns, BLANKED) is Judgement.NONE


@pytest.mark.parametrize("after_ms", [2.5, 52.0, 70.0])
def test_twitch_too_early_or_too_late_for_the_pulse_is_no_response(after_ms: float) -> None:
    assert judge(signal(200.0, after_ms=after_ms), SENT_NS, TOLD_NS, Peaks()) is Judgement.NONE


def test_pulse_that_does_not_show_although_it_should_decides_nothing() -> None:
    assert judge(signal(200.0, artefact_uv=0.0), SENT_NS, TOLD_NS, Peaks()) is Judgement.UNDECIDED


def test_artefact_of_somebody_elses_pulse_decides_nothing() -> None:
    assert judge(signal(200.0, pulse_ns=PULSE_NS - 120 * MS), SENT_NS, TOLD_NS, Peaks()) is Judgement.UNDECIDED


@pytest.mark.parametrize("told_ns", [SENT_NS - 1, SENT_NS + LONGEST_DOUBT_NS + 1])
def test_pulse_that_can_have_been_at_any_time_decides_nothing(told_ns: int) -> None:
    assert judge(signal(200.0), SENT_NS, told_ns, Peaks()) is Judgement.UNDECIDED


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 25_000.0])
@pytest.mark.parametrize("after_ms", [25, -80])
def test_value_that_is_none_or_at_the_rails_decides_nothing(value: float, after_ms: int) -> None:
    samples = signal(200.0)
    at = next(index for index, sample in enumerate(samples) if sample.at_ns > PULSE_NS + after_ms * MS)
    samples[at] = Sample(samples[at].at_ns, value)
    assert judge(samples, SENT_NS, TOLD_NS, Peaks()) is Judgement.UNDECIDED


@pytest.mark.parametrize("noise_uv", [10.0, 40.0])
def test_tense_muscle_decides_nothing(noise_uv: float) -> None:
    assert judge(signal(200.0, noise_uv=noise_uv), SENT_NS, TOLD_NS, Peaks()) is Judgement.UNDECIDED


def test_hum_of_the_mains_that_hides_small_answers_decides_nothing() -> None:
    clean = signal(200.0, noise_uv=1.0)
    hum = [Sample(sample.at_ns, sample.uv + 11.0 * math.sin(2 * math.pi * 50 * sample.at_ns / 1e9)) for sample in clean]
    assert judge(hum, SENT_NS, TOLD_NS, Peaks()) is Judgement.UNDECIDED


@pytest.mark.parametrize("seed", range(20))
def test_noise_that_passes_for_rest_is_never_taken_for_an_answer(seed: int) -> None:
    assert judge(signal(0.0, noise_uv=6.0, seed=seed), SENT_NS, TOLD_NS, Peaks()) is not Judgement.RESPONSE


def test_single_unit_firing_before_the_pulse_decides_nothing() -> None:
    samples = [Sample(sample.at_ns, sample.uv + (60.0 if sample.at_ns == PULSE_NS - 90 * MS else 0.0)) for sample in signal(200.0)]
    assert judge(samples, SENT_NS, TOLD_NS, Peaks()) is Judgement.UNDECIDED


def test_slow_stream_decides_nothing() -> None:
    assert judge(signal(200.0, hz=200.0), SENT_NS, TOLD_NS, Peaks()) is Judgement.UNDECIDED


@pytest.mark.parametrize(("from_ms", "to_ms"), [(-300, 0), (20, 24), (40, 60), (-80, -70), (-300, 300)])
def test_gap_in_the_samples_decides_nothing(from_ms: int, to_ms: int) -> None:
    kept = [sample for sample in signal(200.0) if not PULSE_NS + from_ms * MS <= sample.at_ns < PULSE_NS + to_ms * MS]
    assert judge(kept, SENT_NS, TOLD_NS, Peaks()) is Judgement.UNDECIDED
