"""What each Magstim model can deliver, and the commands that set one train. No traffic, no state.

A model that is not in the table is refused: nothing is known of it. Train lengths and steps as the public clients use them.
"""

from decimal import Decimal, InvalidOperation
from fractions import Fraction

import msgspec

from drivers.magstim_command_wire import (
    Command,
    IgnoreCoilSwitch,
    SetDuration,
    SetFrequency,
    SetHighResolution,
    SetInterval,
    SetPower,
    SetPowerB,
    SetPulses,
)
from drivers.magstim_energy import DAMAGE_J_PER_MINUTE, MINUTE_S, max_on_time_s
from drivers.magstim_frame_wire import Dialect, Family
from drivers.magstim_table_wire import MAINS_V, PowerLimits
from drivers.values import Refused, TrainSettings

MAX_PULSES, MAX_PULSES_OLD = 6000, 1000  # software 9 and later; before
MAX_INTERVAL_STEPS = 999
LOW_RESOLUTION_STEP_US, HIGH_RESOLUTION_STEP_US = 1000, 100
INTERVAL_OF_SINGLES_MS = 10  # without meaning while the second pulse has no power, but a field of the unit

NO_THETA = (
    "theta bursts cannot be set over a Magstim's serial line: no command for bursts is published, single pulses go at most once a "
    "second and half a second passes after each train; use a unit that paces bursts itself"
)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `rates` names its column in the table of limits, without the mains voltage."""

    name: str
    family: Family
    rates: str = ""
    plus1: bool = False


MODELS = {
    "200": Model(name="200", family=Family.MAGSTIM_200),
    "bistim": Model(name="bistim", family=Family.BISTIM),
    "rapid": Model(name="rapid", family=Family.RAPID, rates="rapid"),
    "superrapid": Model(name="superrapid", family=Family.RAPID, rates="super"),
    "plus1": Model(name="plus1", family=Family.RAPID, rates="superplus1", plus1=True),
}


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A model on its mains, under the ceiling that its site sets, with the maker's table."""

    model: Model
    mains_v: int
    max_amplitude_pct_mso: int
    table: tuple[PowerLimits, ...]

    def max_hz(self, power_pct: int) -> int:
        return self.table[power_pct].max_hz[f"{self.model.rates}_{self.mains_v}V"]

    def joules(self, power_pct: int) -> float:
        return self.table[power_pct].joules


def make_unit(model: str, mains_v: int, max_amplitude_pct_mso: int, table: tuple[PowerLimits, ...], where: str) -> Unit:
    """Raises Refused for a model or a voltage that nobody here knows."""
    known = MODELS.get(model)
    if known is None:
        raise Refused(f"the model {model!r} is unknown", where, f"Name one of {', '.join(MODELS)} in the chair file.")
    if mains_v not in MAINS_V:
        raise Refused(f"no limits are known for {mains_v} V mains", where, "Name 240 or 115 in the chair file.")
    return Unit(model=known, mains_v=mains_v, max_amplitude_pct_mso=max_amplitude_pct_mso, table=table)


def rate_tenth_hz(burst_hz: str) -> int | None:
    """The rate in the unit's tenths of a hertz; None when it is no positive multiple of 0.1."""
    try:
        tenths = Decimal(burst_hz) * 10
    except InvalidOperation:
        return None
    if not tenths.is_finite() or tenths <= 0 or tenths != tenths.to_integral_value():
        return None
    return int(tenths)


def duration_tenth_s(settings: TrainSettings) -> int | None:
    """Pulses over rate in tenths of a second; None where that is no whole number of them."""
    rate = rate_tenth_hz(settings.burst_hz)
    if rate is None:
        return None
    tenths = Fraction(100 * settings.bursts, rate)
    return tenths.numerator if tenths.denominator == 1 else None


def interval_steps(settings: TrainSettings) -> tuple[int, bool] | None:
    """The interval of a pair in the unit's steps, and whether they are the fine ones; None where it is none of them."""
    us = settings.intra_burst_interval_us
    for step_us, is_fine in ((LOW_RESOLUTION_STEP_US, False), (HIGH_RESOLUTION_STEP_US, True)):
        if us % step_us == 0 and 1 <= us // step_us <= MAX_INTERVAL_STEPS:
            return us // step_us, is_fine
    return None


def reasons_against(settings: TrainSettings, unit: Unit, dialect: Dialect) -> tuple[str, ...]:
    """Why this unit cannot deliver such a train exactly; empty means it can. Software that is not yet known counts as the oldest."""
    if not 0 <= settings.amplitude_pct_mso <= unit.max_amplitude_pct_mso:
        ceiling = f"0 to {unit.max_amplitude_pct_mso} % of the maximum output"
        return (f"an amplitude of {settings.amplitude_pct_mso} % is outside {ceiling}",)
    if settings.bursts < 1 or settings.pulses_per_burst < 1:
        return ("a train must have pulses",)
    if settings.pulses_per_burst > 1 and not (unit.model.family is Family.BISTIM and settings.bursts == 1):
        return (NO_THETA,)
    if unit.model.family is not Family.RAPID:
        return tuple(_pair_reasons(settings))
    return () if settings.bursts == 1 else tuple(_train_reasons(settings, unit, dialect))


def _pair_reasons(settings: TrainSettings) -> list[str]:
    if settings.bursts > 1:
        return ["this model paces no trains: one pulse or pair for each start, repeats are the host's"]
    if settings.pulses_per_burst > 2:
        return ["this model fires pairs, no longer bursts"]
    if settings.pulses_per_burst == 2 and interval_steps(settings) is None:
        return [f"an interval of {settings.intra_burst_interval_us} us is not one of the unit's steps (1 to 999 ms, or 0.1 to 99.9 ms)"]
    return []


def _train_reasons(settings: TrainSettings, unit: Unit, dialect: Dialect) -> list[str]:
    reasons = []
    power = settings.amplitude_pct_mso
    most = MAX_PULSES if dialect.has_system_status else MAX_PULSES_OLD
    if settings.bursts > most:
        reasons.append(f"{settings.bursts} pulses in one train: the unit takes {most}")
    rate = rate_tenth_hz(settings.burst_hz)
    if rate is None:
        return [*reasons, f"a rate of {settings.burst_hz} Hz is not one of the unit's steps of 0.1 Hz"]
    if rate > 10 * unit.max_hz(power):
        reasons.append(f"a rate of {settings.burst_hz} Hz is above the {unit.max_hz(power)} Hz that the unit reaches at {power} %")
    duration = duration_tenth_s(settings)
    if duration is None or duration >= 10**dialect.duration_digits:
        reasons.append(f"{settings.bursts} pulses at {settings.burst_hz} Hz are no length that the unit can be set to (tenths of a second)")
    return reasons + _energy_reasons(settings, rate, unit.joules(power))


def _energy_reasons(settings: TrainSettings, rate_tenth_hz: int, joules: float) -> list[str]:
    pulses_in_a_minute = min(settings.bursts, rate_tenth_hz * MINUTE_S / 10)
    if pulses_in_a_minute * joules <= DAMAGE_J_PER_MINUTE:
        return []
    return [f"{max_on_time_s(joules, rate_tenth_hz / 10):.1f} s of this in any minute are all that the hardware bears"]


def writing(settings: TrainSettings, unit: Unit, *, ignore_coil_switch: bool) -> tuple[Command, ...]:
    """The settings of one train, in the order in which they must be sent. For settings without `reasons_against`.

    A Rapid² enters its mode first, then takes the power before the rate: the highest rate depends on it.
    """
    switch: tuple[Command, ...] = (IgnoreCoilSwitch(),) if ignore_coil_switch else ()
    power = SetPower(pct=settings.amplitude_pct_mso)
    if unit.model.family is Family.MAGSTIM_200:
        return (power,)
    if unit.model.family is Family.BISTIM:
        return (*_pair_timing(settings), power, SetPowerB(pct=power_b_pct(settings)))
    duration = duration_tenth_s(settings)
    rate = rate_tenth_hz(settings.burst_hz)
    if settings.bursts == 1 or duration is None or rate is None:
        return (*switch, SetDuration(tenth_s=0), power)
    length = SetDuration(tenth_s=duration)
    return (*switch, length, power, SetFrequency(tenth_hz=rate), SetPulses(pulses=settings.bursts), length)


def power_b_pct(settings: TrainSettings) -> int:
    """A single pulse of a BiStim² is a pair whose second one has no power."""
    return settings.amplitude_pct_mso if settings.pulses_per_burst == 2 else 0


def pair_steps(settings: TrainSettings) -> tuple[int, bool]:
    """What the interval is set to: steps, and whether they are the fine ones."""
    steps = interval_steps(settings) if settings.pulses_per_burst == 2 else None
    return (INTERVAL_OF_SINGLES_MS, False) if steps is None else steps


def _pair_timing(settings: TrainSettings) -> tuple[Command, ...]:
    steps, is_fine = pair_steps(settings)
    return SetHighResolution(on=is_fine), SetInterval(steps=steps)
