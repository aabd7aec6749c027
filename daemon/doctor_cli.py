"""`atmsd doctor`: looks at a chair and its devices, and says of each thing whether it is well and what to do."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from daemon.doctor import Examination, exit_code
from daemon.doctor_chair import World, examine


def doctor(
    config: Annotated[Path, typer.Option("--config", help="The chair's TOML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a line for each check.")] = False,
) -> None:
    """Check a chair's file, port and stimulator: what is well, what is not, what to do. Disarms the unit first and leaves it off."""
    checks = examine(config, World())
    code = exit_code(checks)
    if as_json:
        document = Examination(config=str(config), exit_code=code, checks=checks)
        typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        for check in checks:
            typer.echo(check.line())
    raise typer.Exit(code)
