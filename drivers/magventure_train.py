"""One device-paced train of ours, held against its plan: counts the device's receipts, names what deviates. Pure but for its counts.

Not what follows from a deviation (the driver stops) and not the dose (the ledger's).
"""

from fractions import Fraction

from drivers.magventure_models import burst_length_ns
from drivers.magventure_output import OutputWatch
from drivers.values import TrainSettings

START_LIMIT_NS = 300_000_000  # from the start command to "running", public clients' experience of 20 to 80 ms an answer, times four
LATE_EVENTS_NS = 200_000_000  # receipts of a train that has just ended still belong to it
DEVIATION_INTERVALS = 2
DEVIATION_FLOOR_NS = 100_000_000  # a host's own lateness must not look like the device's at high rates


class TrainWatch:
    """From the start command until late receipts can no longer come."""

    def __init__(self, settings: TrainSettings, events_per_burst: int, asked_ns: int) -> None:
        self._bursts = settings.bursts
        self._events_per_burst = events_per_burst
        self._interval_ns = int(Fraction(1_000_000_000) / Fraction(settings.burst_hz))
        self._burst_ns = burst_length_ns(settings)
        self._tolerance_ns = max(DEVIATION_INTERVALS * self._interval_ns, DEVIATION_FLOOR_NS)
        self._asked_ns = asked_ns
        self._output = OutputWatch()
        self._events = 0
        self._counted_ns = asked_ns
        self.began_ns: int | None = None
        self.ended_ns: int | None = None

    @property
    def bursts_seen(self) -> int:
        return -(-self._events // self._events_per_burst)

    def owns_pulse(self, now_ns: int) -> bool:
        """Whether a receipt that arrives now belongs to this train."""
        if self.ended_ns is None:
            return True
        return now_ns - self.ended_ns <= LATE_EVENTS_NS and self._events < self._bursts * self._events_per_burst

    def begin(self, now_ns: int) -> None:
        self.began_ns = now_ns

    def end(self, now_ns: int) -> None:
        self.ended_ns = now_ns

    def count(self, now_ns: int) -> bool:
        """Count one receipt; True when it is the first of its burst."""
        self._counted_ns = now_ns
        self._events += 1
        return (self._events - 1) % self._events_per_burst == 0

    def receipt_fault(self, didt_a_per_us: int, didt_b_per_us: int | None = None) -> str | None:
        """What is wrong with the receipt just counted, if anything. The second figure is for pairs."""
        if self._events > self._bursts * self._events_per_burst:
            return f"more pulses than planned: receipt {self._events} in a train of {self._bursts} bursts"
        fault = self._output.fault(didt_a_per_us, didt_b_per_us)
        if fault:
            return fault
        if self._counted_ns < self._due_ns(self.bursts_seen - 1) - self._tolerance_ns:
            return f"burst {self.bursts_seen} came two intervals ahead of the plan"
        return None

    def deadline_ns(self) -> int | None:
        """When the next thing that must happen is overdue; None once the train has ended."""
        if self.ended_ns is not None:
            return None
        if self.began_ns is None:
            return self._asked_ns + START_LIMIT_NS
        if self.bursts_seen < self._bursts:
            return self._due_ns(self.bursts_seen) + self._tolerance_ns
        return self._due_ns(self._bursts - 1) + self._burst_ns + self._tolerance_ns

    def overdue_fault(self, now_ns: int) -> str | None:
        """What has not happened by now though the plan says so."""
        deadline = self.deadline_ns()
        if deadline is None or now_ns < deadline:
            return None
        if self.began_ns is None:
            return "the train did not start within 300 ms"
        if self.bursts_seen < self._bursts:
            return f"no receipt of burst {self.bursts_seen + 1} two intervals after its time"
        return "the train does not end after its last burst"

    def short_fault(self) -> str | None:
        """Whether a train that ended by itself left out two bursts or more; one may be a receipt lost on the line."""
        if self._bursts - self.bursts_seen >= DEVIATION_INTERVALS:
            return f"the train ended by itself after {self.bursts_seen} of {self._bursts} bursts"
        return None

    def _due_ns(self, burst: int) -> int:
        return (self._asked_ns if self.began_ns is None else self.began_ns) + burst * self._interval_ns
