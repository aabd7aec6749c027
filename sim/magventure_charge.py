"""The capacitor of a simulated MagPro: charged when the unit is enabled, spent by each pulse, topped up as fast as the supply can.

The maker publishes no figures: these are chosen so that usual protocols lose nothing and the highest rates sag, as real units do.
"""

from drivers.magventure_wire import Waveform

CHARGE_NS_PER_PCT = 1_000_000  # up to a tenth of a second; users of the real unit wait a whole one, but some clients do not
RECHARGE_PCT_PER_S = 600.0
SPENT = {  # share of the voltage that a pulse does not give back
    Waveform.MONOPHASIC: 1.0,
    Waveform.BIPHASIC: 0.08,
    Waveform.HALF_SINE: 0.5,
    Waveform.BURST: 0.08,
}


class Charge:
    """In % of the maximum output; empty at first. Times are monotonic nanoseconds."""

    def __init__(self, now_ns: int) -> None:
        self.pct = 0.0
        self._at_ns = now_ns

    def pass_time(self, now_ns: int, wanted_pct: int, recharge_pct_per_s: float) -> None:
        """Up as fast as the supply allows, down at once: what is too much is drained."""
        gained_pct = max(0, now_ns - self._at_ns) / 1e9 * recharge_pct_per_s
        self.pct = min(wanted_pct, self.pct + gained_pct)
        self._at_ns = now_ns

    def fill(self, now_ns: int, wanted_pct: int) -> None:
        self.pct, self._at_ns = float(wanted_pct), now_ns

    def drain(self) -> None:
        self.pct = 0.0

    def pulse(self, waveform: Waveform) -> None:
        self.pct *= 1 - SPENT[waveform]
