"""Commands that a Magstim answers, in the order in which they are put: one at a time, each answer paired with its command.

Not the disarm and the fire command: those never wait in a line.
"""

from collections import deque
from collections.abc import Sequence

import msgspec

from drivers.magstim_command_wire import Ask, Command
from drivers.magstim_wire import BadData, Conflict, NoSuchCommand, Reply, letter_of

SETTING_LIMIT_NS = 300_000_000  # an answer takes 6 to 28 ms; what a later one means is not known
POLL_LIMIT_NS = 120_000_000  # a question is put again soon, so that the armed unit's second does not run out


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One command and what a person calls it."""

    command: Command
    letter: str
    what: str

    @property
    def is_question(self) -> bool:
        return isinstance(self.command, Ask)

    @property
    def limit_ns(self) -> int:
        return POLL_LIMIT_NS if self.is_question else SETTING_LIMIT_NS


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An order with the answer that came to it."""

    order: Order
    reply: Reply

    @property
    def is_refused(self) -> bool:
        return isinstance(self.reply, BadData | Conflict | NoSuchCommand)


class Line:
    """Orders waiting their turn, and the one that is out."""

    def __init__(self) -> None:
        self._waiting: deque[Order] = deque()
        self.out: Order | None = None
        self._sent_ns = 0
        self.missed = 0  # questions in a row that were not answered

    @property
    def is_empty(self) -> bool:
        return not self._waiting and self.out is None

    @property
    def expires_ns(self) -> int | None:
        """When the order that is out is given up; None when none is."""
        return None if self.out is None else self._sent_ns + self.out.limit_ns

    def put(self, orders: Sequence[Order]) -> None:
        self._waiting.extend(orders)

    def clear(self) -> None:
        self._waiting.clear()
        self.out = None

    def next_command(self, now_ns: int) -> Command | None:
        """The next command, unless one is out or none waits."""
        if self.out is not None or not self._waiting:
            return None
        self.out, self._sent_ns = self._waiting.popleft(), now_ns
        return self.out.command

    def take(self, reply: Reply) -> Answered | None:
        """The order that this reply answers; None for one that nobody waits for."""
        order = self.out
        if order is None or letter_of(reply) not in (order.letter, ""):
            return None
        self.out, self.missed = None, 0
        return Answered(order=order, reply=reply)

    def expire(self, now_ns: int) -> Order | None:
        """Give up the order that is out once its time has passed: a question is put again first of all, a setting is returned."""
        if self.out is None or now_ns < self._sent_ns + self.out.limit_ns:
            return None
        order, self.out = self.out, None
        self.missed += 1
        if not order.is_question:
            return order
        self._waiting.appendleft(order)
        return None
