"""The simulated patient's thumb: whether it twitches at a pulse, and how much. Its threshold is its secret.

Pure: each pulse is decided by seed and moment alone, so that eye and EMG see the same twitch. Where the coil lies plays no part.
"""

import math
import random
from dataclasses import dataclass

LATENCY_S, DURATION_S = 0.021, 0.012
SMALLEST_UV, TYPICAL_UV, UNLIKE = 80.0, 300.0, 0.5  # peak to peak, lognormal
ARTEFACT_UV, ARTEFACT_S = 5000.0, 0.002  # the pulse itself, as an amplifier without blanking shows it


@dataclass(frozen=True, slots=True)
class Twitch:
    """What one pulse did; `size_uv` peak to peak, 0 for nothing."""

    pulse_ns: int
    size_uv: float


class Thumb:
    """Twitches with a probability that rises around its threshold, %MSO; `spread` is relative to the threshold."""

    def __init__(self, threshold_mso: float, spread: float, seed: int) -> None:
        self.threshold_mso, self._spread, self._seed = threshold_mso, spread, seed

    def feel(self, pulse_ns: int, amplitude_mso: int) -> Twitch:
        rng = random.Random(f"{self._seed} {pulse_ns}")
        z = (amplitude_mso - self.threshold_mso) / (self._spread * self.threshold_mso)
        if rng.random() >= 0.5 * math.erfc(-z / math.sqrt(2)):
            return Twitch(pulse_ns, 0.0)
        return Twitch(pulse_ns, max(SMALLEST_UV, rng.lognormvariate(math.log(TYPICAL_UV), UNLIKE)))


def wave_uv(twitch: Twitch, at_ns: float) -> float:
    """The pulse's artefact, then one period of a sine in the twitch's time."""
    since_s = (at_ns - twitch.pulse_ns) / 1e9
    if 0.0 <= since_s < ARTEFACT_S:
        return ARTEFACT_UV
    if not 0.0 <= since_s - LATENCY_S <= DURATION_S:
        return 0.0
    return twitch.size_uv / 2 * math.sin(2 * math.pi * (since_s - LATENCY_S) / DURATION_S)
