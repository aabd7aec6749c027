"""Reading a plan: every rule refuses by itself, every changed byte of a named file is noticed, nothing is overwritten."""

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from calibration.nifti import file_sha256
from daemon.on_target import TargetLimits
from daemon.plan import open_plan, read_plan, registration_surface, write_plan
from daemon.plan_values import Plan, PlanError
from daemon.set_point import planned_set_point
from tests import plans

replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Plan]:
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    return path, plans.make(path)


def refusal(path: Path) -> str:
    with pytest.raises(PlanError) as caught:
        read_plan(path, plans.protocol_sha256)
    assert caught.value.remedy
    return str(caught.value)


def test_a_plan_reads_back_as_it_was_made(made):
    path, plan = made
    assert read_plan(path, plans.protocol_sha256) == plan


def test_opening_gives_the_checksum_of_the_file_and_its_folder(made):
    path, plan = made
    opened = open_plan(path)
    assert (opened.plan, opened.sha256, opened.folder) == (plan, file_sha256(path), path.parent)


def test_a_plan_is_readable_sorted_json_with_a_version(made):
    fields = json.loads(made[0].read_text())
    assert fields["type"] == "plan.v1"
    assert list(fields) == sorted(fields)
    assert '"cortical_target_in_mri_mm": [-42.0, 42.0, 28.0]' in made[0].read_text()


def test_the_plan_s_folder_can_be_moved_whole(made, tmp_path):
    shutil.copytree(made[0].parent, tmp_path / "elsewhere")
    assert read_plan(tmp_path / "elsewhere/plan.json") == made[1]


def test_the_surface_to_register_to_lacks_the_neck_s_cut(made):
    vertices = registration_surface(open_plan(made[0])).vertices_mm
    assert len(vertices) > 15_000
    assert vertices[:, 2].min() > -75.5


def test_a_plan_is_never_overwritten(made):
    with pytest.raises(FileExistsError):
        write_plan(*made)


@pytest.mark.parametrize("name", ["t1.nii.gz", "map.nii.gz", "mask.nii.gz", "scalp.surf.gii"])
def test_a_changed_named_file_is_refused_by_name(made, name):
    path = made[0].parent / "plan.files" / name
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert name in refusal(made[0])
        path.unlink()
        assert name in refusal(made[0])
    finally:
        path.write_bytes(content)


def test_a_plan_edited_by_hand_is_refused(made, tmp_path):
    edited = tmp_path / "plan.json"
    edited.write_text(made[0].read_text().replace('"set_point_mso": 45', '"set_point_mso": 46'))
    assert "changed after it was made" in refusal(edited)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"type": "plan.v2"}', "\0" * 100, '{"type": "plan.v1"}', "[" * 10_000],
)
def test_what_is_no_plan_is_refused(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    assert "no plan of this version" in refusal(tmp_path / "plan.json")


def test_a_missing_or_endless_plan_is_refused(tmp_path):
    refusal(tmp_path / "none.json")
    (tmp_path / "long.json").write_bytes(b" " * 2**21)
    assert "too long" in refusal(tmp_path / "long.json")


@pytest.mark.parametrize("where", ["", "target", "dose", "on_target"])
def test_an_unknown_field_is_refused_wherever_it_stands(made, tmp_path, where):
    fields = json.loads(made[0].read_text())
    fields["on_target"] = {}
    (fields[where] if where else fields)["auto_resum"] = 1.0
    (tmp_path / "plan.json").write_text(json.dumps(fields))
    assert "auto_resum" in refusal(tmp_path / "plan.json")


def test_a_protocol_that_changed_since_is_refused(made):
    with pytest.raises(PlanError, match="changed after the plan was made"):
        read_plan(made[0], {"demo_itbs90": "0" * 64}.__getitem__)


def with_target(plan: Plan, **changes: object) -> dict[str, object]:
    return {"target": replace(plan.target, **changes)}


def with_dose(plan: Plan, **changes: object) -> dict[str, object]:
    return {"dose": replace(plan.dose, **changes)}


def turned(plan: Plan, change: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in (np.array(plan.target.mri_from_coil) @ change).tolist())


MIRROR = np.diag((-1.0, 1.0, 1.0, 1.0))
STRETCH = np.diag((1.01, 1.0, 1.0, 1.0))
ABOUT = np.diag((1.0, -1.0, -1.0, 1.0))
SPIN = np.diag((-1.0, -1.0, 1.0, 1.0))
LIFT = np.eye(4) + np.outer((0, 0, 1, 0), (0, 0, 0, -1.0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patient": "Jane Doe"}, "pseudonym"),
        ({"created_by": " "}, "created_by"),
        ({"created_utc": "yesterday"}, "created_utc"),
        ({"basis": "research:1"}, "simulation only"),
        ({"subject_is_template": None, "basis": "research:1"}, "left from right"),
        ({"expected_error_limit_mm": 0.0}, "expected_error_limit_mm"),
        ({"expected_error_limit_mm": 10.1}, "expected_error_limit_mm"),
        ({"on_target": TargetLimits(enter_tilt_deg=3.1)}, "enter_tilt_deg is looser"),
        ({"on_target": TargetLimits(dwell_on_s=0.4)}, "dwell_on_s is looser"),
        ({"auto_resume": True}, "auto_resume"),
        ({"make_up": True}, "make_up"),
        ({"hair_gap_mm": 6.0}, "hair_gap_mm"),
        ({"hair_gap_mm": 1.0}, "scalp entry"),
    ],
)
def test_each_rule_on_a_single_field_refuses_a_plan_whose_checksums_fit(made, changes, said):
    path, plan = made
    assert said in refusal(plans.rewritten(path.parent, plan, **changes))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plan: with_dose(plan, rmt_mso=0.0), "rmt_mso"),
        (lambda plan: with_dose(plan, rmt_mso=101.0), "rmt_mso"),
        (lambda plan: with_dose(plan, intensity_pct_rmt=121.0), "intensity_pct_rmt"),
        (lambda plan: with_dose(plan, set_point_mso=46), "threshold and intensity give 45"),
        (lambda plan: with_dose(plan, set_point_mso=0, rmt_mso=0.5), "set_point_mso"),
        (lambda plan: with_target(plan, side="right"), "left, the plan says right"),
        (lambda plan: with_target(plan, token=""), "token"),
        (lambda plan: with_target(plan, mri_from_coil=turned(plan, MIRROR)), "left-handed"),
        (lambda plan: with_target(plan, mri_from_coil=turned(plan, STRETCH)), "right angles"),
        (lambda plan: with_target(plan, mri_from_coil=turned(plan, ABOUT)), "does not face the target"),
        (lambda plan: with_target(plan, mri_from_coil=turned(plan, SPIN)), "handle"),
        (lambda plan: with_target(plan, mri_from_coil=turned(plan, LIFT)), "scalp entry"),
        (lambda plan: with_target(plan, cortical_target_in_mri_mm=(-42.0, 45.0, 28.0)), "not the one that the map gave"),
        (lambda plan: with_target(plan, selection=None), "together or not at all"),
        (lambda plan: with_target(plan, given_in_space="MNI152NLin6Asym"), "needs the transform"),
        (lambda plan: with_target(plan, placement=replace(plan.target.placement, depth_mm=41.0)), "depth"),
        (lambda plan: with_target(plan, placement=replace(plan.target.placement, beam_miss_mm=0.0)), "beam_miss_mm"),
        (lambda plan: with_target(plan, placement=replace(plan.target.placement, normal_in_mri=(0.0, 0.0, 1.0))), "tilted"),
        (lambda plan: {"fiducials_in_mri_mm": {k: v for k, v in plan.fiducials_in_mri_mm.items() if k != "LPA"}}, "LPA is missing"),
        (lambda plan: {"fiducials_in_mri_mm": plan.fiducials_in_mri_mm | {"RPA": (-90.0, -9.0, -46.0)}}, "LPA is not left"),
        (lambda plan: {"files": replace(plan.files, mask=None)}, "together or not at all"),
        (lambda plan: {"files": replace(plan.files, t1=replace(plan.files.t1, expected_space="native"))}, "T1's space"),
        (lambda plan: {"files": replace(plan.files, t1=replace(plan.files.t1, path="../t1.nii.gz"))}, "outside the plan's folder"),
        (lambda plan: {"files": replace(plan.files, t1=replace(plan.files.t1, path="/t1.nii.gz"))}, "outside the plan's folder"),
        (lambda plan: {"files": replace(plan.files, t1=replace(plan.files.t1, space_code=1))}, "another affine"),
        (lambda plan: {"files": replace(plan.files, map=replace(plan.files.map, native_also=False))}, "its space is scanner"),
    ],
)
def test_each_rule_between_fields_refuses_a_plan_whose_checksums_fit(made, change, said):
    path, plan = made
    assert said in refusal(plans.rewritten(path.parent, plan, **change(plan)))


def test_all_faults_are_told_at_once(made):
    path, plan = made
    told = refusal(plans.rewritten(path.parent, plan, patient="", make_up=True, **with_dose(plan, set_point_mso=99)))
    assert "pseudonym" in told
    assert "make_up" in told
    assert "set_point_mso" in told


def test_tightened_limits_are_kept(made):
    path, plan = made
    tight = TargetLimits(enter_lateral_mm=1.0, dwell_on_s=1.0)
    assert read_plan(plans.rewritten(path.parent, plan, on_target=tight)).on_target == tight


def test_a_number_too_large_to_be_finite_is_refused(made, tmp_path):
    text = made[0].read_text().replace('"hair_gap_mm": 0.0', '"hair_gap_mm": 1e999')
    (tmp_path / "plan.json").write_text(text)
    refusal(tmp_path / "plan.json")


@pytest.mark.parametrize(
    ("rmt", "intensity", "expected"),
    [(50, 90, 45), (52, 90, 46), (60, 45, 27), (55, 120, 66), (90, 120, 100), (100, 90, 90), (0.5, 90, 0), (33, 100, 33), (58.5, 110, 64)],
)
def test_the_set_point_is_floored_and_capped(rmt, intensity, expected):
    assert planned_set_point(rmt, intensity).mso == expected
