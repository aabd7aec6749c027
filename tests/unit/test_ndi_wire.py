"""Polaris bytes against transcripts recorded from real clients and cameras, or worked out by hand."""

import msgspec
import pytest

from drivers.ndi_codes_wire import ALERTS, ERRORS, SYSTEM_STATUS, WARNINGS, alert_meaning, error_meaning, warning_meaning
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
    PASSIVE_TOOL,
    Port,
    PortInfo,
    Version,
    decode_chunk,
    decode_handle,
    decode_parameters,
    decode_port_info,
    decode_ports,
    decode_version,
    encode_chunks,
    encode_parameters,
    encode_port_info,
    encode_ports,
    encode_version,
)
from drivers.ndi_wire import (
    MAX_BODY_BYTES,
    BinaryReply,
    Command,
    CommandReader,
    CrcMismatch,
    FramingLost,
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
from drivers.values import WireError

RECORDED = """
INIT:E3A5 VER:065EE VER:4A6EF APIREV:443E BEEP:28544 COMM:500000048 COMM:000000084 COMM:60000000C COMM:7000100F0
PHSR:0020FF PHSR:01E03E PHSR:02E17E PHSR:0321BF PHSR:04E3FE PHRQ:*********1****A4C1 PINIT:0131EA PINIT:0230AA
PENA:01D6D3B PENA:02D9D3B PENA:01S637B PHF:01CF0C PDIS:011266 PHINF:0200753CEB PHINF:0100256CAC TSTART:5423 TSTOP:2C14
TX:0001031A TX:0801C19B BX:0001C26D BX:080100EC BX:18033D6C SSTAT:0003BDC0 SFLIST:03500F
GETINFO:Features.Firmware.Version0492
"""
SPACED_COMMANDS = {
    "GET:Param.Tracking.Frame Frequency": "EF07",
    "SET:Param.Tracking.Frame Frequency=60": "88D0",
    "SET:Param.Tracking.Track Frequency=2": "F764",
    "SET:Param.Tracking.Illuminator Rate=2": "237A",
}
REPLIES = {
    "OKAY": "A896",
    "RESET": "BE6F",
    "ERROR01": "6BC2",
    "ERROR04": "6802",
    "ERROR07": "6942",
    "ERROR08": "6D02",
    "ERROR0C": "4E42",
    "ERROR10": "3B02",
    "ERROR34": "9802",
    "ERROR39": "5DC3",
    "WARNING02": "C28C",
    "WARNING05": "00CD",
    "00": "1414",
    "01": "D4D5",
    "1": "D4C1",
    "0": "1400",
    "Param.Tracking.Frame Frequency=60": "6FBC",
}

HALF = 0.7071067690849304  # the square root of a half in 32 bits
PLACE = (10.5, -20.25, -1500.0)
SEEN = ToolReport(
    handle=1, state=HandleState.VALID, pose=RawPose((HALF, 0.0, 0.0, HALF), PLACE, 0.125), port_status=0x31, frame_number=1000
)
ROUNDED = msgspec.structs.replace(SEEN, pose=RawPose((0.7071, 0.0, 0.0, 0.7071), PLACE, 0.125))
MISSING = ToolReport(handle=1, state=HandleState.MISSING, port_status=0x31, frame_number=1001)
DISABLED = ToolReport(handle=1, state=HandleState.DISABLED)

BX_SEEN = bytes.fromhex(
    "C4A52D003043 01 0101 F304353F 00000000 00000000 F304353F 00002841 0000A2C1 0080BBC4 0000003E 31000000 E8030000 0000 4C82"
)
BX_MISSING = bytes.fromhex("C4A50D002983 01 0102 31000000 E9030000 0000 F739")
BX_DISABLED = bytes.fromhex("C4A505002E43 01 0104 0000 7DFD")
BX_NONE = bytes.fromhex("C4A503002DE3 00 0000 0000")
STREAM_HEAD = bytes.fromhex("D4B50400 74726B30 7D2F")  # of a stream named trk0
TX_SEEN = b"0101+07071+00000+00000+07071+001050-002025-150000+0125000000031000003E8\n0000234E\r"
TX_MISSING = b"0101MISSING00000031000003E9\n0000300C\r"
TX_DISABLED = b"0101DISABLED\n000001C5\r"
TX_NONE = b"000000EF5E\r"


def pulled(data: bytes) -> TextReply | BinaryReply | None:
    reader = ReplyReader()
    reader.push(data)
    return reader.pull()


def of(*tools: ToolReport) -> TrackingReply:
    return TrackingReply(tools=tools, system_status=0)


# ---- checksum, commands, replies ------------------------------------------------------------------------------------


def test_checksum_has_the_published_check_value() -> None:
    assert crc16(b"123456789") == 0xBB3D
    assert crc16(b"") == 0


@pytest.mark.parametrize("line", RECORDED.split())
def test_a_recorded_command_is_read_and_written_alike(line: str) -> None:
    name, _, rest = line.partition(":")
    command = decode_command(line.encode())
    assert command == Command(name, rest[:-4])
    assert encode_command(command.name, command.arguments) == line.encode() + b"\r"


@pytest.mark.parametrize(("text", "crc"), SPACED_COMMANDS.items())
def test_a_command_with_blanks_inside_keeps_them(text: str, crc: str) -> None:
    name, _, arguments = text.partition(":")
    assert encode_command(name, arguments) == f"{text}{crc}\r".encode()
    assert decode_command(f"{text}{crc}".encode()) == Command(name, arguments)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"INIT", Command("INIT")),
        (b"INIT ", Command("INIT")),
        (b"BX 0801", Command("BX", "0801")),
        (b"bx 0801", Command("BX", "0801")),
        (b"PHRQ *********1****", Command("PHRQ", PASSIVE_TOOL)),
        (b"BX2 --6d=tools --3d=all", Command("BX2", "--6d=tools --3d=all")),
        (b"set PS-0.Param.Tracking.Frame Frequency=60", Command("SET", "PS-0.Param.Tracking.Frame Frequency=60")),
        (b"PINIT:0a0DEA", Command("PINIT", "0a")),
        (b"3D 0a5", Command("3D", "0a5")),
    ],
)
def test_commands_come_bare_spaced_and_in_small_letters(line: bytes, command: Command) -> None:
    assert decode_command(line) == command


@pytest.mark.parametrize("line", [b"INIT:E3A6", b"INIT:", b"INIT:E3", b"BX:080100ED", b"PHSR:01"])
def test_a_colon_promises_a_checksum_that_must_be_right(line: bytes) -> None:
    with pytest.raises(CrcMismatch):
        decode_command(line)


@pytest.mark.parametrize("line", [b"", b"\x00\xff", b" INIT", b":0000"])
def test_a_line_without_a_name_is_no_command(line: bytes) -> None:
    with pytest.raises(WireError):
        decode_command(line)


def test_a_command_without_checksum_is_four_characters_shorter() -> None:
    assert encode_command("BX", "0801", checked=False) == b"BX 0801\r"


def test_command_reader_takes_pieces_and_two_at_a_time_and_cuts_what_never_ends() -> None:
    reader = CommandReader()
    assert reader.push(b"INI") == []
    assert reader.push(b"T:E3A5\rTSTOP:2C14\rBX") == [b"INIT:E3A5", b"TSTOP:2C14"]
    assert reader.push(b" 0801\r\n") == [b"BX 0801"]
    reader.push(b"x" * 100_000)
    (line,) = reader.push(b"y\r")
    assert len(line) == 2049
    assert reader.push(b"VER 4\r") == [b"VER 4"]


@pytest.mark.parametrize(("text", "crc"), REPLIES.items())
def test_a_recorded_reply_is_read_and_written_alike(text: str, crc: str) -> None:
    wire = f"{text}{crc}\r".encode()
    assert encode_text(text) == wire
    assert pulled(wire) == TextReply(text)


def test_a_value_is_not_swallowed_by_its_checksum() -> None:
    reply = pulled(b"Param.Tracking.Frame Frequency=606FBC\r")
    assert isinstance(reply, TextReply)
    assert decode_parameters(reply.text) == {"Param.Tracking.Frame Frequency": "60"}


def test_replies_know_whether_they_are_errors_warnings_or_a_restart() -> None:
    assert TextReply("ERROR0C").error == 0x0C and TextReply("ERROR0C").warning is None
    assert TextReply("WARNING05").warning == 5 and TextReply("WARNING05").error is None
    assert TextReply("RESET").is_reset and not TextReply("OKAY").is_reset
    assert TextReply("ERRORS").error is None and TextReply("ERROR123").error is None and TextReply("ERRORZZ").error is None


def test_line_ends_inside_a_text_belong_to_it() -> None:
    assert pulled(TX_DISABLED) == TextReply("0101DISABLED\n0000")


def test_the_length_byte_of_one_missing_tool_is_a_cr_and_splits_nothing() -> None:
    assert BX_MISSING[2] == 0x0D
    reply = pulled(BX_MISSING)
    assert isinstance(reply, BinaryReply)
    assert decode_bx(reply.body) == of(MISSING)


def test_the_checksum_over_a_whole_binary_reply_is_zero() -> None:
    for wire in (BX_SEEN, BX_MISSING, BX_DISABLED, BX_NONE):
        assert crc16(wire) == 0


def test_a_damaged_reply_costs_itself_alone() -> None:
    reader = ReplyReader()
    reader.push(b"OKAYA897\r" + BX_SEEN[:-1] + b"\0" + BX_MISSING)
    for _ in range(2):
        with pytest.raises(CrcMismatch):
            reader.pull()
    assert isinstance(reader.pull(), BinaryReply)
    assert reader.pull() is None


def test_a_damaged_header_is_the_end_until_reset() -> None:
    reader = ReplyReader()
    reader.push(BX_SEEN[:4] + b"\0" + BX_SEEN[5:])
    with pytest.raises(FramingLost):
        reader.pull()
    reader.push(BX_MISSING)
    assert reader.pull() is None
    reader.reset()
    reader.push(BX_MISSING)
    assert isinstance(reader.pull(), BinaryReply)


def test_a_length_beyond_the_cap_is_not_waited_for() -> None:
    start = b"\xc4\xa5" + (MAX_BODY_BYTES + 1).to_bytes(2, "little")
    reader = ReplyReader()
    reader.push(start + crc16(start).to_bytes(2, "little"))
    with pytest.raises(FramingLost):
        reader.pull()


def test_a_text_without_an_end_is_not_waited_for() -> None:
    reader = ReplyReader()
    reader.push(b"x" * (MAX_BODY_BYTES + 1))
    with pytest.raises(FramingLost):
        reader.pull()


@pytest.mark.parametrize("head", [b"", STREAM_HEAD])
@pytest.mark.parametrize("start", [b"\xc8\xa5", STREAM_HEAD])
def test_kinds_of_reply_that_are_never_asked_for_are_refused(head: bytes, start: bytes) -> None:
    reader = ReplyReader()
    reader.push(head + start)
    if head or start != STREAM_HEAD:
        with pytest.raises(FramingLost):
            reader.pull()
    else:
        assert reader.pull() is None


# ---- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", [BX_SEEN, BX_MISSING, b"OKAYA896\r"])
def test_a_streamed_reply_has_the_recorded_head_and_the_reply_behind_it(inner: bytes) -> None:
    wire = encode_streamed("trk0", inner)
    assert wire == STREAM_HEAD + inner
    reply = pulled(wire)
    assert isinstance(reply, StreamedReply)
    assert (reply.stream, reply.reply) == ("trk0", pulled(inner))


def test_streamed_and_ordinary_replies_are_told_apart_in_any_order() -> None:
    reader = ReplyReader()
    reader.push(STREAM_HEAD + BX_SEEN + b"OKAYA896\r" + STREAM_HEAD + TX_SEEN)
    kinds = [type(reader.pull()) for _ in range(4)]
    assert kinds == [StreamedReply, TextReply, StreamedReply, type(None)]


def test_a_damaged_reply_in_a_stream_costs_itself_alone_and_a_damaged_head_the_stream() -> None:
    reader = ReplyReader()
    reader.push(STREAM_HEAD + BX_SEEN[:-1] + b"\0" + STREAM_HEAD + BX_SEEN)
    with pytest.raises(CrcMismatch):
        reader.pull()
    assert isinstance(reader.pull(), StreamedReply)
    reader.push(STREAM_HEAD[:-1] + b"\0" + BX_SEEN)
    with pytest.raises(FramingLost):
        reader.pull()


def test_a_streams_name_without_an_end_is_not_waited_for() -> None:
    reader = ReplyReader()
    reader.push(b"\xd4\xb5\xff\xff")
    with pytest.raises(FramingLost):
        reader.pull()


# ---- tracking replies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wire", "reply"), [(BX_SEEN, of(SEEN)), (BX_MISSING, of(MISSING)), (BX_DISABLED, of(DISABLED)), (BX_NONE, of())])
def test_a_recorded_bx_reply_is_written_alike_and_read(wire: bytes, reply: TrackingReply) -> None:
    assert encode_binary(encode_bx(reply)) == wire
    assert decode_bx(wire[6:-2]) == reply


@pytest.mark.parametrize(
    ("wire", "reply"), [(TX_SEEN, of(ROUNDED)), (TX_MISSING, of(MISSING)), (TX_DISABLED, of(DISABLED)), (TX_NONE, of())]
)
def test_a_recorded_tx_reply_is_written_alike_and_read(wire: bytes, reply: TrackingReply) -> None:
    assert encode_text(encode_tx(reply)) == wire
    assert decode_tx(wire[:-5].decode()) == reply


@pytest.mark.parametrize("text", ["0101DISABLED00000001000003E9\n0000", "0101UNOCCUPIED00000000000003E9\n0000"])
def test_disabled_and_unoccupied_may_be_followed_by_status_and_frame(text: str) -> None:
    (tool,) = decode_tx(text).tools
    assert tool.frame_number == 0x3E9 and tool.pose is None
    assert tool.state in (HandleState.DISABLED, HandleState.UNOCCUPIED)


@pytest.mark.parametrize(("tools", "length"), [(1, 53), (2, 95), (3, 137), (4, 179)])
def test_a_bx_reply_grows_by_42_bytes_a_tool(tools: int, length: int) -> None:
    assert len(encode_binary(encode_bx(of(*[SEEN] * tools)))) == length


@pytest.mark.parametrize(("tools", "length"), [(1, 81), (2, 151), (3, 221), (4, 291)])
def test_a_tx_reply_grows_by_70_bytes_a_tool(tools: int, length: int) -> None:
    assert len(encode_text(encode_tx(of(*[SEEN] * tools)))) == length


def test_parts_that_further_options_add_are_stepped_over() -> None:
    body = bytes.fromhex(
        "01 0101 0000803F 000000000000000000000000 000000000000000000000000 00000000 31000000 05000000"  # pose
        "00 00000000000000003333"  # tool information and marker nibbles
        "08 000000000000000000000000"  # a stray active marker out of volume, given because of option 0800
        "02 00 0000803F0000004000004040 000000000000000000000000"  # two markers
        "01 00 0000803F0000004000004040 00"  # one stray and its phantom nibble
        "0002"
    )
    every = POSES | Options.MARKER_INFO | Options.STRAY_ACTIVE | Options.MARKERS | Options.STRAYS | Options.PHANTOMS
    reply = decode_bx(body, every)
    assert reply.system_status == 0x0200 and reply.strays_mm == ((1.0, 2.0, 3.0),)
    assert reply.tools[0].frame_number == 5 and reply.tools[0].markers_mm == ((1.0, 2.0, 3.0), (0.0, 0.0, 0.0))
    assert reply.tools[0].marker_info == bytes.fromhex("0000000000000000003333")


BODY = BX_SEEN[6:-2]


@pytest.mark.parametrize("body", [b"", BODY[:-1], BODY + b"\0", BODY[:2] + b"\x07" + BODY[3:], BODY[:2] + b"\x08" + BODY[3:]])
def test_a_body_that_its_parts_do_not_fill_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        decode_bx(body)


@pytest.mark.parametrize(
    "text", ["", "01", "0101+0707", "0101MISSING0000003100000", "0101DISABLED\n000", "0101DISABLED\n00000", "0001DISABLED\n0000"]
)
def test_a_text_that_its_fields_do_not_fill_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        decode_tx(text)


def test_numbers_too_large_for_a_text_field_stay_inside_it() -> None:
    wild = RawPose((9.0e9, -1.0, 0.0, float("nan")), (1e12, -1e12, 0.0), 99.0)
    text = encode_tx(of(ToolReport(handle=1, state=HandleState.VALID, pose=wild, port_status=1, frame_number=2)))
    assert text == "0101+99999-10000+00000+00000+999999-999999+000000+999990000000100000002\n0000"


# ---- set-up replies -------------------------------------------------------------------------------------------------


def test_handle_lists_are_those_recorded() -> None:
    assert decode_ports("020100102001") == (Port(1, 0x001), Port(2, 0x001))
    assert pulled(b"0101031F1AF\r") == TextReply("0101031")
    assert decode_ports("0101031") == (Port(1, 0x031),)
    assert decode_ports("00") == ()
    assert encode_ports([Port(1, 1), Port(0x0A, 0x31)]) == "02010010A031"


@pytest.mark.parametrize("text", ["", "0", "01", "0101", "010100", "0201001", "zz", "0001001"])
def test_a_handle_list_of_the_wrong_length_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        decode_ports(text)


@pytest.mark.parametrize("text", ["", "00", "0", "123", "xx", "OKAY"])
def test_what_is_no_handle_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        decode_handle(text)


def test_an_upload_command_has_144_bytes_and_752_make_twelve() -> None:
    chunks = list(encode_chunks(0x0A, bytes(752)))
    assert len(chunks) == 12
    assert {len(encode_command("PVWR", chunk)) for chunk in chunks} == {144}
    assert decode_chunk(chunks[-1]).address == 0x02C0
    assert decode_chunk("0a02c0" + "ab" * 64).content == b"\xab" * 64


@pytest.mark.parametrize("arguments", ["", "01", "010000", "010000" + "00" * 63, "01FFC0" + "00" * 64, "01000G" + "00" * 64])
def test_a_piece_of_a_tool_that_does_not_fit_is_refused(arguments: str) -> None:
    with pytest.raises(WireError):
        decode_chunk(arguments)


def test_port_information_has_the_fields_asked_for_in_ascending_order() -> None:
    info = PortInfo(tool="02000000NDI         00112345678" + "31", part_number="8700340", marker_type="29", location="00000000010000")
    text = encode_port_info(info, 0x0075)
    assert len(text) == 33 + 20 + 2 + 14 + 2
    read = decode_port_info(text, 0x0075)
    assert read.status == 0x31 and read.part_number == "8700340".ljust(20) and read.current_test is None
    with pytest.raises(WireError):
        decode_port_info("UNOCCUPIED", 0x0001)


def test_a_version_is_found_by_its_line_heads() -> None:
    text = (
        "Polaris Vega Control Firmware\nNDI S/N: P9-00001\nCharacterization Date: 01/02/20\n"
        "Freeze Tag: Polaris Vega 008\nFreeze Date: 03/04/20\n(C) Northern Digital Inc.\n"
    )
    version = decode_version(text)
    assert version == Version(
        firmware_type="Polaris Vega Control Firmware",
        serial="P9-00001",
        characterised="01/02/20",
        freeze_tag="Polaris Vega 008",
        freeze_date="03/04/20",
    )
    assert encode_version(version) == text
    assert decode_version("anything else").freeze_tag is None


def test_parameters_are_lines_and_none_ends_the_last() -> None:
    values = {"Param.System Beeper": "1", "Features.Firmware.Version": "008.000.000"}
    assert encode_parameters(values) == "Param.System Beeper=1\nFeatures.Firmware.Version=008.000.000"
    assert decode_parameters(encode_parameters(values)) == values
    with pytest.raises(WireError):
        decode_parameters("no value")


# ---- codes ----------------------------------------------------------------------------------------------------------


def test_every_code_has_a_meaning_and_a_remedy_known_or_not() -> None:
    known = (*ERRORS.values(), *WARNINGS.values(), *SYSTEM_STATUS.values(), *ALERTS.values())
    for meaning in (*known, error_meaning(0x18), warning_meaning(0x77), alert_meaning(4, 6)):
        assert meaning.what and meaning.remedy.endswith(".")
    assert "18" in error_meaning(0x18).what and "77" in warning_meaning(0x77).what
    assert "4/6" in alert_meaning(4, 6).what and "bumped" in alert_meaning(1, 2).what
    assert set(WARNINGS) == {1, 2, 3, 4, 5, 6}
    reserved = {0x18, 0x1B, 0x1D, 0x20, 0x26, 0x27, 0x29, 0x31, 0x3A, 0x3E, 0x3F}
    assert not reserved & set(ERRORS)
    assert set(ERRORS) | reserved >= set(range(0x01, 0x43))
