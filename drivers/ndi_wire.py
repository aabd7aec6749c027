"""The frame of NDI's Polaris language: checksum, commands, replies, and readers that take the stream in any pieces.

What stands inside tracking and set-up replies is in `ndi_pose_wire` and `ndi_setup_wire`. Layouts are those read in NDI's
and others' public client programs (ndicapi, PlusLib, sawNDITracker, NDI's own samples).
"""

import struct

import msgspec

from drivers.values import WireError

CR = 0x0D
TCP_PORT = 8765  # Polaris Vega

MAX_COMMAND_CHARS = 2048  # the longest real one, PVWR with its checksum, has 143
MAX_BODY_BYTES = 16 * 1024  # cap on a stated length: one real reply has some hundred bytes

BINARY_START = b"\xc4\xa5"
_HEADER = struct.Struct("<2sHH")  # start, body length, checksum of those four bytes
_HEADER_BYTES = 6
_CRC_BYTES = 2
_EXTENDED_START = b"\xc8\xa5"  # images: no checksums, never asked for
STREAM_START = b"\xd4\xb5"
_STREAM_HEAD = struct.Struct("<2sH")  # start, length of the stream's name; the name and a checksum of all of it follow
MAX_STREAM_NAME = 256

_WHERE = "Polaris reply"


class CrcMismatch(WireError):
    """One whole message arrived damaged; the stream goes on behind it."""


class FramingLost(WireError):
    """Where the next message begins is unknown: drain the line until it is quiet, then `ReplyReader.reset`."""


# ---- checksum -------------------------------------------------------------------------------------------------------


def _byte_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
        table.append(crc)
    return table


_BYTE_TABLE = _byte_table()


def _pair_table() -> list[int]:
    table = []
    for pair in range(65536):
        half = _BYTE_TABLE[pair & 0xFF] ^ (pair >> 8)
        table.append((half >> 8) ^ _BYTE_TABLE[half & 0xFF])
    return table


_PAIR_TABLE = _pair_table()


def crc16(data: bytes | bytearray) -> int:
    """CRC-16/ARC: polynomial 0x8005 reflected, initial value 0, no final XOR; 0xBB3D for `123456789`.

    Two bytes a step (half the time of one). Data followed by its own checksum, little-endian, gives 0.
    """
    crc = 0
    for pair in struct.unpack_from(f"<{len(data) >> 1}H", data):
        crc = _PAIR_TABLE[crc ^ pair]
    if len(data) & 1:
        crc = (crc >> 8) ^ _BYTE_TABLE[(crc ^ data[-1]) & 0xFF]
    return crc


def _crc_digits(data: bytes) -> bytes:
    return b"%04X" % crc16(data)


# ---- commands: host to camera ---------------------------------------------------------------------------------------


class Command(msgspec.Struct, frozen=True):
    """A command's name in capitals and all that follows its separator."""

    name: str
    arguments: str = ""


def encode_command(name: str, arguments: str = "", *, checked: bool = True) -> bytes:
    """`NAME:ARGS` with checksum, or `NAME ARGS` without one; both end with CR."""
    if not checked:
        return f"{name} {arguments}\r".encode("latin-1")
    text = f"{name}:{arguments}".encode("latin-1")
    return text + _crc_digits(text) + b"\r"


def decode_command(line: bytes) -> Command:
    """A command from one line without its CR. Raises CrcMismatch where a colon promises a checksum that is wrong, else WireError."""
    name = line.partition(b" ")[0].partition(b":")[0]
    if not name.isalnum():
        raise WireError(f"no command name in {line[:16]!r}", "Polaris command", "Send NAME:ARGS with checksum, or NAME ARGS.")
    separator, rest = line[len(name) : len(name) + 1], line[len(name) + 1 :]
    if separator == b":":
        if line[-4:].upper() != _crc_digits(line[:-4]) or len(rest) < 4:
            raise CrcMismatch(f"the checksum of {line[:16]!r} is wrong", "Polaris command", "Send it again.")
        rest = rest[:-4]
    return Command(name.decode("ascii").upper(), rest.decode("latin-1"))


class CommandReader:
    """The camera's end of the stream: lines between CRs, without them. A line too long comes out cut, one over the limit."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def push(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        *lines, rest = bytes(self._pending + data).split(b"\r")
        self._pending = bytearray(rest[: MAX_COMMAND_CHARS + 1])
        return [line.lstrip(b"\n")[: MAX_COMMAND_CHARS + 1] for line in lines]


# ---- replies: camera to host ----------------------------------------------------------------------------------------


class TextReply(msgspec.Struct, frozen=True):
    """An ASCII reply without checksum and CR."""

    text: str

    @property
    def is_reset(self) -> bool:
        """The camera restarted: handles, tool definitions and tracking are gone."""
        return self.text == "RESET"

    @property
    def error(self) -> int | None:
        return self._code("ERROR")

    @property
    def warning(self) -> int | None:
        """The command was carried out, with a reservation."""
        return self._code("WARNING")

    def _code(self, word: str) -> int | None:
        digits = self.text.removeprefix(word)
        if len(digits) != 2 or not self.text.startswith(word):
            return None
        try:
            return int(digits, 16)
        except ValueError:
            return None


class BinaryReply(msgspec.Struct, frozen=True):
    """The body of a binary reply; header and checksums were right."""

    body: bytes


class StreamedReply(msgspec.Struct, frozen=True):
    """A reply that the camera pushed by itself, on behalf of the stream of that name."""

    stream: str
    reply: TextReply | BinaryReply


Reply = TextReply | BinaryReply | StreamedReply


def encode_text(text: str) -> bytes:
    raw = text.encode("latin-1")
    return raw + _crc_digits(raw) + b"\r"


def encode_binary(body: bytes) -> bytes:
    start = BINARY_START + len(body).to_bytes(2, "little")
    return start + crc16(start).to_bytes(2, "little") + body + crc16(body).to_bytes(2, "little")


def encode_streamed(stream: str, reply: bytes) -> bytes:
    """A whole reply with the head that a stream puts before each."""
    name = stream.encode("latin-1")
    head = _STREAM_HEAD.pack(STREAM_START, len(name)) + name
    return head + crc16(head).to_bytes(2, "little") + reply


class ReplyReader:
    """The host's end of the stream: push bytes as they come, pull replies until there is none."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lost = False

    def reset(self) -> None:
        """Forget what is pending: the line is quiet, or new."""
        self._buffer.clear()
        self._lost = False

    def push(self, data: bytes) -> None:
        if not self._lost:
            self._buffer += data

    def pull(self) -> Reply | None:
        """The next whole reply, None while there is none.

        Raises CrcMismatch for a damaged reply, which is dropped, and FramingLost when no boundary is to be had; from then on
        everything is dropped until `reset`.
        """
        start = bytes(self._buffer[:2])
        if len(start) < len(BINARY_START):
            return None
        return self._pull_streamed() if start == STREAM_START else self._pull_plain(0)

    def _pull_streamed(self) -> StreamedReply | None:
        buffer = self._buffer
        if len(buffer) < _STREAM_HEAD.size:
            return None
        _, length = _STREAM_HEAD.unpack_from(buffer)
        named = _STREAM_HEAD.size + length
        if length > MAX_STREAM_NAME:
            raise self._give_up(f"a stream's name claims {length} bytes")
        if len(buffer) < named + _CRC_BYTES + len(BINARY_START):
            return None
        if crc16(buffer[: named + _CRC_BYTES]) != 0:
            raise self._give_up("the checksum of a stream's head is wrong")
        name = buffer[_STREAM_HEAD.size : named].decode("latin-1")
        reply = self._pull_plain(named + _CRC_BYTES)
        return None if reply is None else StreamedReply(name, reply)

    def _pull_plain(self, at: int) -> TextReply | BinaryReply | None:
        """The reply that begins at byte `at`; with it goes what stands before it."""
        start = bytes(self._buffer[at : at + 2])
        if start == BINARY_START:  # before any search for CR: a length byte may be 0x0D
            return self._pull_binary(at)
        if start in (_EXTENDED_START, STREAM_START):
            raise self._give_up(f"a reply of a kind never asked for begins ({start.hex()})")
        return self._pull_text(at)

    def _pull_binary(self, at: int) -> BinaryReply | None:
        buffer = self._buffer
        body_at = at + _HEADER_BYTES
        if len(buffer) < body_at:
            return None
        _, length, header_crc = _HEADER.unpack_from(buffer, at)
        if crc16(buffer[at : at + 4]) != header_crc:
            raise self._give_up("the checksum of a binary header is wrong")
        if length > MAX_BODY_BYTES:
            raise self._give_up(f"a binary reply claims {length} bytes")
        end = body_at + length + _CRC_BYTES
        if len(buffer) < end:
            return None
        body_and_crc = bytes(buffer[body_at:end])
        del buffer[:end]
        if crc16(body_and_crc) != 0:
            raise CrcMismatch(f"the checksum of a binary reply of {length} bytes is wrong", _WHERE, "It is asked for again.")
        return BinaryReply(body_and_crc[:-_CRC_BYTES])

    def _pull_text(self, at: int) -> TextReply | None:
        end = self._buffer.find(CR, at)
        if end - at > MAX_BODY_BYTES or (end < 0 and len(self._buffer) - at > MAX_BODY_BYTES):
            raise self._give_up("a text reply does not end")
        if end < 0:
            return None
        line = bytes(self._buffer[at:end])
        del self._buffer[: end + 1]
        if len(line) < 4 or _crc_digits(line[:-4]) != line[-4:]:
            raise CrcMismatch(f"the checksum of {line[:24]!r} is wrong", _WHERE, "It is asked for again.")
        return TextReply(line[:-4].decode("latin-1"))

    def _give_up(self, what: str) -> FramingLost:
        self._buffer.clear()
        self._lost = True
        return FramingLost(what, _WHERE, "The line is drained and the command repeated.")
