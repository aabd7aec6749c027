"""What a train puts out and what it does to the coil: the current's slope against the first pulse's, the warmth of the last trains.

Pure but for its memory. What follows is the driver's.
"""

from collections import deque

from drivers.magventure_picture import is_plausible

SAG_LIMIT_PCT = 10  # units lower the output at high rates and no table is public; our default against the train's first receipt
TRAINS_REMEMBERED = 3
SOAK_NS = 10_000_000_000  # the windings' warmth reaches the sensor with a delay; what comes later is not the train's


class OutputWatch:
    """The measured di/dt of one train, in A/us: of its pulses, and where they are pairs of the second ones."""

    def __init__(self) -> None:
        self._first_a: int | None = None
        self._first_b: int | None = None

    def fault(self, didt_a: int, didt_b: int | None) -> str | None:
        """What is wrong with one receipt, if anything."""
        if self._first_a is None:
            self._first_a, self._first_b = didt_a, didt_b
        if 0 in (didt_a, didt_b):
            return "a pulse without current (di/dt 0): the coil may be unplugged"
        return _sag(self._first_a, didt_a) or _sag(self._first_b, didt_b)


def _sag(first: int | None, didt: int | None) -> str | None:
    if first is None or didt is None:
        return None
    if first - didt > 1 and 100 * (first - didt) > SAG_LIMIT_PCT * first:  # one unit is the receipt's own resolution
        return f"the output sags: di/dt {didt} after {first} A/us at the train's first pulse"
    return None


class CoilRise:
    """How much warmer the last whole trains made the coil, from each one's start to its hottest reading soon after."""

    def __init__(self) -> None:
        self._rises_c: deque[int] = deque(maxlen=TRAINS_REMEMBERED)
        self._before_c: int | None = None
        self._rise_c = 0
        self._ended_ns: int | None = None  # of a whole train

    def begin(self, temperature_c: int | None) -> None:
        if self._ended_ns is not None:
            self._rises_c.append(self._rise_c)
        self._before_c, self._rise_c, self._ended_ns = temperature_c, 0, None

    def end(self, now_ns: int) -> None:
        """The train ended as planned; one that was broken off tells nothing of a whole one."""
        self._ended_ns = now_ns

    def felt(self, temperature_c: int | None, now_ns: int) -> None:
        """A reading at any time; what a broken sensor says is left out."""
        is_of_train = self._ended_ns is None or now_ns - self._ended_ns <= SOAK_NS
        if temperature_c is not None and self._before_c is not None and is_of_train and is_plausible(temperature_c):
            self._rise_c = max(self._rise_c, temperature_c - self._before_c)

    def reason(self, temperature_c: int | None, limit_c: int) -> str | None:
        """Why one more train like the last ones would make the coil too warm; None when it would not, or none is known."""
        rise_c = max([*self._rises_c, 0 if self._ended_ns is None else self._rise_c])
        if rise_c and temperature_c is not None and temperature_c + rise_c >= limit_c:
            return f"one more train would warm the coil by {rise_c} to {temperature_c + rise_c} degrees C, the limit is {limit_c}"
        return None
