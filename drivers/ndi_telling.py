"""What a camera's driver tells: its state, each change once; alerts; counts of lost and damaged frames, at most once a second."""

from drivers.values import TrackerAlert, TrackerChanged, TrackerEvent, TrackerState

TELL_EVERY_NS = 1_000_000_000  # counts are told at most so often


class Telling:
    """Events since the last `take`. `where` names the camera to people."""

    def __init__(self, where: str) -> None:
        self.events: list[TrackerEvent] = []
        self.state: TrackerState | None = None
        self.damaged = self.dropped = 0  # not yet told
        self._where = where
        self._tell_ns = 0

    def change(self, state: TrackerState, why: str = "", remedy: str = "") -> None:
        if state is not self.state or why:
            self.state = state
            self.events.append(TrackerChanged(state=state, why=f"{self._where}: {why}" if why else "", remedy=remedy))

    def alert(self, what: str, remedy: str) -> None:
        self.events.append(TrackerAlert(what=f"{self._where}: {what}", remedy=remedy))

    def take(self, now_ns: int) -> tuple[TrackerEvent, ...]:
        """All events, in order; they are told by that."""
        if (self.dropped or self.damaged) and now_ns >= self._tell_ns:
            self._tell_counts(now_ns)
        events = tuple(self.events)
        self.events.clear()
        return events

    def _tell_counts(self, now_ns: int) -> None:
        self._tell_ns = now_ns + TELL_EVERY_NS
        if self.dropped:
            self.alert(f"{self.dropped} frames were dropped", "If it goes on, free the computer or lower the frame rate.")
        if self.damaged:
            self.alert(f"{self.damaged} answers arrived damaged", "If it goes on, check the cable.")
        self.dropped = self.damaged = 0
