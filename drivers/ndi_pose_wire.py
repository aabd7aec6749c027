"""Tracking replies of NDI's Polaris: binary (BX) and text (TX) bodies as values, both directions."""

import enum
import math
import struct
from collections.abc import Sequence
from typing import Final

import msgspec

from drivers.values import WireError

Quaternion = tuple[float, float, float, float]
Point = tuple[float, float, float]

_WHERE = "Polaris tracking reply"
_REMEDY = "It is dropped; if it stays, leave averaging off in the camera and check its firmware."


class Options:
    """What a TX or BX command asks for: bits, as plain numbers because flags of `enum` cost more than the parsing."""

    TRANSFORMS: Final = 0x0001
    MARKER_INFO: Final = 0x0002
    STRAY_ACTIVE: Final = 0x0004
    MARKERS: Final = 0x0008
    OUT_OF_VOLUME: Final = 0x0800  # without it a pose outside the characterised volume comes as missing
    STRAYS: Final = 0x1000
    PHANTOMS: Final = 0x2000  # of BX, with STRAYS


POSES = Options.TRANSFORMS | Options.OUT_OF_VOLUME


class HandleState(enum.IntEnum):
    VALID = 0x01
    MISSING = 0x02
    DISABLED = 0x04
    UNOCCUPIED = 0x08  # a word of TX only; BX has no code for it


class RawPose(msgspec.Struct, frozen=True):
    """As the camera sent it, unchecked: quaternion scalar first, origin in mm, RMS fit residual in mm."""

    wxyz: Quaternion
    mm: Point
    fit_rms_mm: float


class ToolReport(msgspec.Struct, frozen=True, kw_only=True):
    """One handle in one reply. Port status and frame number are None where the camera gave none."""

    handle: int
    state: HandleState
    pose: RawPose | None = None
    port_status: int | None = None
    frame_number: int | None = None
    marker_info: bytes | None = None  # tool information byte and ten bytes of marker nibbles
    markers_mm: tuple[Point, ...] | None = None


class TrackingReply(msgspec.Struct, frozen=True, kw_only=True):
    tools: tuple[ToolReport, ...]
    system_status: int
    strays_mm: tuple[Point, ...] | None = None


_NO_INFO = bytes(11)
_POSE = struct.Struct("<8fII")
_STATUS = struct.Struct("<II")
_POINT = struct.Struct("<3f")
_SYSTEM = struct.Struct("<H")


def _garbled(what: str) -> WireError:
    return WireError(what, _WHERE, _REMEDY)


# ---- binary ---------------------------------------------------------------------------------------------------------


def decode_bx(body: bytes, options: int = POSES) -> TrackingReply:
    """The body of a BX reply to that command's options. Raises WireError when its parts do not fill it exactly."""
    try:
        tools, at = [], 1
        for _ in range(body[0]):
            report, at = _decode_tool(body, at, options)
            tools.append(report)
        strays = None
        if options & Options.STRAYS:
            strays, at = _decode_points(body, at)
            if options & Options.PHANTOMS:
                at += (len(strays) + 1) // 2
        system_status = _SYSTEM.unpack_from(body, at)[0]
    except (IndexError, struct.error) as error:
        raise _garbled(f"{len(body)} bytes end too early") from error
    except ValueError as error:
        raise _garbled(f"handle state {body[at + 1]:02X} is unknown") from error
    if at + _SYSTEM.size != len(body):
        raise _garbled(f"{len(body) - at - _SYSTEM.size} bytes are left over")
    return TrackingReply(tools=tuple(tools), system_status=system_status, strays_mm=strays)


def _decode_tool(body: bytes, at: int, options: int) -> tuple[ToolReport, int]:
    handle, state = body[at], HandleState(body[at + 1])
    start, at = at, at + 2
    if state is HandleState.DISABLED:
        return ToolReport(handle=handle, state=state), at
    if state is HandleState.UNOCCUPIED:
        raise _garbled(f"handle state 08 at byte {start} is unknown")
    pose = port_status = frame_number = info = markers = None
    if options & Options.TRANSFORMS:
        if state is HandleState.VALID:
            w, x, y, z, tx, ty, tz, error, port_status, frame_number = _POSE.unpack_from(body, at)
            pose = RawPose((w, x, y, z), (tx, ty, tz), error)
            at += _POSE.size
        else:
            port_status, frame_number = _STATUS.unpack_from(body, at)
            at += _STATUS.size
    if options & Options.MARKER_INFO:
        info, at = body[at : at + len(_NO_INFO)], at + len(_NO_INFO)
    if options & Options.STRAY_ACTIVE:
        at += 1 + (_POINT.size if body[at] == 0x01 or (body[at] == 0x08 and options & Options.OUT_OF_VOLUME) else 0)
    if options & Options.MARKERS:
        markers, at = _decode_points(body, at)
    report = ToolReport(
        handle=handle, state=state, pose=pose, port_status=port_status, frame_number=frame_number, marker_info=info, markers_mm=markers
    )
    return report, at


def _decode_points(body: bytes, at: int) -> tuple[tuple[Point, ...], int]:
    count = body[at]
    first = at + 1 + (count + 7) // 8
    end = first + count * _POINT.size
    return tuple(_POINT.unpack_from(body, place) for place in range(first, end, _POINT.size)), end


def encode_bx(reply: TrackingReply, options: int = POSES) -> bytes:
    """The body of a BX reply; an unoccupied handle goes out as disabled."""
    parts = [bytes([len(reply.tools)])]
    parts += [_encode_tool(report, options) for report in reply.tools]
    if options & Options.STRAYS:
        strays = reply.strays_mm or ()
        parts.append(_encode_points(strays))
        if options & Options.PHANTOMS:
            parts.append(bytes((len(strays) + 1) // 2))
    return b"".join([*parts, _SYSTEM.pack(reply.system_status)])


def _encode_tool(report: ToolReport, options: int) -> bytes:
    if report.state in (HandleState.DISABLED, HandleState.UNOCCUPIED):
        return bytes([report.handle, HandleState.DISABLED])
    data = bytes([report.handle, report.state])
    if options & Options.TRANSFORMS:
        pose = report.pose
        status, frame = report.port_status or 0, report.frame_number or 0
        data += _STATUS.pack(status, frame) if pose is None else _POSE.pack(*pose.wxyz, *pose.mm, pose.fit_rms_mm, status, frame)
    if options & Options.MARKER_INFO:
        data += report.marker_info or _NO_INFO
    if options & Options.STRAY_ACTIVE:
        data += b"\0"
    if options & Options.MARKERS:
        data += _encode_points(report.markers_mm or ())
    return data


def _encode_points(points: Sequence[Point]) -> bytes:
    inside_volume = bytes((len(points) + 7) // 8)
    return bytes([len(points)]) + inside_volume + b"".join(_POINT.pack(*point) for point in points)


# ---- text -----------------------------------------------------------------------------------------------------------


class _Cursor:
    """Reads fixed-width fields of a text, one after another."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def take(self, width: int) -> str:
        field = self.text[self.at : self.at + width]
        if len(field) != width:
            raise _garbled(f"{len(self.text)} characters end too early")
        self.at += width
        return field

    def hex(self, width: int) -> int:
        return int(self.take(width), 16)

    def number(self, width: int, per_unit: float) -> float:
        field = self.take(width)
        if field[0] not in "+-" or not field[1:].isdigit():
            raise ValueError(field)
        return int(field) / per_unit

    def word(self, *words: str) -> str | None:
        for word in words:
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return word
        return None

    def point(self) -> Point:
        return (self.number(7, 100.0), self.number(7, 100.0), self.number(7, 100.0))


def decode_tx(text: str, options: int = POSES) -> TrackingReply:
    """A TX reply to that command's options. Raises WireError."""
    cursor = _Cursor(text)
    try:
        tools = tuple(_read_tool(cursor, options) for _ in range(cursor.hex(2)))
        strays = _read_points(cursor) if options & Options.STRAYS else None
        system_status = cursor.hex(4)
    except ValueError as error:
        raise _garbled(f"a field before character {cursor.at} is no number") from error
    if cursor.at != len(text):
        raise _garbled(f"{len(text) - cursor.at} characters are left over")
    return TrackingReply(tools=tools, system_status=system_status, strays_mm=strays)


_ABSENT = {"MISSING": HandleState.MISSING, "DISABLED": HandleState.DISABLED, "UNOCCUPIED": HandleState.UNOCCUPIED}


def _read_tool(cursor: _Cursor, options: int) -> ToolReport:
    handle = cursor.hex(2)
    state, pose, port_status, frame_number, info, markers = HandleState.VALID, None, None, None, None, None
    if options & Options.TRANSFORMS:
        word = cursor.word(*_ABSENT)
        if word is None:
            numbers = [cursor.number(6, 1e4) for _ in range(4)]
            pose = RawPose((numbers[0], numbers[1], numbers[2], numbers[3]), cursor.point(), cursor.number(6, 1e4))
        else:
            state = _ABSENT[word]
        if state in (HandleState.VALID, HandleState.MISSING) or cursor.text[cursor.at : cursor.at + 1] != "\n":
            port_status, frame_number = cursor.hex(8), cursor.hex(8)  # behind DISABLED and UNOCCUPIED cameras differ
    if state in (HandleState.VALID, HandleState.MISSING):
        if options & Options.MARKER_INFO:
            info = bytes.fromhex(cursor.take(2 * len(_NO_INFO)))
        if options & Options.STRAY_ACTIVE and cursor.word("MISSING", "DISABLED") is None:
            cursor.point()
        if options & Options.MARKERS:
            markers = _read_points(cursor)
    if cursor.take(1) != "\n":
        raise _garbled(f"handle {handle:02X} does not end where it should")
    return ToolReport(
        handle=handle, state=state, pose=pose, port_status=port_status, frame_number=frame_number, marker_info=info, markers_mm=markers
    )


def _read_points(cursor: _Cursor) -> tuple[Point, ...]:
    count = cursor.hex(2)
    cursor.take((count + 3) // 4)
    return tuple(cursor.point() for _ in range(count))


def encode_tx(reply: TrackingReply, options: int = POSES) -> str:
    parts = [f"{len(reply.tools):02X}"]
    parts += [_write_tool(report, options) for report in reply.tools]
    if options & Options.STRAYS:
        parts.append(_write_points(reply.strays_mm or ()))
    return "".join([*parts, f"{reply.system_status:04X}"])


def _write_tool(report: ToolReport, options: int) -> str:
    if report.state in (HandleState.DISABLED, HandleState.UNOCCUPIED):
        return f"{report.handle:02X}{report.state.name}\n"
    text = f"{report.handle:02X}"
    if options & Options.TRANSFORMS:
        text += "MISSING" if report.pose is None else _write_pose(report.pose)
        text += f"{report.port_status or 0:08X}{report.frame_number or 0:08X}"
    if options & Options.MARKER_INFO:
        text += (report.marker_info or _NO_INFO).hex().upper()
    if options & Options.STRAY_ACTIVE:
        text += "MISSING"
    if options & Options.MARKERS:
        text += _write_points(report.markers_mm or ())
    return text + "\n"


def _write_pose(pose: RawPose) -> str:
    return "".join(map(_write_fraction, pose.wxyz)) + _write_point(pose.mm) + _write_fraction(pose.fit_rms_mm)


def _write_fraction(number: float) -> str:
    return f"{_scaled(number, 1e4, 99999):+06d}"


def _write_point(point: Point) -> str:
    return "".join(f"{_scaled(coordinate, 100.0, 999999):+07d}" for coordinate in point)


def _write_points(points: Sequence[Point]) -> str:
    return f"{len(points):02X}" + "0" * ((len(points) + 3) // 4) + "".join(map(_write_point, points))


def _scaled(number: float, per_unit: float, largest: int) -> int:
    """What fits into the field's digits; beyond, the largest."""
    if not math.isfinite(number):
        return 0
    return max(-largest, min(largest, round(number * per_unit)))
