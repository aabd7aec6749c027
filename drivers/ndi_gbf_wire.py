"""Bodies of NDI's BX2 replies (general binary format): frames of poses, markers and alerts as values, both directions.

A body is a container of components, a component's items may hold containers again. Layout as NDI's own sample clients read it.
"""

import struct
from typing import Final

import msgspec

from drivers.ndi_pose_wire import Point, RawPose
from drivers.values import WireError

ASK_FOR_POSES = "--6d=tools"  # arguments of BX2

_WHERE = "Polaris BX2 reply"
_REMEDY = "It is dropped; if it stays, set the tracker's mode to bx in the chair's file."

_VERSION = 1
_CONTAINER = struct.Struct("<HH")  # version, components
_COMPONENT = struct.Struct("<HIHI")  # type, size with this header, item option, items
_FRAME = struct.Struct("<BBHIII")  # type, sequence index, status, number, seconds, nanoseconds
_POSE_HEAD = struct.Struct("<HH")  # handle, status
_POSE = struct.Struct("<8f")
_MARKERS_HEAD = struct.Struct("<HH")  # handle, markers
_MARKER = struct.Struct("<BBHfff")  # status, 0, index, place
_ALERT = struct.Struct("<BBH")  # type, 0, code

_FRAMES, _POSES, _MARKERS, _ALERTS = 0x01, 0x02, 0x03, 0x12  # component types; others are stepped over by their size
_NO_POSE, _AVERAGED = 0x0100, 0x0200
_SECOND_NS = 1_000_000_000


class PoseCode:
    """Why a tool's pose is missing, or what is to be known about one that is there."""

    OKAY: Final = 0
    PARTLY_OUT_OF_VOLUME: Final = 3
    PARTLY_AVERAGED: Final = 5
    OUT_OF_VOLUME: Final = 9
    TOO_FEW_MARKERS: Final = 13
    INTERFERENCE: Final = 14
    BAD_FIT: Final = 17
    BUFFER_LIMIT: Final = 18
    ALGORITHM_LIMIT: Final = 19
    FELL_BEHIND: Final = 20
    OUT_OF_SYNC: Final = 21
    EXCEPTION: Final = 22
    MISSING: Final = 31
    NOT_ENABLED: Final = 32
    UNPLUGGED: Final = 33


class FrameKind:
    PASSIVE: Final = 2


class GbfPose(msgspec.Struct, frozen=True, kw_only=True):
    """One tool in one frame; `pose` None: the camera has none, `code` says why."""

    handle: int
    code: int
    pose: RawPose | None
    averaged: bool = False
    face: int = 0


class GbfMarkers(msgspec.Struct, frozen=True, kw_only=True):
    """The seen markers of one tool, in the camera's frame, mm."""

    handle: int
    markers_mm: tuple[Point, ...]


class CameraAlert(msgspec.Struct, frozen=True):
    """A fault, alert or event; public clients number the kinds differently, so that both parts are only told."""

    kind: int
    code: int


class GbfFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One exposure. `camera_ns`: on the camera's own clock, not the host's."""

    number: int
    camera_ns: int
    kind: int = FrameKind.PASSIVE
    status: int = 0
    poses: tuple[GbfPose, ...] = ()
    markers: tuple[GbfMarkers, ...] = ()  # written only: nothing here asks for them


class GbfReply(msgspec.Struct, frozen=True, kw_only=True):
    """What is new since the last reply: often one frame, none when there is nothing new."""

    frames: tuple[GbfFrame, ...] = ()
    alerts: tuple[CameraAlert, ...] = ()


def _garbled(what: str) -> WireError:
    return WireError(what, _WHERE, _REMEDY)


# ---- reading --------------------------------------------------------------------------------------------------------


class _Part(msgspec.Struct, frozen=True):
    """A component: its items lie from `at` up to `end`."""

    kind: int
    items: int
    at: int
    end: int


def decode_bx2(body: bytes) -> GbfReply:
    """The body of a BX2 reply. Raises WireError when its parts do not fill it exactly."""
    frames: list[GbfFrame] = []
    alerts: list[CameraAlert] = []
    try:
        parts, end = _parts(body, 0)
        for part in parts:
            if part.kind == _FRAMES:
                _read_frames(body, part, frames, alerts)
            elif part.kind == _ALERTS:
                _read_alerts(body, part, alerts)
    except struct.error as error:
        raise _garbled(f"{len(body)} bytes end too early") from error
    if end != len(body):
        raise _garbled(f"{len(body) - end} bytes are left over")
    return GbfReply(frames=tuple(frames), alerts=tuple(alerts))


def _parts(body: bytes, at: int) -> tuple[list[_Part], int]:
    version, count = _CONTAINER.unpack_from(body, at)
    if version != _VERSION:
        raise _garbled(f"container version {version} is unknown")
    at += _CONTAINER.size
    parts = []
    for _ in range(count):
        kind, size, _option, items = _COMPONENT.unpack_from(body, at)
        if size < _COMPONENT.size or at + size > len(body):
            raise _garbled(f"a component of {size} bytes does not fit")
        parts.append(_Part(kind, items, at + _COMPONENT.size, at + size))
        at += size
    return parts, at


def _read_frames(body: bytes, part: _Part, frames: list[GbfFrame], alerts: list[CameraAlert]) -> None:
    at = part.at
    for _ in range(part.items):
        kind, _index, status, number, seconds, nanoseconds = _FRAME.unpack_from(body, at)
        inner, at = _parts(body, at + _FRAME.size)
        poses: tuple[GbfPose, ...] = ()
        for each in inner:
            if each.kind == _POSES:
                poses += _read_poses(body, each)
            elif each.kind == _ALERTS:
                _read_alerts(body, each, alerts)
        frames.append(GbfFrame(number=number, camera_ns=seconds * _SECOND_NS + nanoseconds, kind=kind, status=status, poses=poses))
    _check_filled(part, at)


def _read_poses(body: bytes, part: _Part) -> tuple[GbfPose, ...]:
    at, poses = part.at, []
    for _ in range(part.items):
        handle, status = _POSE_HEAD.unpack_from(body, at)
        at += _POSE_HEAD.size
        pose = None
        if not status & _NO_POSE:
            w, x, y, z, tx, ty, tz, error = _POSE.unpack_from(body, at)
            pose = RawPose((w, x, y, z), (tx, ty, tz), error)
            at += _POSE.size
        poses.append(GbfPose(handle=handle, code=status & 0xFF, pose=pose, averaged=status & _AVERAGED != 0, face=status >> 13))
    _check_filled(part, at)
    return tuple(poses)


def _read_alerts(body: bytes, part: _Part, alerts: list[CameraAlert]) -> None:
    at = part.at
    for _ in range(part.items):
        kind, _zero, code = _ALERT.unpack_from(body, at)
        alerts.append(CameraAlert(kind, code))
        at += _ALERT.size
    _check_filled(part, at)


def _check_filled(part: _Part, at: int) -> None:
    if at != part.end:
        raise _garbled(f"the items of a component end at byte {at}, not at {part.end}")


# ---- writing --------------------------------------------------------------------------------------------------------


def encode_bx2(reply: GbfReply) -> bytes:
    """The body of a BX2 reply; without frames and alerts an empty container."""
    components = []
    if reply.frames:
        components.append(_component(_FRAMES, [_write_frame(frame) for frame in reply.frames]))
    if reply.alerts:
        components.append(_component(_ALERTS, [_ALERT.pack(alert.kind, 0, alert.code) for alert in reply.alerts]))
    return _container(components)


def _container(components: list[bytes]) -> bytes:
    return _CONTAINER.pack(_VERSION, len(components)) + b"".join(components)


def _component(kind: int, items: list[bytes]) -> bytes:
    content = b"".join(items)
    return _COMPONENT.pack(kind, _COMPONENT.size + len(content), 0, len(items)) + content


def _write_frame(frame: GbfFrame) -> bytes:
    seconds, nanoseconds = divmod(frame.camera_ns, _SECOND_NS)
    inner = []
    if frame.poses:
        inner.append(_component(_POSES, [_write_pose(pose) for pose in frame.poses]))
    if frame.markers:
        inner.append(_component(_MARKERS, [_write_markers(each) for each in frame.markers]))
    return _FRAME.pack(frame.kind, 0, frame.status, frame.number, seconds, nanoseconds) + _container(inner)


def _write_pose(pose: GbfPose) -> bytes:
    status = pose.code | (_AVERAGED if pose.averaged else 0) | pose.face << 13
    if pose.pose is None:
        return _POSE_HEAD.pack(pose.handle, status | _NO_POSE)
    return _POSE_HEAD.pack(pose.handle, status) + _POSE.pack(*pose.pose.wxyz, *pose.pose.mm, pose.pose.fit_rms_mm)


def _write_markers(each: GbfMarkers) -> bytes:
    markers = [_MARKER.pack(0, 0, index, *place) for index, place in enumerate(each.markers_mm)]
    return _MARKERS_HEAD.pack(each.handle, len(markers)) + b"".join(markers)
