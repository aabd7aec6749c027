"""What each MagPro model can deliver, and the settings of one train in the device's own units. No traffic, no state.

A model that is not in the table is refused: nothing is known of it. Figures as in the maker's manuals for R30 and X100, read through
the public clients' tables (MAGIC, pytms).
"""

from decimal import Decimal, InvalidOperation

import msgspec

from drivers.magventure_command_wire import SetAmplitude, SetTrain, SetWaveform
from drivers.magventure_wire import BURST_IPI_US, MODEL_NAMES, PAIRED_IPI_US, Mode, Waveform
from drivers.values import Refused, TrainSettings

BA_RATIO_PCT = 100  # pulse B over pulse A: both alike; without meaning in the standard mode, but a field of the command
ONE_TRAIN_GAP_TENTH_S = 10  # without meaning for a single train, but a field of the command
FINE_RATE_LIMIT_TENTH_HZ = 200  # steps of 0.1 pps up to 20 pps, whole pps above
MAX_PULSES = 2000
FINE_PULSES_LIMIT = 1000  # steps of 100 above
BURST_REST_NS = 100_000_000  # from a burst's end to the host's next trigger: public clients allow one trigger per 0.1 s


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """One model: waveforms of its standard mode, and how fast it repeats pulses, bursts and pairs; 0 for what it has not."""

    code: int  # as the status byte tells it
    waveforms: frozenset[Waveform]
    max_rate_hz: int
    max_burst_rate_hz: int
    max_pair_rate_hz: int  # twin mode, biphasic


_CODES = {name: code for code, name in MODEL_NAMES.items()}
_X100 = {Waveform.MONOPHASIC, Waveform.BIPHASIC, Waveform.BURST}

CAPABILITIES = {
    "r30": Capability(
        code=_CODES["r30"], waveforms=frozenset({Waveform.BIPHASIC}), max_rate_hz=30, max_burst_rate_hz=0, max_pair_rate_hz=0
    ),
    "r30-option": Capability(
        code=_CODES["r30-option"],
        waveforms=frozenset({Waveform.MONOPHASIC, Waveform.BIPHASIC}),
        max_rate_hz=30,
        max_burst_rate_hz=0,
        max_pair_rate_hz=5,
    ),
    "x100": Capability(code=_CODES["x100"], waveforms=frozenset(_X100), max_rate_hz=100, max_burst_rate_hz=20, max_pair_rate_hz=0),
    "x100-option": Capability(
        code=_CODES["x100-option"],
        waveforms=frozenset(_X100 | {Waveform.HALF_SINE}),
        max_rate_hz=100,
        max_burst_rate_hz=20,
        max_pair_rate_hz=50,
    ),
}


def capability(model: str, where: str) -> Capability:
    """The model's record. Raises Refused for a model that nobody here knows."""
    known = CAPABILITIES.get(model)
    if known is None:
        raise Refused(f"the model {model!r} is unknown", where, f"Name one of {', '.join(CAPABILITIES)} in the chair file.")
    return known


def rate_tenth_hz(burst_hz: str) -> int | None:
    """The rate as the device counts it, tenths of a pulse per second; None when it is no positive multiple of 0.1."""
    try:
        tenths = Decimal(burst_hz) * 10
    except InvalidOperation:
        return None
    if not tenths.is_finite() or tenths <= 0 or tenths != tenths.to_integral_value():
        return None
    return int(tenths)


def mode_for(settings: TrainSettings, model: Capability) -> Mode:
    """Two pulses are a pair of the twin mode where the model has it; everything else is the standard mode's."""
    return Mode.TWIN if settings.pulses_per_burst == 2 and model.max_pair_rate_hz else Mode.STANDARD


def waveform_for(settings: TrainSettings, model: Capability) -> Waveform:
    """Single pulses and pairs are biphasic, other bursts the device's own waveform."""
    is_burst = settings.pulses_per_burst > 1 and mode_for(settings, model) is Mode.STANDARD
    return Waveform.BURST if is_burst else Waveform.BIPHASIC


def reasons_against(settings: TrainSettings, model: Capability, max_amplitude_pct_mso: int) -> tuple[str, ...]:
    """Why this model cannot deliver such a train exactly; empty means it can."""
    return (*_burst_reasons(settings, model), *_train_reasons(settings, model), *_amplitude_reasons(settings, max_amplitude_pct_mso))


def _amplitude_reasons(settings: TrainSettings, max_amplitude_pct_mso: int) -> list[str]:
    if 0 <= settings.amplitude_pct_mso <= max_amplitude_pct_mso:
        return []
    return [f"an amplitude of {settings.amplitude_pct_mso} % is outside 0 to {max_amplitude_pct_mso} % of the maximum output"]


def _burst_reasons(settings: TrainSettings, model: Capability) -> list[str]:
    if not 1 <= settings.pulses_per_burst <= 5:
        return [f"{settings.pulses_per_burst} pulses per burst: the device makes 1 to 5"]
    reasons = []
    if waveform_for(settings, model) not in model.waveforms:
        pairs = " nor a twin mode" if settings.pulses_per_burst == 2 else ""
        reasons.append(f"this model has no burst waveform{pairs}: it cannot pace theta bursts")
    is_pair = mode_for(settings, model) is Mode.TWIN
    if settings.pulses_per_burst > 1 and settings.intra_burst_interval_us not in (PAIRED_IPI_US if is_pair else BURST_IPI_US):
        what = "pair" if is_pair else "burst"
        reasons.append(f"an interval of {settings.intra_burst_interval_us} us inside the {what} is not one of the device's steps")
    return reasons


def _rate_limit_hz(settings: TrainSettings, model: Capability) -> int:
    if settings.pulses_per_burst == 1:
        return model.max_rate_hz
    return model.max_pair_rate_hz if mode_for(settings, model) is Mode.TWIN else model.max_burst_rate_hz


def _train_reasons(settings: TrainSettings, model: Capability) -> list[str]:
    reasons = []
    rate = rate_tenth_hz(settings.burst_hz)
    limit_hz = _rate_limit_hz(settings, model)
    if rate is None or (rate > FINE_RATE_LIMIT_TENTH_HZ and rate % 10):
        reasons.append(f"a rate of {settings.burst_hz} per second is not one of the device's steps")
    elif rate > 10 * limit_hz and limit_hz:
        reasons.append(f"a rate of {settings.burst_hz} per second is above the model's {limit_hz}")
    elif settings.pulses_per_burst > 1 and (settings.pulses_per_burst - 1) * settings.intra_burst_interval_us * rate >= 10_000_000:
        reasons.append("a burst does not end before the next one begins")
    steps = 1 if settings.bursts <= FINE_PULSES_LIMIT else 100
    if not 1 <= settings.bursts <= MAX_PULSES or settings.bursts % steps:
        reasons.append(f"{settings.bursts} bursts in one train: the device takes 1 to 1000, then hundreds to 2000")
    return reasons


def host_pacing_reasons(settings: TrainSettings, model: Capability) -> list[str]:
    """Why the host cannot ask for the bursts of such a train one by one; empty means it can. For a train without `reasons_against`."""
    reasons = []
    if waveform_for(settings, model) is not Waveform.BURST:
        reasons.append("only bursts of the burst waveform are paced by the host")
    rate = rate_tenth_hz(settings.burst_hz)
    least_ns = burst_length_ns(settings) + BURST_REST_NS
    if rate is None or rate * least_ns > 10_000_000_000:
        reasons.append(f"bursts of this length are {least_ns // 1_000_000} ms apart at least when the host asks for each")
    return reasons


def burst_length_ns(settings: TrainSettings) -> int:
    """First pulse to last pulse of one burst."""
    return 1000 * settings.intra_burst_interval_us * (settings.pulses_per_burst - 1)


def waveform_command(settings: TrainSettings, model: Capability) -> SetWaveform:
    """Normal current direction, both pulses of a pair alike. For settings without `reasons_against`."""
    is_single = settings.pulses_per_burst == 1
    return SetWaveform(
        model=model.code,
        mode=mode_for(settings, model),
        reverse=False,
        waveform=waveform_for(settings, model),
        pulses_per_burst=2 if is_single else settings.pulses_per_burst,
        ipi_us=BURST_IPI_US[0] if is_single else settings.intra_burst_interval_us,
        ba_pct=BA_RATIO_PCT,
    )


def amplitude_command(settings: TrainSettings, model: Capability) -> SetAmplitude:
    """A pair has a second amplitude, here the same."""
    is_pair = mode_for(settings, model) is Mode.TWIN
    return SetAmplitude(a_pct=settings.amplitude_pct_mso, b_pct=settings.amplitude_pct_mso if is_pair else None)


def train_command(settings: TrainSettings) -> SetTrain:
    """One train per start, never a sequence: a dead host then leaves at most one train. Raises ValueError for a rate off the steps."""
    rate = rate_tenth_hz(settings.burst_hz)
    if rate is None:
        raise ValueError(f"a rate of {settings.burst_hz} per second is not one of the device's steps")
    return SetTrain(rate_tenth_hz=rate, pulses=settings.bursts, trains=1, gap_tenth_s=ONE_TRAIN_GAP_TENTH_S)
