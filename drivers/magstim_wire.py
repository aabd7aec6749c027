"""What a Magstim says, as values, both ways: status bytes and replies. Commands are in drivers.magstim_command_wire.

Not when it says so (drivers.magstim) nor lengths and checksum (drivers.magstim_frame_wire). Fields are those on which the public
clients for 200², BiStim² and Rapid² agree; the status bits of the Rapid² follow the maker's names for them.
"""

from collections.abc import Callable

import msgspec

from drivers.magstim_frame_wire import (
    CONFLICT,
    ERROR_LENGTH,
    NOT_KNOWN,
    STATUSES_OF_ERRORS,
    VERSION_TEXT_LIMIT,
    Dialect,
    checksum,
    decimals,
    framed,
    number,
    reply_length,
    unreadable,
)

# A pad byte in the question for temperatures that no client uses. A unit ignores it and tells its temperatures; a simulator tells
# that it is one. Nothing but a documented question ever goes to a real unit for it.
SIMULATOR_PAD = 0x21
SIMULATOR_MARK = b"SIMSIM"


class InstrumentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Second byte of every reply but `N`. While ready, the armed bit reads 0."""

    standby: bool = False
    armed: bool = False  # charging or recharging
    ready: bool = False
    coil_present: bool = False
    replace_coil: bool = False
    error: bool = False
    fatal: bool = False
    remote: bool = False

    @classmethod
    def from_byte(cls, value: int) -> "InstrumentStatus":
        return cls(**{name: bool(value >> bit & 1) for bit, name in enumerate(cls.__struct_fields__)})

    def byte(self) -> int:
        return sum(getattr(self, name) << bit for bit, name in enumerate(self.__struct_fields__))

    @property
    def enabled(self) -> bool:
        """Charged or charging: may fire now or soon."""
        return self.armed or self.ready


class RapidStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Third byte of a Rapid²'s replies to `\\ B D [ ^ _ x n`."""

    enhanced: bool = False
    train: bool = False
    wait: bool = False  # the pause after a train
    single_pulse: bool = False
    supply: bool = False  # the high-voltage supply is connected
    coil_ready: bool = False
    theta_supply: bool = False
    modified_coil: bool = False

    @classmethod
    def from_byte(cls, value: int) -> "RapidStatus":
        return cls(**{name: bool(value >> bit & 1) for bit, name in enumerate(cls.__struct_fields__)})

    def byte(self) -> int:
        return sum(getattr(self, name) << bit for bit, name in enumerate(self.__struct_fields__))


class ExtendedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Two more bytes, most significant first; software 9 and later."""

    plus1: bool = False
    special_trigger: bool = False
    charge_delay: bool = False

    @classmethod
    def from_word(cls, value: int) -> "ExtendedStatus":
        return cls(**{name: bool(value >> bit & 1) for bit, name in enumerate(cls.__struct_fields__)})

    def word(self) -> int:
        return sum(getattr(self, name) << bit for bit, name in enumerate(self.__struct_fields__))


# ---- replies --------------------------------------------------------------------------------------------------------


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """To a setting or mode. The status is the one *before* the command took effect, except after `Q` and `R`."""

    letter: str
    status: InstrumentStatus

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord(self.letter), self.status.byte()))


class RapidAck(msgspec.Struct, frozen=True, kw_only=True):
    """To a setting of trains or of the power mode."""

    letter: str
    status: InstrumentStatus
    rapid: RapidStatus

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord(self.letter), self.status.byte(), self.rapid.byte()))


class SystemStatus(msgspec.Struct, frozen=True, kw_only=True):
    """To `x`, and to `n` from software 10 on."""

    letter: str
    status: InstrumentStatus
    rapid: RapidStatus
    extended: ExtendedStatus

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord(self.letter), self.status.byte(), self.rapid.byte())) + self.extended.word().to_bytes(2, "big")


class PairParameters(msgspec.Struct, frozen=True, kw_only=True):
    """To `J`: powers A and B and the interval between them; a 200² has zeros for the last two."""

    status: InstrumentStatus
    a_pct: int
    b_pct: int
    interval_steps: int

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord("J"), self.status.byte())) + decimals(self.a_pct, 3) + decimals(self.b_pct, 3) + decimals(self.interval_steps, 3)


class RapidParameters(msgspec.Struct, frozen=True, kw_only=True):
    """To `\\`."""

    status: InstrumentStatus
    rapid: RapidStatus
    power_pct: int
    tenth_hz: int
    pulses: int
    duration_tenth_s: int
    wait_tenth_s: int

    def body(self, dialect: Dialect) -> bytes:
        train = decimals(self.pulses, dialect.pulse_digits) + decimals(self.duration_tenth_s, dialect.duration_digits)
        head = bytes((ord("\\"), self.status.byte(), self.rapid.byte()))
        return head + decimals(self.power_pct, 3) + decimals(self.tenth_hz, 4) + train + decimals(self.wait_tenth_s, dialect.wait_digits)


class Temperature(msgspec.Struct, frozen=True, kw_only=True):
    """To `F`: the coil's two windings."""

    status: InstrumentStatus
    first_tenth_c: int
    second_tenth_c: int

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord("F"), self.status.byte())) + decimals(self.first_tenth_c, 3) + decimals(self.second_tenth_c, 3)


class SimulatorMark(msgspec.Struct, frozen=True, kw_only=True):
    """To `F` with the pad byte that only we send: no unit answers so."""

    status: InstrumentStatus

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord("F"), self.status.byte())) + SIMULATOR_MARK


class SystemMode(msgspec.Struct, frozen=True, kw_only=True):
    """To `X`: 0 single, 1 simultaneous, 2 pairs in ms, 3 external triggers, 4 pairs in 0.1 ms; Q to T the same as slave."""

    status: InstrumentStatus
    mode: str

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord("X"), self.status.byte(), ord(self.mode)))


SYSTEM_MODES = frozenset("01234QRST")


class ErrorCode(msgspec.Struct, frozen=True, kw_only=True):
    """To `I`. `source`: U interface, C coil, E system."""

    status: InstrumentStatus
    source: str
    code: int

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord("I"), self.status.byte(), ord(self.source))) + decimals(self.code, 2)


ERROR_SOURCES = frozenset("UCE")


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """To `N`: the software, such as "V9.0"; no status."""

    text: str

    @property
    def major(self) -> int | None:
        """The number before the first dot; None for a text that is no version."""
        digits = self.text.strip().lstrip("Vv").partition(".")[0]
        return int(digits) if digits.isascii() and digits.isdigit() else None

    def body(self, _dialect: Dialect) -> bytes:
        return b"N" + self.text.encode("ascii") + b"\x00"


class ChargeDelay(msgspec.Struct, frozen=True, kw_only=True):
    """To `o`."""

    status: InstrumentStatus
    ms: int

    def body(self, dialect: Dialect) -> bytes:
        return bytes((ord("o"), self.status.byte())) + decimals(self.ms, dialect.delay_digits)


class BadData(msgspec.Struct, frozen=True, kw_only=True):
    """The unit knows the command but not what stands in it, or read a wrong checksum."""

    letter: str

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord(self.letter), NOT_KNOWN))


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """The command is right but not possible in the present state."""

    letter: str

    def body(self, _dialect: Dialect) -> bytes:
        return bytes((ord(self.letter), CONFLICT))


class NoSuchCommand(msgspec.Struct, frozen=True, kw_only=True):
    """One `?`, without checksum."""


Reply = (
    Ack
    | RapidAck
    | SystemStatus
    | PairParameters
    | RapidParameters
    | Temperature
    | SimulatorMark
    | SystemMode
    | ErrorCode
    | Version
    | ChargeDelay
    | BadData
    | Conflict
    | NoSuchCommand
)


def letter_of(reply: Reply) -> str:
    """The command that a reply answers; empty where it does not say."""
    match reply:
        case Ack() | RapidAck() | SystemStatus() | BadData() | Conflict():
            return reply.letter
        case NoSuchCommand():
            return ""
        case _:
            return _LETTERS[type(reply)]


_LETTERS: dict[type[Reply], str] = {
    PairParameters: "J",
    RapidParameters: "\\",
    Temperature: "F",
    SimulatorMark: "F",
    SystemMode: "X",
    ErrorCode: "I",
    Version: "N",
    ChargeDelay: "o",
}


def encode_reply(reply: Reply, dialect: Dialect) -> bytes:
    """The whole frame, as the unit sends it. Raises WireError for a value that does not fit its field."""
    return b"?" if isinstance(reply, NoSuchCommand) else framed(reply.body(dialect))


def _status(frame: bytes) -> InstrumentStatus:
    return InstrumentStatus.from_byte(frame[1])


def _rapid(frame: bytes) -> RapidStatus:
    return RapidStatus.from_byte(frame[2])


def _extended(frame: bytes) -> ExtendedStatus:
    word = int.from_bytes(frame[3:5], "big")
    extended = ExtendedStatus.from_word(word)
    if extended.word() != word:
        raise unreadable(f"the extended status {word:#06x} has bits that nobody knows")
    return extended


def _pair_parameters(frame: bytes, _dialect: Dialect) -> Reply:
    return PairParameters(status=_status(frame), a_pct=number(frame[2:5]), b_pct=number(frame[5:8]), interval_steps=number(frame[8:11]))


def _rapid_parameters(frame: bytes, dialect: Dialect) -> Reply:
    pulses_end = 10 + dialect.pulse_digits
    duration_end = pulses_end + dialect.duration_digits
    return RapidParameters(
        status=_status(frame),
        rapid=_rapid(frame),
        power_pct=number(frame[3:6]),
        tenth_hz=number(frame[6:10]),
        pulses=number(frame[10:pulses_end]),
        duration_tenth_s=number(frame[pulses_end:duration_end]),
        wait_tenth_s=number(frame[duration_end:-1]),
    )


def _temperature(frame: bytes, _dialect: Dialect) -> Reply:
    if frame[2:8] == SIMULATOR_MARK:
        return SimulatorMark(status=_status(frame))
    return Temperature(status=_status(frame), first_tenth_c=number(frame[2:5]), second_tenth_c=number(frame[5:8]))


def _system_mode(frame: bytes, _dialect: Dialect) -> Reply:
    if chr(frame[2]) not in SYSTEM_MODES:
        raise unreadable(f"the system mode {frame[2]:#04x} is not known")
    return SystemMode(status=_status(frame), mode=chr(frame[2]))


def _error_code(frame: bytes, _dialect: Dialect) -> Reply:
    if chr(frame[2]) not in ERROR_SOURCES:
        raise unreadable(f"an error of {frame[2]:#04x} is not known")
    return ErrorCode(status=_status(frame), source=chr(frame[2]), code=number(frame[3:5]))


def _system_status(frame: bytes, _dialect: Dialect) -> Reply:
    return SystemStatus(letter=chr(frame[0]), status=_status(frame), rapid=_rapid(frame), extended=_extended(frame))


def _charge_delay(frame: bytes, _dialect: Dialect) -> Reply:
    return ChargeDelay(status=_status(frame), ms=number(frame[2:-1]))


def _version(frame: bytes, _dialect: Dialect) -> Reply:
    text = frame[1:-2]
    if not all(0x20 <= value < 0x7F for value in text):
        raise unreadable("the version is no text")
    return Version(text=text.decode("ascii"))


_PARSERS: dict[int, Callable[[bytes, Dialect], Reply]] = {
    ord("J"): _pair_parameters,
    ord("\\"): _rapid_parameters,
    ord("F"): _temperature,
    ord("X"): _system_mode,
    ord("I"): _error_code,
    ord("x"): _system_status,
    ord("o"): _charge_delay,
    ord("N"): _version,
}


def decode_reply(frame: bytes, dialect: Dialect) -> Reply:
    """The reply in one whole frame. Raises WireError for a wrong length, checksum or value."""
    if frame == b"?":
        return NoSuchCommand()
    if whole_length(frame, dialect) != len(frame) or frame[-1] != checksum(frame[:-1]):
        raise unreadable("this is no whole reply with a right checksum")
    letter = chr(frame[0])
    if len(frame) == ERROR_LENGTH and frame[1] in STATUSES_OF_ERRORS:
        return BadData(letter=letter) if frame[1] == NOT_KNOWN else Conflict(letter=letter)
    parse = _PARSERS.get(frame[0])
    if parse is not None:
        return parse(frame, dialect)
    if len(frame) == 3:
        return Ack(letter=letter, status=_status(frame))
    if len(frame) == 4:
        return RapidAck(letter=letter, status=_status(frame), rapid=_rapid(frame))
    return _system_status(frame, dialect)


def whole_length(start: bytes, dialect: Dialect) -> int | None:
    """How long the reply that begins so is; None while that cannot be told, 0 where no reply begins so."""
    if start[0] == NOT_KNOWN:
        return 1
    length = reply_length(dialect, start[0])
    is_version = start[0] == ord("N") and dialect.is_rapid
    if not length and not is_version:
        return 0
    if len(start) < 2:
        return None
    if start[1] in STATUSES_OF_ERRORS:
        return ERROR_LENGTH
    if not is_version:
        return length
    end = start.find(0, 1)
    if end < 0:
        return None if len(start) <= VERSION_TEXT_LIMIT else 0
    return end + 2
