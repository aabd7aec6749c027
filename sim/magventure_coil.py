"""How warm a simulated coil is: heated by each pulse, cooling exponentially to the room. Pure but for its own temperature."""

import math

ROOM_C = 22.0
CUT_OUT_C = 43  # commonly quoted; the figure stands in no document read
COOLING_NS = 300e9  # a cooled coil loses most of its warmth in some minutes
HEAT_PER_PULSE_C = 0.01  # at full output: 600 pulses at 60 % warm it by about two degrees
STEP_C = 0.75  # a shown degree changes only when left by this much, so that it does not flicker


class CoilHeat:
    """Temperature of one coil; times are monotonic nanoseconds and must not go back."""

    def __init__(self, now_ns: int) -> None:
        self._temperature_c = ROOM_C
        self._at_ns = now_ns
        self._shown_c = round(ROOM_C)

    def pulse(self, amplitude_pct: int) -> None:
        """The energy of a pulse goes with the square of its amplitude."""
        self._temperature_c += HEAT_PER_PULSE_C * (amplitude_pct / 100) ** 2

    def pass_time(self, now_ns: int, heating_c_per_s: float) -> None:
        passed_ns = max(0, now_ns - self._at_ns)
        self._at_ns = max(now_ns, self._at_ns)
        self._temperature_c = ROOM_C + (self._temperature_c - ROOM_C) * math.exp(-passed_ns / COOLING_NS)
        self._temperature_c += heating_c_per_s * passed_ns / 1e9

    @property
    def shown_c(self) -> int:
        """Whole degrees, as the device reports them."""
        if abs(self._temperature_c - self._shown_c) >= STEP_C:
            self._shown_c = round(self._temperature_c)
        return min(self._shown_c, 199)
