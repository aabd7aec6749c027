"""Random and mutated frames into the MagVenture codec, as many as asked for: what was read, what was refused, how it recovered.

Anything but a WireError comes out as it is, and so does a valid frame that is not read; the caller lets it fail.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from drivers.magventure_command_wire import decode_command
from drivers.magventure_frame_wire import MAX_BODY, REST_OF_FRAME_NS, FrameReader, frame
from drivers.magventure_wire import decode_event
from drivers.values import WireError

IDS = (*range(13), 240, 241)
LENGTHS = (1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 17)  # those that a known event or command has
FRAME_NS = 1_600_000  # six bytes at 38400 baud


@dataclass(slots=True)
class FuzzTally:
    """Counts of one run. `lost` are valid frames behind damage that were not read; the next one always was."""

    frames: int = 0
    bodies: int = 0
    decoded: int = 0
    refused: int = 0
    lost: int = 0


def fuzz(frames: int, seed: int) -> FuzzTally:
    """Feed that many frames, by turns one damaged in any way and one valid: after a valid one that is lost the next must be read.

    Raises AssertionError where it does not, and whatever else the codec raises but WireError.
    """
    rng = random.Random(seed)
    reader = FrameReader()
    tally = FuzzTally()
    now_ns, misses = 0, 0
    while tally.frames < frames:
        now_ns += FRAME_NS
        damaged = _damaged(rng)
        _read(reader.feed(damaged, now_ns), tally)
        valid = _body(rng)
        bodies = _split(reader, frame(valid), rng, now_ns)
        now_ns += REST_OF_FRAME_NS
        bodies += reader.expire(now_ns)
        assert reader.expires_ns is None, f"bytes are kept for ever after {damaged.hex(' ')}"
        _read(bodies, tally)
        misses = 0 if valid in bodies else misses + 1
        tally.lost += bool(misses)
        assert misses < 2, f"two valid frames in a row are lost after {damaged.hex(' ')}"
        tally.frames += 2
    return tally


def _split(reader: FrameReader, data: bytes, rng: random.Random, now_ns: int) -> list[bytes]:
    cut = rng.randrange(len(data))
    return reader.feed(data[:cut], now_ns) + reader.feed(data[cut:], now_ns)


def _read(bodies: list[bytes], tally: FuzzTally) -> None:
    for body in bodies:
        tally.bodies += 1
        for decode in (decode_event, decode_command):
            try:
                value = decode(body)
            except WireError:
                tally.refused += 1
            else:
                tally.decoded += 1
                assert decode(value.body()) == value


def _body(rng: random.Random) -> bytes:
    """A body that looks like the device's language, or one of any length."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randint(1, MAX_BODY))
    first = rng.choice(IDS)
    small = rng.random() < 0.5  # small numbers are more often allowed ones
    rest = bytes(rng.randrange(4) for _ in range(rng.choice(LENGTHS) - 1)) if small else rng.randbytes(rng.choice(LENGTHS) - 1)
    return bytes((first,)) + rest


def _flip(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _drop(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data))]


def _double(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data.insert(at, data[at])


def _mark(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.choice((0xFE, 0xFF, MAX_BODY, 0))


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _append(data: bytearray, rng: random.Random) -> None:
    data += rng.choice((b"\xfe", b"\xfe\x20", b"\xff", frame(_body(rng)), rng.randbytes(5)))


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (_flip, _drop, _double, _mark, _truncate, _append)


def _damaged(rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        return rng.randbytes(rng.randint(0, 40))
    data = bytearray(frame(_body(rng)))
    for _ in range(rng.randint(0, 4)):
        if data:
            rng.choice(MUTATIONS)(data, rng)
    return bytes(data)
