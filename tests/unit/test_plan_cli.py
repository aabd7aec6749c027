"""`atmsd plan` as a person meets it: exit codes, one line for each refusal, warnings told, nothing that unblinds unless asked."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from daemon.plan_cli import app
from tests import plans, sites
from tests.chairs import chair_file

MAP = ["--map", str(plans.SAMPLE_MAP.map), "--mask", str(plans.SAMPLE_MAP.mask), "--polarity", "negative"]
DEFAULTS = {
    "--t1": str(plans.request().t1),
    "--fiducials": str(plans.request().fiducials),
    "--scalp": str(plans.request().scalp),
    "--side": "left",
    "--protocol": "demo_itbs90",
    "--rmt": "50",
    "--patient": "P001",
    "--subject-is-template": plans.TEMPLATE,
    "--by": "planner",
}


def make(out: Path, *arguments: str, target: list[str] = MAP, **changes: str | None) -> Result:
    options = DEFAULTS | {f"--{name.replace('_', '-')}": value for name, value in changes.items()} | {"--out": str(out)}
    given = [word for option, value in options.items() if value is not None for word in (option, value)]
    return CliRunner().invoke(app, ["make", *given, *target, *arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "plan.json"
    assert make(path).exit_code == 0
    return path


def test_making_a_plan_tells_the_set_point_and_every_warning(tmp_path):
    result = make(tmp_path / "plan.json")
    assert result.exit_code == 0
    assert "set point 45 % of output" in result.stdout
    assert "[map_has_no_outline]" in result.stderr
    assert "[subject_is_template]" in result.stderr


def test_negative_coordinates_are_taken_as_numbers(tmp_path):
    result = make(tmp_path / "plan.json", target=["--coordinates", "-42", "42", "28"])
    assert result.exit_code == 0
    assert json.loads((tmp_path / "plan.json").read_text())["target"]["cortical_target_in_mri_mm"] == [-42.0, 42.0, 28.0]


@pytest.mark.parametrize(
    ("changes", "target", "code", "said"),
    [
        ({"subject_is_template": None}, MAP, 65, "[template_space_needs_transform]"),
        ({"side": "right"}, MAP, 65, "[laterality_mismatch]"),
        ({"patient": "Jane Doe"}, MAP, 65, "pseudonym"),
        ({"fiducials": "README.md"}, MAP, 65, "[unreadable_fiducials]"),
        ({"t1": "nowhere.nii.gz"}, MAP, 64, "there is no file nowhere.nii.gz"),
        ({"protocol": "none"}, MAP, 64, "no protocol 'none'"),
        ({}, [], 64, "--coordinates X Y Z"),
        ({}, MAP[:4], 64, "--polarity"),
        ({}, [*MAP, "--coordinates", "1", "2", "3"], 64, "--coordinates X Y Z"),
    ],
)
def test_each_refusal_is_one_line_with_its_exit_code(tmp_path, changes, target, code, said):
    result = make(tmp_path / "plan.json", target=target, **changes)
    assert result.exit_code == code
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_is_there_already_cannot_be_created_again(made):
    result = make(made)
    assert result.exit_code == 73
    assert "is there already" in result.stderr


def test_a_folder_that_is_not_there_cannot_be_written_to(tmp_path):
    assert make(tmp_path / "none" / "plan.json").exit_code == 73


def test_a_folder_that_may_not_be_written_to_is_a_matter_of_permission(tmp_path, monkeypatch):
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", denied)  # whoever runs the tests may be allowed to write anywhere
    result = make(tmp_path / "plan.json")
    assert result.exit_code == 77
    assert "Permission denied" in result.stderr


def test_a_broken_protocol_of_the_site_is_a_matter_of_configuration(tmp_path):
    config = chair_file(tmp_path / "chair")
    sites.signed(tmp_path / "chair/site/protocols/mine.toml", "id = 1", sites.PHYSICIAN)
    result = make(tmp_path / "plan.json", protocol="mine", config=str(config))
    assert result.exit_code == 78
    assert "mine.toml: " in result.stderr


def test_a_protocol_on_memory_is_refused_before_the_work(tmp_path):
    result = make(tmp_path / "plan.json", protocol="rtms10_dash_3000")
    assert result.exit_code == 78
    assert "rests on memory" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_protocol_that_leaves_the_intensity_to_the_site_asks_for_it(tmp_path):
    result = make(tmp_path / "plan.json", protocol="itbs1200")
    assert result.exit_code == 65
    assert "--intensity" in result.stderr


def test_a_plan_names_its_course_and_the_site_s_basis(tmp_path):
    config = chair_file(tmp_path / "chair")
    sites.enable(tmp_path / "chair/site", "itbs1200", basis="off_label:Physician A")
    out = tmp_path / "plan.json"
    result = make(out, protocol="itbs1200", intensity="100", course="vgr_2x1200", config=str(config))
    assert result.exit_code == 0, result.stderr
    dose = json.loads(out.read_text())["dose"]
    assert (dose["course"], dose["course_sha256"]) == ("course.vgr_2x1200", sites.sha256_of("course.vgr_2x1200"))
    assert "course.vgr_2x1200" in CliRunner().invoke(app, ["show", str(out)]).stdout


def test_a_plan_without_a_course_holds_no_field_for_one(made):
    assert "course" not in json.loads(made.read_text())["dose"]


def test_a_course_of_another_protocol_is_refused(tmp_path):
    result = make(tmp_path / "plan.json", protocol="itbs600", course="saint")
    assert result.exit_code == 78
    assert "not of itbs600" in result.stderr


def test_the_chair_s_stimulator_is_asked_before_the_work(tmp_path):
    config = chair_file(tmp_path / "chair", stimulator="max_amplitude_pct_mso = 40")
    result = make(tmp_path / "plan.json", config=str(config))
    assert result.exit_code == 78
    assert "an amplitude of 45 % is outside 0 to 40 %" in result.stderr


def test_tighter_limits_come_from_a_file(tmp_path):
    (tmp_path / "tight.toml").write_text("enter_lateral_mm = 1.5\n")
    assert make(tmp_path / "plan.json", limits=str(tmp_path / "tight.toml")).exit_code == 0
    assert json.loads((tmp_path / "plan.json").read_text())["on_target"]["enter_lateral_mm"] == 1.5


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("enter_lateral = 1.5", 78, "enter_lateral"),
        ("enter_lateral_mm = 'a'", 78, "limits.toml"),
        ("enter_lateral_mm = nan", 78, "limits.toml"),
        ("enter_lateral_mm = 2.5", 65, "enter_lateral_mm is looser"),
        ("=", 78, "limits.toml"),
    ],
)
def test_limits_that_are_none_or_looser_are_refused(tmp_path, text, code, said):
    (tmp_path / "limits.toml").write_text(text)
    result = make(tmp_path / "plan.json", limits=str(tmp_path / "limits.toml"))
    assert result.exit_code == code
    assert said in result.stderr


def test_show_tells_the_pose_and_the_dose_and_not_how_the_target_was_found(made):
    result = CliRunner().invoke(app, ["show", str(made)])
    assert result.exit_code == 0
    assert "Target A" in result.stdout
    assert "45 %" in result.stdout
    assert "cluster6" not in result.stdout


def test_show_tells_how_the_target_was_found_when_asked(made):
    assert "cluster6" in CliRunner().invoke(app, ["show", str(made), "--selection"]).stdout


def test_verify_passes_an_untouched_plan_and_refuses_a_touched_file(made):
    assert CliRunner().invoke(app, ["verify", str(made)]).exit_code == 0
    mask = made.parent / "plan.files/mask.nii.gz"
    content = mask.read_bytes()
    mask.write_bytes(content + b"\0")
    try:
        result = CliRunner().invoke(app, ["verify", str(made)])
    finally:
        mask.write_bytes(content)
    assert result.exit_code == 65
    assert "mask.nii.gz" in result.stderr
