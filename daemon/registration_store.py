"""What was touched, swept, fitted, accepted and checked: one file a day, a JSON line each, every line on disk before it counts.

Each line carries the hash of the one before, so that a line changed or lost shows. Pseudonyms only. Knows no geometry and decides nothing.
"""

import datetime
import hashlib
import os
import zoneinfo
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from daemon.durable import sync_folder
from daemon.registering import Point

Row = tuple[float, float, float, float]
Matrix = tuple[Row, Row, Row, Row]
GENESIS = "0" * 64


class StoreTrouble(Exception):
    """The day's file cannot be written: what, where, what to do."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{where}: {what}. Check the disk and the folder's rights, then try again.")


class HeadKey(msgspec.Struct, frozen=True, kw_only=True):
    """Whose head in which image, by which tools: only with all of it unchanged does a registration mean the same."""

    patient: str
    t1_sha256: str
    scalp_sha256: str
    tools_sha256: str  # definitions of head reference and pointer, and the pointer's tip


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Anything that is recorded."""


class Touched(Entry, frozen=True, kw_only=True, tag="touch"):
    """`apart_mm`: from the earlier touch of the same landmark; `is_kept` false where both were thrown away for it."""

    landmark: str
    tip_in_head_mm: Point
    spread_mm: float
    frames: int
    taken: str
    apart_mm: float | None
    is_kept: bool


class TakenBack(Entry, frozen=True, kw_only=True, tag="taken_back"):
    """Touches or swept points that the operator took back."""

    what: str


class Swept(Entry, frozen=True, kw_only=True, tag="sweep"):
    points_in_head_mm: tuple[Point, ...]
    rejected: dict[str, int]


class Fitted(Entry, frozen=True, kw_only=True, tag="fit"):
    kind: Literal["full", "quick"]
    verdict: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    fre_mm: float
    surface_rms_mm: float | None
    expected_error_mm: float
    expected_parts_mm: dict[str, float]
    mri_from_head: Matrix


class Accepted(Entry, frozen=True, kw_only=True, tag="accept"):
    """`registered`: landmarks as touched, in head. `first_mri_from_head`: of the day's full registration. Moments are the wall clock's."""

    by: str
    kind: Literal["full", "quick"]
    verdict: str
    warnings: tuple[str, ...]
    mri_from_head: Matrix
    first_mri_from_head: Matrix
    registered: dict[str, Point]
    fre_mm: float
    surface_rms_mm: float | None
    share_within_3mm: float | None
    float_mm: float | None
    sweep_points: int
    expected_parts_mm: dict[str, float]
    accepted_utc_ns: int
    expires_utc_ns: int


class Checked(Entry, frozen=True, kw_only=True, tag="check"):
    """`passed`: with this touch the check was whole and within its limits."""

    by: str
    landmark: str
    tip_in_head_mm: Point
    distance_mm: float
    passed: bool
    slipped: bool


class Restored(Entry, frozen=True, kw_only=True, tag="restore"):
    """An earlier run's registration taken up again, after a whole check."""

    by: str
    accepted_utc_ns: int


class Rejected(Entry, frozen=True, kw_only=True, tag="reject"):
    by: str


AnyEntry = Touched | TakenBack | Swept | Fitted | Accepted | Checked | Restored | Rejected


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the file. `prev`: SHA-256 of the line before, without its end."""

    utc: str
    chair: str
    head: HeadKey
    plan_sha256: str
    version: str
    entry: AnyEntry
    prev: str


class RegistrationStore:
    """The day's file in the chair's state folder; `path_of` gives it by the day's date."""

    def __init__(self, path_of: Callable[[str], Path], chair: str, version: str, timezone: str, utc_ns: Callable[[], int]) -> None:
        self._path_of, self._chair, self._version = path_of, chair, version
        self._zone, self._utc_ns = zoneinfo.ZoneInfo(timezone), utc_ns

    def _now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._utc_ns() / 1e9, self._zone)

    def _path(self) -> Path:
        return self._path_of(self._now().date().isoformat())

    def append(self, head: HeadKey, plan_sha256: str, entry: AnyEntry) -> None:
        """On disk when this returns. Raises StoreTrouble."""
        path = self._path()
        try:
            content = path.read_bytes() if path.exists() else b""
            whole = content[: content.rfind(b"\n") + 1]  # what a crash tore off was never promised to anybody
            last = whole.splitlines()[-1] if whole else None
            line = Line(
                utc=self._now().astimezone(datetime.UTC).isoformat(timespec="milliseconds"),
                chair=self._chair,
                head=head,
                plan_sha256=plan_sha256,
                version=self._version,
                entry=entry,
                prev=GENESIS if last is None else hashlib.sha256(last).hexdigest(),
            )
            _write_at(path, len(whole), msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise StoreTrouble(f"the day's registrations cannot be written ({error.strerror})", str(path)) from error

    def accepted_today(self, head: HeadKey) -> Accepted | None:
        """The registration of this head that stood last today; None where any other head, a rejection or a slip came after it.

        Also None where the file was changed, or cannot be read.
        """
        try:
            lines = read_lines(self._path())
        except (OSError, ValueError):
            return None
        standing: Accepted | None = None
        for line in lines:
            match line.entry:
                case Accepted() as accepted:
                    standing = accepted if line.head == head else None
                case Rejected():
                    standing = None
                case Checked(slipped=True):
                    standing = None
                case Touched() | Swept() if line.head != head:
                    standing = None
        now_ns = self._utc_ns()
        return standing if standing is not None and standing.accepted_utc_ns <= now_ns < standing.expires_utc_ns else None


def read_lines(path: Path) -> list[Line]:
    """Every whole line of a day's file in order. Raises OSError, and ValueError where one is not as it was written."""
    lines: list[Line] = []
    prev = GENESIS
    if not path.exists():
        return lines
    for number, content in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not content.endswith(b"\n"):
            return lines  # torn by a crash
        try:
            line = msgspec.json.decode(content, type=Line)
        except msgspec.DecodeError as error:
            raise ValueError(f"{path}: line {number} is not as it was written") from error
        if line.prev != prev:
            raise ValueError(f"{path}: line {number} does not follow from the one before")
        lines.append(line)
        prev = hashlib.sha256(content.rstrip(b"\n")).hexdigest()
    return lines


def tools_sha256(definitions: Mapping[str, str], tip_in_pointer_mm: Point | None) -> str:
    """One hash over those of tool definitions by name and the pointer's tip."""
    return hashlib.sha256(msgspec.json.encode((definitions, tip_in_pointer_mm), order="sorted")).hexdigest()


def _write_at(path: Path, at_bytes: int, line: bytes) -> None:
    is_new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.ftruncate(descriptor, at_bytes)
        os.lseek(descriptor, at_bytes, os.SEEK_SET)
        if os.write(descriptor, line) < len(line):
            raise OSError(None, "the disk is full")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync_folder(path.parent)
