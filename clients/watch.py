"""The terminal watcher: one line of JSON for each update, for scripts and for eyes. Sends nothing but `hello`.

`python -m clients.watch [--plain] [--commands EP] [--telemetry EP] [--config FILE] [--topic v1/...]`
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TextIO

import msgspec

from clients.link import COMMANDS, TELEMETRY, BadChairFile, BadEndpoint, Link, Received, read_endpoints

OK, USAGE, CONFIGURATION = 0, 64, 78
SILENT_AFTER_NS = 1_500_000_000  # three heartbeats
LOOK_EVERY_S = 0.1
HEARTBEAT = "v1/hb"  # always subscribed, so that a quiet topic is not taken for a silent daemon


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """When the daemon was last heard (or first listened for), and whether that is too long ago."""

    last_heard_ns: int
    silent: bool = False


def listen(before: Silence, heard: bool, now_ns: int) -> tuple[Silence, str | None]:
    """What is known after one look, and the word to print when that changed: `silent` or `back`."""
    if heard:
        return Silence(last_heard_ns=now_ns), "back" if before.silent else None
    if not before.silent and now_ns - before.last_heard_ns >= SILENT_AFTER_NS:
        return Silence(last_heard_ns=before.last_heard_ns, silent=True), "silent"
    return before, None


def line_of(received: Received) -> str:
    """The update as one line of JSON, without its end."""
    value = {"topic": received.topic, "header": received.header, "body": received.body}
    return msgspec.json.encode(value).decode()


def watch(link: Link, topics: tuple[str, ...], out: TextIO, clock: Callable[[], int]) -> NoReturn:
    """Print the updates of topics that begin with one of `topics`, and when the daemon falls silent or is back, without end."""
    silence = Silence(last_heard_ns=clock())
    while True:
        updates = link.pump(LOOK_EVERY_S)
        silence, word = listen(silence, bool(updates), clock())
        lines = [line_of(received) for received in updates if received.topic.startswith(topics)]
        if word is not None:
            lines.insert(0, msgspec.json.encode({"topic": "link", "state": word}).decode())
        for line in lines:
            out.write(line + "\n")
        out.flush()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}. See --help.\n")


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m clients.watch", description="Print what the daemon tells, one line of JSON for each update.")
    parser.add_argument("--plain", action="store_true", help="one line of JSON for each update; this is the only way as yet")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the chair's file: its [network] says where the daemon is")
    parser.add_argument("--commands", metavar="EP", help=f"where commands go, instead of the file's or {COMMANDS}")
    parser.add_argument("--telemetry", metavar="EP", help=f"where telemetry comes from, instead of the file's or {TELEMETRY}")
    parser.add_argument("--topic", action="append", metavar="v1/...", help="only topics that begin so; may be given more than once")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Watch until SIGINT, SIGTERM or a closed output; returns the exit code."""
    given = _arguments(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    topics = tuple(given.topic or ("v1/",))
    try:
        commands, telemetry = read_endpoints(given.config) if given.config is not None else (COMMANDS, TELEMETRY)
        with Link(given.commands or commands, given.telemetry or telemetry, topics=(*topics, HEARTBEAT)) as link:
            watch(link, topics, sys.stdout, time.monotonic_ns)
    except BadChairFile as error:
        sys.stderr.write(f"{error}\n")
        return CONFIGURATION
    except BadEndpoint as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: the last flush must not fail again
        return OK
    except KeyboardInterrupt:
        return OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
