"""The day's verdict: what counts in which window, every reason not to start, and the earliest start.

Pure: no clock, no disk. Times are whole µs of UTC, so that elapsed time is a difference and daylight saving is none of its business;
the site's zone names the calendar date and nothing else.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

import msgspec

from daemon.limits import Limits
from daemon.purpose import Purpose

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US_PER_S = 1_000_000
_US_PER_H = 3600 * _US_PER_S


class DoseReason(StrEnum):
    """Why no pulse may be given; `REASON_TEXT` says it to people."""

    DAY_SESSIONS = "DAY_SESSIONS"
    DAY_PULSES = "DAY_PULSES"
    ROLLING_SESSIONS = "ROLLING_SESSIONS"
    ROLLING_PULSES = "ROLLING_PULSES"
    MIN_GAP = "MIN_GAP"
    COURSE_SESSIONS = "COURSE_SESSIONS"
    COURSE_DAYS = "COURSE_DAYS"
    CLOCK_ROLLBACK = "CLOCK_ROLLBACK"
    PATIENT_BUSY = "PATIENT_BUSY"
    CHAIR_BUSY = "CHAIR_BUSY"
    PROTOCOL_NOT_ALLOWED = "PROTOCOL_NOT_ALLOWED"
    INTENSITY = "INTENSITY"
    SET_POINT = "SET_POINT"
    LEDGER_REWOUND = "LEDGER_REWOUND"
    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE"
    SESSION_NOT_OPEN = "SESSION_NOT_OPEN"
    LEASE_LOST = "LEASE_LOST"
    INTENT_OPEN = "INTENT_OPEN"
    GRANT_NOT_RISING = "GRANT_NOT_RISING"
    GRANT_WINDOW = "GRANT_WINDOW"
    SESSION_PULSES = "SESSION_PULSES"
    TRAIN_GAP = "TRAIN_GAP"
    NO_OPEN_TRAIN = "NO_OPEN_TRAIN"
    CLOCK_SUSPECT = "CLOCK_SUSPECT"
    MT_STALE = "MT_STALE"
    MT_PULSES = "MT_PULSES"
    MT_INTERVAL = "MT_INTERVAL"
    LIMITS_INVALID = "LIMITS_INVALID"
    OUTSIDE_TABLE = "OUTSIDE_TABLE"


class ReasonText(msgspec.Struct, frozen=True):
    """What is the matter and what to do about it."""

    text: str
    remedy: str


REASON_TEXT: Mapping[DoseReason, ReasonText] = {
    DoseReason.DAY_SESSIONS: ReasonText("the day's sessions are used up", "Continue on the next treatment day."),
    DoseReason.DAY_PULSES: ReasonText("the session does not fit in the day's pulses", "Continue on the next treatment day."),
    DoseReason.ROLLING_SESSIONS: ReasonText("too many sessions in the last hours", "Wait until the earliest start."),
    DoseReason.ROLLING_PULSES: ReasonText("the session does not fit in the last hours' pulses", "Wait until the earliest start."),
    DoseReason.MIN_GAP: ReasonText("too soon after the last pulse", "Wait until the earliest start."),
    DoseReason.COURSE_SESSIONS: ReasonText("the course's sessions are used up", "Ask the physician; the course is complete."),
    DoseReason.COURSE_DAYS: ReasonText("the course's treatment days are used up", "Ask the physician; the course is complete."),
    DoseReason.CLOCK_ROLLBACK: ReasonText("the clock stands before the last entry of the ledger", "Correct the clock and its time source."),
    DoseReason.PATIENT_BUSY: ReasonText("the patient has an unsettled session", "Settle it at its chair, or have a person reconcile it."),
    DoseReason.CHAIR_BUSY: ReasonText("this chair has an unsettled session", "Close that session first."),
    DoseReason.PROTOCOL_NOT_ALLOWED: ReasonText("the protocol is not on the site's list", "Choose a protocol on the list."),
    DoseReason.INTENSITY: ReasonText("the set point is above the allowed share of the motor threshold", "Lower the set point."),
    DoseReason.SET_POINT: ReasonText("the amplitude is above the set point allowed", "Lower the amplitude."),
    DoseReason.LEDGER_REWOUND: ReasonText("the ledger is not the one this chair last saw", "Have two people reconcile it."),
    DoseReason.LEDGER_UNAVAILABLE: ReasonText("the dose record is out of reach", "Wait a moment, or call the engineer."),
    DoseReason.SESSION_NOT_OPEN: ReasonText("the session is not open", "Open a new session."),
    DoseReason.LEASE_LOST: ReasonText("the patient's lease has run out", "Renew it; if that fails, close the session."),
    DoseReason.INTENT_OPEN: ReasonText("the train before has no final receipt", "Await it, or close the session."),
    DoseReason.GRANT_NOT_RISING: ReasonText("the grant number was used before", "Number grants upward."),
    DoseReason.GRANT_WINDOW: ReasonText("the grant does not expire within 2 s of its first moment", "Make a new grant."),
    DoseReason.SESSION_PULSES: ReasonText("the train does not fit in what is left of the session", "Close the session."),
    DoseReason.TRAIN_GAP: ReasonText("too soon after the train before", "Make the grant for a later moment."),
    DoseReason.NO_OPEN_TRAIN: ReasonText("no such train counts in full", "Name trains that have an intent and no final receipt."),
    DoseReason.CLOCK_SUSPECT: ReasonText("the clock cannot be trusted", "Check the time source; two people then confirm the clock."),
    DoseReason.MT_STALE: ReasonText(
        "the motor threshold is missing, too old, or measured anew since the plan was opened", "Measure it, or open the plan again."
    ),
    DoseReason.MT_PULSES: ReasonText("the day's pulses for the motor threshold are used up", "Continue on the next treatment day."),
    DoseReason.MT_INTERVAL: ReasonText("too soon after the last single pulse", "Wait a few seconds."),
    DoseReason.LIMITS_INVALID: ReasonText("a file of limits is missing, unsigned or changed", "Correct the file named, or sign it again."),
    DoseReason.OUTSIDE_TABLE: ReasonText("the protocol is outside every safety table", "Choose a protocol within the tables."),
}


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Pulses of one session: those acknowledged if that is known, else all that were commanded."""

    session_id: str
    commanded: int
    acknowledged: int | None
    first_pulse_utc_us: int
    last_pulse_utc_us: int
    purpose: Purpose = Purpose.TREATMENT
    last_pulse_is_bound: bool = False  # the latest moment it could have been, not one that was seen
    last_pulse_mono_ns: int | None = None  # with the boot it belongs to
    boot_id: str | None = None

    @property
    def pulses(self) -> int:
        return self.commanded if self.acknowledged is None else self.acknowledged


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """A start somebody asks for. The monotonic reading belongs to the same moment as the first pulse; None: unknown."""

    first_pulse_utc_us: int
    planned_pulses: int
    resume_session_id: str | None = None
    mono_ns: int | None = None
    boot_id: str | None = None


class DayVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Counts without the proposed session, every reason against it, and the first moment with none (None: never, or unknown)."""

    treatment_day: str
    sessions_today: int
    pulses_today: int
    sessions_rolling: int
    pulses_rolling: int
    mt_pulses_today: int
    course_sessions: int
    course_days: int
    last_pulse_utc_us: int | None
    reasons: tuple[DoseReason, ...]
    earliest_utc_us: int | None

    @property
    def is_allowed(self) -> bool:
        return not self.reasons

    def with_busy_patient(self) -> "DayVerdict":
        """The same day while another session of the patient is unsettled: nobody knows when that ends."""
        return self.with_reasons((DoseReason.PATIENT_BUSY,))

    def with_reasons(self, against: tuple[DoseReason, ...]) -> "DayVerdict":
        """The same day with reasons that lie outside it, of which nobody knows when they end."""
        if not against:
            return self
        return msgspec.structs.replace(self, reasons=tuple(dict.fromkeys(self.reasons + against)), earliest_utc_us=None)


@dataclass(frozen=True, slots=True)
class _Dose:
    """All segments of one session together."""

    session_id: str
    pulses: int
    last_us: int
    day: date


@dataclass(frozen=True, slots=True)
class DayView:
    """What the rules look at, the proposed session counted in."""

    sessions_today: int
    pulses_today: int
    sessions_rolling: int
    pulses_rolling: int
    course_sessions: int
    course_days: int
    gap_us: int | None  # None: no other session
    clock_behind_us: int


RULES: Mapping[DoseReason, Callable[[DayView, Limits], bool]] = {
    DoseReason.DAY_SESSIONS: lambda view, limits: view.sessions_today <= limits.max_sessions_per_day,
    DoseReason.DAY_PULSES: lambda view, limits: view.pulses_today <= limits.max_pulses_per_day,
    DoseReason.ROLLING_SESSIONS: lambda view, limits: view.sessions_rolling <= limits.max_sessions_rolling,
    DoseReason.ROLLING_PULSES: lambda view, limits: view.pulses_rolling <= limits.max_pulses_rolling,
    DoseReason.MIN_GAP: lambda view, limits: view.gap_us is None or view.gap_us >= _min_gap_us(limits),
    DoseReason.COURSE_SESSIONS: lambda view, limits: view.course_sessions <= limits.max_course_sessions,
    DoseReason.COURSE_DAYS: lambda view, limits: view.course_days <= limits.max_treatment_days,
    DoseReason.CLOCK_ROLLBACK: lambda view, limits: view.clock_behind_us <= _tolerance_us(limits),
}


@dataclass(frozen=True, slots=True)
class _History:
    """What is known before the start that is asked for."""

    doses: tuple[_Dose, ...]
    segments: tuple[Segment, ...]
    clock_floor_us: int | None
    proposed: Proposed
    limits: Limits
    zone: ZoneInfo

    def resumed(self) -> _Dose | None:
        return next((dose for dose in self.doses if dose.session_id == self.proposed.resume_session_id), None)

    def day_at(self, at_us: int) -> date:
        resumed = self.resumed()
        return _local_day(at_us, self.zone) if resumed is None else resumed.day

    def today(self, at_us: int) -> tuple[_Dose, ...]:
        day = self.day_at(at_us)
        return tuple(dose for dose in self.doses if dose.day == day)

    def rolling(self, at_us: int) -> tuple[_Dose, ...]:
        since_us = at_us - _window_us(self.limits)
        return tuple(dose for dose in self.doses if dose.last_us > since_us)

    def gap_us(self, at_us: int) -> int | None:
        """Elapsed since the last pulse of any other session; by the slower of the two clocks where both are known."""
        others = (part for part in self.segments if part.session_id != self.proposed.resume_session_id)
        return min((at_us - _last_us(part, self.proposed) for part in others), default=None)

    def view(self, at_us: int) -> DayView:
        today, rolling, resumed = self.today(at_us), self.rolling(at_us), self.resumed()
        extra = 0 if resumed is not None else 1
        planned = self.proposed.planned_pulses
        return DayView(
            sessions_today=len(today) + extra,
            pulses_today=_pulses(today) + planned,
            sessions_rolling=len(rolling) + (0 if resumed in rolling else 1),
            pulses_rolling=_pulses(rolling) + planned,
            course_sessions=len(self.doses) + extra,
            course_days=len({dose.day for dose in self.doses} | {self.day_at(at_us)}),
            gap_us=self.gap_us(at_us),
            clock_behind_us=0 if self.clock_floor_us is None else self.clock_floor_us - at_us,
        )

    def reasons(self, at_us: int) -> tuple[DoseReason, ...]:
        view = self.view(at_us)
        return tuple(reason for reason, holds in RULES.items() if not holds(view, self.limits))

    def moments(self) -> list[int]:
        """Moments after the proposed one at which a reason can go away: between two of them nothing changes."""
        now_us, limits = self.proposed.first_pulse_utc_us, self.limits
        moments = {_last_us(part, self.proposed) + _min_gap_us(limits) for part in self.segments}
        moments |= {dose.last_us + _window_us(limits) for dose in self.doses}
        for day in {dose.day for dose in self.doses} | {_local_day(now_us, self.zone)}:
            moments |= {_day_start_us(day, self.zone), _day_start_us(day + timedelta(days=1), self.zone)}
        if self.clock_floor_us is not None:
            moments.add(self.clock_floor_us - _tolerance_us(limits))
        return sorted(moment for moment in moments if moment > now_us)


def day_verdict(segments: Iterable[Segment], proposed: Proposed, limits: Limits, high_water_utc_us: int | None) -> DayVerdict:
    """Whether the proposed start fits the day, the rolling window, the gap and the course.

    `segments`: the patient's, in any order; those that count no pulse are left out. `high_water_utc_us`: the latest UTC ever written.
    A session belongs to the site's calendar date of its first pulse, and is inside the rolling window if its last pulse is.
    """
    zone = ZoneInfo(limits.timezone)
    given = tuple(segments)
    counted = tuple(part for part in given if part.pulses > 0)
    treatment = tuple(part for part in counted if part.purpose is Purpose.TREATMENT)
    now_us = proposed.first_pulse_utc_us
    history = _History(
        doses=_doses(treatment, zone),
        segments=treatment,
        clock_floor_us=_clock_floor_us(given, high_water_utc_us),
        proposed=proposed,
        limits=limits,
        zone=zone,
    )
    day, today, rolling = history.day_at(now_us), history.today(now_us), history.rolling(now_us)
    reasons = history.reasons(now_us)
    return DayVerdict(
        treatment_day=day.isoformat(),
        sessions_today=len(today),
        pulses_today=_pulses(today),
        sessions_rolling=len(rolling),
        pulses_rolling=_pulses(rolling),
        mt_pulses_today=_mt_pulses(counted, day, zone),
        course_sessions=len(history.doses),
        course_days=len({dose.day for dose in history.doses}),
        last_pulse_utc_us=max((part.last_pulse_utc_us for part in treatment), default=None),
        reasons=reasons,
        earliest_utc_us=next((moment for moment in history.moments() if not history.reasons(moment)), None) if reasons else now_us,
    )


# ---- single pulses for the motor threshold -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MtView:
    """What the rules for single pulses look at, those that are asked for counted in."""

    pulses_today: int
    interval_us: int | None  # None: no pulse before
    clock_behind_us: int


MT_RULES: Mapping[DoseReason, Callable[[MtView, Limits], bool]] = {
    DoseReason.MT_PULSES: lambda view, limits: view.pulses_today <= limits.max_mt_pulses_per_day,
    DoseReason.MT_INTERVAL: lambda view, limits: view.interval_us is None or view.interval_us >= _mt_interval_us(limits),
    DoseReason.CLOCK_ROLLBACK: lambda view, limits: view.clock_behind_us <= _tolerance_us(limits),
}


def mt_verdict(segments: Iterable[Segment], proposed: Proposed, limits: Limits, high_water_utc_us: int | None) -> DayVerdict:
    """Whether so many more single pulses for the motor threshold fit the day, after the interval from the last pulse of any kind.

    They count apart: nothing of a treatment's day speaks against them, and the counts of treatment are told as they stand.
    A search that goes on past midnight (`resume_session_id`) belongs to the day of its first pulse.
    """
    zone, given = ZoneInfo(limits.timezone), tuple(segments)
    counted = tuple(part for part in given if part.pulses > 0)
    floor_us = _clock_floor_us(given, high_water_utc_us)
    last_us = max((_last_us(part, proposed) for part in counted), default=None)

    def reasons(at_us: int) -> tuple[DoseReason, ...]:
        view = MtView(
            pulses_today=_mt_pulses(counted, _mt_day(counted, proposed, at_us, zone), zone) + proposed.planned_pulses,
            interval_us=None if last_us is None else at_us - last_us,
            clock_behind_us=0 if floor_us is None else floor_us - at_us,
        )
        return tuple(reason for reason, holds in MT_RULES.items() if not holds(view, limits))

    now_us = proposed.first_pulse_utc_us
    moments = [_day_start_us(_local_day(now_us, zone) + timedelta(days=1), zone)]
    moments += [] if last_us is None else [last_us + _mt_interval_us(limits)]
    moments += [] if floor_us is None else [floor_us - _tolerance_us(limits)]
    against = reasons(now_us)
    later = (moment for moment in sorted(moments) if moment > now_us and not reasons(moment))
    day = day_verdict(given, msgspec.structs.replace(proposed, resume_session_id=None), limits, high_water_utc_us)
    return msgspec.structs.replace(day, reasons=against, earliest_utc_us=next(later, None) if against else now_us)


def _mt_day(counted: tuple[Segment, ...], proposed: Proposed, at_us: int, zone: ZoneInfo) -> date:
    own = [part.first_pulse_utc_us for part in counted if part.session_id == proposed.resume_session_id and part.purpose is Purpose.MT]
    return _local_day(min(own, default=at_us), zone)


def _mt_pulses(counted: tuple[Segment, ...], day: date, zone: ZoneInfo) -> int:
    return sum(part.pulses for part in counted if part.purpose is Purpose.MT and _local_day(part.first_pulse_utc_us, zone) == day)


# ---- counting ------------------------------------------------------------------------------------------------------------


def _last_us(segment: Segment, asked: Proposed) -> int:
    """Last pulse on the wall clock as it stands now, so that a clock set forward does not shorten the wait."""
    if segment.last_pulse_mono_ns is None or asked.mono_ns is None or segment.boot_id is None or segment.boot_id != asked.boot_id:
        return segment.last_pulse_utc_us
    elapsed_us = (asked.mono_ns - segment.last_pulse_mono_ns) // 1000
    return max(segment.last_pulse_utc_us, asked.first_pulse_utc_us - elapsed_us)


def _doses(segments: tuple[Segment, ...], zone: ZoneInfo) -> tuple[_Dose, ...]:
    by_session: dict[str, list[Segment]] = {}
    for segment in segments:
        by_session.setdefault(segment.session_id, []).append(segment)
    return tuple(_dose(session_id, parts, zone) for session_id, parts in by_session.items())


def _dose(session_id: str, parts: list[Segment], zone: ZoneInfo) -> _Dose:
    return _Dose(
        session_id=session_id,
        pulses=sum(part.pulses for part in parts),
        last_us=max(part.last_pulse_utc_us for part in parts),
        day=_local_day(min(part.first_pulse_utc_us for part in parts), zone),
    )


def _clock_floor_us(segments: tuple[Segment, ...], high_water_utc_us: int | None) -> int | None:
    """The latest moment that has certainly been. A bound may lie ahead of the clock and proves nothing."""
    seen = [part.last_pulse_utc_us for part in segments if not part.last_pulse_is_bound]
    return max(seen if high_water_utc_us is None else [*seen, high_water_utc_us], default=None)


def _pulses(doses: tuple[_Dose, ...]) -> int:
    return sum(dose.pulses for dose in doses)


def _local_day(utc_us: int, zone: ZoneInfo) -> date:
    return (_EPOCH + timedelta(microseconds=utc_us)).astimezone(zone).date()


def _day_start_us(day: date, zone: ZoneInfo) -> int:
    """First moment of a date; where midnight is skipped, the moment of the change."""
    return (datetime.combine(day, time(0), zone) - _EPOCH) // timedelta(microseconds=1)


def _min_gap_us(limits: Limits) -> int:
    return math.ceil(Fraction(limits.min_gap_s) * _US_PER_S)


def _mt_interval_us(limits: Limits) -> int:
    return math.ceil(Fraction(limits.min_mt_pulse_interval_s) * _US_PER_S)


def _window_us(limits: Limits) -> int:
    return math.ceil(Fraction(limits.rolling_window_h) * _US_PER_H)


def _tolerance_us(limits: Limits) -> int:
    return math.floor(Fraction(limits.clock_tolerance_s) * _US_PER_S)
