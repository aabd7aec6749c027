"""Coil poses: the published frames, handle, gap, tilt and depth, each refusal; landmarks, sides, and transforms of points."""

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.fiducials import (
    FiducialError,
    Fiducials,
    check_fiducials,
    check_on_scalp,
    check_side,
    read_fiducials,
    right_of_midplane_mm,
)
from calibration.placement import PlacementError, averaged_normal, coil_frame, handle_direction, place_coil
from calibration.template_points import (
    TransformError,
    apply_affine,
    check_direction,
    check_round_trip,
    read_itk_affine,
    read_native_from_mni,
)
from tests.scalps import sample_fiducials, sample_scalp, sphere

VECTORS = [
    vector for vector in json.loads(Path("tests/data/protocol_vectors.json").read_text())["vectors"] if vector["kind"] == "coil_frame"
]
SAMPLES = Path("tests/data/connectivity")
EXPECTED = json.loads((SAMPLES / "expected.json").read_text())["files"]
TARGET = np.array((-42.0, 42.0, 28.0))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_published_frames_come_out(vector):
    given, expected = vector["input"], vector["expect"]
    normal = np.array(given["target_mm"]) / np.linalg.norm(given["target_mm"])
    handle = handle_direction(normal, given["side"], given["angle_to_midline_deg"])
    assert handle == pytest.approx(expected["handle_dir"], abs=1e-5)
    frame = coil_frame(given["sphere_radius_mm"] * normal, normal, handle, given["standoff_mm"])
    assert frame == pytest.approx(np.array(expected["matrix_rows"]), abs=1e-5)


def refusal(**changes) -> PlacementError:
    arguments = {"surface": sample_scalp(), "target_mm": TARGET, "side": "left"} | changes
    with pytest.raises(PlacementError) as caught:
        place_coil(**arguments)
    return caught.value


def test_the_sample_target_is_reached_from_the_left_front():
    placed = place_coil(sample_scalp(), TARGET, "left")
    assert placed.depth_mm == pytest.approx(18.7, abs=0.2)
    assert placed.entry_mm == pytest.approx((-56, 53, 34), abs=1.0)
    assert placed.beam_miss_mm < 1.0
    assert placed.tilt_deg == 0.0
    assert placed.warnings == ()


def test_the_handle_of_a_left_target_points_back_and_left_and_of_a_right_one_back_and_right():
    up = np.array((0.0, 0.0, 1.0))
    assert handle_direction(up, "left") == pytest.approx((-np.sqrt(0.5), -np.sqrt(0.5), 0))
    assert handle_direction(up, "right") == pytest.approx((np.sqrt(0.5), -np.sqrt(0.5), 0))


def test_over_the_forehead_up_takes_the_place_of_forward():
    front = np.array((0.0, 1.0, 0.0))
    assert handle_direction(front, "left", 0.0) == pytest.approx((0, 0, -1))


def test_at_the_vertex_with_the_handle_straight_back_x_points_to_the_left():
    frame = coil_frame(np.zeros(3), np.array((0.0, 0.0, 1.0)), np.array((0.0, -1.0, 0.0)), 0.0)
    assert frame[:3, :3].tolist() == [[-1, 0, 0], [0, 1, 0], [0, 0, -1]]


def test_the_gap_lifts_the_coil_along_the_normal():
    flat, lifted = (place_coil(sample_scalp(), TARGET, "left", gap_mm=gap) for gap in (0.0, 4.0))
    moved = lifted.mri_from_coil.translation_mm - flat.mri_from_coil.translation_mm
    assert moved == pytest.approx(4.0 * flat.normal)


def test_a_given_handle_is_laid_on_the_scalp():
    placed = place_coil(sample_scalp(), TARGET, "left", handle=(0.0, 0.0, -3.0))
    assert placed.handle @ placed.normal == pytest.approx(0.0, abs=1e-12)
    assert placed.handle[2] < -0.8


@pytest.mark.parametrize(("off_deg", "passes"), [(9.0, False), (11.0, True)])
def test_a_handle_within_10_degrees_of_the_normal_is_refused(off_deg, passes):
    handle = np.array((np.sin(np.radians(off_deg)), 0.0, np.cos(np.radians(off_deg))))
    if passes:
        assert coil_frame(np.zeros(3), np.array((0.0, 0.0, 1.0)), handle, 0.0)[:3, 1] == pytest.approx((-1, 0, 0))
    else:
        with pytest.raises(PlacementError) as caught:
            coil_frame(np.zeros(3), np.array((0.0, 0.0, 1.0)), handle, 0.0)
        assert caught.value.code == "handle_along_normal"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"target_mm": (-70.0, 60.0, 60.0)}, "target_outside_scalp"),
        ({"target_mm": (0.0, -20.0, 20.0)}, "target_depth"),
        ({"target_mm": (-54.0, 51.0, 32.0)}, "target_depth"),
        ({"target_mm": (np.nan, 0.0, 0.0)}, "target_outside_scalp"),
        ({"gap_mm": 5.1}, "gap_out_of_range"),
        ({"gap_mm": -0.1}, "gap_out_of_range"),
        ({"gap_mm": np.nan}, "gap_out_of_range"),
        ({"handle": (0.0, 0.0, 0.0)}, "handle_along_normal"),
        ({"handle": (np.nan, 0.0, 0.0)}, "handle_along_normal"),
        ({"handle_angle_deg": np.inf}, "handle_angle_out_of_range"),
        ({"entry_direction": (0.0, 0.0, 0.0)}, "entry_not_found"),
        ({"entry_direction": (1.0, -1.0, 0.0)}, "entry_not_found"),
    ],
)
def test_each_thing_that_cannot_be_placed_is_refused(changes, code):
    assert refusal(**changes).code == code


def test_a_target_deeper_than_30_mm_is_warned_about():
    assert place_coil(sphere(), (-28.0, 28.0, 28.0), "left").warnings == ("target_deep",)


def test_a_given_direction_decides_where_the_coil_sits():
    placed = place_coil(sphere(), (0.0, 40.0, 50.0), "left", entry_direction=(0.0, 0.0, 1.0))
    assert placed.entry_mm == pytest.approx((0, 40, np.sqrt(82**2 - 40**2)), abs=0.3)
    assert placed.beam_miss_mm > 3
    assert "beam_misses_target" in placed.warnings


def test_tilting_brings_the_axis_onto_the_target_within_10_degrees():
    placed = place_coil(sample_scalp(), TARGET, "left", tilt_to_target=True)
    assert placed.beam_miss_mm == pytest.approx(0.0, abs=1e-9)
    assert 0 < placed.tilt_deg < 10


def test_tilting_stops_at_10_degrees_and_the_rest_is_reported():
    placed = place_coil(sphere(), (0.0, 40.0, 50.0), "left", entry_direction=(0.0, 0.0, 1.0), tilt_to_target=True)
    assert placed.tilt_deg == pytest.approx(10.0)
    assert placed.beam_miss_mm > 3


def test_the_averaged_normal_of_a_sphere_is_its_radius():
    point = 82.0 * np.array((0.6, 0.0, 0.8))
    assert averaged_normal(sphere(), point) == pytest.approx((0.6, 0, 0.8), abs=0.01)


def test_the_sample_landmarks_pass_and_lie_on_the_scalp():
    fiducials = sample_fiducials()
    check_fiducials(fiducials, "sample")
    off = {name: abs(float(sample_scalp().closest(at[None]).signed_mm[0])) for name, at in fiducials.all_mm().items()}
    check_on_scalp(fiducials, off, "sample")


def fiducial_refusal(**changes) -> FiducialError:
    points = sample_fiducials().all_mm() | {name: np.array(point) for name, point in changes.items()}
    with pytest.raises(FiducialError) as caught:
        check_fiducials(Fiducials.from_points(points), "landmarks")
    return caught.value


def test_swapped_ears_are_a_laterality_mismatch():
    assert fiducial_refusal(LPA=(82.5, -9.0, -46.0), RPA=(-82.5, -9.0, -46.0)).code == "laterality_mismatch"


def test_a_nose_behind_the_ears_is_a_laterality_mismatch():
    assert fiducial_refusal(NAS=(0.0, -100.0, -46.0)).code == "laterality_mismatch"


@pytest.mark.parametrize(
    "changes",
    [
        {"NAS": (0.0, 40.0, -46.0)},
        {"NAS": (0.0, 130.0, -46.0)},
        {"LPA": (-40.0, -9.0, -46.0), "RPA": (40.0, -9.0, -46.0)},
        {"LPA": (-110.0, -9.0, -46.0)},
        {"NAS": (30.0, 85.0, -46.0)},
    ],
)
def test_landmarks_of_no_head_are_refused(changes):
    assert fiducial_refusal(**changes).code == "fiducials_implausible"


def test_a_landmark_more_than_5_mm_off_the_scalp_is_refused_by_name():
    fiducials = sample_fiducials()
    off = dict.fromkeys(fiducials.all_mm(), 5.0)
    check_on_scalp(fiducials, off, "landmarks")
    with pytest.raises(FiducialError, match=r"RPA is 5\.1 mm"):
        check_on_scalp(fiducials, off | {"RPA": 5.1}, "landmarks")


def test_the_midplane_goes_through_the_nose_and_not_through_the_scanner_s_zero():
    moved = Fiducials.from_points({name: at + np.array((50.0, 0.0, 0.0)) for name, at in sample_fiducials().all_mm().items()})
    right_of_it = np.array((52.0, 42.0, 28.0))
    assert right_of_midplane_mm(moved, right_of_it) == pytest.approx(2.0)
    assert check_side(moved, right_of_it, "right", "target") == ("target_near_midline",)
    with pytest.raises(FiducialError) as caught:
        check_side(moved, np.array((42.0, 42.0, 28.0)), "right", "target")
    assert caught.value.code == "laterality_mismatch"


def test_landmarks_are_read_with_their_names_in_any_case(tmp_path):
    path = tmp_path / "f.json"
    path.write_text('{"fiducials": {"nas": [0, 85, -46], "lpa": [-82, -9, -46], "rpa": [82, -9, -46], "inion": [0, -110, -40]}}')
    fiducials, in_template = read_fiducials(path)
    assert set(fiducials.all_mm()) == {"NAS", "LPA", "RPA", "INION"}
    assert not in_template


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"fiducials": []}',
        '{"fiducials": {"NAS": [0, 85, -46], "LPA": [-82, -9, -46]}}',
        '{"fiducials": {"NAS": [0, 85], "LPA": [-82, -9, -46], "RPA": [82, -9, -46]}}',
        '{"fiducials": {"NAS": [0, 850, -46], "LPA": [-82, -9, -46], "RPA": [82, -9, -46]}}',
        '{"fiducials": {"NAS": [0, NaN, -46], "LPA": [-82, -9, -46], "RPA": [82, -9, -46]}}',
        '{"fiducials": {"NAS": ["a", 1, 2], "LPA": [-82, -9, -46], "RPA": [82, -9, -46]}}',
        '{"space": "LPS", "fiducials": {"NAS": [0, 85, -46], "LPA": [-82, -9, -46], "RPA": [82, -9, -46]}}',
    ],
)
def test_a_file_without_usable_landmarks_is_refused(tmp_path, text):
    (tmp_path / "f.json").write_text(text)
    with pytest.raises(FiducialError) as caught:
        read_fiducials(tmp_path / "f.json")
    assert caught.value.code == "unreadable_fiducials"


@pytest.mark.parametrize("name", ["native_from_mni_points_itk.txt", "native_from_mni_points_itk_centered.txt"])
def test_itk_affines_carry_the_sample_points(name):
    native_from_mni = read_itk_affine(SAMPLES / name)
    for point, expected in zip(EXPECTED[name]["mni"], EXPECTED[name]["expected_native"], strict=True):
        assert apply_affine(native_from_mni, np.array(point)) == pytest.approx(expected, abs=1e-4)


def test_a_json_matrix_says_its_direction(tmp_path):
    matrix = EXPECTED["native_from_mni_points_itk.txt"]["native_from_mni"]
    (tmp_path / "m.json").write_text(json.dumps({"native_from_mni": matrix}))
    assert read_native_from_mni(tmp_path / "m.json").tolist() == matrix
    (tmp_path / "m.json").write_text(json.dumps(matrix))
    with pytest.raises(TransformError) as caught:
        read_native_from_mni(tmp_path / "m.json")
    assert caught.value.code == "unreadable_transform"


HEAD = "#Insight Transform File V1.0\n#Transform 0\n"
GOOD = HEAD + "Transform: AffineTransform_double_3_3\nParameters: 1 0 0 0 1 0 0 0 1 2 3 4\nFixedParameters: 0 0 0\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "unreadable_transform"),
        ("hello", "unreadable_transform"),
        (GOOD.replace("AffineTransform", "Euler3DTransform"), "unreadable_transform"),
        (GOOD.replace("1 2 3 4", "1 2 3"), "unreadable_transform"),
        (GOOD.replace("1 2 3 4", "1 2 3 x"), "unreadable_transform"),
        (GOOD.replace("1 2 3 4", "1 2 3 nan"), "unreadable_transform"),
        (GOOD + GOOD.removeprefix(HEAD), "unreadable_transform"),
        (GOOD.replace("s: 1 0 0", "s: -1 0 0"), "transform_implausible"),
        (GOOD.replace("s: 1 0 0", "s: 3 0 0"), "transform_implausible"),
        (GOOD.replace("1 2 3 4", "1 2000 3 4"), "transform_implausible"),
    ],
)
def test_a_transform_that_must_not_carry_a_target_is_refused(tmp_path, text, code):
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(TransformError) as caught:
        read_itk_affine(tmp_path / "t.txt")
    assert caught.value.code == code


def test_the_name_of_a_transform_must_say_the_way_from_t1_to_the_template():
    space = "MNI152NLin2009cAsym"
    assert check_direction(Path(f"sub-1_from-T1w_to-{space}_mode-image_xfm.txt"), space) == ()
    assert check_direction(Path("affine.txt"), space) == ("transform_direction_unstated",)
    for wrong in (f"from-{space}_to-T1w_mode", "from-T1w_to-MNI152NLin6Asym_mode"):
        with pytest.raises(TransformError) as caught:
            check_direction(Path(f"sub-1_{wrong}-image_xfm.txt"), space)
        assert caught.value.code == "transform_wrong_direction"


def test_a_way_there_and_back_that_misses_by_more_than_1_mm_is_refused():
    there = read_itk_affine(SAMPLES / "native_from_mni_points_itk.txt")
    back = np.linalg.inv(there)
    check_round_trip(there, back, TARGET, "back")
    back[0, 3] += 1.1
    with pytest.raises(TransformError) as caught:
        check_round_trip(there, back, TARGET, "back")
    assert caught.value.code == "transforms_disagree"
