"""[limits] of a chair's file: every limit by its name, and what is refused in any case."""

import math
from pathlib import Path

import msgspec
import pytest

from daemon.config import ConfigError, LimitsSection
from daemon.limits import LIMIT_NAMES
from tests.chairs import chair


def faults(folder: Path, line: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        chair(folder, limits=line)
    return caught.value.faults


def test_chair_may_tighten_every_limit_that_is_not_its_devices_own() -> None:
    own = {"max_coil_temp_c", "screening_max_age_h"}  # the stimulator's section has the first; nothing here screens yet
    assert {field.name for field in msgspec.structs.fields(LimitsSection)} == set(LIMIT_NAMES) - own


@pytest.mark.parametrize("line", ["max_sessions_per_day = 11", "min_gap_s = 899", "rolling_window_h = 19.9", "max_intensity_pct_rmt = 121"])
def test_limit_looser_than_the_products_is_a_fault_of_the_file(tmp_path: Path, line: str) -> None:
    assert faults(tmp_path, line) == [f"[limits].{line.split(maxsplit=1)[0]}: looser than the product allows; only tighten"]


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_limit_that_is_no_plain_number_is_a_fault_of_the_file(tmp_path: Path, value: str) -> None:
    assert faults(tmp_path, f"min_gap_s = {value}") == ["[limits].min_gap_s: no plain number, finite and not negative"]


@pytest.mark.parametrize("line", ["min_gap_s = true", 'min_gap_s = "950"', "max_session_per_day = 5", "max_sessions_per_day = 9.5"])
def test_wrong_kind_and_unknown_name_are_faults_of_the_file(tmp_path: Path, line: str) -> None:
    assert any(fault.startswith("[limits]") for fault in faults(tmp_path, line))


def test_stricter_limits_are_taken(tmp_path: Path) -> None:
    limits = chair(tmp_path, limits='max_sessions_per_day = 3\nallowed_protocols = ["itbs600"]').limits
    assert (limits.max_sessions_per_day, limits.allowed_protocols) == (3, ["itbs600"])
    assert not any(isinstance(value, float) and math.isnan(value) for value in msgspec.structs.astuple(limits))
