"""One train or pulse of a Magstim held against its plan, and how warm trains make the coil. Pure but for its memory.

The unit confirms no pulse: all that is seen is its train bit, and what was fired follows from the plan and the time.
"""

from collections import deque
from fractions import Fraction

from drivers.values import TrainSettings

FIRE_ANSWER_NS = 120_000_000  # the answer takes 6 ms
START_LIMIT_NS = 300_000_000  # from the fire command to the train bit
LATE_NS = 500_000_000  # polls are 0.1 s apart; a train longer than its plan by this much is not the plan's
EARLY_NS = 200_000_000
TRAINS_REMEMBERED = 3


class TrainWatch:
    """From the start until the unit is at rest again. `sent_ns` is when the fire command went out, None before."""

    def __init__(self, settings: TrainSettings, asked_ns: int) -> None:
        self.settings = settings
        self._bursts = settings.bursts
        self.is_single = settings.bursts == 1
        self._interval_ns = 0 if self.is_single else int(Fraction(1_000_000_000) / Fraction(settings.burst_hz))
        self.asked_ns = asked_ns
        self.sent_ns: int | None = None
        self.answered = False
        self.began_ns: int | None = None
        self.ended_ns: int | None = None

    def begun_by(self, now_ns: int) -> int:
        """Pulses (or pairs) that the plan had begun by then: none that may have been fired is left out."""
        if self.sent_ns is None:
            return 0
        if self.is_single:
            return 1
        return min(self._bursts, max(0, now_ns - self.sent_ns) // self._interval_ns + 1)

    @property
    def last_due_ns(self) -> int:
        """When the plan's last pulse is due."""
        return (self.asked_ns if self.sent_ns is None else self.sent_ns) + (self._bursts - 1) * self._interval_ns

    def deadline_ns(self) -> int | None:
        """When the next thing that must happen is overdue; None once the train has ended, or before it was sent."""
        if self.ended_ns is not None or self.sent_ns is None:
            return None
        if not self.answered:
            return self.sent_ns + FIRE_ANSWER_NS
        if self.began_ns is None:
            return self.sent_ns + START_LIMIT_NS
        return self.last_due_ns + self._interval_ns + LATE_NS

    def overdue_fault(self, now_ns: int) -> str | None:
        """What has not happened by now though the plan says so."""
        deadline_ns = self.deadline_ns()
        if deadline_ns is None or now_ns < deadline_ns:
            return None
        if not self.answered:
            return "the fire command was not answered"
        if self.began_ns is None:
            return "the train did not start within 300 ms"
        return "the train does not end after its last pulse"

    def short_fault(self, now_ns: int) -> str | None:
        """Whether a train that ended by itself did so before its plan."""
        if now_ns < self.last_due_ns - EARLY_NS:
            return f"the train ended by itself {(self.last_due_ns - now_ns) / 1e9:.1f} s before its last pulse"
        return None


class CoilRise:
    """How much warmer the last trains made the coil."""

    def __init__(self) -> None:
        self._before_tenth_c: int | None = None
        self._is_over = False
        self._rises_tenth_c: deque[int] = deque(maxlen=TRAINS_REMEMBERED)

    def begin(self, hottest_tenth_c: int | None) -> None:
        self._before_tenth_c, self._is_over = hottest_tenth_c, False

    def end(self) -> None:
        self._is_over = True

    def felt(self, hottest_tenth_c: int) -> None:
        """A reading; the first one after a train closes its account."""
        if self._is_over and self._before_tenth_c is not None:
            self._rises_tenth_c.append(max(0, hottest_tenth_c - self._before_tenth_c))
            self._before_tenth_c = None

    def reason(self, hottest_tenth_c: int | None, limit_c: int) -> str | None:
        """Why one more train like the last ones would make the coil too warm; None when it would not."""
        rise = max(self._rises_tenth_c, default=0)
        if rise and hottest_tenth_c is not None and hottest_tenth_c + rise >= 10 * limit_c:
            return f"one more train would warm the coil by {rise / 10:.1f} to {(hottest_tenth_c + rise) / 10:.1f} degrees C"
        return None
