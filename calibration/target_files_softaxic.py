"""SofTaxic's stimulation points in XML (.stmpx). The file names no space: RAS of the T1 is taken, and said so."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from calibration.bounded_xml import Element
from calibration.coil_axes import CoilAxes, from_axes
from calibration.frames import rigid_matrix
from calibration.target_files_source import Entries, Source, rows_of
from calibration.target_files_values import FileTarget, Skipped, TargetFile, TargetKind

SPACE: Final = "RAS (not stated in file)"
AXES: Final = tuple(f"m{row}{column}" for row in range(3) for column in range(3))
PLACE: Final = ("x", "y", "z")


def read_softaxic(root: Element, source: Source) -> TargetFile:
    """Each point as a coil pose. Raises TargetFileError."""
    points = [point for group in root.every("fmpm") for point in group.every("fmp")] + root.every("fmp")
    found = [entry for index, point in enumerate(points) for entry in _entries(point, index, source)]
    if not found:
        raise source.refusal("no_targets", "it holds no points")
    entries = Entries.sorted(found)
    return TargetFile(
        file=source.name,
        sha256=source.sha256,
        format=source.format,
        space=SPACE,
        targets=entries.targets,
        skipped=entries.skipped,
        warnings=("space_not_stated",),
    )


def _entries(point: Element, index: int, source: Source) -> Iterator[FileTarget | Skipped]:
    name = point.attributes.get("id", "").strip()
    if not point.every("fp"):
        yield Skipped(name=name, index=index, reason="no_pose")
    for pose in point.every("fp"):
        entry = name or f"point {index}"
        words = [pose.attributes.get(key) for key in (*AXES, *PLACE)]
        numbers = np.array([source.number(word, entry) for word in words if word is not None])
        if len(numbers) != len(words):
            raise source.refusal("unreadable_target_file", "its pose is not whole", entry)
        theirs = rigid_matrix(numbers[:9].reshape(3, 3), numbers[9:])
        yield FileTarget(
            name=name, kind=TargetKind.COIL_POSE, mri_from_coil=rows_of(source.rigid(from_axes(theirs, CoilAxes.SOFTAXIC), entry))
        )
