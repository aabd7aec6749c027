"""A whole room under trial: real camera and head, processes that were executed, nothing shortened but session and registration."""

import random
import subprocess
import sys
from pathlib import Path

from daemon.config import load_config
from sim.room_files import CHAIR
from tests.campaign.board import Board, set_clock_by
from tests.campaign.family import MAGVENTURE
from tests.campaign.ordeal import ALL, Blow, Ordeal
from tests.campaign.setup import Setup
from tests.loop.rig import Room


def whole_setup(room: Room) -> Setup:
    folder = room.folder
    board = Board(folder / "board")
    set_clock_by(board)
    board["room_pid"] = room.pid

    def start_supervisor(_ordeal: Ordeal, log: Path) -> int:
        with log.open("ab") as file:
            command = [sys.executable, "-m", "tests.campaign.whole_supervisor", str(folder)]
            return subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL).pid

    def start_room() -> None:
        raise AssertionError("a whole room is not restarted")

    return Setup(
        folder=folder,
        config=load_config(folder / CHAIR),
        board=board,
        family=MAGVENTURE,
        start_supervisor=start_supervisor,
        start_room=start_room,
    )


def draw_whole(seed: int, number: int) -> Ordeal:
    """Kills and stops alone; each life another end, so that a few of them meet every process."""
    rng = random.Random(seed)
    ends = (("daemon",), ("hot",), ALL, ("supervisor",), ("daemon", "hot"), ("hot", "supervisor"))
    blows = [Blow(what="kill", whom=ends[number % len(ends)], after_s=rng.uniform(0.1, 2.0))]
    if rng.random() < 0.5:
        blows.insert(0, Blow(what="stop", whom=("daemon",), after_s=blows[0].after_s * rng.random(), for_s=rng.uniform(0.1, 1.0)))
    return Ordeal(seed=seed, blows=tuple(blows))
