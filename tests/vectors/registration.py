"""Vectors of kind `registration`: worked numbers of transforms, fits, errors and filters, by group.

Owns the walk through the file and the comparison; what the product makes of a case is in `registration_groups`.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.vectors.compare import difference, is_information, unknown_keys
from tests.vectors.outcome import Check, Outcome, run_checks
from tests.vectors.registration_groups import GROUPS, Group

FILE_KEYS = frozenset({"schema", "about", "note", "groups"})
CASE_KEYS = frozenset({"id", "note", "tol", "expected"})
SCHEMA = 1
DEFAULT_TOLERANCE = 1e-6
MONTE_CARLO = "monte_carlo_"
MONTE_CARLO_TOLERANCE = 0.03  # relative


def run(path: Path) -> Outcome:
    """Every case of every group of the file."""
    given = json.loads(path.read_text(encoding="utf-8"))
    return run_checks(_checks(given))


def _checks(given: Mapping[str, Any]) -> Iterator[tuple[str, Check]]:
    strange = unknown_keys(given, FILE_KEYS, "key")
    if given.get("schema", SCHEMA) != SCHEMA:
        strange.append(f"schema {given['schema']!r} is not known")
    if strange:
        yield "the file", lambda: strange
    for name, cases in given["groups"].items():
        group = GROUPS.get(name)
        if group is None:
            yield name, partial(lambda name: [f"group {name!r} is not known"], name)
            continue
        for number, case in enumerate(cases, start=1):
            label = case.get("id", number) if isinstance(case, dict) else number
            yield f"{name} {label}", partial(_differences, group, case)


def _differences(group: Group, case: Mapping[str, Any]) -> list[str]:
    expected = {key: wanted for key, wanted in case["expected"].items() if not is_information(key)}
    known = group.values | {MONTE_CARLO + key for key in group.values}
    strange = unknown_keys(case, group.inputs | CASE_KEYS, "key") + unknown_keys(expected, frozenset(known), "expected key")
    if strange or not expected:
        return strange or ["nothing is expected of it"]
    computed = group.compute(case)
    given_tolerance = case.get("tol")
    tolerance = DEFAULT_TOLERANCE if given_tolerance is None else float(given_tolerance)
    blur = group.blur(case)
    lines = [_difference(key, computed, wanted, tolerance + blur.get(key, 0.0)) for key, wanted in expected.items()]
    return [line for line in lines if line is not None]


def _difference(key: str, computed: Mapping[str, Any], wanted: Any, tolerance: float) -> str | None:
    """A value that the product did not give, because it refused the case, counts as None."""
    if key.startswith(MONTE_CARLO):
        return difference(key, computed.get(key.removeprefix(MONTE_CARLO)), wanted, MONTE_CARLO_TOLERANCE, relative=True)
    got = computed.get(key)
    if "quat" in key:
        return min((difference(key, sign, wanted, tolerance) for sign in _signs(got)), key=lambda line: line is not None)
    if "twist" in key and got is not None and wanted is not None:
        got = wanted + (got - wanted + 180.0) % 360.0 - 180.0
    if key == "warning":
        got = _warning(computed["warning"], wanted)
    return difference(key, got, wanted, tolerance)


def _warning(given: Collection[str], wanted: str | None) -> str | None:
    """The wanted warning if it was given among others, else the first."""
    return wanted if wanted in given else next(iter(given), None)


def _signs(quaternion: Any) -> list[Any]:
    """A quaternion and its negative are one rotation."""
    return [None] if quaternion is None else [np.asarray(quaternion), -np.asarray(quaternion)]
