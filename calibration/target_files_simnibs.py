"""SimNIBS' positions: comma-separated rows, and sessions in MATLAB 5 files. Subject RAS by the program's convention; no file says so."""

import csv
import itertools
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from calibration.frames import rigid_matrix
from calibration.mat5 import Cell, MatError, MatValue, Structs, read_mat5
from calibration.target_files_source import DECIMAL, Entries, Source, lines_of, rows_of
from calibration.target_files_values import FileTarget, ImageWords, Skipped, TargetFile, TargetGroup, TargetKind

SPACE: Final = "subject RAS"
ROW_GROUPS: Final[Mapping[str, TargetGroup]] = {
    "CoilPos": TargetGroup.TARGET,
    "Generic": TargetGroup.TARGET,
    "Fiducial": TargetGroup.FIDUCIAL,
    "Electrode": TargetGroup.ELECTRODE,
    "ReferenceElectrode": TargetGroup.ELECTRODE,
}
A_PER_S_IN_A_PER_US: Final = 1e6


def read_simnibs_csv(text: str, source: Source) -> TargetFile:
    """Coil positions as poses, every other row as a point. Raises TargetFileError."""
    found = [_row(cells, index, source) for index, cells in enumerate(_rows(text, source))]
    if not found:
        raise source.refusal("no_targets", "it holds no rows")
    entries = Entries.sorted(found)
    return TargetFile(
        file=source.name, sha256=source.sha256, format=source.format, space=SPACE, targets=entries.targets, skipped=entries.skipped
    )


def _rows(text: str, source: Source) -> Iterator[list[str]]:
    """Cells of each row; a first line whose second field is no number is a line of column names."""
    try:
        rows = [[cell.strip() for cell in cells] for cells in csv.reader(lines_of(text), strict=True) if any(map(str.strip, cells))]
    except csv.Error as error:
        raise source.refusal("unreadable_target_file", f"its rows cannot be parted ({error})") from error
    for index, cells in enumerate(rows):
        if index or (len(cells) > 1 and DECIMAL.fullmatch(cells[1])) or cells[0] in ROW_GROUPS:
            yield cells


def _row(cells: list[str], index: int, source: Source) -> FileTarget | Skipped:
    kind, numbers = cells[0], cells[1:]
    entry = f"row {index + 1}"
    if kind not in ROW_GROUPS:
        return Skipped(name=numbers[-1] if numbers else "", index=index, reason="unknown_row_type")
    if kind == "CoilPos" and len(cells) > 5:
        return _coil_position(numbers, entry, source)
    if len(numbers) < 3:
        raise source.refusal("unreadable_target_file", f"a {kind} needs three coordinates", entry)
    place = source.point([source.number(word, entry) for word in numbers[:3]], entry)
    return FileTarget(
        name=_point_name(kind, numbers), kind=TargetKind.POINT, group=ROW_GROUPS[kind], position_in_mri_mm=place, row_type=kind
    )


def _coil_position(words: list[str], entry: str, source: Source) -> FileTarget:
    """x y z, then the z axis, then the y axis, then the wished distance and the name."""
    if len(words) < 9:
        raise source.refusal("unreadable_target_file", "a CoilPos needs a centre and two axes", entry)
    numbers = np.array([source.number(word, entry) for word in words[:9]])
    z_axis, y_axis = numbers[3:6], numbers[6:9]
    pose = rigid_matrix(np.column_stack((np.cross(y_axis, z_axis), y_axis, z_axis)), numbers[:3])
    distance, name, *more = (*words[9:], "", "")[: max(2, len(words) - 9)]
    return FileTarget(
        name=name,
        kind=TargetKind.COIL_POSE,
        mri_from_coil=rows_of(source.rigid(pose, entry)),
        coil_distance_mm=float(distance) if DECIMAL.fullmatch(distance) else None,
        row_type="CoilPos",
        extra={f"column {13 + index}": word for index, word in enumerate(more)},
    )


def _point_name(kind: str, words: list[str]) -> str:
    """After the place, or for an electrode after three more numbers."""
    has_more = "Electrode" in kind and len(words) >= 6 and all(DECIMAL.fullmatch(word) for word in words[3:6])
    return next(iter(words[6 if has_more else 3 :]), "")


def read_simnibs_mat(content: bytes, source: Source) -> TargetFile:
    """Every coil position of every list of a session, or of one list alone. Raises TargetFileError."""
    try:
        variables = _session(read_mat5(content))
    except MatError as error:
        raise source.refusal("unsupported_version" if error.is_other_version else "unreadable_target_file", str(error)) from error
    lists = _members(variables["poslist"]) if "poslist" in variables else [variables] if "pos" in variables else []
    found = list(itertools.chain.from_iterable(_positions(each, source) for each in lists))
    if not found:
        raise source.refusal("no_targets", "it holds no coil positions")
    entries = Entries.sorted([_counted(entry, index) for index, entry in enumerate(found)])
    return TargetFile(
        file=source.name,
        sha256=source.sha256,
        format=source.format,
        space=SPACE,
        targets=entries.targets,
        skipped=entries.skipped,
        image=ImageWords(named=_text(variables.get("fnamehead")) or _text(variables.get("subpath")) or None),
    )


def _session(variables: Mapping[str, MatValue]) -> Mapping[str, MatValue]:
    """The variables themselves, or the members of the one struct that holds them."""
    if "poslist" in variables or "pos" in variables or len(variables) != 1:
        return variables
    members = _members(next(iter(variables.values())))
    return members[0] if len(members) == 1 else variables


def _members(value: MatValue | None) -> list[dict[str, MatValue]]:
    """Structs of a struct array, or of a cell array of them; anything else holds none."""
    if isinstance(value, Structs):
        return value.members
    return list(itertools.chain.from_iterable(map(_members, value.values))) if isinstance(value, Cell) else []


def _positions(coil_list: Mapping[str, MatValue], source: Source) -> Iterator[FileTarget | Skipped]:
    kind, coil = _text(coil_list.get("type")), _text(coil_list.get("fnamecoil")) or None
    if kind not in ("TMSLIST", ""):
        yield Skipped(name=kind, index=0, reason="not_tms")
        return
    for position in _members(coil_list.get("pos")):
        name, matrix = _text(position.get("name")), position.get("matsimnibs")
        if not isinstance(matrix, np.ndarray) or matrix.size == 0:
            yield Skipped(name=name, index=0, reason="no_matsimnibs")
            continue
        didt = _number(position.get("didt"))
        yield FileTarget(
            name=name,
            kind=TargetKind.COIL_POSE,
            mri_from_coil=rows_of(source.rigid(matrix, name or "a position")),
            coil_file=coil,
            coil_distance_mm=_number(position.get("distance")),
            didt_a_per_us=None if didt is None else didt / A_PER_S_IN_A_PER_US,
        )


def _counted(entry: FileTarget | Skipped, index: int) -> FileTarget | Skipped:
    return Skipped(name=entry.name, index=index, reason=entry.reason) if isinstance(entry, Skipped) else entry


def _text(value: MatValue | None) -> str:
    if isinstance(value, Cell) and len(value.values) == 1:
        return _text(value.values[0])
    return value.strip() if isinstance(value, str) else ""


def _number(value: MatValue | None) -> float | None:
    """The one finite number of an array; nothing rests on these."""
    if not isinstance(value, np.ndarray) or value.size != 1 or not np.isfinite(value).all():
        return None
    return float(value.item())
