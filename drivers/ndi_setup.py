"""The conversation that brings a Polaris camera from any state to tracking, as one readable script.

Who sends, waits and repeats is `ndi_script.py`; how a serial line is found and sped up stands in `ndi_line.py`.
"""

from collections.abc import Generator, Mapping

import msgspec

from drivers.ndi_codes_wire import Meaning, error_meaning, warning_meaning
from drivers.ndi_line import SerialWish, find, speed_up
from drivers.ndi_script import Ask
from drivers.ndi_setup_wire import (
    PASSIVE_TOOL,
    READY_PORT,
    UNOCCUPIED,
    Search,
    decode_handle,
    decode_parameters,
    decode_port_info,
    decode_ports,
    decode_version,
    encode_chunks,
)
from drivers.ndi_ways import END_STREAM_ARGUMENTS
from drivers.ndi_wire import TextReply, encode_command
from drivers.values import NoReply, Refused, TrackerAlert, TrackerIdentity, WireError

SECOND_NS = 1_000_000_000
REPLY_LIMIT_NS = 5 * SECOND_NS  # above every Info.Timeout of 4 s and below; clients wait 2 to 5 s
SLOW_LIMIT_NS = 8 * SECOND_NS  # PINIT and TSTART: Info.Timeout 6 s
INIT_SETTLE_NS = 100_000_000  # clients wait so long after INIT before the next command

EVERY_FRAME = "2"  # Track Frequency: 0 every third, 1 every second, 2 every frame
_FRAMES_PER_POSE = {"0": 3, "1": 2, EVERY_FRAME: 1}

_FRAME_HZ = "Param.Tracking.Frame Frequency"
_TRACK_RATE = "Param.Tracking.Track Frequency"
_ILLUMINATOR = "Param.Tracking.Illuminator Rate"
_HZ_OF_ILLUMINATOR = {"0": 20.0, "1": 30.0, "2": 60.0}
_ILLUMINATOR_AT_HZ = {hz: code for code, hz in _HZ_OF_ILLUMINATOR.items()}
_ILLUMINATOR_60_HZ = "2"
_BUMPED = "Info.Status.Bump Detected"
_SERIAL = "Features.Hardware.Serial Number"
_MODEL = "Features.Hardware.Model"
_FIRMWARE = "Features.Firmware.Version"


class Established(msgspec.Struct, frozen=True, kw_only=True):
    """A camera that tracks: who it is, which handle is which tool, how often poses come."""

    identity: TrackerIdentity
    tool_of_handle: dict[int, str]
    frames_per_pose: int
    interface: str  # revision of the language, such as G.003.005
    baud: int | None = None  # None: no serial line
    alerts: tuple[TrackerAlert, ...] = ()


class SerialStart(msgspec.Struct, frozen=True, kw_only=True):
    """The speed of our end, the one at which the camera is thought to listen, and what is wanted."""

    line_baud: int
    baud: int
    wish: SerialWish


Talk = Generator[Ask, TextReply | None, str]  # one command: its reply's text, errors raised


class Setup:
    """Writes the script for these tools (name -> bytes of the .rom file); `where` names the camera in errors.

    `ends_stream`: poses are still pushed on this link, which must end first.
    """

    def __init__(
        self,
        tools: Mapping[str, bytes],
        frame_hz: float | None,
        where: str,
        *,
        serial: SerialStart | None = None,
        ends_stream: bool = False,
    ) -> None:
        self._tools = tools
        self._frame_hz = frame_hz
        self._where = where
        self._serial = serial
        self._ends_stream = ends_stream
        self._alerts: list[TrackerAlert] = []

    def script(self) -> Generator[Ask, TextReply | None, Established]:
        """From any state to tracking. Raises Refused (what the camera will not do), WireError (what it should not say), NoReply."""
        serial = self._serial
        baud = None if serial is None else (yield from find(serial.line_baud, serial.baud, self._where))
        if self._ends_stream:
            yield from self._try("USTREAM", END_STREAM_ARGUMENTS)
        yield from self._try("TSTOP")
        yield from self._order("INIT")
        if serial is not None and baud is not None:
            baud = yield from speed_up(serial.wish, baud, self._where, self._alerts)
        language = yield from self._do("APIREV", quiet_before_ns=INIT_SETTLE_NS, repeatable=True)
        frame_hz = yield from self._set_rate()
        frames_per_pose = yield from self._set_track_rate()
        identity = yield from self._identify(frame_hz, language)
        yield from self._look_for_bump()
        yield from self._free_handles()
        tool_of_handle = {}
        for tool, rom in self._tools.items():
            tool_of_handle[(yield from self._load(tool, rom))] = tool
        yield from self._enable(tool_of_handle)
        yield from self._order("TSTART", limit_ns=SLOW_LIMIT_NS)
        return Established(
            identity=identity,
            tool_of_handle=tool_of_handle,
            frames_per_pose=frames_per_pose,
            interface=language,
            baud=baud,
            alerts=tuple(self._alerts),
        )

    # ---- rates and identity ------------------------------------------------------------------------------------------

    def _set_rate(self) -> Generator[Ask, TextReply | None, float]:
        """Ask for the wanted frame rate, accept a refusal, and return what the camera then says."""
        wanted = _ILLUMINATOR_60_HZ if self._frame_hz is None else _ILLUMINATOR_AT_HZ.get(self._frame_hz, _ILLUMINATOR_60_HZ)
        yield from self._try("SET", f"{_ILLUMINATOR}={wanted}")  # older models start at 20 Hz
        if self._frame_hz is not None:
            yield from self._try("SET", f"{_FRAME_HZ}={self._frame_hz:g}")
        frame_hz = _positive((yield from self._get(_FRAME_HZ)))
        if frame_hz is None:
            frame_hz = _HZ_OF_ILLUMINATOR.get((yield from self._get(_ILLUMINATOR)) or "", self._frame_hz)
        if frame_hz is None:
            raise Refused("the camera does not tell its frame rate", self._where, "Name the camera's frame rate in the chair's file.")
        if self._frame_hz is not None and frame_hz != self._frame_hz:
            self._alert(f"the camera runs at {frame_hz:g} Hz, not at {self._frame_hz:g}", "Name a rate that this camera knows.")
        return frame_hz

    def _set_track_rate(self) -> Generator[Ask, TextReply | None, int]:
        yield from self._try("SET", f"{_TRACK_RATE}={EVERY_FRAME}")
        said = yield from self._get(_TRACK_RATE)
        return _FRAMES_PER_POSE.get(said or EVERY_FRAME, 1)

    def _identify(self, frame_hz: float, language: str) -> Generator[Ask, TextReply | None, TrackerIdentity]:
        version = decode_version((yield from self._do("VER", "4", repeatable=True)))
        serial = yield from self._get(_SERIAL)
        model = yield from self._get(_MODEL)
        firmware = yield from self._get(_FIRMWARE)
        return TrackerIdentity(
            model=model or version.firmware_type or "unknown",
            serial=serial or version.serial or "unknown",
            firmware=f"{firmware or version.freeze_tag or 'unknown'}, interface {language}",
            frame_hz=frame_hz,
        )

    def _look_for_bump(self) -> Generator[Ask, TextReply | None, None]:
        if (yield from self._get(_BUMPED)) not in (None, "0"):
            self._alert("the camera was bumped", "Check its accuracy with NDI's kit, then clear the bump with NDI's program.")

    # ---- tools -------------------------------------------------------------------------------------------------------

    def _free_handles(self) -> Generator[Ask, TextReply | None, None]:
        """Those the camera wants freed, then all that an earlier run left behind."""
        for search in (Search.TO_FREE, Search.ALL):
            for port in decode_ports((yield from self._do("PHSR", search, repeatable=True))):
                yield from self._order("PHF", f"{port.handle:02X}")

    def _load(self, tool: str, rom: bytes) -> Generator[Ask, TextReply | None, int]:
        handle = decode_handle((yield from self._do("PHRQ", PASSIVE_TOOL, about=tool)))
        for chunk in encode_chunks(handle, rom):
            yield from self._order("PVWR", chunk, about=tool, repeatable=True)
        return handle

    def _enable(self, tool_of_handle: Mapping[int, str]) -> Generator[Ask, TextReply | None, None]:
        for port in decode_ports((yield from self._do("PHSR", Search.NOT_INITIALISED, repeatable=True))):
            if (tool := tool_of_handle.get(port.handle)) is not None:
                yield from self._order("PINIT", f"{port.handle:02X}", about=tool, repeatable=True, limit_ns=SLOW_LIMIT_NS)
        for handle, tool in tool_of_handle.items():
            yield from self._order("PENA", f"{handle:02X}D", about=tool, repeatable=True)
        for handle, tool in tool_of_handle.items():
            yield from self._check(handle, tool)

    def _check(self, handle: int, tool: str) -> Generator[Ask, TextReply | None, None]:
        text = yield from self._do("PHINF", f"{handle:02X}0001", about=tool, repeatable=True)
        status = 0 if text == UNOCCUPIED else decode_port_info(text, 0x0001).status
        if status is None or status & READY_PORT != READY_PORT:
            what = f"tool {tool!r} is loaded, but its status is not ready"
            raise Refused(what, self._where, "It is set up again; if it stays, export its .rom file again.")

    # ---- one command -------------------------------------------------------------------------------------------------

    def _do(
        self,
        name: str,
        arguments: str = "",
        *,
        about: str = "",
        repeatable: bool = False,
        limit_ns: int = REPLY_LIMIT_NS,
        quiet_before_ns: int = 0,
    ) -> Talk:
        """Ask, note a warning, raise Refused on an error; `about` is the tool it concerns."""
        reply = yield Ask(
            name=name,
            sent=encode_command(name, arguments),
            limit_ns=limit_ns,
            repeatable=repeatable,
            quiet_before_ns=quiet_before_ns,
        )
        if reply is None:  # only what may fail is answered so
            raise NoReply(f"no answer to {name}", self._where, "It is tried again by itself.")
        concern = f"tool {about!r}: " if about else ""
        if reply.is_reset:
            raise WireError("the camera restarted during set-up", self._where, "It is set up again by itself.")
        if (code := reply.error) is not None:
            meaning = error_meaning(code)
            raise Refused(f"{concern}{meaning.what} (error {code:02X} to {name})", self._where, meaning.remedy)
        if (code := reply.warning) is not None:
            self._note(concern, warning_meaning(code))
        return reply.text

    def _order(
        self, name: str, arguments: str = "", *, about: str = "", repeatable: bool = False, limit_ns: int = REPLY_LIMIT_NS
    ) -> Generator[Ask, TextReply | None, None]:
        """As `_do`, for a command that is answered with OKAY or a warning. Raises WireError on anything else."""
        text = yield from self._do(name, arguments, about=about, repeatable=repeatable, limit_ns=limit_ns)
        if text != "OKAY" and TextReply(text).warning is None:
            raise WireError(f"{text[:24]!r} came in answer to {name}", self._where, "The link is opened again by itself.")

    def _try(self, name: str, arguments: str = "") -> Generator[Ask, TextReply | None, str | None]:
        """As `_do`, where a refusal is no fault: None."""
        try:
            return (yield from self._do(name, arguments, repeatable=True))
        except Refused:
            return None

    def _get(self, parameter: str) -> Generator[Ask, TextReply | None, str | None]:
        """A parameter's value; None when the camera does not know it."""
        text = yield from self._try("GET", parameter)
        if text is None:
            return None
        try:
            return next(iter(decode_parameters(text).values()))
        except WireError:
            return None

    def _note(self, concern: str, meaning: Meaning) -> None:
        self._alert(concern + meaning.what, meaning.remedy)

    def _alert(self, what: str, remedy: str) -> None:
        self._alerts.append(TrackerAlert(what=f"{self._where}: {what}", remedy=remedy))


def _positive(number: str | None) -> float | None:
    try:
        value = float(number or "")
    except ValueError:
        return None
    return value if 0.0 < value < float("inf") else None
