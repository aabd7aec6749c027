"""What stands inside set-up commands and replies: port handles, tool uploads, versions, parameters. Both directions."""

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from drivers.rom_wire import MAX_ROM_BYTES
from drivers.values import WireError

PASSIVE_TOOL = "*********1****"  # PHRQ: any device, any system, tool type 1 (wireless), any port, any channel

CHUNK_BYTES = 64
CHUNK_ARGUMENTS = 2 + 4 + 2 * CHUNK_BYTES  # PVWR: handle, address, data


class Search(enum.StrEnum):
    """Which handles PHSR lists."""

    ALL = "00"
    TO_FREE = "01"
    NOT_INITIALISED = "02"
    NOT_ENABLED = "03"
    ENABLED = "04"


class PortBits:
    """Port status, the same bits in PHSR, PHINF and tracking replies."""

    OCCUPIED: Final = 0x0001
    INITIALISED: Final = 0x0010
    ENABLED: Final = 0x0020
    OUT_OF_VOLUME: Final = 0x0040
    PARTLY_OUT_OF_VOLUME: Final = 0x0080
    ALGORITHM_LIMIT: Final = 0x0100
    INTERFERENCE: Final = 0x0200
    EXCEPTION: Final = 0x1000
    FELL_BEHIND: Final = 0x4000
    BUFFER_LIMIT: Final = 0x8000


class ToolInfoBits:
    """The first byte of a tool's marker information: why it has no pose."""

    BAD_FIT: Final = 0x01
    TOO_FEW_MARKERS: Final = 0x02
    INTERFERENCE: Final = 0x04


READY_PORT = PortBits.OCCUPIED | PortBits.INITIALISED | PortBits.ENABLED


class Port(msgspec.Struct, frozen=True):
    """One handle in a search reply."""

    handle: int
    status: int


def _garbled(what: str, text: str) -> WireError:
    return WireError(f"{what} cannot be read from {text[:40]!r}", "Polaris reply", "The conversation is begun again.")


def encode_ports(ports: Sequence[Port]) -> str:
    return f"{len(ports):02X}" + "".join(f"{port.handle:02X}{port.status:03X}" for port in ports)


def decode_ports(text: str) -> tuple[Port, ...]:
    """The handles in a PHSR reply. Raises WireError."""
    try:
        count = int(text[:2], 16)
        ports = tuple(Port(int(text[i : i + 2], 16), int(text[i + 2 : i + 5], 16)) for i in range(2, 2 + 5 * count, 5))
    except ValueError as error:
        raise _garbled("a list of port handles", text) from error
    if len(text) != 2 + 5 * count:
        raise _garbled("a list of port handles", text)
    return ports


def decode_handle(text: str) -> int:
    """The handle in a PHRQ reply, or at the head of a command's arguments. Raises WireError."""
    try:
        handle = int(text, 16)
    except ValueError as error:
        raise _garbled("a port handle", text) from error
    if len(text) != 2 or handle == 0:
        raise _garbled("a port handle", text)
    return handle


# ---- tool uploads ---------------------------------------------------------------------------------------------------


class Chunk(msgspec.Struct, frozen=True):
    """64 bytes of a tool definition at their address."""

    handle: int
    address: int
    content: bytes


def encode_chunks(handle: int, rom: bytes) -> Iterator[str]:
    """Arguments of the PVWR commands that upload a definition, zero-padded to whole chunks."""
    for address in range(0, len(rom), CHUNK_BYTES):
        content = rom[address : address + CHUNK_BYTES].ljust(CHUNK_BYTES, b"\0")
        yield f"{handle:02X}{address:04X}{content.hex().upper()}"


def decode_chunk(arguments: str) -> Chunk:
    """Raises WireError: length, digits, or an address beyond the camera's memory."""
    try:
        handle, address, content = int(arguments[:2], 16), int(arguments[2:6], 16), bytes.fromhex(arguments[6:])
    except ValueError as error:
        raise _garbled("a piece of a tool definition", arguments) from error
    if len(content) != CHUNK_BYTES or len(arguments) != CHUNK_ARGUMENTS or not 0 <= address <= MAX_ROM_BYTES - CHUNK_BYTES:
        raise _garbled("a piece of a tool definition", arguments)
    return Chunk(handle, address, content)


# ---- port information -----------------------------------------------------------------------------------------------


class PortInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A PHINF reply's fields as they stand on the wire, padded; None: not asked for."""

    tool: str | None = None  # tool type 8, manufacturer 12, revision 3, serial 8, port status 2
    current_test: str | None = None
    part_number: str | None = None
    accessories: str | None = None
    marker_type: str | None = None
    location: str | None = None
    gpio: str | None = None

    @property
    def status(self) -> int | None:
        """Port status bits 0 to 7. Raises WireError when they are not hex digits."""
        return None if self.tool is None else _hex(self.tool[-2:])


_INFO_FIELDS = (
    (0x0001, "tool", 33),
    (0x0002, "current_test", 8),
    (0x0004, "part_number", 20),
    (0x0008, "accessories", 2),
    (0x0010, "marker_type", 2),
    (0x0020, "location", 14),
    (0x0040, "gpio", 2),
)
UNOCCUPIED = "UNOCCUPIED"


def encode_port_info(info: PortInfo, mask: int) -> str:
    """The fields that `mask` asks for, each in its width; what is None comes as zeros."""
    return "".join((getattr(info, name) or "0" * width).ljust(width)[:width] for bit, name, width in _INFO_FIELDS if mask & bit)


def decode_port_info(text: str, mask: int) -> PortInfo:
    """Raises WireError when the length is not that of the fields asked for (`UNOCCUPIED` among them)."""
    fields, at = {}, 0
    for bit, name, width in _INFO_FIELDS:
        if mask & bit:
            fields[name] = text[at : at + width]
            at += width
    if at != len(text):
        raise _garbled("a handle's information", text)
    return PortInfo(**fields)


def _hex(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError as error:
        raise _garbled("a hexadecimal number", text) from error


# ---- versions and parameters ----------------------------------------------------------------------------------------


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A VER:0, :3 or :4 reply. None: the line is not there."""

    firmware_type: str
    serial: str | None = None
    characterised: str | None = None
    freeze_tag: str | None = None
    freeze_date: str | None = None


_VERSION_LINES = (
    ("NDI S/N: ", "serial"),
    ("Characterization Date: ", "characterised"),
    ("Freeze Tag: ", "freeze_tag"),
    ("Freeze Date: ", "freeze_date"),
)


def encode_version(version: Version) -> str:
    lines = [version.firmware_type]
    lines += [prefix + value for prefix, name in _VERSION_LINES if (value := getattr(version, name)) is not None]
    return "\n".join([*lines, "(C) Northern Digital Inc.\n"])


def decode_version(text: str) -> Version:
    """Lines that are not known are ignored."""
    first, *rest = text.split("\n")
    found = {name: line.removeprefix(prefix).strip() for line in rest for prefix, name in _VERSION_LINES if line.startswith(prefix)}
    return Version(firmware_type=first.strip(), **found)


def encode_parameters(values: Mapping[str, str]) -> str:
    """A GET reply: `name=value` lines, no line end behind the last."""
    return "\n".join(f"{name}={value}" for name, value in values.items())


def decode_parameters(text: str) -> dict[str, str]:
    """Raises WireError for a line without an equals sign."""
    values = {}
    for line in text.split("\n"):
        name, equals, value = line.partition("=")
        if not equals:
            raise _garbled("a parameter", line)
        values[name.strip()] = value.strip()
    return values
