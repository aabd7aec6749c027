"""Polaris codecs over any values, any split of the stream, any bytes."""

import contextlib
import itertools
import math
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ndi_pose_wire import (
    POSES,
    HandleState,
    Options,
    RawPose,
    ToolReport,
    TrackingReply,
    decode_bx,
    decode_tx,
    encode_bx,
    encode_tx,
)
from drivers.ndi_setup_wire import (
    Port,
    decode_chunk,
    decode_handle,
    decode_parameters,
    decode_port_info,
    decode_ports,
    decode_version,
    encode_chunks,
    encode_parameters,
    encode_ports,
)
from drivers.ndi_wire import (
    BinaryReply,
    CommandReader,
    CrcMismatch,
    FramingLost,
    Reply,
    ReplyReader,
    StreamedReply,
    TextReply,
    crc16,
    decode_command,
    encode_binary,
    encode_command,
    encode_streamed,
    encode_text,
)
from drivers.rom_wire import build_rom, parse_rom, rom_checksum
from drivers.values import WireError

TEXTS = st.text(st.characters(codec="latin-1", exclude_characters="\r"), max_size=200)
PLAIN_REPLIES = st.one_of(
    TEXTS.map(encode_text).filter(lambda wire: wire[:2] not in (b"\xc4\xa5", b"\xc8\xa5", b"\xd4\xb5")),
    st.binary(max_size=300).map(encode_binary),
)
REPLIES = st.one_of(PLAIN_REPLIES, st.builds(encode_streamed, st.text(st.characters(codec="latin-1"), max_size=40), PLAIN_REPLIES))
COORDINATES = st.floats(width=32, allow_nan=False)
BYTES = st.integers(0, 255)
WORDS = st.integers(0, 2**32 - 1)
POINTS = st.tuples(COORDINATES, COORDINATES, COORDINATES)


def slow_crc(data: bytes) -> int:
    """The definition, bit by bit."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def read_all(data: bytes, cuts: list[int]) -> list[Reply | type[WireError]]:
    """Everything that a reader makes of the bytes in those pieces."""
    reader, seen = ReplyReader(), []
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        reader.push(data[start:end])
        while True:
            try:
                reply = reader.pull()
            except WireError as error:
                seen.append(type(error))
                continue
            if reply is None:
                break
            seen.append(reply)
    return seen


@given(st.binary(max_size=200))
def test_the_table_gives_the_checksum_of_the_definition(data: bytes) -> None:
    assert crc16(data) == slow_crc(data)
    assert crc16(data + crc16(data).to_bytes(2, "little")) == 0


def written(reply: Reply) -> bytes:
    if isinstance(reply, StreamedReply):
        return encode_streamed(reply.stream, written(reply.reply))
    return encode_text(reply.text) if isinstance(reply, TextReply) else encode_binary(reply.body)


@given(st.lists(REPLIES, max_size=6), st.lists(st.integers(0, 2000), max_size=8))
def test_any_split_gives_the_same_replies_in_order(replies: list[bytes], cuts: list[int]) -> None:
    got = read_all(b"".join(replies), cuts)
    assert [written(reply) for reply in got] == replies


@given(st.binary(max_size=400), st.lists(st.integers(0, 2000), max_size=8))
def test_any_bytes_in_any_split_give_the_same_replies_and_wire_errors_only(data: bytes, cuts: list[int]) -> None:
    assert read_all(data, cuts) == read_all(data, [])


@given(st.binary(max_size=60).map(encode_binary), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_never_read_as_a_reply(wire: bytes, place: int, change: int) -> None:
    place %= len(wire)
    damaged = wire[:place] + bytes([wire[place] ^ change]) + wire[place + 1 :]
    got = read_all(damaged + encode_text("OKAY"), [])
    assert not any(isinstance(reply, BinaryReply) for reply in got)
    if place >= 6:
        assert got == [CrcMismatch, TextReply("OKAY")], "a damaged body costs one message"
    elif place >= 2:
        assert got == [FramingLost]


@given(st.from_regex(r"[A-Z0-9]{1,8}", fullmatch=True), TEXTS, st.booleans())
def test_a_command_comes_back_from_its_bytes(name: str, arguments: str, checked: bool) -> None:
    (line,) = CommandReader().push(encode_command(name, arguments, checked=checked))
    command = decode_command(line)
    assert (command.name, command.arguments) == (name, arguments)


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_command_reader_gives_the_same_lines_for_any_split(parts: list[bytes]) -> None:
    whole, split = CommandReader(), CommandReader()
    assert [line for part in parts for line in split.push(part)] == whole.push(b"".join(parts))


# ---- tracking replies -----------------------------------------------------------------------------------------------


@st.composite
def tracking(draw: st.DrawFn, options: int) -> TrackingReply:
    tools = []
    for _ in range(draw(st.integers(0, 4))):
        state = draw(st.sampled_from([HandleState.VALID, HandleState.MISSING, HandleState.DISABLED]))
        pose = RawPose(draw(st.tuples(COORDINATES, COORDINATES, COORDINATES, COORDINATES)), draw(POINTS), draw(COORDINATES))
        is_off = state is HandleState.DISABLED
        tools.append(
            ToolReport(
                handle=draw(st.integers(1, 255)),
                state=state,
                pose=pose if state is HandleState.VALID else None,
                port_status=None if is_off else draw(WORDS),
                frame_number=None if is_off else draw(WORDS),
                marker_info=draw(st.binary(min_size=11, max_size=11)) if options & Options.MARKER_INFO and not is_off else None,
                markers_mm=tuple(draw(st.lists(POINTS, max_size=5))) if options & Options.MARKERS and not is_off else None,
            )
        )
    strays = tuple(draw(st.lists(POINTS, max_size=9))) if options & Options.STRAYS else None
    return TrackingReply(tools=tuple(tools), system_status=draw(st.integers(0, 0xFFFF)), strays_mm=strays)


OPTIONS = st.sampled_from([0, Options.MARKER_INFO, Options.STRAY_ACTIVE, Options.MARKERS, Options.STRAYS, 0x100F, 0x300F]).map(
    lambda more: POSES | more
)


@given(st.data(), OPTIONS)
def test_a_bx_reply_comes_back_from_its_bytes(data: st.DataObject, options: int) -> None:
    reply = data.draw(tracking(options))
    assert decode_bx(encode_bx(reply, options), options) == reply


@given(st.data(), OPTIONS)
def test_a_tx_reply_comes_back_from_its_text_to_the_digits_it_has(data: st.DataObject, options: int) -> None:
    reply = data.draw(tracking(options))
    text = encode_tx(reply, options)
    read = decode_tx(text, options)
    assert encode_tx(read, options) == text
    for got, wanted in zip(read.tools, reply.tools, strict=True):
        assert (got.handle, got.state, got.port_status, got.frame_number) == (
            wanted.handle,
            wanted.state,
            wanted.port_status,
            wanted.frame_number,
        )
        if got.pose is not None and wanted.pose is not None and max(map(abs, wanted.pose.mm)) < 9999.0:
            assert got.pose.mm == pytest.approx(wanted.pose.mm, abs=0.00501)


@given(st.binary(max_size=120), OPTIONS)
def test_any_body_gives_a_reply_or_a_wire_error(body: bytes, options: int) -> None:
    with contextlib.suppress(WireError):
        decode_bx(body, options)


@given(st.data(), OPTIONS, st.integers(0, 10_000), BYTES)
def test_any_changed_body_gives_a_reply_or_a_wire_error(data: st.DataObject, options: int, place: int, byte: int) -> None:
    body = bytearray(encode_bx(data.draw(tracking(options)), options))
    body[place % len(body)] = byte
    with contextlib.suppress(WireError):
        decode_bx(bytes(body), options)


READERS: list[Callable[[str], object]] = [
    decode_tx,
    lambda text: decode_tx(text, 0x380F),
    decode_ports,
    decode_handle,
    decode_chunk,
    lambda text: decode_port_info(text, 0x0075).status,
    decode_parameters,
    decode_version,
]


@given(st.one_of(TEXTS, st.text("0123456789ABCDEF+- MISGDABLENOCUP\n", max_size=150)))
def test_any_text_gives_a_value_or_a_wire_error(text: str) -> None:
    for read in READERS:
        with contextlib.suppress(WireError):
            read(text)


@given(st.lists(st.builds(Port, BYTES, st.integers(0, 0xFFF)), max_size=20))
def test_handle_lists_come_back(ports: list[Port]) -> None:
    assert decode_ports(encode_ports(ports)) == tuple(ports)


@given(st.integers(1, 255), st.binary(min_size=1, max_size=1024))
def test_an_upload_comes_back_padded(handle: int, rom: bytes) -> None:
    chunks = [decode_chunk(arguments) for arguments in encode_chunks(handle, rom)]
    assert {chunk.handle for chunk in chunks} == {handle}
    assert [chunk.address for chunk in chunks] == list(range(0, len(rom), 64))
    whole = b"".join(chunk.content for chunk in chunks)
    assert whole.rstrip(b"\0") == rom.rstrip(b"\0") and len(whole) % 64 == 0


PLAIN = st.text(st.characters(codec="ascii", exclude_characters="\n\r=", exclude_categories=["Cc"]), min_size=1, max_size=30)


@given(st.dictionaries(PLAIN.map(str.strip), PLAIN.map(str.strip), min_size=1, max_size=5))
def test_parameters_come_back(values: dict[str, str]) -> None:
    assert decode_parameters(encode_parameters(values)) == values


# ---- tool files -----------------------------------------------------------------------------------------------------

PLACES = st.floats(-500.0, 500.0, width=32)
MARKERS = st.lists(st.tuples(PLACES, PLACES, PLACES), min_size=3, max_size=20)


@given(MARKERS, st.from_regex(r"[A-Za-z0-9-]{0,20}", fullmatch=True))
def test_a_tool_file_comes_back_also_when_padded(markers: list[tuple[float, float, float]], part_number: str) -> None:
    rom = build_rom(markers, part_number, main_type=2, max_error_mm=0.5)
    assert len(rom) == 752
    read = parse_rom(rom.ljust(1024, b"\0"))
    assert read.markers_mm == tuple(markers) and read.part_number == part_number
    assert (read.main_type, read.max_error_mm, read.min_markers) == (2, 0.5, 3)


@given(MARKERS, st.integers(0, 751), st.integers(1, 255))
def test_a_changed_tool_file_is_refused(markers: list[tuple[float, float, float]], place: int, change: int) -> None:
    rom = bytearray(build_rom(markers, "X"))
    rom[place] ^= change
    with pytest.raises(WireError):
        parse_rom(bytes(rom))


@given(st.binary(max_size=1100))
def test_any_bytes_as_a_tool_file_give_a_tool_or_a_wire_error(data: bytes) -> None:
    forged = bytearray(b"NDI\0" + data.ljust(748, b"\0"))
    struct.pack_into("<H", forged, 4, rom_checksum(forged))
    for candidate in (data, bytes(forged)):
        with contextlib.suppress(WireError):
            rom = parse_rom(candidate)
            assert all(math.isfinite(part) for marker in rom.markers_mm for part in marker)


def test_a_tool_file_that_cannot_be_is_not_built() -> None:
    for markers, name in (([(0.0, 0.0, 0.0)] * 2, "X"), ([(0.0, 0.0, 0.0)] * 21, "X"), ([(0.0, 0.0, 0.0)] * 3, "X" * 21)):
        with pytest.raises(WireError):
            build_rom(markers, name)
