"""The unix socket at which acts are asked for: several visitors, one act at a time each, answered when the act is done.

One thread, that of `run_forever`; an act that takes time is a moment to come, never a wait. Knows no world.
"""

import selectors
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from sim.room_acts import Answer, Request

RECEIVE_BYTES = 4096
LONGEST_LINE = 65_536
LONGEST_PATH = 100  # a unix socket's name holds 107 bytes

Act = Callable[[Request], tuple[int, Answer]]  # when it is done (monotonic ns), and what to say then

_decode = msgspec.json.Decoder(Request).decode
_encode = msgspec.json.Encoder().encode


class DoorError(Exception):
    """The socket cannot be had: what, where, what to do."""


class _Visitor:
    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.heard = b""
        self.asked: deque[bytes] = deque()
        self.due: tuple[int, Answer] | None = None
        self.asks_no_more = False


class RoomDoor:
    """A socket at `path` while the `with` lasts; who comes before `run_forever` waits. Raises `DoorError` when another room is there."""

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        self._path, self._clock = path, clock
        self._listener = _listening(path)
        self._waker, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._visitors: dict[int, _Visitor] = {}
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._path.unlink(missing_ok=True)
        for visitor in tuple(self._visitors.values()):
            self._drop(visitor)
        self._selector.close()
        for end in (self._listener, self._waker, self._woken):
            end.close()

    def shut(self) -> None:
        """Let `run_forever` return; from any thread."""
        self._open = False
        self._waker.send(b"\0")

    def run_forever(self, act: Act) -> None:
        """Serve until `shut`."""
        while self._open:
            for key, _ in self._selector.select(self._patience_s()):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.data, _Visitor):
                    self._hear(key.data)
            for visitor in tuple(self._visitors.values()):
                self._answer(visitor, act)

    def _patience_s(self) -> float | None:
        dues = [visitor.due[0] for visitor in self._visitors.values() if visitor.due is not None]
        return max(0.0, (min(dues) - self._clock()) / 1e9) if dues else None

    def _accept(self) -> None:
        link, _ = self._listener.accept()
        link.setblocking(False)
        visitor = self._visitors[link.fileno()] = _Visitor(link)
        self._selector.register(link, selectors.EVENT_READ, visitor)

    def _hear(self, visitor: _Visitor) -> None:
        try:
            data = visitor.link.recv(RECEIVE_BYTES)
        except OSError:
            data = b""
        *lines, visitor.heard = (visitor.heard + data).split(b"\n")
        visitor.asked.extend(lines)
        if not data or len(visitor.heard) > LONGEST_LINE:
            visitor.asks_no_more = True  # but may still listen for the answers
            self._selector.unregister(visitor.link)

    def _answer(self, visitor: _Visitor, act: Act) -> None:
        """Begin what is asked and say what is done, as far as the time is right."""
        while visitor.link.fileno() in self._visitors:
            if visitor.due is None and not visitor.asked:
                if visitor.asks_no_more:
                    self._drop(visitor)
                return
            if visitor.due is None:
                visitor.due = self._begin(visitor.asked.popleft(), act)
            done_ns, answer = visitor.due
            if self._clock() < done_ns:
                return
            visitor.due = None
            try:
                visitor.link.sendall(_encode(answer) + b"\n")
            except OSError:
                self._drop(visitor)

    def _begin(self, line: bytes, act: Act) -> tuple[int, Answer]:
        try:
            return act(_decode(line))
        except (msgspec.DecodeError, ValueError) as error:
            return self._clock(), Answer(ok=False, error=str(error))

    def _drop(self, visitor: _Visitor) -> None:
        del self._visitors[visitor.link.fileno()]
        if not visitor.asks_no_more:
            self._selector.unregister(visitor.link)
        visitor.link.close()


def _listening(path: Path) -> socket.socket:
    if len(str(path)) > LONGEST_PATH:
        raise DoorError(f"{path}: too long a name for a socket. Choose a --dir of at most {LONGEST_PATH - 10} characters.")
    with socket.socket(socket.AF_UNIX) as knock:
        if knock.connect_ex(str(path)) == 0:
            raise DoorError(f"{path}: another room is running there. End it or choose another --dir.")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    listener.setblocking(False)
    return listener
