"""The ways in which poses are had from a Polaris camera: BX, TX and BX2 by asking, BX2 as a stream; and which one suits a unit.

Turns any of their replies into the same reports. No times, no conversation.
"""

import enum

import msgspec

from drivers.ndi_gbf_wire import ASK_FOR_POSES, CameraAlert, GbfPose, PoseCode, decode_bx2
from drivers.ndi_pose_wire import POSES, HandleState, ToolReport, decode_bx, decode_tx
from drivers.ndi_setup_wire import READY_PORT, PortBits, ToolInfoBits
from drivers.ndi_wire import BinaryReply, TextReply, encode_command
from drivers.values import WireError

STREAM_NAME = "atmsd"


class Way(enum.StrEnum):
    STREAM = "stream"  # the camera pushes a BX2 reply for each frame
    BX2 = "bx2"
    BX = "bx"
    TX = "tx"


ORDER = (Way.STREAM, Way.BX2, Way.BX, Way.TX)  # where one fails, the next is tried
GBF_FAMILY, GBF_SINCE = "G", 3  # NDI's samples use BX2 and streams from interface revision G.003 on


def ways_for(wanted: Way | None, interface: str, is_serial: bool) -> tuple[Way, ...]:
    """Best first. `wanted` None: by the unit's interface revision (such as G.003.005) and its line; else from that one on."""
    if wanted is not None:
        return ORDER[ORDER.index(wanted) :]
    return ORDER if _knows_gbf(interface) and not is_serial else (Way.BX, Way.TX)


def _knows_gbf(interface: str) -> bool:
    family, _, rest = interface.partition(".")
    major = rest.partition(".")[0]
    return family == GBF_FAMILY and major.isdecimal() and int(major) >= GBF_SINCE


_OPTIONS = f"{POSES:04X}"


def request(way: Way, is_serial: bool) -> bytes:
    """The command that asks once, or begins the stream. TCP guards the bytes: only a serial line needs the checksum."""
    match way:
        case Way.STREAM:
            return encode_command("STREAM", f"--id={STREAM_NAME} BX2 {ASK_FOR_POSES}", checked=is_serial)
        case Way.BX2:
            return encode_command("BX2", ASK_FOR_POSES, checked=is_serial)
        case Way.BX:
            return encode_command("BX", _OPTIONS, checked=is_serial)
        case Way.TX:
            return encode_command("TX", _OPTIONS, checked=is_serial)


END_STREAM_ARGUMENTS = f"--id={STREAM_NAME}"


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What one reply tells. `frames`: the reports of each exposure, oldest first. `system_status` None: not said."""

    frames: tuple[tuple[ToolReport, ...], ...]
    system_status: int | None = None
    alerts: tuple[CameraAlert, ...] = ()
    is_averaged: bool = False


def read_sight(way: Way, reply: TextReply | BinaryReply) -> Sight:
    """An answer to `request(way)`. Raises WireError for one of the wrong kind, or that cannot be read."""
    if isinstance(reply, TextReply):
        if way is not Way.TX:
            raise WireError(f"{reply.text[:24]!r} came in answer to {way.upper()}", "Polaris reply", "It is asked for again.")
        text = decode_tx(reply.text)
        return Sight(frames=(text.tools,), system_status=text.system_status)
    if way is Way.BX:
        binary = decode_bx(reply.body)
        return Sight(frames=(binary.tools,), system_status=binary.system_status)
    if way is Way.TX:
        raise WireError("a binary reply came in answer to TX", "Polaris reply", "It is asked for again.")
    gbf = decode_bx2(reply.body)
    frames = tuple([tuple([_report(pose, frame.number) for pose in frame.poses]) for frame in gbf.frames if frame.poses])
    is_averaged = any(pose.averaged for frame in gbf.frames for pose in frame.poses)
    return Sight(frames=frames, alerts=gbf.alerts, is_averaged=is_averaged)


# A code of BX2 in the words of BX: bits of the port status, and of the tool information for a pose that is not there.
_STATUS_OF_CODE = {
    PoseCode.PARTLY_OUT_OF_VOLUME: PortBits.PARTLY_OUT_OF_VOLUME,
    PoseCode.PARTLY_AVERAGED: PortBits.EXCEPTION,
    PoseCode.OUT_OF_VOLUME: PortBits.OUT_OF_VOLUME,
    PoseCode.INTERFERENCE: PortBits.INTERFERENCE,
    PoseCode.BUFFER_LIMIT: PortBits.BUFFER_LIMIT,
    PoseCode.ALGORITHM_LIMIT: PortBits.ALGORITHM_LIMIT,
    PoseCode.FELL_BEHIND: PortBits.FELL_BEHIND,
    PoseCode.OUT_OF_SYNC: PortBits.EXCEPTION,
    PoseCode.EXCEPTION: PortBits.EXCEPTION,
}
_INFO_OF_CODE = {PoseCode.BAD_FIT: ToolInfoBits.BAD_FIT, PoseCode.TOO_FEW_MARKERS: ToolInfoBits.TOO_FEW_MARKERS}
_UNKNOWN_DOUBT = PortBits.EXCEPTION  # a pose with a code that nobody here knows is not good


def _report(pose: GbfPose, frame_number: int) -> ToolReport:
    code = pose.code
    if code == PoseCode.OKAY and pose.pose is not None and not pose.averaged:
        return ToolReport(handle=pose.handle, state=HandleState.VALID, pose=pose.pose, port_status=READY_PORT, frame_number=frame_number)
    if code == PoseCode.NOT_ENABLED:
        return ToolReport(handle=pose.handle, state=HandleState.DISABLED, frame_number=frame_number)
    if code == PoseCode.UNPLUGGED:
        return ToolReport(handle=pose.handle, state=HandleState.UNOCCUPIED, frame_number=frame_number)
    doubt = _STATUS_OF_CODE.get(code, 0 if pose.pose is None else _UNKNOWN_DOUBT)
    return ToolReport(
        handle=pose.handle,
        state=HandleState.MISSING if pose.pose is None else HandleState.VALID,
        pose=pose.pose,
        port_status=READY_PORT | doubt,
        frame_number=frame_number,
        marker_info=bytes([_INFO_OF_CODE.get(code, 0)]),
    )
