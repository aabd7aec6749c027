"""Two small files of a chair's bench: the drawing of a coil's marked points, and a block whose distances are known.

Reads and checks. Each is told apart by its SHA-256, which the calibration or report that rests on it keeps.
"""

import hashlib
import math
import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from calibration.coil import POINTS_LIMIT
from calibration.coil_sides import BACK, HANDLE
from calibration.frames import Xyz

FARTHEST_MM = 400.0  # from the coil's centre, and between two divots: beyond it is another unit
LEAST_APART_MM = 10.0


class BenchFileError(Exception):
    """The file cannot be used: what, where, what to do."""

    def __init__(self, what: str, where: Path, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")


class _DrawingFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    coil: str
    points_mm: dict[str, Xyz]


class _BlockFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    block: str
    distances_mm: dict[str, float]


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """Marked points in the coil's axes, mm: origin at the centre of the face, y away from the handle, z into the head."""

    coil: str
    points_mm: dict[str, Xyz]
    sha256: str


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Known distances between divots, mm, and the divots in the order in which they first appear."""

    block: str
    distances_mm: dict[tuple[str, str], float]
    divots: tuple[str, ...]
    sha256: str


Kind = TypeVar("Kind")


def read_drawing(path: Path) -> Drawing:
    """Raises BenchFileError."""
    content, file = _read(path, _DrawingFile)
    points = file.points_mm
    remedy = "Write the points as the coil's drawing has them, in mm from the centre of the face."
    if len(points) < POINTS_LIMIT:
        raise BenchFileError(f"{len(points)} points, at least {POINTS_LIMIT} are needed", path, remedy)
    if taken := {HANDLE, BACK} & points.keys():
        raise BenchFileError(f"a point is called {', '.join(sorted(taken))}, which names another touch", path, "Give it another name.")
    if far := [name for name, point in points.items() if not math.hypot(*point) <= FARTHEST_MM]:
        raise BenchFileError(f"{', '.join(far)}: more than {FARTHEST_MM:.0f} mm from the centre", path, remedy)
    if close := _too_close(points):
        raise BenchFileError(f"{close}: less than {LEAST_APART_MM:.0f} mm apart", path, remedy)
    return Drawing(coil=file.coil, points_mm=points, sha256=_sha256(content))


def read_block(path: Path) -> Block:
    """Raises BenchFileError."""
    content, file = _read(path, _BlockFile)
    distances = {}
    for name, length_mm in file.distances_mm.items():
        a, dash, b = name.partition("-")
        if not dash or not a.strip() or not b.strip() or a.strip() == b.strip():
            raise BenchFileError(f"{name!r} does not name two divots", path, 'Write "A-B" = 50.00.')
        if not LEAST_APART_MM <= length_mm <= FARTHEST_MM:
            raise BenchFileError(f"{name}: {length_mm} mm", path, f"Give distances of {LEAST_APART_MM:.0f} to {FARTHEST_MM:.0f} mm.")
        distances[a.strip(), b.strip()] = length_mm
    if not distances:
        raise BenchFileError("it holds no distance", path, 'Write "A-B" = 50.00 under [distances_mm].')
    divots = tuple(dict.fromkeys(name for pair in distances for name in pair))
    return Block(block=file.block, distances_mm=distances, divots=divots, sha256=_sha256(content))


def _read(path: Path, kind: type[Kind]) -> tuple[bytes, Kind]:
    try:
        content = path.read_bytes()
        return content, msgspec.convert(tomllib.loads(content.decode("utf-8")), kind)
    except OSError as error:
        raise BenchFileError(f"cannot be read ({error.strerror})", path, "Check that it is there and may be read.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, msgspec.ValidationError) as error:
        raise BenchFileError(f"is no such file ({error})", path, "docs/calibration.md shows what it has to look like.") from error


def _too_close(points: dict[str, Xyz]) -> str:
    names = list(points)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return ", ".join(f"{a} and {b}" for a, b in pairs if math.dist(points[a], points[b]) < LEAST_APART_MM)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
