"""`atmsd protocol list | show | expand | courses | tables`: what may be started here and why not, and the exact schedule.

Owns words, columns and exit codes; every rule is elsewhere.
"""

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from daemon.config import ConfigError, load_config
from daemon.course import Course, Given, remaining_onsets_us
from daemon.limits import LimitsInvalid
from daemon.protocol import BadProtocol, Protocol, UnknownProtocol
from daemon.protocol_file import Source
from daemon.protocol_view import (
    CourseView,
    ProtocolView,
    Sight,
    all_courses,
    all_protocols,
    least_gap_s,
    sight_of,
    view_course,
    view_protocol,
)
from daemon.safety_tables import shipped_clearances, shipped_pauses, shipped_tables

EXIT_USAGE, EXIT_CONFIG = 64, 78
US_PER_S = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

app = typer.Typer(no_args_is_help=True, help="Protocols and courses: what they are, whether they may be used here, their exact schedule.")

ChairFile = Annotated[Path | None, typer.Option("--config", help="The chair's TOML file: see with its site's eyes.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")]


@app.command("list")
def list_(*, config: ChairFile = None, as_json: AsJson = False) -> None:
    """Every protocol in a few lines: figures, times, basis, what supports it, and why not here."""
    with _explained():
        views = all_protocols(_sight(config))
    if as_json:
        _print_json(views)
        return
    typer.echo(f"{'protocol':<23}{'Hz':>6}{'pulses':>7}{'%':>4}{'last':>9}{'nominal':>9}  support, use here")
    for view in views:
        _print_row(view)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Id of a protocol or of a course.")], *, config: ChairFile = None, as_json: AsJson = False
) -> None:
    """Every figure of a protocol or course, with its mark and its source."""
    with _explained():
        sight = _sight(config)
        view = view_course(sight.course(name), sight) if name.startswith("course.") else view_protocol(sight.protocol(name), sight)
    if as_json:
        _print_json(view)
        return
    _print_figures(view)
    _print_sources(view.sources)


@app.command()
def courses(*, config: ChairFile = None, as_json: AsJson = False) -> None:
    """Every course: sessions, pulses, spacing, and why not here."""
    with _explained():
        views = all_courses(_sight(config))
    if as_json:
        _print_json(views)
        return
    typer.echo(f"{'course':<23}{'a day':>6}{'days':>5}{'pulses':>8} {'spacing':<14}protocol")
    for view in views:
        sessions = f"{_range(view.sessions_by_day):>6}{len(view.sessions_by_day):>5}{view.pulses or 'unknown':>8}"
        typer.echo(f"{view.id:<23}{sessions} {_spacing(view):<14}{view.protocol or 'unknown'}")
        _wrapped(view.title, "    ")
        _print_against(view.against)


@app.command()
def tables(*, config: ChairFile = None) -> None:
    """The tables, cell by cell with their checksums: what a physician compares with the papers and signs."""
    with _explained():
        signed, shipped, clearances = _sight(config).site.signed_tables, shipped_tables(), shipped_clearances()
    for table in shipped:
        _wrapped(f"{table.id}: {table.title}; {'signed' if table.id in signed else 'not signed: counts for nothing'}", "")
        typer.echo(f"  sha256 {table.sha256}")
        typer.echo(f"  {'Hz':>5}" + "".join(f"{f'{pct} %':>8}" for pct in table.intensities_pct_rmt) + "   longest train, s")
        for rate_hz, cells in table.rows:
            typer.echo(f"  {float(rate_hz):>5g}" + "".join(f"{cell:>8}" for cell in cells))
        _print_sources(table.sources)
    pauses = shipped_pauses()
    typer.echo(f"{pauses.id}: {pauses.title}; for reading")
    typer.echo(f"  {'s':>5}" + "".join(f"{f'{pct} %':>8}" for pct in pauses.intensities_pct_rmt))
    for row in pauses.rows:
        typer.echo(f"  {row.pause_s:>5}" + "".join(f"{found.split()[0]:>8}" for found in row.found))
    _print_sources(pauses.sources)
    state = "signed" if "cleared" in signed else "not signed: its entries of memory count for nothing"
    _wrapped(f"cleared: protocols cleared to the letter; {state}", "")
    typer.echo(f"  sha256 {clearances.sha256}")


@app.command()
def expand(
    name: Annotated[str, typer.Argument(help="Id of the protocol.")],
    *,
    course: Annotated[str | None, typer.Option(help="Id of a course: the day's sessions instead of a session's trains.")] = None,
    day: Annotated[int, typer.Option(help="Day of the course, from 1.")] = 1,
    given: Annotated[
        list[str] | None, typer.Option(help="A session given today, FIRST/LAST pulse as UTC moments; once for each. The rest is shifted.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="The moment from which to plan the rest; now if left out.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Every pulse (with --course every session) as comma-separated values.")] = False,
    config: ChairFile = None,
    as_json: AsJson = False,
) -> None:
    """The exact schedule: onsets in µs, their checksum, and the session's clock."""
    with _explained():
        sight = _sight(config)
        protocol = sight.protocol(name)
        loaded = None if course is None else sight.course(course)
        sessions = [_session(text) for text in given or ()]
        now_us = (_utc_us(datetime.now(UTC)) if at is None else _moment_us(at)) if sessions else 0
        if loaded is not None and not 1 <= day <= len(loaded.sessions_by_day):
            raise _failure(f"{loaded.id} has days 1 to {len(loaded.sessions_by_day)}", EXIT_USAGE)
        if loaded is None and sessions:
            raise _failure("--given needs --course", EXIT_USAGE)
        if loaded is None:
            _expand_session(protocol, csv, as_json)
        else:
            _expand_day(protocol, loaded, sight, _Day(number=day, given=sessions, now_us=now_us), csv, as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """A day of a course: the sessions given, and the moment from which the rest is planned; both UTC µs, or from 0 where none was given."""

    number: int
    given: Sequence[Given]
    now_us: int


def _expand_session(protocol: Protocol, csv: bool, as_json: bool) -> None:
    timing = protocol.timing
    onsets, sha256, per_train = timing.onsets_us(), timing.schedule_sha256(), timing.pulses_per_train
    if as_json:
        _print_json({"protocol": protocol.id, "schedule_sha256": sha256, "pulses_per_train": per_train, "onset_us": onsets})
    elif csv:
        rows = (f"{at},{(at - 1) // per_train + 1},{onset},{_clock(onset)}" for at, onset in enumerate(onsets, 1))
        typer.echo("\n".join(("pulse,train,onset_us,session_clock", *rows)))
    else:
        typer.echo(f"{protocol.id}: {timing.total_pulses} pulses in {timing.trains} trains of {per_train}")
        typer.echo(f"to the last pulse {_clock(onsets[-1])}, nominal {_clock(round(timing.nominal_session_s * US_PER_S))}")
        typer.echo(f"schedule sha256 {sha256}")
        typer.echo(f"{'train':>5} {'session clock':>14} {'first pulse, µs':>16} {'last pulse, µs':>16}")
        for train in range(timing.trains):
            first, last = onsets[train * per_train], onsets[(train + 1) * per_train - 1]
            typer.echo(f"{train + 1:>5} {_clock(first):>14} {first:>16} {last:>16}")


def _expand_day(protocol: Protocol, course: Course, sight: Sight, day: _Day, csv: bool, as_json: bool) -> None:
    if course.protocol != protocol.id:
        raise _failure(f"{course.id} is a course of {course.protocol or 'a protocol that is not known'}, not of {protocol.id}", EXIT_USAGE)
    doses, gap_s = course.doses(protocol.timing), least_gap_s(course.limit_layer(protocol), sight)
    sessions = day.given
    left = remaining_onsets_us(doses, day.number, round(gap_s * US_PER_S), sessions, day.now_us)
    onsets = [*(session.first_us for session in sessions), *left]
    lasts = [*(session.last_us for session in sessions), *(onset + doses.timing.first_to_last_us for onset in left)]
    said = _moment if sessions else _clock
    rows = [(number, onset, last) for number, (onset, last) in enumerate(zip(onsets, lasts, strict=True), 1)]
    if as_json:
        fields = [{"session": number, "onset_us": onset, "last_us": last, "given": number <= len(sessions)} for number, onset, last in rows]
        _print_json({"protocol": protocol.id, "course": course.id, "day": day.number, "min_gap_s": gap_s, "sessions": fields})
    elif csv:
        typer.echo("\n".join(("session,onset_us,last_us,clock", *(f"{at},{onset},{last},{said(onset)}" for at, onset, last in rows))))
    else:
        typer.echo(f"{course.id}, day {day.number} of {doses.days}: {len(rows)} sessions of {protocol.id}, {gap_s:g} s apart at least")
        typer.echo(f"{'session':>7} {'first pulse':>24} {'last pulse':>24}")
        for number, onset, last in rows:
            typer.echo(f"{number:>7} {said(onset):>24} {said(last):>24}{'  given' if number <= len(sessions) else ''}")


def _session(text: str) -> Given:
    first, _, last = text.partition("/")
    session = Given(first_us=_moment_us(first), last_us=_moment_us(last))
    if session.last_us < session.first_us:
        raise _failure(f"--given {text}: the last pulse is before the first", EXIT_USAGE)
    return session


def _moment_us(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _failure(f"{text!r} is no moment with its zone, such as 2026-01-31T12:00:00Z", EXIT_USAGE)
    return _utc_us(moment)


def _sight(config: Path | None) -> Sight:
    return sight_of(None if config is None else load_config(config))


@contextmanager
def _explained() -> Iterator[None]:
    """What goes wrong ends the command with one line and its code."""
    try:
        yield
    except UnknownProtocol as error:
        raise _failure(str(error), EXIT_USAGE) from error
    except ConfigError as error:
        raise _failure(f"{error.path}: {'; '.join(error.faults)}", EXIT_CONFIG) from error
    except (BadProtocol, LimitsInvalid) as error:
        raise _failure(str(error), EXIT_CONFIG) from error


def _failure(text: str, code: int) -> typer.Exit:
    typer.echo(f"atmsd protocol: {text}", err=True)
    return typer.Exit(code)


def _print_json(value: object) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _print_row(view: ProtocolView) -> None:
    inside_hz, burst_hz, per_burst = (view.timing[name] for name in ("intra_burst_hz", "burst_hz", "pulses_per_burst"))
    rates = burst_hz if per_burst == 1 else f"{inside_hz}/{burst_hz}"
    intensity = "-" if view.intensity_pct_rmt is None else str(view.intensity_pct_rmt)
    times = f"{_short(view.first_to_last_us):>9}{_short(view.nominal_session_us):>9}"
    use = ("yes" if view.usable else "no") + (", OUTSIDE, admitted by research" if view.outside_admitted else "")
    typer.echo(f"{view.id:<23}{rates:>6}{view.pulses:>7}{intensity:>4}{times}  {view.support}, {use}")
    _wrapped(f"{view.title}; basis {_basis(view)}", "    ")
    _print_against(view.against)


def _print_against(reasons: Sequence[str]) -> None:
    for reason in reasons:
        _wrapped(reason, "    - ", "      ")


def _print_figures(view: ProtocolView | CourseView) -> None:
    typer.echo(f"{view.id}: {view.title} ({view.origin})")
    typer.echo(f"sha256 {view.sha256}")
    marks = {field: source.mark for source in view.sources for field in source.fields}
    for name, value in _figures(view).items():
        _wrapped(f"{value!s:<35} {marks.get(name, '')}", f"  {name:<30}", " " * 32)
    _wrapped(f"usable here: {'yes' if view.usable else 'no'}", "")
    _print_against(view.against)


def _figures(view: ProtocolView | CourseView) -> dict[str, object]:
    limits = {f"limits.{key}": value for key, value in view.limits.items()}
    if isinstance(view, CourseView):
        names = ("protocol", "pulses_per_session", "pulses_per_day", "pulses", "onset_to_onset_s", "pause_s")
        figures: dict[str, object] = {"sessions_by_day": _range(view.sessions_by_day) + f" on {len(view.sessions_by_day)} days"}
        return figures | {name: _said(getattr(view, name)) for name in names} | limits
    figures = {"basis": _basis(view), "intensity_pct_rmt": f"{_said(view.intensity_pct_rmt)} of the {view.threshold} threshold"}
    figures |= {"coil_class": _said(view.coil_class), **view.timing, "pulses": view.pulses, "pulses_per_train": view.pulses_per_train}
    figures |= {"to the last pulse": _clock(view.first_to_last_us), "nominal session": _clock(view.nominal_session_us)}
    return figures | {"support": f"{view.support}{'' if view.rests_on is None else f': {view.rests_on}'}"} | limits


def _print_sources(sources: Sequence[Source]) -> None:
    typer.echo("sources")
    for source in sources:
        _wrapped(f"{source.mark}: {source.figure} [{source.source}]", "  ", "    ")


def _wrapped(text: str, first: str, then: str | None = None) -> None:
    width = shutil.get_terminal_size().columns
    for line in textwrap.wrap(text, width, initial_indent=first, subsequent_indent=first if then is None else then):
        typer.echo(line.rstrip())


def _basis(view: ProtocolView) -> str:
    elsewhere = "" if view.cleared_for is None else f", for {view.cleared_for}: elsewhere off-label"
    return f"{view.basis or 'none'}{elsewhere}"


def _said(value: object) -> str:
    return "not stated" if value is None else str(value)


def _spacing(view: CourseView) -> str:
    if max(view.sessions_by_day) == 1:
        return "once a day"
    if view.onset_to_onset_s is not None:
        return f"every {float(view.onset_to_onset_s) / 60:g} min"
    return "not found" if view.pause_s is None else f"{float(view.pause_s) / 60:g} min pause"


def _range(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else f"{min(numbers)}-{max(numbers)}"


def _clock(us: int) -> str:
    """Hours, minutes, seconds and µs since the first pulse."""
    seconds, rest = divmod(us, US_PER_S)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:06d}"


def _short(us: int) -> str:
    """Minutes, seconds and tenths, rounded down."""
    return f"{us // (60 * US_PER_S)}:{us // US_PER_S % 60:02d}.{us // 100_000 % 10}"


def _moment(us: int) -> str:
    return (EPOCH + timedelta(microseconds=us)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _utc_us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)
