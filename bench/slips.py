"""`slips`: how long a coil that slips off in mid-train goes on being fired, from the true coil's leaving to the last burst's beginning.

A real hot process, registration exact, tremor, breathing and camera noise as in the simulated room; the coil slides within 50 ms,
in turn so far that leaving counts at once, and only so far that the leave dwell has to pass.
"""

import random
from dataclasses import dataclass

from bench.chair import latency_ms
from bench.options import Options
from bench.place import SLIP_MS
from bench.rig import Disturbed, Rig
from bench.table import Row, ms, print_rows
from daemon import ipc
from daemon.on_target import BEYOND, DEFAULT_LIMITS, TargetLimits

SLIPS = 100
FAR_MM, NEAR_MM = 8.0, 4.8  # beyond twice the leave limit of 3 mm, and between once and twice
RATE_HZ = 60
REPLY_DELAY_MS = 20.0  # as real units take at the least, before what was asked is done
NOISE_MM = 0.05
BURST_MS = 200.0
CHAIN_MS = 20.0  # reply delay of the stimulator and all that is ours
BOUND_MS = DEFAULT_LIMITS.dwell_off_s * 1e3 + 3 * 1e3 / RATE_HZ + latency_ms(RATE_HZ) + CHAIN_MS
FIT_S, ON_S = 1.5, 0.1
INTO_TRAIN_S = (0.25, 0.45)  # a whole burst period, so that every phase comes
LIMITS = TargetLimits(dwell_on_s=ON_S)  # entering is made quick so that slips are many; leaving is the product's own


@dataclass(slots=True)
class Train:
    """When it was started (monotonic ns), and how far the coil slipped in it; None where something else ended it before."""

    started_ns: int
    slip_mm: float | None = None


def run(options: Options) -> None:
    ways_mm = [FAR_MM if number % 2 else NEAR_MM for number in range(options.count_or(SLIPS))]
    trains: list[Train] = []
    with Rig(RATE_HZ, pty=True, reply_delay_ms=REPLY_DELAY_MS, noise_mm=NOISE_MM, limits=LIMITS) as rig:
        rig.wait(FIT_S)
        disturbed = _rounds(rig, ways_mm, trains)
    lasts_ns = _lasts(rig, trains)
    far, near = (ms(last_ns for mm, last_ns in lasts_ns if mm == way_mm) for way_mm in (FAR_MM, NEAR_MM))
    within = sum(last <= BOUND_MS for last in far + near)
    beyond = sum(last > BOUND_MS + BURST_MS for last in far + near)
    rows = [
        Row(f"{FAR_MM:g} mm, beyond {BEYOND:g} x leave limit: left -> last burst began", far, budget=(("max", BOUND_MS),)),
        Row(f"{NEAR_MM:g} mm, leave dwell applies: left -> last burst began", near, budget=(("max", BOUND_MS),)),
    ]
    notes = (
        "0: no burst began after the true coil had left.",
        f"bound {BOUND_MS:.0f} ms: leave dwell 100 + 3 frames {3e3 / RATE_HZ:.0f} + camera {latency_ms(RATE_HZ):.0f} + {CHAIN_MS:.0f}",
        f"{within} of {len(far + near)} within it; {beyond} more than one burst period ({BURST_MS:.0f} ms) after it",
        f"{disturbed} rounds were ended by something else",
    )
    print_rows(f"slips: the true coil leaves its target in mid-train, within {SLIP_MS:.0f} ms, {RATE_HZ} Hz", rows, notes)


def _rounds(rig: Rig, ways_mm: list[float], trains: list[Train]) -> int:
    """Returns how many rounds something else ended."""
    rng = random.Random(2)
    disturbed = 0
    is_charged = False
    for way_mm in ways_mm:
        rig.coil("on")
        if not is_charged:
            rig.arm()
        try:
            rig.grant()
            if is_charged:
                rig.fact(ipc.ArmState)  # charged again after the hold of the last round
            trains.append(Train(rig.fact(ipc.TrainStarted).at_ns))
            rig.wait(rng.uniform(*INTO_TRAIN_S))
            rig.coil(f"slip={way_mm}")
            trains[-1].slip_mm = way_mm
            rig.fact(ipc.Receipt)
            is_charged = True
        except Disturbed:
            disturbed += 1
            is_charged = False
    return disturbed


def _lasts(rig: Rig, trains: list[Train]) -> list[tuple[float, int]]:
    """For each slip, how far it was, and ns from the true coil's leaving to the beginning of the train's last burst."""
    bursts_ns = _bursts(rig.truth)
    left = iter(rig.report.left)
    found = []
    for train, following in zip(trains, [*trains[1:], Train(1 << 62)], strict=True):
        left_ns = None if train.slip_mm is None else next(left)
        if train.slip_mm is not None and left_ns is not None:
            last_ns = max(burst_ns for burst_ns in bursts_ns if train.started_ns <= burst_ns < following.started_ns)
            found.append((train.slip_mm, max(0, last_ns - left_ns)))
    return found


def _bursts(truth: list[dict[str, object]]) -> list[int]:
    """When each burst began: a pulse long after the one before it."""
    pulses_ns = [int(str(line["mono_ns"])) for line in truth if line["kind"] == "pulse"]
    apart_ns = BURST_MS * 1e6 / 2
    return [at_ns for at_ns, before_ns in zip(pulses_ns, [0, *pulses_ns[:-1]], strict=True) if at_ns - before_ns > apart_ns]
