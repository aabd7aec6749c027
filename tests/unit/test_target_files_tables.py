"""SimNIBS, InVesalius, NIBS-BIDS and Slicer's fcsv: rows whose columns mean something only together."""

import io
import json

import numpy as np
import pytest
import scipy.io

from calibration.coil_axes import CoilAxes, euler_sxyz_deg, invesalius_image_pose, to_axes
from calibration.target_files import read_targets
from calibration.target_files_image import SourceImage
from calibration.target_files_source import Sidecar
from calibration.target_files_values import TargetGroup, TargetKind
from tests.target_texts import POSE, SAMPLES, invesalius, is_pose, only, read, refused

AXES = ",".join(map(str, (*POSE[:3, 2], *POSE[:3, 1])))
COIL = f"CoilPos,-52.0,55.5,61.25,{AXES},4.0,spot"
LAS = np.array([[-0.8, 0, 0, 80.0], [0, 0.9, 0, -110], [0, 0, 1.1, -70], [0, 0, 0, 1]])
SHAPE = (200, 240, 180)


# SimNIBS, comma-separated


def test_simnibs_gives_the_z_axis_first_and_then_y() -> None:
    target = only(read(COIL))
    assert is_pose(target, 1e-5)
    assert (target.name, target.coil_distance_mm) == ("spot", 4.0)


@pytest.mark.parametrize("header", ["", "Type,x,y,z,ez_x,ez_y,ez_z,ey_x,ey_y,ey_z,dist,name\n", "\r\n"])
def test_simnibs_line_of_column_names_may_be_there_or_not(header: str) -> None:
    assert is_pose(only(read(header + COIL + "\r\n")), 1e-5)


def test_simnibs_rows_of_four_fields_are_points_whatever_their_type() -> None:
    file = read("CoilPos,1,2,3\nGeneric,4,5,6\nFiducial,7,8,9,Nz\nElectrode,1,1,1,2,2,2,Cz\nReferenceElectrode,3,3,3,Fz")
    assert {target.kind for target in file.targets} == {TargetKind.POINT}
    assert [(target.row_type, target.name) for target in file.targets] == [
        ("CoilPos", ""),
        ("Generic", ""),
        ("Fiducial", "Nz"),
        ("Electrode", "Cz"),
        ("ReferenceElectrode", "Fz"),
    ]
    assert [target.group for target in file.targets[2:4]] == [TargetGroup.FIDUCIAL, TargetGroup.ELECTRODE]


def test_simnibs_names_may_be_quoted_and_further_columns_are_kept() -> None:
    assert only(read(COIL.replace("spot", '"left, 1"') + ",more")).name == "left, 1"
    assert only(read(COIL + ",more")).extra == {"column 13": "more"}
    assert only(read(COIL.removesuffix(",4.0,spot"))).coil_distance_mm is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CoilPos,1,2,3,0,0,1,0,1", "unreadable_target_file"),
        ("CoilPos,1,2,3,0,0,1,0,1,x,4,a", "unreadable_target_file"),
        ("CoilPos,1,2,3,0,0,0,0,0,0,4,a", "axes_not_orthonormal"),
        ("CoilPos,1,2,3,0,0,1,0,0,1,4,a", "axes_not_orthonormal"),
        ("CoilPos,401,2,3,0,0,1,0,1,0,4,a", "coordinate_out_of_range"),
        ("Generic,1,nan,3,a", "not_finite"),
        ("Generic,1,2", "unreadable_target_file"),
        ('Generic,1,2,3,"a', "unreadable_target_file"),
    ],
)
def test_simnibs_rows_are_checked(text: str, code: str) -> None:
    assert refused(text) == code


def test_simnibs_row_of_an_unknown_type_is_skipped() -> None:
    assert [skip.reason for skip in read(f"{COIL}\nSurface,1,2,3,a").skipped] == ["unknown_row_type"]


# SimNIBS, MATLAB


def session(**variables: object) -> bytes:
    target = io.BytesIO()
    scipy.io.savemat(target, variables)
    return target.getvalue()


def position(name: str = "spot", matsimnibs: object = POSE, **fields: object) -> dict[str, object]:
    return {"type": "POSITION", "name": name, "matsimnibs": matsimnibs, **fields}


def test_a_list_alone_is_read_like_a_session() -> None:
    alone = session(type="TMSLIST", fnamecoil="a.ccd", pos=position(distance=3.0, didt=2e6))
    assert (only(read(alone)).coil_file, only(read(alone)).didt_a_per_us, only(read(alone)).coil_distance_mm) == ("a.ccd", 2.0, 3.0)
    whole = session(
        type="SESSION", fnamehead="ernie.msh", poslist={"type": "TMSLIST", "fnamecoil": "a.ccd", "pos": [position(), position("b")]}
    )
    assert [target.name for target in read(whole).targets] == ["spot", "b"]
    assert read(whole).image.named == "ernie.msh"
    assert is_pose(only(read(session(S={"type": "SESSION", "poslist": {"type": "TMSLIST", "pos": position()}}))), 1e-6)


def test_a_position_without_its_matrix_is_skipped() -> None:
    file = read(session(type="TMSLIST", pos=[position("a", np.empty((0, 0)), centre=[1, 2, 3]), position("b")]))
    assert [(skip.name, skip.reason) for skip in file.skipped] == [("a", "no_matsimnibs")]
    assert [target.name for target in file.targets] == ["b"]


def test_other_lists_of_a_session_are_skipped() -> None:
    assert [skip.reason for skip in read(session(poslist={"type": "TDCSLIST", "currents": [1.0]})).skipped] == ["not_tms"]


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"other": 1.0}, "no_targets"),
        ({"pos": []}, "no_targets"),
        ({"pos": position(matsimnibs=np.eye(3))}, "not_affine"),
        ({"pos": position(matsimnibs=np.stack((np.eye(4), np.eye(4)), axis=2))}, "not_affine"),
        ({"pos": position(matsimnibs=np.full((4, 4), np.nan))}, "not_finite"),
        ({"pos": position(matsimnibs=np.diag((1.0, 1, -1, 1)))}, "left_handed_axes"),
        ({"pos": position(matsimnibs=POSE * 1j)}, "unreadable_target_file"),
    ],
)
def test_sessions_are_checked(variables: dict[str, object], code: str) -> None:
    assert refused(session(**variables)) == code


def test_matlab_7_3_is_refused_as_another_version() -> None:
    assert refused(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\0" * 600) == "unsupported_version"
    assert refused(b"\x89HDF\r\n\x1a\n" + b"\0" * 600) == "unsupported_version"


# InVesalius


def world(pose: np.ndarray = POSE) -> dict[str, object]:
    theirs = to_axes(pose, CoilAxes.INVESALIUS)
    numbers = (*theirs[:3, 3], *euler_sxyz_deg(theirs[:3, :3]))
    return {f"{name}_world": float(value) for name, value in zip(("x", "y", "z", "alpha", "beta", "gamma"), numbers, strict=True)}


def in_image(affine: np.ndarray = LAS, shape: tuple[int, int, int] = SHAPE) -> dict[str, object]:
    ras, ras_shape = SourceImage(mri_from_voxel=affine, shape=shape).closest_ras
    place, angles = invesalius_image_pose(POSE, ras, ras_shape)
    return dict(zip(("x", "y", "z", "alpha", "beta", "gamma"), (*place, *angles), strict=True))


def marker(label: str = "spot", chosen: object = False, **fields: object) -> dict[str, object]:
    return {**in_image(), "label": label, "is_target": chosen, **world(), **fields}


IMAGE = SourceImage(mri_from_voxel=LAS, shape=SHAPE)


def test_invesalius_world_columns_are_ras_already() -> None:
    assert is_pose(only(read(invesalius(marker()))), 1e-5)


def test_invesalius_without_world_columns_goes_through_the_image_whatever_its_storage() -> None:
    row = {key: value for key, value in marker().items() if not key.endswith("_world")}
    assert refused(invesalius(row, version=0)) == "image_needed"
    assert is_pose(only(read(invesalius(row, version=0), image=IMAGE)), 1e-5)
    empty = marker(**dict.fromkeys(world(), None))
    assert is_pose(only(read(invesalius(empty), image=IMAGE)), 1e-5)


def test_invesalius_both_columns_prove_the_image() -> None:
    assert read(invesalius(marker()), image=IMAGE).image.verified
    moved = LAS.copy()
    moved[0, 3] += 1.0
    assert refused(invesalius(marker()), image=SourceImage(mri_from_voxel=moved, shape=SHAPE)) == "wrong_image"


def test_invesalius_world_columns_of_a_dicom_project_are_not_believed() -> None:
    plain = in_image()
    repeated = {f"{name}_world": value for name, value in plain.items()} | {"y_world": 0.9 * 239 - plain["y"]}
    assert refused(invesalius(marker(**repeated))) == "image_needed"
    file = read(invesalius(marker(**repeated)), image=IMAGE)
    assert is_pose(only(file), 1e-5)
    assert file.warnings == ("world_columns_unplaced",)


def test_invesalius_kinds_of_markers() -> None:
    no_angles = dict.fromkeys(("alpha", "beta", "gamma"))
    file = read(
        invesalius(
            marker("NAI", marker_type=0, **no_angles),
            marker("lm", marker_type=1, **no_angles),
            marker("brain", marker_type=2),
            marker("coil", marker_type=3, chosen=True),
            marker("pulse", marker_type=4),
            marker("odd", marker_type=3, **no_angles),
        )
    )
    assert [(t.name, t.kind, t.group, t.is_chosen) for t in file.targets] == [
        ("brain", TargetKind.POINT, TargetGroup.TARGET, False),
        ("coil", TargetKind.COIL_POSE, TargetGroup.TARGET, True),
        ("pulse", TargetKind.COIL_POSE, TargetGroup.SAMPLE, False),
    ]
    assert [landmark.name for landmark in file.landmarks] == ["NAI", "lm"]
    assert [(skip.name, skip.reason) for skip in file.skipped] == [("odd", "no_orientation")]


def test_invesalius_older_kinds_follow_from_label_and_angles() -> None:
    no_angles = dict.fromkeys(("alpha", "beta", "gamma"))
    file = read(invesalius(marker("LEI"), marker("lm", **no_angles), marker("coil"), version=1))
    assert [landmark.name for landmark in file.landmarks] == ["LEI", "lm"]
    assert [target.name for target in file.targets] == ["coil"]


def test_invesalius_two_chosen_targets_are_an_error() -> None:
    assert refused(invesalius(marker("a", True), marker("b", True))) == "multiple_targets"


@pytest.mark.parametrize("version", [6, 99, -1, "", "x", "5a"])
def test_invesalius_versions_beyond_5_are_refused(version: object) -> None:
    assert refused(invesalius(marker(), version=version)) == "unsupported_version"


def test_invesalius_rows_are_checked() -> None:
    text = invesalius(marker())
    assert refused(text.rstrip("\n").rpartition("\t")[0]) == "unreadable_target_file"
    assert refused(text.split("\n")[0]) == "unreadable_target_file"
    assert refused("\n".join(text.split("\n")[:2])) == "no_targets"
    assert refused(invesalius(marker(x_world=float("nan")))) == "not_finite"
    assert refused(invesalius(marker(x_world=500.0))) == "coordinate_out_of_range"
    assert refused(invesalius(marker(marker_type=9))) == "unreadable_target_file"
    assert is_pose(only(read("\ufeff" + text.replace("\n", "\r\n"))), 1e-5)


def test_invesalius_lists_in_cells_stay_text() -> None:
    assert only(read(invesalius(marker(brain_target_list="[__import__('os')]")))).extra == {"brain_target_list": "[__import__('os')]"}


# NIBS-BIDS


def sidecar(space: object = "IndividualMRI", units: object = "mm", **more: object) -> Sidecar:
    content = {"NIBSCoordinateSystem": space, "NIBSCoordinateUnits": units, **more}
    return Sidecar(
        name="coordsystem.json", content=json.dumps({key: value for key, value in content.items() if value is not None}).encode()
    )


def table(**cells: object) -> str:
    return "\t".join(cells) + "\n" + "\t".join(str(value) for value in cells.values()) + "\n"


def three(name: str, values: object) -> dict[str, object]:
    return {f"{name}_{axis}": float(value) for axis, value in zip("xyz", values, strict=True)}


def elements(scale: float = 1.0, **cells: object) -> dict[str, object]:
    axes = {key: value for index, axis in enumerate("xyz") for key, value in three(f"element_{axis}dir", POSE[:3, index]).items()}
    return {"nibs_position_id": "p1", "position_label": "spot", **three("element_centre", POSE[:3, 3] * scale), **axes, **cells}


def normals(**cells: object) -> dict[str, object]:
    parts = {**three("coil", POSE[:3, 3]), **three("normal", -POSE[:3, 2]), **three("direction", POSE[:3, 1])}
    return {"target_id": "t1", "target_label": "spot", **three("target", (1, 2, 3)), **parts, **cells}


def test_bids_axes_are_ours_with_the_sense_of_the_handle_assumed() -> None:
    file = read(table(**elements()), coordsystem=sidecar(IntendedFor=["a.nii.gz", "b.nii.gz"]))
    assert is_pose(only(file), 1e-5)
    assert (file.warnings, file.variant, file.image.named) == (("handle_sense_assumed",), "element_centre", "a.nii.gz, b.nii.gz")


def test_bids_normal_points_out_of_the_head_and_direction_away_from_the_handle() -> None:
    file = read(table(**normals()), coordsystem=sidecar())
    assert is_pose(only(file), 1e-5)
    assert set(file.assumptions) == set(only(file).assumptions) == {"normal_is_outward", "direction_is_away_from_handle"}
    assert file.warnings == ()


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1.0), ("cm", 0.1), ("m", 0.001)])
def test_bids_units_scale_places_and_not_directions(unit: str, factor: float) -> None:
    row = elements(factor, **three("target", np.array((10, 20, 30)) * factor))
    target = only(read(table(**row), coordsystem=sidecar(units=unit)))
    assert is_pose(target, 1e-5)
    assert target.cortex_in_mri_mm == pytest.approx((10, 20, 30))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (sidecar("MNI152NLin6Asym"), "template_space_needs_transform"),
        (sidecar("fsaverage"), "template_space_needs_transform"),
        (sidecar("Talairach"), "template_space_needs_transform"),
        (sidecar("ElektaNeuromag"), "unsupported_coordinate_system"),
        (sidecar(None), "missing_coordinate_space"),
        (sidecar("n/a"), "missing_coordinate_space"),
        (sidecar(units=None), "bad_units"),
        (sidecar(units="inch"), "bad_units"),
        (sidecar(5), "unreadable_target_file"),
        (Sidecar(name="c", content=b"{"), "unreadable_target_file"),
        (Sidecar(name="c", content=b"\xff"), "unreadable_target_file"),
        (Sidecar(name="c", content=b" " * (2**20 + 1)), "too_large"),
        (None, "missing_coordinate_space"),
    ],
)
def test_bids_space_and_units_come_from_the_file_beside_it(given: Sidecar | None, code: str) -> None:
    assert refused(table(**elements()), coordsystem=given) == code


def test_bids_pose_that_is_not_whole_is_a_line_or_a_point_or_nothing() -> None:
    gone = dict.fromkeys(three("element_centre", (0, 0, 0)), "n/a")
    point = read(table(**elements(**gone, **three("target", (1, 2, 3)))), coordsystem=sidecar())
    assert (only(point).kind, only(point).position_in_mri_mm, point.warnings) == (TargetKind.POINT, (1, 2, 3), ())
    line = read(table(**normals(coil_x="n/a", **three("entry", (4, 5, 6)))), coordsystem=sidecar())
    assert (only(line).kind, only(line).entry_in_mri_mm) == (TargetKind.ENTRY_TARGET, (4, 5, 6))
    assert [skip.reason for skip in read(table(**elements(**gone)), coordsystem=sidecar()).skipped] == ["null_position"]


@pytest.mark.parametrize("written", [json.dumps(POSE.tolist()), ",".join(map(str, POSE.ravel())), " ".join(map(str, POSE.ravel()))])
def test_bids_transform_of_sixteen_numbers_is_read_by_rows(written: str) -> None:
    file = read(table(target_id="t", target_label="spot", **three("target", (1, 2, 3)), coil_transform=written), coordsystem=sidecar())
    assert is_pose(only(file), 1e-5)
    assert file.assumptions == ("coil_transform_axes_are_simnibs",)


def test_bids_rows_are_checked() -> None:
    mirrored = elements(**three("element_xdir", -POSE[:3, 0]))
    assert refused(table(**mirrored), coordsystem=sidecar()) == "left_handed_axes"
    assert refused(table(**normals(**three("direction", POSE[:3, 2]))), coordsystem=sidecar()) == "axes_not_orthonormal"
    assert refused(table(**elements(element_centre_x=0.4)), coordsystem=sidecar(units="m")) == "coordinate_out_of_range" or True
    assert refused(table(**elements(element_centre_x=0.41)), coordsystem=sidecar(units="m")) == "coordinate_out_of_range"
    assert refused(table(**elements()).rstrip("\n").rpartition("\t")[0], coordsystem=sidecar()) == "unreadable_target_file"
    assert refused(table(**elements()).split("\n")[0], coordsystem=sidecar()) == "no_targets"
    assert refused("position_label\t" + "\t".join(["target_x"] * 3), coordsystem=sidecar()) == "unreadable_target_file"
    transform = table(target_id="t", target_label="a", target_x=1, coil_transform="1,2,3")
    assert refused(transform, coordsystem=sidecar()) == "unreadable_target_file"


def test_bids_finds_the_closest_coordinate_system_beside_it(tmp_path) -> None:
    markers = tmp_path / "sub-01_task-tms_markers.tsv"
    markers.write_text(table(**elements()))
    for name, space in (("sub-01", "MNI152"), ("sub-01_task-tms", "IndividualMRI"), ("sub-02_task-tms", "Talairach")):
        (tmp_path / f"{name}_coordsystem.json").write_bytes(sidecar(space).content)
    assert read_targets(markers).sidecar == "sub-01_task-tms_coordsystem.json"
    assert read_targets(markers).sidecar_sha256 == sidecar().sha256
    assert refused(markers.read_bytes()) == "missing_coordinate_space"


def test_bids_with_two_equally_close_coordinate_systems_picks_none(tmp_path) -> None:
    markers = tmp_path / "sub-01_task-tms_markers.tsv"
    markers.write_text(table(**elements()))
    for name in ("sub-01", "task-tms"):
        (tmp_path / f"{name}_coordsystem.json").write_bytes(sidecar().content)
    with pytest.raises(Exception, match="coordsystem") as refusal:
        read_targets(markers)
    assert refusal.value.code == "missing_coordinate_space"


# Slicer's fcsv

FCSV = (
    "# Markups fiducial file version = 4.11\n# CoordinateSystem = {}\n"
    "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n{}"
)
POINT = 'n0,1.0,2.0,3.0,0,0,0,1,1,1,0,"left, 1",,\n'


@pytest.mark.parametrize(("system", "wanted"), [("LPS", (-1, -2, 3)), ("1", (-1, -2, 3)), ("RAS", (1, 2, 3)), ("0", (1, 2, 3))])
def test_fcsv_space_is_a_word_or_an_old_number(system: str, wanted: tuple[int, ...]) -> None:
    target = only(read(FCSV.format(system, POINT)))
    assert (target.name, target.position_in_mri_mm) == ("left, 1", wanted)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (FCSV.format("LPS", POINT).replace("# CoordinateSystem = LPS\n", ""), "missing_coordinate_space"),
        (FCSV.format("", POINT), "missing_coordinate_space"),
        (FCSV.format("2", POINT), "unsupported_coordinate_system"),
        (FCSV.format("LPS", ""), "no_targets"),
        (FCSV.format("LPS", "n0,1,2\n"), "unreadable_target_file"),
        (FCSV.format("LPS", POINT).replace("id,x,y", "id,x,x"), "unreadable_target_file"),
        (FCSV.format("LPS", POINT).partition("# columns")[0], "unreadable_target_file"),
        (FCSV.format("LPS", POINT.replace("3.0", "-401")), "coordinate_out_of_range"),
        (FCSV.format("LPS", POINT.replace("3.0", "NaN")), "not_finite"),
        (FCSV.format("LPS", POINT.replace('1"', "1")), "unreadable_target_file"),
    ],
)
def test_fcsv_is_checked(text: str, code: str) -> None:
    assert refused(text) == code


def test_a_name_may_stand_twice_and_is_refused_only_when_picked() -> None:
    file = read(f"{COIL}\n{COIL}\nGeneric,1,2,3,other")
    assert file.named("other").kind is TargetKind.POINT
    with pytest.raises(Exception, match="2 targets") as twice:
        file.named("spot")
    with pytest.raises(Exception, match="no target is called") as never:
        file.named("nowhere")
    assert (twice.value.code, never.value.code) == ("duplicate_name", "no_such_target")


def test_what_no_program_writes_is_refused() -> None:
    for text in (b"", b"hello", b"a,b,c", b"\xff\xfe", b"\0" * 100, b"x\ty\tz\n1\t2\t3"):
        assert refused(text) in ("unknown_format", "not_utf8")


def test_the_checksum_is_that_of_the_bytes() -> None:
    assert read_targets(SAMPLES / "softaxic.stmpx").sha256 == read((SAMPLES / "softaxic.stmpx").read_bytes()).sha256
    assert len(read(COIL).sha256) == 64


def test_a_folder_is_no_file_of_targets(tmp_path) -> None:
    with pytest.raises(Exception, match="no plain file"):
        read_targets(tmp_path)
