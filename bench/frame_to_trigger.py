"""`frame_to_trigger`: from a frame's leaving the camera to the command that it causes standing whole at the stimulator.

The coil waits aside with a grant in hand; it is put on target between two exposures, and the first frame that shows it there
starts the train. It is then put 20 mm aside, and the first frame that shows that ends the train. Two samples a round.
"""

import bisect
import contextlib
import random

from bench.floors import KINDS, Floor
from bench.load import busy_cores, working_daemon
from bench.options import Options
from bench.rig import EndsReport, Rig
from bench.table import Row, ms, print_rows
from daemon import ipc
from daemon.on_target import TargetLimits

SECONDS = 35.0
RATES_HZ = (60, 400)
FIT_S, LOADED_S = 1.0, 3.0
REPLY_DELAY_MS = 2.0  # of the stimulator: as short as this so that rounds are many; no part of what is measured
REST_S = (0.005, 0.025)
BUDGET = (("p50", 0.3), ("p99", 1.6), ("p99.9", 5.0))
NO_DWELL = TargetLimits(dwell_on_s=0.0)


def run(options: Options) -> None:
    rows = []
    for rate_hz in RATES_HZ:
        for busy in (False, True):
            rows += _condition(rate_hz, busy, options.seconds_or(SECONDS))
    notes = (
        "busy: two busy processes of ordinary priority, and a daemon that publishes every frame, commits and registers.",
    )
    print_rows("frame_to_trigger: frame sent by the camera -> command whole at the stimulator", rows, notes)


def _condition(rate_hz: int, busy: bool, seconds: float) -> list[Row]:
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(Rig(rate_hz, reply_delay_ms=REPLY_DELAY_MS, noise_mm=0.05, limits=NO_DWELL))
        if busy:
            stack.enter_context(working_daemon(rig))
            rig.wait(LOADED_S)
            stack.enter_context(busy_cores())
        rig.wait(FIT_S)
        floors = [stack.enter_context(Floor(kind)) for kind in KINDS]
        _rounds(rig, seconds)
    report = rig.report
    name = f"{rate_hz} Hz, {'busy' if busy else 'idle'}"
    starts, stops = caused(report, "on", report.starts), caused(report, "aside", report.stops)
    return [
        Row(f"{name}: trigger", ms(starts), budget=BUDGET),
        Row(f"{name}: stop", ms(stops), budget=BUDGET),
        Row(f"{name}: both", ms(starts + stops), budget=BUDGET),
        *(Row(f"{name}: {floor.name}", floor.took_ms) for floor in floors),
    ]


def _rounds(rig: Rig, seconds: float) -> None:
    rng = random.Random(1)
    rig.arm()
    rounds = 0
    end = rig.alarm_in(seconds)
    while not end():
        rig.grant()
        if rounds:
            rig.fact(ipc.ArmState)  # charged again after the last hold
        rig.wait(rng.uniform(*REST_S))
        rig.coil("on")
        rig.fact(ipc.TrainStarted)
        rig.wait(rng.uniform(*REST_S))
        rig.coil("aside")
        rig.fact(ipc.Receipt)
        rounds += 1


def caused(report: EndsReport, act: str, heard_ns: tuple[int, ...]) -> list[int]:
    """For each act, ns from the leaving of the first frame that shows it to the first command heard after that."""
    exposures = [exposed_ns for exposed_ns, _ in report.sent]
    found = []
    for shown_ns in (shown_ns for what, shown_ns in report.acts if what == act):
        first = bisect.bisect_left(exposures, shown_ns)
        if first == len(exposures):
            break
        sent_ns = report.sent[first][1]
        after = bisect.bisect_left(heard_ns, sent_ns)
        if after < len(heard_ns):
            found.append(heard_ns[after] - sent_ns)
    return found
