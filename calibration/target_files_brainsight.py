"""Brainsight's text export: sections of tab-separated rows, columns found by name. Versions 7 and 12 to 14 have been seen.

Which pose belongs to which frame is decided by the declared coordinate system; tracker-space sections are left out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from calibration.coil_axes import CoilAxes, from_axes
from calibration.frames import ORTHONORMAL_TOLERANCE, rigid_matrix
from calibration.nifti import AffineSource
from calibration.target_files_source import DECIMAL, Entries, Source, columns_of, doubts_of, is_template, lines_of, quoted, rows_of
from calibration.target_files_values import (
    FileTarget,
    ImageWords,
    Landmark,
    Matrix,
    Skipped,
    TargetFile,
    TargetFileError,
    TargetGroup,
    TargetKind,
)

PLACE: Final = ("Loc. X", "Loc. Y", "Loc. Z")
AXES: Final = tuple(f"m{axis}n{part}" for axis in range(3) for part in range(3))  # component `part` of axis vector `axis`
NULL: Final = frozenset({"(null)", ""})
ROUNDED_DECIMALS: Final = 3  # versions up to 7
ROUNDED_TOLERANCE: Final = 1.75e-3  # of R'R: half a unit of the third decimal in each of three numbers, 2 sqrt(3) 0.0005
FIRST_WITH_SOURCE: Final = 14  # from here on the space names qform or sform
CODES: Final[Mapping[str, int]] = {"Scanner": 1, "Aligned": 2}  # nifti1.h, NIFTI_XFORM_*
FORMS: Final[Mapping[str, AffineSource]] = {"Q": "qform", "S": "sform"}
SET_ASIDE: Final[Mapping[str, str]] = {
    "Session Landmark Name": "they may be in the tracker's space",
    "Session Name": "they may be in the tracker's space",
    "Electrode Name": "they are no coil targets",
}


@dataclass(slots=True)
class _Section:
    """A table within the file; `begins` is the line of its header."""

    columns: list[str]
    begins: int
    rows: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One row by column name, and its number among its section's rows."""

    name: str
    index: int
    cells: Mapping[str, str]

    @property
    def entry(self) -> str:
        return self.name or f"row {self.index + 1}"


def read_brainsight(text: str, source: Source) -> TargetFile:
    """Targets and samples as coil poses, planned landmarks as landmarks. Raises TargetFileError."""
    header, sections = _parsed(text, source)
    version = _version(header, source)
    space = header.get("coordinate system", "")
    _refuse_space(space, version, source)
    _refuse_units(header, source)
    found: list[FileTarget | Skipped | Landmark] = []
    for section in sections:
        if read := READERS.get(section.columns[0]):
            found += [read(row, source) for row in _rows(section, source)]
    if not found:
        raise source.refusal("no_targets", "it holds no targets, samples or landmarks")
    entries = Entries.sorted(found)
    verified = _agrees_with_image(space, version, source)
    unchecked = ("needs_image_sform_check",) if space.startswith("NIfTI:S:") and not verified else ()
    return TargetFile(
        file=source.name,
        sha256=source.sha256,
        format=source.format,
        version=version,
        space=space,
        targets=entries.targets,
        landmarks=entries.landmarks,
        skipped=entries.skipped,
        warnings=doubts_of(unchecked, entries.warnings),
        remarks=tuple(_remarks(sections)),
        image=ImageWords(verified=verified),
    )


def _parsed(text: str, source: Source) -> tuple[dict[str, str], list[_Section]]:
    """The header by its keys in lower case, and the sections."""
    header: dict[str, str] = {}
    sections: list[_Section] = []
    for number, line in enumerate(lines_of(text), 1):
        if line.startswith("# ") and "\t" in line and not _is_row(line):
            sections.append(_Section(line[2:].split("\t"), number))
        elif line.startswith("#") and not sections:
            key, _, value = line[1:].partition(":")
            if header.setdefault(key.strip().casefold(), value.strip()) != value.strip():
                raise source.refusal("unreadable_target_file", f"{quoted(key.strip())} is stated twice and differs", f"line {number}")
        elif line.strip() and "\t" in line:
            if not sections:
                raise source.refusal("unreadable_target_file", "a row stands before any line of column names", f"line {number}")
            sections[-1].rows.append(line)
        elif line.strip() and not line.startswith("#"):
            raise source.refusal("unreadable_target_file", "this line is neither header nor row", f"line {number}")
    return header, sections


def _is_row(line: str) -> bool:
    """A row whose name begins like a line of column names: numbers stand in its cells."""
    return any(cell == "(null)" or DECIMAL.fullmatch(cell) for cell in line.split("\t")[1:])


def _version(header: Mapping[str, str], source: Source) -> int:
    word = header.get("version", "")
    if not (word.isascii() and word.isdigit() and 0 < len(word) <= 3) or int(word) == 0:
        raise source.refusal("unsupported_version", f"its version is {quoted(word)}")
    return int(word)


def _refuse_space(space: str, version: int, source: Source) -> None:
    if not space:
        raise source.refusal("missing_coordinate_space", "it does not state its coordinate system")
    if is_template(space):
        raise source.refusal("template_space_needs_transform", f"its places are in {space}")
    match space.split(":"):
        case ["NIfTI", code] if version < FIRST_WITH_SOURCE and code in CODES:
            return
        case ["NIfTI", form, code] if version >= FIRST_WITH_SOURCE and form in FORMS and code in CODES:
            return
    raise source.refusal("unsupported_coordinate_system", f"{quoted(space)} of version {version} is not the world of a NIfTI image")


def _refuse_units(header: Mapping[str, str], source: Source) -> None:
    units = header.get("units", "millimetres").casefold()
    if not units.startswith(("millimetre", "millimeter", "mm")):
        raise source.refusal("bad_units", f"its units are {quoted(units)}")


def _agrees_with_image(space: str, version: int, source: Source) -> bool:
    """The given image has the form and code that the file names. Raises TargetFileError where it has not; False with no header at hand."""
    image = source.image
    if image is None or image.header is None:
        return False
    *_, code_name = space.split(":")
    codes: dict[AffineSource, int] = {"qform": image.header.q_code, "sform": image.header.s_code}
    # Where both forms have the code, programs before 14 took the qform (up to Brainsight 2.5.2).
    by_code: AffineSource = "qform" if codes["qform"] == CODES[code_name] else "sform"
    form = FORMS[space.split(":")[1]] if version >= FIRST_WITH_SOURCE else by_code
    if codes[form] != CODES[code_name]:
        what = f"{quoted(space)} speaks of an image whose {form} is {code_name.lower()}; that of the given one is not"
        raise source.refusal("wrong_image", what)
    if image.was_picked and image.affine_source != form:
        what = f"{quoted(space)} speaks of the {form}; of the given image the {image.affine_source} was picked"
        raise source.refusal("wrong_image", what)
    return True


def _rows(section: _Section, source: Source) -> Iterator[_Row]:
    def broken(what: str, line: int = section.begins) -> TargetFileError:
        return source.refusal("unreadable_target_file", what, f"section of line {line}")

    axes = () if section.columns[0].endswith("Landmark Name") else AXES
    at = columns_of(section.columns, (section.columns[0], *PLACE, *axes), broken)
    least = 1 + max(at[name] for name in (*PLACE, *axes))
    for index, line in enumerate(section.rows):
        cells = line.split("\t")
        if len(cells) < least:
            raise broken(f"row {index + 1} is cut off")
        yield _Row(name=cells[0].strip(), index=index, cells={name: cells[column] for name, column in at.items() if column < len(cells)})


def _target(row: _Row, source: Source) -> FileTarget | Skipped:
    posed = _pose(row, source)
    if posed is None:
        return Skipped(name=row.name, index=row.index, reason="null_position")
    pose, warnings = posed
    return FileTarget(name=row.name, kind=TargetKind.COIL_POSE, mri_from_coil=pose, warnings=warnings, extra=_extra(row))


def _sample(row: _Row, source: Source) -> FileTarget | Skipped:
    posed = _pose(row, source)
    if posed is None:
        return Skipped(name=row.name, index=row.index, reason="null_position")
    pose, warnings = posed
    moment = " ".join(word for word in (_word(row, "Date"), _word(row, "Time")) if word)
    return FileTarget(
        name=row.name,
        kind=TargetKind.COIL_POSE,
        group=TargetGroup.SAMPLE,
        mri_from_coil=pose,
        associated_target=_word(row, "Assoc. Target"),
        recorded_local=moment or None,
        amplitude_pct_mso=_power(row),
        warnings=warnings,
        extra=_extra(row),
    )


def _landmark(row: _Row, source: Source) -> Landmark | Skipped:
    words = [row.cells[name].strip() for name in PLACE]
    if not NULL.isdisjoint(words):
        return Skipped(name=row.name, index=row.index, reason="null_position")
    place = source.point([source.number(word, row.entry) for word in words], row.entry)
    return Landmark(name=row.name, position_in_mri_mm=place)


READERS: Final[Mapping[str, Callable[[_Row, Source], FileTarget | Skipped | Landmark]]] = {
    "Target Name": _target,
    "Sample Name": _sample,
    "Planned Landmark Name": _landmark,
}


def _pose(row: _Row, source: Source) -> tuple[Matrix, tuple[str, ...]] | None:
    """mri_from_coil and what speaks against it; None where any part is empty."""
    words = [row.cells[name].strip() for name in (*PLACE, *AXES)]
    if not NULL.isdisjoint(words):
        return None
    numbers = np.array([source.number(word, row.entry) for word in words])
    theirs = rigid_matrix(numbers[3:].reshape(3, 3).T, numbers[:3])
    is_rounded = max(len(word.partition(".")[2]) for word in words[3:]) <= ROUNDED_DECIMALS
    pose = source.rigid(from_axes(theirs, CoilAxes.BRAINSIGHT), row.entry, ROUNDED_TOLERANCE if is_rounded else ORTHONORMAL_TOLERANCE)
    off = float(np.abs(theirs[:3, :3].T @ theirs[:3, :3] - np.eye(3)).max())
    return rows_of(pose), ("axes_rounded",) if off > ORTHONORMAL_TOLERANCE else ()


def _word(row: _Row, column: str) -> str | None:
    word = row.cells.get(column, "").strip()
    return None if word in NULL else word


def _power(row: _Row) -> float | None:
    """Percent of output: one column up to version 7, A and B since; a value of several parts has no single one."""
    word = _word(row, "Stim. Power A") or _word(row, "Stim. Power")
    return float(word) if word is not None and DECIMAL.fullmatch(word) else None


def _extra(row: _Row) -> dict[str, str]:
    used = {*PLACE, *AXES, "Target Name", "Sample Name", "Assoc. Target", "Date", "Time"}
    return {name: cell for name, cell in row.cells.items() if name not in used and cell.strip() not in NULL}


def _remarks(sections: list[_Section]) -> Iterator[str]:
    for section in sections:
        if section.rows and section.columns[0] not in READERS:
            why = SET_ASIDE.get(section.columns[0], "their meaning is not known")
            yield f"{len(section.rows)} rows of {quoted(section.columns[0])} are left out: {why}."
