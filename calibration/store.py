"""A calibration as it is kept: what was found, how, by whom, for how long; and everything that stands against using it.

Values and rules. Where the files lie and who may add to them is the daemon's. The hash finds what was altered by accident or by
hand; it is no signature.
"""

import enum
import hashlib
import math
from datetime import datetime
from typing import Literal

import msgspec

from calibration.frames import NotRigid, Transform, Xyz, rigid_from_file

Row = tuple[float, float, float, float]
Rows = tuple[Row, Row, Row, Row]
Tool = Literal["pointer", "coil"]
LONGEST_TOOL_MM = 500.0  # no pointer and no coil's mount is longer: a larger figure is in another unit or frame


class Unfit(enum.StrEnum):
    """Why a calibration is not used."""

    NONE_ACCEPTED = "none_accepted"
    MISSING = "missing"
    ALTERED = "altered"
    REFUSED = "refused"  # by its own gates
    OTHER_TOOL_FILE = "other_tool_file"
    EXPIRED = "expired"
    FROM_THE_FUTURE = "from_the_future"  # the wall clock was set back: nothing tells how old it is
    BAD_FIGURES = "bad_figures"


UNFIT_TEXT: dict[Unfit, str] = {
    Unfit.NONE_ACCEPTED: "none has been accepted",
    Unfit.MISSING: "the accepted one's file is missing",
    Unfit.ALTERED: "it was altered after it was made or accepted",
    Unfit.REFUSED: "its own measurements speak against it",
    Unfit.OTHER_TOOL_FILE: "it was made with another tool definition file (.rom)",
    Unfit.EXPIRED: "it has expired",
    Unfit.FROM_THE_FUTURE: "it is dated after now: the clock was set back",
    Unfit.BAD_FIGURES: "its figures cannot be a tool's",
}


class Altered(ValueError):
    """Content that is not what was sealed, or cannot be."""


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="calibration.v1"):
    """One calibration. A pointer's has its tip, a coil's has the pose of the coil in its marker body, 4x4 rows, mm.

    `numbers` and `residuals_mm` say how well it is known; `refusals` what its own gates say against it; `rests_on` the SHA-256 of what
    it was made with (drawing, plate, calibration of the pointer). `previous_sha256` is that of the version before it.
    """

    tool: Tool
    version: int
    method: str
    taken_utc: str
    taken_by: str
    valid_until_utc: str
    rom_sha256: str
    tip_in_pointer_mm: Xyz | None = None
    coiltool_from_coil: Rows | None = None
    numbers: dict[str, float] = {}
    residuals_mm: dict[str, float] = {}
    refusals: tuple[str, ...] = ()
    rests_on: dict[str, str] = {}
    previous_sha256: str | None = None

    @property
    def sha256(self) -> str:
        return _sha256(self)

    def coil_pose(self) -> Transform | None:
        """coiltool_from_coil with its axes made exact; None where there is none. Raises NotRigid."""
        if self.coiltool_from_coil is None:
            return None
        return rigid_from_file("coiltool", "coil", self.coiltool_from_coil, f"calibration {self.version} of the coil")


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's act: this very calibration is used from now on."""

    tool: Tool
    version: int
    record_sha256: str
    by: str
    utc: str


class Book(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="acceptances.v1"):
    """Every acceptance in the order in which they were given."""

    acceptances: tuple[Acceptance, ...] = ()

    def newest(self, tool: str) -> Acceptance | None:
        return next((each for each in reversed(self.acceptances) if each.tool == tool), None)

    def of(self, tool: str, version: int) -> Acceptance | None:
        """The newest acceptance of that version."""
        return next((each for each in reversed(self.acceptances) if (each.tool, each.version) == (tool, version)), None)


class _Sealed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    content: Record | Book
    sha256: str


def seal(content: Record | Book) -> bytes:
    """A file's content, for people and programs, with its hash. Raises Altered for a figure that is no number."""
    sealed = _Sealed(content=content, sha256=_sha256(content))
    return msgspec.json.format(msgspec.json.encode(sealed), indent=1) + b"\n"


def open_record(text: bytes) -> Record:
    """Raises Altered for anything but a record as `seal` wrote it."""
    content = _opened(text)
    if not isinstance(content, Record):
        raise Altered("it is no calibration")
    return content


def open_book(text: bytes) -> Book:
    """Raises Altered for anything but a book as `seal` wrote it."""
    content = _opened(text)
    if not isinstance(content, Book):
        raise Altered("it is no list of acceptances")
    return content


def against(record: Record, acceptance: Acceptance | None, rom_sha256: str, now_utc_s: float) -> tuple[Unfit, ...]:
    """Everything against using it now, with the tool definition that is loaded; empty means use it."""
    valid_until_s, taken_s = _utc_s(record.valid_until_utc), _utc_s(record.taken_utc)
    holds = {
        Unfit.NONE_ACCEPTED: acceptance is not None,
        Unfit.ALTERED: acceptance is None
        or (acceptance.tool, acceptance.version, acceptance.record_sha256) == (record.tool, record.version, record.sha256),
        Unfit.REFUSED: not record.refusals,
        Unfit.OTHER_TOOL_FILE: record.rom_sha256 == rom_sha256,
        Unfit.EXPIRED: valid_until_s is not None and now_utc_s < valid_until_s,
        Unfit.FROM_THE_FUTURE: taken_s is not None and taken_s <= now_utc_s,
        Unfit.BAD_FIGURES: _is_a_tool(record),
    }
    return tuple(unfit for unfit, is_met in holds.items() if not is_met)


def _is_a_tool(record: Record) -> bool:
    if record.tool == "pointer":
        return record.coiltool_from_coil is None and record.tip_in_pointer_mm is not None and _is_near(record.tip_in_pointer_mm)
    try:
        pose = record.coil_pose()
    except NotRigid:
        return False
    return record.tip_in_pointer_mm is None and pose is not None and _is_near(pose.translation_mm.tolist())


def _is_near(point_mm: Xyz | list[float]) -> bool:
    return math.hypot(*point_mm) <= LONGEST_TOOL_MM  # NaN is not <=


def _utc_s(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.timestamp()


def _sha256(content: Record | Book) -> str:
    """Of the content as it reads back, in one spelling: 5 and 5.0 are the same figure."""
    try:
        as_read = msgspec.json.decode(msgspec.json.encode(content), type=type(content))
    except msgspec.ValidationError as error:
        raise Altered(f"a figure in it is no number ({error})") from error
    return hashlib.sha256(msgspec.json.encode(as_read, order="deterministic")).hexdigest()


def _opened(text: bytes) -> Record | Book:
    try:
        sealed = msgspec.json.decode(text, type=_Sealed)
    except (ValueError, RecursionError) as error:
        raise Altered(f"it cannot be read ({error})") from error
    if sealed.sha256 != _sha256(sealed.content):
        raise Altered("its content is not what its hash says")
    return sealed.content
