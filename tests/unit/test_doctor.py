"""What doctor says as a whole: exit codes, lines, a faulty chair file, the chair's own memory of its hardware stop."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.chair_memory import ChairMemory
from daemon.config import chair_file as own_file
from daemon.doctor import EX_CONFIG, EX_OK, EX_UNAVAILABLE, Check, Status, exit_code, fail, ok, warn
from daemon.doctor_chair import World, examine, hardware_stop_is_tested
from tests.chairs import chair, chair_file

NOON_S = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400


@pytest.mark.parametrize(
    ("checks", "code"),
    [
        ([], EX_OK),
        ([ok("a", "well"), warn("b", "nearly")], EX_OK),
        ([ok("a", "well"), fail("b", "broken")], EX_UNAVAILABLE),
        ([fail("a", "broken"), fail("b", "wrong", exit_code=EX_CONFIG)], EX_CONFIG),
        ([fail("a", "full", exit_code=74), fail("b", "broken")], 74),
    ],
)
def test_exit_code_is_that_of_the_first_failure_but_a_faulty_configuration_goes_before(checks: list[Check], code: int) -> None:
    assert exit_code(checks) == code


def test_line_says_status_topic_what_and_what_to_do() -> None:
    assert fail("port", "not there", "Plug it in.").line() == "fail  port: not there. Plug it in."
    assert ok("port", "there").line() == "ok    port: there."


def test_faulty_chair_file_is_told_fault_by_fault_and_nothing_else_is_looked_at(tmp_path: Path) -> None:
    file = chair_file(tmp_path, stimulator="start_temp_c = 90\nlongest_train_s = 0.0")
    checks = examine(file, World())
    assert {check.status for check in checks} == {Status.FAIL}
    assert len(checks) == 2
    assert exit_code(checks) == EX_CONFIG
    assert all(str(file) in check.what for check in checks)


def test_unlock_code_that_others_can_read_is_a_fault_of_the_configuration_and_is_not_shown(tmp_path: Path) -> None:
    file = chair_file(tmp_path, model="rapid")
    code = (tmp_path / "unlock.code").read_text().strip()
    (tmp_path / "unlock.code").chmod(0o644)
    checks = examine(file, World())
    assert exit_code(checks) == EX_CONFIG
    assert "chmod 600" in checks[0].line()
    assert code not in checks[0].line()


@pytest.mark.parametrize(("tested_s", "status"), [(NOON_S, Status.OK), (NOON_S - DAY_S, Status.WARN), (None, Status.WARN)])
def test_hardware_stop_counts_on_the_day_of_its_test_alone(tmp_path: Path, tested_s: float | None, status: Status) -> None:
    config = chair(tmp_path)
    if tested_s is not None:
        ChairMemory(own_file(config, "state.json"), config.site.timezone).remember_hardware_stop(tested_s)
    assert hardware_stop_is_tested(config, NOON_S).status is status


def test_chair_whose_lock_cannot_be_made_is_told_so(tmp_path: Path) -> None:
    file = chair_file(tmp_path)
    lock = own_file(chair(tmp_path), "lock")
    lock.mkdir()
    told = {check.topic: check for check in examine(file, World())}
    assert told["chair lock"].failed
    assert "unit" not in told
