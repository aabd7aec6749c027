"""BX2 bodies against bytes that were replayed to a public client, or worked out by hand."""

import struct

import pytest

from drivers.ndi_gbf_wire import CameraAlert, GbfFrame, GbfMarkers, GbfPose, GbfReply, decode_bx2, encode_bx2
from drivers.ndi_pose_wire import RawPose
from drivers.ndi_wire import encode_binary
from drivers.values import WireError

HALF = 0.7071067690849304  # the square root of a half in 32 bits
POSE = RawPose((HALF, 0.0, 0.0, HALF), (10.5, -20.25, -1500.0), 0.125)
NS = 1_000_000_000

SEEN_WIRE = bytes.fromhex(
    "C4A5540013D3 01000100 0100500000000000 01000000 02000000E803000000F1536580B2E60E"
    "01000100 0200300000000000 01000000 01000000F304353F0000000000000000F304353F"
    "000028410000A2C10080BBC40000003E 7794"
)
MISSING_WIRE = bytes.fromhex(
    "C4A534003BD3 01000100 0100300000000000 01000000 02000000E903000000F15365AA02E50F01000100 0200100000000000 01000000 01000D01 7F14"
)
SEEN = GbfReply(frames=(GbfFrame(number=1000, camera_ns=1_700_000_000 * NS + 250_000_000, poses=(GbfPose(handle=1, code=0, pose=POSE),)),))
MISSING = GbfReply(
    frames=(GbfFrame(number=1001, camera_ns=1_700_000_000 * NS + 266_666_666, poses=(GbfPose(handle=1, code=13, pose=None),)),)
)


@pytest.mark.parametrize(("wire", "reply"), [(SEEN_WIRE, SEEN), (MISSING_WIRE, MISSING)])
def test_a_recorded_reply_is_written_alike_and_read(wire: bytes, reply: GbfReply) -> None:
    assert encode_binary(encode_bx2(reply)) == wire
    assert decode_bx2(wire[6:-2]) == reply


@pytest.mark.parametrize(("seen", "missing", "length"), [(1, 0, 92), (2, 0, 128), (3, 0, 164), (0, 1, 60), (1, 1, 96)])
def test_a_reply_grows_by_36_bytes_a_seen_tool_and_4_a_missing_one(seen: int, missing: int, length: int) -> None:
    poses = (GbfPose(handle=1, code=0, pose=POSE),) * seen + (GbfPose(handle=2, code=13, pose=None),) * missing
    assert len(encode_binary(encode_bx2(GbfReply(frames=(GbfFrame(number=1, camera_ns=0, poses=poses),))))) == length


def test_nothing_new_is_an_empty_container_and_a_frame_may_be_empty_too() -> None:
    assert encode_bx2(GbfReply()) == bytes.fromhex("01000000")
    assert decode_bx2(bytes.fromhex("01000000")) == GbfReply()
    empty = GbfReply(frames=(GbfFrame(number=7, camera_ns=0),))
    assert decode_bx2(encode_bx2(empty)) == empty


def test_status_bits_of_a_pose_are_its_code_averaging_and_face() -> None:
    body = bytearray(SEEN_WIRE[6:-2])
    struct.pack_into("<H", body, 4 + 12 + 16 + 4 + 12 + 2, 3 | 0x0200 | 5 << 13)  # behind two containers, two components, a frame, a handle
    (pose,) = decode_bx2(bytes(body)).frames[0].poses
    assert (pose.code, pose.averaged, pose.face, pose.pose) == (3, True, 5, POSE)


def test_alerts_stand_beside_or_inside_a_frame() -> None:
    beside = encode_bx2(GbfReply(frames=SEEN.frames, alerts=(CameraAlert(1, 2),)))
    assert decode_bx2(beside) == GbfReply(frames=SEEN.frames, alerts=(CameraAlert(1, 2),))
    inner = bytes.fromhex("01000100 1200100000000000 01000000 01000200")
    frame = struct.pack("<BBHIII", 2, 0, 0, 9, 0, 0) + inner
    body = bytes.fromhex("01000100") + struct.pack("<HIHI", 1, 12 + len(frame), 0, 1) + frame
    assert decode_bx2(body).alerts == (CameraAlert(1, 2),)


def test_components_that_nobody_asked_for_are_stepped_over_by_their_size() -> None:
    frame = GbfFrame(
        number=1000,
        camera_ns=0,
        poses=(GbfPose(handle=1, code=0, pose=POSE),),
        markers=(GbfMarkers(handle=1, markers_mm=((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))),),
    )
    body = encode_bx2(GbfReply(frames=(frame,)))
    assert body.endswith(
        struct.pack("<HIHI", 3, 12 + 4 + 32, 0, 1) + struct.pack("<HH", 1, 2) + struct.pack("<BBHfff", 0, 0, 0, 1, 2, 3)
        + struct.pack("<BBHfff", 0, 0, 1, 4, 5, 6)
    )  # fmt: skip
    assert decode_bx2(body).frames[0].poses == frame.poses
    assert decode_bx2(bytes.fromhex("01000100 7700100000000000 05000000 DEADBEEF")) == GbfReply()


BODY = SEEN_WIRE[6:-2]


@pytest.mark.parametrize(
    "body",
    [b"", BODY[:-1], BODY + b"\0", b"\x02" + BODY[1:], BODY[:6] + b"\x0b" + BODY[7:], BODY[:6] + b"\xff" + BODY[7:]],
    ids=["empty", "short", "long", "another version", "a component smaller than its head", "a component larger than the body"],
)
def test_a_body_that_its_parts_do_not_fill_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        decode_bx2(body)
