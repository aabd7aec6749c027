"""A protocol in the stimulator's words: the settings of one train, and why the configured unit cannot deliver it. No traffic."""

from fractions import Fraction

from daemon.config import Config
from daemon.devices import make_stimulator
from daemon.protocol_timing import Timing
from drivers.values import TrainSettings


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
    longest_s = Fraction(repr(config.stimulator.longest_train_s))
    too_long = timing.nominal_train_s > longest_s
    train, most = float(timing.nominal_train_s), float(longest_s)
    alone = f"a train of {train:g} s runs on when the host dies; [stimulator].longest_train_s is {most:g} s"
    return (*make_stimulator(config).can(settings), *((alone,) if too_long else ()))


def decimal(value: Fraction) -> str:
    """A rate as the exact decimal string that the device layer takes; rates come from decimals, so one always exists."""
    whole = value * 1_000_000_000
    if whole.denominator != 1:
        raise ValueError(f"{value} has no exact decimal")
    digits = f"{int(whole):010d}"
    return f"{digits[:-9]}.{digits[-9:]}".rstrip("0").rstrip(".")
