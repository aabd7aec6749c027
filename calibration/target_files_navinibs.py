"""NaviNIBS' targets in JSON: a whole pose where the file has one, else a line with an angle.

Only that program can turn the angle into a handle: its midline is blended over its own model of the head.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np

from calibration.coil_axes import CoilAxes, from_axes
from calibration.frames import Xyz
from calibration.target_files_source import Entries, Source, rows_of
from calibration.target_files_values import FileTarget, Matrix, Skipped, TargetFile, TargetGroup, TargetKind

SPACE: Final = "MRI world RAS"
USED: Final = frozenset({"key", "targetCoord", "entryCoord", "angle", "coilToMRITransf", "isHistorical", "isSelected"})


class _Target(msgspec.Struct, frozen=True, rename="camel"):
    """As the program writes it, defaults left out."""

    key: str
    target_coord: Xyz | None = None
    entry_coord: Xyz | None = None
    angle: float | None = None
    coil_to_mri: Matrix | None = msgspec.field(default=None, name="coilToMRITransf")
    is_historical: bool = False
    is_selected: bool | None = None
    template_target_coord: list[float | None] | None = None
    template_coordinate_system_key: str | None = None


def is_navinibs(content: object) -> bool:
    """A list of targets, bare or as member `targets`."""
    targets = content.get("targets") if isinstance(content, dict) else content
    return isinstance(targets, list) and all(isinstance(each, dict) and "key" in each for each in targets)


def read_navinibs(content: object, source: Source) -> TargetFile:
    """Each target as a pose, or a line, or a point. Raises TargetFileError."""
    given: Any = content["targets"] if isinstance(content, dict) else content
    try:
        targets = msgspec.convert(given, list[_Target])
    except (msgspec.ValidationError, OverflowError) as error:
        raise source.refusal("unreadable_target_file", f"a target is not as the program writes it ({error})") from error
    if not targets:
        raise source.refusal("no_targets", "its list of targets is empty")
    extras = [{name: str(value) for name, value in raw.items() if name not in USED} for raw in given]
    entries = Entries.sorted([_target(each, index, extras[index], source) for index, each in enumerate(targets)])
    return TargetFile(
        file=source.name,
        sha256=source.sha256,
        format=source.format,
        space=SPACE,
        targets=entries.targets,
        skipped=entries.skipped,
        remarks=tuple(_remarks(entries.targets)),
    )


def _target(given: _Target, index: int, extra: dict[str, str], source: Source) -> FileTarget | Skipped:
    cortex = None if given.target_coord is None else source.point(given.target_coord, given.key)
    entry = None if given.entry_coord is None else source.point(given.entry_coord, given.key)
    angle = None if given.angle is None else source.finite(given.angle, given.key)
    group = TargetGroup.HISTORICAL if given.is_historical else TargetGroup.TARGET
    if given.coil_to_mri is None and cortex is None:
        reason = "null_position" if given.template_target_coord is None else "template_space_needs_transform"
        return Skipped(name=given.key, index=index, reason=reason)
    if given.coil_to_mri is None:
        return FileTarget(
            name=given.key,
            kind=TargetKind.POINT if entry is None else TargetKind.ENTRY_TARGET,
            group=group,
            position_in_mri_mm=cortex,
            entry_in_mri_mm=entry,
            handle_angle_deg=angle,
            is_chosen=given.is_selected,
            extra=extra,
        )
    pose = source.rigid(from_axes(np.array(given.coil_to_mri), CoilAxes.NAVINIBS), given.key)
    return FileTarget(
        name=given.key,
        kind=TargetKind.COIL_POSE,
        group=group,
        mri_from_coil=rows_of(pose),
        cortex_in_mri_mm=cortex,
        entry_in_mri_mm=entry,
        handle_angle_deg=angle,
        is_chosen=given.is_selected,
        extra=extra,
    )


def _remarks(targets: tuple[FileTarget, ...]) -> Iterator[str]:
    if any(target.kind is TargetKind.ENTRY_TARGET for target in targets):
        yield "A handle angle from the midline cannot be turned into a handle without NaviNIBS' own head: state the handle instead."
