"""What the chair's unit can deliver: up to which amplitude, and why not the rest."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.devices import make_stimulator
from daemon.doctor import EX_CONFIG, Check, Status
from daemon.doctor_protocols import highest_amplitude_pct, protocol_checks
from tests.chairs import chair


@given(ceiling=st.integers(1, 100), limit=st.integers(0, 120))
def test_highest_amplitude_is_the_last_that_is_possible(ceiling: int, limit: int) -> None:
    assert highest_amplitude_pct(lambda pct: pct <= limit, ceiling) == min(ceiling, limit)


def checks(folder: Path, **changes: str) -> tuple[Check, ...]:
    config = chair(folder, **changes)
    return protocol_checks(config, make_stimulator(config))


def line_of(protocol: str, said: tuple[Check, ...]) -> Check:
    (check,) = [each for each in said if protocol in each.what.replace(":", " ").replace(",", " ").replace("(", " ").split()]
    return check


def test_unit_without_bursts_delivers_plain_trains_and_no_theta_bursts(tmp_path: Path) -> None:
    said = checks(tmp_path, model="r30")
    assert "deliverable up to 100 %" in line_of("rtms10_std_3000", said).what
    assert "no burst waveform" in line_of("itbs600", said).what


def test_magstim_names_the_amplitude_from_which_a_rate_is_out_of_reach(tmp_path: Path) -> None:
    said = checks(tmp_path, model="rapid")
    check = line_of("h7_20hz_2000", said)
    assert check.what.startswith("deliverable up to 73 % alone")
    assert "74 %" in check.what
    assert "theta bursts cannot be set" in line_of("itbs600", said).what


def test_ceiling_of_the_chair_bounds_what_is_asked(tmp_path: Path) -> None:
    assert "up to 60 %" in line_of("itbs600", checks(tmp_path, stimulator="max_amplitude_pct_mso = 60")).what


def test_protocols_that_limits_name_are_the_only_ones_and_what_cannot_be_delivered_is_warned_of(tmp_path: Path) -> None:
    said = checks(tmp_path, model="r30", limits='allowed_protocols = ["itbs600", "rtms10_std_3000"]')
    assert [check.status for check in said] == [Status.OK, Status.WARN]


def test_without_such_a_limit_what_cannot_be_delivered_is_only_told(tmp_path: Path) -> None:
    assert {check.status for check in checks(tmp_path, model="r30")} == {Status.OK}


def test_unit_that_can_deliver_nothing_is_warned_of(tmp_path: Path) -> None:
    said = checks(tmp_path, stimulator="longest_train_s = 0.01")
    assert {check.status for check in said} == {Status.WARN}


def test_unsound_file_of_the_site_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    config = chair(tmp_path)
    folder = tmp_path / "site" / "protocols"
    folder.mkdir()
    (folder / "ours.toml").write_text("nonsense = true\n")
    (check,) = protocol_checks(config, make_stimulator(config))
    assert check.failed
    assert check.exit_code == EX_CONFIG


@pytest.mark.parametrize("model", ["200", "bistim"])
def test_model_that_paces_no_trains_says_so(tmp_path: Path, model: str) -> None:
    assert "no trains" in line_of("rtms10_std_3000", checks(tmp_path, model=model)).what
