"""Small target files of every program for tests, written by hand here: what a test changes is a parameter."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from calibration.target_files import read_targets
from calibration.target_files_values import FileTarget, TargetFile, TargetFileError, TargetKind

SAMPLES = Path(__file__).parent / "data" / "targets"
# A coil over the left forehead: x, y away from the handle, z into the head, then the centre.
POSE = np.array(
    [[-0.573031, 0.608037, 0.549478, -52.0], [0.300379, 0.779645, -0.549478, 55.5], [-0.762501, -0.149816, -0.629402, 61.25], [0, 0, 0, 1]]
)
NAMES = ("Target Name", "Loc. X", "Loc. Y", "Loc. Z", *(f"m{axis}n{part}" for axis in range(3) for part in range(3)))


def read(text: str | bytes, name: str = "file", **known: Any) -> TargetFile:
    return read_targets(text if isinstance(text, bytes) else text.encode(), name=name, **known)


def refused(text: str | bytes, **known: Any) -> str:
    """The code that the file is refused with."""
    try:
        file = read(text, **known)
    except TargetFileError as error:
        assert error.remedy
        assert "\n" not in str(error)
        return error.code
    raise AssertionError(f"it was read: {file}")


def only(file: TargetFile) -> FileTarget:
    (target,) = file.targets
    return target


def is_pose(target: FileTarget, tolerance: float = 1e-4) -> bool:
    assert target.kind is TargetKind.COIL_POSE
    return bool(np.abs(np.array(target.mri_from_coil) - POSE).max() < tolerance)


def brainsight(*rows: str, version: str = "14", space: str = "NIfTI:Q:Scanner", more: str = "", names: tuple[str, ...] = NAMES) -> str:
    head = (f"# Version: {version}", f"# Coordinate system: {space}", *([more] if more else []))
    return "\n".join((*head, "# " + "\t".join(names), *rows, ""))


def brainsight_row(name: str = "spot", place: tuple[object, ...] = (-52.0, 55.5, 61.25), decimals: int = 4, pose: np.ndarray = POSE) -> str:
    theirs = pose[:3, :3] @ np.diag((-1.0, 1.0, -1.0))
    return "\t".join((name, *map(str, place), *(f"{value:.{decimals}f}" for value in theirs.T.reshape(-1))))


def localite_matrix(pose: np.ndarray, space: str = "RAS") -> str:
    """The coil's axes re-labelled from the right, the space from the left."""
    theirs = pose @ np.array([[0, 0, 1, 0], [0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    theirs = np.diag((-1, -1, 1, 1)) @ theirs if space == "LPS" else theirs
    return raw_matrix(theirs)


def raw_matrix(matrix: np.ndarray) -> str:
    return (
        "<Matrix4D "
        + " ".join(f'data{i}{j}="{matrix[i, j]!r}"'.replace("np.float64(", "").replace(")", "") for i in range(4) for j in range(4))
        + "/>"
    )


def instrument_markers(*matrices: str, space: str | None = "RAS", is_set: str = "true") -> str:
    markers = "".join(
        f'<InstrumentMarker index="{n}"><Marker description="spot" set="{is_set}">{matrix}</Marker></InstrumentMarker>'
        for n, matrix in enumerate(matrices)
    )
    stated = "" if space is None else f' coordinateSpace="{space}"'
    return f"<InstrumentMarkerList{stated}>{markers}</InstrumentMarkerList>"


def trigger_markers(matrix: str, *, space: str = "RAS", is_set: str = "true", amplitude: str = "45.0", time: str = "1000") -> str:
    values = f'<ResponseValues><Value key="amplitudeA" response="{amplitude}"/><Value key="valueA" response="NaN"/></ResponseValues>'
    marker = f'<TriggerMarker description="" recordingTime="{time}" set="{is_set}">{values}{matrix}</TriggerMarker>'
    return f'<TriggerMarkerList coordinateSpace="{space}">{marker}</TriggerMarkerList>'


def navinibs(**fields: Any) -> str:
    return json.dumps({"targets": [{"key": "spot", **fields}]})


def slicer(*points: dict[str, Any], kind: str = "Fiducial", **fields: Any) -> str:
    node = {"type": kind, "coordinateSystem": "LPS", "controlPoints": list(points), **fields}
    return json.dumps({"markups": [{key: value for key, value in node.items() if value is not None}]})


def ant(image: dict[str, Any] | None = None, **fields: Any) -> str:
    coil = {
        "Name": "spot",
        "CoordinateSystem": "ASSOCIATED_IMAGE",
        "PositionalUnit": "mm",
        "CoilAxesConvention": "simnibs",
        "CoilPose": {"RigidTransformMatrix4x4": POSE.tolist()},
        **fields,
    }
    return json.dumps({"Configuration": {"AssociatedImageInfo": image}, "TargetMarkers": [{"CoilTarget": coil}]})


def invesalius(*rows: dict[str, object], version: object = 5) -> str:
    names = list(rows[0])
    lines = ["\t".join(f'"{word}"' if isinstance(word, str) else str(word) for word in row.values()) for row in rows]
    return "\n".join((f"##INVESALIUS3_MARKER_FILE_{version}", "\t".join(f'"{name}"' for name in names), *lines, ""))
