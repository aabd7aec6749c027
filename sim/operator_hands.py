"""The operator's hands: physical acts, asked for over the room's socket and waited for without letting anything else starve."""

import json
import select
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

CONNECT_S = 5.0
MAX_LINE = 65_536
AGAIN = "Start it again with the same --dir."


class RoomSaysNo(Exception):
    """The room is not there, or cannot do what was asked."""


class Hands:
    """One connection to a room. `meanwhile` is called again and again while an act takes its time."""

    def __init__(self, path: Path, meanwhile: Callable[[], object]) -> None:
        self._where = path
        self._meanwhile = meanwhile
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(CONNECT_S)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise RoomSaysNo(f"{path}: no room answers there ({error.strerror}). Start one with: atmsd sim room --dir DIR") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def do(self, act: str, **how: object) -> dict[str, object]:
        """Carry out one act and return when the hand has done it, with what there was to see. Raises `RoomSaysNo`."""
        try:
            answer: dict[str, object] = json.loads(self._asked({"do": act, **how}))
        except OSError as error:
            raise RoomSaysNo(f"{self._where}: the room went away during {act!r}. {AGAIN}") from error
        if not answer["ok"]:
            raise RoomSaysNo(f"{self._where}: {act}: {answer['error']}")
        return answer

    def _asked(self, request: dict[str, object]) -> bytes:
        """The line that answers one line. Raises OSError when the room goes away."""
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            while not select.select([self._socket], [], [], 0)[0]:
                self._meanwhile()
            piece = self._socket.recv(MAX_LINE)
            if not piece or len(line) > MAX_LINE:
                raise ConnectionError("no whole answer")
            line += piece
        return line
