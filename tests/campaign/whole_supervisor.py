"""The supervisor of a whole room under trial, as a program: `python -m tests.campaign.whole_supervisor DIR`. Notes whom it starts."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from daemon.cli import chair_lock
from daemon.config import load_config
from daemon.devices import make_stimulator, stimulator_line
from daemon.supervise import Chair, Supervisor
from sim.room_files import CHAIR
from tests.campaign.board import Board


def main() -> int:
    path = Path(sys.argv[1]) / CHAIR
    config, board = load_config(path), Board(path.parent / "board")

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], **more: Any) -> None:
            super().__init__(command, **more)
            board["hot_pid" if command[2] == "daemon.hot" else "daemon_pid"] = self.pid

    subprocess.Popen = Noted
    chair = Chair(
        config=path,
        lock=chair_lock(config),
        line=stimulator_line(config),
        make_stimulator=lambda: make_stimulator(config),
        daemon_module="tests.campaign.whole_daemon",
    )
    return Supervisor(chair, lambda text: print(f"supervisor: {text}", file=sys.stderr, flush=True)).run()


if __name__ == "__main__":
    sys.exit(main())
