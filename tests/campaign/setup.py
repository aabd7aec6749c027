"""One chair under trial: where it lives, and how its room and its supervisor are started. The same for all of its lives."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daemon.config import Config
from tests.campaign.board import Board
from tests.campaign.family import Family
from tests.campaign.ordeal import Ordeal


@dataclass(frozen=True, slots=True)
class Setup:
    """`start_supervisor` gets the ordeal and the life's log, and gives the process id; `start_room` returns when the devices answer."""

    folder: Path
    config: Config
    board: Board
    family: Family
    start_supervisor: Callable[[Ordeal, Path], int]
    start_room: Callable[[], None]

    @property
    def ledger_file(self) -> Path:
        return Path(self.config.ledger.url.removeprefix("sqlite:///"))
