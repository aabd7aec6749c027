"""`pacing`: how evenly bursts that the host asks for follow each other, five a second, the daemon at work: with idle and with busy cores.

Measured where the triggers arrive whole. A trigger is planned 200 ms after the one before it; "late" is what it came later than that.
"""

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from bench.floors import PACE_NS, Floor
from bench.load import busy_cores, working_daemon
from bench.options import Options
from bench.rig import Disturbed, Rig
from bench.table import Row, ms, print_rows
from bench.units import PACED
from daemon import ipc
from daemon.on_target import TargetLimits

SECONDS = 240.0
RATE_HZ = 60
REPLY_DELAY_MS = 20.0
NOISE_MM = 0.05
FIT_S, LOADED_S = 1.5, 3.0
TRAIN_S = 15.0
BUDGET = (("max", 20.0),)
CAREFREE = TargetLimits(dwell_on_s=0.1)


@dataclass(frozen=True, slots=True)
class Paced:
    late_ns: list[int]
    left_out: int
    trains: int
    disturbed: int
    floor: Floor


def run(options: Options) -> None:
    rows, notes = [], []
    for busy in (False, True):
        paced = _measured(options.seconds_or(SECONDS), busy=busy)
        name = "busy cores" if busy else "idle cores"
        rows += [
            Row(f"{name}: trigger late by", ms(paced.late_ns), budget=BUDGET),
            Row(f"{name}: {paced.floor.name}", paced.floor.took_ms),
        ]
        closest_ms, floor_ms = min(ms(paced.late_ns), default=0.0), min(paced.floor.took_ms, default=0.0)
        closer = sum(late < floor_ms for late in ms(paced.late_ns))
        ends = f"{paced.left_out} bursts left out for coming too late, {paced.disturbed} trains ended by something else"
        notes += [
            f"{name}: {paced.trains} trains; {ends}",
            f"{name}: closest two triggers {200 + closest_ms:.3f} ms apart, the bare loop's {200 + floor_ms:.3f} ms; {closer} closer",
        ]
    print_rows(f"pacing: bursts asked for by the host at 5 Hz, {RATE_HZ} Hz camera, the daemon at work", rows, notes)


def _measured(seconds: float, *, busy: bool) -> Paced:
    with contextlib.ExitStack() as stack:
        rig = Rig(RATE_HZ, pty=False, reply_delay_ms=REPLY_DELAY_MS, noise_mm=NOISE_MM, limits=CAREFREE, unit=PACED)
        stack.enter_context(rig)
        stack.enter_context(working_daemon(rig))
        rig.wait(LOADED_S)
        if busy:
            stack.enter_context(busy_cores())
        floor = stack.enter_context(Floor("paced"))
        rig.coil("on")
        rig.wait(FIT_S)
        started_ns, disturbed = _trains(rig, seconds)
    late_ns, left_out = _lateness(rig.report.triggers, started_ns)
    return Paced(late_ns=late_ns, left_out=left_out, trains=len(started_ns) - disturbed, disturbed=disturbed, floor=floor)


def _lateness(triggers_ns: Sequence[int], started_ns: Sequence[int]) -> tuple[list[int], int]:
    """What each trigger of a train came later than 200 ms after the one before it, and how many were left out."""
    late_ns, left_out = [], 0
    for began_ns, next_ns in itertools.pairwise((*started_ns, 1 << 62)):
        train_ns = [at_ns for at_ns in triggers_ns if began_ns <= at_ns < next_ns]
        for earlier_ns, later_ns in itertools.pairwise(train_ns):
            skipped = round((later_ns - earlier_ns) / PACE_NS) - 1
            left_out += skipped
            late_ns += [] if skipped else [later_ns - earlier_ns - PACE_NS]
    return late_ns, left_out


def _trains(rig: Rig, seconds: float) -> tuple[list[int], int]:
    """When each train was started, and how many of them something else ended."""
    started_ns: list[int] = []
    disturbed = 0
    is_over = rig.alarm_in(seconds)
    rig.arm()
    while not is_over():
        try:
            rig.grant()
            started_ns.append(rig.fact(ipc.TrainStarted).at_ns)
            rig.fact(ipc.Receipt, TRAIN_S)
        except Disturbed:
            disturbed += 1
            rig.arm()
    return started_ns, disturbed
