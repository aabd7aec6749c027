"""Frames of a Magstim's serial line: checksum, lengths, what differs between models and software. Not what the fields mean.

`CMD DATA CK` to the unit, `CMD STATUS MORE CK` from it, without start mark or length: the length follows from CMD, the model and its
software. The maker publishes no document: this is what the public clients for 200², BiStim² and Rapid² agree on.
"""

import enum

import msgspec

from drivers.values import WireError

PAD = 0x40  # '@' stands where a command has no data; the unit ignores its value, the checksum does not
NOT_KNOWN = 0x3F  # '?': alone, no such command; as a status, bad data
CONFLICT = 0x53  # 'S' as a status: not possible in the present state
STATUSES_OF_ERRORS = (NOT_KNOWN, CONFLICT)
ERROR_LENGTH = 3
VERSION_TEXT_LIMIT = 24
UNLOCK_LENGTH = 16  # 4 characters, '-', 8 characters, '-', 2 characters

FIRST_UNLOCKED, FIRST_LONG_WAIT, FIRST_LONG_DELAY = 9, 7, 10  # software versions that changed the language


class Family(enum.StrEnum):
    """Who speaks: the three families have different commands."""

    MAGSTIM_200 = "200"
    BISTIM = "bistim"
    RAPID = "rapid"


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """The language of one unit. `software` is the major version of a Rapid², None while it has not said."""

    family: Family
    software: int | None = None

    @property
    def is_rapid(self) -> bool:
        return self.family is Family.RAPID

    @property
    def has_system_status(self) -> bool:
        return self.is_rapid and self.software is not None and self.software >= FIRST_UNLOCKED

    @property
    def needs_unlock(self) -> bool:
        return self.has_system_status

    @property
    def pulse_digits(self) -> int:
        return 5 if self.has_system_status else 4

    @property
    def duration_digits(self) -> int:
        return 4 if self.has_system_status else 3

    @property
    def wait_digits(self) -> int:
        return 4 if self.software is not None and self.software >= FIRST_LONG_WAIT else 3

    @property
    def has_long_delay(self) -> bool:
        return self.software is not None and self.software >= FIRST_LONG_DELAY

    @property
    def delay_digits(self) -> int:
        return 5 if self.has_long_delay else 4


def checksum(body: bytes) -> int:
    """Low eight bits of the sum, inverted: the same rule both ways."""
    return ~sum(body) & 0xFF


def framed(body: bytes) -> bytes:
    return body + bytes((checksum(body),))


def unreadable(what: str) -> WireError:
    return WireError(what, "Magstim line", "Check the cable and that nothing else uses the port.")


def number(digits: bytes) -> int:
    """The value of zero-padded ASCII decimals. Raises WireError for anything else."""
    if not digits or not all(0x30 <= digit <= 0x39 for digit in digits):
        raise unreadable(f"{digits.hex(' ')} where decimals must stand")
    return int(digits)


def decimals(value: int, width: int) -> bytes:
    """Zero-padded ASCII decimals. Raises WireError for a value that does not fit."""
    if not 0 <= value < 10**width:
        raise unreadable(f"{value} does not fit {width} decimals")
    return b"%0*d" % (width, value)


def command_length(dialect: Dialect, code: int, second: int | None) -> int | None:
    """Bytes of a whole command, from its first two; None while the second is needed, 0 for no command of this unit."""
    if code == ord("Q") and dialect.needs_unlock:
        if second is None:
            return None
        return ERROR_LENGTH if second == PAD else 1 + UNLOCK_LENGTH + 1
    length = _COMMON_COMMANDS.get(code, 0)
    if dialect.family is Family.BISTIM:
        length = length or _BISTIM_COMMANDS.get(code, 0)
    if dialect.is_rapid:
        length = length or _rapid_command_length(dialect, code)
    elif code == ord("J"):
        length = 3
    return length


_COMMON_COMMANDS = {ord("Q"): 3, ord("R"): 3, ord("@"): 5, ord("F"): 3, ord("E"): 3}
_BISTIM_COMMANDS = {ord("A"): 5, ord("C"): 5, ord("Y"): 3, ord("Z"): 3, ord("X"): 3}
_RAPID_COMMANDS = {ord("\\"): 3, ord("I"): 3, ord("N"): 3, ord("b"): 3, ord("^"): 3, ord("_"): 3, ord("B"): 6}


def _rapid_command_length(dialect: Dialect, code: int) -> int:
    if code == ord("D"):
        return 2 + dialect.pulse_digits
    if code == ord("["):
        return 2 + dialect.duration_digits
    if dialect.has_system_status:
        known = {ord("x"): 3, ord("o"): 3, ord("n"): 2 + dialect.delay_digits}
        if code in known:
            return known[code]
    return _RAPID_COMMANDS.get(code, 0)


def reply_length(dialect: Dialect, code: int) -> int:
    """Bytes of a whole reply that is no error; 0 for no command of this unit, and for `N`, whose text ends by itself."""
    if command_length(dialect, code, PAD) == 0 or code == ord("N"):
        return 0
    if code == ord("\\"):
        return 3 + 3 + 4 + dialect.pulse_digits + dialect.duration_digits + dialect.wait_digits + 1
    if code == ord("n"):
        return 6 if dialect.has_long_delay else 4
    if code == ord("o"):
        return 3 + dialect.delay_digits
    return _REPLIES.get(code, 3)


_REPLIES = {ord("J"): 12, ord("F"): 9, ord("I"): 6, ord("X"): 4, ord("x"): 6} | dict.fromkeys(b"BD[^_", 4)
