"""A real supervisor and a real hot process over a real room, with the stand-in as daemon: `python -m tests.loop.supervised DIR`."""

import sys
from pathlib import Path

from daemon.cli import chair_lock
from daemon.config import load_config
from daemon.devices import make_stimulator, stimulator_line
from daemon.supervise import Chair, ChairTaken, Supervisor


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    path = Path(sys.argv[1]) / "chair.toml"
    config = load_config(path)
    chair = Chair(
        config=path,
        lock=chair_lock(config),
        line=stimulator_line(config),
        make_stimulator=lambda: make_stimulator(config),
        daemon_module="tests.loop.stand_in",
    )
    try:
        return Supervisor(chair, say).run()
    except ChairTaken as error:
        say(str(error))
        return 69


if __name__ == "__main__":
    sys.exit(main())
