"""SimNIBS' comma-separated positions written: coil poses and points, subject RAS."""

import csv
import io
from collections.abc import Sequence

from calibration.target_files_simnibs import ROW_GROUPS
from calibration.target_files_values import FileTarget, TargetKind
from calibration.target_files_written import Writing, Written, array_of, is_sample, plain

NO_TIMES = "Times and amplitudes have no column."


def write_simnibs(writing: Writing) -> Written:
    """Coil poses, planned or delivered, as CoilPos; points as Generic, or as the rows they came from. An unknown distance is `nan`."""
    fitting, left_out = writing.parted(lambda target: target.mri_from_coil is not None or target.kind is TargetKind.POINT)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_row(target) for target in fitting)
    return Written(content=text.getvalue().encode(), left_out=left_out, lost=(NO_TIMES,) if any(map(is_sample, fitting)) else ())


def _row(target: FileTarget) -> Sequence[str]:
    if target.mri_from_coil is None:
        kind = target.row_type if target.row_type in ROW_GROUPS else "Generic"
        return kind or "Generic", *map(plain, target.position_in_mri_mm or ()), target.name
    pose = array_of(target.mri_from_coil)
    distance = "nan" if target.coil_distance_mm is None else plain(target.coil_distance_mm)
    return "CoilPos", *map(plain, (*pose[:3, 3], *pose[:3, 2], *pose[:3, 1])), distance, target.name
