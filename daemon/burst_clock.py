"""When the host asks for each burst of a train that it paces itself. Pure; nanoseconds on the monotonic clock.

Two bursts are never asked closer than planned: what is late moves everything after it, and what is too late is left out, not made up.
"""

from daemon.pacing import burst_period_ns
from drivers.values import TrainSettings

LATE_SHARE = 10  # a burst later than a tenth of its period is left out: the brain's rhythm is the treatment


class BurstClock:
    """One train's bursts, the first of which is asked for with the train's start."""

    def __init__(self, settings: TrainSettings, started_ns: int) -> None:
        self._bursts = settings.bursts
        self._period_ns = burst_period_ns(settings.burst_hz)
        self.asked, self.left_out = 1, 0
        self.next_ns = started_ns + self._period_ns

    def is_over(self, now_ns: int) -> bool:
        """Every burst was asked for or left out, and the last one has had its time."""
        return not self._is_wanted and now_ns >= self.next_ns

    def is_due(self, now_ns: int) -> bool:
        """Whether a burst may be asked for now; those whose time is over are left out."""
        while self._is_wanted and now_ns > self.next_ns + self._period_ns // LATE_SHARE:
            self.left_out += 1
            self.next_ns += self._period_ns
        return self._is_wanted and now_ns >= self.next_ns

    def ask(self, now_ns: int) -> None:
        """One burst is asked for at this moment."""
        self.asked += 1
        self.next_ns = now_ns + self._period_ns

    def left(self, at_ns: int) -> None:
        """The command of the newest burst has left: the next one is counted from here, not from when it was decided."""
        self.next_ns = max(self.next_ns, at_ns + self._period_ns)

    @property
    def latest_end_ns(self) -> int:
        """When the train ends if nothing else is late."""
        return self.next_ns + max(0, self._bursts - self.asked - self.left_out) * self._period_ns

    @property
    def _is_wanted(self) -> bool:
        return self.asked + self.left_out < self._bursts
