"""How warm the two windings of a simulated coil are: heated by each pulse's energy, cooling exponentially to the room."""

import math

ROOM_C = 22.0
CUT_OUT_C = 40.0  # the unit disarms and cannot be armed from here on (user reports)
COOLING_NS = 300e9  # an uncooled coil loses most of its warmth in some minutes
C_PER_JOULE = 0.0002  # 600 pulses at half the output warm it by about eight degrees
SECOND_SHARE = 0.97  # of the first winding's heat: two windings never read alike
FULL_JOULES = 252.0  # of one pulse at full output; energy goes with the square of the amplitude


class Windings:
    """Two temperatures; times are monotonic nanoseconds and must not go back."""

    def __init__(self, now_ns: int) -> None:
        self._rise_c = 0.0
        self._at_ns = now_ns

    def pulse(self, amplitude_pct: float) -> None:
        self._rise_c += C_PER_JOULE * FULL_JOULES * (amplitude_pct / 100) ** 2

    def warm_to(self, hotter_c: float) -> None:
        """As after much use."""
        self._rise_c = hotter_c - ROOM_C

    def pass_time(self, now_ns: int, heating_c_per_s: float) -> None:
        passed_ns = max(0, now_ns - self._at_ns)
        self._at_ns = max(now_ns, self._at_ns)
        self._rise_c = self._rise_c * math.exp(-passed_ns / COOLING_NS) + heating_c_per_s * passed_ns / 1e9

    @property
    def is_too_hot(self) -> bool:
        return ROOM_C + self._rise_c >= CUT_OUT_C

    @property
    def tenths_c(self) -> tuple[int, int]:
        """As the unit reports them."""
        both = (self._rise_c, SECOND_SHARE * self._rise_c)
        first, second = (min(999, round(10 * (ROOM_C + rise))) for rise in both)
        return first, second
