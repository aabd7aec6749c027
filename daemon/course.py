"""Courses as data: which protocol, how many sessions on each day, how far apart; the limits that follow, and the day's onsets.

Two readings of spacing: the plan's is onset to onset, the limit's from the last pulse of a session to the first of the next. What is
late shifts all that follows; nothing is ever compressed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import msgspec

from daemon.limits import Layer, LimitFault, LimitValue, merge
from daemon.protocol import BadProtocol, Protocol, UnknownProtocol, shipped_and_site
from daemon.protocol_file import Figures, Source, on_memory, parsed, read_of_site, read_shipped, refuse, source_faults
from daemon.protocol_timing import Timing, is_decimal, whole_us

SHIPPED_DIR = Path(__file__).parent / "courses"
SITE_DIR = "courses"  # within the site's folder
PREFIX = "course."


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """How far apart a day's sessions are planned: onset to onset, or a pause after the last pulse. None: not found in print."""

    onset_to_onset_s: Fraction | None = None
    pause_s: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doses:
    """A day's and a course's worth of one protocol."""

    timing: Timing
    sessions_by_day: tuple[int, ...]
    spacing: Spacing

    @property
    def days(self) -> int:
        return len(self.sessions_by_day)

    @property
    def sessions(self) -> int:
        return sum(self.sessions_by_day)

    @property
    def sessions_per_day(self) -> int:
        """The fullest day's."""
        return max(self.sessions_by_day)

    @property
    def pulses_per_day(self) -> int:
        """The fullest day's."""
        return self.timing.total_pulses * self.sessions_per_day

    @property
    def pulses(self) -> int:
        return self.timing.total_pulses * self.sessions

    @property
    def period_us(self) -> int | None:
        """Onset of a session to the planned onset of the next when nothing is late; None while no spacing is known."""
        if self.spacing.onset_to_onset_s is not None:
            return whole_us(self.spacing.onset_to_onset_s)
        return None if self.spacing.pause_s is None else self.timing.first_to_last_us + whole_us(self.spacing.pause_s)

    @property
    def measured_gap_us(self) -> int | None:
        """Last pulse of a session to the first of the next, as the limit counts it; None where a day has one session or no spacing."""
        return None if self.sessions_per_day == 1 or self.period_us is None else self.period_us - self.timing.first_to_last_us

    def session_onset_us(self, session: int) -> int | None:
        """Planned onset of a session in µs from the day's first pulse; session from 1. None while no spacing is known."""
        if session == 1:
            return 0
        return None if self.period_us is None else (session - 1) * self.period_us

    @property
    def day_first_to_last_us(self) -> int | None:
        """First pulse of the fullest day to its last."""
        onset_us = self.session_onset_us(self.sessions_per_day)
        return None if onset_us is None else onset_us + self.timing.first_to_last_us


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """First and last pulse of a session that was given, µs on any one clock."""

    first_us: int
    last_us: int


def next_onset_us(spacing: Spacing, min_gap_us: int, last: Given) -> int:
    """Earliest onset of the next session of the day by plan and limit alike, from the pulses really given."""
    planned = [last.last_us + min_gap_us]
    if spacing.onset_to_onset_s is not None:
        planned.append(last.first_us + whole_us(spacing.onset_to_onset_s))
    if spacing.pause_s is not None:
        planned.append(last.last_us + whole_us(spacing.pause_s))
    return max(planned)


def remaining_onsets_us(doses: Doses, day: int, min_gap_us: int, given: Sequence[Given], now_us: int) -> tuple[int, ...]:
    """Onsets of the sessions that are left of a day (from 1) of the course, on the clock of `given` and `now_us`.

    Each is as early as plan and limit allow after the one before it; a day without sessions given yet begins now.
    """
    left = doses.sessions_by_day[day - 1] - len(given)
    length_us, onsets, last = doses.timing.first_to_last_us, list[int](), max(given, key=lambda part: part.last_us, default=None)
    for _ in range(left):
        onset_us = now_us if last is None else max(now_us, next_onset_us(doses.spacing, min_gap_us, last))
        onsets.append(onset_us)
        last = Given(first_us=onset_us, last_us=onset_us + length_us)
    return tuple(onsets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A course as its file states it. `protocol` None: the pulses' pattern is not found in print, and nothing can be started by it."""

    id: str
    title: str
    protocol: str | None
    pulses_per_session: int | None
    sessions_by_day: tuple[int, ...]
    spacing: Spacing
    limits: Mapping[str, LimitValue]
    sources: tuple[Source, ...]
    path: Path
    sha256: str
    signed_by: tuple[str, ...] = ()

    @property
    def on_memory(self) -> tuple[str, ...]:
        """Figures that nobody has confirmed yet; a file that the site signed is confirmed by that."""
        return () if self.signed_by else on_memory(self.sources)

    @property
    def days_differ(self) -> bool:
        return len(set(self.sessions_by_day)) > 1

    def doses(self, timing: Timing) -> Doses:
        return Doses(timing=timing, sessions_by_day=self.sessions_by_day, spacing=self.spacing)

    def limit_layer(self, protocol: Protocol) -> Layer:
        """The protocol's limits with those of the course in the place of its own: the course says how often."""
        doses = self.doses(protocol.timing)
        own: dict[str, LimitValue] = {
            "max_sessions_per_day": doses.sessions_per_day,
            "max_pulses_per_day": doses.pulses_per_day,
            "max_course_sessions": doses.sessions,
            "max_treatment_days": doses.days,
        }
        limits = dict(protocol.limits) | own | dict(self.limits)
        return Layer(name="protocol", limits=limits, sha256=f"{protocol.sha256}+{self.sha256}")


class _CourseFields(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    title: str
    sessions_by_day: tuple[int, ...]
    sources: tuple[Source, ...]
    protocol: str | None = None
    pulses_per_session: int | None = None
    onset_to_onset_s: str | None = None
    pause_s: str | None = None
    limits: dict[str, LimitValue] = {}


def load_course(course_id: str, site_folder: Path | None = None) -> Course:
    """The course of that id (with or without "course." before it), shipped or in the site's folder (there signed by a physician).

    Raises UnknownProtocol (its text lists the known ids) and BadProtocol (all faults of the file at once).
    """
    files = course_files(site_folder)
    path = files.get(course_id) or files.get(f"{PREFIX}{course_id}")
    if path is None:
        raise UnknownProtocol(f"there is no course {course_id!r}", "courses", f"Known are: {', '.join(sorted(files))}.")
    return read_course(path, of_site=path.parent != SHIPPED_DIR)


def course_files(site_folder: Path | None = None) -> dict[str, Path]:
    """Ids and files of all courses. Raises BadProtocol when the site reuses the id of a shipped one."""
    return shipped_and_site(SHIPPED_DIR, None if site_folder is None else site_folder / SITE_DIR)


def read_course(path: Path, *, of_site: bool = False) -> Course:
    """Course in a file; one of the site must be signed by a physician. Raises BadProtocol with every fault of it."""
    return _course(read_of_site(path) if of_site else read_shipped(path))


def _course(figures: Figures) -> Course:
    faults: list[str] = []
    fields = parsed(figures.table, _CourseFields, faults)
    if fields is not None:
        faults += _field_faults(fields, figures.path)
    refuse(faults, figures.path)
    if fields is None:
        raise BadProtocol("it holds no course", str(figures.path), "Compare it with the shipped ones.")
    return Course(
        id=fields.id,
        title=fields.title,
        protocol=fields.protocol,
        pulses_per_session=fields.pulses_per_session,
        sessions_by_day=fields.sessions_by_day,
        spacing=Spacing(
            onset_to_onset_s=None if fields.onset_to_onset_s is None else Fraction(fields.onset_to_onset_s),
            pause_s=None if fields.pause_s is None else Fraction(fields.pause_s),
        ),
        limits=fields.limits,
        sources=fields.sources,
        path=figures.path,
        sha256=figures.sha256,
        signed_by=figures.signed_by,
    )


def _field_faults(fields: _CourseFields, path: Path) -> list[str]:
    spacing = [text for text in (fields.onset_to_onset_s, fields.pause_s) if text is not None]
    must_hold = {
        f"id {fields.id!r} is not the file's name": fields.id == path.stem and fields.id.startswith(PREFIX),
        "title is empty": bool(fields.title.strip()),
        "a day has no session, or there is no day": len(fields.sessions_by_day) > 0 and min(fields.sessions_by_day, default=0) >= 1,
        "pulses_per_session is not positive": fields.pulses_per_session is None or fields.pulses_per_session >= 1,
        "onset_to_onset_s and pause_s are two readings of one thing: give one": len(spacing) < 2,
        "onset_to_onset_s and pause_s are plain decimals in strings": all(is_decimal(text) for text in spacing),
    }
    faults = [fault for fault, holds in must_hold.items() if not holds]
    alone = merge((Layer(name="protocol", limits=fields.limits, sha256=""),))  # a licence may raise the product's ceiling
    faults += [f"limits.{refused.key}: {refused.code}" for refused in alone.refused if refused.code is not LimitFault.LOOSENS]
    stated = [name for name in ("protocol", "pulses_per_session", "onset_to_onset_s", "pause_s") if getattr(fields, name) is not None]
    return faults + source_faults(["sessions_by_day", *stated, *(f"limits.{key}" for key in fields.limits)], fields.sources)
