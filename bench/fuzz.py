"""`fuzz`: a million random and mutated frames into each codec. Only WireError may come of it, no call may hang, and of the valid
frames that follow damage at most one may be lost. Anything else ends the bench with its traceback.
"""

import gc
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.fuzz_codecs import Talk, codecs
from bench.options import Options
from bench.table import Row, print_rows, us

FRAMES = 1_000_000
FRAME_NS = 2_000_000
MOST_PIECES = 3
NOISE_BYTES = 48
HANG_US = 20_000.0  # of the processor's own time
KEPT = 200_000  # times of single frames


@dataclass(slots=True)
class Tally:
    """What became of the frames. `lost`: valid ones right behind damage; `unsynced`: second ones behind it, which must be none."""

    frames: int = 0
    read: int = 0
    refused: int = 0
    lost: int = 0
    unsynced: list[str] = field(default_factory=list)
    took_ns: list[int] = field(default_factory=list)
    longest_ns: int = 0


def run(options: Options) -> None:
    count = options.count_or(FRAMES)
    rows, notes = [], []
    for language, directions in codecs().items():
        share = -(-count // len(directions))
        for seed, (name, (new_talk, valid)) in enumerate(directions.items()):
            gc.collect()
            gc.freeze()  # what the sessions left is not looked through again in the midst of a frame
            began_s = time.process_time()
            tally = fuzz(new_talk(), valid, share, seed)
            rate = tally.frames / (time.process_time() - began_s)
            rows.append(Row(f"{name}: one damaged frame and one or two valid ones", us(tally.took_ns), "us", (("max", HANG_US),)))
            notes.append(
                f"{name}: {tally.frames} frames, {len(valid)} kinds of valid ones, {rate:.0f}/s; {tally.read} values read, "
                f"{tally.refused} refused, {tally.lost} valid lost right behind damage, {len(tally.unsynced)} not in step at the second"
            )
            notes += [f"  NOT MET: {name}: {case}" for case in tally.unsynced[:3]]
        notes.append(f"{language}: {share * len(directions)} damaged or random frames in all")
    print_rows("fuzz: only WireError, no hang, in step again within one valid frame", rows, notes)


def fuzz(talk: Talk, valid: Sequence[bytes], frames: int, seed: int) -> Tally:
    """Throw that many damaged frames, each followed by a valid one at once, and where that is lost by another after a silence."""
    rng = random.Random(seed)
    tally = Tally()
    wanted = [_only(talk, each) for each in valid]
    now_ns = 0
    for number in range(frames):
        now_ns += FRAME_NS
        bad, index = damaged(rng, valid), rng.randrange(len(valid))
        began_ns = time.thread_time_ns()
        tally.read += len(_fed(talk, bad, rng, now_ns))
        if number % 2:
            talk.quiet(now_ns)
        got = _fed(talk, valid[index], rng, now_ns)
        tally.read += len(got)
        if wanted[index] not in got:
            tally.lost += 1
            got = [*talk.quiet(now_ns), *_fed(talk, valid[index], rng, now_ns)]
            if wanted[index] not in got:
                tally.unsynced.append(f"{bad.hex()} then {valid[index].hex()}")
        talk.quiet(now_ns)
        took_ns = time.thread_time_ns() - began_ns
        tally.longest_ns = max(tally.longest_ns, took_ns)
        if len(tally.took_ns) < KEPT or took_ns == tally.longest_ns:
            tally.took_ns.append(took_ns)
    tally.frames, tally.refused = frames, talk.refused
    return tally


def _only(talk: Talk, data: bytes) -> object:
    """What a sound frame says. It must be read."""
    (value,) = talk.feed(data, 0)
    return value


def _fed(talk: Talk, data: bytes, rng: random.Random, now_ns: int) -> list[object]:
    """In up to three pieces."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(MOST_PIECES)))
    values = []
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        values += talk.feed(data[start:end], now_ns)
    return values


def damaged(rng: random.Random, valid: Sequence[bytes]) -> bytes:
    """Noise, or a valid frame with bytes changed, lost, doubled, cut off, or the half of another in its middle."""
    if rng.random() < 0.25:
        return rng.randbytes(rng.randrange(1, NOISE_BYTES))
    data = bytearray(rng.choice(valid))
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(6):
            case 0 if data:
                data[at] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[at] = rng.randrange(256)
            case 2 if data:
                del data[at]
            case 3:
                data.insert(at, data[at] if data else 0)
            case 4:
                del data[at:]
            case _:
                data[at:at] = rng.choice(valid)[: rng.randrange(1, 9)]
    return bytes(data) or b"\0"
