import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.vector_runs import DATA, changed, run
from tests.vectors import __main__ as runner
from tests.vectors.__main__ import KINDS, main
from tests.vectors.compare import difference
from tests.vectors.outcome import Outcome, run_checks

REGISTRATION = json.loads((DATA / "registration_vectors.json").read_text(encoding="utf-8"))
ROOT = DATA.parents[1]


def one_case(group: str, index: int = 0) -> dict[str, Any]:
    """A file with one case, and that case, to be changed."""
    return {"groups": {group: [copy.deepcopy(REGISTRATION["groups"][group][index])]}}


def case_of(given: dict[str, Any]) -> dict[str, Any]:
    (cases,) = given["groups"].values()
    return cases[0]


@pytest.mark.parametrize(("kind", "name"), [("registration", "registration_vectors.json"), ("headpoints", "head_points.json")])
def test_all_published_cases_pass(kind: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main([kind, str(DATA / name)])
    assert (status, capsys.readouterr().out) == (0, f"{56 if kind == 'registration' else 4} passed, 0 failed\n")


def test_all_published_images_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connectivity", str(DATA / "connectivity")]) == 0
    assert capsys.readouterr().out == "9 passed, 0 failed\n"


def test_it_runs_as_a_program_from_the_root_on_a_file_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "some where" / "else.json"
    path.parent.mkdir()
    path.write_text(json.dumps(one_case("quaternion")), encoding="utf-8")
    command = [sys.executable, "-m", "tests.vectors", "registration", str(path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1 passed, 0 failed\n", "")


EXPECTED_KEYS = [
    (group, index, key)
    for group, cases in REGISTRATION["groups"].items()
    for index, case in enumerate(cases)
    for key in case["expected"]
    if not key.startswith(("true_", "naive_")) and key != "predict_time"
]


@pytest.mark.parametrize(("group", "index", "key"), EXPECTED_KEYS)
def test_every_expected_value_of_every_case_is_compared(group: str, index: int, key: str) -> None:
    given = one_case(group, index)
    case = case_of(given)
    case["expected"][key] = changed(case["expected"][key])
    status, lines = run("registration", given)
    assert status == 1
    assert lines[-1] == "0 passed, 1 failed"
    assert any(line.startswith(f"{group} {case['id']}: {key}") and "got" in line and "wanted" in line for line in lines[:-1])


@pytest.mark.parametrize("group", [group for group in REGISTRATION["groups"] if group != "paired_degenerate"])
def test_a_value_that_should_be_there_is_not_null(group: str) -> None:
    given = one_case(group)
    case = case_of(given)
    case["expected"] = dict.fromkeys([next(iter(case["expected"]))])
    assert run("registration", given)[0] == 1


def test_one_wrong_value_fails_one_case_and_not_its_neighbours() -> None:
    given = copy.deepcopy(REGISTRATION)
    given["groups"]["chain"][1]["expected"]["mri_from_coil"][0][3] += 1e-5
    status, lines = run("registration", given)
    assert status == 1
    assert len(lines) == 2
    assert lines[0].startswith("chain chain1: mri_from_coil[0][3]: got -323.8")
    assert lines[1] == "55 passed, 1 failed"


def test_a_group_that_is_not_known_fails_by_name() -> None:
    given = one_case("chain") | {}
    given["groups"]["hand_eye"] = [{"id": "x", "expected": {"y": 1}}]
    status, lines = run("registration", given)
    assert (status, lines) == (1, ["hand_eye: group 'hand_eye' is not known", "1 passed, 1 failed"])


@pytest.mark.parametrize("where", ["case", "expected", "file"])
def test_a_key_that_is_not_known_fails_by_name(where: str) -> None:
    given = one_case("coil_error")
    place = {"case": case_of(given), "expected": case_of(given)["expected"], "file": given}[where]
    place["surprise"] = 1.0
    status, lines = run("registration", given)
    assert status == 1
    assert any("'surprise' is not known" in line for line in lines)


def test_an_exception_is_a_failure_by_name_and_the_next_case_still_runs() -> None:
    given = {"groups": {"pivot": copy.deepcopy(REGISTRATION["groups"]["pivot"][:2])}}
    given["groups"]["pivot"][0]["poses"] = "not poses"
    status, lines = run("registration", given)
    assert status == 1
    assert lines[0].startswith("pivot pivot_clean0: ValueError")
    assert lines[-1] == "1 passed, 1 failed"


def test_a_missing_input_is_a_failure_by_name() -> None:
    given = one_case("paired_exact")
    del case_of(given)["dst"]
    assert run("registration", given) == (1, ["paired_exact pp_exact0: KeyError: 'dst'", "0 passed, 1 failed"])


def test_a_file_may_hold_some_groups_and_a_case_some_keys() -> None:
    given = one_case("paired_noisy")
    case = case_of(given)
    case["expected"] = {"fre_rms": case["expected"]["fre_rms"]}
    del case["id"]
    assert run("registration", given) == (0, ["1 passed, 0 failed"])


def test_a_case_that_expects_nothing_does_not_pass() -> None:
    given = one_case("chain")
    case_of(given)["expected"] = {"true_pose": 1}
    assert run("registration", given) == (1, ["chain chain0: nothing is expected of it", "0 passed, 1 failed"])


def test_a_file_without_cases_is_not_good() -> None:
    assert run("registration", {"groups": {}}) == (1, ["0 passed, 0 failed"])


def test_information_is_compared_with_nothing() -> None:
    given = one_case("coil_calibration")
    case = case_of(given)
    case["expected"]["true_coiltool_from_coil"] = "anything"
    case["true_something"] = case["naive_guess"] = "anything"
    assert run("registration", given)[0] == 0


def test_a_tolerance_of_null_or_none_given_is_a_millionth() -> None:
    for tolerance in ({}, {"tol": None}):
        given = one_case("reference_drift")
        case = case_of(given)
        del case["tol"]
        case |= tolerance
        case["expected"] = {"max_mm": case["expected"]["max_mm"] + 0.9e-6}
        assert run("registration", given)[0] == 0
        case["expected"]["max_mm"] += 0.2e-6
        assert run("registration", given)[0] == 1


def test_the_tolerance_of_the_case_is_used() -> None:
    given = one_case("reference_drift")
    case = case_of(given)
    case["tol"] = 0.1
    case["expected"] = {"max_mm": case["expected"]["max_mm"] + 0.09}
    assert run("registration", given)[0] == 0


def test_twist_is_compared_modulo_360() -> None:
    given = one_case("coil_error", 5)
    case = case_of(given)
    case["expected"] = {"twist_error_deg": case["expected"]["twist_error_deg"] - 360.0}
    assert run("registration", given)[0] == 0


def test_quaternions_are_compared_up_to_their_sign() -> None:
    given = one_case("pose_average")
    case = case_of(given)
    case["expected"] = {"mean_quat_wxyz": [-part for part in case["expected"]["mean_quat_wxyz"]]}
    assert run("registration", given)[0] == 0
    case["expected"]["mean_quat_wxyz"][0] *= -1.0
    assert run("registration", given)[0] == 1


def test_monte_carlo_figures_may_differ_by_3_percent() -> None:
    given = one_case("tre_fitzpatrick")
    case = case_of(given)
    exact = case["expected"]["tre_rms"]
    case["expected"] = {"monte_carlo_tre_rms": [1.029 * value for value in exact]}
    assert run("registration", given)[0] == 0
    case["expected"] = {"monte_carlo_tre_rms": [1.032 * value for value in exact]}
    assert run("registration", given)[0] == 1


def test_no_cortical_target_leaves_the_beam_null() -> None:
    given = one_case("coil_error")
    case = case_of(given)
    case["cortical_target"] = None
    case["expected"] = {"beam_x_mm": None, "beam_depth_mm": None, "target_error_mm": case["expected"]["distance_to_target_mm"]}
    assert run("registration", given) == (0, ["1 passed, 0 failed"])


def test_a_lost_sample_counts_as_off_target() -> None:
    times = [0.0, 0.1, 0.2, 0.3, 0.4]
    given = {
        "groups": {
            "on_target_hysteresis": [
                {
                    "id": "lost",
                    "t": times,
                    "error_mm": [0.5, 0.5, None, None, 0.5],
                    "on_below": 1.0,
                    "off_above": 2.0,
                    "dwell_on_s": 0.1,
                    "dwell_off_s": 0.1,
                    "expected": {"on_target": [False, True, True, False, False]},
                }
            ]
        }
    }
    assert run("registration", given) == (0, ["1 passed, 0 failed"])


@pytest.mark.parametrize("text", ["{", "[]", '"groups"', '{"groups": 5}', '{"groups": {"chain": 5}}', '{"groups": {"chain": [5]}}', "{}"])
def test_a_file_of_another_shape_is_a_failure_and_no_stack_trace(text: str) -> None:
    status, lines = run("registration", text)
    assert status == 1
    assert lines[-1] == "0 passed, 1 failed"


def test_a_schema_that_is_not_known_fails_by_name() -> None:
    status, lines = run("registration", one_case("chain") | {"schema": 2})
    assert status == 1
    assert "schema 2 is not known" in lines[0]


@pytest.mark.parametrize("arguments", [[], ["registration"], ["registration", "a", "b"], ["eeg", "a"], ["registration", "/no/such/file"]])
def test_what_cannot_be_run_fails_with_a_line_and_a_count(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first
    assert last == "0 passed, 1 failed"


def test_a_kind_that_is_not_known_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    main(["eeg", "a"])
    assert "'eeg'" in capsys.readouterr().out


def test_a_kind_whose_code_is_broken_is_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(runner.KINDS, "registration", "tests.vectors.no_such_module")
    assert main(["registration", str(DATA / "registration_vectors.json")]) == 1
    assert "ModuleNotFoundError" in capsys.readouterr().out


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_refuses_a_file_that_is_not_there(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([kind, str(tmp_path / "missing")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 1 failed"


def test_true_is_not_one_and_a_number_is_not_its_text() -> None:
    assert difference("x", True, 1, 1e-6) is not None
    assert difference("x", 1, True, 1e-6) is not None
    assert difference("x", "1", 1, 1e-6) is not None


def test_not_a_number_equals_nothing() -> None:
    assert difference("x", float("nan"), 1.0, 1e9) is not None
    assert difference("x", 1.0, float("nan"), 1e9) is not None


def test_lists_of_other_lengths_differ_as_a_whole() -> None:
    assert difference("x", [1.0, 2.0], [1.0, 2.0, 3.0], 1.0) == "x: got [1.0, 2.0], wanted [1.0, 2.0, 3.0]"


def test_a_check_that_raises_is_counted_and_the_next_one_runs() -> None:
    def broken() -> list[str]:
        raise ZeroDivisionError("by zero")

    outcome = run_checks([("first", broken), ("second", list), ("third", lambda: ["a", "b"])])
    assert outcome == Outcome(1, ["first: ZeroDivisionError: by zero", "third: a", "third: b"], 2)


def test_an_outcome_with_a_complaint_is_never_good() -> None:
    assert not Outcome(5, ["odd"], 0).is_good
    assert not Outcome(0).is_good
    assert Outcome(1).is_good
