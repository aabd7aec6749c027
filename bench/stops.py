"""`stops`: from the frame that shows the coil off its target, sent by the camera, to the stop command whole at the stimulator, for each
family, both cores kept busy and the daemon at work. Each round runs into a train and puts the coil 20 mm aside.
"""

import contextlib

from bench.floors import Floor
from bench.frame_to_trigger import FIT_S, LOADED_S, NO_DWELL, NOISE_MM, REPLY_DELAY_MS, caused, rounds
from bench.load import busy_cores, working_daemon
from bench.options import Options
from bench.rig import Rig
from bench.table import Row, ms, print_rows
from bench.units import MAGSTIM, MAGVENTURE, Unit

SECONDS = {MAGVENTURE.model: 30.0, MAGSTIM.model: 120.0}  # a Magstim charges for a second in each round
RATES_HZ = (60, 400)
OVER_MS = 2.0  # beyond one frame period


def run(options: Options) -> None:
    conditions = [(unit, rate_hz) for unit in (MAGVENTURE, MAGSTIM) for rate_hz in RATES_HZ]
    rows = [row for unit, rate_hz in conditions for row in _measured(unit, rate_hz, options.seconds_or(SECONDS[unit.model]))]
    print_rows("stops: frame that shows it off target, sent by the camera -> stop command whole at the stimulator, busy", rows)


def _measured(unit: Unit, rate_hz: int, seconds: float) -> list[Row]:
    with contextlib.ExitStack() as stack:
        rig = Rig(rate_hz, pty=False, reply_delay_ms=REPLY_DELAY_MS, noise_mm=NOISE_MM, limits=NO_DWELL, unit=unit)
        stack.enter_context(rig)
        stack.enter_context(working_daemon(rig))
        rig.wait(LOADED_S)
        stack.enter_context(busy_cores())
        floors = [stack.enter_context(Floor(kind)) for kind in ("sleep", "fifo")]
        rig.wait(FIT_S)
        disturbed = rounds(rig, seconds)
    name = f"{unit.name}, {rate_hz} Hz"
    budget = (("p99", 1e3 / rate_hz + OVER_MS),)
    stops = caused(rig.report, "aside", rig.report.stops)
    lost = f" ({disturbed} rounds lost)" if disturbed else ""
    return [Row(f"{name}: stop{lost}", ms(stops), budget=budget), *(Row(f"{name}: {floor.name}", floor.took_ms) for floor in floors)]
