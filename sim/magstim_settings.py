"""What can be set on a simulated Magstim, within the limits of its model. No time, no traffic."""

from dataclasses import dataclass

from drivers.magstim_frame_wire import Dialect, Family
from drivers.magstim_table_wire import PowerLimits

MODELS = ("200", "bistim", "plus1", "rapid", "superrapid")
DEFAULT_MODEL, DEFAULT_SOFTWARE = "rapid", "9.0"
MADE_UP_UNLOCK = "aaaa-bbbbbbbb-00"  # nobody's; the bytes in the public descriptions
_RATES = {"rapid": "rapid_240V", "superrapid": "super_240V", "plus1": "superplus1_240V"}
FIRST_STEPS = 10  # after the resolution was switched: 1 ms in tenths of one, or 10 ms
FRESH_WAIT_TENTH_S, TRAIN_WAIT_TENTH_S = 1, 5


def dialect_of(model: str, software: str) -> Dialect:
    """Raises ValueError for software that is no version."""
    if model in ("200", "bistim"):
        return Dialect(family=Family(model))
    major = software.partition(".")[0]
    if not major.isdigit():
        raise ValueError(f"{software!r} is no software version: 9 or 9.0 is one")
    return Dialect(family=Family.RAPID, software=int(major))


@dataclass(slots=True)
class Settings:
    """As at power-on. A setter answers False where the unit would answer `?`, and changes nothing then."""

    model: str
    dialect: Dialect
    table: tuple[PowerLimits, ...]
    a_pct: int = 30
    b_pct: int = 0
    interval_steps: int = 10
    high_resolution: bool = False
    tenth_hz: int = 0
    pulses: int = 0
    duration_tenth_s: int = 0
    enhanced: bool = False
    charge_delay_ms: int = 0
    ignores_coil_switch: bool = False

    @property
    def is_single(self) -> bool:
        """Single-pulse mode, of a Rapid²."""
        return self.duration_tenth_s == 0

    @property
    def wait_tenth_s(self) -> int:
        return FRESH_WAIT_TENTH_S if self.is_single else TRAIN_WAIT_TENTH_S

    def set_power(self, pct: int) -> bool:
        if pct > (110 if self.enhanced else 100):
            return False
        self.a_pct = pct
        if not self.is_single:
            self.tenth_hz = min(self.tenth_hz, self._most_tenth_hz)
        return True

    def set_power_b(self, pct: int) -> bool:
        if pct > 100:
            return False
        self.b_pct = pct
        return True

    def set_resolution(self, fine: bool) -> bool:
        self.high_resolution = fine
        self.interval_steps = FIRST_STEPS
        return True

    def set_interval(self, steps: int) -> bool:
        self.interval_steps = steps
        return True

    def set_frequency(self, tenth_hz: int) -> bool:
        if tenth_hz > self._most_tenth_hz:
            return False
        self.tenth_hz = tenth_hz
        return True

    def set_pulses(self, pulses: int) -> bool:
        if pulses > (6000 if self.dialect.has_system_status else 1000):
            return False
        self.pulses = pulses
        return True

    def set_duration(self, tenth_s: int) -> bool:
        self.duration_tenth_s = tenth_s
        return True

    def set_enhanced(self, on: bool) -> bool:
        self.enhanced = on
        if not on:
            self.a_pct = min(self.a_pct, 100)
        return True

    def set_charge_delay(self, ms: int) -> bool:
        if ms > (10_000 if self.dialect.has_long_delay else 2_000):
            return False
        self.charge_delay_ms = ms
        return True

    @property
    def _most_tenth_hz(self) -> int:
        return 10 * self.table[min(self.a_pct, 100)].max_hz[_RATES[self.model]]

    @property
    def interval_ns(self) -> int:
        """Of a pair."""
        return self.interval_steps * (100_000 if self.high_resolution else 1_000_000)

    @property
    def system_mode(self) -> str:
        if self.interval_steps == 0:
            return "1"
        return "4" if self.high_resolution else "2"

    @property
    def pause_ns(self) -> int:
        """Before the next pulse of a 200² or pair of a BiStim², whose two fired at once count as one."""
        if self.dialect.family is Family.BISTIM and self.interval_steps:
            return 4_000_000_000
        seconds = 2 if self.a_pct < 50 else 3 if self.a_pct < 80 else 4
        return seconds * 1_000_000_000
