"""The hot process's wire to a tracker that streams by LSL: a reader process of its own behind a socket pair.

The hot loop polls one descriptor and waits for nothing. The reader ends when the socket does, so it never outlives who started it.
"""

import contextlib
import socket
import subprocess
import sys

from daemon.hot_links import CONNECT_NS, TrackerLink
from drivers.protocols import Tracker

LEAVE_S = 0.5


class LslLink(TrackerLink):
    """As a link over TCP, but that what it opens is a reader."""

    def __init__(self, driver: Tracker) -> None:
        super().__init__(driver, "reader:0")
        self._reader: subprocess.Popen[bytes] | None = None

    def open(self, now_ns: int) -> None:
        """Start a reader. It is linked at once; an earlier one has ended with its socket."""
        self._bury()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        command = [sys.executable, "-m", "drivers.lsl_reader", str(theirs.fileno())]
        try:
            self._reader = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        except OSError:
            ours.close()
            self._fail(now_ns)
            return
        finally:
            theirs.close()
        self._socket = ours
        self.wake_ns = now_ns + CONNECT_NS

    def farewell(self, now_ns: int) -> None:
        super().farewell(now_ns)
        if self._reader is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._reader.wait(LEAVE_S)
        self._bury()

    def _bury(self) -> None:
        """A reader that has not ended with its socket is ended; never waited for."""
        reader, self._reader = self._reader, None
        if reader is not None and reader.poll() is None:
            reader.kill()
            reader.wait()
