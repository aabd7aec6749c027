"""Brainsight's text, version 14, written: four decimals, the space named after the form of the T1 in use."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from calibration.coil_axes import CoilAxes, to_axes
from calibration.coil_error import coil_error
from calibration.nifti import NATIVE_CODES
from calibration.target_files_brainsight import AXES, CODES, FORMS, PLACE
from calibration.target_files_source import refusal
from calibration.target_files_values import FileTarget, Landmark, Matrix, TargetFormat
from calibration.target_files_written import Writing, Written, array_of, is_sample

VERSION: Final = 14
NULL: Final = "(null)"
TARGETS: Final = ("Target Name", *PLACE, *AXES)
ERRORS: Final = ("Dist. to Target", "Target Error", "Angular Error", "Twist Error")
SAMPLES: Final = (
    *("Sample Name", "Session Name", "Index", "Assoc. Target", *PLACE, *AXES, *ERRORS),
    *("Stim. Power A", "Stim. Pulse Interval", "Stim. Power B", "Date", "Time"),
)
LANDMARKS: Final = ("Planned Landmark Name", *PLACE)
NO_TIMES: Final = "Times from the start of the recording have no column; date and time are written where they are known."


def write_brainsight(writing: Writing) -> Written:
    """Coil poses as targets, delivered ones as samples, landmarks as planned landmarks. Raises TargetFileError."""
    space = _space(writing)
    fitting, left_out = writing.parted(lambda target: target.mri_from_coil is not None or is_sample(target))
    planned, samples = [each for each in fitting if not is_sample(each)], [each for each in fitting if is_sample(each)]
    lines = [
        f"# Version: {VERSION}",
        f"# Coordinate system: {space}",
        "# Created by: atmsd",
        "# Units: millimetres, degrees, milliseconds, and microvolts",
        "# Encoding: UTF-8",
        "# Notes: Each column is delimited by a tab. Each value within a column is delimited by a semicolon.",
        *_table(TARGETS, [(target.name, *_pose(target.mri_from_coil)) for target in planned]),
        *_table(SAMPLES, list(_samples(samples, {target.name: target for target in planned})) if samples else None),
        *_table(LANDMARKS, [_landmark(landmark) for landmark in writing.landmarks] if writing.landmarks else None),
    ]
    lost = (NO_TIMES,) if any(sample.recorded_ms is not None and sample.recorded_local is None for sample in samples) else ()
    return Written(content="\n".join((*lines, "")).encode(), left_out=left_out, lost=lost)


def _space(writing: Writing) -> str:
    """As the program names a NIfTI's world: by form and code."""
    where = f"format {TargetFormat.BRAINSIGHT}"
    image = writing.image
    if image is None or image.header is None or image.affine_source is None:
        raise refusal("image_needed", "Brainsight names the form and code of the T1's header, and no T1 was given", where)
    code = {"qform": image.header.q_code, "sform": image.header.s_code}[image.affine_source]
    if code not in NATIVE_CODES:
        raise refusal("template_space_needs_transform", "the T1 is in a template's space", where)
    code_name = next(name for name, number in CODES.items() if number == code)
    return f"NIfTI:{next(letter for letter, form in FORMS.items() if form == image.affine_source)}:{code_name}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]] | None) -> Iterator[str]:
    if rows is not None:
        yield "# " + "\t".join(columns)
        yield from ("\t".join(row) for row in rows)


def _pose(matrix: Matrix | None) -> tuple[str, ...]:
    """Place, then the axis vectors one after another."""
    if matrix is None:
        return (NULL,) * 12
    theirs = to_axes(array_of(matrix), CoilAxes.BRAINSIGHT)
    return tuple(f"{value:.4f}" for value in (*theirs[:3, 3], *theirs[:3, :3].T.reshape(-1)))


def _samples(samples: Sequence[FileTarget], planned: Mapping[str, FileTarget]) -> Iterator[tuple[str, ...]]:
    for index, sample in enumerate(samples, 1):
        date, _, time = (sample.recorded_local or "").partition(" ")
        yield (
            sample.name or f"Sample {index}",
            "Session 1",
            str(index),
            sample.associated_target or NULL,
            *_pose(sample.mri_from_coil),
            *_errors(sample, planned.get(sample.associated_target or "")),
            NULL if sample.amplitude_pct_mso is None else f"{sample.amplitude_pct_mso:g}",
            NULL,
            NULL,
            date or NULL,
            time or NULL,
        )


def _errors(sample: FileTarget, aim: FileTarget | None) -> tuple[str, ...]:
    """The four numbers against the target it belongs to, as the program defines them."""
    if aim is None or aim.pose is None or sample.pose is None:
        return (NULL,) * 4
    error = coil_error(aim.pose, sample.pose, aim.cortex_in_mri_mm)
    numbers = (error.distance_to_target_mm, error.target_error_mm, error.angular_error_deg, error.twist_error_deg)
    return tuple(NULL if number is None else f"{number:.4f}" for number in numbers)


def _landmark(landmark: Landmark) -> tuple[str, ...]:
    return landmark.name, *(f"{value:.4f}" for value in np.array(landmark.position_in_mri_mm) + 0.0)
