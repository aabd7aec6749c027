"""When a simulated MagPro fires: the exact moments of every pulse of a train, or of one trigger. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

NS_PER_US = 1_000
NS_PER_TENTH_S = 100_000_000


@dataclass(frozen=True, slots=True)
class Pulse:
    """One pulse to come. `burst` counts from the beginning of the train."""

    at_ns: int
    burst: int
    opens_burst: bool
    closes_burst: bool
    closes_all: bool


@dataclass(frozen=True, slots=True)
class TrainShape:
    """Trains of bursts; a burst of one is a single pulse. The gap runs from a train's last burst to the next one's first."""

    pulses_per_burst: int
    ipi_us: int
    rate_tenth_hz: int
    bursts: int
    trains: int
    gap_tenth_s: int


def pulses(shape: TrainShape, start_ns: int, rate_factor: float = 1.0) -> Iterator[Pulse]:
    """Every pulse of `shape`, the first one at `start_ns`."""
    interval_ns = round(10_000_000_000 / (shape.rate_tenth_hz * rate_factor))
    train_ns = (shape.bursts - 1) * interval_ns + shape.gap_tenth_s * NS_PER_TENTH_S
    for train in range(shape.trains):
        for burst in range(shape.bursts):
            burst_ns = start_ns + train * train_ns + burst * interval_ns
            for index in range(shape.pulses_per_burst):
                closes_burst = index == shape.pulses_per_burst - 1
                yield Pulse(
                    at_ns=burst_ns + index * shape.ipi_us * NS_PER_US,
                    burst=train * shape.bursts + burst,
                    opens_burst=index == 0,
                    closes_burst=closes_burst,
                    closes_all=closes_burst and burst == shape.bursts - 1 and train == shape.trains - 1,
                )
