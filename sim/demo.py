"""`atmsd demo`: the whole room in one command. A plan is made, a head registered, a coil aimed, trains given, one slip held,
a second session refused; in the end the ledger must say what the simulated stimulator did, pulse by pulse.

Owns the order of the programs and the last word; everything in between happens in processes that know of no demo.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import msgspec
from rich.console import Console

from sim.demo_children import Children, ChildTrouble
from sim.demo_events import Event, sentence
from sim.demo_show import Show
from sim.demo_summary import SESSIONS, SLIPS, summarise
from sim.demo_verdict import Ledger

OK, FAILED, INTERRUPTED = 0, 1, 130
PROTOCOLS = ("demo_itbs90", "itbs600", "itbs1800")
OPERATOR = ("--slips", str(SLIPS), "--sessions", str(SESSIONS))
ROOM_S, LEDGER_S, LONGEST_S = 150.0, 30.0, 1800.0  # the longest protocol takes ten minutes


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """The room's ready line."""

    config: str
    truth: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--protocol", choices=PROTOCOLS, default=PROTOCOLS[0], help="what is given (default: %(default)s, 90 pulses)")
    parser.add_argument("--seed", type=int, default=1, help="of everything in the room that is left to chance (default: %(default)s)")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="keep all files there (default: a temporary folder, removed at the end)")


def main(given: argparse.Namespace) -> int:
    """Exit code 0 only when all happened as it should."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    console = Console(highlight=False)
    try:
        with ExitStack() as stack:
            folder = given.dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atmsd-demo-")))
            folder.mkdir(parents=True, exist_ok=True)
            return _demo(folder.resolve(), given.protocol, given.seed, console)
    except KeyboardInterrupt:
        console.print("demo: interrupted; everything is ended")
        return INTERRUPTED
    except (ChildTrouble, OSError, msgspec.DecodeError) as error:
        console.print(f"demo: {error}", markup=False, soft_wrap=True)
        return FAILED


def _demo(folder: Path, protocol: str, seed: int, console: Console) -> int:
    since_ns = time.monotonic_ns()
    with Children(folder) as children:
        with Show(console) as show:
            show.tell("The room is being built and the plan made …")
            children.start("room", "sim", "room", "--dir", str(folder), "--seed", str(seed), "--protocol", protocol)
            room = _ready(children)
            show.tell("Camera, stimulator and patient are there; the daemon starts.")
            children.start("daemon", "daemon", "run", "--config", room.config)
            children.start("watch", "clients.watch", "--plain", "--config", room.config)
            children.start("operator", "sim", "operator", "--config", room.config, "--protocol", protocol, *OPERATOR)
            events = _follow(children, show)
        went_well = children.wait("operator") == OK
        children.end("watch")
        children.end("daemon")
        console.print(_ledger(room.config, "show").rstrip(), markup=False, soft_wrap=True)
        return _conclude(room, since_ns, events, went_well, console)


def _ready(children: Children) -> Room:
    """The room's line. Raises `ChildTrouble` when none comes."""
    for line in children.lines(ROOM_S):
        if line.text is None:
            raise ChildTrouble(f"the {line.child} ended: {children.log_tail(line.child)}")
        return msgspec.json.decode(line.text, type=Room)
    raise ChildTrouble(f"the room was not ready within {ROOM_S:.0f} s: {children.log_tail('room')}")


def _follow(children: Children, show: Show) -> list[Event]:
    """Show what happens until the operator has gone; returns what it did."""
    events: list[Event] = []
    for line in children.lines(LONGEST_S):
        if line.child == "watch" and line.text is not None:
            show.telemetry(line.text)
        elif line.child == "operator" and line.text is not None:
            events.append(msgspec.json.decode(line.text, type=Event))
            if (text := sentence(events[-1])) is not None:
                show.tell(text)
        elif line.child == "operator":
            return events
        elif line.text is None:
            raise ChildTrouble(f"the {line.child} ended: {children.log_tail(line.child)}")
    raise ChildTrouble(f"the operator was not done within {LONGEST_S:.0f} s")


def _ledger(config: str, what: str) -> str:
    command = [sys.executable, "-m", "daemon", "ledger", what, "--config", config]
    wide = {**os.environ, "COLUMNS": "120"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=LEDGER_S, check=False, env=wide)
    if done.returncode != 0:
        raise ChildTrouble(f"the ledger cannot be read: {done.stderr.strip()}")
    return done.stdout


def _conclude(room: Room, since_ns: int, events: list[Event], went_well: bool, console: Console) -> int:
    """Hold what was said, what the ledger says and what was physically done against each other; the last line sums up."""
    truth = Path(room.truth).read_text(encoding="utf-8")
    ledger = msgspec.json.decode(_ledger(room.config, "export"), type=Ledger)
    summary = summarise(truth, ledger, events, since_ns)
    troubles = list(summary.troubles)
    if not went_well and not troubles:
        troubles.append("the operator failed and did not say why")
    for trouble in troubles:
        console.print(f"not as it should be: {trouble}", markup=False, soft_wrap=True)
    console.print(summary.line, markup=False, soft_wrap=True)
    return FAILED if troubles else OK


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # once is enough: ending the children must not be interrupted
    raise KeyboardInterrupt
