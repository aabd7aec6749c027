"""What is being said between a Magstim and its host: the reader, the line of orders, the picture that comes of it. Decides nothing."""

from drivers.magstim_asking import Line
from drivers.magstim_command_wire import Command, encode_command
from drivers.magstim_frame_wire import Dialect, Family
from drivers.magstim_picture import Picture, seen, tells_status, was_running
from drivers.magstim_reading import ReplyReader
from drivers.magstim_wire import Ack, Reply, Version

MISSED_LIMIT = 3  # questions in a row without an answer


class Conversation:
    """From the opening of one line to its end."""

    def __init__(self, family: Family) -> None:
        self.dialect = Dialect(family=family)
        self.reader = ReplyReader(self.dialect)
        self.line = Line()
        self.picture = Picture()
        self.status_ns = 0  # when the last status came
        self.found_enabled = self.found_running = False  # before anything of ours could have brought it about
        self._unsent = bytearray()

    @property
    def knows_language(self) -> bool:
        """Whether the length of every reply is known: that of a Rapid² depends on its software."""
        return not self.dialect.is_rapid or self.dialect.software is not None

    @property
    def error_is_unnamed(self) -> bool:
        """Whether a Rapid² shows an error whose code has not been asked for; the question needs remote control."""
        status = self.picture.status
        shows = status is not None and status.error and status.remote
        return self.dialect.is_rapid and shows and self.picture.error is None

    def send(self, command: Command) -> None:
        self._unsent += encode_command(command, self.dialect)

    def send_next(self, now_ns: int) -> None:
        """What waits in the line, if nothing is out."""
        command = self.line.next_command(now_ns)
        if command is not None:
            self.send(command)

    def take_unsent(self) -> bytes:
        unsent = bytes(self._unsent)
        self._unsent.clear()
        return unsent

    def note(self, reply: Reply, now_ns: int) -> None:
        """What the reply tells of the unit."""
        self.picture = seen(self.picture, reply)
        if tells_status(reply):
            self.status_ns = now_ns
        if isinstance(reply, Version) and self.dialect.is_rapid:
            self.dialect = Dialect(family=self.dialect.family, software=reply.major)
            self.reader.dialect = self.dialect

    def note_found(self, reply: Reply) -> None:
        """While the unit is being secured: what it was doing. The answer to the disarm shows the state before it."""
        shows_enabled = self.picture.enabled or (isinstance(reply, Ack) and reply.status.enabled)
        self.found_running = self.found_running or was_running(reply)
        self.found_enabled = self.found_enabled or self.found_running or bool(shows_enabled)

    def nobody_answers(self) -> bool:
        """True once for each run of unanswered questions."""
        if self.line.missed < MISSED_LIMIT:
            return False
        self.line.missed = 0
        return True
