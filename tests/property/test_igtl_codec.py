"""The OpenIGTLink codec: bytes of the reference library's own test, round trips, any split, damage, and what another program packs."""

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyigtl.messages import TransformMessage as PyTransform

from drivers.igtl_wire import (
    HEADER,
    DamagedMessage,
    MessageReader,
    TransformMessage,
    columns_of,
    crc64,
    encode_get_status,
    encode_status,
    encode_transform,
    quaternion_of,
)
from drivers.values import WireError

# Body of the transform in the reference library's tests (openigtlink/OpenIGTLink, Testing, igtlutil transform data).
REFERENCE_BODY = bytes.fromhex(
    "bf7473cd3e4959e6be63dd98be4959e63e12491b3f7852d63e63dd983f7852d6bdc830ae42383660419bc46742383660"
)
REFERENCE_CRC = 0xF6DD2B8EB4DF6DD2
FLOATS = st.floats(-5000.0, 5000.0, width=32)
COLUMNS = st.lists(FLOATS, min_size=12, max_size=12).map(tuple)
NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)
STAMPS = st.none() | st.integers(1, (1 << 32) * 10**9 - 1)
METADATA = st.dictionaries(NAMES, st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=30), max_size=4)


def read(data: bytes, pieces: int = 1 << 30) -> list[TransformMessage]:
    reader = MessageReader("a test")
    messages = []
    for start in range(0, len(data), pieces):
        reader.push(data[start : start + pieces])
        while (message := reader.pull()) is not None:
            messages.append(message)
    return messages


def test_the_checksum_is_that_of_the_reference_librarys_own_test() -> None:
    assert crc64(REFERENCE_BODY) == REFERENCE_CRC


def test_a_message_typed_from_the_specification_is_read() -> None:
    header = struct.pack(">H12s20sIIQQ", 1, b"TRANSFORM", b"DeviceName", 1234567890, 1 << 31, 48, REFERENCE_CRC)
    (message,) = read(header + REFERENCE_BODY)
    assert (message.device, message.stamp_ns) == ("DeviceName", 1234567890_500000000)
    assert message.columns[:3] == pytest.approx((-0.954892, 0.196632, -0.217642), abs=1e-2)
    assert message.columns[9:] == pytest.approx((46.0531, 19.4709, 46.0531), abs=1e-3)


@given(NAMES, COLUMNS, STAMPS, st.sampled_from([1, 2, 3]), METADATA)
def test_what_is_written_is_read(
    device: str, columns: tuple[float, ...], stamp_ns: int | None, version: int, metadata: dict[str, str]
) -> None:
    (message,) = read(encode_transform(device, columns, stamp_ns, version=version, metadata=metadata))
    assert (message.device, message.columns, message.stamp_ns) == (device, columns, stamp_ns)
    assert message.metadata == (metadata if version > 1 else {})


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, COLUMNS), min_size=1, max_size=5), st.integers(1, 80))
def test_any_split_of_the_stream_reads_alike_with_other_messages_between(sent: list[tuple[str, tuple[float, ...]]], pieces: int) -> None:
    image = HEADER.pack(1, b"IMAGE", b"probe", 0, 0, 70000, 0) + bytes(70000)
    data = b"".join(encode_transform(device, columns, 7) + encode_status("x", None) for device, columns in sent)
    assert [(message.device, message.columns) for message in read(image + data, pieces)] == sent


@given(st.binary(max_size=400))
def test_random_bytes_give_nothing_but_wire_errors(data: bytes) -> None:
    reader = MessageReader("a test")
    reader.push(data)
    try:
        while reader.pull() is not None:
            pass
    except WireError as error:
        assert error.remedy


@given(st.integers(HEADER.size, HEADER.size + 47), st.integers(1, 255))
def test_a_damaged_body_costs_one_message(place: int, flip: int) -> None:
    good = encode_transform("CoilToTracker", (1.0,) * 12, 5)
    bad = bytearray(good)
    bad[place] ^= flip
    reader = MessageReader("a test")
    reader.push(bytes(bad) + good)
    with pytest.raises(DamagedMessage):
        reader.pull()
    assert reader.pull() is not None


@pytest.mark.parametrize("cut", ["extended header", "metadata"])
def test_a_body_that_contradicts_its_own_lengths_is_damage(cut: str) -> None:
    body = struct.pack(">HHII", 12, 2 if cut == "metadata" else 600, 40, 0) + bytes(48) + b"\0\x09"
    reader = MessageReader("a test")
    reader.push(HEADER.pack(2, b"TRANSFORM", b"x", 0, 0, len(body), crc64(body)) + body)
    with pytest.raises(DamagedMessage):
        reader.pull()


def test_a_transform_of_a_megabyte_is_refused_before_it_is_kept() -> None:
    reader = MessageReader("a test")
    reader.push(HEADER.pack(1, b"TRANSFORM", b"x", 0, 0, 1 << 20, 0))
    with pytest.raises(WireError, match="1048576 bytes"):
        reader.pull()


def test_the_question_for_the_status_has_no_body_and_a_name_of_21_bytes_is_no_name() -> None:
    assert len(encode_get_status()) == HEADER.size
    with pytest.raises(ValueError, match="20 bytes"):
        encode_transform("x" * 21, (0.0,) * 12, None)


@given(COLUMNS, st.sampled_from([1, 2]))
def test_another_programs_bytes_are_read_and_ours_by_it(columns: tuple[float, ...], version: int) -> None:
    theirs = PyTransform(device_name="HeadToTracker", timestamp=1700000000.25)
    theirs.header_version = version
    theirs.matrix[:3, 0], theirs.matrix[:3, 1], theirs.matrix[:3, 2], theirs.matrix[:3, 3] = (
        columns[0:3], columns[3:6], columns[6:9], columns[9:12],
    )  # fmt: skip
    (message,) = read(theirs.pack())
    assert (message.device, message.columns) == ("HeadToTracker", columns)
    assert message.stamp_ns == pytest.approx(1700000000_250000000, abs=1000)
    ours = encode_transform("CoilToTracker", columns, 1700000000_250000000, version=version, metadata={"TransformStatus": "OK"})
    unpacked = PyTransform()
    unpacked.unpack(PyTransform.parse_header(ours[: HEADER.size]), ours[HEADER.size :])
    assert unpacked.device_name == "CoilToTracker"
    assert tuple(unpacked.matrix[:3].T.ravel()) == pytest.approx(columns)
    assert unpacked.timestamp == pytest.approx(1700000000.25, abs=1e-6)


@given(st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4).filter(lambda parts: math.hypot(*parts) > 0.1))
def test_a_rotation_comes_back_from_its_columns_up_to_its_sign(parts: list[float]) -> None:
    length = math.hypot(*parts)
    w, x, y, z = (part / length for part in parts)
    back = quaternion_of(columns_of((w, x, y, z), (0.0, 0.0, 0.0)))
    assert back is not None
    same = sum(a * b for a, b in zip(back, (w, x, y, z), strict=True))
    assert abs(same) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(
    "columns",
    [
        (2.0, 0, 0, 0, 2.0, 0, 0, 0, 2.0, 0, 0, 0),
        (1.0, 0, 0, 0, 1.0, 0, 0, 0, -1.0, 0, 0, 0),
        (1.0, 0, 0, 0.1, 1.0, 0, 0, 0, 1.0, 0, 0, 0),
        (math.nan, 0, 0, 0, 1.0, 0, 0, 0, 1.0, 0, 0, 0),
        (0.0,) * 12,
    ],
    ids=["scaled", "mirrored", "sheared", "no number", "nothing"],
)
def test_what_is_no_rotation_has_no_quaternion(columns: tuple[float, ...]) -> None:
    assert quaternion_of(columns) is None
