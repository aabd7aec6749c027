"""The site's signed word on corrections of the dose: read with a physician's signature, or not at all."""

import pytest
from typer.testing import CliRunner, Result

from calibration.nifti import file_sha256
from daemon.config import load_config
from daemon.plan import read_plan
from daemon.plan_cli import app
from daemon.plan_values import DepthFigures, FieldFigures, PlanError
from daemon.signed_file import sign
from daemon.site_constants import DoseFigures, FieldDosing, Slope, correction_text, read_constants, read_figures
from daemon.treatment import open_treatment
from tests import plans
from tests.chairs import chair_file

TEXT = """
[linear]
slope_mso_per_mm = 3
device = "magventure"
coils = ["C-1"]
source = "Stokes 2005"

[efield]
allowed = true
source = "protocol of the study"
"""
FIELD = """
[correction]
kind = "efield"
m1_v_per_m = 1.3
target_v_per_m = 1.1
di_dt_a_per_us = 1.0
statistic = "percentile_99"
solver = "a solver"
solver_version = "4.1"
t1_sha256 = "aa"
head_model_sha256 = "bb"
coil_file_sha256 = "dd"
coil_serial = "C-1"
m1_mri_from_coil = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
target_mri_from_coil = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
[correction.conductivities_s_per_m]
skull = 0.01
"""


def signed(folder, text, role="physician"):
    path = folder / "constants.toml"
    path.write_text(text)
    sign(path, name="A", role=role, meaning="approved", signed_utc="2026-05-04T08:00:00+00:00")
    return path


def refusal(folder) -> str:
    with pytest.raises(PlanError) as refused:
        read_constants(folder)
    return str(refused.value)


def test_signed_constants_are_read_with_the_files_checksum(tmp_path):
    signed(tmp_path, TEXT)
    found = read_constants(tmp_path)
    assert found.linear == Slope(slope_mso_per_mm=3.0, device="magventure", coils=("C-1",), source="Stokes 2005")
    assert found.efield == FieldDosing(allowed=True, source="protocol of the study")
    assert len(found.sha256) == 64


def test_what_the_file_does_not_say_has_no_default(tmp_path):
    signed(tmp_path, "# nothing yet\n")
    found = read_constants(tmp_path)
    assert (found.linear, found.efield) == (None, None)


def test_missing_constants_are_refused(tmp_path):
    assert "cannot be read" in refusal(tmp_path)


def test_unsigned_constants_are_refused(tmp_path):
    (tmp_path / "constants.toml").write_text(TEXT)
    assert "nobody has signed" in refusal(tmp_path)


def test_constants_that_no_physician_signed_are_refused(tmp_path):
    signed(tmp_path, TEXT, role="engineer")
    assert "no physician" in refusal(tmp_path)


def test_constants_changed_after_signing_are_refused(tmp_path):
    path = signed(tmp_path, TEXT)
    path.write_text(path.read_text().replace("= 3\n", "= 4\n"))
    assert "changed after A signed" in refusal(tmp_path)


@pytest.mark.parametrize("slope", ["0", "-3", "5.1", "nan", "inf"])
def test_a_slope_that_nobody_should_believe_is_refused(tmp_path, slope):
    signed(tmp_path, TEXT.replace("= 3\n", f"= {slope}\n"))
    assert "slope_mso_per_mm" in refusal(tmp_path)


@pytest.mark.parametrize("text", [TEXT + "\n[other]\n", TEXT.replace("device", "devise"), TEXT.replace("= 3\n", '= "3"\n')])
def test_a_typo_is_refused(tmp_path, text):
    signed(tmp_path, text)
    refusal(tmp_path)


def test_figures_of_either_kind_are_read(tmp_path):
    path = tmp_path / "figures.toml"
    path.write_text('[correction]\nkind = "linear"\nm1_depth_mm = 16.4\ntarget_depth_mm = 19.1\nt1_sha256 = "aa"\ncoil_serial = "C-1"\n')
    depth = DepthFigures(m1_depth_mm=16.4, target_depth_mm=19.1, t1_sha256="aa", coil_serial="C-1")
    assert read_figures(path) == DoseFigures(correction=depth)
    path.write_text(FIELD)
    assert isinstance(read_figures(path).correction, FieldFigures)
    path.write_text('rmt_measured_utc = "2026-05-04T07:00:00Z"\nrmt_coil_serial = "C-1"\n')
    assert read_figures(path) == DoseFigures(rmt_measured_utc="2026-05-04T07:00:00Z", rmt_coil_serial="C-1")


@pytest.mark.parametrize(
    "text",
    [
        "correction = 1",
        '[correction]\nkind = "other"',
        '[correction]\nkind = "linear"',
        "[",
        FIELD.replace("percentile_99", "maximum"),
        "slope_mso_per_mm = 3" + FIELD,
        FIELD.replace("di_dt", "slope_mso_per_mm = 3\ndi_dt"),
    ],
)
def test_what_is_no_figures_is_refused(tmp_path, text):
    path = tmp_path / "figures.toml"
    path.write_text(text)
    with pytest.raises(PlanError, match="no figures"):
        read_figures(path)


def test_a_missing_file_of_figures_is_refused(tmp_path):
    with pytest.raises(PlanError, match="no figures"):
        read_figures(tmp_path / "none.toml")


# ---- at the command line -----------------------------------------------------------------------------------------------


@pytest.fixture
def chair(tmp_path):
    """A chair whose site signed its constants."""
    path = chair_file(tmp_path)
    signed(tmp_path / "site", TEXT)
    return path


def made(tmp_path, *arguments) -> Result:
    request = plans.request()
    figures = tmp_path / "figures.toml"
    depths = f'm1_depth_mm = 16.4\ntarget_depth_mm = 19.1\nt1_sha256 = "{file_sha256(request.t1)}"\ncoil_serial = "C-1"\n'
    figures.write_text(f'rmt_coil_serial = "C-1"\n[correction]\nkind = "linear"\n{depths}')
    head = ["--t1", request.t1, "--fiducials", request.fiducials, "--scalp", request.scalp, "--side", "left", "--patient", "P001"]
    target = ["--subject-is-template", plans.TEMPLATE, "--map", request.source.map, "--mask", request.source.mask, "--polarity", "negative"]
    dose = ["--protocol", "demo_itbs90", "--rmt", 52, "--figures", figures, "--out", tmp_path / "plan.json"]
    return CliRunner().invoke(app, [str(word) for word in ("make", *head, *target, *dose, *arguments)])


def test_a_plan_is_made_with_the_slope_that_the_chairs_site_signed(tmp_path, chair):
    result = made(tmp_path, "--config", chair)
    assert result.exit_code == 0, result.output
    plan = read_plan(tmp_path / "plan.json")
    assert (plan.dose.set_point_mso, plan.dose.correction.slope_mso_per_mm) == (54, 3.0)
    assert correction_text(plan.dose.correction) == "by 3 % of output per mm, 16.4 mm deep at the motor cortex, 19.1 mm at the target"
    assert "corrected" in CliRunner().invoke(app, ["show", str(tmp_path / "plan.json")]).stdout


def test_without_a_chair_there_is_no_slope_and_no_plan(tmp_path):
    result = made(tmp_path)
    assert result.exit_code == 65
    assert "signed no slope" in result.output
    assert not (tmp_path / "plan.json").exists()


def test_a_session_opens_a_corrected_plan_only_while_the_slope_stands(tmp_path, chair):
    made(tmp_path, "--config", chair)
    config = load_config(chair)
    opened = open_treatment(tmp_path / "plan.json", config)
    assert opened.course.settings.amplitude_pct_mso == 54
    assert opened.changed_files() == ()
    signed(tmp_path / "site", TEXT.replace("= 3\n", "= 2.8\n"))
    assert [name for name in opened.changed_files() if name.endswith("constants.toml")]
    with pytest.raises(PlanError, match="not signed the slope"):
        open_treatment(tmp_path / "plan.json", config)
    (tmp_path / "site" / "constants.toml").unlink()
    with pytest.raises(PlanError, match="cannot be read"):
        open_treatment(tmp_path / "plan.json", config)
