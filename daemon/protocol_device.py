"""A protocol in the stimulator's words: the settings of one train, and why the configured unit cannot deliver it. No traffic."""

from fractions import Fraction

from daemon.config import Config
from daemon.devices import make_stimulator
from daemon.protocol_timing import Timing
from daemon.purpose import Pacing
from daemon.stimulator_section import TriggerBoxSection
from drivers.values import TrainSettings

# Measured on a busy host: a start is late by 20 to 40 ms once in a hundred, a tenth of the period of 5 Hz.
MOST_HOST_PACED_HZ = 5


def train_settings(timing: Timing, amplitude_pct_mso: int) -> TrainSettings:
    """One train at that amplitude. Single pulses have no interval inside a burst."""
    return TrainSettings(
        amplitude_pct_mso=amplitude_pct_mso,
        pulses_per_burst=timing.pulses_per_burst,
        intra_burst_interval_us=0 if timing.is_plain else round(1_000_000 / timing.intra_burst_hz),
        burst_hz=decimal(timing.burst_hz),
        bursts=timing.bursts_per_train,
    )


def device_reasons(timing: Timing, settings: TrainSettings, config: Config) -> tuple[str, ...]:
    """Why the chair's stimulator cannot deliver such a train, or must not be left alone with one so long."""
    unit = make_stimulator(config)
    if reasons := unit.can(settings):
        return reasons
    return tuple(_timing_reasons(timing, unit.least_gap_s(settings), config))


def pacing_of(timing: Timing, config: Config) -> Pacing:
    """Who times the bursts. Single pulses are asked for one by one only where no device can time them."""
    unit = config.stimulator
    return Pacing.TRAIN if timing.is_plain and not isinstance(unit, TriggerBoxSection) else unit.pacing


def _timing_reasons(timing: Timing, least_gap_s: float, config: Config) -> list[str]:
    reasons = []
    longest_s = Fraction(repr(config.stimulator.longest_train_s))
    if timing.nominal_train_s > longest_s:
        train, most = float(timing.nominal_train_s), float(longest_s)
        reasons.append(f"a train of {train:g} s runs on when the host dies; [stimulator].longest_train_s is {most:g} s")
    if timing.trains > 1 and float(timing.train_gap_s) < least_gap_s:
        pause = float(timing.train_gap_s)
        reasons.append(f"the unit needs a pause of {least_gap_s:.1f} s after such a train, the protocol has {pause:g} s")
    if pacing_of(timing, config) is Pacing.BURST and timing.burst_hz > MOST_HOST_PACED_HZ:
        reasons.append(f"this host times {MOST_HOST_PACED_HZ} bursts a second at most, the protocol has {float(timing.burst_hz):g}")
    return reasons


def decimal(value: Fraction) -> str:
    """A rate as the exact decimal string that the device layer takes; rates come from decimals, so one always exists."""
    whole = value * 1_000_000_000
    if whole.denominator != 1:
        raise ValueError(f"{value} has no exact decimal")
    digits = f"{int(whole):010d}"
    return f"{digits[:-9]}.{digits[-9:]}".rstrip("0").rstrip(".")
