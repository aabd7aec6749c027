"""The life of a source that sends by itself: open, waiting, tracking, silent, apart, and when to try again. No bytes, no poses."""

import enum

from drivers.protocols import Step
from drivers.values import ClockRestart, TrackerAlert, TrackerChanged, TrackerEvent, TrackerFrame, TrackerIdentity, TrackerState

SECOND_NS = 1_000_000_000
STALE_NS = SECOND_NS // 10  # no new frame for so long: every pose is old
HOPELESS_NS = SECOND_NS  # and for so long: begin anew
BACK_OFF_NS = (0, SECOND_NS // 2, SECOND_NS, 2 * SECOND_NS, 5 * SECOND_NS)  # before each new link; the last for all further ones
TELL_EVERY_NS = SECOND_NS  # counts are told at most so often


class Phase(enum.Enum):
    APART = enum.auto()  # no link, or one on which nothing counts any more
    WAITING = enum.auto()  # linked, no frame yet
    TRACKING = enum.auto()
    LEFT = enum.auto()  # said farewell


class StreamLife:
    """State and events of one source; `where` names it to people. The driver that owns it feeds it and asks it."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.phase = Phase.APART
        self._state: TrackerState | None = None
        self._why = ""
        self._events: list[TrackerEvent] = []
        self._why_apart = "it was never open"
        self._retry_ns: int | None = None  # when to ask for a new link; None: the shell is at it
        self._reopen: str | None = None
        self._failures = 0  # links lost since tracking last ran for a second
        self._since_ns = self._frame_ns = 0  # of this phase; of the newest frame
        self._counts: dict[str, int] = {}
        self._tell_ns = 0

    @property
    def is_linked(self) -> bool:
        return self.phase in (Phase.WAITING, Phase.TRACKING)

    def connected(self, now_ns: int) -> None:
        self.phase, self._since_ns = Phase.WAITING, now_ns
        self.change(TrackerState.SETUP)

    def wait_again(self, now_ns: int, why: str, remedy: str) -> None:
        """The link stands, the source is to be found anew."""
        self.phase, self._since_ns = Phase.WAITING, now_ns
        self.change(TrackerState.SETUP, why, remedy)

    def disconnected(self, now_ns: int) -> None:
        if self.phase is Phase.APART and self._retry_ns is None:
            self.fall_apart(now_ns, "it cannot be reached", "Check that the program runs, and its address; it is tried again by itself.")
        elif self.is_linked:
            self.fall_apart(now_ns, "it closed the connection", "Check that the program runs; it is connected again by itself.")

    def fall_apart(self, now_ns: int, why: str, remedy: str) -> None:
        """Nothing that still arrives on this link counts; a new one is asked for after the back-off."""
        self.phase, self._why_apart = Phase.APART, why
        self._retry_ns = now_ns + BACK_OFF_NS[min(self._failures, len(BACK_OFF_NS) - 1)]
        self._failures += 1
        self.change(TrackerState.LOST, why, remedy)

    def begin_tracking(self, identity: TrackerIdentity, now_ns: int) -> None:
        """The first frame follows."""
        self.phase, self._since_ns, self._frame_ns = Phase.TRACKING, now_ns, now_ns
        self._events += [identity, ClockRestart(frame_hz=identity.frame_hz)]

    def frame(self, frame: TrackerFrame, now_ns: int) -> None:
        self._frame_ns = now_ns
        if now_ns - self._since_ns >= SECOND_NS:
            self._failures = 0
        self.change(TrackerState.TRACKING)
        self._events.append(frame)

    def look(self, now_ns: int) -> None:
        """What time alone brings about while tracking: old frames are said to be old."""
        if self.phase is Phase.TRACKING and now_ns - self._frame_ns >= STALE_NS and self._state is TrackerState.TRACKING:
            self.change(TrackerState.LOST, "no new frame for 100 ms", "Wait; if it stays, check the tracker and the program that sends.")

    def tick(self, now_ns: int) -> None:
        """Time passed: a link that is apart is asked for anew when its back-off is over."""
        if self.phase is Phase.APART and self._retry_ns is not None and now_ns >= self._retry_ns:
            self._retry_ns, self._reopen = None, self._why_apart

    def is_hopeless(self, now_ns: int) -> bool:
        return self.phase is Phase.TRACKING and now_ns - self._frame_ns >= HOPELESS_NS

    def waited_ns(self, now_ns: int) -> int:
        """How long no first frame has come."""
        return now_ns - self._since_ns if self.phase is Phase.WAITING else 0

    def farewell(self) -> None:
        self.phase = Phase.LEFT

    def count(self, what: str) -> None:
        """Something that is told in sum, once a second."""
        self._counts[what] = self._counts.get(what, 0) + 1

    def change(self, state: TrackerState, why: str = "", remedy: str = "") -> None:
        """Told once: the same state for the same reason is no news."""
        if (state, why) != (self._state, self._why):
            self._state, self._why = state, why
            self._events.append(TrackerChanged(state=state, why=f"{self._where}: {why}" if why else "", remedy=remedy))

    def step(self, now_ns: int, wake_ns: int, send: bytes = b"") -> Step[TrackerEvent]:
        """Everything since the last step; `wake_ns` is the driver's own wish."""
        if self._counts and now_ns >= self._tell_ns:
            self._tell_ns = now_ns + TELL_EVERY_NS
            self._events += [TrackerAlert(what=f"{self._where}: {count} {what}", remedy=ALERTS) for what, count in self._counts.items()]
            self._counts.clear()
        events, self._events = tuple(self._events), []
        reopen, self._reopen = self._reopen, None
        return Step(wake_ns=min(wake_ns, self._due_ns(now_ns)), send=send, events=events, reopen=reopen)

    def _due_ns(self, now_ns: int) -> int:
        if self.phase is Phase.APART and self._retry_ns is not None:
            return self._retry_ns
        if self.phase is Phase.TRACKING:
            stale_ns = self._frame_ns + STALE_NS
            return stale_ns if stale_ns > now_ns else self._frame_ns + HOPELESS_NS
        return now_ns + SECOND_NS


ALERTS = "If it goes on, check the sender and the network between."
