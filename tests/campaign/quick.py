"""A quick chair: the real supervisor over forked children, a room of one process, and perhaps a proxy on the orders channel.

What the supervisor would execute is loaded already, so that a life begins within half a second.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.cli import chair_lock
from daemon.config import Config, load_config
from daemon.devices import make_stimulator, stimulator_line
from daemon.ipc import Aim
from daemon.supervise import Chair, Supervisor
from daemon.treatment import Treatment
from sim.room_files import CHAIR
from tests.campaign.board import Board, set_clock_by
from tests.campaign.chair import quick_aim, quick_treatments, write_quick_chair
from tests.campaign.daemon_process import run_daemon
from tests.campaign.devices import run_room
from tests.campaign.family import Family
from tests.campaign.forking import ForkedChild, fork
from tests.campaign.hot_process import run_hot
from tests.campaign.ordeal import Ordeal
from tests.campaign.proxy import Past, Proxy
from tests.campaign.setup import Setup

PORT_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Quick:
    """What the forks of one chair share besides its folder."""

    folder: Path
    config: Config
    board: Board
    treatments: Mapping[str, Treatment]
    aim: Aim


def quick_setup(folder: Path, plans: Mapping[str, Path], seed: int, camera_port: int, family: Family) -> Setup:
    """Files and room of a new chair; the room runs when this returns. This process reads the chair's wall clock from now on."""
    write_quick_chair(folder, seed, camera_port, family)
    config, board = load_config(folder / CHAIR), Board(folder / "board")
    set_clock_by(board)
    treatments = quick_treatments(plans[family.protocol], config, family)
    quick = Quick(folder=folder, config=config, board=board, treatments=treatments, aim=quick_aim(config))

    def start_room() -> None:
        board["room_pid"] = fork(lambda: run_room(folder, board, camera_port, seed, family), (), folder / "room.log")
        deadline_ns = time.monotonic_ns() + PORT_NS
        while not config.stimulator.port.exists():
            assert time.monotonic_ns() < deadline_ns, "the room did not come up"
            time.sleep(0.005)

    def start_supervisor(ordeal: Ordeal, log: Path) -> int:
        return fork(lambda: run_supervisor(quick, ordeal, log), (), log)

    start_room()
    return Setup(
        folder=folder, config=config, board=board, family=family, start_supervisor=start_supervisor, start_room=start_room
    )


def run_supervisor(quick: Quick, ordeal: Ordeal, log: Path) -> int:
    """Supervise until the end; for a child of its own, since `subprocess` starts nothing there any more."""
    spawner = _Spawner(quick, ordeal, log)
    subprocess.Popen = spawner.spawn
    config = quick.config
    chair = Chair(
        config=quick.folder / CHAIR,
        lock=chair_lock(config),
        line=stimulator_line(config),
        make_stimulator=lambda: make_stimulator(config),
    )
    return Supervisor(chair, lambda text: print(f"supervisor: {text}", file=sys.stderr, flush=True)).run()


class _Spawner:
    def __init__(self, quick: Quick, ordeal: Ordeal, log: Path) -> None:
        self._quick, self._ordeal, self._log = quick, ordeal, log

    def spawn(self, command: Sequence[str], *, pass_fds: Sequence[int], **_: object) -> ForkedChild:
        """Instead of `subprocess.Popen([python, "-m", module, *arguments], pass_fds=...)`."""
        module, arguments, keep = command[2], list(command[3:]), set(pass_fds)
        quick, ordeal = self._quick, self._ordeal
        if module == "daemon.hot":
            if ordeal.mischief is not None:
                return self._with_proxy(arguments, keep)
            return self._hot(arguments, keep)
        child = fork(lambda: run_daemon(arguments, quick.board, ordeal, quick.treatments, quick.aim), keep, self._log)
        quick.board["daemon_pid"] = child
        return ForkedChild(child)

    def _hot(self, arguments: list[str], keep: set[int]) -> ForkedChild:
        child = fork(lambda: run_hot(arguments, self._quick.board, self._ordeal), keep, self._log)
        self._quick.board["hot_pid"] = child
        return ForkedChild(child)

    def _with_proxy(self, arguments: list[str], keep: set[int]) -> ForkedChild:
        """The hot process's end of the orders channel goes to the proxy, and it gets another one."""
        place = arguments.index("--orders-fd") + 1
        daemon_side = int(arguments[place])
        hot_end, proxy_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arguments[place] = str(hot_end.fileno())
        child = self._hot(arguments, keep - {daemon_side} | {hot_end.fileno()})
        proxy = fork(lambda: self._proxy(daemon_side, proxy_end.fileno()), {daemon_side, proxy_end.fileno()}, self._log)
        self._quick.board["proxy_pid"] = proxy
        hot_end.close()
        proxy_end.close()
        return child

    def _proxy(self, daemon_side: int, hot_side: int) -> int:
        assert self._ordeal.mischief is not None
        ends = [socket.socket(fileno=os.dup(number)) for number in (daemon_side, hot_side)]
        os.close(daemon_side)
        os.close(hot_side)
        return Proxy(ends[0], ends[1], self._ordeal.mischief, Past(self._quick.folder), self._ordeal.seed).run()
