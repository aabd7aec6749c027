"""When a stream of poses has begun, is late, or never came. The stream's counterpart of `ndi_polling`. Knows times, no bytes."""

from drivers.ndi_polling import GIVE_UP_NS, MS_NS, STALE_NS

FIRST_WITHIN_FRAMES = 3  # a camera that took the order and pushes nothing in so many frames does not stream
FIRST_WITHIN_NS = 100 * MS_NS  # and in so long: at high rates a computer may be busy for three frames


class Streaming:
    """One stream, ordered at `now_ns`; frames come every `period_ns`."""

    def __init__(self, period_ns: int, now_ns: int) -> None:
        self._grace_ns = max(FIRST_WITHIN_FRAMES * period_ns, FIRST_WITHIN_NS)
        self._new_ns = now_ns
        self._is_ordered = False
        self._granted_ns: int | None = None
        self._has_come = False

    @property
    def is_idle(self) -> bool:
        """No answer to an order of ours is to come."""
        return self._granted_ns is not None

    def is_due(self, now_ns: int) -> bool:  # noqa: ARG002  # as Polling has it
        """Whether the order is to be sent now. True counts as sent."""
        was, self._is_ordered = self._is_ordered, True
        return not was

    def granted(self, now_ns: int) -> None:
        self._granted_ns = now_ns

    def answered_new(self, now_ns: int) -> None:
        self._new_ns, self._has_come = now_ns, True

    def answered_again(self, now_ns: int) -> None:
        """The frame of the one before, or damage: nothing follows."""

    def drained(self, now_ns: int) -> None:
        """A stream is never quiet: what cannot be told apart is mended by a new link."""

    def is_barren(self, now_ns: int) -> bool:
        """Ordered and granted, and nothing came."""
        return not self._has_come and self._granted_ns is not None and now_ns - self._granted_ns >= self._grace_ns

    def is_stale(self, now_ns: int) -> bool:
        return now_ns - self._new_ns >= STALE_NS

    def is_hopeless(self, now_ns: int) -> bool:
        return now_ns - self._new_ns >= GIVE_UP_NS

    def wake_ns(self, now_ns: int) -> int:
        """When `is_barren`, `is_stale` or `is_hopeless` may change."""
        marks = [self._new_ns + GIVE_UP_NS]
        if not self.is_stale(now_ns):
            marks.append(self._new_ns + STALE_NS)
        if not self._has_come and self._granted_ns is not None:
            marks.append(self._granted_ns + self._grace_ns)
        return min(marks)
