"""What a chair file must say of calibrations: figures of its own, or that the history has them."""

from pathlib import Path

import pytest

from daemon.config import ConfigError, load_config
from tests.chairs import chair_file, uncalibrated_chair_file


def faults(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_config(path)
    return error.value.faults


def without(path: Path, key: str) -> Path:
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith(key)))
    return path


@pytest.mark.parametrize("key", ["tip_in_pointer_mm", "calibrated_utc", "valid_until_utc"])
def test_figures_of_its_own_must_be_whole(tmp_path: Path, key: str) -> None:
    (fault,) = faults(without(chair_file(tmp_path), key))
    assert key in fault


def uncalibrated(folder: Path, *, more: str = "") -> Path:
    path = uncalibrated_chair_file(folder)
    path.write_text(path.read_text() + more)
    return path


def test_a_chair_of_the_history_needs_no_figures_and_names_its_bench(tmp_path: Path) -> None:
    config = load_config(uncalibrated(tmp_path))
    assert list(config.tools.by_name()) == ["head", "pointer", "coil", "plate"]
    assert config.tools.coil.drawing == tmp_path / "coil_points.toml"
    assert config.qa.block == tmp_path / "block.toml"


def test_without_the_plate_the_camera_has_three_tools(tmp_path: Path) -> None:
    assert list(load_config(chair_file(tmp_path)).tools.by_name()) == ["head", "pointer", "coil"]


@pytest.mark.parametrize("file", ["coil_points.toml", "block.toml", "plate.rom"])
def test_a_paper_of_the_bench_that_is_not_there_is_a_fault(tmp_path: Path, file: str) -> None:
    path = uncalibrated(tmp_path)
    (tmp_path / file).unlink()
    (fault,) = faults(path)
    assert file in fault


@pytest.mark.parametrize("days", [0, 401])
def test_days_of_validity_are_bounded(tmp_path: Path, days: int) -> None:
    (fault,) = faults(uncalibrated(tmp_path, more=f"\n[calibration]\ncoil_valid_days = {days}\n"))
    assert "coil_valid_days" in fault


@pytest.mark.parametrize("limit", ["0.0", "5.1", "nan"])
def test_what_is_called_good_is_bounded(tmp_path: Path, limit: str) -> None:
    path = uncalibrated(tmp_path)
    path.write_text(path.read_text().replace("[qa]\n", f"[qa]\njitter_rms_mm = {limit}\n"))
    (fault,) = faults(path)
    assert "jitter_rms_mm" in fault


def test_a_plate_that_is_no_pose_is_a_fault(tmp_path: Path) -> None:
    path = uncalibrated(tmp_path)
    path.write_text(path.read_text().replace("[0.0, 0.0, 0.0, 1.0]", "[0.0, 0.0, 0.0, 2.0]"))
    (fault,) = faults(path)
    assert "plate_from_coil" in fault
