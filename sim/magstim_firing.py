"""When a simulated Magstim fires: the exact moments and powers of every pulse of one trigger. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from drivers.magstim_frame_wire import Family
from sim.magstim_settings import Settings

TRIGGER_NS = 2_000_000  # from the end of the fire command to the pulse: 5.1 ms in all, as users measured


@dataclass(frozen=True, slots=True)
class Pulse:
    """One pulse to come. `power` tells which of the two powers it takes."""

    at_ns: int
    power: str
    is_last: bool


def shots(settings: Settings, now_ns: int, extra_pulses: int, rate_factor: float) -> Iterator[Pulse]:
    """The pulses of one trigger given at `now_ns`; a train has as many as its count says."""
    start_ns = now_ns + TRIGGER_NS
    if settings.dialect.family is Family.BISTIM:
        yield Pulse(at_ns=start_ns, power="a", is_last=settings.b_pct == 0)
        if settings.b_pct:
            yield Pulse(at_ns=start_ns + settings.interval_ns, power="b", is_last=True)
        return
    if settings.dialect.family is not Family.RAPID or settings.is_single:
        yield Pulse(at_ns=start_ns, power="a", is_last=True)
        return
    interval_ns = round(10_000_000_000 / (settings.tenth_hz * rate_factor))
    count = settings.pulses + extra_pulses
    for index in range(count):
        yield Pulse(at_ns=start_ns + index * interval_ns, power="a", is_last=index == count - 1)
