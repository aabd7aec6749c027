"""What a trigger box's pulse receipts add up to: which are new, which are missing, and how a train of ours stands. Pure but for its counts.

Not what follows from a deviation (the driver stops) and not the dose.
"""

from drivers.lsl_trigger_wire import PulseGiven, period_ns
from drivers.values import TrainSettings

START_LIMIT_NS = 300_000_000  # marker to box and back takes a millisecond on one machine, a hundred on a bad network
LATE_RECEIPTS_NS = 200_000_000  # receipts of a train that has just ended still belong to it
MOMENT_NS = 10_000_000  # after its last pulse was told of, in which one too many would show
GRACE_NS = 100_000_000  # statuses and receipts may be two streams: the last receipts may come after the status that ends the train
DEVIATION_INTERVALS = 2
DEVIATION_FLOOR_NS = 100_000_000  # the network's own lateness must not look like the box's at high rates
UNCONFIRMED_LATE_NS = 500_000_000  # a train without receipts that runs longer than its plan by this is not the plan's


class ReceiptTally:
    """The box's receipts by their numbers, since it was first heard: doubled ones count once, missing ones are damage."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._missing: set[int] = set()
        self.damaged = 0

    def heard_of(self, given: int | None) -> None:
        """The first status tells where the numbers stand; what was given before is not ours to count."""
        if self._next is None and given is not None:
            self._next = given + 1

    def start_anew(self) -> None:
        """Another start of the box counts from one again; what of the earlier one has not come is missing."""
        self._next = None
        self._missing.clear()
        self.damaged += 1

    @property
    def newest(self) -> int | None:
        """The highest number received or told of."""
        return None if self._next is None else self._next - 1

    def is_new(self, number: int) -> bool:
        """Take one receipt down; False for one that was here before."""
        if self._next is None:
            self._next = number
        if number in self._missing:
            self._missing.remove(number)
            return True
        if number < self._next:
            return False
        self._miss(number)
        self._next = number + 1
        return True

    def is_complete(self, given: int | None) -> bool:
        """Whether everything that the box has given by its status was received."""
        return self._next is not None and given is not None and self._next > given

    def give_up(self, given: int | None) -> None:
        """What was given by then and has not come is missing."""
        if self._next is not None and given is not None and given >= self._next:
            self._miss(given + 1)
            self._next = given + 1

    def _miss(self, until: int) -> None:
        first = until if self._next is None else self._next
        self.damaged += until - first
        self._missing.update(range(max(first, until - 100), until))  # no train ends with more than that on the way


class TrainWatch:
    """One train of ours, from its first fire marker until late receipts can no longer come.

    `host_paced`: the host fires each burst. Without `has_receipts` only the box's statuses tell of it.
    """

    def __init__(self, settings: TrainSettings, run: str, asked_ns: int, *, host_paced: bool, has_receipts: bool) -> None:
        self.settings, self.host_paced = settings, host_paced
        self._has_receipts = has_receipts
        self._interval_ns = period_ns(settings)
        self._burst_ns = 1000 * settings.intra_burst_interval_us * (settings.pulses_per_burst - 1)
        self._tolerance_ns = max(DEVIATION_INTERVALS * self._interval_ns, DEVIATION_FLOOR_NS)
        self._asked_ns = self._fired_ns = asked_ns
        self._run = run
        self._fires: set[int] = set()
        self._seen: set[tuple[int, int]] = set()
        self._bursts: set[int] = set()
        self.fired = 0  # bursts asked for
        self.began_ns: int | None = None
        self.idle_ns: int | None = None  # when the box first said that it is through
        self.ended_ns: int | None = None

    def fire(self, command_id: int, bursts: int, now_ns: int) -> None:
        """One more marker has gone out."""
        self._fires.add(command_id)
        self.fired += bursts
        self._fired_ns = now_ns
        self.idle_ns = None

    def reasons_against_more(self, now_ns: int) -> list[str]:
        """Why no further burst of a train that the host paces may be asked for now."""
        reasons = ["every burst that was prepared has been asked for"] if self.fired >= self.settings.bursts else []
        return reasons + (["the last burst was asked for too lately"] if now_ns - self._fired_ns < self._interval_ns else [])

    @property
    def last_fire(self) -> int:
        return max(self._fires)

    @property
    def bursts_seen(self) -> int:
        return len(self._bursts)

    @property
    def is_whole(self) -> bool:
        return self.bursts_seen >= self.settings.bursts

    def owns(self, pulse: PulseGiven, now_ns: int) -> bool:
        """Whether a receipt that arrives now belongs to this train."""
        is_ours = pulse.run == self._run and pulse.id in self._fires
        return is_ours and (self.ended_ns is None or now_ns - self.ended_ns <= LATE_RECEIPTS_NS)

    def count(self, pulse: PulseGiven) -> bool:
        """Count one receipt; True where a burst is to be told of: its first pulse, or one that no burst of the plan has."""
        key = (pulse.burst, pulse.pulse)
        is_extra = key in self._seen or pulse.pulse > self.settings.pulses_per_burst
        is_first = pulse.burst not in self._bursts
        self._seen.add(key)
        self._bursts.add(pulse.burst)
        return is_first or is_extra

    def receipt_fault(self, pulse: PulseGiven, is_told: bool, now_ns: int) -> str | None:
        """What is wrong with the receipt just counted, if anything. `is_told`: as `count` said."""
        if pulse.burst > self.fired or (is_told and pulse.pulse > self.settings.pulses_per_burst):
            return f"more pulses than asked for: pulse {pulse.pulse} of burst {pulse.burst}"
        if not self.host_paced and now_ns < self._due_ns(pulse.burst - 1) - self._tolerance_ns:
            return f"burst {pulse.burst} came two intervals ahead of the plan"
        return None

    def deadline_ns(self) -> int | None:
        """When the next thing that must happen is overdue; None where nothing is awaited."""
        if self.ended_ns is not None:
            return None
        if self.idle_ns is not None and not self.host_paced:
            return self.idle_ns + (GRACE_NS if self._has_receipts and not self.is_whole else MOMENT_NS)
        if self.host_paced:
            return self._fired_ns + self._burst_ns + START_LIMIT_NS if self._lacks_receipts else None
        if self.began_ns is None:
            return self._asked_ns + START_LIMIT_NS
        if self._has_receipts and self.bursts_seen < self.settings.bursts:
            return self._due_ns(self.bursts_seen) + self._tolerance_ns
        return self._due_ns(self.settings.bursts - 1) + self._burst_ns + max(self._tolerance_ns, UNCONFIRMED_LATE_NS)

    @property
    def _lacks_receipts(self) -> bool:
        return self._has_receipts and self.bursts_seen < self.fired

    def overdue_fault(self, now_ns: int) -> str | None:
        """What has not happened by now though the plan says so."""
        deadline_ns = self.deadline_ns()
        if deadline_ns is None or now_ns < deadline_ns or (self.idle_ns is not None and not self.host_paced):
            return None
        if self.began_ns is None:
            return "the train did not start within 300 ms"
        if self._has_receipts and self.bursts_seen < self.fired:
            return f"no receipt of burst {self.bursts_seen + 1} in its time"
        return "the train does not end after its last burst"

    def short_fault(self) -> str | None:
        """Whether a train that ended by itself left out two bursts or more; one may be a receipt that was lost."""
        if self._has_receipts and self.settings.bursts - self.bursts_seen >= DEVIATION_INTERVALS:
            return f"the train ended by itself after {self.bursts_seen} of {self.settings.bursts} bursts"
        return None

    def may_be_over(self, now_ns: int) -> bool:
        """Whether a train without receipts that was never seen to run may have been given meanwhile: then it counts."""
        return not self._has_receipts and self.early_fault(now_ns) is None

    def early_fault(self, now_ns: int) -> str | None:
        """The same of a train without receipts, by its time."""
        if not self._has_receipts and now_ns < self._due_ns(self.settings.bursts - 1) - DEVIATION_FLOOR_NS:
            return "the train ended by itself before its last burst was due"
        return None

    def _due_ns(self, burst: int) -> int:
        return (self._asked_ns if self.began_ns is None else self.began_ns) + burst * self._interval_ns
