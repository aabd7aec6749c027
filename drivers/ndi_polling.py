"""When to ask the camera for poses: phase-locked to its frames, resent once after a silence, else never two at a time.

Knows times and counts, no bytes.
"""

MS_NS = 1_000_000
EARLY_NS = 500_000  # polling begins so long before the next frame is due
OVERDUE_SPACING_NS = 500_000  # between polls once a frame is missing, so that nobody spins
STALE_NS = 100 * MS_NS  # no new frame for so long: every tool's pose is old
RESEND_NS = 500 * MS_NS
GIVE_UP_NS = 1000 * MS_NS
SECOND_ANSWER_NS = 100 * MS_NS  # after a resend both polls may be answered: the second is awaited so long


class Polling:
    """One run of tracking, begun at `now_ns`; poses come every `period_ns`.

    After a new frame: wait until the next is nearly due, then ask, and ask again at each repeated frame until the number changes.
    A new frame at the first asking has been there for some unknown time: the next asking is earlier by twice as much, until a
    repeated frame shows that it came in time.
    """

    def __init__(self, period_ns: int, now_ns: int) -> None:
        self._period_ns = period_ns
        self._new_ns = now_ns
        self._due_ns = now_ns
        self._sent_ns = now_ns
        self._write_off_ns: int | None = None  # when an answer still missing behind a resend counts as never coming
        self._unanswered = 0
        self._early_ns = EARLY_NS
        self._saw_repeated = False

    @property
    def is_idle(self) -> bool:
        """No poll is under way."""
        return self._unanswered == 0

    def is_stale(self, now_ns: int) -> bool:
        return now_ns - self._new_ns >= STALE_NS

    def is_hopeless(self, now_ns: int) -> bool:
        return now_ns - self._new_ns >= GIVE_UP_NS

    def is_due(self, now_ns: int) -> bool:
        """Whether a poll is to be sent now. True counts as sent."""
        if self._write_off_ns is not None and now_ns >= self._write_off_ns:
            self._unanswered, self._write_off_ns = 0, None
        if self._unanswered == 0:
            return now_ns >= self._due_ns and self._count_sent(now_ns)
        return self._unanswered == 1 and self._write_off_ns is None and now_ns - self._sent_ns >= RESEND_NS and self._count_sent(now_ns)

    def _count_sent(self, now_ns: int) -> bool:
        if self._unanswered == 0:
            self._sent_ns = now_ns
        self._unanswered += 1
        return True

    def answered_new(self, now_ns: int) -> None:
        """A poll was answered with a new frame."""
        self._new_ns = now_ns
        self._early_ns = EARLY_NS if self._saw_repeated else min(2 * self._early_ns, self._period_ns)
        self._saw_repeated = False
        # Counted from the asking: on a serial line the answer itself takes more than half of a period.
        self._answered(now_ns, self._sent_ns + self._period_ns - self._early_ns)

    def answered_again(self, now_ns: int) -> None:
        """A poll was answered with the frame of the one before, or with damage."""
        self._saw_repeated = True
        overdue = now_ns - self._new_ns > 2 * self._period_ns
        self._answered(now_ns, now_ns + OVERDUE_SPACING_NS if overdue else now_ns)

    def _answered(self, now_ns: int, due_ns: int) -> None:
        self._unanswered -= 1
        self._due_ns = due_ns
        self._write_off_ns = now_ns + SECOND_ANSWER_NS if self._unanswered else None

    def drained(self, now_ns: int) -> None:
        """The line is quiet after garbage: no answer is to come any more."""
        self._unanswered, self._write_off_ns, self._due_ns = 0, None, now_ns

    def wake_ns(self, now_ns: int) -> int:
        """When `is_due`, `is_stale` or `is_hopeless` may change."""
        marks = [self._new_ns + GIVE_UP_NS]
        if not self.is_stale(now_ns):
            marks.append(self._new_ns + STALE_NS)
        if self._unanswered == 0:
            marks.append(self._due_ns)
        elif self._write_off_ns is not None:
            marks.append(self._write_off_ns)
        elif self._unanswered == 1:
            marks.append(self._sent_ns + RESEND_NS)
        return min(marks)
