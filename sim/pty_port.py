"""A pseudo terminal that stands for a device's serial port: raw, never hung up, findable by a stable name.

Bytes only; knows no device. The client's side is kept open here too, so that clients may close and reopen as they like.
"""

import os
import termios
import tty
from pathlib import Path
from types import TracebackType
from typing import Self


class PtyPort:
    """Master descriptor `fd` for the simulator, `device` for clients, and a link to it once `announce` was called.

    Raises FileExistsError when something that is no symbolic link stands at `link`.
    """

    def __init__(self, link: Path | None = None) -> None:
        if link is not None and link.exists() and not link.is_symlink():
            raise FileExistsError(f"{link} exists and is no link to a pty; name another place or remove it")
        self.fd, self._client_fd = os.openpty()
        tty.setraw(self._client_fd)
        os.set_blocking(self.fd, False)
        self.device = Path(os.ttyname(self._client_fd))
        self.link = link

    @property
    def endpoint(self) -> Path:
        """What a client opens."""
        return self.device if self.link is None else self.link

    def announce(self) -> None:
        """Put the link in place, in one step, over a stale one."""
        if self.link is None:
            return
        fresh = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self.device)
        fresh.replace(self.link)

    def speed(self) -> int:
        """The speed that the client's side is set to, as a constant of termios."""
        return int(termios.tcgetattr(self._client_fd)[5])

    def read(self) -> bytes:
        """What clients have written, empty if nothing."""
        try:
            return os.read(self.fd, 4096)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> None:
        """Send; what does not fit is lost, as on a wire to which nobody listens."""
        while data:
            try:
                data = data[os.write(self.fd, data) :]
            except BlockingIOError:
                return

    def close(self) -> None:
        """Remove the link, if it is still ours, and hang up."""
        if self.link is not None and self.link.is_symlink() and self.link.readlink() == self.device:
            self.link.unlink()
        os.close(self.fd)
        os.close(self._client_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
