"""Bursts of one train that the host asks for one by one, each held against its receipts. Pure but for its counts.

Not when the host asks (it has a clock of its own), and not what follows from a deviation (the driver stops).
"""

from drivers.magventure_models import BURST_REST_NS, burst_length_ns
from drivers.magventure_output import OutputWatch
from drivers.magventure_train import LATE_EVENTS_NS
from drivers.values import TrainSettings

ANSWER_LIMIT_NS = 300_000_000  # from a trigger to its receipt: answers take 20 to 80 ms (public clients), times four


class BurstWatch:
    """From the first trigger until late receipts can no longer come. At most one burst is under way."""

    def __init__(self, settings: TrainSettings, events_per_burst: int) -> None:
        self._bursts = settings.bursts
        self._events_per_burst = events_per_burst
        self._burst_ns = burst_length_ns(settings)
        self._output = OutputWatch()
        self._asked = self._events = 0
        self._asked_ns = self._received_ns = 0  # of the last burst, and of its first receipt
        self.is_ending = False
        self.began_ns: int | None = None
        self.ended_ns: int | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether receipts of the last burst are still to come."""
        return self._events < self._asked * self._events_per_burst

    @property
    def over_ns(self) -> int:
        """When the last burst has surely ended, once its receipts are in: the first one comes at its first pulse at the earliest."""
        return self._received_ns + self._burst_ns

    def reasons_against(self, now_ns: int) -> list[str]:
        """Why no further burst may be asked for now."""
        reasons = []
        if self.is_ending:
            reasons.append("the train is being ended")
        if self._asked >= self._bursts:
            reasons.append(f"all {self._bursts} bursts of the train were asked for")
        if self.is_waiting:
            reasons.append("the burst before it is not confirmed")
        elif self._asked and now_ns < max(self._asked_ns + self._burst_ns + BURST_REST_NS, self.over_ns):
            reasons.append(f"the burst before it was asked for only {(now_ns - self._asked_ns) / 1e6:.0f} ms ago")
        return reasons

    def ask(self, now_ns: int) -> None:
        """One trigger goes out."""
        self._asked += 1
        self._asked_ns = now_ns

    def owns_pulse(self, now_ns: int) -> bool:
        """Whether a receipt that arrives now belongs to a burst that was asked for."""
        return self.is_waiting and (self.ended_ns is None or now_ns - self.ended_ns <= LATE_EVENTS_NS)

    def end(self, now_ns: int) -> None:
        self.ended_ns = now_ns

    def count(self, now_ns: int) -> bool:
        """Count one receipt; True when it is the first of its burst."""
        self._events += 1
        is_first = (self._events - 1) % self._events_per_burst == 0
        if is_first:
            self._received_ns = now_ns
        if self.began_ns is None:
            self.began_ns = now_ns
        return is_first

    def receipt_fault(self, didt_a_per_us: int, didt_b_per_us: int | None = None) -> str | None:
        """What is wrong with the receipt just counted, if anything."""
        return self._output.fault(didt_a_per_us, didt_b_per_us)

    def deadline_ns(self) -> int | None:
        """When a receipt is overdue, or the train that is being ended is over; None when nothing is waited for."""
        if self.ended_ns is not None:
            return None
        if not self.is_waiting:
            return self.over_ns if self.is_ending else None
        opens_burst = self._events % self._events_per_burst == 0
        return self._asked_ns + ANSWER_LIMIT_NS + (0 if opens_burst else self._burst_ns)

    def overdue_fault(self, now_ns: int) -> str | None:
        """The receipt that has not come though its time is over."""
        deadline_ns = self.deadline_ns()
        if not self.is_waiting or deadline_ns is None or now_ns < deadline_ns:
            return None
        missing = self._asked * self._events_per_burst - self._events
        return f"burst {self._asked} is not confirmed within 300 ms of its trigger: {missing} receipts are missing"
