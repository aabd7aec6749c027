"""Frames of the MagPro's serial line (port COM2): checksum, framing, resynchronisation. Not what the bodies mean.

`FE LEN BODY[LEN] CRC FF`, both directions; the marks are not escaped, so frames are cut by LEN alone. The maker publishes no
document: this is what the public clients agree on (MAGIC for MATLAB, magicpy, pytms).
"""

from drivers.values import WireError

START = 0xFE
END = 0xFF
MAX_BODY = 32
OVERHEAD = 4
REST_OF_FRAME_NS = 100_000_000  # a frame of 36 bytes takes 9.4 ms at 38400 baud; the rest is lost after ten times that


def _crc_of_byte(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ 0x8C if value & 1 else value >> 1
    return value


_CRC = tuple(_crc_of_byte(value) for value in range(256))


def crc8(body: bytes) -> int:
    """CRC-8/MAXIM: reflected, x8 + x5 + x4 + 1, start 0, no final XOR; "123456789" gives 0xA1."""
    remainder = 0
    for value in body:
        remainder = _CRC[remainder ^ value]
    return remainder


def frame(body: bytes) -> bytes:
    """The frame around `body`. Raises WireError unless the body has 1 to 32 bytes: a malformed frame can lock a device."""
    if not 1 <= len(body) <= MAX_BODY:
        raise WireError(f"a body of {len(body)} bytes does not fit a frame", "MagVenture line", "Send 1 to 32 bytes.")
    return bytes((START, len(body), *body, crc8(body), END))


class FrameReader:
    """Cuts a byte stream into bodies; any split of the stream gives the same bodies.

    Bytes before a start mark, a length out of range, a wrong end or checksum cost one byte each, then the scan goes on.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head_ns = 0
        self._fed_ns = 0
        self.broken = 0  # frames begun that turned out wrong or never ended
        self.dropped = 0  # bytes that belong to no frame

    @property
    def expires_ns(self) -> int | None:
        """When the frame now begun is given up; None while none is."""
        return self._head_ns + REST_OF_FRAME_NS if self._buffer else None

    def feed(self, data: bytes, now_ns: int) -> list[bytes]:
        """Bodies completed by bytes that arrived at `now_ns`."""
        bodies = self.expire(now_ns)
        was_idle = not self._buffer
        self._fed_ns = now_ns
        self._buffer += data
        if was_idle:
            self._head_ns = now_ns
        return bodies + self._cut()

    def expire(self, now_ns: int) -> list[bytes]:
        """Give up a frame whose rest has not come within 100 ms; bodies that were hidden behind its start."""
        bodies: list[bytes] = []
        while self._buffer and now_ns - self._head_ns >= REST_OF_FRAME_NS:
            self._spoil(0)
            del self._buffer[:1]
            self._head_ns = self._fed_ns
            bodies += self._cut()
        return bodies

    def _spoil(self, skipped: int) -> None:
        self.broken += 1
        self.dropped += skipped + 1

    def _cut(self) -> list[bytes]:
        buffer, at, bodies = self._buffer, 0, []
        while (start := buffer.find(START, at)) >= 0 and start + 1 < len(buffer):
            length = buffer[start + 1]
            end = start + OVERHEAD + length
            if 1 <= length <= MAX_BODY and end > len(buffer):
                break
            body = bytes(buffer[start + 2 : end - 2])
            if 1 <= length <= MAX_BODY and buffer[end - 1] == END and buffer[end - 2] == crc8(body):
                self.dropped += start - at
                bodies.append(body)
                at = end
            else:
                self._spoil(start - at)
                at = start + 1
        rest = len(buffer) if start < 0 else start
        self.dropped += rest - at
        if rest:
            del buffer[:rest]
            self._head_ns = self._fed_ns
        return bodies
