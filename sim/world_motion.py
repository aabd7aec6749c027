"""How bodies move by themselves: the minimum-jerk profile of a reach, and the slow and fast wobble of a living body.

All are pure functions of time and seed, so that a moment in the past can be asked for again and gives the same answer.
"""

import math
import random
from dataclasses import dataclass

from sim.world_geometry import Vector


def minimum_jerk(share: float) -> float:
    """Way done after that share of the time (Flash and Hogan 1985, J Neurosci 5:1688)."""
    s = min(1.0, max(0.0, share))
    return s * s * s * (10.0 + s * (6.0 * s - 15.0))


@dataclass(frozen=True, slots=True)
class Wave:
    amplitude: float
    hz: float
    phase: float

    def at(self, t_s: float) -> float:
        return self.amplitude * math.sin(2.0 * math.pi * self.hz * t_s + self.phase)


class Wobble:
    """Six channels (mm and degrees), each a sum of sines at seeded frequencies and phases.

    `rms` is that of one channel over a long time; the frequencies are spread evenly over `low_hz` to `high_hz`.
    """

    WAVES = 3

    def __init__(self, rng: random.Random, *, rms_mm: float, rms_deg: float, low_hz: float, high_hz: float) -> None:
        def channel(rms: float) -> tuple[Wave, ...]:
            amplitude = rms * math.sqrt(2.0 / self.WAVES)
            width = (high_hz - low_hz) / self.WAVES
            return tuple(Wave(amplitude, low_hz + width * (i + rng.random()), rng.uniform(0.0, 2.0 * math.pi)) for i in range(self.WAVES))

        self._mm = (channel(rms_mm), channel(rms_mm), channel(rms_mm))
        self._deg = (channel(rms_deg), channel(rms_deg), channel(rms_deg))

    def mm(self, t_s: float) -> Vector:
        return _sums(self._mm, t_s)

    def deg(self, t_s: float) -> Vector:
        return _sums(self._deg, t_s)


def _sums(channels: tuple[tuple[Wave, ...], tuple[Wave, ...], tuple[Wave, ...]], t_s: float) -> Vector:
    x, y, z = (sum(wave.at(t_s) for wave in channel) for channel in channels)
    return (x, y, z)
