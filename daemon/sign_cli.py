"""`atmsd sign`: a person's word for the figures of a file, added below them. What is signed is `daemon.signed_file`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from daemon.signed_file import SignatureError, figures_of, sign, signatures_of

EXIT_REFUSED, EXIT_BAD_DATA = 1, 65


def sign_file(
    file: Annotated[Path, typer.Argument(help="The TOML file; its figures are read out before they are signed.")],
    name: Annotated[str, typer.Option(help="Who signs: the full name.")],
    role: Annotated[str, typer.Option(help="In which role, such as physician or 'site administrator'.")],
    meaning: Annotated[str, typer.Option(help="What the signature says, such as 'checked against the protocol'.")],
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking.")] = False,
) -> None:
    """Sign a file of a site: the figures as they stand, by name, role and meaning."""
    try:
        figures, signatures = figures_of(file), signatures_of(file)
        typer.echo(figures.rstrip("\n"))
        typer.echo(f"\nTo be signed by {name} as {role}: {meaning}")
        for each in signatures:
            typer.echo(f"  signed before by {each.name} as {each.role}, {each.signed_utc}: {each.meaning}")
        if not yes and not typer.confirm("Sign these figures?", default=False):
            raise _failure("nothing was signed", EXIT_REFUSED)
        sign(file, name=name, role=role, meaning=meaning, signed_utc=datetime.now(UTC).isoformat(timespec="seconds"))
    except SignatureError as error:
        raise _failure(str(error), EXIT_BAD_DATA) from error
    typer.echo(f"{file}: signed by {name} as {role}")


def _failure(text: str, code: int) -> typer.Exit:
    typer.echo(f"atmsd sign: {text}", err=True)
    return typer.Exit(code)
