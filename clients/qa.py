"""The quality check at a terminal: tools at rest, the pointer in its divot, known distances; then a report with a verdict.

`python -m clients.qa --operator NAME [--seconds 60] [--out DIR] [--config FILE] [--plain]`; Enter begins each part.
"""

import argparse
import sys
from pathlib import Path

import msgspec

from clients.calibrate import END_S, FAILED, OK, Parser, add_endpoints, run
from clients.guided import Face, Guide, wait_for_enter
from clients.link import Link

PARTS = ("jitter", "spread", "block")
SPREAD_S = 120.0
LATE_S = 15.0
CANNOT_CREATE = 73
ORDERS = {
    "jitter": "Lay head reference, pointer and coil down where the camera sees them; nobody touches them. Then press Enter.",
    "spread": "Put the pointer's tip into a divot of the block. After Enter, tilt it to every side, the tip always in the divot.",
    "block": "Fix the block before the camera. After Enter, touch each divot as it is named; neither block nor camera may move.",
}


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(prog="atmsd qa", description="How well tracker and pointer find points, in the terms of ASTM F2554.")
    parser.add_argument("--operator", required=True, help="who does it; the report names them")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the tools are watched at rest (default: 60)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="only these; the report is then incomplete")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write report.json and report.txt there too")
    add_endpoints(parser)
    return parser.parse_args(arguments)


def check(link: Link, given: argparse.Namespace, face: Face) -> int:
    """All parts, then the report. Returns the exit code: 0 when the verdict is passed."""
    with Guide(link, face, given.operator) as guide:
        for part in given.parts:
            face.say("prepare", ORDERS[part], part=part)
            wait_for_enter(link)
            measure(link, guide, face, part, given.seconds)
        answer = link.call("qa_report", END_S, name=given.operator)
    face.say("report", answer.text, report=msgspec.to_builtins(answer.report), stored=answer.stored)
    if given.out is not None:
        try:
            given.out.mkdir(parents=True, exist_ok=True)
            (given.out / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(answer.report), indent=1) + b"\n")
            (given.out / "report.txt").write_text(answer.text, encoding="utf-8")
        except OSError as error:
            sys.stderr.write(f"{given.out}: cannot be written ({error.strerror}); the daemon keeps the report as {answer.stored}\n")
            return CANNOT_CREATE
    return OK if answer.report.verdict == "passed" else FAILED


def measure(link: Link, guide: Guide, face: Face, part: str, seconds: float) -> None:
    """One part, from start to its items."""
    points = guide.start(part, seconds)
    face.say("begun", "measuring", task=part)
    for point in points:
        guide.touch(point)
    if not points:
        guide.collect(part, lambda body: body.enough, seconds + LATE_S if part == "jitter" else SPREAD_S)
    guide.ended()  # whatever comes of it, the next command ends it
    items = link.call("calibrate_end", END_S).items
    for item in items:
        word = {True: "good", False: "BEYOND THE LIMIT", None: ""}[item.passed]
        face.say("item", f"{item.subject} {item.name}: {item.value:.3f} {word}", item=msgspec.to_builtins(item))


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    return run("atmsd qa", _arguments(arguments), check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
