"""What the LSL reader and the tracker's driver tell each other over a socket pair: length, then a msgpack struct. Pure."""

import struct
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from drivers.mocap_wire import Layout
from drivers.values import WireError

LENGTH = struct.Struct(">I")
MOST_BYTES = 1 << 20


class Follow(msgspec.Struct, frozen=True, kw_only=True, tag="follow"):
    """To the reader: look for the stream of this name and type MoCap, from the beginning."""

    stream: str


class Looking(msgspec.Struct, frozen=True, kw_only=True, tag="looking"):
    """The reader lives and has found nothing to read yet; `why` says so where there is more to it than an absent stream."""

    why: str = ""
    remedy: str = ""


class Found(msgspec.Struct, frozen=True, kw_only=True, tag="found"):
    """Samples follow, laid out so. `is_local`: the sender is on this very machine."""

    layout: Layout
    is_local: bool


class Quiet(msgspec.Struct, frozen=True, kw_only=True, tag="quiet"):
    """The reader lives and is connected; nothing has come for a while."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, tag="sample"):
    """One sample: when the sender says that it was, on its own clock, and when it came out of the network here (host monotonic).

    `host_minus_source_ns` and `bound_ns` from LSL's exchange of times; None while there has been none.
    """

    stamp_ns: int
    arrived_ns: int
    host_minus_source_ns: int | None
    bound_ns: int | None
    values: tuple[float, ...]


FromReader = Looking | Found | Quiet | Sample
T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()


def encode(packet: Follow | FromReader) -> bytes:
    body = _encoder.encode(packet)
    return LENGTH.pack(len(body)) + body


class PacketReader(Generic[T]):
    """Bytes in, packets of the given kinds out; any split gives the same. Raises WireError for what is none."""

    def __init__(self, kinds: object, where: str) -> None:
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kinds)
        self._where = where
        self._buffer = bytearray()

    def reset(self) -> None:
        self._buffer.clear()

    def push(self, data: bytes) -> Iterator[T]:
        """All packets that are complete now."""
        self._buffer += data
        while len(self._buffer) >= LENGTH.size:
            (size,) = LENGTH.unpack_from(self._buffer)
            end = LENGTH.size + size
            if size > MOST_BYTES:
                raise WireError(f"a packet of {size} bytes", self._where, "The reader is started anew.")
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[LENGTH.size : end])
            del self._buffer[:end]
            try:
                packet = self._decoder.decode(body)
            except msgspec.DecodeError as error:
                raise WireError(f"bytes that are no packet ({error})", self._where, "The reader is started anew.") from error
            yield packet
