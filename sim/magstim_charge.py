"""The capacitors of a simulated Magstim: how they follow the power that is set, and when they can fire again. Pure but for their charge."""

UP_NS_PER_PCT, DOWN_NS_PER_PCT = 10_000_000, 100_000_000  # as users measured it
LEAST_ARMING_NS = 300_000_000
RECHARGE_RAPID_NS = 100_000_000


class Charge:
    """In percent of the full output; times are monotonic nanoseconds and must not go back."""

    def __init__(self, now_ns: int) -> None:
        self._pct = 0.0
        self._wanted_pct = 0
        self._at_ns = now_ns
        self._busy_until_ns = now_ns
        self._holds = False

    def begin(self, wanted_pct: int, now_ns: int) -> None:
        self._pct, self._at_ns, self._holds = 0.0, now_ns, True
        self._wanted_pct = wanted_pct
        self._busy_until_ns = now_ns + LEAST_ARMING_NS

    def follow(self, wanted_pct: int, now_ns: int) -> None:
        """The setting was changed."""
        self.pass_time(now_ns)
        self._wanted_pct = wanted_pct

    def discharge(self) -> None:
        self._pct, self._holds = 0.0, False

    def pause(self, until_ns: int) -> None:
        """Recharging after a pulse."""
        self._busy_until_ns = max(self._busy_until_ns, until_ns)

    def pass_time(self, now_ns: int) -> None:
        passed_ns = max(0, now_ns - self._at_ns)
        self._at_ns = max(now_ns, self._at_ns)
        if self._holds and self._pct < self._wanted_pct:
            self._pct = min(self._wanted_pct, self._pct + passed_ns / UP_NS_PER_PCT)
        elif self._holds:
            self._pct = max(self._wanted_pct, self._pct - passed_ns / DOWN_NS_PER_PCT)

    def is_full(self, now_ns: int) -> bool:
        self.pass_time(now_ns)
        return self._holds and self._pct == self._wanted_pct and now_ns >= self._busy_until_ns

    @property
    def pct(self) -> float:
        return self._pct
