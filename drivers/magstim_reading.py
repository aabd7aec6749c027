"""A Magstim's byte stream as replies, with an account of what could not be read. No meaning, no questions."""

from drivers.magstim_frame_wire import Dialect
from drivers.magstim_wire import Reply, decode_reply, whole_length
from drivers.values import WireError

REST_OF_REPLY_NS = 60_000_000  # the longest reply takes 27 ms at 9600 baud; the rest is lost after twice that


class ReplyReader:
    """Whole replies out of any split of the stream; what begins no reply, or has a wrong checksum, costs one byte at a time."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect  # to be set anew once the software is known
        self._buffer = bytearray()
        self._head_ns = 0
        self._fed_ns = 0
        self.dropped = 0  # bytes that belong to no reply

    @property
    def expires_ns(self) -> int | None:
        """When the reply now begun is given up; None while none is."""
        return self._head_ns + REST_OF_REPLY_NS if self._buffer else None

    def feed(self, data: bytes, now_ns: int) -> list[Reply]:
        """Replies completed by bytes that arrived at `now_ns`."""
        replies = self.expire(now_ns)
        if not self._buffer:
            self._head_ns = now_ns
        self._fed_ns = now_ns
        self._buffer += data
        return replies + self._cut()

    def expire(self, now_ns: int) -> list[Reply]:
        """Give up a reply whose rest has not come within 60 ms; replies that were hidden behind its start."""
        replies: list[Reply] = []
        while self._buffer and now_ns - self._head_ns >= REST_OF_REPLY_NS:
            self._drop(1)
            replies += self._cut()
        return replies

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._advance(count)

    def _advance(self, count: int) -> None:
        del self._buffer[:count]
        self._head_ns = self._fed_ns

    def _cut(self) -> list[Reply]:
        replies: list[Reply] = []
        while self._buffer:
            length = whole_length(bytes(self._buffer), self.dialect)
            if length == 0:
                self._drop(1)
            elif length is None or len(self._buffer) < length:
                break
            else:
                replies += self._read(bytes(self._buffer[:length]))
        return replies

    def _read(self, frame: bytes) -> list[Reply]:
        try:
            reply = decode_reply(frame, self.dialect)
        except WireError:
            self._drop(1)
            return []
        self._advance(len(frame))
        return [reply]
