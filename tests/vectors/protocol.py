"""Vectors of kind `protocol` by the product's own code: days of a ledger and merged limits here, the other kinds in `protocol_*`.

Owns the comparison. A kind of vector or a key that is not known here fails by name.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from daemon.day import Proposed, Segment, day_verdict
from daemon.limits import Layer, Limits, merge
from daemon.purpose import Purpose
from tests.vectors import protocol_places, protocol_threshold, protocol_train
from tests.vectors.compare import difference, unknown_keys
from tests.vectors.outcome import Outcome, run_checks

Values = Mapping[str, Any]  # JSON as the file has it; what a key means is checked where it is read


def run(path: Path) -> Outcome:
    """Every vector of the file at `path` against the product."""
    vectors = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    return run_checks((str(vector.get("id", f"vector {number}")), partial(_check, vector)) for number, vector in enumerate(vectors, 1))


def _check(vector: Values) -> list[str]:
    kind = str(vector.get("kind"))
    if kind not in RUNNERS:
        return [f"kind {kind!r} is not known"]
    unknown = unknown_keys(vector["input"], INPUT_KEYS[kind], "input key")
    if unknown:
        return unknown
    expect, tolerance = vector["expect"], vector.get("tolerance", {})
    got = RUNNERS[kind](vector["input"], expect)
    lines = [_compared(key, wanted, got, _allowed(key, tolerance)) for key, wanted in expect.items()]
    return [line for line in lines if line is not None]


def _compared(key: str, wanted: Any, got: Values, tolerance: float) -> str | None:
    if key not in got:
        return f"key {key!r} is not known"
    if key == "reasons":
        return difference(key, sorted(got[key]), sorted(wanted), tolerance)
    if isinstance(wanted, dict) and isinstance(got[key], dict) and got[key].keys() - wanted.keys():
        return f"{key}: got {got[key]!r}, wanted {wanted!r}"
    return difference(key, got[key], wanted, tolerance)


def _allowed(key: str, tolerance: Values) -> float:
    """The entry of the value's name, else of the unit its name ends in or that it is known to have; equal where there is none."""
    unit = next((name for name in tolerance if key.endswith(f"_{name}")), key)
    known = next((name for name in UNITS.get(key, ()) if name in tolerance), key)
    return float(tolerance.get(key, tolerance.get(unit, tolerance.get(known, 0.0))))


# Values whose names do not end in their unit.
UNITS: Mapping[str, tuple[str, ...]] = {
    "estimate": ("estimate_mso",),
    "estimates": ("estimate_mso",),
    "final_estimate": ("estimate_mso",),
    "ci95": ("ci_mso",),
    "final_ci95": ("ci_mso",),
    "loglik_at": ("loglik",),
    "normal": ("mm",),
    "handle_dir": ("mm",),
    "matrix_rows": ("mm",),
    "peak_value": ("threshold",),
    "pct_reduction": ("pct",),
    "motor_equivalent_pct_rmt": ("mso",),
}


def _day_ledger(given: Values, _expect: Values) -> Values:
    proposed = given["proposed"]
    verdict = day_verdict(
        [_segment(part) for part in given["segments"]],
        Proposed(
            first_pulse_utc_us=_utc_us(proposed["first_pulse_utc"]),
            planned_pulses=proposed["planned_pulses"],
            resume_session_id=proposed.get("resume_session_id"),
        ),
        msgspec.convert(_UNTESTED_LIMITS | given["limits"] | {"timezone": given["timezone"]}, Limits),
        _utc_us(given["high_water_utc"]) if "high_water_utc" in given else None,
    )
    return msgspec.structs.asdict(verdict) | {"allow": verdict.is_allowed, "reasons": [str(reason) for reason in verdict.reasons]}


# A day's vector names the limits of the day alone; these are not looked at by its rules.
_UNTESTED_LIMITS: Values = {"max_intensity_pct_rmt": 120, "max_set_point_mso": 100, "session_resume_window_s": 600, "sha256": ""}


def _segment(part: Values) -> Segment:
    return Segment(
        session_id=part["session_id"],
        commanded=part["commanded"],
        acknowledged=part["acknowledged"],
        first_pulse_utc_us=_utc_us(part["first_pulse_utc"]),
        last_pulse_utc_us=_utc_us(part["last_pulse_utc"]),
        purpose=Purpose(part["purpose"]),
    )


def _utc_us(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _limit_merge(given: Values, _expect: Values) -> Values:
    merged = merge([Layer(name=layer["name"], limits=layer["limits"], sha256="") for layer in given["layers"]])
    return {
        "effective": None if merged.effective is None else dict(merged.effective),
        "refused": [[refused.layer, refused.key, str(refused.code)] for refused in merged.refused],
        "start_allowed": merged.effective is not None,
    }


INPUT_KEYS: Mapping[str, frozenset[str]] = {
    "day_ledger": frozenset(("timezone", "limits", "segments", "proposed", "high_water_utc")),
    "limit_merge": frozenset(("layers",)),
    **protocol_places.INPUT_KEYS,
    **protocol_threshold.INPUT_KEYS,
    **protocol_train.INPUT_KEYS,
}
RUNNERS: Mapping[str, Callable[[Values, Values], Values]] = {
    "day_ledger": _day_ledger,
    "limit_merge": _limit_merge,
    **protocol_places.RUNNERS,
    **protocol_threshold.RUNNERS,
    **protocol_train.RUNNERS,
}
