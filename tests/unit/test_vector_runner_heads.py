import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.vector_runs import DATA, changed, run

HEADPOINTS = json.loads((DATA / "head_points.json").read_text(encoding="utf-8"))
CONNECTIVITY = json.loads((DATA / "connectivity" / "expected.json").read_text(encoding="utf-8"))


def head_case() -> dict[str, Any]:
    return {"mesh": HEADPOINTS["mesh"], "cases": [copy.deepcopy(HEADPOINTS["cases"][1])]}


def test_a_fit_beyond_what_is_accepted_fails_with_its_error() -> None:
    given = head_case()
    given["cases"][0]["accept"]["tre_mean_below_mm"] = 0.05
    status, lines = run("headpoints", given)
    assert status == 1
    assert lines[0].startswith("fewer: tre_mean_mm: got 0.")
    assert lines[-1] == "0 passed, 1 failed"


def test_another_true_answer_fails() -> None:
    given = head_case()
    given["cases"][0]["true_mri_from_head"][2][3] += 3.0
    assert run("headpoints", given)[0] == 1


def test_what_is_expected_of_a_head_is_information() -> None:
    given = head_case()
    given["cases"][0]["expected"] = {"anything": 0}
    assert run("headpoints", given) == (0, ["1 passed, 0 failed"])


def test_fiducials_pair_by_name_and_not_by_order() -> None:
    given = head_case()
    touched = given["cases"][0]["fiducials_in_head"]
    given["cases"][0]["fiducials_in_head"] = dict(reversed(touched.items()))
    assert run("headpoints", given)[0] == 0


def test_three_fiducials_will_do() -> None:
    given = head_case()
    for name in ("LEX", "REX"):
        del given["cases"][0]["fiducials_in_head"][name]
    given["cases"][0]["accept"]["tre_mean_below_mm"] = 2.0
    assert run("headpoints", given)[0] == 0


@pytest.mark.parametrize("mesh", ["scalp_20k.npz", "head/scalp_20k.stl", "scalp_20k.surf.gii", "scalp_20k"])
def test_the_mesh_is_known_by_its_name_alone(mesh: str) -> None:
    assert run("headpoints", head_case() | {"mesh": mesh})[0] == 0


def test_another_mesh_fails_by_name() -> None:
    status, lines = run("headpoints", head_case() | {"mesh": "fsaverage.stl"})
    assert status == 1
    assert "'fsaverage.stl' is not known" in lines[0]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda case: case["fiducials_in_head"].update(INION=[0.0, 0.0, 0.0]), "'INION'"),
        (lambda case: case["accept"].update(surface_rms_below_mm=1.0), "'surface_rms_below_mm'"),
        (lambda case: case.update(surprise=1), "'surprise'"),
        (lambda case: case.pop("accept"), "KeyError: 'accept'"),
        (lambda case: case["points_in_head"].append([1.0, None, 2.0]), "not a number"),
        (lambda case: case.update(fiducials_in_head={"NAS": [0.0, 0.0, 0.0]}), "1 points fix no pose"),
    ],
)
def test_a_head_that_cannot_be_judged_fails_by_name(change: Callable[[dict[str, Any]], Any], named: str) -> None:
    given = head_case()
    change(given["cases"][0])
    status, lines = run("headpoints", given)
    assert status == 1
    assert named in lines[0]


def maps(*names: str) -> dict[str, Any]:
    return {"files": {name: copy.deepcopy(CONNECTIVITY["files"][name]) for name in names}}


NATIVE = "zmap_native.nii.gz"


@pytest.mark.parametrize("key", ["n_vox", "sum_score", "cog", "snapped", "peak", "peak_z"])
def test_every_value_of_a_cluster_is_compared(key: str) -> None:
    given = maps(NATIVE)
    cluster = given["files"][NATIVE]["expected"]["clusters"][0]
    cluster[key] = changed(cluster[key])
    status, lines = run("connectivity", given)
    assert status == 1
    assert lines[0].startswith(f"{NATIVE}: clusters[0].{key}")


def test_a_cluster_too_few_or_too_many_fails() -> None:
    given = maps(NATIVE)
    clusters = given["files"][NATIVE]["expected"]["clusters"]
    clusters.append(clusters[0])
    assert "clusters: got 2, wanted 3" in run("connectivity", given)[1][0]


def test_the_threshold_is_compared() -> None:
    given = maps(NATIVE)
    given["files"][NATIVE]["expected"]["threshold"] += 0.002
    assert "threshold: got" in run("connectivity", given)[1][0]


def test_sums_are_compared_to_a_hundred_thousandth() -> None:
    given = maps(NATIVE)
    cluster = given["files"][NATIVE]["expected"]["clusters"][0]
    cluster["sum_score"] *= 1.000009
    assert run("connectivity", given)[0] == 0
    cluster["sum_score"] *= 1.000009
    assert run("connectivity", given)[0] == 1


def test_numbers_not_given_are_the_rules_defaults() -> None:
    given = maps(NATIVE)
    for key in ("top_fraction", "connectivity", "min_cluster_mm3"):
        del given["files"][NATIVE][key]
    assert run("connectivity", given) == (0, ["1 passed, 0 failed"])


def test_numbers_given_are_used() -> None:
    given = maps(NATIVE)
    given["files"][NATIVE]["top_fraction"] = 0.2
    assert run("connectivity", given)[0] == 1


def test_clusters_below_the_least_size_given_are_not_asked_for() -> None:
    given = maps(NATIVE)
    given["files"][NATIVE]["min_cluster_mm3"] = 1000
    given["files"][NATIVE]["expected"]["clusters"][1]["peak_z"] = 0.0
    assert run("connectivity", given) == (0, ["1 passed, 0 failed"])


def test_the_same_coordinates_as_a_file_that_is_not_there_fail() -> None:
    given = maps("zmap_native_LAS.nii.gz")
    assert NATIVE in run("connectivity", given)[1][0]


def test_the_same_coordinates_as_another_file_are_those_of_its_clusters() -> None:
    given = maps(NATIVE, "zmap_native_LAS.nii.gz")
    given["files"][NATIVE]["expected"]["clusters"][0]["snapped"][0] += 2.0
    assert run("connectivity", given)[1][-1] == "0 passed, 2 failed"


@pytest.mark.parametrize("name", [name for name, entry in CONNECTIVITY["files"].items() if "error" in entry.get("expected", {})])
def test_another_error_than_the_expected_one_fails(name: str) -> None:
    given = maps(name)
    given["files"][name]["expected"]["error"] = "something_else"
    status, lines = run("connectivity", given)
    assert status == 1
    assert "wanted 'something_else'" in lines[0]


def test_an_error_where_none_is_expected_fails() -> None:
    given = maps("zmap_nocode.nii.gz")
    given["files"]["zmap_nocode.nii.gz"]["expected"] = {"error": None}
    assert run("connectivity", given)[0] == 1


def test_no_error_where_one_is_expected_fails() -> None:
    given = maps(NATIVE)
    given["files"][NATIVE]["expected"] = {"error": "no_cluster"}
    assert run("connectivity", given)[1][0] == f"{NATIVE}: error: got None, wanted 'no_cluster'"


def test_the_corner_displacement_is_compared_to_a_twentieth_of_a_millimetre() -> None:
    given = maps("zmap_qs_mismatch.nii.gz")
    expected = given["files"]["zmap_qs_mismatch.nii.gz"]["expected"]
    expected["max_corner_mm"] = 6.049
    assert run("connectivity", given)[0] == 0
    expected["max_corner_mm"] = 6.06
    assert run("connectivity", given)[0] == 1


def test_points_through_an_affine_are_compared_to_a_ten_thousandth() -> None:
    name = "native_from_mni_points_itk_centered.txt"
    given = maps(name)
    given["files"][name]["expected_native"][2][1] += 2e-4
    assert run("connectivity", given)[1][0].startswith(f"{name}: expected_native[2][1]: got")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda files: files.update({"other.nii.gz": files[NATIVE]}), "other.nii.gz: there is no such file"),
        (lambda files: files[NATIVE].update(surprise=1), "'surprise'"),
        (lambda files: files[NATIVE].update(kind="itk_warp"), "'itk_warp'"),
        (lambda files: files[NATIVE]["expected"].update(surprise=1), "'surprise'"),
        (lambda files: files[NATIVE]["expected"]["clusters"][0].update(surprise=1), "'surprise'"),
        (lambda files: files[NATIVE].update(expected="as always"), "'as always'"),
        (lambda files: files[NATIVE].update(expected={}), "nothing is expected"),
        (lambda files: files[NATIVE].pop("polarity"), "polarity"),
        (lambda files: files[NATIVE].pop("mask"), "without a mask"),
    ],
)
def test_an_entry_that_cannot_be_judged_fails_by_name(change: Callable[[dict[str, Any]], Any], named: str) -> None:
    given = maps(NATIVE)
    change(given["files"])
    status, lines = run("connectivity", given)
    assert status == 1
    assert any(named in line for line in lines)
