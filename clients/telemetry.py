"""The newest value of every topic, which frames were missed, and when the daemon was restarted. Pure; no sockets.

Whether a value is fresh enough for its purpose is the client's to decide; `age_s` tells it how old it is.
"""

import collections

import msgspec

from daemon.messages import ALARM_TOPIC, TOPICS, AlarmBody, Header, Heartbeat, Message, SessionBody


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One value. `received_ns`: when this client read it (its own monotonic clock); `missed`: frames of this topic lost just before."""

    topic: str
    header: Header
    body: Message
    received_ns: int
    missed: int = 0


_HEADER = msgspec.json.Decoder(Header)
_BODIES = {topic: msgspec.json.Decoder(body) for topic, body in TOPICS.items()}
_ALARM = msgspec.json.Decoder(AlarmBody)


class Telemetry:
    """What is known of the daemon's present run; a new epoch clears it."""

    def __init__(self) -> None:
        self.epoch: int | None = None
        self.restarts = 0  # epochs begun after the first
        self.unreadable = 0  # frames of topics that this client knows and could not read
        self.missed: collections.Counter[str] = collections.Counter()
        self.state_rev: int | None = None
        self._newest: dict[str, Received] = {}

    def take(self, frames: list[bytes], received_ns: int) -> Received | None:
        """The value in `[topic, header, body]`; None for what is unknown, unreadable, or was seen before (a retained copy)."""
        if len(frames) != 3:
            return None
        topic = frames[0].decode("utf-8", "replace")
        body_of = _ALARM if topic.startswith(ALARM_TOPIC) else _BODIES.get(topic)
        if body_of is None:
            return None
        try:
            header, body = _HEADER.decode(frames[1]), body_of.decode(frames[2])
        except (ValueError, RecursionError):
            self.unreadable += 1
            return None
        return self._keep(topic, header, body, received_ns)

    def _keep(self, topic: str, header: Header, body: Message, received_ns: int) -> Received | None:
        if header.epoch != self.epoch:
            self._begin(header.epoch)
        before = self._newest.get(topic)
        if before is not None and header.seq <= before.header.seq:
            return None
        missed = 0 if before is None else header.seq - before.header.seq - 1
        self.missed[topic] += missed
        if isinstance(body, Heartbeat | SessionBody):
            self.learn_state_rev(body.state_rev)
        received = Received(topic=topic, header=header, body=body, received_ns=received_ns, missed=missed)
        self._newest[topic] = received
        return received

    def _begin(self, epoch: int) -> None:
        self.restarts += self.epoch is not None
        self.epoch, self.state_rev = epoch, None
        self.missed.clear()
        self._newest.clear()

    def learn_state_rev(self, state_rev: int) -> None:
        """The highest counts: within one run of the daemon it only rises."""
        self.state_rev = state_rev if self.state_rev is None else max(self.state_rev, state_rev)

    def latest(self, topic: str) -> Received | None:
        """The topic's newest value, however old; None if there was none since the daemon's start."""
        return self._newest.get(topic)

    def age_s(self, topic: str, now_ns: int) -> float | None:
        """Seconds since the value was made (its `mono_ns`, the same clock on the same host) or read, whichever is longer.

        A value that waited in a queue, or was retained, is thus old although it has just come. None: there is no value.
        """
        newest = self._newest.get(topic)
        if newest is None:
            return None
        return max(now_ns - newest.header.mono_ns, now_ns - newest.received_ns) / 1e9
