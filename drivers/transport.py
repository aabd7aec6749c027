"""Byte pipes: a serial port with one owner, a TCP link, both non-blocking. Knows no device.

What a write leaves over is kept and sent when the descriptor has room; a frame begun is always finished first.
"""

import errno
import fcntl
import os
import socket
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path

import serial

from drivers.values import NotThere, Owned

TIOCSBRK, TIOCCBRK = 0x5427, 0x5428  # Linux; the termios module does not name them
BACKLOG_LIMIT = 4096  # bytes: a device that takes nothing for so long is not there


def open_serial(path: Path, baud: int, *, rts_low: bool = False) -> int:
    """Open the device behind `path` raw, 8N1, no handshake, non-blocking, and lock it against every other owner.

    `rts_low`: the line RTS is held low from the first moment at which a program can (some trigger cables fire on it); the operating
    system itself may raise it for an instant before. A port without modem lines, such as a pty, is taken as it is: see `rts_is_low`.
    Returns a descriptor whose lock lasts until its last copy is closed (a child that inherits it shares the lock).
    Raises Owned when someone else holds it, NotThere when it cannot be opened; nothing is written.
    """
    real = os.path.realpath(path)
    try:
        port = serial.Serial(None, baud, timeout=0, exclusive=True)
        port.rts = not rts_low
        port.port = real
        port.open()
    except serial.SerialException as error:
        if error.errno in (errno.EAGAIN, errno.EACCES) and os.access(real, os.R_OK | os.W_OK):
            raise Owned("another program owns this port", str(path), "Stop the other program; one owner only.") from error
        raise NotThere(f"the port cannot be opened ({error})", str(path), "Check the cable, the name and the permissions.") from error
    except OSError as error:
        raise NotThere(f"the port cannot be opened ({error})", str(path), "Check the cable, the name and the permissions.") from error
    fd = os.dup(port.fileno())  # same open file description: the lock stays with it when the Python object closes
    port.close()
    os.set_blocking(fd, False)
    _tell_silence_from_the_end(fd)
    return fd


def _tell_silence_from_the_end(fd: int) -> None:
    """By pyserial's settings a read with nothing there gives no bytes, as a port that is gone does; this way it gives EAGAIN."""
    settings = termios.tcgetattr(fd)
    settings[6][termios.VMIN], settings[6][termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, settings)


@dataclass(frozen=True, slots=True)
class SerialLine:
    """The wire to one device, as its family wants it opened."""

    path: Path
    baud: int
    rts_low: bool = False

    def open(self) -> int:
        """See `open_serial`. Raises NotThere, with nothing written, also for a port that does not keep RTS as low as is wanted."""
        fd = open_serial(self.path, self.baud, rts_low=self.rts_low)
        if self.rts_low and not _may_be_low(fd):
            os.close(fd)
            raise NotThere("its RTS line is not seen low, and a trigger cable may fire on it", str(self.path), "Take another adapter.")
        return fd


def _may_be_low(fd: int) -> bool:
    try:
        return rts_is_low(fd) is not False
    except OSError:
        return False


def rts_is_low(fd: int) -> bool | None:
    """Whether the open port's RTS is verified to be low; None where the port has no modem lines. Raises OSError for any other failure."""
    try:
        lines = fcntl.ioctl(fd, termios.TIOCMGET, b"\0\0\0\0")
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return None
        raise
    return not int.from_bytes(lines, sys.byteorder) & termios.TIOCM_RTS


def set_line(fd: int, baud: int, *, handshake: bool = False) -> None:
    """Another speed for an open port, from now on, with or without hardware handshake. Raises NotThere when the port has no such speed."""
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        raise NotThere(f"no port has {baud} baud", "serial line", "Choose another speed in the chair file.")
    try:
        settings = termios.tcgetattr(fd)
        settings[2] = settings[2] | termios.CRTSCTS if handshake else settings[2] & ~termios.CRTSCTS
        settings[4] = settings[5] = speed
        termios.tcsetattr(fd, termios.TCSANOW, settings)
    except (termios.error, OSError) as error:
        raise NotThere(f"the port does not take {baud} baud ({error})", "serial line", "Choose another speed in the chair file.") from error


def hold_break(fd: int, on: bool) -> None:
    """Begin or end a break, without waiting. A line that can carry none (a pty: it has no modem lines) gets a zero byte at its begin.

    Raises OSError when the port is gone.
    """
    if rts_is_low(fd) is not None:
        fcntl.ioctl(fd, TIOCSBRK if on else TIOCCBRK)
    elif on:
        os.write(fd, b"\0")


class Pipe:
    """One non-blocking descriptor with its unsent rest. Reads and writes never wait."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._unsent = bytearray()

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def write(self, data: bytes) -> bool:
        """Send now what fits, keep the rest in order. False: the far end takes nothing any more."""
        self._unsent += data
        return self.flush()

    def flush(self) -> bool:
        while self._unsent:
            try:
                sent = os.write(self.fd, self._unsent)
            except BlockingIOError:
                return len(self._unsent) <= BACKLOG_LIMIT
            except OSError:
                return False
            del self._unsent[:sent]
        return True

    def read(self) -> bytes | None:
        """All that has arrived, empty if nothing; None when the far end is gone."""
        chunks: list[bytes] = []
        while True:
            try:
                chunk = os.read(self.fd, 65536)
            except BlockingIOError:
                break
            except OSError:
                return b"".join(chunks) or None
            if not chunk:
                return b"".join(chunks) or None
            chunks.append(chunk)
            if len(chunk) < 65536:
                break
        return b"".join(chunks)

    def close(self) -> None:
        os.close(self.fd)


def connect_tcp(host: str, port: int) -> socket.socket:
    """Begin a connection without waiting; it is open once the socket is writable and `connect_error` says None."""
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise NotThere(f"the name cannot be resolved ({error})", f"{host}:{port}", "Check the address in the chair file.") from error
    link = socket.socket(address[0], address[1], address[2])
    link.setblocking(False)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code = link.connect_ex(address[4])
    if code not in (0, errno.EINPROGRESS):
        link.close()
        raise NotThere(f"no connection ({os.strerror(code)})", f"{host}:{port}", "Check power, cable and address.")
    return link


def connect_error(link: socket.socket) -> str | None:
    """Why a begun connection failed; None when it is open."""
    code = link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return os.strerror(code) if code else None


def monotonic_ns() -> int:
    """The host's monotonic clock, one for all its processes."""
    return time.monotonic_ns()
