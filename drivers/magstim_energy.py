"""How much a Magstim may fire and how soon again: the maker's energy rules for the Rapid², the pause of each family.

Pure but for its memory. The unit does not keep these rules itself over the serial line: a host that breaks them damages the hardware.
"""

from collections import deque

import msgspec

from drivers.magstim_frame_wire import Family

NS_PER_S = 1_000_000_000
MINUTE_S = 60
MINUTE_NS = MINUTE_S * NS_PER_S
# The maker's rules for the Rapid², as MAGIC and magpy carry them: 63 kJ in any minute, 1050 W for ever, 0.5 s after each train.
DAMAGE_J_PER_MINUTE = 63_000.0
CONTINUOUS_W = 1050.0
LEAST_WAIT_S = 0.5
RAPID_SINGLE_S = 1.0  # single pulses over the serial line; sooner ones are swallowed (magpy, MAGIC)
BISTIM_S = 4.0  # pairs; nothing shorter is documented for a second pulse of no power
STEPS_200_S = ((50, 2.0), (80, 3.0), (101, 4.0))  # a 200² below 50 %, below 80 %, above (MAGIC)


def max_on_time_s(joules: float, rate_hz: float) -> float:
    """Seconds of such pulses in any minute; above 60 they may run on. Infinite without energy."""
    return DAMAGE_J_PER_MINUTE / (joules * rate_hz) if joules * rate_hz else float("inf")


def wait_s(joules: float, rate_hz: float, pulses: int) -> float:
    """The least pause after a train of a Rapid²."""
    return max(LEAST_WAIT_S, pulses * (joules * rate_hz - CONTINUOUS_W) / (CONTINUOUS_W * rate_hz))


def single_pause_s(family: Family, power_pct: int) -> float:
    """From one single pulse (or pair) to the next."""
    if family is Family.RAPID:
        return RAPID_SINGLE_S
    if family is Family.BISTIM:
        return BISTIM_S
    return next(pause_s for below_pct, pause_s in STEPS_200_S if power_pct < below_pct)


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Energy given until `end_ns`."""

    end_ns: int
    joules: float


class EnergyBook:
    """What was fired in the last minute. Outlives the line: the hardware stays warm when a cable is pulled.

    What went before is not known to a host that has just started: until it has watched for a minute, that minute was full.
    """

    def __init__(self, spent_before_joules: float) -> None:
        self._spent: deque[Spent] = deque()
        self._before_joules = spent_before_joules
        self._knows_from_ns: int | None = None
        self.rests_until_ns = 0

    def open(self, now_ns: int) -> None:
        """The unit is under this host's eyes from now on."""
        if self._knows_from_ns is None:
            self._knows_from_ns = now_ns
            if self._before_joules:
                self.fired(now_ns, self._before_joules, BISTIM_S)  # the longest pause between single pulses of any family

    def fired(self, end_ns: int, joules: float, pause_s: float) -> None:
        """Pulses of `joules` in all ended; nothing may start before the pause is over."""
        self._spent.append(Spent(end_ns=end_ns, joules=joules))
        self.rests_until_ns = max(self.rests_until_ns, end_ns + round(pause_s * NS_PER_S))

    def may_start_ns(self, joules: float, now_ns: int) -> int:
        """The earliest moment for `joules` more within one minute; 0 when it is past."""
        while self._spent and self._spent[0].end_ns <= now_ns - MINUTE_NS:
            self._spent.popleft()
        total = joules + sum(spent.joules for spent in self._spent)
        earliest_ns = self.rests_until_ns
        for spent in self._spent:
            if total <= DAMAGE_J_PER_MINUTE:
                break
            total -= spent.joules
            earliest_ns = max(earliest_ns, spent.end_ns + MINUTE_NS)
        return earliest_ns
