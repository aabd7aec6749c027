"""3D Slicer's markups JSON written: points, lines, and coil poses as points with an orientation that say so in their description.

LPS, as Slicer writes it itself, unless RAS is asked for.
"""

import json
from typing import Any, Final

import numpy as np

from calibration.coil_axes import flip_lps
from calibration.frames import Xyz
from calibration.target_files_slicer import COIL_POSE_MARK, COIL_SAMPLE_MARK, LINE, POINTS
from calibration.target_files_values import FileTarget, Matrix, TargetKind
from calibration.target_files_written import Writing, Written, array_of, is_sample

SCHEMA: Final = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"
)
NO_LANDMARKS: Final = "Landmarks are not written: Slicer would show them among the targets."

Node = dict[str, Any]


def write_slicer(writing: Writing) -> Written:
    """Lists for coil poses, cortical points and points; one line for each entry-target pair."""
    fitting, left_out = writing.parted(lambda target: target.mri_from_coil is not None or target.position_in_mri_mm is not None)
    is_lps = writing.in_lps is not False
    poses = [_coil_point(target, target.mri_from_coil, is_lps) for target in fitting if target.mri_from_coil is not None]
    cortex = [
        _point(f"{target.name} (cortex)", target.cortex_in_mri_mm, is_lps)
        for target in fitting
        if target.mri_from_coil is not None and target.cortex_in_mri_mm is not None
    ]
    points = [
        _point(target.name, target.position_in_mri_mm, is_lps)
        for target in fitting
        if target.kind is TargetKind.POINT and target.position_in_mri_mm is not None
    ]
    nodes = [
        *(_list(name, control, is_lps) for name, control in (("coil poses", poses), ("cortex", cortex), ("points", points)) if control),
        *(_line(target, is_lps) for target in fitting if target.kind is TargetKind.ENTRY_TARGET),
    ]
    content = json.dumps({"@schema": SCHEMA, "markups": nodes}, indent=1, ensure_ascii=False).encode()
    return Written(content=content, left_out=left_out, lost=(NO_LANDMARKS,) if writing.landmarks else ())


def _list(name: str, points: list[Node], is_lps: bool, kind: str = POINTS) -> Node:
    space = "LPS" if is_lps else "RAS"
    numbered = [{"id": str(number), **point} for number, point in enumerate(points, 1)]
    return {"type": kind, "name": name, "coordinateSystem": space, "coordinateUnits": "mm", "controlPoints": numbered}


def _line(target: FileTarget, is_lps: bool) -> Node:
    ends = ((target.entry_in_mri_mm, "entry"), (target.position_in_mri_mm, "target"))
    return _list(target.name, [_point(label, place, is_lps) for place, label in ends if place is not None], is_lps, LINE)


def _point(label: str, place_mm: Xyz, is_lps: bool) -> Node:
    place = flip_lps(place_mm) if is_lps else np.array(place_mm)
    return {"label": label, "description": "", "position": (place + 0.0).tolist(), "positionStatus": "defined"}


def _coil_point(target: FileTarget, matrix: Matrix, is_lps: bool) -> Node:
    pose = flip_lps(array_of(matrix)) if is_lps else array_of(matrix)
    mark = COIL_SAMPLE_MARK if is_sample(target) else COIL_POSE_MARK
    facts = (
        f"{target.amplitude_pct_mso:g} % of output" if target.amplitude_pct_mso is not None else "",
        f"{target.recorded_ms:.0f} ms" if target.recorded_ms is not None else "",
    )
    return {
        "label": target.name,
        "description": ", ".join((mark, *(fact for fact in facts if fact))),
        "position": (pose[:3, 3] + 0.0).tolist(),
        "orientation": (pose[:3, :3].reshape(-1) + 0.0).tolist(),
        "positionStatus": "defined",
    }
