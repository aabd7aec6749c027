"""`frame_to_trigger`: from a frame's leaving the camera to the command that it causes standing whole at the stimulator.

The coil waits aside with a grant in hand; it is put on target between two exposures, and the first frame that shows it there
starts the train. It is then put 20 mm aside, and the first frame that shows that ends the train. Two samples a round.
"""

import bisect
import contextlib
import itertools
import random
from dataclasses import dataclass

from bench.floors import Floor
from bench.load import busy_cores, working_daemon
from bench.options import Options
from bench.rig import Disturbed, EndsReport, Rig
from bench.table import Row, ms, print_rows
from daemon import ipc
from daemon.on_target import TargetLimits

SECONDS = 25.0
FIT_S, LOADED_S = 1.0, 3.0
REPLY_DELAY_MS = 2.0  # of the stimulator: as short as this so that rounds are many; no part of what is measured
NOISE_MM = 0.05
REST_S = (0.005, 0.025)
BUDGET = (("p50", 0.3), ("p99", 1.6), ("p99.9", 5.0))
NO_DWELL = TargetLimits(dwell_on_s=0.0)


@dataclass(frozen=True, slots=True)
class Condition:
    """`pty`: the stimulator is on a pseudo terminal, whose bytes pass through a kernel worker; else on a socket."""

    rate_hz: int
    busy: bool
    pty: bool

    @property
    def name(self) -> str:
        return f"{self.rate_hz} Hz, {'busy' if self.busy else 'idle'}, {'pty' if self.pty else 'socket'}"


CONDITIONS = (
    Condition(60, busy=False, pty=False),
    Condition(60, busy=True, pty=False),
    Condition(400, busy=False, pty=False),
    Condition(400, busy=True, pty=False),
    Condition(400, busy=True, pty=True),
)


def run(options: Options) -> None:
    rows = [row for condition in CONDITIONS for row in _measured(condition, options.seconds_or(SECONDS))]
    notes = (
        "busy: two busy processes of ordinary priority, and a daemon that publishes every frame, commits and registers.",
        "socket: no kernel worker of ordinary priority carries the bytes, as it does on a pty; writing to a real port needs none.",
    )
    print_rows("frame_to_trigger: frame sent by the camera -> command whole at the stimulator", rows, notes)


def _measured(condition: Condition, seconds: float) -> list[Row]:
    with contextlib.ExitStack() as stack:
        rig = Rig(condition.rate_hz, pty=condition.pty, reply_delay_ms=REPLY_DELAY_MS, noise_mm=NOISE_MM, limits=NO_DWELL)
        stack.enter_context(rig)
        if condition.busy:
            stack.enter_context(working_daemon(rig))
            rig.wait(LOADED_S)
            stack.enter_context(busy_cores())
        floors = [stack.enter_context(Floor(kind)) for kind in ("sleep", "fifo", "pty")]
        rig.wait(FIT_S)
        disturbed = rounds(rig, seconds)
    report, name = rig.report, condition.name
    starts, stops = caused(report, "on", report.starts), caused(report, "aside", report.stops)
    return [
        Row(f"{name}: trigger", ms(starts), budget=BUDGET),
        Row(f"{name}: stop", ms(stops), budget=BUDGET),
        Row(f"{name}: both" + (f" ({disturbed} rounds lost)" if disturbed else ""), ms(starts + stops), budget=BUDGET),
        *(Row(f"{name}: {floor.name}", floor.took_ms) for floor in floors),
    ]


def rounds(rig: Rig, seconds: float) -> int:
    """Returns how many rounds something else ended, such as a device's answer that stayed out for 450 ms."""
    rng = random.Random(1)
    disturbed = 0
    is_over = rig.alarm_in(seconds)
    rig.arm()
    is_charged = True
    while not is_over():
        try:
            _round(rig, rng, is_charged=is_charged)
            is_charged = False
        except Disturbed:
            disturbed += 1
            rig.coil("aside")
            rig.arm()
            is_charged = True
    return disturbed


def _round(rig: Rig, rng: random.Random, *, is_charged: bool) -> None:
    rig.grant()
    if not is_charged:
        rig.fact(ipc.ArmState)  # charged again after the hold of the last round
    rig.wait(rng.uniform(*REST_S))
    rig.coil("on")
    rig.fact(ipc.TrainStarted)
    rig.wait(rng.uniform(*REST_S))
    rig.coil("aside")
    rig.fact(ipc.Receipt)


def caused(report: EndsReport, act: str, heard_ns: tuple[int, ...]) -> list[int]:
    """For each act, ns from the first frame that shows it to the first command after that, if one came before the next act."""
    exposures = [exposed_ns for exposed_ns, _ in report.sent]
    found = []
    for (what, shown_ns), (_, next_ns) in itertools.pairwise((*report.acts, ("end", 1 << 62))):
        first = bisect.bisect_left(exposures, shown_ns)
        if what != act or first == len(exposures):
            continue
        sent_ns = report.sent[first][1]
        after = bisect.bisect_left(heard_ns, sent_ns)
        if after < len(heard_ns) and heard_ns[after] < next_ns:
            found.append(heard_ns[after] - sent_ns)
    return found
