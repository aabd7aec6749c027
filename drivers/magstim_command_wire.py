"""What a host tells a Magstim, as values, both ways. The answers are in drivers.magstim_wire, lengths in drivers.magstim_frame_wire.

The unlock code is a secret: no representation, error or log holds it, and `redacted` takes it out of raw bytes.
"""

import re
from collections.abc import Callable

import msgspec

from drivers.magstim_frame_wire import (
    PAD,
    Dialect,
    checksum,
    command_length,
    decimals,
    framed,
    number,
    unreadable,
)
from drivers.values import WireError

DISARM_MODE, ARM_MODE, FIRE_MODE = 0x41, 0x42, 0x48  # bit 0 disarm, bit 1 arm, bit 3 trigger, bit 6 always
TOP_POWER_PCT = 110  # in the enhanced mode, else 100
_UNLOCK = re.compile(rb"[!-?A-~][!-~]{3}-[!-~]{8}-[\x00-\xff]{2}", re.DOTALL)  # the last two are the code's own check: any bytes
_SENT_UNLOCK = re.compile(rb"Q[!-?A-~][!-~]{3}-[!-~]{8}-...", re.DOTALL)
REST_OF_COMMAND_NS = 100_000_000  # the longest command takes 19 ms at 9600 baud; how long a unit waits is not known


class UnlockCode:
    """The code that the maker gives for one Rapid² with software 9 or later. Never shown.

    Raises ValueError, without the text, for one that cannot be right.
    """

    __slots__ = ("_code",)

    def __init__(self, code: bytes) -> None:
        if not _UNLOCK.fullmatch(code):
            raise ValueError("an unlock code is 4 characters, a dash, 8 characters, a dash and 2 characters")
        self._code = code

    def reveal(self) -> bytes:
        """For the frame alone."""
        return self._code

    def __repr__(self) -> str:
        return "UnlockCode(hidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnlockCode) and other._code == self._code

    def __hash__(self) -> int:
        return hash(self._code)


class EnableRemote(msgspec.Struct, frozen=True, kw_only=True):
    """`Q`: take control; with the unlock code where the software asks for one."""

    unlock: UnlockCode | None = None

    def body(self, dialect: Dialect) -> bytes:
        if self.unlock is None:
            return bytes((ord("Q"), PAD))
        if not dialect.needs_unlock:
            raise unreadable("this unit knows no unlock code")
        return b"Q" + self.unlock.reveal()


class DisableRemote(msgspec.Struct, frozen=True, kw_only=True):
    """`R`: give control back; the unit disarms."""

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord("R"), PAD))


class SetPower(msgspec.Struct, frozen=True, kw_only=True):
    """`@`: power A, percent of the maximum output."""

    pct: int

    def body(self, _dialect: Dialect) -> bytes:
        return b"@" + _power(self.pct)


class SetPowerB(msgspec.Struct, frozen=True, kw_only=True):
    """`A`: power of a BiStim²'s second pulse."""

    pct: int

    def body(self, _dialect: Dialect) -> bytes:
        return b"A" + _power(self.pct)


class SetInterval(msgspec.Struct, frozen=True, kw_only=True):
    """`C`: from a BiStim²'s first pulse to its second, in ms, or in tenths of a ms with high resolution."""

    steps: int

    def body(self, _dialect: Dialect) -> bytes:
        return b"C" + decimals(self.steps, 3)


class SetHighResolution(msgspec.Struct, frozen=True, kw_only=True):
    """`Y` and `Z`: switching sets the interval to 1 ms (on) or 10 ms (off)."""

    on: bool

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord("Y") if self.on else ord("Z"), PAD))


class SetMode(msgspec.Struct, frozen=True, kw_only=True):
    """`E`: disarm, arm, fire, by the mode byte. Disarming needs no remote control."""

    mode: int

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord("E"), self.mode))


DISARM, ARM, FIRE = SetMode(mode=DISARM_MODE), SetMode(mode=ARM_MODE), SetMode(mode=FIRE_MODE)


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A question, by its letter: `J` `\\` parameters, `F` temperature, `I` error, `x` status, `X` mode, `o` charge delay, `N` version.

    `pad` is the byte where data would stand, without meaning to a unit.
    """

    letter: str
    pad: int = PAD

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord(self.letter), ord("D") if self.letter == "N" else self.pad))


QUESTIONS = frozenset("J\\FIxXoN")


class IgnoreCoilSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """`b`: fire although nobody holds the coil's safety switch."""

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord("b"), PAD))


class SetEnhanced(msgspec.Struct, frozen=True, kw_only=True):
    """`^` and `_`: up to 110 %, single pulses only."""

    on: bool

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord("^") if self.on else ord("_"), PAD))


class SetFrequency(msgspec.Struct, frozen=True, kw_only=True):
    """`B`: of a train."""

    tenth_hz: int

    def body(self, _dialect: Dialect) -> bytes:
        return b"B" + decimals(self.tenth_hz, 4)


class SetPulses(msgspec.Struct, frozen=True, kw_only=True):
    """`D`: in a train."""

    pulses: int

    def body(self, dialect: Dialect) -> bytes:
        return b"D" + decimals(self.pulses, dialect.pulse_digits)


class SetDuration(msgspec.Struct, frozen=True, kw_only=True):
    """`[`: of a train; 0 is the single-pulse mode."""

    tenth_s: int

    def body(self, dialect: Dialect) -> bytes:
        return b"[" + decimals(self.tenth_s, dialect.duration_digits)


class SetChargeDelay(msgspec.Struct, frozen=True, kw_only=True):
    """`n`."""

    ms: int

    def body(self, dialect: Dialect) -> bytes:
        return b"n" + decimals(self.ms, dialect.delay_digits)


Command = (
    EnableRemote
    | DisableRemote
    | SetPower
    | SetPowerB
    | SetInterval
    | SetHighResolution
    | SetMode
    | Ask
    | IgnoreCoilSwitch
    | SetEnhanced
    | SetFrequency
    | SetPulses
    | SetDuration
    | SetChargeDelay
)


class BadCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The letter is known; data or checksum are wrong."""

    letter: str


class UnknownLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One byte that begins no command of this unit."""

    value: int


Heard = Command | BadCommand | UnknownLetter


def _power(pct: int) -> bytes:
    if not 0 <= pct <= TOP_POWER_PCT:
        raise unreadable(f"a power of {pct} % is outside 0 to {TOP_POWER_PCT}")
    return decimals(pct, 3)


def encode_command(command: Command, dialect: Dialect) -> bytes:
    """The whole frame. Raises WireError for a value that does not fit, or a command that this unit does not have."""
    frame = framed(command.body(dialect))
    if command_length(dialect, frame[0], frame[1]) != len(frame):
        raise unreadable(f"a {dialect.family} does not know the command {chr(frame[0])!r} in this form")
    return frame


def redacted(sent: bytes) -> bytes:
    """Raw bytes to a unit with every unlock code blotted out, for logs and recordings; the length stays."""
    return _SENT_UNLOCK.sub(lambda match: b"Q" + b"*" * (len(match[0]) - 1), sent)


# ---- the unit's side ------------------------------------------------------------------------------------------------


def _remote(data: bytes) -> Command:
    if len(data) == 1:
        return EnableRemote()
    try:
        return EnableRemote(unlock=UnlockCode(data))
    except ValueError:
        raise unreadable("what stands where an unlock code must stand cannot be one") from None  # the text must not be shown


def _mode(data: bytes) -> Command:
    if data[0] not in (DISARM_MODE, ARM_MODE, FIRE_MODE):
        raise unreadable(f"the mode byte {data[0]:#04x} is not known")
    return SetMode(mode=data[0])


def _limited_power(data: bytes) -> int:
    pct = number(data)
    if pct > TOP_POWER_PCT:
        raise unreadable(f"a power of {pct} % is outside 0 to {TOP_POWER_PCT}")
    return pct


_PARSERS: dict[str, Callable[[bytes], Command]] = {
    "Q": _remote,
    "R": lambda _: DisableRemote(),
    "@": lambda data: SetPower(pct=_limited_power(data)),
    "A": lambda data: SetPowerB(pct=_limited_power(data)),
    "C": lambda data: SetInterval(steps=number(data)),
    "Y": lambda _: SetHighResolution(on=True),
    "Z": lambda _: SetHighResolution(on=False),
    "E": _mode,
    "b": lambda _: IgnoreCoilSwitch(),
    "^": lambda _: SetEnhanced(on=True),
    "_": lambda _: SetEnhanced(on=False),
    "B": lambda data: SetFrequency(tenth_hz=number(data)),
    "D": lambda data: SetPulses(pulses=number(data)),
    "[": lambda data: SetDuration(tenth_s=number(data)),
    "n": lambda data: SetChargeDelay(ms=number(data)),
}


def decode_command(frame: bytes, dialect: Dialect) -> Command:
    """The command in one whole frame. Raises WireError for a wrong length, checksum or value."""
    if len(frame) < 3 or command_length(dialect, frame[0], frame[1]) != len(frame) or frame[-1] != checksum(frame[:-1]):
        raise unreadable("this is no whole command with a right checksum")
    letter, data = chr(frame[0]), frame[1:-1]
    if letter in QUESTIONS:
        return Ask(letter=letter, pad=PAD if letter == "N" else data[0])
    return _PARSERS[letter](data)


class CommandReader:
    """Cuts what a unit hears into commands; any split of the stream gives the same."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._buffer = bytearray()
        self._fed_ns = 0

    def feed(self, data: bytes, now_ns: int) -> list[Heard]:
        """Commands completed by bytes that arrived at `now_ns`; one whose rest did not come within 100 ms is forgotten."""
        if self._buffer and now_ns - self._fed_ns >= REST_OF_COMMAND_NS:
            self._buffer.clear()
        self._fed_ns = now_ns
        self._buffer += data
        heard: list[Heard] = []
        while self._buffer:
            second = self._buffer[1] if len(self._buffer) > 1 else None
            length = command_length(self._dialect, self._buffer[0], second)
            if length == 0:
                heard.append(UnknownLetter(value=self._buffer.pop(0)))
            elif length is None or len(self._buffer) < length:
                break
            else:
                heard.append(self._decoded(bytes(self._buffer[:length])))
                del self._buffer[:length]
        return heard

    def _decoded(self, frame: bytes) -> Heard:
        try:
            return decode_command(frame, self._dialect)
        except WireError:
            return BadCommand(letter=chr(frame[0]))
