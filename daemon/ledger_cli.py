"""`atmsd ledger`: what the ledger holds, as a table, as JSON or CSV, and whether its chain of hashes is whole.

Reads only, beside a running daemon too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from daemon.config import ConfigError, load_config
from daemon.ledger import LedgerDamaged, LedgerUnavailable
from daemon.ledger_export import SessionExport, export_csv, export_json, session_export, utc_text
from daemon.ledger_fold import Basis, Doses, ExternalSession
from daemon.ledger_store import Ledger

EXIT_USAGE, EXIT_BAD_DATA, EXIT_IO, EXIT_CONFIG = 64, 65, 74, 78

app = typer.Typer(no_args_is_help=True, help="Read the dose ledger.")

ConfigOption = Annotated[Path | None, typer.Option("--config", help="The chair's file; its ledger is read.")]
UrlOption = Annotated[str | None, typer.Option("--ledger", help="A ledger's address, sqlite:///FILE.")]


@app.command()
def show(
    config: ConfigOption = None,
    ledger: UrlOption = None,
    patient: Annotated[str | None, typer.Option(help="This patient's sessions alone.")] = None,
) -> None:
    """Sessions, newest last: planned and counted pulses, and what a count rests on."""
    with _opened(config, ledger) as opened:
        doses = opened.doses(patient)
    Console().print(_table(doses))


@app.command()
def export(
    config: ConfigOption = None,
    ledger: UrlOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole ledger with every row (the default).")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line a train.")] = False,
) -> None:
    """The ledger on standard output, for other programs."""
    if as_json and as_csv:
        raise _failure("--json and --csv exclude each other", EXIT_USAGE)
    with _opened(config, ledger) as opened:
        for piece in export_csv(opened) if as_csv else export_json(opened):
            typer.echo(piece, nl=False)


@app.command()
def verify(config: ConfigOption = None, ledger: UrlOption = None) -> None:
    """Whether every row is as it was written. Exit code 65 if not."""
    with _opened(config, ledger) as opened:
        fault = opened.verify()
    if fault is not None:
        raise _failure(f"row {fault.seq} {fault.what}. Keep the ledger as it is and call the engineer", EXIT_BAD_DATA)
    typer.echo("every row is as it was written, and every session gave what its closing row says")


@contextmanager
def _opened(config: Path | None, url: str | None) -> Iterator[Ledger]:
    """The ledger that the options name; what goes wrong ends the command with one line."""
    try:
        ledger = Ledger.open(_url(config, url), read_only=True)
    except LedgerUnavailable as error:
        raise _failure(str(error), EXIT_IO) from error
    try:
        yield ledger
    except LedgerUnavailable as error:
        raise _failure(str(error), EXIT_IO) from error
    except LedgerDamaged as error:
        raise _failure(str(error), EXIT_BAD_DATA) from error
    finally:
        ledger.close()


def _url(config: Path | None, url: str | None) -> str:
    if url is not None and config is None:
        return url
    if config is None or url is not None:
        raise _failure("name the ledger by --config FILE or by --ledger URL", EXIT_USAGE)
    try:
        return load_config(config).ledger.url
    except ConfigError as error:
        raise _failure(str(error), EXIT_CONFIG) from error


def _failure(text: str, code: int) -> typer.Exit:
    typer.echo(f"atmsd ledger: {text}", err=True)
    return typer.Exit(code)


def _table(doses: Doses) -> Table:
    table = Table(title="Sessions", caption=_caption(doses), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("Session", no_wrap=True)
    table.add_column("Patient", overflow="fold")
    table.add_column("Protocol", overflow="fold")
    table.add_column("State", no_wrap=True)
    table.add_column("Pulses", justify="right", no_wrap=True)
    table.add_column("Last pulse, UTC", no_wrap=True)
    table.add_column("Remarks", overflow="fold")
    for session in doses.sessions.values():
        table.add_row(*_cells(session_export(session)))
    for external in doses.externals:
        table.add_row(*_external_cells(external))
    return table


def _cells(session: SessionExport) -> tuple[str, ...]:
    pulses = f"{session.counted_pulses}/{session.planned_pulses}"
    last = "none" if session.last_pulse_utc is None else session.last_pulse_utc[:16].replace("T", " ")
    return (session.session_id, session.patient, session.protocol, session.state, pulses, last, ", ".join(_remarks(session)))


def _external_cells(external: ExternalSession) -> tuple[str, ...]:
    last = utc_text(external.entered.last_pulse_utc_us)[:16].replace("T", " ")
    remark = f"row {external.entry}, given at {external.entered.site}"
    return (external.segment.session_id, external.patient, "", "EXTERNAL", str(external.entered.pulses), last, remark)


def _remarks(session: SessionExport) -> Iterator[str]:
    ungranted = sum(each.pulses for each in session.ungranted)
    in_full = sum(train.basis == Basis.INTENT_IN_FULL for train in session.trains)
    if session.recovered:
        yield "recovered"
    if ungranted:
        yield f"{ungranted} without a grant"
    if in_full:
        yield f"trains in full: {in_full}"


def _caption(doses: Doses) -> str | None:
    pulses = sum(stray.pulses.count for stray in doses.strays)
    return f"pulses given outside any session: {pulses}" if pulses else None
