"""The way to a trigger box: starts the bridge process and gives its owner the other end of it, one owner at a time on this machine."""

import importlib.util
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from drivers.values import NotThere, Owned

BRIDGE: Final = "drivers.lsl_bridge"


class LslLine:
    """One box by the names of its streams. Nothing is started before `open`.

    `receipts` may be the same name as `status`, and is None where the box has none.
    """

    def __init__(self, trigger: str, status: str, receipts: str | None) -> None:
        self._trigger, self._status, self._receipts = trigger, status, receipts
        self._bridges: list[subprocess.Popen[bytes]] = []

    @property
    def path(self) -> Path:
        """What it is called; no file is there."""
        return Path("lsl:") / self._trigger

    def open(self) -> int:
        """A non-blocking descriptor to a bridge of its own, which ends once every copy of the descriptor is closed.

        The box may not be there yet: that is told over the line. Raises Owned while another bridge has this trigger stream, NotThere
        without pylsl.
        """
        self._bridges = [bridge for bridge in self._bridges if bridge.poll() is None]
        if importlib.util.find_spec("pylsl") is None:
            raise NotThere("pylsl cannot be loaded", str(self.path), "Install atmsd[lsl].")
        with self._lock() as lock:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            arguments = ["--fd", str(theirs.fileno()), "--trigger", self._trigger, "--status", self._status]
            arguments += [] if self._receipts is None else ["--receipts", self._receipts]
            command = [sys.executable, "-m", BRIDGE, *arguments]
            kept_open = (theirs.fileno(), lock.fileno())  # the lock is the bridge's from now on: it ends with it
            with theirs:
                self._bridges.append(subprocess.Popen(command, pass_fds=kept_open, stdin=subprocess.DEVNULL))
        ours.setblocking(False)
        return ours.detach()

    def _lock(self) -> socket.socket:
        """A name in this machine's own space, which the kernel frees when the bridge ends, however it ends."""
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lock.bind(f"\0atmsd-lsl-{self._trigger}")
        except OSError as error:
            lock.close()
            raise Owned("another program drives this trigger stream", str(self.path), "Stop the other program; one owner only.") from error
        return lock

    @property
    def bridges(self) -> tuple[int, ...]:
        """Process ids of the bridges that live."""
        return tuple(bridge.pid for bridge in self._bridges if bridge.poll() is None)

    def wait_ended(self, timeout_s: float) -> None:
        """For whoever has closed the descriptor and wants the bridges gone. Raises subprocess.TimeoutExpired."""
        for bridge in self._bridges:
            bridge.wait(timeout_s)
