"""The MagPro's byte stream as events, with an account of what could not be read. No meaning, no answers."""

from drivers.magventure_frame_wire import FrameReader
from drivers.magventure_wire import Event, decode_event
from drivers.values import WireError

NOISE_LIMIT = 3  # broken frames in a row: more than a hit bit


class EventReader:
    """Whole events out of any split of the stream; what is broken is dropped and counted."""

    def __init__(self) -> None:
        self._frames = FrameReader()
        self._undecodable = 0
        self._broken_until_good = 0
        self._broken_seen = 0

    @property
    def expires_ns(self) -> int | None:
        return self._frames.expires_ns

    @property
    def broken(self) -> int:
        """Frames that were begun and cannot be read, since the line was opened."""
        return self._frames.broken + self._undecodable

    def feed(self, data: bytes, now_ns: int) -> list[Event]:
        return self._decoded(self._frames.feed(data, now_ns))

    def expire(self, now_ns: int) -> list[Event]:
        return self._decoded(self._frames.expire(now_ns))

    def was_spoiled(self) -> bool:
        """Whether frames broke since this was last asked."""
        spoiled = self.broken > self._broken_seen
        self._broken_seen = self.broken
        return spoiled

    def is_noise(self) -> bool:
        """True once for each run of broken frames without a good one between."""
        noise = self.broken - self._broken_until_good >= NOISE_LIMIT
        if noise:
            self._broken_until_good = self.broken
        return noise

    def _decoded(self, bodies: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for body in bodies:
            try:
                events.append(decode_event(body))
            except WireError:
                self._undecodable += 1
            else:
                self._broken_until_good = self.broken
        return events
