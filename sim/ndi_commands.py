"""What the simulated camera does on each command: one function each, and the table of who may ask and when."""

from collections.abc import Callable

import msgspec

from drivers.ndi_pose_wire import Options, encode_bx, encode_tx
from drivers.ndi_setup_wire import (
    UNOCCUPIED,
    Port,
    PortBits,
    PortInfo,
    Search,
    Version,
    decode_chunk,
    encode_parameters,
    encode_port_info,
    encode_ports,
    encode_version,
)
from drivers.ndi_wire import encode_binary
from drivers.values import WireError
from sim.ndi_device import Device, Mode
from sim.ndi_gbf import track_gbf
from sim.ndi_parameters import ILLUMINATOR, NO_SUCH_PARAMETER
from sim.ndi_refusal import Refusal
from sim.ndi_tools import PortHandle

OKAY = "OKAY"
COMBINED_REVISION = "008"  # VER 5
COMM_REFUSED = 0x06
COMM_BAUDS = {
    "0": 9600,
    "1": 14400,
    "2": 19200,
    "3": 38400,
    "4": 57600,
    "5": 115200,
    "6": 921600,
    "7": 1228739,
    "A": 230400,
}
COMM_REST = ("01", "012", "01", "01")  # data bits, parity, stop bits, handshake

TOO_LONG, TOO_SHORT, WRONG_COUNT, NO_SUCH_HANDLE, NO_SUCH_PRIORITY = 0x02, 0x03, 0x07, 0x08, 0x09
WRONG_MODE, NOT_LOADED, NOT_INITIALISED, NOT_ENABLED = 0x0C, 0x0D, 0x0E, 0x0F
BAD_ROM, OUT_OF_RANGE, NO_HANDLES_LEFT = 0x13, 0x23, 0x2D


class Rule(msgspec.Struct, frozen=True):
    """A command: what carries it out, in which modes; `changes`: the owner alone may; `width`: characters of its arguments."""

    act: Callable[[Device, str], str | bytes]
    modes: frozenset[Mode]
    changes: bool = False
    width: int | None = None


# ---- start and stop -------------------------------------------------------------------------------------------------


def init(device: Device, _: str) -> str:
    device.initialise()
    return OKAY


def reset(device: Device, arguments: str) -> str:
    if arguments not in ("", "0", "1"):
        raise Refusal(OUT_OF_RANGE)
    device.power_up()
    return "RESET"


def start_tracking(device: Device, arguments: str) -> str:
    if arguments not in ("", "40", "80"):
        raise Refusal(OUT_OF_RANGE)
    device.mode = Mode.TRACKING
    return OKAY


def stop_tracking(device: Device, _: str) -> str:
    device.mode = Mode.SETUP
    return OKAY


# ---- what it is -----------------------------------------------------------------------------------------------------


def okay(_device: Device, _: str) -> str:
    return OKAY


def set_line(_device: Device, arguments: str) -> str:
    """Whether such a line is possible; the line itself is changed where there is one."""
    settings = zip(arguments[1:], COMM_REST, strict=True)
    if arguments[0].upper() not in COMM_BAUDS or any(given not in known for given, known in settings):
        raise Refusal(COMM_REFUSED)
    return OKAY


def set_illuminator(device: Device, arguments: str) -> str:
    if arguments not in ("0", "1", "2"):
        raise Refusal(OUT_OF_RANGE)
    if device.model.illuminated:
        device.parameters.write(ILLUMINATOR, arguments)
    return OKAY


def beep(_device: Device, arguments: str) -> str:
    if arguments not in tuple("123456789"):
        raise Refusal(OUT_OF_RANGE)
    return "1"


def api_revision(device: Device, _: str) -> str:
    return device.model.interface


def echo(_device: Device, arguments: str) -> str:
    return arguments


def version(device: Device, arguments: str) -> str:
    if arguments == "5":
        return COMBINED_REVISION
    if arguments not in ("0", "3", "4"):
        raise Refusal(OUT_OF_RANGE)
    return encode_version(
        Version(
            firmware_type=f"{device.model.title} Control Firmware (simulated)",
            serial=device.serial,
            characterised=None if arguments == "3" else "01/01/24",
            freeze_tag=device.freeze_tag,
            freeze_date="01/01/24",
        )
    )


def features(_device: Device, arguments: str) -> str:
    known = {"00": "00000002", "01": "0", "02": "9", "03": "0", "04": "0"}
    if arguments not in known:
        raise Refusal(OUT_OF_RANGE)
    return known[arguments]


def health(_device: Device, arguments: str) -> str:
    """Two digits for each group asked for, all healthy."""
    return "00" * (hexadecimal(arguments, 4) & 0x7).bit_count()


def diagnostic_position(_device: Device, _: str) -> str:
    raise Refusal(WRONG_MODE)


def get(device: Device, arguments: str) -> str:
    values = device.parameters.matching(arguments)
    if not values:
        raise Refusal(NO_SUCH_PARAMETER)
    return encode_parameters(values)


def get_information(device: Device, arguments: str) -> str:
    text = device.parameters.information(arguments)
    if not text:
        raise Refusal(NO_SUCH_PARAMETER)
    return text


def set_parameter(device: Device, arguments: str) -> str:
    name, equals, value = arguments.partition("=")
    if not equals:
        raise Refusal(WRONG_COUNT)
    if name.strip().endswith(("Frequency", "Illuminator Rate")) and device.mode is Mode.TRACKING:
        raise Refusal(WRONG_MODE)
    return _okay_or(device.parameters.write(name.strip(), value.strip()))


def set_default(device: Device, arguments: str) -> str:
    return _okay_or(device.parameters.reset(arguments))


def _okay_or(code: int | None) -> str:
    if code is not None:
        raise Refusal(code)
    return OKAY


# ---- port handles ---------------------------------------------------------------------------------------------------


def search(device: Device, arguments: str) -> str:
    listed: dict[str, Callable[[PortHandle], bool]] = {
        Search.ALL: lambda _: True,
        Search.TO_FREE: lambda handle: handle.number in device.bay.to_free,
        Search.NOT_INITIALISED: lambda handle: handle.is_loaded and not handle.is_initialised,
        Search.NOT_ENABLED: lambda handle: handle.is_initialised and not handle.is_enabled,
        Search.ENABLED: lambda handle: handle.is_enabled,
    }
    if arguments not in listed:
        raise Refusal(OUT_OF_RANGE)
    return encode_ports([Port(handle.number, handle.status) for handle in device.bay.in_order() if listed[arguments](handle)])


def request_handle(device: Device, _: str) -> str:
    handle = device.bay.allocate()
    if handle is None:
        raise Refusal(NO_HANDLES_LEFT)
    return f"{handle.number:02X}"


def free_handle(device: Device, arguments: str) -> str:
    device.bay.free(_handle(device, arguments))
    return OKAY


def write_memory(device: Device, arguments: str) -> str:
    try:
        chunk = decode_chunk(arguments)
    except WireError as error:
        raise Refusal(OUT_OF_RANGE) from error
    _handle(device, arguments).write(chunk.address, chunk.content)
    return OKAY


def initialise_tool(device: Device, arguments: str) -> str:
    handle = _handle(device, arguments)
    if not handle.is_loaded:
        raise Refusal(NOT_LOADED)
    if not device.bay.initialise(handle):
        raise Refusal(BAD_ROM)
    return OKAY


def enable_tool(device: Device, arguments: str) -> str:
    handle = _handle(device, arguments)
    if arguments[2].upper() not in "SDB":
        raise Refusal(NO_SUCH_PRIORITY)
    if not handle.is_loaded:
        raise Refusal(NOT_INITIALISED)
    if not handle.is_initialised:  # newer cameras do this by themselves
        initialise_tool(device, arguments)
    handle.status |= PortBits.ENABLED
    return OKAY


def disable_tool(device: Device, arguments: str) -> str:
    handle = _handle(device, arguments)
    if not handle.is_enabled:
        raise Refusal(NOT_ENABLED)
    handle.status &= ~PortBits.ENABLED
    return OKAY


def describe_handle(device: Device, arguments: str) -> str:
    handle = _handle(device, arguments)
    if not handle.is_loaded:
        return UNOCCUPIED
    main_type, maker, part_number = 1, "", ""
    if handle.rom is not None:
        main_type, maker, part_number = handle.rom.main_type, handle.rom.manufacturer, handle.rom.part_number
    info = PortInfo(
        tool=f"{main_type:02X}000000{maker:12.12}001{handle.number:08X}{handle.status & 0xFF:02X}",
        part_number=part_number,
        marker_type="29",
        location="00000000010000",
    )
    return encode_port_info(info, hexadecimal(arguments[2:] or "0001", 4))


def _handle(device: Device, arguments: str) -> PortHandle:
    handle = device.bay.handles.get(hexadecimal(arguments[:2], 2))
    if handle is None:
        raise Refusal(NO_SUCH_HANDLE)
    return handle


# ---- tracking -------------------------------------------------------------------------------------------------------


def track_binary(device: Device, arguments: str) -> bytes:
    options = hexadecimal(arguments or f"{Options.TRANSFORMS:04X}", 4)
    return encode_binary(encode_bx(device.look(options), options))


def track_text(device: Device, arguments: str) -> str:
    options = hexadecimal(arguments or f"{Options.TRANSFORMS:04X}", 4)
    return encode_tx(device.look(options), options)


def hexadecimal(digits: str, width: int) -> int:
    if len(digits) < width:
        raise Refusal(TOO_SHORT)
    if len(digits) > width:
        raise Refusal(TOO_LONG)
    try:
        return int(digits, 16)
    except ValueError as error:
        raise Refusal(OUT_OF_RANGE) from error


# ---- the table ------------------------------------------------------------------------------------------------------

ALWAYS = frozenset(Mode)
SETUP = frozenset({Mode.SETUP})
TRACKING = frozenset({Mode.TRACKING})

RULES = {
    "INIT": Rule(init, ALWAYS, changes=True),
    "RESET": Rule(reset, ALWAYS, changes=True),
    "TSTART": Rule(start_tracking, SETUP, changes=True),
    "TSTOP": Rule(stop_tracking, SETUP | TRACKING, changes=True),  # when idle too: clients send it blindly
    "COMM": Rule(set_line, ALWAYS, width=5),  # means nothing on TCP, but clients send it when they leave
    "BEEP": Rule(beep, ALWAYS, width=1),
    "APIREV": Rule(api_revision, ALWAYS),
    "ECHO": Rule(echo, ALWAYS),
    "VER": Rule(version, ALWAYS),
    "SFLIST": Rule(features, SETUP),
    "SSTAT": Rule(health, SETUP),
    "IRATE": Rule(set_illuminator, SETUP, changes=True, width=1),
    "VSEL": Rule(okay, SETUP, changes=True, width=1),
    "3D": Rule(diagnostic_position, ALWAYS),
    "GET": Rule(get, ALWAYS),
    "GETINFO": Rule(get_information, ALWAYS),
    "SET": Rule(set_parameter, SETUP | TRACKING, changes=True),
    "DFLT": Rule(set_default, SETUP, changes=True),
    "SAVE": Rule(okay, SETUP, changes=True),
    "PHSR": Rule(search, SETUP, width=2),
    "PHRQ": Rule(request_handle, SETUP, changes=True, width=14),
    "PHF": Rule(free_handle, SETUP, changes=True, width=2),
    "PVWR": Rule(write_memory, SETUP, changes=True),
    "PINIT": Rule(initialise_tool, SETUP, changes=True, width=2),
    "PENA": Rule(enable_tool, SETUP, changes=True, width=3),
    "PDIS": Rule(disable_tool, SETUP, changes=True, width=2),
    "PHINF": Rule(describe_handle, SETUP),
    "TX": Rule(track_text, TRACKING),
    "BX": Rule(track_binary, TRACKING),
    "BX2": Rule(track_gbf, TRACKING),
    "STREAM": Rule(okay, SETUP | TRACKING),  # this and the next are carried out where the clients are known
    "USTREAM": Rule(okay, SETUP | TRACKING),
}
NEEDS_STREAMS = frozenset({"BX2", "STREAM", "USTREAM"})
