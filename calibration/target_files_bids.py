"""NIBS-BIDS (BEP037), a moving draft: a table of markers and the JSON beside it that names space and units.

Two sets of columns are in use: `element_centre` with three axes (6.3), and `coil`, `normal`, `direction` (6.2). Senses that the
draft leaves open are taken one way and said so.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from calibration.frames import FloatArray, Xyz, rigid_matrix
from calibration.plain_json import JsonError, parse_json
from calibration.target_files_source import (
    DECIMAL,
    Entries,
    Sidecar,
    Source,
    columns_of,
    doubts_of,
    is_template,
    lines_of,
    quoted,
    rows_of,
)
from calibration.target_files_values import (
    FileTarget,
    ImageWords,
    Matrix,
    Skipped,
    TargetFile,
    TargetFileError,
    TargetGroup,
    TargetKind,
)

MISSING: Final = frozenset({"n/a", ""})
MM_PER_UNIT: Final[Mapping[str, float]] = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
INDIVIDUAL: Final = "IndividualMRI"
ELEMENT_CENTRE: Final = "element_centre"  # variants, by the columns that tell them apart
COIL_NORMAL: Final = "coil_normal_direction"
COIL_TRANSFORM: Final = "coil_transform"
NAMES: Final = ("position_label", "target_label", "nibs_position_id", "target_id")
HALLMARKS: Final = frozenset({"element_centre_x", "coil_x", "coil_transform", "target_x", "nibs_position_id", "target_id"})
MOST_SIDECAR_BYTES: Final = 2**20
NORMAL_IS_OUTWARD: Final = "normal_is_outward"
DIRECTION_IS_Y: Final = "direction_is_away_from_handle"
TRANSFORM_IS_OURS: Final = "coil_transform_axes_are_simnibs"


class _CoordinateSystem(msgspec.Struct, frozen=True):
    """The part of the sidecar that is used."""

    space: str = msgspec.field(default="", name="NIBSCoordinateSystem")
    units: str = msgspec.field(default="", name="NIBSCoordinateUnits")
    intended_for: str | list[str] = msgspec.field(default="", name="IntendedFor")

    @property
    def image(self) -> str | None:
        """The image that is named, or the images."""
        return (self.intended_for if isinstance(self.intended_for, str) else ", ".join(self.intended_for)) or None


def is_markers_table(text: str) -> bool:
    """The first line names columns of either set."""
    columns = text.partition("\n")[0].removesuffix("\r").split("\t")
    return len(columns) > 3 and not HALLMARKS.isdisjoint(columns)


def find_coordinate_system(markers: Path) -> Path | None:
    """The `*_coordsystem.json` beside a `*_markers.tsv` all of whose name's parts stand in the table's, the closest.

    None where there is none, or two are as close.
    """
    own = _parts(markers.name, "_markers.tsv")
    beside = markers.parent.glob("*_coordsystem.json") if own is not None else ()
    fitting = [(len(parts), path) for path in beside if (parts := _parts(path.name, "_coordsystem.json")) and own and parts <= own]
    most = max((count for count, _ in fitting), default=0)
    closest = [path for count, path in fitting if count == most]
    return closest[0] if len(closest) == 1 else None


def _parts(name: str, ending: str) -> frozenset[str] | None:
    return frozenset(name.removesuffix(ending).split("_")) if name.endswith(ending) else None


def read_bids(text: str, source: Source) -> TargetFile:
    """Each marker as a coil pose, a line or a point. Raises TargetFileError."""
    system = _coordinate_system(source)
    space, mm_per_unit = system.space, _checked_space(system, source)
    rows = list(_rows(text, source))
    if not rows:
        raise source.refusal("no_targets", "its table has no rows")
    variant = _variant(rows[0])
    found = [_entry(_Row(row, index, mm_per_unit, source), variant) for index, row in enumerate(rows)]
    entries = Entries.sorted(found)
    sense = ("handle_sense_assumed",) if variant == ELEMENT_CENTRE and any(target.mri_from_coil for target in entries.targets) else ()
    return TargetFile(
        file=source.name,
        sha256=source.sha256,
        format=source.format,
        space=space,
        variant=variant,
        sidecar=None if source.sidecar is None else source.sidecar.name,
        sidecar_sha256=None if source.sidecar is None else source.sidecar.sha256,
        targets=entries.targets,
        skipped=entries.skipped,
        warnings=doubts_of(sense, entries.warnings),
        assumptions=entries.assumptions,
        image=ImageWords(named=system.image),
    )


def _coordinate_system(source: Source) -> _CoordinateSystem:
    sidecar: Sidecar | None = source.sidecar
    if sidecar is None:
        raise source.refusal("missing_coordinate_space", "no coordsystem.json of this table's own stands beside it")
    if len(sidecar.content) > MOST_SIDECAR_BYTES:
        raise source.refusal("too_large", f"it is longer than {MOST_SIDECAR_BYTES >> 20} MB", sidecar.name)
    try:
        return msgspec.convert(parse_json(sidecar.content.decode("utf-8-sig")), _CoordinateSystem)
    except (JsonError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise source.refusal("unreadable_target_file", f"it is no usable coordinate system ({error})", sidecar.name) from error


def _checked_space(system: _CoordinateSystem, source: Source) -> float:
    """Millimetres in one unit of a person's own space."""
    space = system.space.strip()
    if space in MISSING:
        raise source.refusal("missing_coordinate_space", "its NIBSCoordinateSystem is not stated")
    if is_template(space):
        raise source.refusal("template_space_needs_transform", f"its places are in {quoted(space)}")
    if space != INDIVIDUAL:
        raise source.refusal("unsupported_coordinate_system", f"its NIBSCoordinateSystem is {quoted(space)}")
    if system.units not in MM_PER_UNIT:
        raise source.refusal("bad_units", f"its NIBSCoordinateUnits are {quoted(system.units)}")
    return MM_PER_UNIT[system.units]


def _rows(text: str, source: Source) -> Iterator[Mapping[str, str]]:
    header, *lines = lines_of(text)
    names = [name.strip() for name in header.split("\t")]

    def broken(what: str) -> TargetFileError:
        return source.refusal("unreadable_target_file", what, "line 1")

    at = columns_of(names, [name for name in dict.fromkeys(names) if name], broken)
    for number, line in enumerate(lines, 2):
        if line.strip():
            cells = line.split("\t")
            if len(cells) != len(names):
                what = f"{len(cells)} values stand under {len(names)} columns"
                raise source.refusal("unreadable_target_file", what, f"line {number}")
            yield {name: cells[column].strip() for name, column in at.items()}


def _variant(row: Mapping[str, str]) -> str:
    if "element_centre_x" in row:
        return ELEMENT_CENTRE
    return COIL_TRANSFORM if "coil_transform" in row and "coil_x" not in row else COIL_NORMAL


class _Row:
    """One row, with its places in mm."""

    def __init__(self, cells: Mapping[str, str], index: int, mm_per_unit: float, source: Source) -> None:
        self.cells, self.index, self.source = cells, index, source
        self.name = next((cells[column] for column in NAMES if cells.get(column, "") not in MISSING), "")
        self.entry = self.name or f"row {index + 1}"
        self.mm_per_unit = mm_per_unit

    def place(self, what: str) -> Xyz | None:
        """The place in mm, None unless all three numbers are there."""
        numbers = self.direction(what)
        return None if numbers is None else self.source.point(self.mm_per_unit * numbers, self.entry)

    def direction(self, what: str) -> FloatArray | None:
        """Three numbers as they stand, None unless all are there."""
        words = [self.cells.get(f"{what}_{axis}", "") for axis in "xyz"]
        return None if not MISSING.isdisjoint(words) else np.array([self.source.number(word, self.entry) for word in words])

    def pose(self, centre: Xyz, x_axis: FloatArray | None, y_axis: FloatArray, z_axis: FloatArray) -> Matrix:
        """Checked for right angles and handedness; a missing x axis is y cross z."""
        axes = np.column_stack((np.cross(y_axis, z_axis) if x_axis is None else x_axis, y_axis, z_axis))
        return rows_of(self.source.rigid(rigid_matrix(axes, np.array(centre)), self.entry))

    def measure(self, column: str) -> float | None:
        """An informative number, None unless it is one."""
        word = self.cells.get(column, "")
        return float(word) if DECIMAL.fullmatch(word) else None


def _entry(row: _Row, variant: str) -> FileTarget | Skipped:
    pose, assumptions = {ELEMENT_CENTRE: _element_pose, COIL_NORMAL: _normal_pose, COIL_TRANSFORM: _transform_pose}[variant](row)
    target, entry = row.place("target"), row.place("entry")
    if pose is None and target is None:
        return Skipped(name=row.name, index=row.index, reason="null_position")
    kind = TargetKind.COIL_POSE if pose else TargetKind.ENTRY_TARGET if entry else TargetKind.POINT
    group = row.cells.get("group", "")
    return FileTarget(
        name=row.name,
        kind=kind,
        group=TargetGroup.SAMPLE if group == TargetGroup.SAMPLE else TargetGroup.TARGET,
        mri_from_coil=pose,
        cortex_in_mri_mm=target if pose else None,
        position_in_mri_mm=None if pose else target,
        entry_in_mri_mm=entry,
        associated_target=_word(row, "associated_target"),
        recorded_ms=row.measure("recorded_ms"),
        amplitude_pct_mso=row.measure("amplitude_pct_mso"),
        assumptions=assumptions,
        extra=_extra(row.cells),
    )


def _element_pose(row: _Row) -> tuple[Matrix | None, tuple[str, ...]]:
    """z into the head, y along the handle; the sense of y is told by a warning of the whole file."""
    centre, y_axis, z_axis = row.place("element_centre"), row.direction("element_ydir"), row.direction("element_zdir")
    if centre is None or y_axis is None or z_axis is None:
        return None, ()
    return row.pose(centre, row.direction("element_xdir"), y_axis, z_axis), ()


def _normal_pose(row: _Row) -> tuple[Matrix | None, tuple[str, ...]]:
    """Where the row has no normal and direction, the transform counts if there is one."""
    centre, normal, direction = row.place("coil"), row.direction("normal"), row.direction("direction")
    if centre is None or normal is None or direction is None:
        return _transform_pose(row)
    return row.pose(centre, None, direction, -normal), (NORMAL_IS_OUTWARD, DIRECTION_IS_Y)


def _transform_pose(row: _Row) -> tuple[Matrix | None, tuple[str, ...]]:
    """Sixteen numbers by rows, as JSON or parted by commas, semicolons or blanks; the translation in the file's unit."""
    text = row.cells.get("coil_transform", "")
    if text in MISSING:
        return None, ()
    words = [word for word in re.split(r"[\s,;\[\]]+", text) if word]
    if len(words) != 16:
        raise row.source.refusal("unreadable_target_file", f"coil_transform holds {len(words)} numbers, not 16", row.entry)
    matrix = np.array([row.source.number(word, row.entry) for word in words]).reshape(4, 4)
    matrix[:3, 3] *= row.mm_per_unit
    return rows_of(row.source.rigid(matrix, row.entry)), (TRANSFORM_IS_OURS,)


def _word(row: _Row, column: str) -> str | None:
    word = row.cells.get(column, "")
    return None if word in MISSING else word


def _extra(cells: Mapping[str, str]) -> dict[str, str]:
    places = ("element_centre", "element_xdir", "element_ydir", "element_zdir", "target", "entry", "coil", "normal", "direction")
    used: Sequence[str] = (*NAMES, "coil_transform", "group", "associated_target", "recorded_ms", "amplitude_pct_mso")
    used = (*used, *(f"{place}_{axis}" for place in places for axis in "xyz"))
    return {column: cell for column, cell in cells.items() if column not in used and cell not in MISSING}
