"""The ways to a camera's bytes: a TCP connection or a serial port, opened without waiting, and what may be done to each line."""

import os
import socket
from pathlib import Path
from typing import Protocol

from drivers.protocols import LineChange
from drivers.transport import Pipe, connect_error, connect_tcp, hold_break, open_serial, set_line
from drivers.values import NotThere

SERIAL_PREFIX, TCP_PREFIX = "serial:", "tcp://"
CONNECT_NS = 2_000_000_000
START_BAUD = 9600  # of every camera after power-up
NEVER_NS = 1 << 62


class Door(Protocol):
    """Opened, passed, closed, and opened again. `wake_ns`: when `turn` has something to do by itself."""

    where: str
    wake_ns: int

    def open(self, now_ns: int) -> None:
        """Begin; never waits. Raises NotThere."""

    def opening(self) -> int | None:
        """The descriptor that becomes writable when it is open; None when it is not being opened."""

    def enter(self, ready: set[int], now_ns: int) -> Pipe | None:
        """The open pipe, None while it is not open yet. Raises NotThere."""

    def change(self, line: LineChange, now_ns: int) -> None:
        """Raises NotThere when the line does not take it."""

    def turn(self, now_ns: int) -> None:
        """Do what is due. Raises NotThere."""

    def close(self) -> None: ...


def door_to(endpoint: str) -> Door:
    """`tcp://HOST:PORT` or `serial:/dev/...`, as checked in the chair's file."""
    if endpoint.startswith(SERIAL_PREFIX):
        return SerialDoor(Path(endpoint.removeprefix(SERIAL_PREFIX)))
    host, _, port = endpoint.removeprefix(TCP_PREFIX).rpartition(":")
    return TcpDoor(host, int(port))


def is_local(endpoint: str) -> bool:
    """On this machine, where a simulator is: its own address, or a pseudo terminal."""
    if endpoint.startswith(SERIAL_PREFIX):
        return os.path.realpath(endpoint.removeprefix(SERIAL_PREFIX)).startswith("/dev/pts/")
    return endpoint.removeprefix(TCP_PREFIX).rpartition(":")[0] in ("127.0.0.1", "localhost")


class TcpDoor:
    """A connection to a camera on the network; its line is nobody's to change."""

    def __init__(self, host: str, port: int) -> None:
        self.where = f"{host}:{port}"
        self.wake_ns = NEVER_NS
        self._host, self._port = host.strip("[]"), port
        self._socket: socket.socket | None = None

    def open(self, now_ns: int) -> None:
        self._socket = connect_tcp(self._host, self._port)
        self.wake_ns = now_ns + CONNECT_NS

    def opening(self) -> int | None:
        return None if self._socket is None else self._socket.fileno()

    def enter(self, ready: set[int], now_ns: int) -> Pipe | None:
        if self._socket is None:
            return None
        if self._socket.fileno() in ready:
            why = connect_error(self._socket)
            if why is not None:
                raise NotThere(f"no connection to {self.where} ({why})", self.where, "Check the tracker's power, cable and address.")
            self.wake_ns = NEVER_NS
            return Pipe(self._socket.fileno())
        if now_ns >= self.wake_ns:
            raise NotThere(f"{self.where} does not answer", self.where, "Check the tracker's power, cable and address.")
        return None

    def change(self, line: LineChange, now_ns: int) -> None:
        """A driver for TCP asks for none."""

    def turn(self, now_ns: int) -> None:
        """Nothing is ever due on an open connection."""

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self.wake_ns = None, NEVER_NS


class SerialDoor:
    """A serial port under an exclusive lock, at 9600 until the driver asks for more."""

    def __init__(self, port: Path) -> None:
        self.where = str(port)
        self.wake_ns = NEVER_NS
        self._port = port
        self._fd: int | None = None
        self._after_break: LineChange | None = None

    def open(self, now_ns: int) -> None:
        self._fd = open_serial(self._port, START_BAUD)
        self.wake_ns = now_ns

    def opening(self) -> int | None:
        return self._fd

    def enter(self, ready: set[int], now_ns: int) -> Pipe | None:  # noqa: ARG002  # a port is open as soon as it is opened
        self.wake_ns = NEVER_NS
        return None if self._fd is None else Pipe(self._fd)

    def change(self, line: LineChange, now_ns: int) -> None:
        if self._fd is None:
            return
        set_line(self._fd, line.baud, handshake=line.handshake)
        if line.break_ns:
            self._break(True)
            self._after_break, self.wake_ns = line, now_ns + line.break_ns

    def turn(self, now_ns: int) -> None:
        if self._after_break is not None and now_ns >= self.wake_ns:
            self._after_break, self.wake_ns = None, NEVER_NS
            self._break(False)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd, self._after_break, self.wake_ns = None, None, NEVER_NS

    def _break(self, on: bool) -> None:
        if self._fd is None:
            return
        try:
            hold_break(self._fd, on)
        except OSError as error:
            raise NotThere(f"the port is gone ({error})", self.where, "Check the tracker's cable.") from error
