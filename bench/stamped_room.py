"""`python -m bench.stamped_room`: the simulated room, whose camera also notes when each frame's first reply is put on its way.

Options are those of `sim room`; the notes go to `frames.stamps` in its folder.
"""

import argparse
import os
import struct
import sys
import time
from pathlib import Path
from unittest import mock

from drivers.ndi_pose_wire import decode_bx
from drivers.ndi_wire import BINARY_START
from sim import ndi_sim, room
from sim.ndi_faults import CameraFaults
from sim.ndi_line import pieces

STAMPS = "frames.stamps"
STAMP = struct.Struct("<Qq")  # frame number, monotonic ns


class Noted:
    """Stands where the camera cuts a reply into what leaves when."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._newest: int | None = None

    def __call__(self, reply: bytes, faults: CameraFaults, now_ns: int) -> list[tuple[int, bytes]]:
        if reply.startswith(BINARY_START):
            number = decode_bx(reply[6:-2]).tools[0].frame_number
            if number is not None and number != self._newest:
                self._newest = number
                os.write(self._fd, STAMP.pack(number, time.monotonic_ns()))
        return pieces(reply, faults, now_ns)


def read_stamps(folder: Path) -> dict[int, int]:
    """When each frame left, by its number."""
    noted = (folder / STAMPS).read_bytes()
    return dict(STAMP.iter_unpack(noted[: len(noted) // STAMP.size * STAMP.size]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.stamped_room")
    room.add_arguments(parser)
    given = parser.parse_args()
    given.dir.mkdir(parents=True, exist_ok=True)
    with mock.patch.object(ndi_sim, "pieces", Noted(given.dir / STAMPS)):
        return room.main(given)


if __name__ == "__main__":
    sys.exit(main())
