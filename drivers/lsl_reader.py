"""Reads one LSL stream for a driver that may not wait: a process of its own, which hands samples over a socket.

Owns the inlet and the two clocks' exchange. What the samples mean is the driver's. Needs the `lsl` extra.
"""

import ctypes
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from drivers.lsl_wire import Follow, Found, FromReader, Looking, PacketReader, Quiet, Sample, encode
from drivers.mocap_wire import read_layout
from drivers.values import WireError

RESOLVE_S = 0.8  # a second stream of the same name may answer only the second call, which goes out after 0.5 s
DESCRIBE_S = 2.0
PULL_S = 0.1  # and so often the driver is listened to
QUIET_S = 0.5
CLOCK_S = 0.5  # between looks at the exchanged times; LSL renews them every few seconds
FIRST_CLOCK_S = 2.0
BUFFERED_S = 2
CLOCK_READS = 5
NS = 1_000_000_000
UNAVAILABLE = 69


class Gone(Exception):
    """The driver has hung up, or wants another stream: `follow`, None when it has hung up."""

    def __init__(self, follow: Follow | None) -> None:
        super().__init__()
        self.follow = follow


class Reader:
    """One driver's reader. `lsl` is the pylsl module."""

    def __init__(self, link: socket.socket, lsl: Any) -> None:
        self._link, self._lsl = link, lsl
        self._packets: PacketReader[Follow] = PacketReader(Follow, "LSL reader")

    def run(self) -> None:
        """Until the driver hangs up."""
        follow: Follow | None = self._next_wish()
        while follow is not None:
            try:
                self._follow(follow.stream)
            except Gone as gone:
                follow = gone.follow

    def _next_wish(self) -> Follow | None:
        try:
            self._listen(None)
        except Gone as gone:
            return gone.follow
        return None

    def _listen(self, timeout_s: float | None = 0.0) -> None:
        """Raises Gone when the driver has said something, or nothing any more."""
        while select.select([self._link], [], [], timeout_s)[0]:
            try:
                data = self._link.recv(65536)
                wishes = list(self._packets.push(data))
            except (OSError, WireError):
                raise Gone(None) from None
            if not data:
                raise Gone(None)
            if wishes:
                raise Gone(wishes[-1])

    def _tell(self, packet: FromReader) -> None:
        try:
            self._link.sendall(encode(packet))
        except OSError:
            raise Gone(None) from None

    # ---- the stream --------------------------------------------------------------------------------------------------

    def _follow(self, stream: str) -> None:
        """Find it, read it, find it again. Ends by Gone alone."""
        where = f"LSL stream {stream!r}"
        while True:
            self._listen()
            found = [info for info in self._lsl.resolve_byprop("name", stream, 2, RESOLVE_S) if info.type() == "MoCap"]
            if len(found) != 1:
                why = f"{len(found)} streams bear this name" if found else ""
                self._tell(Looking(why=why, remedy="Let each sender have a name of its own." if found else ""))
                continue
            try:
                self._read(found[0], where)
            except (self._lsl.util.LostError, self._lsl.util.TimeoutError):
                self._tell(Looking())
            except WireError as error:
                self._tell(Looking(why=error.what, remedy=error.remedy))

    def _read(self, found: Any, where: str) -> None:
        inlet = self._lsl.StreamInlet(found, max_buflen=BUFFERED_S, max_chunklen=1, recover=False)
        try:
            info = inlet.info(DESCRIBE_S)
            layout = read_layout(info.as_xml(), where)
            clock = Exchange(inlet, self._lsl)
            self._tell(Found(layout=layout, is_local=layout.host == socket.gethostname()))
            inlet.open_stream(DESCRIBE_S)
            self._pass_on(inlet, clock)
        finally:
            inlet.close_stream()

    def _pass_on(self, inlet: Any, clock: "Exchange") -> None:
        quiet_s = time.monotonic()
        while True:
            self._listen()
            values, stamp_s = inlet.pull_sample(PULL_S)
            now_ns = time.monotonic_ns()
            clock.look(now_ns)
            if values is not None:
                sample = Sample(
                    stamp_ns=round(stamp_s * NS),
                    arrived_ns=now_ns,
                    host_minus_source_ns=clock.host_minus_source_ns,
                    bound_ns=clock.bound_ns,
                    values=tuple(values),
                )
                self._tell(sample)
                quiet_s = time.monotonic()
            elif time.monotonic() - quiet_s >= QUIET_S:
                quiet_s = time.monotonic()
                self._tell(Quiet())


class Exchange:
    """The sender's clock against the host's monotonic one: LSL's own exchange of times, then LSL's clock here against the host's."""

    def __init__(self, inlet: Any, lsl: Any) -> None:
        self._inlet, self._lsl = inlet, lsl
        function = lsl.lib.lib.lsl_time_correction_ex
        doubles = ctypes.POINTER(ctypes.c_double)
        function.restype = ctypes.c_double
        function.argtypes = [ctypes.c_void_p, doubles, doubles, ctypes.c_double, ctypes.POINTER(ctypes.c_int)]
        self._function = function
        self._look_ns = 0
        self.host_minus_source_ns: int | None = None
        self.bound_ns: int | None = None
        self._ask(FIRST_CLOCK_S)

    def look(self, now_ns: int) -> None:
        if now_ns >= self._look_ns:
            self._look_ns = now_ns + round(CLOCK_S * NS)
            self._ask(0.0 if self.bound_ns is None else FIRST_CLOCK_S)  # an estimate that is there is handed over at once

    def _ask(self, timeout_s: float) -> None:
        remote_s, uncertainty_s, code = ctypes.c_double(), ctypes.c_double(), ctypes.c_int()
        correction_s = self._function(
            self._inlet.obj, ctypes.byref(remote_s), ctypes.byref(uncertainty_s), timeout_s, ctypes.byref(code)
        )
        try:
            self._lsl.util.handle_error(code)
        except self._lsl.util.TimeoutError:
            return
        host_minus_local_ns, width_ns = _host_minus_local(self._lsl)
        self.host_minus_source_ns = round(correction_s * NS) + host_minus_local_ns
        self.bound_ns = round(uncertainty_s.value * NS) + width_ns


def _host_minus_local(lsl: Any) -> tuple[int, int]:
    """The host's monotonic clock less LSL's here, ns, and how wide the narrowest of a few pairs of readings lay around it."""
    best = (0, 1 << 62)
    for _ in range(CLOCK_READS):
        before_ns = time.monotonic_ns()
        local_ns = round(lsl.local_clock() * NS)
        after_ns = time.monotonic_ns()
        best = min(best, ((before_ns + after_ns) // 2 - local_ns, after_ns - before_ns), key=lambda pair: pair[1])
    return best


def serve(link: socket.socket) -> int:
    """Read for the driver at the other end until it hangs up. Returns an exit code."""
    try:
        import pylsl  # noqa: PLC0415  # an extra
    except (ImportError, RuntimeError):
        link.sendall(encode(Looking(why="pylsl cannot be loaded", remedy="Install atmsd[lsl].")))
        return UNAVAILABLE
    Reader(link, pylsl).run()
    return 0


def main(arguments: list[str]) -> int:
    """`python -m drivers.lsl_reader FD`: the descriptor of the socket to the driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the supervisor's to answer: the socket closes then
    os.set_blocking(int(arguments[0]), True)
    with socket.socket(fileno=int(arguments[0])) as link:
        return serve(link)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
