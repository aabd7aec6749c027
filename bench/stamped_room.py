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

from drivers.ndi_gbf_wire import decode_bx2
from drivers.ndi_pose_wire import decode_bx
from drivers.ndi_wire import BINARY_START, STREAM_START, BinaryReply, ReplyReader, StreamedReply
from sim import ndi_sim, room
from sim.ndi_faults import CameraFaults
from sim.ndi_line import pieces

BX2_START = b"\x01\x00"  # its version; a BX body of one tool goes on with a handle, which is never 0
STAMPS = "frames.stamps"
STAMP = struct.Struct("<Qq")  # frame number, monotonic ns


class Noted:
    """Stands where the camera cuts a reply into what leaves when."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._newest: int | None = None

    def __call__(self, reply: bytes, faults: CameraFaults, now_ns: int) -> list[tuple[int, bytes]]:
        number = frame_number_of(reply)
        if number is not None and number != self._newest:
            self._newest = number
            os.write(self._fd, STAMP.pack(number, time.monotonic_ns()))
        return pieces(reply, faults, now_ns)


def frame_number_of(wire: bytes) -> int | None:
    """Of a reply with poses, asked for or pushed; None where it has none."""
    if not wire.startswith((BINARY_START, STREAM_START)):
        return None
    reader = ReplyReader()
    reader.push(wire)
    reply = reader.pull()
    binary = reply.reply if isinstance(reply, StreamedReply) else reply
    if not isinstance(binary, BinaryReply):
        return None
    if binary.body.startswith(BX2_START):
        frames = decode_bx2(binary.body).frames
        return frames[0].number if frames else None
    tools = decode_bx(binary.body).tools
    return tools[0].frame_number if tools else None


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
