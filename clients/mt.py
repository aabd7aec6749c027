"""The search for the motor threshold in a terminal: what is asked, what was given, where the threshold lies; one key for each act.

`python -m clients.mt --patient P --muscle APB --side left [--method pest] [--evidence visual] [--config FILE] [--plain]`
With `--plain` it prints one line of JSON for each change and takes words instead of keys, so that a script can hold the search.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NoReturn, TextIO

import msgspec

from clients.link import COMMANDS, TELEMETRY, BadChairFile, BadEndpoint, CommandRefused, Link, NoAnswer, read_endpoints
from clients.mt_ears import KEYS, Ears, single_keys
from daemon.messages import MtBody

OK, FAILED, USAGE, CONFIGURATION = 0, 1, 64, 78
LOOK_S = 0.05
KEEP_LEASE_S = 1.0
FIRST_MSO = 40  # what a search for the hotspot begins with where nothing is known; the daemon bounds it
ARM_S, OPEN_S = 25.0, 10.0
STOP_S = 2.0
CLEARED = "\x1b[H\x1b[2J"  # one state at a time on a terminal


class Console:
    """One search: what the operator says goes to the daemon, what it tells goes to the screen."""

    def __init__(self, link: Link, out: TextIO, *, plain: bool) -> None:
        self._link, self._out, self._plain = link, out, plain
        self.amplitude_mso = FIRST_MSO
        self.leaving = False
        self._told: MtBody | None = None

    @property
    def search(self) -> MtBody | None:
        newest = self._link.latest("v1/mt")
        return newest.body if newest is not None and isinstance(newest.body, MtBody) else None

    def look(self) -> None:
        """Pump, and tell what changed."""
        self._link.pump(LOOK_S)
        search = self.search
        if search is not None and search != self._told:
            self._told = search
            self.amplitude_mso = min(self.amplitude_mso, search.highest_next_mso)
            if self._plain:
                self.write(msgspec.json.encode(search).decode())
            else:
                self.write((CLEARED if self._out.isatty() else "") + "\n".join(screen(search, self.amplitude_mso)))
            self.leaving = search.step == "closed" and search.phase in ("saved", "not_found", "aborted")

    def act(self, word: str) -> None:
        """One act of the operator. A refusal is told, and changes nothing."""
        name, _, rest = word.strip().partition(" ")
        try:
            self._do(name, rest)
        except (CommandRefused, NoAnswer) as error:
            self.write(str(error))
        except ValueError:
            self.write(f"{word!r} is no act of this search")

    def _do(self, name: str, rest: str) -> None:
        search, call = self.search, self._link.call
        match name:
            case "arm":
                call("mt_arm", ARM_S)
            case "up" | "down":
                self._turn(int(rest) if name == "up" else -int(rest))
            case "pulse" if search is not None:
                self.amplitude_mso = int(rest) if rest else self.amplitude_mso
                call("mt_pulse", number=search.next_number, amplitude_mso=self.amplitude_mso)
            case "hotspot":
                self._again("mt_hotspot")
            case "yes" | "no" | "unsure" if search is not None and search.waiting_number is not None:
                call("mt_answer", number=search.waiting_number, responded={"yes": True, "no": False}.get(name))
            case "confirm":
                self._again("mt_confirm")
            case "close":
                call("mt_close", 15.0)
                self.leaving = True
            case _:
                raise ValueError(name)

    def _again(self, method: Literal["mt_hotspot", "mt_confirm"]) -> None:
        """Asked once more where a pulse had just moved the state on: what is meant stays the same."""
        try:
            self._link.call(method)
        except CommandRefused as refused:
            if refused.error.code != "STALE_STATE":
                raise
            self._link.pump(LOOK_S)
            self._link.call(method)

    def _turn(self, by_mso: int) -> None:
        search = self.search
        highest = 100 if search is None else search.highest_next_mso
        self.amplitude_mso = max(1, min(highest, self.amplitude_mso + by_mso))
        if not self._plain:
            self.write(f"next pulse: {self.amplitude_mso} %")

    def write(self, text: str) -> None:
        self._out.write(text + ("\n" if self._plain else "\n\n"))
        self._out.flush()


def screen(search: MtBody, amplitude_mso: int) -> list[str]:
    """The search in a few lines, the most important first."""
    lines = [headline(search, amplitude_mso)]
    if search.trials:
        lines.append("   ".join(f"{trial.amplitude_mso}{'+' if trial.responded else '-'}" for trial in search.trials[-12:]))
    if search.estimate_mso is not None and search.interval_mso is not None:
        low, high = search.interval_mso
        lines.append(f"threshold about {search.estimate_mso:.1f} %   (95 %: {low:.1f} to {high:.1f})")
    given = f"pulses {search.pulses_given} of {search.pulses_planned}"
    if search.pulses_today is not None and search.pulses_today_limit is not None:
        given += f", today {search.pulses_today} of {search.pulses_today_limit}"
    lines.append(f"{given}   {search.method}, {search.evidence}   patient {search.patient}")
    if search.why:
        lines.append(f"{search.why}. {search.remedy}".strip())
    return [*lines, KEYS]


def headline(search: MtBody, amplitude_mso: int) -> str:
    """What stands now, in capitals where somebody has to act."""
    if search.phase == "saved":
        again = "   A SECOND PERSON MUST REPEAT IT" if search.needs_repeat else ""
        return f"SAVED: {search.threshold_mso:g} % of output{again}"
    if search.phase in ("not_found", "aborted"):
        return "NO THRESHOLD WAS FOUND" if search.phase == "not_found" else "THE SEARCH WAS ENDED"
    if search.phase == "confirm":
        return f"THRESHOLD {search.threshold_mso:g} %: CONFIRM WITH c"
    if search.waiting == "answer":
        return f"DID THE MUSCLE ANSWER?  ({search.amplitude_mso} %)   y / n / u"
    if search.waiting == "pulse":
        return f"PULSE COMING: {search.amplitude_mso} %"
    if search.step != "armed":
        return f"{search.step.upper()}: press a to arm"
    return f"HOTSPOT: space gives {amplitude_mso} %" if search.phase == "hotspot" else "HUNT"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}. See --help.\n")


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="atmsd mt", description="Find a patient's motor threshold through the running daemon.")
    parser.add_argument("--patient", required=True, help="the pseudonym, as in the plan")
    parser.add_argument("--muscle", required=True, help="the muscle watched, such as APB")
    parser.add_argument("--side", required=True, choices=("left", "right"), help="the hemisphere that is stimulated")
    parser.add_argument("--operator", required=True, help="who holds the coil; the record names them")
    parser.add_argument("--method", default="pest", choices=("pest", "bayes", "relative_frequency"))
    parser.add_argument("--evidence", default="visual", choices=("visual", "emg"), help="how an answer is told (default: visual)")
    parser.add_argument("--pulses", type=int, default=60, help="most pulses, hotspot included (default: 60)")
    parser.add_argument("--most", type=int, default=100, metavar="MSO", help="no pulse is stronger (default: 100)")
    parser.add_argument("--step", type=int, default=1, choices=(1, 2), help="of relative frequency, in percent of output")
    parser.add_argument("--plain", action="store_true", help="JSON lines out, words in")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the chair's file: its [network] says where the daemon is")
    parser.add_argument("--commands", metavar="EP")
    parser.add_argument("--telemetry", metavar="EP")
    return parser.parse_args(arguments)


def stopper(commands: str, telemetry: str, write: Callable[[str], None]) -> Callable[[], None]:
    """Stops over a link of its own, from whatever thread it is called; says what became of it."""

    def stop() -> None:
        try:
            with Link(commands, telemetry, topics=(), clock=time.monotonic_ns) as link:
                answer = link.call("stop", STOP_S, why="operator")
            write("STOPPED" if answer.disarm_confirmed else "STOP NOT CONFIRMED: lift the coil off, press the red button")
        except (CommandRefused, NoAnswer) as error:
            write(f"STOP NOT CONFIRMED: lift the coil off, press the red button ({error})")

    return stop


def hold(link: Link, given: argparse.Namespace, console: Console, ears: Ears) -> int:
    """Open the search and hold it until it is saved or closed."""
    link.call("take_lease", name=given.operator)
    link.keep_lease_every(KEEP_LEASE_S)
    link.call(
        "mt_open",
        OPEN_S,
        patient=given.patient,
        muscle=given.muscle,
        side=given.side,
        procedure=given.method,
        evidence=given.evidence,
        planned_pulses=given.pulses,
        most_mso=given.most,
        step_mso=given.step,
    )
    while not console.leaving:
        console.look()
        word = ears.next()
        if word is not None:
            console.act(word)
    link.call("release_lease")
    return OK if console.search is not None and console.search.phase == "saved" else FAILED


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 once a threshold is saved."""
    given = _arguments(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        commands, telemetry = read_endpoints(given.config) if given.config is not None else (COMMANDS, TELEMETRY)
        commands, telemetry = given.commands or commands, given.telemetry or telemetry
        with (
            Link(commands, telemetry, topics=("v1/mt", "v1/hb", "v1/session"), clock=time.monotonic_ns) as link,
            single_keys(wanted=not given.plain) as keys,
        ):
            console = Console(link, sys.stdout, plain=given.plain)
            ears = Ears(sys.stdin.fileno(), keys=keys, stop=stopper(commands, telemetry, console.write))
            try:
                return hold(link, given, console, ears)
            finally:
                ears.close()
    except BadChairFile as error:
        sys.stderr.write(f"{error}\n")
        return CONFIGURATION
    except BadEndpoint as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    except (CommandRefused, NoAnswer) as error:
        sys.stderr.write(f"atmsd mt: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
