"""What an external trigger box makes of one marker, and which trains follow for it. Pure; the stimulator behind it may allow less."""

from fractions import Fraction
from typing import Final

from drivers.values import Refused, TrainSettings

MODELS: Final = ("train", "burst", "pulse")  # one fire marker becomes a whole train, one burst, one pulse: the box times what is inside

# A busy host is late by tens of milliseconds once in a hundred: closer than this it does not time triggers (measured, docs/benchmarks.md).
HOST_PACED_NS: Final = 500_000_000
MOST_PULSES_PER_BURST: Final = 5  # as many as any stimulator's burst holds
MOST_HZ: Final = 100  # pulses a second, the highest rate of any stimulator here
BURST_INTERVALS_US: Final = range(10_000, 100_001)  # 100 Hz to 10 Hz within a burst, as on a MagPro

def known_model(model: str, where: str) -> str:
    """Raises Refused for one that is not."""
    if model not in MODELS:
        raise Refused(f"there is no model {model!r}", where, f"Write one of {', '.join(MODELS)}.")
    return model


def interval_ns(settings: TrainSettings) -> int:
    """Burst to burst; raises ValueError or ZeroDivisionError for a rate that is none."""
    return int(Fraction(1_000_000_000) / Fraction(settings.burst_hz))


def reasons_against(settings: TrainSettings, model: str, max_amplitude_pct_mso: int) -> tuple[str, ...]:
    """Why such a box cannot be told such a train; empty means it can."""
    reasons = []
    if not 0 <= settings.amplitude_pct_mso <= max_amplitude_pct_mso:
        reasons.append(f"{settings.amplitude_pct_mso} % of output, the ceiling is {max_amplitude_pct_mso} %")
    if settings.bursts < 1 or settings.pulses_per_burst not in range(1, MOST_PULSES_PER_BURST + 1):
        reasons.append(f"a train has at least one burst, a burst 1 to {MOST_PULSES_PER_BURST} pulses")
    if model == "pulse" and settings.pulses_per_burst != 1:
        reasons.append("the box makes one pulse of a marker, and this host does not time the pulses of a burst")
    if settings.pulses_per_burst > 1 and settings.intra_burst_interval_us not in BURST_INTERVALS_US:
        reasons.append(f"{settings.intra_burst_interval_us} us between the pulses of a burst")
    return (*reasons, *_rate_reasons(settings, model))


def _rate_reasons(settings: TrainSettings, model: str) -> list[str]:
    try:
        period_ns = interval_ns(settings)
    except (ValueError, ZeroDivisionError):
        return [f"{settings.burst_hz!r} is no rate"]
    reasons = []
    if not 0 < Fraction(settings.burst_hz) <= MOST_HZ:
        reasons.append(f"{settings.burst_hz} bursts a second")
    burst_ns = settings.pulses_per_burst * settings.intra_burst_interval_us * 1000
    if settings.bursts > 1 and settings.pulses_per_burst > 1 and period_ns <= burst_ns:
        reasons.append("one burst runs into the next")
    if settings.bursts > 1 and model != "train" and period_ns < HOST_PACED_NS:
        reasons.append(f"bursts {period_ns / 1e6:.0f} ms apart: a box that does not time trains is triggered every 500 ms at the most")
    return reasons
