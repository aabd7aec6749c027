"""The way to a tracker that streams by LSL: a reader process of its own behind a socket pair.

The hot loop polls one descriptor and waits for nothing. The reader ends when the socket does, so it never outlives who started it.
"""

import socket
import subprocess
import sys

from daemon.tracker_doors import NEVER_NS
from drivers.protocols import LineChange
from drivers.transport import Pipe
from drivers.values import NotThere


class ReaderDoor:
    """As a connection, but that what it opens is a reader; it is linked at once."""

    def __init__(self) -> None:
        self.where = "reader of LSL"
        self.wake_ns = NEVER_NS
        self._socket: socket.socket | None = None
        self._reader: subprocess.Popen[bytes] | None = None

    def open(self, now_ns: int) -> None:
        """Start a reader."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        command = [sys.executable, "-m", "drivers.lsl_reader", str(theirs.fileno())]
        try:
            self._reader = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        except OSError as error:
            ours.close()
            raise NotThere(f"no process can be started ({error.strerror})", self.where, "Look at the machine.") from error
        finally:
            theirs.close()
        self._socket, self.wake_ns = ours, now_ns

    def opening(self) -> int | None:
        return None if self._socket is None else self._socket.fileno()

    def enter(self, ready: set[int], now_ns: int) -> Pipe | None:  # noqa: ARG002  # a socket pair is open as soon as it is made
        self.wake_ns = NEVER_NS
        return None if self._socket is None else Pipe(self._socket.fileno())

    def change(self, line: LineChange, now_ns: int) -> None:
        """A driver for streams asks for none."""

    def turn(self, now_ns: int) -> None:
        """Nothing is ever due on an open pair."""

    def close(self) -> None:
        """A reader that has not ended with its socket is ended; a killed one is gone at once."""
        if self._socket is not None:
            self._socket.close()
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.kill()
            reader.wait()
        self._socket, self.wake_ns = None, NEVER_NS
