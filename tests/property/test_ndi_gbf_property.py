"""BX2 bodies over any values and any bytes."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from drivers.ndi_gbf_wire import CameraAlert, GbfFrame, GbfPose, GbfReply, decode_bx2, encode_bx2
from drivers.ndi_pose_wire import RawPose
from drivers.values import WireError

NUMBERS = st.floats(width=32, allow_nan=False)
POSES = st.builds(
    GbfPose,
    handle=st.integers(0, 0xFFFF),
    code=st.integers(0, 0xFF),
    pose=st.one_of(st.none(), st.builds(RawPose, st.tuples(*[NUMBERS] * 4), st.tuples(*[NUMBERS] * 3), NUMBERS)),
    averaged=st.booleans(),
    face=st.integers(0, 7),
)
FRAMES = st.builds(
    GbfFrame,
    number=st.integers(0, 2**32 - 1),
    camera_ns=st.integers(0, 10**18),
    kind=st.integers(0, 7),
    status=st.integers(0, 0xFFFF),
    poses=st.lists(POSES, max_size=4).map(tuple),
)
ALERTS = st.builds(CameraAlert, st.integers(0, 255), st.integers(0, 0xFFFF))
REPLIES = st.builds(GbfReply, frames=st.lists(FRAMES, max_size=3).map(tuple), alerts=st.lists(ALERTS, max_size=3).map(tuple))


@given(REPLIES)
def test_a_reply_comes_back_from_its_bytes(reply: GbfReply) -> None:
    assert decode_bx2(encode_bx2(reply)) == reply


@given(st.binary(max_size=150))
def test_any_body_gives_a_reply_or_a_wire_error(body: bytes) -> None:
    with contextlib.suppress(WireError):
        decode_bx2(body)


@given(REPLIES, st.integers(0, 10_000), st.integers(0, 255))
def test_any_changed_body_gives_a_reply_or_a_wire_error(reply: GbfReply, place: int, byte: int) -> None:
    body = bytearray(encode_bx2(reply))
    body[place % len(body)] = byte
    with contextlib.suppress(WireError):
        decode_bx2(bytes(body))
