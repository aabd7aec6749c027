"""The simulated camera's serial side: its speed, breaks, and what a host at another speed gets to hear. Bytes and times, no port."""

from drivers.ndi_wire import CommandReader, CrcMismatch, decode_command
from drivers.values import WireError
from sim.ndi_camera import Camera
from sim.ndi_commands import COMM_BAUDS
from sim.ndi_faults import CameraFaults

START_BAUD = 9600
BREAK = b"\0"  # a pseudo terminal carries no break: a zero byte stands for it
BITS_PER_BYTE = 10
OKAY, RESET = b"OKAY", b"RESET"


class SerialSide:
    """One client, at the far end of one line."""

    def __init__(self, camera: Camera, client: int, faults: CameraFaults) -> None:
        self.client = client
        self.baud = START_BAUD
        self._camera = camera
        self._faults = faults
        self._reader = CommandReader()

    def hear(self, data: bytes, host_baud: int) -> list[tuple[bytes, int]]:
        """Replies to what came in, and for how many ns each is on the wire with its command (0 where speeds do not count)."""
        replies = []
        for number, part in enumerate(data.split(BREAK)):
            if number > 0:
                self._reader = CommandReader()
                self.baud = START_BAUD
                replies.append((self._camera.power_up(), self._wire_ns(0)))
            if self._faults.strict_line and host_baud != self.baud:
                continue
            replies += [self._answer(line) for line in self._reader.push(part)]
        return replies

    def _answer(self, line: bytes) -> tuple[bytes, int]:
        reply = self._camera.answer(self.client, line)
        timed = (reply, self._wire_ns(len(line) + 1 + len(reply)))
        if reply.startswith(RESET):
            self.baud = START_BAUD
        elif reply.startswith(OKAY):
            self.baud = _new_baud(line) or self.baud  # from the next byte on
        return timed

    def wire_ns(self, pushed: bytes) -> int:
        return self._wire_ns(len(pushed))

    def _wire_ns(self, count: int) -> int:
        return count * BITS_PER_BYTE * 1_000_000_000 // self.baud if self._faults.strict_line else 0


def _new_baud(line: bytes) -> int | None:
    """The speed that a command asks for, if it is one that does."""
    try:
        command = decode_command(line)
    except (WireError, CrcMismatch):
        return None
    return COMM_BAUDS[command.arguments[0].upper()] if command.name == "COMM" else None
