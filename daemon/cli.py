"""The command `atmsd`: reads words, calls rooms. What belongs to screens and simulators is handed over by name, never imported."""

import json
import os
import sys
import time
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer

from daemon.config import Config, ConfigError, chair_file, load_config

EX_USAGE, EX_UNAVAILABLE, EX_SOFTWARE, EX_CONFIG = 64, 69, 70, 78
HANDED_OVER = {
    "demo": ("sim", "demo"),
    "sim": ("sim",),
    "watch": ("clients.watch",),
    "mt": ("clients.mt",),
    "calibrate": ("clients.calibrate",),
    "qa": ("clients.qa",),
}
PARSER_USAGE = 2  # the parser's own exit code for words it does not know
DISARM_NS = 3_000_000_000

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Control daemon at a TMS chair.")
ConfigOption = Annotated[Path, typer.Option("--config", help="The chair's TOML file.")]


def _load(path: Path) -> Config:
    try:
        return load_config(path)
    except ConfigError as error:
        for fault in error.faults:
            typer.echo(f"{path}: {fault}", err=True)
        raise typer.Exit(EX_CONFIG) from error


def chair_lock(config: Config) -> Path:
    """The chair's lock lies beside its ledger."""
    return chair_file(config, "lock")


def _say(text: str) -> None:
    typer.echo(f"atmsd: {text}", err=True)


@app.command()
def run(config: ConfigOption) -> None:
    """Control one chair until told to stop."""
    from daemon.devices import make_stimulator, stimulator_line  # noqa: PLC0415  # each command loads what it needs, and no more
    from daemon.supervise import Chair, ChairTaken, Supervisor  # noqa: PLC0415

    loaded = _load(config)
    line = stimulator_line(loaded)
    chair = Chair(config=config.resolve(), lock=chair_lock(loaded), line=line, make_stimulator=lambda: make_stimulator(loaded))
    try:
        code = Supervisor(chair, _say).run()
    except ChairTaken as error:
        _say(str(error))
        raise typer.Exit(EX_UNAVAILABLE) from error
    raise typer.Exit(code)


@app.command()
def disarm(config: ConfigOption) -> None:
    """Disable the stimulator of a chair that nobody controls, and say whether it confirms."""
    from daemon.devices import make_stimulator, stimulator_line  # noqa: PLC0415
    from daemon.supervise import ChairTaken, take_chair, take_port  # noqa: PLC0415
    from drivers.disarm import disarm as disarm_port  # noqa: PLC0415

    loaded = _load(config)
    try:
        take_chair(chair_lock(loaded))
        fd = take_port(stimulator_line(loaded))
    except ChairTaken as error:
        _say(str(error))
        raise typer.Exit(EX_UNAVAILABLE) from error
    if fd is None:
        _say(f"no stimulator on {loaded.stimulator.port}. Check its cable and power.")
        raise typer.Exit(EX_UNAVAILABLE)
    outcome = disarm_port(fd, make_stimulator(loaded), time.monotonic_ns() + DISARM_NS, time.monotonic_ns)
    os.close(fd)
    if not outcome.confirmed:
        _say("the stimulator does NOT confirm that it is off: press the red button")
        raise typer.Exit(EX_UNAVAILABLE)
    found = "running a train" if outcome.found_running else "enabled" if outcome.found_enabled else "off"
    typer.echo(f"disarmed, confirmed (found {found})")


@app.command("check-config")
def check_config(file: Annotated[Path, typer.Argument(help="The chair's TOML file.")]) -> None:
    """Read a chair's file and report every fault at once."""
    loaded = _load(file)
    typer.echo(f"{file}: good (chair {loaded.chair.name}, {loaded.tracker.kind} tracker, {loaded.stimulator.model} stimulator)")


@app.command()
def version(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Versions of program, network protocol and schema."""
    from daemon.messages import API_VERSION  # noqa: PLC0415
    from daemon.schema import schema_sha256  # noqa: PLC0415

    facts = {"atmsd": installed_version("atmsd"), "api": API_VERSION, "schema_sha256": schema_sha256()}
    typer.echo(json.dumps(facts) if as_json else f"atmsd {facts['atmsd']} (API {API_VERSION})")


def _handed_over(words: list[str]) -> None:
    """`demo`, `sim` and `watch` are programs of their own."""
    module, *first = HANDED_OVER[words[0]]
    os.execv(sys.executable, [sys.executable, "-m", module, *first, *words[1:]])  # noqa: S606  # no shell, our own interpreter


def _mount() -> None:
    from daemon import ledger_backup_cli, ledger_people_cli  # noqa: PLC0415
    from daemon.doctor_cli import doctor  # noqa: PLC0415
    from daemon.ledger_cli import app as ledger  # noqa: PLC0415
    from daemon.plan_cli import app as plan  # noqa: PLC0415
    from daemon.protocol_cli import app as protocol  # noqa: PLC0415
    from daemon.sign_cli import sign_file  # noqa: PLC0415
    from daemon.targets_cli import app as targets  # noqa: PLC0415

    ledger_people_cli.register(ledger)
    ledger_backup_cli.register(ledger)
    app.command("sign")(sign_file)
    app.command()(doctor)
    app.add_typer(ledger, name="ledger", help="The dose record.")
    app.add_typer(plan, name="plan", help="Plans: make, show, verify.")
    app.add_typer(targets, name="targets", help="Target files of other programs: show, convert.")
    app.add_typer(protocol, name="protocol", help="Protocols and courses: what may be used here, and the exact schedule.")
    for name, text in (
        ("demo", "The whole room in one command, simulated."),
        ("sim", "Simulated devices: camera, magventure, room."),
        ("watch", "Print telemetry, one JSON line per update."),
        ("calibrate", "Calibrate pointer or coil, and say which calibration is used, through the running daemon."),
        ("qa", "Check how well tracker and pointer find points: jitter, spread, known distances."),
        ("mt", "Find a patient's motor threshold, pulse by pulse, through the running daemon."),
    ):
        app.command(name, help=text, add_help_option=False)(lambda: None)


def main() -> None:
    words = sys.argv[1:]
    if words and words[0] in HANDED_OVER:
        _handed_over(words)
    if words and words[0] == "--version":
        words[0] = "version"
    _mount()
    try:
        app(args=words)
    except SystemExit as leaving:
        if leaving.code == PARSER_USAGE:
            sys.exit(EX_USAGE)
        raise
