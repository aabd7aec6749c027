"""The conversation that brings a Polaris camera from any state to tracking, as one readable script.

A script yields what to ask and is sent each undamaged text reply; who sends, waits and repeats is `ndi.py`.
"""

from collections.abc import Generator, Mapping

import msgspec

from drivers.ndi_codes_wire import ERROR_DAMAGED, Meaning, error_meaning, warning_meaning
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
from drivers.ndi_wire import BinaryReply, Reply, TextReply, encode_command
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
_ILLUMINATOR_60_HZ = "2"
_BUMPED = "Info.Status.Bump Detected"
_SERIAL = "Features.Hardware.Serial Number"
_MODEL = "Features.Hardware.Model"
_FIRMWARE = "Features.Firmware.Version"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One command. `repeatable`: sending it again after a damaged reply changes nothing that the first did not."""

    name: str
    sent: bytes
    limit_ns: int
    repeatable: bool
    quiet_before_ns: int


class Established(msgspec.Struct, frozen=True, kw_only=True):
    """A camera that tracks: who it is, which handle is which tool, and how often poses come."""

    identity: TrackerIdentity
    tool_of_handle: dict[int, str]
    frames_per_pose: int
    alerts: tuple[TrackerAlert, ...]


Talk = Generator[Ask, TextReply, str]  # one command: its reply's text, errors raised


class Setup:
    """Writes the script for these tools (name -> bytes of the .rom file); `where` names the camera in errors."""

    def __init__(self, tools: Mapping[str, bytes], frame_hz: float | None, where: str) -> None:
        self._tools = tools
        self._frame_hz = frame_hz
        self._where = where
        self._alerts: list[TrackerAlert] = []

    def script(self) -> Generator[Ask, TextReply, Established]:
        """From any state to tracking. Raises Refused (what the camera will not do) and WireError (what it should not say)."""
        yield from self._try("TSTOP")
        yield from self._order("INIT")
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
        return Established(identity=identity, tool_of_handle=tool_of_handle, frames_per_pose=frames_per_pose, alerts=tuple(self._alerts))

    # ---- rates and identity ------------------------------------------------------------------------------------------

    def _set_rate(self) -> Generator[Ask, TextReply, float]:
        """Ask for the wanted frame rate, accept a refusal, and return what the camera then says."""
        yield from self._try("SET", f"{_ILLUMINATOR}={_ILLUMINATOR_60_HZ}")  # older models start at 20 Hz
        if self._frame_hz is not None:
            yield from self._try("SET", f"{_FRAME_HZ}={self._frame_hz:g}")
        said = yield from self._get(_FRAME_HZ)
        frame_hz = _positive(said) or self._frame_hz
        if frame_hz is None:
            raise Refused("the camera does not tell its frame rate", self._where, "Name the camera's frame rate in the chair's file.")
        if self._frame_hz is not None and frame_hz != self._frame_hz:
            self._alert(f"the camera runs at {frame_hz:g} Hz, not at {self._frame_hz:g}", "Name a rate that this camera knows.")
        return frame_hz

    def _set_track_rate(self) -> Generator[Ask, TextReply, int]:
        yield from self._try("SET", f"{_TRACK_RATE}={EVERY_FRAME}")
        said = yield from self._get(_TRACK_RATE)
        return _FRAMES_PER_POSE.get(said or EVERY_FRAME, 1)

    def _identify(self, frame_hz: float, language: str) -> Generator[Ask, TextReply, TrackerIdentity]:
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

    def _look_for_bump(self) -> Generator[Ask, TextReply, None]:
        if (yield from self._get(_BUMPED)) not in (None, "0"):
            self._alert("the camera was bumped", "Check its accuracy with NDI's kit, then clear the bump with NDI's program.")

    # ---- tools -------------------------------------------------------------------------------------------------------

    def _free_handles(self) -> Generator[Ask, TextReply, None]:
        """Those the camera wants freed, then all that an earlier run left behind."""
        for search in (Search.TO_FREE, Search.ALL):
            for port in decode_ports((yield from self._do("PHSR", search, repeatable=True))):
                yield from self._order("PHF", f"{port.handle:02X}")

    def _load(self, tool: str, rom: bytes) -> Generator[Ask, TextReply, int]:
        handle = decode_handle((yield from self._do("PHRQ", PASSIVE_TOOL, about=tool)))
        for chunk in encode_chunks(handle, rom):
            yield from self._order("PVWR", chunk, about=tool, repeatable=True)
        return handle

    def _enable(self, tool_of_handle: Mapping[int, str]) -> Generator[Ask, TextReply, None]:
        for port in decode_ports((yield from self._do("PHSR", Search.NOT_INITIALISED, repeatable=True))):
            if (tool := tool_of_handle.get(port.handle)) is not None:
                yield from self._order("PINIT", f"{port.handle:02X}", about=tool, repeatable=True, limit_ns=SLOW_LIMIT_NS)
        for handle, tool in tool_of_handle.items():
            yield from self._order("PENA", f"{handle:02X}D", about=tool, repeatable=True)
        for handle, tool in tool_of_handle.items():
            yield from self._check(handle, tool)

    def _check(self, handle: int, tool: str) -> Generator[Ask, TextReply, None]:
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
    ) -> Generator[Ask, TextReply, None]:
        """As `_do`, for a command that is answered with OKAY or a warning. Raises WireError on anything else."""
        text = yield from self._do(name, arguments, about=about, repeatable=repeatable, limit_ns=limit_ns)
        if text != "OKAY" and TextReply(text).warning is None:
            raise WireError(f"{text[:24]!r} came in answer to {name}", self._where, "The link is opened again by itself.")

    def _try(self, name: str, arguments: str = "") -> Generator[Ask, TextReply, str | None]:
        """As `_do`, where a refusal is no fault: None."""
        try:
            return (yield from self._do(name, arguments, repeatable=True))
        except Refused:
            return None

    def _get(self, parameter: str) -> Generator[Ask, TextReply, str | None]:
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


class SetupRun:
    """Runs a script on one link: sends each command when its quiet time is over, waits, repeats what was damaged."""

    REPEATS = 3  # of one command

    def __init__(self, script: Generator[Ask, TextReply, Established], where: str, now_ns: int) -> None:
        self._script = script
        self._where = where
        self._repeats = 0
        self._is_sent = False
        self._queue(next(script), now_ns)

    @property
    def wake_ns(self) -> int:
        return self._due_ns + (self._ask.limit_ns if self._is_sent else 0)

    def tick(self, now_ns: int) -> bytes:
        """What to send now, if anything. Raises NoReply when the answer is overdue."""
        if now_ns < self.wake_ns:
            return b""
        if self._is_sent:
            what = f"no answer to {self._ask.name} within {self._ask.limit_ns // SECOND_NS} s"
            raise NoReply(what, self._where, "Check that the camera is on and its cable is whole; it is tried again by itself.")
        self._is_sent, self._due_ns = True, now_ns
        return self._ask.sent

    def take(self, reply: Reply, now_ns: int) -> Established | None:
        """An undamaged reply. Returns what was established once the script is at its end. Raises Refused, WireError."""
        if not self._is_sent or isinstance(reply, BinaryReply):
            raise WireError(f"a reply came that nothing asked for ({reply!r:.40})", self._where, "The link is opened again by itself.")
        if reply.error == ERROR_DAMAGED:
            self._repeat(now_ns, "the camera gets our commands damaged")
            return None
        try:
            ask = self._script.send(reply)
        except StopIteration as end:
            established: Established = end.value
            return established
        self._repeats = 0
        self._queue(ask, now_ns)
        return None

    def damaged(self, now_ns: int) -> None:
        """The reply cannot be read: ask again if that is harmless. Raises WireError when it is not, or after three times."""
        if not self._ask.repeatable:
            raise WireError(f"the answer to {self._ask.name} is damaged", self._where, "It is set up again by itself; check the cable.")
        self._repeat(now_ns, "the camera's answers are damaged")

    def _repeat(self, now_ns: int, what: str) -> None:
        self._repeats += 1
        if self._repeats > self.REPEATS:
            raise WireError(what, self._where, "Check the cable; it is tried again by itself.")
        self._queue(self._ask, now_ns)

    def _queue(self, ask: Ask, now_ns: int) -> None:
        self._ask, self._is_sent, self._due_ns = ask, False, now_ns + ask.quiet_before_ns
