"""Vectors of kind `protocol`: schedules, courses, days of a ledger, merged limits, by the product's own code.

Owns the comparison. A kind of vector or a key that is not known here fails by name.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from daemon.day import Proposed, Segment, day_verdict
from daemon.limits import Layer, Limits, merge
from daemon.protocol import Course, parse_timing, whole_us
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
    kind = vector.get("kind")
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
    unit = next((name for name in tolerance if key.endswith(f"_{name}")), None)
    known = next((name for name in UNITS.get(key, ()) if name in tolerance), None)
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
    "motor_equivalent_pct_rmt": ("mso",),
}


def _schedule(given: Values, expect: Values) -> Values:
    timing = parse_timing(**given)
    onsets = timing.onsets_us()
    intervals = [later - earlier for earlier, later in pairwise(onsets)]
    return {
        "total_pulses": timing.total_pulses,
        "trains": timing.trains,
        "pulses_per_train": timing.pulses_per_train,
        "nominal_train_us": whole_us(timing.nominal_train_s),
        "train_period_us": whole_us(timing.train_period_s),
        "nominal_session_us": whole_us(timing.nominal_session_s),
        "first_to_last_us": timing.first_to_last_us,
        "first_to_last_ms": whole_us(timing.first_to_last_s / 1000),
        "min_interval_us": min(intervals, default=None),
        "max_interval_us": max(intervals, default=None),
        "pulse_onset_us": {pulse: onsets[int(pulse) - 1] for pulse in expect.get("pulse_onset_us", {})},
        "train_of_pulse": {pulse: (int(pulse) - 1) // timing.pulses_per_train + 1 for pulse in expect.get("train_of_pulse", {})},
        "schedule_sha256": timing.schedule_sha256(),
    }


def _course(given: Values, expect: Values) -> Values:
    course = Course(
        timing=parse_timing(**given["protocol"]),
        sessions_per_day=given["sessions_per_day"],
        days=given["days"],
        onset_to_onset_s=Fraction(str(given["onset_to_onset_s"])),
    )
    return {
        "pulses_per_session": course.timing.total_pulses,
        "pulses_per_day": course.pulses_per_day,
        "pulses_per_course": course.pulses,
        "sessions_per_course": course.sessions,
        "session_onset_us_in_day": {at: course.session_onset_us(int(at)) for at in expect.get("session_onset_us_in_day", {})},
        "measured_gap_us": course.measured_gap_us,
        "day_first_to_last_us": course.day_first_to_last_us,
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
    "schedule": frozenset(("intra_burst_hz", "pulses_per_burst", "burst_hz", "bursts_per_train", "train_gap_s", "trains")),
    "course": frozenset(("protocol", "protocol_id", "sessions_per_day", "days", "onset_to_onset_s")),
    "day_ledger": frozenset(("timezone", "limits", "segments", "proposed", "high_water_utc")),
    "limit_merge": frozenset(("layers",)),
    **protocol_places.INPUT_KEYS,
    **protocol_threshold.INPUT_KEYS,
    **protocol_train.INPUT_KEYS,
}
RUNNERS: Mapping[str, Callable[[Values, Values], Values]] = {
    "schedule": _schedule,
    "course": _course,
    "day_ledger": _day_ledger,
    "limit_merge": _limit_merge,
    **protocol_places.RUNNERS,
    **protocol_threshold.RUNNERS,
    **protocol_train.RUNNERS,
}
