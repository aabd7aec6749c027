"""The thread between the supervisor and each of its children: beats both ways, and its end noticed at once.

Standard library alone: the supervisor uses it too. A beat is eight bytes, the monotonic time at which it was made.
"""

import enum
import socket
import struct

_BEAT = struct.Struct("<q")


class Note(enum.IntEnum):
    """What the supervisor may say besides that it lives; negative, so that no clock can say it."""

    DISARMED = -1  # the hot process is gone, the stimulator confirmed that it is off
    NOT_DISARMED = -2  # gone, and nothing confirmed


class Lifeline:
    """One end. `heard_ns`: when the newest beat of the other side was made; None before the first."""

    def __init__(self, fd: int) -> None:
        self._end = socket.socket(fileno=fd)
        self._end.setblocking(False)
        self.heard_ns: int | None = None
        self.note: Note | None = None
        self.cut = False

    def fileno(self) -> int:
        return self._end.fileno()

    def beat(self, now_ns: int) -> None:
        """Tell that we live. A full queue means that the other side does not read: its own trouble."""
        self._say(now_ns)

    def tell(self, note: Note) -> None:
        self._say(note)

    def _say(self, value: int) -> None:
        try:
            self._end.send(_BEAT.pack(value))
        except BlockingIOError:
            return
        except OSError:
            self.cut = True

    def listen(self) -> bool:
        """Take all beats in; True once the other side is gone."""
        while not self.cut:
            try:
                data = self._end.recv(_BEAT.size)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if len(data) != _BEAT.size:
                self.cut = True
                break
            (value,) = _BEAT.unpack(data)
            if value < 0:
                self.note = Note(value)
            else:
                self.heard_ns = value
        return self.cut

    def close(self) -> None:
        self._end.close()
