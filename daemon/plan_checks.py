"""What must hold of a plan, each rule by itself: numbers, sides, pose, dose, limits, and the files it names.

Pure but for reading the named files' checksums and headers. Every fault is returned, not the first.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec
import numpy as np

from calibration.bad_input import BadInput
from calibration.fiducials import Fiducials, check_fiducials, check_side
from calibration.frames import FloatArray, NotRigid, Transform, rigid_from_file
from calibration.nifti import NATIVE, CheckedImage, check_image, file_sha256
from calibration.placement import DEPTH_RANGE_MM, GAP_RANGE_MM, MAX_TILT_DEG
from daemon.on_target import loosened
from daemon.plan_values import NamedFile, NamedImage, Plan
from daemon.protocol import SIMULATION_ONLY
from daemon.set_point import dose_faults

PSEUDONYM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
MAX_EXPECTED_ERROR_MM: Final = 10.0  # navigated TMS is good to 5-6 mm in all; beyond twice that the word "target" is empty
SAME_MM: Final = 0.01


def plan_faults(plan: Plan) -> list[str]:
    """Every fault of the fields by themselves and among each other; empty means none."""
    if not all(isfinite(number) for number in _numbers(msgspec.to_builtins(plan))):
        return ["a number is not finite"]
    return list(chain(_record_faults(plan), _dose_faults(plan), _target_faults(plan), _origin_faults(plan)))


def file_faults(plan: Plan, folder: Path) -> list[str]:
    """Every named file that is missing, changed, outside the plan's folder, or an image whose header no longer passes."""
    files = plan.files
    images = [image for image in (files.t1, files.map, files.mask) if image is not None]
    others = [file for file in (files.scalp, files.transform) if file is not None]
    faults = [f"{file.path!r} lies outside the plan's folder" for file in (*images, *others) if not _is_within(file.path)]
    if faults:
        return faults
    return [fault for file in (*images, *others) if (fault := _file_fault(file, folder)) is not None]


def fiducials_of(plan: Plan) -> Fiducials:
    """The plan's landmarks as points. Raises KeyError where one of the three is missing."""
    return Fiducials.from_points({name: np.array(at) for name, at in plan.fiducials_in_mri_mm.items()})


def _record_faults(plan: Plan) -> Iterator[str]:
    if not PSEUDONYM.fullmatch(plan.patient):
        yield "patient is no pseudonym: letters, digits, - and _, 32 at most"
    if not (plan.created_by.strip() and plan.basis.strip() and plan.target.token.strip()):
        yield "created_by, basis or the target's token is empty"
    try:
        datetime.fromisoformat(plan.created_utc)
    except ValueError:
        yield f"created_utc is no time: {plan.created_utc!r}"
    if plan.subject_is_template is not None and plan.basis != SIMULATION_ONLY:
        yield f"the subject is a template, so the basis must be {SIMULATION_ONLY!r}"
    if plan.subject_is_template is None and not (plan.target.side_fact or "").strip():
        yield "no fact tells left from right in the image"
    if not 0 < plan.expected_error_limit_mm <= MAX_EXPECTED_ERROR_MM:
        yield f"expected_error_limit_mm must be above 0, at most {MAX_EXPECTED_ERROR_MM:g}"
    if plan.on_target is not None:
        yield from (f"on_target.{name} is looser than the default" for name in loosened(plan.on_target))
    if plan.auto_resume or plan.make_up:
        yield "auto_resume and make_up need a signed plan, and this version has no signatures"


def _dose_faults(plan: Plan) -> Iterator[str]:
    if (plan.dose.course is None) != (plan.dose.course_sha256 is None):
        yield "course and course_sha256 must be there together or not at all"
    yield from dose_faults(plan)


def _target_faults(plan: Plan) -> Iterator[str]:
    target = np.array(plan.target.cortical_target_in_mri_mm)
    try:
        fiducials = fiducials_of(plan)
        check_fiducials(fiducials, "fiducials_in_mri_mm")
        check_side(fiducials, target, plan.target.side, "target")
    except KeyError as error:
        yield f"fiducials_in_mri_mm: {error.args[0]} is missing"
    except BadInput as error:
        yield str(error)
    try:
        yield from _pose_faults(plan, rigid_from_file("mri", "coil", plan.target.mri_from_coil, "mri_from_coil"), target)
    except NotRigid as error:
        yield str(error)


def _pose_faults(plan: Plan, mri_from_coil: Transform, target: FloatArray) -> Iterator[str]:
    report = plan.target.placement
    normal, handle = np.array(report.normal_in_mri), np.array(report.handle_in_mri)
    target_in_coil = mri_from_coil.inverse().apply(target)
    origin = np.array(report.entry_in_mri_mm) + plan.hair_gap_mm * normal
    tilt_deg = np.degrees(np.arccos(np.clip(-normal @ mri_from_coil.rotation[:, 2], -1, 1)))
    must_hold = {
        "hair_gap_mm is outside 0 to 5": GAP_RANGE_MM[0] <= plan.hair_gap_mm <= GAP_RANGE_MM[1],
        "the target's depth is outside 8 to 40 mm": DEPTH_RANGE_MM[0] <= report.depth_mm <= DEPTH_RANGE_MM[1],
        "the coil does not face the target": target_in_coil[2] > 0,
        "beam_miss_mm is not that of the pose": abs(np.hypot(*target_in_coil[:2]) - report.beam_miss_mm) <= SAME_MM,
        "the pose does not sit on its scalp entry": np.linalg.norm(mri_from_coil.translation_mm - origin) <= SAME_MM,
        "the pose is tilted more than 10 degrees against the scalp": tilt_deg <= MAX_TILT_DEG + SAME_MM,
        "the handle is not along the pose's -y": np.linalg.norm(handle + mri_from_coil.rotation[:, 1]) <= SAME_MM,
    }
    yield from (fault for fault, holds in must_hold.items() if not holds)


def _origin_faults(plan: Plan) -> Iterator[str]:
    """Where target and images come from must be one story."""
    files, selection = plan.files, plan.target.selection
    here = {NATIVE, plan.subject_is_template}
    from_map = (files.map is not None, files.mask is not None, selection is not None)
    if len(set(from_map)) != 1:
        yield "map, mask and selection must be there together or not at all"
    if (files.transform is None) != (plan.target.given_in_space in here):
        yield "a target from another space needs the transform, one from this space has none"
    if files.t1.expected_space != (plan.subject_is_template or NATIVE):
        yield "the T1's space is not the one that subject_is_template states"
    if selection is not None and files.transform is None:
        snapped = np.array(selection.clusters[0].snapped_mm) if selection.clusters else np.full(3, np.inf)
        if not np.linalg.norm(snapped - plan.target.cortical_target_in_mri_mm) <= SAME_MM:
            yield "the target is not the one that the map gave"


def _is_within(path: str) -> bool:
    parts = PurePosixPath(path)
    return bool(path) and not parts.is_absolute() and ".." not in parts.parts and "\\" not in path


def _file_fault(file: NamedFile, folder: Path) -> str | None:
    path = folder / file.path
    try:
        if not isinstance(file, NamedImage):
            return None if file_sha256(path) == file.sha256 else f"{file.path} is not the file that was planned with"
        if file_sha256(path) != file.sha256:
            return f"{file.path} is not the image that was planned with (wrong_image)"
        pick = file.affine_source if file.was_picked else None
        checked = check_image(path, file.expected_space, native_also=file.native_also, pick=pick)
    except OSError as error:
        return f"{file.path} cannot be read ({error.strerror})"
    except BadInput as error:
        return str(error)
    return None if _as_planned(file, checked) else f"{file.path} has another affine than the one planned with"


def _as_planned(file: NamedImage, checked: CheckedImage) -> bool:
    same_affine = np.allclose(checked.mri_from_voxel, np.array(file.mri_from_voxel), rtol=0, atol=1e-6)
    found = (checked.sha256, checked.shape, checked.affine_source, checked.space_code)
    return bool(same_affine) and found == (file.sha256, file.shape, file.affine_source, file.space_code)


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float):
        yield value
