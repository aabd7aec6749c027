"""Vectors of schedules, courses and tables of train durations; the tables by the cells that are shipped."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

from daemon.course import Doses, Spacing
from daemon.protocol_timing import parse_timing, whole_us
from daemon.safety_tables import shipped_tables

Values = Mapping[str, Any]


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
    doses = Doses(
        timing=parse_timing(**given["protocol"]),
        sessions_by_day=(given["sessions_per_day"],) * given["days"],
        spacing=Spacing(onset_to_onset_s=Fraction(str(given["onset_to_onset_s"]))),
    )
    return {
        "pulses_per_session": doses.timing.total_pulses,
        "pulses_per_day": doses.pulses_per_day,
        "pulses_per_course": doses.pulses,
        "sessions_per_course": doses.sessions,
        "session_onset_us_in_day": {at: doses.session_onset_us(int(at)) for at in expect.get("session_onset_us_in_day", {})},
        "measured_gap_us": doses.measured_gap_us,
        "day_first_to_last_us": doses.day_first_to_last_us,
    }


def _train_limit(given: Values, _expect: Values) -> Values:
    frequency, intensity = Fraction(str(given["frequency_hz"])), Fraction(str(given["intensity_pct_rmt"]))
    duration = Fraction(str(given["train_duration_s"]))
    answer: dict[str, Any] = {}
    for table in shipped_tables():
        longest = table.longest_s(frequency, intensity)
        answer[f"{table.id}_max_s"] = None if longest is None else float(longest)
        answer[f"{table.id}_ok"] = table.allows(frequency, intensity, duration)
    return answer


INPUT_KEYS: Mapping[str, frozenset[str]] = {
    "schedule": frozenset(("intra_burst_hz", "pulses_per_burst", "burst_hz", "bursts_per_train", "train_gap_s", "trains")),
    "course": frozenset(("protocol", "protocol_id", "sessions_per_day", "days", "onset_to_onset_s")),
    "train_limit": frozenset(("frequency_hz", "train_duration_s", "intensity_pct_rmt")),
}
RUNNERS: Mapping[str, Callable[[Values, Values], Values]] = {
    "schedule": _schedule,
    "course": _course,
    "train_limit": _train_limit,
}
