"""Disable a MagPro until the device itself shows it: when to repeat, what proves it. Pure but for its counts.

Not why, and not what follows (drivers.magventure).
"""

from drivers.magventure_command_wire import AskStatus, SetEnabled, encode_command
from drivers.magventure_wire import Event, ShortStatus, StatusBits

RETRY_NS = 100_000_000  # public clients allow one command per 0.1 s
TRIES = 3  # in 300 ms; then the alarm, and the tries go on
SILENCE_NS = 1_000_000_000  # an answer takes 20 to 80 ms; after a second there is nobody

DISABLE = encode_command(SetEnabled(on=False))
# A short status follows the disable. Nothing else asks for one, and answers come in order: it tells of the time after the disable.
PROOF = encode_command(AskStatus())
PROOF_EVERY = 10  # tries after the alarm: a slow device must not be buried in questions


class Safing:
    """One effort to disable the device.

    `enable_in_doubt`: an enable may still wait in the device unanswered (ours, or a dead host's), so that a frame that shows it
    disabled may tell of the time before; then only the short status counts.
    """

    def __init__(self, now_ns: int, enable_in_doubt: bool) -> None:
        self.begun_ns = now_ns
        self.tries = 0
        self.due_ns = now_ns
        self.confirmed_ns: int | None = None
        self._alarmed = False
        self._told = False
        self._enable_in_doubt = enable_in_doubt

    def send(self, now_ns: int) -> bytes:
        """The bytes of one more try."""
        self.tries += 1
        self.due_ns = now_ns + RETRY_NS
        wants_proof = self.tries <= TRIES or self.tries % PROOF_EVERY == 0
        return DISABLE + PROOF if wants_proof else DISABLE

    def alarm_is_due(self, now_ns: int) -> bool:
        """True once, when three tries have gone unconfirmed."""
        due = self.confirmed_ns is None and not self._alarmed and self.tries >= TRIES and now_ns >= self.due_ns
        self._alarmed = self._alarmed or due
        return due

    def silence_is_due(self, now_ns: int, is_silent: bool) -> bool:
        """True once, when nothing at all has come for a second."""
        due = is_silent and not self._told and now_ns - self.begun_ns >= SILENCE_NS
        self._told = self._told or due
        return due

    def lingering_is_due(self, now_ns: int, is_running: bool) -> bool:
        """True once, when a train is still reported a second after the disable was proven."""
        due = is_running and not self._told and self.confirmed_ns is not None and now_ns - self.confirmed_ns >= SILENCE_NS
        self._told = self._told or due
        return due

    def observe(self, event: Event, now_ns: int) -> bool:
        """Whether this event is the proof that was missing."""
        bits: StatusBits | None = getattr(event, "bits", None)
        if bits is None or self.confirmed_ns is not None:
            return False
        if bits.enabled:
            self._enable_in_doubt = False
            return False
        if self._enable_in_doubt and not isinstance(event, ShortStatus):
            return False
        self.confirmed_ns = now_ns
        return True
