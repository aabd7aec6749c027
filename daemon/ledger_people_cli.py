"""`atmsd ledger reconcile | external | withdraw-external | accept | confirm-clock | note`: what people enter, by name and with a reason.

Each says what it is about to write and asks; nothing is written before the answer. What an entry means is `daemon.ledger_people`.
"""

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import typer

from daemon.clock_guard import Kept
from daemon.config import SIMULATION_ONLY, Config, ConfigError, chair_file, load_config
from daemon.day import REASON_TEXT
from daemon.host_clock import ClockFile, boot_id, moment
from daemon.ledger import (
    ClockConfirmed,
    Closed,
    External,
    ExternalWithdrawn,
    LedgerError,
    Moment,
    Note,
    NotEntered,
    ReconciledTrain,
    Reconciliation,
    Refused,
)
from daemon.ledger_export import utc_text
from daemon.ledger_fold import Session, Train
from daemon.ledger_store import Ledger
from daemon.witness import Witness

EXIT_REFUSED, EXIT_USAGE, EXIT_IO, EXIT_CONFIG = 1, 64, 74, 78
Made = TypeVar("Made")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ConfigOption = Annotated[Path, typer.Option("--config", help="The chair's file; its ledger is written.")]
ByOption = Annotated[list[str], typer.Option("--by", help="Who says so; give it once for each person.")]
ReasonOption = Annotated[str, typer.Option(help="Why, in words that are still clear in ten years.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Write without asking.")]
PatientOption = Annotated[str, typer.Option(help="The patient's pseudonym.")]


def register(app: typer.Typer) -> None:
    """Adds the acts to the commands of `atmsd ledger`."""
    for act in (reconcile, external, withdraw_external, accept, confirm_clock, note):
        app.command(act.__name__.replace("_", "-"))(act)


# ---- acts --------------------------------------------------------------------------------------------------------------


def reconcile(
    session: Annotated[str, typer.Argument(help="The session's id, as `atmsd ledger show` has it.")],
    config: ConfigOption,
    by: ByOption,
    reason: ReasonOption,
    train: Annotated[list[str] | None, typer.Option(help="GRANT=PULSES or RUN:GRANT=PULSES: what that train really gave.")] = None,
    yes: YesOption = False,
) -> None:
    """Say what trains without a final receipt really gave; close the session of a chair that is gone."""
    with _opened(config) as (ledger, _, now):
        found = ledger.doses().sessions.get(session)
        if found is None:
            raise _failure(f"there is no session {session}. See `atmsd ledger show`", EXIT_USAGE)
        findings = tuple(_finding(found, text) for text in train or ())
        entry = _made(lambda: Reconciliation(session_id=session, trains=findings, reason=reason, by=tuple(by)))
        _show(f"session {session} of {found.request.patient}", [*_findings(found, findings), *_words(by, reason)])
        _ask(yes)
        answer = ledger.reconcile(entry, now)
    if isinstance(answer, Refused):
        raise _refused(answer)
    typer.echo(_closed(answer))


def external(
    patient: PatientOption,
    pulses: Annotated[int, typer.Option(help="Pulses given.")],
    first_utc: Annotated[str, typer.Option("--first-utc", help="First pulse, such as 2026-01-31T12:00:00Z.")],
    last_utc: Annotated[str, typer.Option("--last-utc", help="Last pulse.")],
    site: Annotated[str, typer.Option(help="Where it was given.")],
    config: ConfigOption,
    by: ByOption,
    reason: ReasonOption,
    yes: YesOption = False,
) -> None:
    """Enter a session that was given elsewhere: it counts as one session with its pulses."""
    first_us, last_us = _utc_us("--first-utc", first_utc), _utc_us("--last-utc", last_utc)
    entry = _made(
        lambda: External(
            pulses=pulses,
            first_pulse_utc_us=first_us,
            last_pulse_utc_us=last_us,
            site=site,
            by=tuple(by),
            reason=reason,
            account=_account(),
        )
    )
    with _opened(config) as (ledger, _, now):
        known = len(ledger.doses(patient).sessions)
        facts = [
            ("patient", f"{patient} ({f'{known} sessions in this ledger' if known else 'NOT KNOWN to this ledger'})"),
            ("pulses", str(pulses)),
            ("first pulse", utc_text(first_us)),
            ("last pulse", utc_text(last_us)),
            ("given at", site),
        ]
        _show("a session given elsewhere", [*facts, *_words(by, reason)])
        _ask(yes)
        answer = ledger.enter_external(patient, entry, now)
    if isinstance(answer, NotEntered):
        raise _failure(f"not entered: {answer.why}. {answer.remedy}", EXIT_REFUSED)
    typer.echo(f"entered as row {answer.seq}; it counts from now on")


def withdraw_external(
    patient: PatientOption,
    entry: Annotated[int, typer.Option(help="The row of the entry.")],
    config: ConfigOption,
    by: ByOption,
    reason: ReasonOption,
    yes: YesOption = False,
) -> None:
    """Take back a session given elsewhere that was entered in error; the entry stays legible."""
    withdrawal = _made(lambda: ExternalWithdrawn(entry=entry, by=tuple(by), reason=reason, account=_account()))
    with _opened(config) as (ledger, _, now):
        facts = [
            ("takes back", f"{each.entered.pulses} pulses at {each.entered.site}, {utc_text(each.entered.last_pulse_utc_us)}")
            for each in ledger.doses(patient).externals
            if each.entry == entry
        ]
        _show(f"an entry of {patient} taken back", [*facts, *_words(by, reason)])
        _ask(yes)
        answer = ledger.withdraw_external(patient, withdrawal, now)
    if isinstance(answer, NotEntered):
        raise _failure(f"not entered: {answer.why}. {answer.remedy}", EXIT_REFUSED)
    typer.echo(f"entered as row {answer.seq}; row {entry} counts no more")


def accept(config: ConfigOption, by: ByOption, reason: ReasonOption, yes: YesOption = False) -> None:
    """Take this ledger as the right one although this chair last saw another: a restored backup. Two people."""
    with _opened(config) as (ledger, _, now):
        differs = ledger.rewound()
        if differs is None:
            raise _failure("this is the ledger that the chair last saw; there is nothing to accept", EXIT_USAGE)
        seen = "unreadable" if differs.seen is None else f"row {differs.seen.seq}, {differs.seen.hash[:16]}…"
        held = "no such row" if differs.found is None else f"{differs.found[:16]}…"
        lost = "Enter first what it lacks: sessions given since then are not in it."
        _show("a ledger accepted", [("chair last saw", seen), ("this ledger has", held), ("", lost), *_words(by, reason)])
        _ask(yes)
        _made(lambda: ledger.accept_ledger(tuple(by), reason, now))
    typer.echo("accepted; sessions may start again")


def confirm_clock(config: ConfigOption, by: ByOption, reason: ReasonOption, yes: YesOption = False) -> None:
    """Say that this chair's clock is right, after it was stepped or started without a time source. Two people."""
    with _opened(config) as (ledger, loaded, asked):
        facts = [("clock says", f"{_local(asked, loaded)} ({utc_text(asked.utc_us)})"), ("", "Compare it with a clock that you trust.")]
        _show(f"the clock of {loaded.chair.name} confirmed", [*facts, *_words(by, reason)])
        _ask(yes)
        now = moment(asked.boot_id)
        row = _made(
            lambda: ClockConfirmed(
                chair=loaded.chair.name,
                boot_id=now.boot_id,
                wall_minus_mono_us=now.utc_us - now.mono_ns // 1000,
                by=tuple(by),
                reason=reason,
                account=_account(),
            )
        )
        ledger.confirm_clock(row, now)
        kept = ClockFile(chair_file(loaded, "clock"), trusts_itself=loaded.site.basis == SIMULATION_ONLY).confirm(now)
    typer.echo(_confirmed(kept, now))


def note(
    what: Annotated[str, typer.Argument(help="What happened.")],
    config: ConfigOption,
    by: ByOption,
    reason: Annotated[str | None, typer.Option(help="Why.")] = None,
    patient: Annotated[str | None, typer.Option(help="Whom it is about.")] = None,
    yes: YesOption = False,
) -> None:
    """Write a remark into the record."""
    entry = _made(lambda: Note(by=tuple(by), what=what, reason=reason))
    with _opened(config) as (ledger, _, now):
        _show("a note", [("what", what), ("patient", patient or "none"), *_words(by, reason)])
        _ask(yes)
        ledger.note(entry, now, patient=patient)
    typer.echo("written")


# ---- the ledger --------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Ledger, Config, Moment]]:
    """The chair's ledger for writing; what goes wrong ends the command with one line."""
    try:
        config = load_config(path)
    except ConfigError as error:
        raise _failure(str(error), EXIT_CONFIG) from error
    try:
        ledger = Ledger.open(config.ledger.url, witness=Witness(chair_file(config, "witness")))
        try:
            yield ledger, config, moment(boot_id())
        finally:
            ledger.close()
    except LedgerError as error:
        raise _failure(str(error), EXIT_IO) from error


def _account() -> str | None:
    """The login that ran the command; it is no proof of who sat there."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None


# ---- words in ----------------------------------------------------------------------------------------------------------


def _made(make: Callable[[], Made]) -> Made:
    try:
        return make()
    except ValueError as error:
        raise _failure(f"{error}. Nothing was written", EXIT_USAGE) from error


def _utc_us(option: str, text: str) -> int:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        given = None
    if given is None or given.tzinfo is None:
        raise _failure(f"{option} {text!r} is no moment with its zone; write it such as 2026-01-31T12:00:00Z", EXIT_USAGE)
    return (given - _EPOCH) // timedelta(microseconds=1)


def _finding(session: Session, text: str) -> ReconciledTrain:
    """GRANT=PULSES, or RUN:GRANT=PULSES where two runs numbered alike."""
    name, _, pulses = text.partition("=")
    run, _, grant = name.rpartition(":")
    trains = [each for each in session.open_trains if str(each.grant_no) == grant and run in ("", each.run_id)]
    if len(trains) != 1 or not pulses.isdecimal():
        open_trains = ", ".join(f"{each.run_id}:{each.grant_no}" for each in session.open_trains) or "none"
        raise _failure(f"--train {text!r}: write GRANT=PULSES for one of the trains that count in full: {open_trains}", EXIT_USAGE)
    return ReconciledTrain(run_id=trains[0].run_id, grant_no=trains[0].grant_no, pulses=int(pulses))


# ---- words out ---------------------------------------------------------------------------------------------------------


def _findings(session: Session, findings: tuple[ReconciledTrain, ...]) -> list[tuple[str, str]]:
    found = {(each.run_id, each.grant_no): each.pulses for each in findings}
    lines = [(f"train {_train_no(each)}", _train_line(each, found.get((each.run_id, each.grant_no)))) for each in session.open_trains]
    return lines + ([("session", "will be closed")] if session.closed is None else [])


def _train_no(train: Train) -> str:
    return "?" if train.intent is None else str(train.intent.train_no)


def _train_line(train: Train, found: int | None) -> str:
    counts = train.counted_pulses if found is None else max(found, train.said_pulses)
    return f"grant {train.grant_no}: counts {train.counted_pulses} now, {counts} then (its receipts say {train.said_pulses})"


def _closed(closed: Closed) -> str:
    return f"written; session {closed.session_id} counts {closed.counted_pulses} pulses, trains in full: {closed.trains_in_full}"


def _confirmed(kept: Kept, now: Moment) -> str:
    if kept.high_water_utc_us <= now.utc_us:
        return "confirmed; sessions may start again"
    return f"confirmed; sessions start when the clock has passed {utc_text(kept.high_water_utc_us)}, the latest time in the record"


def _local(now: Moment, config: Config) -> str:
    return (_EPOCH + timedelta(microseconds=now.utc_us)).astimezone(ZoneInfo(config.site.timezone)).strftime("%Y-%m-%d %H:%M:%S %Z")


def _words(by: list[str], reason: str | None) -> list[tuple[str, str]]:
    return [("reason", reason or "none"), ("by", ", ".join(by))]


def _show(title: str, facts: list[tuple[str, str]]) -> None:
    typer.echo(f"To be written: {title}")
    for name, text in facts:
        typer.echo(f"  {name:<16}{text}")


def _ask(yes: bool) -> None:
    if not yes and not typer.confirm("Write this?", default=False):
        raise _failure("nothing was written", EXIT_REFUSED)


def _refused(refused: Refused) -> typer.Exit:
    lines = [f"{reason}: {REASON_TEXT[reason].text}. {REASON_TEXT[reason].remedy}" for reason in refused.reasons]
    return _failure(f"refused: {' '.join(lines)}", EXIT_REFUSED)


def _failure(text: str, code: int) -> typer.Exit:
    typer.echo(f"atmsd ledger: {text}", err=True)
    return typer.Exit(code)
