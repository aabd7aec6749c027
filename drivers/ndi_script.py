"""One conversation with a Polaris camera, run to its end: what to send and when, what was answered, what to repeat. No bytes decoded.

A script is a generator: it yields what to ask and is sent each undamaged text reply.
"""

from collections.abc import Generator
from typing import Generic, TypeVar

import msgspec

from drivers.ndi_codes_wire import ERROR_DAMAGED
from drivers.ndi_wire import Reply, TextReply
from drivers.protocols import LineChange
from drivers.values import NoReply, WireError

SECOND_NS = 1_000_000_000
End = TypeVar("End")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One command, or without bytes to send a change of the line and a wait.

    `repeatable`: sending it again after a damaged reply changes nothing that the first did not. `may_fail`: an answer that does not come
    or is damaged is no error, but None to the script.
    """

    name: str
    sent: bytes = b""
    limit_ns: int
    repeatable: bool = False
    quiet_before_ns: int = 0
    line: LineChange | None = None
    may_fail: bool = False


class Say(msgspec.Struct, frozen=True):
    """What is to be done now: bytes to send, or a change of the line."""

    send: bytes = b""
    line: LineChange | None = None


NOTHING = Say()


class ScriptRun(Generic[End]):
    """Runs a script on one link: sends each command when its quiet time is over, waits, repeats what was damaged.

    `result` is what the script returned, once it is at its end.
    """

    REPEATS = 3  # of one command

    def __init__(self, script: Generator[Ask, TextReply | None, End], where: str, now_ns: int) -> None:
        self._script = script
        self._where = where
        self._repeats = 0
        self._is_sent = False
        self.result: End | None = None
        self._queue(next(script), now_ns)

    @property
    def wake_ns(self) -> int:
        return self._due_ns + (self._ask.limit_ns if self._is_sent else 0)

    def tick(self, now_ns: int) -> Say:
        """What to do now, if anything. Raises NoReply when the answer is overdue, and what the script raises."""
        if self.result is not None or now_ns < self.wake_ns:
            return NOTHING
        if self._is_sent and not self._ask.may_fail:
            what = f"no answer to {self._ask.name} within {self._ask.limit_ns // SECOND_NS} s"
            raise NoReply(what, self._where, "Check that the camera is on and its cable is whole; it is tried again by itself.")
        if self._is_sent:
            self._go_on(None, now_ns)
            return self.tick(now_ns)
        self._is_sent, self._due_ns = True, now_ns
        return Say(self._ask.sent, self._ask.line)

    def take(self, reply: Reply, now_ns: int) -> None:
        """An undamaged reply. Raises Refused, WireError."""
        if not self._is_sent or not isinstance(reply, TextReply):
            raise WireError(f"a reply came that nothing asked for ({reply!r:.40})", self._where, "The link is opened again by itself.")
        if reply.error == ERROR_DAMAGED:
            self._repeat(now_ns, "the camera gets our commands damaged")
        else:
            self._go_on(reply, now_ns)

    def damaged(self, now_ns: int) -> None:
        """The reply cannot be read: ask again if that is harmless. Raises WireError when it is not, or after three times."""
        if self._ask.may_fail:
            return  # what is awaited may still come; the limit decides
        if not self._ask.repeatable:
            raise WireError(f"the answer to {self._ask.name} is damaged", self._where, "It is set up again by itself; check the cable.")
        self._repeat(now_ns, "the camera's answers are damaged")

    def _go_on(self, reply: TextReply | None, now_ns: int) -> None:
        self._repeats = 0
        try:
            self._queue(self._script.send(reply), now_ns)
        except StopIteration as end:
            self.result = end.value

    def _repeat(self, now_ns: int, what: str) -> None:
        self._repeats += 1
        if self._repeats > self.REPEATS:
            raise WireError(what, self._where, "Check the cable; it is tried again by itself.")
        self._queue(self._ask, now_ns)

    def _queue(self, ask: Ask, now_ns: int) -> None:
        self._ask, self._is_sent, self._due_ns = ask, False, now_ns + ask.quiet_before_ns
