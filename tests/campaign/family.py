"""Which stimulator a chair under trial has, and how its trains are cut so short that hundreds of sessions fit in some minutes."""

from dataclasses import dataclass

from daemon.purpose import Pacing
from sim.magstim_settings import MODELS as MAGSTIM_MODELS
from sim.magventure_settings import DEFAULT_MODEL

MS = 1_000_000
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Family:
    """`after_death_ns`: how long a unit whose host has died may go on by itself; None: to the end of what it was started with."""

    name: str
    model: str
    protocol: str
    pacing: Pacing
    burst_hz: int
    bursts: int
    pulses_per_burst: int
    intra_burst_us: int
    trains: int
    train_gap_ns: int
    after_death_ns: int | None

    @property
    def is_magstim(self) -> bool:
        return self.model in MAGSTIM_MODELS

    @property
    def burst_period_ns(self) -> int:
        return NS // self.burst_hz

    @property
    def burst_length_ns(self) -> int:
        return (self.pulses_per_burst - 1) * self.intra_burst_us * 1000

    @property
    def train_length_ns(self) -> int:
        return (self.bursts - 1) * self.burst_period_ns + self.burst_length_ns

    @property
    def train_pulses(self) -> int:
        return self.bursts * self.pulses_per_burst

    @property
    def session_pulses(self) -> int:
        return self.trains * self.train_pulses

    @property
    def pulses_a_day(self) -> int:
        """A fourth session fits only where others were cut short."""
        return 3 * self.session_pulses + self.train_pulses

    @property
    def same_train_ns(self) -> int:
        """Pulses of one train lie closer than that."""
        return self.burst_period_ns + (self.train_gap_ns - self.burst_period_ns) // 2

    @property
    def left_to_give(self) -> int:
        """Pulses that may follow the host's death at the most."""
        return self.pulses_per_burst if self.pacing is Pacing.BURST else self.train_pulses


# The quick one of the crash campaign: trains of 170 ms.
MAGVENTURE = Family(
    name="magventure",
    model=DEFAULT_MODEL,
    protocol="demo_itbs90",
    pacing=Pacing.TRAIN,
    burst_hz=20,
    bursts=4,
    pulses_per_burst=3,
    intra_burst_us=20_000,
    trains=3,
    train_gap_ns=250 * MS,
    after_death_ns=None,
)
# With trains long enough to die in.
MAGVENTURE_TRAIN = Family(
    name="magventure-train",
    model=DEFAULT_MODEL,
    protocol="demo_itbs90",
    pacing=Pacing.TRAIN,
    burst_hz=10,
    bursts=10,
    pulses_per_burst=3,
    intra_burst_us=20_000,
    trains=3,
    train_gap_ns=400 * MS,
    after_death_ns=None,
)
MAGVENTURE_BURST = Family(
    name="magventure-burst",
    model=DEFAULT_MODEL,
    protocol="demo_itbs90",
    pacing=Pacing.BURST,
    burst_hz=5,
    bursts=6,
    pulses_per_burst=3,
    intra_burst_us=20_000,
    trains=3,
    train_gap_ns=600 * MS,
    after_death_ns=None,
)
# Between trains it recovers for half a second; that it is asked nothing for a second disarms it.
MAGSTIM = Family(
    name="magstim",
    model="plus1",
    protocol="demo_rtms10",
    pacing=Pacing.TRAIN,
    burst_hz=10,
    bursts=16,
    pulses_per_burst=1,
    intra_burst_us=0,
    trains=2,
    train_gap_ns=900 * MS,
    after_death_ns=NS,
)
FAMILIES = {family.name: family for family in (MAGVENTURE, MAGVENTURE_TRAIN, MAGVENTURE_BURST, MAGSTIM)}
