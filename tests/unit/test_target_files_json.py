"""NaviNIBS, ANT and Slicer: what each JSON states, what it leaves out, and JSON that is out to harm."""

import json

import numpy as np
import pytest

from calibration.target_files_image import SourceImage
from calibration.target_files_values import TargetGroup, TargetKind
from tests.target_texts import POSE, ant, is_pose, navinibs, only, read, refused, slicer

THEIRS = (POSE @ np.diag((-1.0, 1.0, -1.0, 1.0))).tolist()  # NaviNIBS' z runs out of the head
IMAGE = {"NIfTI_quatern": [0.0, 0.0, 0.0], "NIfTI_qoffset": [-96.0, -132.0, -78.0], "NIfTI_pixdim": [1.0, 1.0, 1.0, 1.0]}


def point(label: str = "spot", at: tuple[float, float, float] = (1.0, 2.0, 3.0), **fields: object) -> dict[str, object]:
    return {"label": label, "position": list(at), **fields}


def test_navinibs_pose_comes_back_in_our_axes_with_the_cortex_beside_it() -> None:
    target = only(read(navinibs(coilToMRITransf=THEIRS, targetCoord=[1, 2, 3])))
    assert is_pose(target, 1e-6)
    assert target.cortex_in_mri_mm == (1.0, 2.0, 3.0)


def test_navinibs_reads_the_bare_list_too() -> None:
    assert is_pose(only(read(json.dumps(json.loads(navinibs(coilToMRITransf=THEIRS))["targets"]))), 1e-6)


def test_navinibs_without_a_pose_is_a_line_with_an_angle_or_a_point() -> None:
    line = read(navinibs(targetCoord=[1, 2, 3], entryCoord=[4, 5, 6], angle=30))
    assert (only(line).kind, only(line).handle_angle_deg) == (TargetKind.ENTRY_TARGET, 30.0)
    assert any("state the handle" in remark for remark in line.remarks)
    assert only(read(navinibs(targetCoord=[1, 2, 3]))).kind is TargetKind.POINT
    assert only(read(navinibs(targetCoord=[1, 2, 3], entryCoord=[4, 5, 6]))).handle_angle_deg is None


def test_navinibs_with_template_coordinates_alone_is_skipped() -> None:
    file = read(navinibs(templateTargetCoord=[1, 2, 3], templateCoordinateSystemKey="MNI_SimNIBS12DoF"))
    assert [(skip.name, skip.reason) for skip in file.skipped] == [("spot", "template_space_needs_transform")]
    assert [skip.reason for skip in read(navinibs(entryCoord=[1, 2, 3])).skipped] == ["null_position"]


def test_navinibs_says_which_targets_are_history_and_which_is_chosen() -> None:
    target = only(read(navinibs(targetCoord=[1, 2, 3], isHistorical=True, isSelected=True, color="#fff")))
    assert (target.group, target.is_chosen, target.extra) == (TargetGroup.HISTORICAL, True, {"color": "#fff"})


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"coilToMRITransf": (POSE @ np.diag((1.0, 1, -1, 1))).tolist()}, "left_handed_axes"),
        ({"coilToMRITransf": np.diag((1.01, 1, 1, 1)).tolist()}, "axes_not_orthonormal"),
        ({"coilToMRITransf": np.vstack((POSE[:3], (0, 0, 1, 1))).tolist()}, "not_affine"),
        ({"coilToMRITransf": [[1, 2], [3, 4]]}, "unreadable_target_file"),
        ({"coilToMRITransf": "here"}, "unreadable_target_file"),
        ({"targetCoord": [1, 2]}, "unreadable_target_file"),
        ({"targetCoord": [1, 2, None]}, "unreadable_target_file"),
        ({"targetCoord": [1, 2, "3"]}, "unreadable_target_file"),
        ({"targetCoord": [1, 2, True]}, "unreadable_target_file"),
        ({"targetCoord": [1, 2, 401]}, "coordinate_out_of_range"),
        ({"targetCoord": [1, 2, float("nan")]}, "not_finite"),
        ({"targetCoord": [1, 2, 10**400]}, "unreadable_target_file"),
        ({"key": 7}, "unreadable_target_file"),
    ],
)
def test_navinibs_numbers_are_checked(fields: dict[str, object], code: str) -> None:
    assert refused(navinibs(**fields)) == code


def test_an_empty_list_has_no_targets() -> None:
    for text in ('{"targets": []}', "[]", '{"TargetMarkers": []}', '{"markups": []}', slicer()):
        assert refused(text) == "no_targets"


@pytest.mark.parametrize(
    "text",
    [
        '{"targets": [',
        "{",
        "[1,",
        '{"a": 1, "a": 2}',
        "[" * 200_000,
        '{"a":' * 100_000,
        '{"markups": 1e}',
        '{"targets": [' + "9" * 5000 + "]}",
    ],
)
def test_broken_json_is_refused(text: str) -> None:
    assert refused(text) == "unreadable_target_file"


@pytest.mark.parametrize("text", ["{}", "[1, 2]", '{"targets": 5}', '{"targets": [{"name": "x"}]}'])
def test_other_json_is_no_file_of_targets(text: str) -> None:
    assert refused(text) == "unknown_format"


def test_json_beyond_8_mb_is_refused() -> None:
    assert refused('{"targets": ["' + "x" * 2**23 + '"]}') == "unreadable_target_file"


@pytest.mark.parametrize(
    ("system", "wanted"), [("LPS", (-1.0, -2.0, 3.0)), ("RAS", (1.0, 2.0, 3.0)), (0, (1.0, 2.0, 3.0)), (1, (-1.0, -2.0, 3.0))]
)
def test_slicer_points_come_in_ras_whatever_the_file_is_in(system: object, wanted: tuple[float, ...]) -> None:
    assert only(read(slicer(point(), coordinateSystem=system))).position_in_mri_mm == wanted


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"coordinateSystem": None}, "missing_coordinate_space"),
        ({"coordinateSystem": ""}, "missing_coordinate_space"),
        ({"coordinateSystem": "IJK"}, "unsupported_coordinate_system"),
        ({"coordinateSystem": 2}, "unsupported_coordinate_system"),
        ({"coordinateSystem": "MNI152"}, "template_space_needs_transform"),
        ({"coordinateUnits": "m"}, "bad_units"),
        ({"coordinateUnits": ["cm", "UCUM", "centimeter"]}, "bad_units"),
        ({"controlPoints": 5}, "unreadable_target_file"),
        ({"controlPoints": [{"label": "x"}]}, "unreadable_target_file"),
        ({"controlPoints": [{"position": [1, 2]}]}, "unreadable_target_file"),
        ({"controlPoints": [{"position": [1, 2, 400.5]}]}, "coordinate_out_of_range"),
    ],
)
def test_slicer_states_space_and_unit(fields: dict[str, object], code: str) -> None:
    assert refused(slicer(point(), **fields)) == code


def test_slicer_units_may_be_a_list_of_codes() -> None:
    assert only(read(slicer(point(), coordinateUnits=["mm", "UCUM", "millimeter"]))).name == "spot"


def test_slicer_points_that_are_not_defined_are_skipped() -> None:
    file = read(slicer(point("a"), point("b", positionStatus="undefined"), point("c", positionStatus="defined")))
    assert [target.name for target in file.targets] == ["a", "c"]
    assert [(skip.name, skip.reason) for skip in file.skipped] == [("b", "not_defined")]


def test_slicer_line_is_entry_then_target_and_says_so() -> None:
    file = read(slicer(point("in", (1, 2, 3)), point("deep", (4, 5, 6)), kind="Line"))
    assert (only(file).entry_in_mri_mm, only(file).position_in_mri_mm) == ((-1, -2, 3), (-4, -5, 6))
    assert (only(file).kind, file.assumptions) == (TargetKind.ENTRY_TARGET, ("line_begins_at_entry",))
    assert [skip.reason for skip in read(slicer(point(), kind="Line")).skipped] == ["not_two_points"]
    assert [skip.reason for skip in read(slicer(point(), kind="Plane")).skipped] == ["unsupported_type"]


def test_slicer_orientation_is_no_coil_unless_our_own_export_says_so() -> None:
    axes = [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert only(read(slicer(point(orientation=axes)))).kind is TargetKind.POINT
    assert only(read(slicer(point(orientation=axes, description="coil pose, SimNIBS axes")))).kind is TargetKind.COIL_POSE
    assert refused(slicer(point(orientation=[1, 2], description="coil pose, SimNIBS axes"))) == "unreadable_target_file"


def test_ant_pose_is_ours_already() -> None:
    assert is_pose(only(read(ant())), 1e-6)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"CoordinateSystem": "MNI"}, "template_space_needs_transform"),
        ({"CoordinateSystem": "TRACKER"}, "unsupported_coordinate_system"),
        ({"CoordinateSystem": ""}, "missing_coordinate_space"),
        ({"PositionalUnit": "m"}, "bad_units"),
        ({"PositionalUnit": ""}, "bad_units"),
        ({"CoilAxesConvention": "brainsight"}, "unsupported_axes"),
        ({"CoilAxesConvention": ""}, "unsupported_axes"),
        ({"CoilPose": {"RigidTransformMatrix4x4": np.diag((1.0, 1, -1, 1)).tolist()}}, "left_handed_axes"),
    ],
)
def test_ant_states_space_unit_and_axes(fields: dict[str, object], code: str) -> None:
    assert refused(ant(**fields)) == code


def test_ant_marker_without_a_coil_pose_is_skipped() -> None:
    assert [skip.reason for skip in read(ant(CoilPose={})).skipped] == ["no_pose"]


def lying(shift_mm: float = 0.0) -> SourceImage:
    return SourceImage(
        mri_from_voxel=np.array([[1.0, 0, 0, -96 + shift_mm], [0, 1, 0, -132], [0, 0, 1, -78], [0, 0, 0, 1]]), shape=(193, 229, 193)
    )


def test_ant_knows_its_image_by_the_numbers_of_its_header() -> None:
    assert read(ant(IMAGE), image=lying()).image.verified
    assert not read(ant(IMAGE)).image.verified
    assert not read(ant(), image=lying()).image.verified
    assert read(ant(IMAGE), image=lying(0.00009)).image.verified
    assert refused(ant(IMAGE), image=lying(0.0002)) == "wrong_image"
    assert refused(ant(IMAGE | {"NIfTI_pixdim": [-1.0, 1.0, 1.0, 1.0]}), image=lying()) == "wrong_image"
    assert refused(ant(IMAGE | {"NIfTI_qoffset": [float("nan"), 0.0, 0.0]})) == "not_finite"
