"""The file at hand while it is read: its name, checksum and image, and the checks of numbers that every format shares.

A number passes here or the whole file is refused; what a format means is not decided here.
"""

import collections
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from calibration.frames import ORTHONORMAL_TOLERANCE, FloatArray, NotRigid, Xyz, rigid_from_file
from calibration.target_files_image import SourceImage
from calibration.target_files_values import FileTarget, Landmark, Matrix, Row, Skipped, TargetFileError, TargetFormat

MAX_COORDINATE_MM: Final = 400.0  # no head lies further from a scanner's zero; beyond, the unit or the space is another
DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
NOT_FINITE: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
LONGEST_NUMBER: Final = 100
LONGEST_QUOTE: Final = 60  # of a file's own words in a message
TEMPLATE_WORDS: Final = ("mni", "talairach", "template", "fsaverage", "fslr", "icbm", "ixi549", "nihpd", "oasis30", "uncinfant")
REMEDIES: Final[Mapping[str, str]] = {
    "unreadable_target_file": "Export it again, and do not edit it by hand.",
    "not_utf8": "Save it as UTF-8.",
    "too_large": "Export the targets alone.",
    "unknown_format": "Give a Brainsight, Localite, SimNIBS, NaviNIBS, InVesalius, NIBS-BIDS, 3D Slicer, ANT or SofTaxic file of targets.",
    "unsupported_version": "Export it again in a version that is read here.",
    "missing_coordinate_space": "Export it again with its coordinate space stated; a space is never guessed.",
    "unsupported_coordinate_system": "Export it again in the world coordinates of the NIfTI T1.",
    "template_space_needs_transform": "Carry the points into the person's T1 first, by the template's name and a transform.",
    "unsupported_axes": "Export it again with the axes of SimNIBS.",
    "bad_units": "Export it again in millimetres.",
    "not_finite": "Remove that entry and export again.",
    "coordinate_out_of_range": "Check units and space: it lies further out than any head.",
    "not_affine": "Export the pose again, or check which program wrote it.",
    "left_handed_axes": "Export the pose again, or check which program and which axes wrote it.",
    "axes_not_orthonormal": "Export the pose again, or check which program and which axes wrote it.",
    "no_targets": "Choose the targets in the program that wrote it, and export again.",
    "multiple_targets": "Mark one target alone and export again.",
    "image_needed": "Give the T1 that the file was made with.",
    "wrong_image": "Give the T1 that the file was made with.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """The file beside a file: its name and bytes."""

    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Of the bytes, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file being read. `image` is the image it is said to speak of, `sidecar` the coordinate system's file where one belongs to it."""

    name: str
    sha256: str
    format: TargetFormat
    image: SourceImage | None = None
    sidecar: Sidecar | None = None

    def refusal(self, code: str, what: str, entry: str | None = None) -> TargetFileError:
        """The error that ends the reading of this file."""
        return refusal(code, what, self.name if entry is None else f"{self.name}, {quoted(entry)}", self.format)

    def number(self, text: str, entry: str) -> float:
        """A finite decimal number from text."""
        word = text.strip()
        if NOT_FINITE.fullmatch(word):
            raise self.refusal("not_finite", f"{word} stands where a number is needed", entry)
        if len(word) > LONGEST_NUMBER or not DECIMAL.fullmatch(word):
            raise self.refusal("unreadable_target_file", f"{quoted(word)} is not a decimal number", entry)
        return self.finite(float(word), entry)

    def finite(self, value: float, entry: str) -> float:
        """The number itself, unless it is NaN or infinite."""
        if not np.isfinite(value):
            raise self.refusal("not_finite", "a value is not a finite number", entry)
        return value

    def point(self, values_mm: ArrayLike, entry: str) -> Xyz:
        """A place (3,) in RAS mm, finite and within 400 mm."""
        x, y, z = np.asarray(values_mm, dtype=np.float64).tolist()
        for value in (x, y, z):
            self.finite(value, entry)
        if not max(abs(x), abs(y), abs(z)) <= MAX_COORDINATE_MM:
            raise self.refusal("coordinate_out_of_range", f"({x:g}, {y:g}, {z:g}) mm lies beyond {MAX_COORDINATE_MM:g} mm", entry)
        return x + 0.0, y + 0.0, z + 0.0

    def rigid(self, matrix: ArrayLike, entry: str, tolerance: float = ORTHONORMAL_TOLERANCE) -> FloatArray:
        """A rigid 4x4, its rotation the nearest proper one; position finite and within 400 mm."""
        try:
            checked = rigid_from_file("mri", "coil", matrix, entry, tolerance).matrix
        except NotRigid as error:
            raise self.refusal(error.code, error.what, entry) from error
        self.point(checked[:3, 3], entry)
        return checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """What a format's reader found, in the file's order."""

    targets: tuple[FileTarget, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    landmarks: tuple[Landmark, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Every code that a target carries."""
        return doubts_of(*(target.warnings for target in self.targets))

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Every code that a target carries."""
        return doubts_of(*(target.assumptions for target in self.targets))

    @classmethod
    def sorted(cls, found: Sequence[FileTarget | Skipped | Landmark]) -> "Entries":
        """By kind, each in the order given."""
        return cls(
            targets=tuple(entry for entry in found if isinstance(entry, FileTarget)),
            skipped=tuple(entry for entry in found if isinstance(entry, Skipped)),
            landmarks=tuple(entry for entry in found if isinstance(entry, Landmark)),
        )


def doubts_of(*groups: Iterable[str]) -> tuple[str, ...]:
    """Every code once, in the order they first come."""
    return tuple(dict.fromkeys(itertools.chain.from_iterable(groups)))


def refusal(code: str, what: str, where: str, file_format: TargetFormat | None = None) -> TargetFileError:
    """The error of that code, with its remedy."""
    return TargetFileError(code, what, where, REMEDIES[code], file_format)


def quoted(text: str) -> str:
    """A file's own words, short enough and printable, for a message."""
    shown = text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."
    return repr(shown)


def rows_of(matrix: FloatArray) -> Matrix:
    """A 4x4 as four rows of four numbers."""
    first, second, third, fourth = (_row(row) for row in (matrix + 0.0).tolist())
    return first, second, third, fourth


def _row(row: Sequence[float]) -> Row:
    a, b, c, d = row
    return a, b, c, d


def is_template(space: str) -> bool:
    """The declared space is that of a template, not of a person."""
    folded = space.casefold()
    return any(word in folded for word in TEMPLATE_WORDS)


def lines_of(text: str) -> list[str]:
    r"""Lines that end in \n or \r\n; no other character parts them."""
    return [line.removesuffix("\r") for line in text.split("\n")]


def columns_of(names: Sequence[str], needed: Sequence[str], refuse: Callable[[str], TargetFileError]) -> Mapping[str, int]:
    """Where each column stands. Raises what `refuse` makes of a needed name that is missing or stands twice."""
    counts = collections.Counter(names)
    for name in needed:
        if counts[name] != 1:
            raise refuse(f"column {quoted(name)} stands there {counts[name]} times")
    return {name: index for index, name in reversed(list(enumerate(names)))}
