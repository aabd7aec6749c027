"""Disarm a Magstim until the unit itself shows it: when to repeat, when to be silent, what proves it. Pure but for its counts.

Not why, and not what follows (drivers.magstim).
"""

from drivers.magstim_command_wire import DISARM, Ask, Command
from drivers.magstim_frame_wire import Dialect
from drivers.magstim_picture import tells_status
from drivers.magstim_wire import InstrumentStatus, RapidParameters, Reply, SystemStatus, letter_of

RETRY_NS = 50_000_000  # disarm and its proof take about 20 ms on the wire
TRIES = 4  # one and three retries; then the alarm
# A unit that hears us but does not disarm is kept armed by every question. It disarms by itself after 1 s without any (user reports):
# so after the alarm a longer silence comes before each further round of tries.
SILENCE_NS = 1_300_000_000


class Safing:
    """One effort to disarm the unit."""

    def __init__(self) -> None:
        self.tries = 0
        self.due_ns = 0
        self.confirmed_ns: int | None = None
        self._proof_is_out = False
        self._alarmed = False

    @property
    def is_silent(self) -> bool:
        """Between two rounds."""
        return self.confirmed_ns is None and self.tries == 0

    def try_again(self, now_ns: int) -> Command:
        """The command of one more try."""
        self.tries += 1
        self._proof_is_out = False
        self.due_ns = now_ns + RETRY_NS
        return DISARM

    def round_is_over(self, now_ns: int) -> bool:
        """Whether a round of tries has just ended in vain; the next begins after the silence."""
        is_over = self.confirmed_ns is None and self.tries >= TRIES and now_ns >= self.due_ns
        if is_over:
            self.tries, self.due_ns = 0, now_ns + SILENCE_NS
        return is_over

    def alarm(self) -> bool:
        """True the first time."""
        is_first, self._alarmed = not self._alarmed, True
        return is_first

    def observe(self, reply: Reply, dialect: Dialect, now_ns: int) -> Command | None:
        """What this reply lets us ask: the answer to a disarm shows the state before it, so the proof is a question put after it."""
        if self.confirmed_ns is not None:
            return None
        if letter_of(reply) == "E" and self.tries and not self._proof_is_out:
            self._proof_is_out = True
            return proof_question(dialect)
        if self._proof_is_out and letter_of(reply) == proof_question(dialect).letter and tells_status(reply):
            status: InstrumentStatus = getattr(reply, "status")  # noqa: B009  # every reply that tells it has one
            is_running = isinstance(reply, SystemStatus | RapidParameters) and reply.rapid.train
            if status.standby and not status.enabled and not is_running:
                self.confirmed_ns = now_ns
        return None


def proof_question(dialect: Dialect) -> Ask:
    """The shortest question whose answer shows all that this unit can be doing."""
    if dialect.has_system_status:
        return Ask(letter="x")
    if dialect.is_rapid and dialect.software is not None:
        return Ask(letter="\\")
    return Ask(letter="F")
