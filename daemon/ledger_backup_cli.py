"""`atmsd ledger backup | restore`: a checked copy of the ledger's file, and a copy put back in its place.

A server's ledger is backed up by the server's own tools. Neither command touches the chair's witness: it is what notices an older ledger.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from daemon.config import Config, ConfigError, chair_file, load_config
from daemon.ledger import LedgerError
from daemon.ledger_sqlite import copy_database
from daemon.ledger_store import Ledger

EXIT_USAGE, EXIT_BAD_DATA, EXIT_UNAVAILABLE, EXIT_CANNOT_CREATE, EXIT_IO, EXIT_CONFIG = 64, 65, 69, 73, 74, 78
ON_A_SERVER = (
    "the ledger is on a PostgreSQL server: back it up with `pg_dump --format=custom`, put it back with `pg_restore` into an empty"
    " database, and check that with `atmsd ledger verify --ledger URL`"
)
ConfigOption = Annotated[Path, typer.Option("--config", help="The chair's file, which names the ledger.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to those of `atmsd ledger`."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(destination: Annotated[Path, typer.Argument(help="The file to make; it must not exist.")], config: ConfigOption) -> None:
    """A copy of the ledger, beside a running daemon too, checked row by row."""
    source = _ledger_file(_load(config))
    if destination.exists():
        raise _failure(f"{destination} exists; name a new file", EXIT_CANNOT_CREATE)
    with _told():
        copy_database(source, destination)
    try:
        rows = _checked(destination)
    except typer.Exit:
        destination.unlink()  # a copy that does not hold is worse than none; the ledger itself is untouched
        raise
    typer.echo(f"{destination}: {rows}, each as it was written")


def restore(
    source: Annotated[Path, typer.Argument(help="A copy that `atmsd ledger backup` made.")],
    config: ConfigOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Puts a copy in the ledger's place; what was there is kept beside it. Nothing starts on it until two people accept it."""
    loaded = _load(config)
    target = _ledger_file(loaded)
    rows = _checked(source)
    if not yes:
        typer.confirm(f"Put {source} ({rows}) in the place of {target}?", abort=True)
    with _chair_at_rest(chair_file(loaded, "lock")), _told():
        kept = _moved_aside(target)
        copy_database(source, target)
    typer.echo(f"{target}: {rows}. What was there is kept as {kept}." if kept else f"{target}: {rows}.")
    typer.echo(
        "Nothing starts on it until what it lacks is entered (`atmsd ledger external`) and two people accept it (`atmsd ledger accept`)."
    )


def _load(path: Path) -> Config:
    try:
        return load_config(path)
    except ConfigError as error:
        raise _failure(str(error), EXIT_CONFIG) from error


def _ledger_file(config: Config) -> Path:
    if not config.ledger.url.startswith("sqlite:///"):
        raise _failure(ON_A_SERVER, EXIT_USAGE)
    return Path(config.ledger.url.removeprefix("sqlite:///"))


def _checked(file: Path) -> str:
    """How many rows a whole ledger has; ends the command for one that is not whole."""
    with _told():
        ledger = Ledger.open(f"sqlite:///{file}", read_only=True)
        try:
            fault, last = ledger.verify(), ledger.last_seq()
        finally:
            ledger.close()
    if fault is not None:
        raise _failure(f"{file}: row {fault.seq} {fault.what}. Keep it as it is and call the engineer", EXIT_BAD_DATA)
    return "1 row" if last == 1 else f"{last} rows"


def _moved_aside(target: Path) -> Path | None:
    """The ledger's file and what SQLite keeps beside it, under another name; None if there is none."""
    if not target.exists():
        return None
    kept = target.with_name(f"{target.name}.before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    for suffix in ("-wal", "-shm", ""):
        part = target.with_name(target.name + suffix)
        if part.exists():
            part.rename(kept.with_name(kept.name + suffix))
    return kept


@contextmanager
def _chair_at_rest(lock: Path) -> Iterator[None]:
    """Holds the chair's lock, so that no daemon has the ledger open."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise _failure("the chair is under control; stop its daemon first", EXIT_UNAVAILABLE) from error
    finally:
        os.close(descriptor)


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong ends the command with one line."""
    try:
        yield
    except LedgerError as error:
        raise _failure(str(error), EXIT_IO) from error
    except OSError as error:
        raise _failure(f"{error.filename}: {error.strerror}. Check the disk and the folder's rights", EXIT_IO) from error


def _failure(text: str, code: int) -> typer.Exit:
    typer.echo(f"atmsd ledger: {text}", err=True)
    return typer.Exit(code)
