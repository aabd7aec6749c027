"""OpenIGTLink on the wire, both directions: header of version 1 and 2, the TRANSFORM body, metadata, CRC-64. Pure.

Layouts: openigtlink.org, "Protocol Specification, Version 3": header, extended header, metadata, TRANSFORM, GET_STATUS, STATUS.
All numbers are big-endian. Bodies of other kinds are passed over unread, however long they are.
"""

import math
import struct
from collections.abc import Mapping

import msgspec

from drivers.values import WireError

TCP_PORT = 18944
NS = 1_000_000_000
HEADER = struct.Struct(">H12s20sIIQQ")  # version, type, device name, seconds, fraction, body size, CRC
EXTENDED = struct.Struct(">HHII")  # its own size, size of the metadata's index, of its text, message number
INDEX = struct.Struct(">HHI")  # size of a key, encoding of its value, size of the value
CONTENT = struct.Struct(">12f")  # the rotation's three columns, then the translation, mm
NEWEST_VERSION = 3  # of the header; 2 brought the extended one
MOST_BODY_BYTES = 65536  # of a message that is read: a TRANSFORM is 48 bytes and its metadata
TRANSFORM, GET_STATUS, STATUS = "TRANSFORM", "GET_STATUS", "STATUS"
US_ASCII = 3  # encodings as IANA numbers them (MIBenum)
STATUS_OK = 1

CRC_POLYNOMIAL = 0x42F0E1EBA9EA3693  # ECMA-182, not reflected, from 0
_MASK = (1 << 64) - 1


class DamagedMessage(WireError):
    """One message is of no use; the next one can be read."""


class TransformMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`device` names a pose as the sender does, such as CoilToTracker.

    `columns`: the rotation's x, y and z column, then the translation in mm. `stamp_ns`: on the sender's clock, None where it gave none.
    """

    device: str
    columns: tuple[float, ...]
    stamp_ns: int | None
    metadata: Mapping[str, str]


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 56
        for _ in range(8):
            crc = (crc << 1 ^ CRC_POLYNOMIAL if crc >> 63 else crc << 1) & _MASK
        table.append(crc)
    return tuple(table)


_TABLE = _table()


def crc64(data: bytes) -> int:
    """The checksum of a body."""
    crc, table = 0, _TABLE
    for byte in data:
        crc = table[crc >> 56 ^ byte] ^ crc << 8 & _MASK
    return crc


# ---- writing --------------------------------------------------------------------------------------------------------


def encode_transform(
    device: str, columns: tuple[float, ...], stamp_ns: int | None, *, version: int = 1, metadata: Mapping[str, str] | None = None
) -> bytes:
    """One TRANSFORM message. Metadata travels from version 2 on. Raises ValueError for a device name above 20 bytes."""
    content = CONTENT.pack(*columns)
    if version > 1:
        index, text = _pack_metadata(metadata or {})
        content = EXTENDED.pack(EXTENDED.size, len(index), len(text), 0) + content + index + text
    return _message(version, TRANSFORM, device, stamp_ns, content)


def encode_get_status() -> bytes:
    """A question that every server may answer or pass over: it shows that we are there."""
    return _message(1, GET_STATUS, "", None, b"")


def encode_status(device: str, stamp_ns: int | None) -> bytes:
    """The answer of one who is well."""
    body = struct.pack(">HQ20s", STATUS_OK, 0, b"OK") + b"OK\0"
    return _message(1, STATUS, device, stamp_ns, body)


def _message(version: int, kind: str, device: str, stamp_ns: int | None, body: bytes) -> bytes:
    name = device.encode("ascii")
    if len(name) > 20:
        raise ValueError(f"{device!r}: a device name has 20 bytes at most")
    seconds, rest_ns = divmod(stamp_ns or 0, NS)
    fraction = -(-(rest_ns << 32) // NS)  # upwards: reading rounds down
    return HEADER.pack(version, kind.encode(), name, seconds & 0xFFFFFFFF, fraction, len(body), crc64(body)) + body


def _pack_metadata(metadata: Mapping[str, str]) -> tuple[bytes, bytes]:
    index, text = struct.pack(">H", len(metadata)), b""
    for key, value in metadata.items():
        raw_key, raw_value = key.encode("ascii"), value.encode("ascii")
        index += INDEX.pack(len(raw_key), US_ASCII, len(raw_value))
        text += raw_key + raw_value
    return index, text


# ---- reading --------------------------------------------------------------------------------------------------------


class _Header(msgspec.Struct, frozen=True):
    version: int
    kind: str
    device: str
    stamp_ns: int | None
    body_bytes: int
    crc: int


class MessageReader:
    """Bytes in, transforms out; any split of the stream gives the same. `kinds_passed` counts messages that were passed over."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.reset()

    def reset(self) -> None:
        """Forget what was begun: another stream follows."""
        self._buffer = bytearray()
        self._header: _Header | None = None
        self._to_pass = 0
        self.kinds_passed: dict[str, int] = {}

    def push(self, data: bytes) -> None:
        self._buffer += data

    def pull(self) -> TransformMessage | None:
        """The next whole transform, None when more bytes are needed.

        Raises DamagedMessage for one that is of no use (it is gone, go on), WireError when the stream can no longer be told apart.
        """
        while True:
            if self._to_pass and not self._pass_over():
                return None
            if self._header is None and not self._take_header():
                return None
            header = self._header
            if header is None:
                continue  # its body is passed over
            if len(self._buffer) < header.body_bytes:
                return None
            body = bytes(self._buffer[: header.body_bytes])
            del self._buffer[: header.body_bytes]
            self._header = None
            return self._transform(header, body)

    def _pass_over(self) -> bool:
        gone = min(self._to_pass, len(self._buffer))
        del self._buffer[:gone]
        self._to_pass -= gone
        return self._to_pass == 0

    def _take_header(self) -> bool:
        if len(self._buffer) < HEADER.size:
            return False
        header = self._checked(*HEADER.unpack_from(self._buffer))
        del self._buffer[: HEADER.size]
        if header.kind == TRANSFORM:
            self._header = header
        else:
            self._to_pass = header.body_bytes
            self.kinds_passed[header.kind] = self.kinds_passed.get(header.kind, 0) + 1
        return True

    def _checked(self, version: int, kind: bytes, device: bytes, seconds: int, fraction: int, size: int, crc: int) -> _Header:
        name, label = kind.rstrip(b"\0 "), device.rstrip(b"\0 ")
        is_text = name.isascii() and label.isascii() and name.replace(b"_", b"").isalnum()
        if not 1 <= version <= NEWEST_VERSION or not is_text or size >= 1 << 63:
            raise WireError("bytes that are no OpenIGTLink header", self._where, "Check that a server of OpenIGTLink listens there.")
        if name == TRANSFORM.encode() and size > MOST_BODY_BYTES:
            raise WireError(f"a transform of {size} bytes", self._where, "Check that a server of OpenIGTLink listens there.")
        stamp_ns = seconds * NS + (fraction * NS >> 32)
        return _Header(version, name.decode(), label.decode(), stamp_ns or None, size, crc)

    def _transform(self, header: _Header, body: bytes) -> TransformMessage:
        if crc64(body) != header.crc:
            raise self._damaged(header, "its checksum is wrong")
        metadata: dict[str, str] = {}
        content = body
        if header.version > 1:
            content, metadata = self._without_extension(header, body)
        if len(content) != CONTENT.size:
            raise self._damaged(header, f"{len(content)} bytes of content where a transform has {CONTENT.size}")
        return TransformMessage(device=header.device, columns=CONTENT.unpack(content), stamp_ns=header.stamp_ns, metadata=metadata)

    def _without_extension(self, header: _Header, body: bytes) -> tuple[bytes, dict[str, str]]:
        if len(body) < EXTENDED.size:
            raise self._damaged(header, "its extended header is cut short")
        own, index_bytes, text_bytes, _ = EXTENDED.unpack_from(body)
        end = len(body) - index_bytes - text_bytes
        if not EXTENDED.size <= own <= end:
            raise self._damaged(header, "its extended header contradicts its length")
        return body[own:end], self._metadata(header, body[end : end + index_bytes], body[end + index_bytes :])

    def _metadata(self, header: _Header, index: bytes, text: bytes) -> dict[str, str]:
        if not index:
            return {}
        count = int.from_bytes(index[:2])
        if len(index) != 2 + INDEX.size * count:
            raise self._damaged(header, "its metadata contradict their length")
        found, at = {}, 0
        for number in range(count):
            key_bytes, _, value_bytes = INDEX.unpack_from(index, 2 + INDEX.size * number)
            middle, end = at + key_bytes, at + key_bytes + value_bytes
            if end > len(text):
                raise self._damaged(header, "its metadata are cut short")
            found[text[at:middle].decode("utf-8", "replace")] = text[middle:end].decode("utf-8", "replace")
            at = end
        return found

    def _damaged(self, header: _Header, what: str) -> DamagedMessage:
        return DamagedMessage(f"a transform {header.device!r} is damaged: {what}", self._where, "If it goes on, check the sender.")


# ---- poses ----------------------------------------------------------------------------------------------------------

RIGID_TOLERANCE = 1e-3  # float32 and senders' rounding; a scaled or sheared matrix is no pose
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def quaternion_of(columns: tuple[float, ...]) -> tuple[float, float, float, float] | None:
    """Unit quaternion w, x, y, z of a rotation given by its columns; None where they are none (scaled, mirrored, not numbers)."""
    a, b, c, d, e, f, g, h, i = columns[:9]
    products = (a * a + b * b + c * c - 1.0, d * d + e * e + f * f - 1.0, g * g + h * h + i * i - 1.0)
    mixed = (a * d + b * e + c * f, a * g + b * h + c * i, d * g + e * h + f * i)
    if not all(-RIGID_TOLERANCE <= value <= RIGID_TOLERANCE for value in products + mixed):
        return None
    if a * (e * i - f * h) - d * (b * i - c * h) + g * (b * f - c * e) < 0.0:
        return None
    trace = a + e + i
    largest = max(trace, a, e, i)
    if largest == trace:
        parts = (1.0 + trace, f - h, g - c, b - d)
    elif largest == a:
        parts = (f - h, 1.0 + 2.0 * a - trace, b + d, c + g)
    elif largest == e:
        parts = (g - c, b + d, 1.0 + 2.0 * e - trace, f + h)
    else:
        parts = (b - d, c + g, f + h, 1.0 + 2.0 * i - trace)
    w, x, y, z = parts
    length = math.sqrt(w * w + x * x + y * y + z * z)
    return w / length, x / length, y / length, z / length


def columns_of(wxyz: tuple[float, float, float, float], mm: tuple[float, float, float]) -> tuple[float, ...]:
    """A pose as the twelve numbers of a TRANSFORM."""
    w, x, y, z = wxyz
    return (
        1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y),
        2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x),
        2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y),
        *mm,
    )  # fmt: skip
