"""What a chair's file may say about the registration: only what is tighter."""

from pathlib import Path

import pytest

from daemon.config import ConfigError, RegistrationSection, load_config
from tests.chairs import chair, chair_file


def written(folder: Path, section: str) -> Path:
    path = chair_file(folder)
    path.write_text(path.read_text() + f"\n[registration]\n{section}\n")
    return path


def test_tighter_figures_are_taken(tmp_path: Path) -> None:
    section = load_config(written(tmp_path, 'check_valid_min = 10\ncheck_block_mm = 2.5\nlater_sessions = "check"')).registration
    assert (section.check_valid_min, section.check_block_mm, section.later_sessions) == (10.0, 2.5, "check")


@pytest.mark.parametrize(
    "section",
    [
        "check_valid_min = 21",
        "check_block_mm = 3.1",
        "check_warn_mm = 0",
        "valid_h = -1",
        "quick_at_target_mm = 4",
        "quick_turn_deg = nan",
        "surface_rms_mm = 2.6",
        "check_block_mm = 1.5",  # below the warning
        'later_sessions = "never"',
        "check_valid_minutes = 10",
    ],
)
def test_anything_looser_unknown_or_contradictory_is_a_fault_with_its_key(tmp_path: Path, section: str) -> None:
    with pytest.raises(ConfigError, match="registration"):
        load_config(written(tmp_path, section))


def test_the_built_in_figures_are_what_a_file_without_the_section_gets(tmp_path: Path) -> None:
    assert chair(tmp_path).registration == RegistrationSection()
