"""Hostile files of targets, by the thousand: `python -m tests.target_fuzz --count 100000 --seed 1` prints what came of them.

Each sample is damaged byte by byte, by tokens that matter, by splicing two of them, and fed back; besides come files that are
hostile by design. Whatever is neither read nor refused by its own error is a crash, and the program ends with status 1.
"""

import argparse
import collections
import io
import random
import resource
import sys
import time
import traceback
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.io

from calibration.target_files import MOST_BYTES, read_targets
from calibration.target_files_source import MAX_COORDINATE_MM, Sidecar
from calibration.target_files_values import TargetFile, TargetFileError

SAMPLES = Path(__file__).parent / "data" / "targets"
SIDECAR = Sidecar(name="coordsystem.json", content=(SAMPLES / "sub-01_task-tms_coordsystem.json").read_bytes())
TOKENS = tuple(
    b"NaN|nan|-inf|1e999|-1e308|(null)|n/a|None|\t|\n|\r\n|\r|,|;|\"|'|<|>|&x;|&#0;|{|}|[|]|:|#|# |\x00|\xff|\xef\xbb\xbf|\xc0\x80|"
    b'400.0001|99999999999999999999|0x10|1_0|1,5|true|null|MNI152NLin2009cAsym|LPS|RAS|World|set="false"|\xe2\x80\xa8|'
    b'<!DOCTYPE a [<!ENTITY x "y">]>|[[[[[[[[|{"a":{"a":|\xd9\xa1'.split(b"|")
)


@dataclass(slots=True)
class Tally:
    """What came of the files so far."""

    read: int = 0
    refused: collections.Counter[str] = field(default_factory=collections.Counter)
    crashes: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""

    def feed(self, name: str, content: bytes) -> None:
        """One file read, refused or crashed on."""
        begun = time.perf_counter()
        try:
            check(read_targets(content, name=name, coordsystem=SIDECAR))
            self.read += 1
        except TargetFileError as error:
            self.refused[error.code] += 1
        except Exception:  # noqa: BLE001  # finding any other is what this program is for
            self.crashes.append(f"{name}: {traceback.format_exc()}")
        spent = time.perf_counter() - begun
        if spent > self.slowest_s:
            self.slowest_s, self.slowest = spent, name


def check(file: TargetFile) -> None:
    """Whatever was imported is finite, rigid and within reach."""
    for target in file.targets:
        if target.mri_from_coil is not None:
            pose = np.array(target.mri_from_coil)
            assert np.abs(pose[:3, :3].T @ pose[:3, :3] - np.eye(3)).max() < 1e-9
            assert np.linalg.det(pose[:3, :3]) > 0
            assert np.abs(pose[:3, 3]).max() <= MAX_COORDINATE_MM
        for place in (target.position_in_mri_mm, target.entry_in_mri_mm, target.cortex_in_mri_mm):
            assert place is None or max(map(abs, place)) <= MAX_COORDINATE_MM


def samples() -> dict[str, bytes]:
    """The good and the bad ones, by name; the session in MATLAB's format also packed and in the other byte order."""
    found = {path.name: path.read_bytes() for path in sorted(SAMPLES.iterdir()) if path.name != "expected.json"}
    packed = io.BytesIO()
    session = scipy.io.loadmat(SAMPLES / "simnibs_session.mat")
    scipy.io.savemat(packed, {name: value for name, value in session.items() if not name.startswith("__")}, do_compression=True)
    return {**found, "simnibs_packed.mat": packed.getvalue()}


def damaged(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """A few changes at random places."""
    body = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(body) + 1)
        match chance.randrange(8):
            case 0 if body:
                body[at % len(body)] ^= 1 << chance.randrange(8)
            case 1 if body:
                body[at % len(body)] = chance.randrange(256)
            case 2:
                del body[at : at + chance.choice((1, 2, 8, 100))]
            case 3:
                body[at:at] = body[at : at + chance.choice((1, 20, 300))]
            case 4 | 5:
                body[at : at + chance.choice((0, 1, 4))] = chance.choice(TOKENS)
            case 6:
                other = chance.choice(others)
                body[at:] = other[chance.randrange(len(other)) :]
            case _:
                del body[at:]
    return bytes(body)


def hostile() -> Iterator[tuple[str, bytes]]:
    """Files that claim, nest or repeat without end."""
    lots = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x"}">' for n in range(12))
    markers = '<InstrumentMarkerList coordinateSpace="RAS">'
    yield "entity bomb", f"<!DOCTYPE a [{lots}]>{markers}&e11;</InstrumentMarkerList>".encode()
    yield "external entity", f'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>{markers}&x;</InstrumentMarkerList>'.encode()
    yield "external document type", f'<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd">{markers}</InstrumentMarkerList>'.encode()
    yield "deep xml", b"<a>" * 3_000_000
    yield "wide xml", markers.encode() + b"<a/>" * 3_000_000
    yield "many attributes", b"<stmp " + b" ".join(b'a%d="1"' % n for n in range(400_000)) + b"/>"
    yield "long attribute", b'<stmp a="' + b"x" * 15_000_000 + b'"/>'
    yield "deep json", b'{"markups":' + b"[" * 4_000_000
    yield "deep json object", b'{"a":' * 1_000_000
    yield "wide json", b'{"markups":[' + b"[]," * 2_700_000 + b"[]]}"
    yield "huge number", b'{"targets":[{"key":"a","targetCoord":[' + b"9" * 1_000_000 + b",0,0]}]}"
    yield "not a number", b'{"targets":[{"key":"a","targetCoord":[NaN,0,0]}]}'
    yield "lines", b"Generic,1,2,3,a\n" * 2_000_000
    yield "tabs", b"# Version: 14\n# Coordinate system: NIfTI:Q:Scanner\n# Target Name\tLoc. X\n" + b"\t" * 30_000_000
    yield "columns", b"# Version: 14\n# Coordinate system: NIfTI:Q:Scanner\n# Target Name" + b"\tLoc. X" * 4_000_000 + b"\n"
    yield "bids columns", b"target_x\ttarget_y\ttarget_z\t" + b"\t".join(b"c%d" % n for n in range(200_000)) + b"\n"
    yield "commas", b"CoilPos," + b"," * 30_000_000
    yield "quotes", b'CoilPos,"' + b'""' * 15_000_000
    yield "too large", b"#" * (MOST_BYTES + 1)
    yield "not utf-8", b"# Version: 14\n# Created by: \xff\xfe\n"
    yield "zeros", b"\0" * 1_000_000
    yield from _hostile_matlab()


def _hostile_matlab() -> Iterator[tuple[str, bytes]]:
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"

    def part(kind: int, data: bytes) -> bytes:
        return kind.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data + b"\0" * (-len(data) % 8)

    def array(kind: int, shape: tuple[int, ...], *parts: bytes) -> bytes:
        dims = b"".join(n.to_bytes(4, "little", signed=True) for n in shape)
        return part(14, part(6, kind.to_bytes(8, "little")) + part(5, dims) + part(1, b"poslist") + b"".join(parts))

    nested = array(1, (0, 0))
    for _ in range(2_000):
        nested = array(1, (1, 1), nested)
    yield "mat 7.3", b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\0" * 384 + b"\x89HDF\r\n\x1a\n"
    yield "mat hdf5", b"\x89HDF\r\n\x1a\n" + b"\0" * 1000
    yield "mat cell of two thousand million", head + array(1, (2**31 - 1, 2**31 - 1))
    yield (
        "mat struct of two thousand million",
        head + array(2, (2**31 - 1, 1), part(5, (8).to_bytes(4, "little")), part(1, b"pos\0\0\0\0\0")),
    )
    yield "mat numbers of eight gigabytes", head + array(6, (2**30, 1), part(9, b"\0" * 8))
    yield "mat negative dimensions", head + array(6, (-1, -1), part(9, b"\0" * 8))
    yield "mat element of four gigabytes", head + b"\x0e\0\0\0\xff\xff\xff\xff"
    yield "mat object", head + array(3, (1, 1), part(1, b"thing"))
    yield "mat function", head + array(16, (1, 1))
    yield "mat deep", head + nested
    yield "mat bomb", head + part(15, zlib.compress(b"\0" * 500_000_000, 9))
    yield "mat many elements", head + part(15, zlib.compress(array(1, (2_000_000, 1), b"\x0e\0\0\0\0\0\0\0" * 2_000_000), 9))


def run(count: int, seed: int) -> Tally:
    """The hostile ones, and `count` damaged samples, each kind of sample in turn."""
    tally, chance, good = Tally(), random.Random(seed), samples()
    for name, content in hostile():
        before = tally.read
        tally.feed(name, content)
        if tally.read != before:
            tally.crashes.append(f"{name}: was read")
    names, others = list(good), list(good.values())
    for number in range(count):
        name = names[number % len(names)]
        tally.feed(name, damaged(good[name], others, chance))
    return tally


def main() -> int:
    """Run and print; 1 if anything crashed."""
    parser = argparse.ArgumentParser(description="Damaged and hostile files of targets.")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    tally = run(asked.count, asked.seed)
    refused = sum(tally.refused.values())
    print(f"{tally.read + refused + len(tally.crashes)} files: {tally.read} read, {refused} refused, {len(tally.crashes)} crashes")
    for code, count in tally.refused.most_common():
        print(f"  {code}: {count}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"slowest {tally.slowest_s:.2f} s ({tally.slowest}); peak memory {peak_mb} MB, the hostile files themselves included")
    for crash in tally.crashes[:20]:
        print(crash)
    return 1 if tally.crashes else 0


if __name__ == "__main__":
    sys.exit(main())
