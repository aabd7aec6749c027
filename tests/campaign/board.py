"""A few numbers that all processes of one chair under trial share through a mapped file: who they are, and how far the wall clock is off.

No locks: each number has one writer at a time and fits one machine word.
"""

import mmap
import os
import struct
import time
from pathlib import Path

_WORD = struct.Struct("<q")
FIELDS = (
    "wall_offset_ns",  # what every process of the chair adds to its wall clock
    "supervisor_pid",
    "hot_pid",
    "daemon_pid",
    "room_pid",
    "proxy_pid",
    "ready_ns",  # the daemon has recovered and heard the hot process
    "begun_ns",  # the operator's first start
    "off_target",  # the coil lies elsewhere while this is 1
    "trapped_ns",  # a trap has stopped its process
    "trap_sprung_ns",
    "operator_failed",
)


class Board:
    """The numbers by name; 0 is what nobody has written yet."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(fd, mmap.PAGESIZE)
        self._map = mmap.mmap(fd, mmap.PAGESIZE)
        os.close(fd)

    def __getitem__(self, name: str) -> int:
        (value,) = _WORD.unpack_from(self._map, FIELDS.index(name) * _WORD.size)
        return int(value)

    def __setitem__(self, name: str, value: int) -> None:
        _WORD.pack_into(self._map, FIELDS.index(name) * _WORD.size, value)

    def new_life(self) -> None:
        """Forget all but the wall clock and the room."""
        for name in FIELDS:
            if name not in ("wall_offset_ns", "room_pid"):
                self[name] = 0


def set_clock_by(board: Board) -> None:
    """From now on this process reads its wall clock as the board has it: a host's clock that others can step."""
    true_time_ns = time.time_ns
    time.time_ns = lambda: true_time_ns() + board["wall_offset_ns"]
    time.time = lambda: time.time_ns() / 1e9
