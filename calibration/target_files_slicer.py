"""3D Slicer's markups: JSON (.mrk.json) and the older comma-separated .fcsv. Points and lines; LPS unless the file says RAS.

Slicer knows no coil. A coil pose is read only where our own export marked the point as one.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
import numpy as np

from calibration.coil_axes import flip_lps
from calibration.frames import FloatArray, rigid_matrix
from calibration.target_files_source import Entries, Source, columns_of, is_template, lines_of, quoted, rows_of
from calibration.target_files_values import FileTarget, Skipped, TargetFile, TargetFileError, TargetGroup, TargetKind

FCSV_MAGIC: Final = "# Markups fiducial file version"
SPACES: Final[Mapping[str, str]] = {"RAS": "RAS", "0": "RAS", "LPS": "LPS", "1": "LPS"}  # numbers are those of older files
COIL_POSE_MARK: Final = "coil pose, SimNIBS axes"  # begins the description of a point whose orientation is a coil's
COIL_SAMPLE_MARK: Final = f"{COIL_POSE_MARK}, sample"
POINTS, LINE = "Fiducial", "Line"


class _Point(msgspec.Struct, frozen=True, rename="camel"):
    """One control point."""

    id: str = ""
    label: str = ""
    description: str = ""
    position: tuple[float, float, float] | None = None
    orientation: list[float] | None = None
    position_status: str = "defined"

    @property
    def name(self) -> str:
        """What the person reads beside the point."""
        return (self.label or self.id).strip()


class _Markup(msgspec.Struct, frozen=True, rename="camel"):
    """One list of points, or one line."""

    type: str = ""
    name: str = ""
    coordinate_system: str | int | None = None
    coordinate_units: str | list[str] = "mm"
    control_points: list[_Point] = []


class _Document(msgspec.Struct, frozen=True):
    markups: list[_Markup]


def read_mrk_json(content: object, source: Source) -> TargetFile:
    """Points of every list, and lines as entry and target. Raises TargetFileError."""
    try:
        markups = msgspec.convert(content, _Document).markups
    except (msgspec.ValidationError, OverflowError) as error:
        raise source.refusal("unreadable_target_file", f"it is not as Slicer writes it ({error})") from error
    found: list[FileTarget | Skipped] = []
    spaces: list[str] = []
    for index, markup in enumerate(markups):
        spaces.append(_space(markup.coordinate_system, source))
        _refuse_units(markup, source)
        found += _entries(markup, index, spaces[-1], source)
    if not found:
        raise source.refusal("no_targets", "it holds no points")
    entries = Entries.sorted(found)
    return TargetFile(
        file=source.name,
        sha256=source.sha256,
        format=source.format,
        space="+".join(dict.fromkeys(spaces)),
        targets=entries.targets,
        skipped=entries.skipped,
        assumptions=entries.assumptions,
    )


def _space(word: str | int | None, source: Source) -> str:
    if word is None or word == "":
        raise source.refusal("missing_coordinate_space", "it does not state its coordinate system")
    if is_template(str(word)):
        raise source.refusal("template_space_needs_transform", f"its places are in {quoted(str(word))}")
    if str(word) not in SPACES:
        raise source.refusal("unsupported_coordinate_system", f"its coordinate system is {quoted(str(word))}")
    return SPACES[str(word)]


def _refuse_units(markup: _Markup, source: Source) -> None:
    units = markup.coordinate_units
    if (units if isinstance(units, str) else next(iter(units), "")) != "mm":
        raise source.refusal("bad_units", f"its coordinateUnits are {quoted(str(units))}")


def _entries(markup: _Markup, index: int, space: str, source: Source) -> Iterator[FileTarget | Skipped]:
    if markup.type == LINE:
        yield _line(markup, index, space, source)
    elif markup.type == POINTS:
        yield from (_point(point, number, space, source) for number, point in enumerate(markup.control_points))
    else:
        yield Skipped(name=markup.name or markup.type, index=index, reason="unsupported_type")


def _point(point: _Point, index: int, space: str, source: Source) -> FileTarget | Skipped:
    if point.position_status != "defined":
        return Skipped(name=point.name, index=index, reason="not_defined")
    if point.description.startswith(COIL_POSE_MARK):
        return _coil_pose(point, space, source)
    return FileTarget(name=point.name, kind=TargetKind.POINT, position_in_mri_mm=source.point(_place(point, space, source), point.name))


def _coil_pose(point: _Point, space: str, source: Source) -> FileTarget:
    """The orientation's rows are those of the rotation; LPS re-labels space, not the coil's axes."""
    if point.orientation is None or len(point.orientation) != 9:
        raise source.refusal("unreadable_target_file", "a coil pose needs an orientation of nine numbers", point.name)
    axes = np.array(point.orientation).reshape(3, 3)
    axes = np.diag((-1.0, -1.0, 1.0)) @ axes if space == "LPS" else axes
    return FileTarget(
        name=point.name,
        kind=TargetKind.COIL_POSE,
        group=TargetGroup.SAMPLE if point.description.startswith(COIL_SAMPLE_MARK) else TargetGroup.TARGET,
        mri_from_coil=rows_of(source.rigid(rigid_matrix(axes, _place(point, space, source)), point.name)),
    )


def _line(markup: _Markup, index: int, space: str, source: Source) -> FileTarget | Skipped:
    points = markup.control_points
    name = markup.name.strip() or next((point.name for point in reversed(points) if point.name), "")
    if len(points) != 2 or any(point.position_status != "defined" for point in points):
        return Skipped(name=name, index=index, reason="not_two_points")
    entry_mm, target_mm = (source.point(_place(point, space, source), name) for point in points)
    return FileTarget(
        name=name,
        kind=TargetKind.ENTRY_TARGET,
        entry_in_mri_mm=entry_mm,
        position_in_mri_mm=target_mm,
        assumptions=("line_begins_at_entry",),
    )


def _place(point: _Point, space: str, source: Source) -> FloatArray:
    if point.position is None:
        raise source.refusal("unreadable_target_file", "it has no position", point.name)
    return flip_lps(point.position) if space == "LPS" else np.array(point.position)


def read_fcsv(text: str, source: Source) -> TargetFile:
    """Every row as a point; orientations are not used, for their default is ambiguous. Raises TargetFileError."""
    header, rows = _parted(text)
    space = _space(header.get("CoordinateSystem"), source)
    try:
        cells = list(csv.reader(rows, strict=True))
    except csv.Error as error:
        raise source.refusal("unreadable_target_file", f"its rows cannot be parted ({error})") from error
    names = [name.strip() for name in header.get("columns", "").split(",")]
    at = columns_of(names, ("x", "y", "z", "label"), _broken(source))
    if not cells:
        raise source.refusal("no_targets", "it holds no points")
    return TargetFile(
        file=source.name,
        sha256=source.sha256,
        format=source.format,
        space=space,
        targets=tuple(_fcsv_point(row, index, at, space, source) for index, row in enumerate(cells)),
    )


def _parted(text: str) -> tuple[dict[str, str], list[str]]:
    """`# name = value` lines by name, and the rows."""
    lines = [line for line in lines_of(text) if line.strip()]
    pairs = (line[1:].partition("=")[::2] for line in lines if line.startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}, [line for line in lines if not line.startswith("#")]


def _broken(source: Source) -> Callable[[str], TargetFileError]:
    return lambda what: source.refusal("unreadable_target_file", what, "columns")


def _fcsv_point(row: list[str], index: int, at: Mapping[str, int], space: str, source: Source) -> FileTarget:
    entry = f"row {index + 1}"
    if len(row) <= max(at[name] for name in ("x", "y", "z", "label")):
        raise source.refusal("unreadable_target_file", "it is cut off", entry)
    place_mm = np.array([source.number(row[at[name]], entry) for name in ("x", "y", "z")])
    place_mm = flip_lps(place_mm) if space == "LPS" else place_mm
    used = ("x", "y", "z", "label", "ow", "ox", "oy", "oz")
    return FileTarget(
        name=row[at["label"]].strip(),
        kind=TargetKind.POINT,
        position_in_mri_mm=source.point(place_mm, entry),
        extra={name: row[column] for name, column in at.items() if name not in used and column < len(row) and row[column]},
    )
