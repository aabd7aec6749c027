"""Making a plan: the sample head in every way it may be asked for, what is refused before anything is written, what is left behind."""

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.bad_input import BadInput
from calibration.nifti import file_sha256
from daemon.plan import read_plan
from daemon.plan_target import FromMap, FromPoint, Space
from daemon.plan_texts import WARNING_TEXTS
from daemon.plan_values import PlanError
from daemon.planning import STEPS, make_plan
from tests import plans
from tests.images import AFFINE, SHAPE, write_image

ITK = "Transform: AffineTransform_double_3_3\nParameters: 1 0 0 0 1 0 0 0 1 {} {} {}\nFixedParameters: 0 0 0\n"


@pytest.fixture(scope="module")
def native(tmp_path_factory) -> Path:
    return plans.native_t1(tmp_path_factory.mktemp("native") / "t1.nii")


def as_person(native: Path, **changes: object) -> dict[str, object]:
    return {"t1": native, "space": Space(), "side_fact": "the capsule is on the LEFT", "scalp": Path("tests/data/scalp_20k.stl")} | changes


def refusal(tmp_path: Path, **changes: object) -> BadInput:
    with pytest.raises(BadInput) as caught:
        plans.make(tmp_path / "plan.json", **changes)
    assert list(tmp_path.glob("plan*")) == []
    return caught.value


def test_the_sample_pair_gives_a_plan_with_its_scalp_made_from_the_t1(tmp_path):
    steps: list[str] = []
    path = tmp_path / "plan.json"
    plan = make_plan(plans.request(scalp=None), plans.regimen(), path, created_utc=plans.CREATED_UTC, begin=steps.append)
    assert tuple(steps) == STEPS
    assert plan.target.cortical_target_in_mri_mm == (-42.0, 42.0, 28.0)
    assert plan.target.placement.depth_mm == pytest.approx(18.7, abs=0.2)
    assert plan.warnings == ("subject_is_template", "map_has_no_outline")
    assert plan.dose.set_point_mso == 45
    assert plan.basis == "simulation only"
    assert read_plan(path, plans.protocol_sha256) == plan


def test_the_same_request_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        plans.make(tmp_path / name / "plan.json")
    assert (tmp_path / "a/plan.json").read_bytes() == (tmp_path / "b/plan.json").read_bytes()


def test_the_template_t1_is_refused_without_its_name(tmp_path):
    assert refusal(tmp_path, space=Space()).code == "template_space_needs_transform"


def test_a_person_s_t1_is_refused_under_a_template_s_name(tmp_path, native):
    assert refusal(tmp_path, t1=native).code == "template_space_needs_transform"


def test_a_person_s_plan_needs_one_fact_that_tells_left_from_right(tmp_path, native):
    with pytest.raises(PlanError, match="mirrored"):
        plans.make(tmp_path / "plan.json", **as_person(native, side_fact=None))
    plan = plans.make(tmp_path / "plan.json", **as_person(native))
    assert plan.target.side_fact == "the capsule is on the LEFT"
    assert set(plan.warnings) == {"map_has_no_outline", "surface_space_unstated", "fiducials_in_template_space"}


def test_a_scalp_in_template_space_is_refused_for_a_person(tmp_path, native):
    changes = as_person(native, scalp=plans.DATA / "scalp_20k.surf.gii")
    assert refusal(tmp_path, **changes).code == "template_space_needs_transform"


def test_coordinates_take_the_place_of_a_map(tmp_path):
    plan = plans.make(tmp_path / "plan.json", source=FromPoint(point_mm=(-40.0, 40.0, 30.0)))
    assert plan.target.cortical_target_in_mri_mm == (-40.0, 40.0, 30.0)
    assert (plan.target.selection, plan.files.map, plan.files.mask) == (None, None, None)
    read_plan(tmp_path / "plan.json")


def test_the_published_rule_is_named_in_the_plan(tmp_path):
    source = FromMap(map=plans.SAMPLE_MAP.map, mask=plans.SAMPLE_MAP.mask, polarity="negative", rule="contarg26")
    plan = plans.make(tmp_path / "plan.json", source=source)
    assert plan.target.selection is not None
    assert plan.target.selection.rule == "contarg26"


def test_a_point_of_a_template_is_carried_by_the_transform(tmp_path, native):
    there, back = tmp_path / "from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt", tmp_path / "back.txt"
    there.write_text("#Insight Transform File V1.0\n" + ITK.format(2, 0, 0))  # LPS: 2 mm to the patient's left
    back.write_text("#Insight Transform File V1.0\n" + ITK.format(-2, 0, 0))
    space = Space(name="MNI152NLin6Asym", transform=there, opposite=back)
    plan = plans.make(tmp_path / "plan.json", **as_person(native, space=space, source=FromPoint(point_mm=(-40.0, 42.0, 28.0))))
    assert plan.target.cortical_target_in_mri_mm == (-42.0, 42.0, 28.0)
    assert plan.target.given_in_space == "MNI152NLin6Asym"
    assert plan.files.transform is not None
    assert "transform_unguarded" not in plan.warnings
    assert read_plan(tmp_path / "plan.json") == plan


def test_a_map_of_a_template_is_searched_there_and_its_target_carried(tmp_path, native):
    there = tmp_path / "affine.txt"
    there.write_text("#Insight Transform File V1.0\n" + ITK.format(0, 0, 2))
    mni = {"q_code": 4, "s_code": 4}
    values = np.full(SHAPE, 0.5, np.float32)
    values[9:12, 38:41, 24] = -3.0  # centre (-38, 46, 28)
    source = FromMap(
        map=write_image(tmp_path / "map.nii.gz", values, **mni),
        mask=write_image(tmp_path / "mask.nii.gz", np.ones(SHAPE, np.uint8), **mni),
        polarity="negative",
    )
    space = Space(name="MNI152NLin6Asym", transform=there)
    plan = plans.make(tmp_path / "plan.json", **as_person(native, space=space, source=source))
    assert plan.target.cortical_target_in_mri_mm == (-38.0, 46.0, 30.0)
    assert {"map_in_template_space", "transform_unguarded", "transform_direction_unstated"} <= set(plan.warnings)
    read_plan(tmp_path / "plan.json")


def test_template_coordinates_without_a_transform_are_refused(tmp_path, native):
    changes = as_person(native, space=Space(name="MNI152NLin6Asym"), source=FromPoint(point_mm=(-40.0, 42.0, 28.0)))
    assert refusal(tmp_path, **changes).code == "template_space_needs_transform"


def test_a_transform_that_nothing_needs_is_refused(tmp_path):
    there = tmp_path / "affine.txt"
    there.write_text("#Insight Transform File V1.0\n" + ITK.format(0, 0, 2))
    space = Space(subject_is_template=plans.TEMPLATE, transform=there)
    assert refusal(tmp_path, space=space).code == "transform_not_needed"


@pytest.mark.parametrize("point_mm", [(401.0, 0.0, 0.0), (float("nan"), 0.0, 0.0), (0.0, float("inf"), 0.0)])
def test_coordinates_of_no_head_are_refused(tmp_path, point_mm):
    assert refusal(tmp_path, source=FromPoint(point_mm=point_mm)).code == "coordinate_out_of_range"


def test_a_target_on_the_other_side_is_refused(tmp_path):
    assert refusal(tmp_path, side="right").code == "laterality_mismatch"


def test_landmarks_off_the_scalp_are_refused(tmp_path):
    path = tmp_path / "landmarks.json"
    fields = json.loads((plans.DATA / "fiducials.json").read_text())
    fields["fiducials"]["NAS"][1] += 6.0
    path.write_text(json.dumps(fields))
    assert refusal(tmp_path, fiducials=path).code == "fiducial_off_scalp"


def test_a_map_of_another_head_is_refused(tmp_path):
    values = np.zeros(SHAPE, np.float32)
    values[5:30, 20:46, 20:40] = 1.0
    values[9:12, 38:41, 24] = -3.0
    mask = write_image(tmp_path / "mask.nii.gz", np.ones(SHAPE, np.uint8))
    source = FromMap(map=write_image(tmp_path / "map.nii.gz", values), mask=mask, polarity="negative")
    assert refusal(tmp_path, source=source).code == "map_not_on_this_t1"


def test_a_target_under_the_image_s_edge_is_refused(tmp_path):
    assert refusal(tmp_path, source=FromPoint(point_mm=(-20.0, -20.0, -60.0))).code == "entry_on_cut_plane"


def test_a_picked_form_is_recorded_and_read_again(tmp_path, native):
    moved = AFFINE.copy()
    moved[2, 3] += 6.0
    values = np.full(SHAPE, 0.5, np.float32)
    values[9:12, 38:41, 24] = -3.0
    source = FromMap(
        map=write_image(tmp_path / "map.nii.gz", values, sform=moved),
        mask=plans.SAMPLE_MAP.mask,
        polarity="negative",
    )
    assert refusal(tmp_path / "none", **as_person(native, source=source)).code == "qform_sform_mismatch"
    plan = plans.make(tmp_path / "plan.json", **as_person(native, source=source, pick="qform"))
    assert plan.files.map is not None
    assert (plan.files.map.was_picked, plan.files.map.affine_source) == (True, "qform")
    assert "picked_qform" in plan.warnings
    assert read_plan(tmp_path / "plan.json") == plan


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patient": "Jane Doe"}, "pseudonym"),
        ({"rmt_mso": 0.0}, "no set point"),
        ({"rmt_mso": 0.5}, "no set point"),
        ({"rmt_mso": float("nan")}, "no set point"),
        ({"intensity_pct_rmt": 121.0}, "protocol's limit"),
        ({"intensity_pct_rmt": 0.0}, "protocol's limit"),
        ({"expected_error_limit_mm": 11.0}, "expected_error_limit_mm"),
        ({"expected_error_limit_mm": float("nan")}, "not finite"),
    ],
)
def test_what_no_plan_may_hold_is_refused_and_nothing_is_left(tmp_path, changes, said):
    with pytest.raises(PlanError, match=said):
        plans.make(tmp_path / "plan.json", **changes)
    assert list(tmp_path.iterdir()) == []


def test_an_intensity_of_one_s_own_and_its_cap_are_warned_about(tmp_path):
    plan = plans.make(tmp_path / "plan.json", rmt_mso=95.0, intensity_pct_rmt=110.0)
    assert plan.dose.set_point_mso == 100
    assert {"intensity_differs_from_protocol", "intensity_limited"} <= set(plan.warnings)


@pytest.mark.parametrize("taken", ["plan.json", "plan.files"])
def test_nothing_is_overwritten(tmp_path, taken):
    (tmp_path / taken).mkdir()
    with pytest.raises(FileExistsError):
        plans.make(tmp_path / "plan.json")
    assert [path.name for path in tmp_path.iterdir()] == [taken]


def test_the_files_beside_the_plan_are_the_ones_given(tmp_path):
    plan = plans.make(tmp_path / "plan.json")
    assert plan.files.t1.path == "plan.files/t1.nii.gz"
    assert file_sha256(tmp_path / plan.files.t1.path) == file_sha256(plans.request().t1)


def test_each_warning_has_a_text():
    sources = [*Path("calibration").glob("*.py"), *Path("daemon").glob("plan*.py")]
    words = "\n".join(path.read_text() for path in sources if path.name != "plan_texts.py")
    unused = [code for code in WARNING_TEXTS if f'"{code}"' not in words and not code.startswith("picked_")]
    assert unused == []
