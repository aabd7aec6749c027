"""Calibrate pointer and coil at a terminal, see the history, and say which calibration is used.

`python -m clients.calibrate pointer|coil|plate --operator NAME [--accept]`, `list`, `show TOOL VERSION`,
`accept TOOL VERSION --operator NAME`; everywhere `[--config FILE] [--plain]`.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec

from clients.guided import BarFace, Face, GaveUp, Guide, PlainFace, reason_text
from clients.link import COMMANDS, TELEMETRY, BadChairFile, BadEndpoint, CommandRefused, Link, NoAnswer, read_endpoints
from daemon.messages import CalibrationBody, CalibrationEntry

OK, FAILED, USAGE, CONFIGURATION = 0, 1, 64, 78
TOPICS = ("v1/calibration", "v1/hb", "v1/session")
END_S = 20.0
SIDES = frozenset({"handle_untouched", "back_untouched"})
ORDERS = {
    "pointer": "Put the tip into the divot and leave it there. Tilt the pointer to every side, turn it about its shaft, slowly.",
    "coil": "Lay the coil down where the camera sees its marker body. Touch each point with the pointer's tip.",
    "plate": "Lay the coil into its plate. Tilt the plate with the coil in it to every side, slowly.",
}


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}. See --help.\n")


def add_endpoints(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plain", action="store_true", help="JSON lines out")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the chair's file: its [network] says where the daemon is")
    parser.add_argument("--commands", metavar="EP")
    parser.add_argument("--telemetry", metavar="EP")


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(prog="atmsd calibrate", description="Calibrations of pointer and coil, through the running daemon.")
    acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
    texts = {"pointer": "by turning it about its tip", "coil": "the coil by its marked points", "plate": "the coil by its plate"}
    for name, text in texts.items():
        act = acts.add_parser(name, help=text)
        act.add_argument("--operator", required=True, help="who does it; the history names them")
        act.add_argument("--accept", action="store_true", help="take it into use, in the operator's name, if nothing stands against it")
        act.add_argument("--seconds", type=float, default=120.0, help="longest time of turning (default: 120)")
        add_endpoints(act)
    add_endpoints(acts.add_parser("list", help="the history, newest first"))
    for name, text in (("show", "one calibration, whole"), ("accept", "use this one from now on")):
        act = acts.add_parser(name, help=text)
        act.add_argument("tool", choices=("pointer", "coil"))
        act.add_argument("version", type=int)
        if name == "accept":
            act.add_argument("--operator", required=True, help="who takes it into use; the history names them")
        add_endpoints(act)
    return parser.parse_args(arguments)


# ---- collecting ---------------------------------------------------------------------------------------------------------


def calibrate(link: Link, given: argparse.Namespace, face: Face) -> int:
    """One calibration from start to end. Returns the exit code: 0 when nothing stands against what was found."""
    with Guide(link, face, given.operator) as guide:
        points = guide.start(given.act)
        face.say("begun", ORDERS[given.act], task=given.act)
        if given.act != "coil":
            guide.collect(given.act, _all_but_sides, given.seconds)
        for point in points:
            guide.touch(point)
        entry = link.call("calibrate_end", END_S).calibration
        guide.ended()
        if entry is None:
            return FAILED
        tell(face, entry)
        if entry.refusals:
            return FAILED
        if given.accept:
            link.call("calibrate_accept", tool=entry.tool, version=entry.version, name=given.operator)
            face.say("accepted", f"In use from now on: {entry.tool}, version {entry.version}.", tool=entry.tool, version=entry.version)
        else:
            text = f"Not in use yet. `atmsd calibrate accept {entry.tool} {entry.version} --operator NAME` takes it into use."
            face.say("kept", text, tool=entry.tool, version=entry.version)
        return OK


def _all_but_sides(body: CalibrationBody) -> bool:
    """Handle and back are touched afterwards."""
    return body.enough or (body.samples >= body.samples_wanted > 0 and bool(body.refusals) and SIDES.issuperset(body.refusals))


def tell(face: Face, entry: CalibrationEntry) -> None:
    """What was found, and what stands against it."""
    facts = msgspec.to_builtins(entry)
    face.say("found" if not entry.refusals else "refused", "\n".join(entry_lines(entry)), calibration=facts)


def entry_lines(entry: CalibrationEntry) -> list[str]:
    """One calibration in a few lines."""
    if entry.damaged:
        return [f"{entry.tool} version {entry.version}: DAMAGED: {entry.damaged}"]
    lines = [f"{entry.tool} version {entry.version}, by {entry.method}, {entry.taken_utc} by {entry.taken_by}"]
    if entry.tip_in_pointer_mm is not None:
        lines.append("  tip in pointer: {:.3f} {:.3f} {:.3f} mm".format(*entry.tip_in_pointer_mm))
    if entry.coiltool_from_coil is not None:
        lines += ["  coiltool_from_coil:", *("    " + " ".join(f"{number:10.4f}" for number in row) for row in entry.coiltool_from_coil)]
    lines.append("  " + ", ".join(f"{name} {value:.3g}" for name, value in entry.numbers.items()))
    if entry.residuals_mm:
        lines.append("  residuals: " + ", ".join(f"{name} {value:.2f} mm" for name, value in entry.residuals_mm.items()))
    lines.append(f"  valid until {entry.valid_until_utc}, for the tool file {entry.rom_sha256[:12]}, hash {entry.sha256[:12]}")
    if entry.accepted_by is not None:
        lines.append(f"  accepted by {entry.accepted_by}, {entry.accepted_utc}" + ("   IN USE" if entry.in_use else ""))
    if entry.refusals:
        lines.append("  REFUSED: " + "; ".join(reason_text(refusal) for refusal in entry.refusals))
    return lines


# ---- the history --------------------------------------------------------------------------------------------------------


def show_list(link: Link, _given: argparse.Namespace, face: Face) -> int:
    history = link.call("calibrate_list")
    for tool in history.in_use:
        what = "NONE IN USE: " + tool.why if tool.refused else "the chair's file" if tool.version is None else f"version {tool.version}"
        until = "" if tool.valid_until_utc is None else f", valid until {tool.valid_until_utc}"
        face.say("in_use", f"{tool.tool}: {what}{until}", **msgspec.to_builtins(tool))
    for entry in history.calibrations:
        mark = "in use" if entry.in_use else ", ".join(entry.against) or "accepted"
        face.say("calibration", f"{entry_lines(entry)[0]}   [{mark}]", calibration=msgspec.to_builtins(entry))
    return OK


def show_one(link: Link, given: argparse.Namespace, face: Face) -> int:
    entry = link.call("calibrate_show", tool=given.tool, version=given.version).calibration
    face.say("calibration", "\n".join(entry_lines(entry)), calibration=msgspec.to_builtins(entry))
    return OK


def accept(link: Link, given: argparse.Namespace, face: Face) -> int:
    with Guide(link, face, given.operator):
        link.call("calibrate_accept", tool=given.tool, version=given.version, name=given.operator)
    face.say("accepted", f"In use from now on: {given.tool}, version {given.version}.", tool=given.tool, version=given.version)
    return OK


ACTS: dict[str, Callable[[Link, argparse.Namespace, Face], int]] = {
    "pointer": calibrate,
    "coil": calibrate,
    "plate": calibrate,
    "list": show_list,
    "show": show_one,
    "accept": accept,
}


def run(name: str, given: argparse.Namespace, act: Callable[[Link, argparse.Namespace, Face], int]) -> int:
    """Connect, act, and put every failure into one line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    face: Face = PlainFace(sys.stdout) if given.plain else BarFace(sys.stdout)
    try:
        commands, telemetry = read_endpoints(given.config) if given.config is not None else (COMMANDS, TELEMETRY)
        commands, telemetry = given.commands or commands, given.telemetry or telemetry
        with Link(commands, telemetry, topics=TOPICS, clock=time.monotonic_ns) as link:
            return act(link, given, face)
    except BadChairFile as error:
        sys.stderr.write(f"{error}\n")
        return CONFIGURATION
    except BadEndpoint as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    except (CommandRefused, NoAnswer, GaveUp) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    given = _arguments(arguments)
    return run("atmsd calibrate", given, ACTS[given.act])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
