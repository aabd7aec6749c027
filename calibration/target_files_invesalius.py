"""InVesalius' marker files, versions 0 to 5. The world columns are RAS; the plain ones are the image's own millimetres, y reversed."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from calibration.coil_axes import CoilAxes, from_axes, rotation_from_sxyz_deg
from calibration.frames import FloatArray, angle_between_deg, rigid_matrix
from calibration.target_files_image import SourceImage
from calibration.target_files_source import Entries, Source, columns_of, lines_of, quoted, rows_of
from calibration.target_files_values import (
    FileTarget,
    ImageWords,
    Landmark,
    Skipped,
    TargetFile,
    TargetFileError,
    TargetGroup,
    TargetKind,
)

MAGIC: Final = "##INVESALIUS3_MARKER_FILE_"
NEWEST_VERSION: Final = 5
SPACE: Final = "world RAS"
FIDUCIAL, LANDMARK, BRAIN_TARGET, COIL_TARGET, COIL_POSE = range(5)
FIDUCIAL_LABELS: Final = frozenset({"LEI", "REI", "NAI"})  # ears and nasion in the image
PLACE, ANGLES = ("x", "y", "z"), ("alpha", "beta", "gamma")
MISSING: Final = frozenset({"None", "N/A", ""})
SAME_PLACE_MM: Final = 0.1  # between the world columns and the plain ones carried into the world: both are written in full
SAME_ANGLE_DEG: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marker:
    """One row: places and angles as numbers, None where the file has none."""

    label: str
    index: int
    kind: int
    is_target: bool
    image: "_Numbers"
    world: "_Numbers"
    cells: Mapping[str, str]

    @property
    def has_angles(self) -> bool:
        """The plain columns tell; the world's hold zeros where there are none."""
        return self.image.angles_deg is not None or (self.world.angles_deg is not None and "alpha" not in self.cells)


@dataclass(frozen=True, slots=True)
class _Numbers:
    place_mm: FloatArray | None
    angles_deg: FloatArray | None


def read_invesalius(text: str, source: Source) -> TargetFile:
    """Coil targets and poses as poses, brain targets as points, fiducials and landmarks as landmarks. Raises TargetFileError."""
    first, *lines = lines_of(text)
    version = _version(first, source)
    markers = _markers(lines, source)
    if not markers:
        raise source.refusal("no_targets", "it holds no markers")
    if sum(marker.is_target for marker in markers) > 1:
        raise source.refusal("multiple_targets", "more than one marker is the target")
    world, warnings, verified = _world(markers, source)
    entries = Entries.sorted([_entry(marker, pose, source) for marker, pose in zip(markers, world, strict=True)])
    return TargetFile(
        file=source.name,
        sha256=source.sha256,
        format=source.format,
        version=version,
        space=SPACE,
        targets=entries.targets,
        landmarks=entries.landmarks,
        skipped=entries.skipped,
        warnings=warnings,
        image=ImageWords(verified=verified),
    )


def _version(line: str, source: Source) -> int:
    word = line.removeprefix(MAGIC).strip()
    if not (word.isascii() and word.isdigit() and len(word) <= 3 and int(word) <= NEWEST_VERSION):
        raise source.refusal("unsupported_version", f"its version is {quoted(word)}; 0 to {NEWEST_VERSION} are read")
    return int(word)


def _markers(lines: Sequence[str], source: Source) -> list[_Marker]:
    try:
        header, *rows = (row for row in csv.reader(lines, delimiter="\t", strict=True) if any(row))
    except csv.Error as error:
        raise source.refusal("unreadable_target_file", f"its rows cannot be parted ({error})") from error
    except ValueError as error:
        raise source.refusal("unreadable_target_file", "it has no line of column names") from error

    def broken(what: str) -> TargetFileError:
        return source.refusal("unreadable_target_file", what, "line 2")

    names = [name.strip() for name in header]
    at = columns_of(names, ("label", *(name for name in PLACE if "x_world" not in names)), broken)
    for index, row in enumerate(rows):
        if len(row) != len(names):
            raise source.refusal("unreadable_target_file", f"{len(row)} values under {len(names)} columns", f"marker {index}")
    return [_marker({name: row[column].strip() for name, column in at.items()}, index, source) for index, row in enumerate(rows)]


def _marker(cells: Mapping[str, str], index: int, source: Source) -> _Marker:
    label = cells["label"]
    entry = label or f"marker {index}"

    def three(names: tuple[str, ...], suffix: str = "") -> FloatArray | None:
        words = [cells.get(name + suffix, "") for name in names]
        return None if not MISSING.isdisjoint(words) else np.array([source.number(word, entry) for word in words])

    image = _Numbers(three(PLACE), three(ANGLES))
    world = _Numbers(three(PLACE, "_world"), three(ANGLES, "_world"))
    has_angles = image.angles_deg is not None or (world.angles_deg is not None and "alpha" not in cells)
    return _Marker(
        label=label,
        index=index,
        kind=_kind(cells.get("marker_type", ""), label, has_angles, entry, source),
        is_target=cells.get("is_target", "").casefold() in ("true", "1"),
        image=image,
        world=world,
        cells=cells,
    )


def _kind(word: str, label: str, has_angles: bool, entry: str, source: Source) -> int:
    """As stated; older versions do not state it."""
    if word not in MISSING:
        if word not in ("0", "1", "2", "3", "4"):
            raise source.refusal("unreadable_target_file", f"marker_type {quoted(word)} is not known", entry)
        return int(word)
    if label in FIDUCIAL_LABELS:
        return FIDUCIAL
    return COIL_TARGET if has_angles else LANDMARK


def _world(markers: list[_Marker], source: Source) -> tuple[list[FloatArray], tuple[str, ...], bool]:
    """mri_from_marker (4, 4) of each marker, RAS, in the program's axes; what speaks against them; whether the image agreed."""
    stated = [_posed(marker.world) for marker in markers]
    if source.image is None:
        if any(pose is None for pose in stated):
            raise source.refusal("image_needed", "it has no world coordinates, and its own need the image")
        if _is_unplaced(markers):
            raise source.refusal("image_needed", "its world coordinates are the image's own: the project knew no world (DICOM)")
        return [pose for pose in stated if pose is not None], (), False
    carried = [_carried(marker, source.image) for marker in markers]
    if all(pose is None for pose in carried) and all(pose is not None for pose in stated):
        return [pose for pose in stated if pose is not None], (), False
    if any(pose is None for pose in carried):
        raise source.refusal("unreadable_target_file", "a marker has no place")
    placed = [pose for pose in carried if pose is not None]
    if all(pose is None for pose in stated):
        return placed, (), False
    if all(pose is not None and _agree(pose, other) for pose, other in zip(stated, placed, strict=True)):
        return [pose for pose in stated if pose is not None], (), True
    if _is_unplaced(markers):
        return placed, ("world_columns_unplaced",), False
    raise source.refusal("wrong_image", "its own and its world coordinates do not agree through the given image")


def _posed(numbers: _Numbers) -> FloatArray | None:
    if numbers.place_mm is None:
        return None
    angles = (0.0, 0.0, 0.0) if numbers.angles_deg is None else numbers.angles_deg
    a, b, c = angles
    return rigid_matrix(rotation_from_sxyz_deg((float(a), float(b), float(c))), numbers.place_mm)


def _carried(marker: _Marker, image: SourceImage) -> FloatArray | None:
    """The plain columns through the image: y counts from the other side, and the closest-RAS axes without the voxel sizes do the rest."""
    pose = _posed(marker.image)
    if pose is None:
        return None
    mri_from_voxel, shape = image.closest_ras
    spacing_mm = np.linalg.norm(mri_from_voxel[:3, :3], axis=0)
    pose[1, 3] = spacing_mm[1] * (shape[1] - 1) - pose[1, 3]
    carried: FloatArray = mri_from_voxel @ np.diag((*(1.0 / spacing_mm), 1.0)) @ pose
    if not marker.has_angles:
        carried[:3, :3] = np.eye(3)
    return carried


def _agree(stated: FloatArray, carried: FloatArray) -> bool:
    apart_mm = float(np.linalg.norm(stated[:3, 3] - carried[:3, 3]))
    return apart_mm <= SAME_PLACE_MM and angle_between_deg(stated[:3, :3], carried[:3, :3]) <= SAME_ANGLE_DEG


def _is_unplaced(markers: list[_Marker]) -> bool:
    """The world columns repeat the image's own (y apart, which is reversed): the program knew no affine."""
    pairs = [(m.image.place_mm, m.world.place_mm) for m in markers]
    return all(image is not None and world is not None and np.abs(image - world)[[0, 2]].max() < 1e-6 for image, world in pairs)


def _entry(marker: _Marker, pose: FloatArray, source: Source) -> FileTarget | Landmark | Skipped:
    name = marker.label or f"marker {marker.index}"
    place = source.point(pose[:3, 3], name)
    if marker.kind in (FIDUCIAL, LANDMARK):
        return Landmark(name=marker.label, position_in_mri_mm=place)
    if marker.kind == BRAIN_TARGET:
        return FileTarget(name=marker.label, kind=TargetKind.POINT, position_in_mri_mm=place, is_chosen=marker.is_target)
    if not marker.has_angles:
        return Skipped(name=marker.label, index=marker.index, reason="no_orientation")
    mri_from_coil = source.rigid(from_axes(pose, CoilAxes.INVESALIUS), name)
    used = {"label", "is_target", *PLACE, *ANGLES, *(f"{column}_world" for column in (*PLACE, *ANGLES))}
    return FileTarget(
        name=marker.label,
        kind=TargetKind.COIL_POSE,
        group=TargetGroup.SAMPLE if marker.kind == COIL_POSE else TargetGroup.TARGET,
        mri_from_coil=rows_of(mri_from_coil),
        is_chosen=marker.is_target,
        extra={column: cell for column, cell in marker.cells.items() if column not in used and cell not in MISSING},
    )
