"""The runner of protocol vectors: what it knows passes, what it does not know fails by name, what is wrong is seen."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.vectors.protocol import RUNNERS, run

PUBLIC = json.loads((Path(__file__).parents[1] / "data/protocol_vectors.json").read_text(encoding="utf-8"))["vectors"]


def written(folder: Path, *vectors: dict[str, Any]) -> Path:
    path = folder / "vectors.json"
    path.write_text(json.dumps({"vectors": vectors}), encoding="utf-8")
    return path


def public(vector_id: str, **changes: Any) -> dict[str, Any]:
    (vector,) = (vector for vector in PUBLIC if vector["id"] == vector_id)
    return vector | {key: vector[key] | values for key, values in changes.items()}


@pytest.mark.parametrize("kind", RUNNERS)
def test_public_vectors_of_this_kind_pass(kind: str, tmp_path: Path) -> None:
    vectors = [vector for vector in PUBLIC if vector["kind"] == kind]
    outcome = run(written(tmp_path, *vectors))
    assert (outcome.failures, outcome.passed) == ([], len(vectors))
    assert outcome.is_good


def test_unknown_kind_fails_by_name_and_the_rest_is_still_run(tmp_path: Path) -> None:
    outcome = run(written(tmp_path, {"id": "x", "kind": "horoscope", "input": {}, "expect": {}}, public("sched.itbs600")))
    assert outcome.failures == ["x: kind 'horoscope' is not known"]
    assert outcome.passed == 1


@pytest.mark.parametrize(
    ("vector", "failure"),
    [
        (public("sched.itbs600", expect={"total_pulses": 601}), "total_pulses: got 600, wanted 601"),
        (public("sched.itbs600", expect={"phase": 1}), "key 'phase' is not known"),
        (public("sched.itbs600", input={"phase": 1}), "input key 'phase' is not known"),
        (public("sched.itbs600", input={"trains": 0}), "must be 1 or more"),
        (public("day.gap_2999", expect={"reasons": []}), "reasons: got ['MIN_GAP'], wanted []"),
        (public("day.gap_3000", expect={"allow": False}), "allow: got True, wanted False"),
        (public("limits.tighten", expect={"effective": {"max_sessions_per_day": 8}}), "effective: got"),
        (public("course.saint", expect={"measured_gap_us": None}), "measured_gap_us: got 3008160000, wanted None"),
    ],
)
def test_difference_is_reported_by_name(tmp_path: Path, vector: dict[str, Any], failure: str) -> None:
    outcome = run(written(tmp_path, vector))
    assert outcome.passed == 0
    assert any(failure in line for line in outcome.failures)


def test_reasons_are_compared_as_a_set(tmp_path: Path) -> None:
    vector = public("day.eleventh_denied")
    vector["expect"] = vector["expect"] | {"reasons": list(reversed(vector["expect"]["reasons"]))}
    assert run(written(tmp_path, vector)).is_good


def test_number_may_differ_by_the_tolerance_of_its_unit(tmp_path: Path) -> None:
    off_by_one = public("sched.itbs600", expect={"first_to_last_us": 191_840_001})
    assert run(written(tmp_path, off_by_one | {"tolerance": {"us": 1}})).is_good
    assert not run(written(tmp_path, off_by_one)).is_good
