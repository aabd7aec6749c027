"""The room of a chair under trial as one process: the simulated stimulator on its port, quick in answering, and a beacon for a tracker."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

from sim.magstim_settings import MADE_UP_UNLOCK
from sim.magstim_sim import MagstimSim
from sim.magventure_sim import MagVentureSim
from sim.pty_port import PtyPort
from sim.room_files import STIMULATOR, TRUTH
from sim.truth import TruthLog
from tests.campaign.beacon import shine
from tests.campaign.board import Board
from tests.campaign.family import Family

REPLY_DELAY_MS = 2.0
PRIORITY = 10  # below the hot process's: devices do not wait for the machine's other work


def run_room(folder: Path, board: Board, port: int, seed: int, family: Family) -> int:
    """Be the room until SIGTERM."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    with TruthLog(folder / TRUTH) as truth, PtyPort(folder / STIMULATOR) as pty:
        simulator = _unit(family, pty, truth, seed)
        ending = threading.Event()

        def end(*_: object) -> None:
            ending.set()
            simulator.end_run()

        signal.signal(signal.SIGTERM, end)
        light = threading.Thread(target=shine, args=(port, lambda: not board["off_target"], ending.is_set), daemon=True)
        light.start()
        truth.charged(time.monotonic_ns(), enabled=False)  # as any unit after its mains switch
        pty.announce()
        simulator.run()
    return 0


def _unit(family: Family, pty: PtyPort, truth: TruthLog, seed: int) -> MagstimSim | MagVentureSim:
    if family.is_magstim:
        return MagstimSim(pty, truth, model=family.model, unlock=MADE_UP_UNLOCK, seed=seed)
    return MagVentureSim(pty, truth, model=family.model, reply_delay_ms=REPLY_DELAY_MS, seed=seed)
