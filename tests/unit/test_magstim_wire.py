"""The Magstim's language against bytes worked out by hand from its rules: length, checksum, fields."""

import pytest

from drivers.magstim_command_wire import (
    ARM,
    DISARM,
    FIRE,
    Ask,
    BadCommand,
    Command,
    CommandReader,
    DisableRemote,
    EnableRemote,
    IgnoreCoilSwitch,
    SetChargeDelay,
    SetDuration,
    SetEnhanced,
    SetFrequency,
    SetHighResolution,
    SetMode,
    SetPower,
    SetPulses,
    UnknownLetter,
    UnlockCode,
    decode_command,
    encode_command,
    redacted,
)
from drivers.magstim_frame_wire import Dialect, Family, reply_length
from drivers.magstim_reading import REST_OF_REPLY_NS, ReplyReader
from drivers.magstim_wire import (
    Ack,
    BadData,
    ChargeDelay,
    Conflict,
    ErrorCode,
    ExtendedStatus,
    InstrumentStatus,
    NoSuchCommand,
    PairParameters,
    RapidParameters,
    RapidStatus,
    Reply,
    SystemStatus,
    Temperature,
    Version,
    decode_reply,
    encode_reply,
)
from drivers.values import WireError

PAIR_200 = Dialect(family=Family.MAGSTIM_200)
BISTIM = Dialect(family=Family.BISTIM)
V5, V8, V9, V10 = (Dialect(family=Family.RAPID, software=version) for version in (5, 8, 9, 10))
CODE = UnlockCode(b"aaaa-bbbbbbbb-00")
STANDBY = InstrumentStatus(standby=True, coil_present=True, remote=True)

COMMANDS: list[tuple[Command, Dialect, str]] = [
    (SetPower(pct=50), V9, "40 30 35 30 2A"),
    (EnableRemote(), V5, "51 40 6E"),
    (EnableRemote(), PAIR_200, "51 40 6E"),
    (DisableRemote(), V9, "52 40 6D"),
    (Ask(letter="J"), PAIR_200, "4A 40 75"),
    (Ask(letter="F"), V9, "46 40 79"),
    (DISARM, V9, "45 41 79"),
    (ARM, V9, "45 42 78"),
    (FIRE, V9, "45 48 72"),
    (Ask(letter="\\"), V9, "5C 40 63"),
    (Ask(letter="x"), V9, "78 40 47"),
    (Ask(letter="I"), V9, "49 40 76"),
    (Ask(letter="N"), V9, "4E 44 6D"),
    (IgnoreCoilSwitch(), V9, "62 40 5D"),
    (SetEnhanced(on=True), V9, "5E 40 61"),
    (SetEnhanced(on=False), V9, "5F 40 60"),
    (Ask(letter="o"), V9, "6F 40 50"),
    (SetHighResolution(on=True), BISTIM, "59 40 66"),
    (SetHighResolution(on=False), BISTIM, "5A 40 65"),
    (Ask(letter="X"), BISTIM, "58 40 67"),
    (SetFrequency(tenth_hz=100), V9, "42 30 31 30 30 FC"),
    (SetDuration(tenth_s=20), V9, "5B 30 30 32 30 E2"),
    (SetDuration(tenth_s=20), V8, "5B 30 32 30 12"),
    (SetPulses(pulses=20), V9, "44 30 30 30 32 30 C9"),
    (SetPulses(pulses=20), V8, "44 30 30 32 30 F9"),
    (SetChargeDelay(ms=500), V10, "6E 30 30 35 30 30 9C"),
    (SetChargeDelay(ms=500), V9, "6E 30 35 30 30 CC"),
    (EnableRemote(unlock=CODE), V9, "51 61 61 61 61 2D 62 62 62 62 62 62 62 62 2D 30 30 60"),
]

REPLIES: list[tuple[Reply, Dialect, str]] = [
    (Ack(letter="Q", status=STANDBY), V5, "51 89 25"),
    (Ack(letter="R", status=InstrumentStatus(standby=True, coil_present=True)), V5, "52 09 A4"),
    (Ack(letter="E", status=STANDBY), V9, "45 89 31"),
    (Ack(letter="E", status=InstrumentStatus(ready=True, coil_present=True, remote=True)), V9, "45 8C 2E"),
    (PairParameters(status=STANDBY, a_pct=50, b_pct=0, interval_steps=0), PAIR_200, "4A 89 30 35 30 30 30 30 30 30 30 77"),
    (Temperature(status=STANDBY, first_tenth_c=240, second_tenth_c=241), V9, "46 89 32 34 30 32 34 31 03"),
    (
        SystemStatus(
            letter="x",
            status=STANDBY,
            rapid=RapidStatus(single_pulse=True, supply=True, coil_ready=True, theta_supply=True),
            extended=ExtendedStatus(plus1=True),
        ),
        V9,
        "78 89 78 00 01 85",
    ),
    (Version(text="V9.0"), V9, "4E 56 39 2E 30 00 C4"),
    (ErrorCode(status=STANDBY, source="E", code=0), V9, "49 89 45 30 30 88"),
    (ChargeDelay(status=STANDBY, ms=500), V10, "6F 89 30 30 35 30 30 12"),
    (
        RapidParameters(
            status=STANDBY,
            rapid=RapidStatus(supply=True, coil_ready=True, theta_supply=True),
            power_pct=40,
            tenth_hz=100,
            pulses=20,
            duration_tenth_s=20,
            wait_tenth_s=5,
        ),
        V9,
        "5C 89 70 30 34 30 30 31 30 30 30 30 30 32 30 30 30 32 30 30 30 30 35 DC",
    ),
    (BadData(letter="@"), V9, "40 3F 80"),
    (Conflict(letter="@"), V9, "40 53 6C"),
    (Conflict(letter="E"), V9, "45 53 67"),
    (NoSuchCommand(), V9, "3F"),
]


@pytest.mark.parametrize(("command", "dialect", "frame"), COMMANDS, ids=[frame for _, _, frame in COMMANDS])
def test_command_is_its_worked_bytes_both_ways(command: Command, dialect: Dialect, frame: str) -> None:
    assert encode_command(command, dialect) == bytes.fromhex(frame)
    assert decode_command(bytes.fromhex(frame), dialect) == command


@pytest.mark.parametrize(("reply", "dialect", "frame"), REPLIES, ids=[frame for _, _, frame in REPLIES])
def test_reply_is_its_worked_bytes_both_ways(reply: Reply, dialect: Dialect, frame: str) -> None:
    assert encode_reply(reply, dialect) == bytes.fromhex(frame)
    assert decode_reply(bytes.fromhex(frame), dialect) == reply


@pytest.mark.parametrize(("software", "length"), [(5, 21), (6, 21), (7, 22), (8, 22), (9, 24), (11, 24)])
def test_parameters_have_the_length_of_their_software(software: int, length: int) -> None:
    assert reply_length(Dialect(family=Family.RAPID, software=software), ord("\\")) == length


@pytest.mark.parametrize(
    ("dialect", "letter", "length"),
    [
        (V10, "n", 6),
        (V9, "n", 4),
        (V10, "o", 8),
        (V9, "o", 7),
        (V9, "B", 4),
        (V8, "x", 0),
        (BISTIM, "X", 4),
        (PAIR_200, "X", 0),
        (V9, "J", 0),
    ],
)
def test_replies_have_the_lengths_of_their_unit(dialect: Dialect, letter: str, length: int) -> None:
    assert reply_length(dialect, ord(letter)) == length


@pytest.mark.parametrize(
    ("byte", "fields"), [(0x09, "standby coil_present"), (0x8A, "armed coil_present remote"), (0x8C, "ready coil_present remote")]
)
def test_status_bytes_seen_on_real_units_read_as_documented(byte: int, fields: str) -> None:
    status = InstrumentStatus.from_byte(byte)
    assert {name for name in InstrumentStatus.__struct_fields__ if getattr(status, name)} == set(fields.split())


def test_ready_unit_counts_as_enabled_though_its_armed_bit_reads_0() -> None:
    assert InstrumentStatus.from_byte(0x8C).enabled
    assert InstrumentStatus.from_byte(0x8A).enabled
    assert not InstrumentStatus.from_byte(0x89).enabled


def test_extended_status_comes_most_significant_byte_first() -> None:
    assert ExtendedStatus.from_word(0x0004) == ExtendedStatus(charge_delay=True)


@pytest.mark.parametrize(
    ("command", "dialect"),
    [
        (SetPower(pct=111), V9),
        (SetDuration(tenth_s=1000), V8),
        (SetChargeDelay(ms=1), V8),
        (Ask(letter="x"), V8),
        (Ask(letter="J"), V9),
        (Ask(letter="X"), PAIR_200),
        (EnableRemote(unlock=CODE), V8),
    ],
)
def test_command_that_the_unit_does_not_have_is_not_written(command: Command, dialect: Dialect) -> None:
    with pytest.raises(WireError):
        encode_command(command, dialect)


def test_mode_byte_that_nobody_knows_is_bad_data() -> None:
    frame = encode_command(SetMode(mode=0x44), V9)
    assert CommandReader(V9).feed(frame, 0) == [BadCommand(letter="E")]


def test_stray_carriage_return_is_one_unknown_letter() -> None:
    assert CommandReader(V9).feed(b"\r", 0) == [UnknownLetter(value=0x0D)]


def test_wrong_checksum_is_bad_data_of_its_command() -> None:
    assert CommandReader(V9).feed(bytes.fromhex("4030352A 00"), 0) == [BadCommand(letter="@")]


def test_half_a_command_is_forgotten_after_100_ms() -> None:
    reader = CommandReader(V9)
    assert reader.feed(b"\x45", 0) == []
    assert reader.feed(bytes.fromhex("454179"), 100_000_000) == [DISARM]


def test_pad_byte_of_a_question_is_of_no_meaning_but_kept() -> None:
    frame = bytes((0x46, 0x21, ~(0x46 + 0x21) & 0xFF))
    assert decode_command(frame, V9) == Ask(letter="F", pad=0x21)


@pytest.mark.parametrize("text", [b"", b"aaaa-bbbbbbbb-0", b"aaaa_bbbbbbbb-00", b"@aaa-bbbbbbbb-00", b"aaaa-bbbbbbb-000"])
def test_code_that_cannot_be_right_is_refused_without_being_shown(text: bytes) -> None:
    with pytest.raises(ValueError, match="an unlock code is") as caught:
        UnlockCode(text)
    assert len(text) < 4 or text.decode() not in str(caught.value)


def test_unlock_code_is_shown_nowhere() -> None:
    command = EnableRemote(unlock=CODE)
    assert "bbbb" not in repr(CODE) + str(CODE) + repr(command)
    with pytest.raises(WireError) as caught:
        encode_command(command, V8)
    assert "bbbb" not in str(caught.value)


def test_code_may_end_in_any_two_bytes() -> None:
    code = UnlockCode(b"1234-12345678-\xfd\x91")
    assert decode_command(encode_command(EnableRemote(unlock=code), V9), V9) == EnableRemote(unlock=code)


def test_raw_bytes_for_a_log_hold_no_code_and_keep_their_length() -> None:
    sent = (
        encode_command(DISARM, V9) + encode_command(EnableRemote(unlock=UnlockCode(b"1234-12345678-\n\x91")), V9) + encode_command(ARM, V9)
    )
    shown = redacted(sent)
    assert len(shown) == len(sent)
    assert b"1234" not in shown
    assert shown.startswith(encode_command(DISARM, V9))
    assert shown.endswith(encode_command(ARM, V9))


def test_reply_that_never_ends_gives_way_after_60_ms_to_the_one_behind_it() -> None:
    reader = ReplyReader(V9)
    assert reader.feed(b"F" + bytes.fromhex("78 89 78 00 01 85"), 0) == []
    assert reader.expires_ns == REST_OF_REPLY_NS
    (reply,) = reader.expire(REST_OF_REPLY_NS)
    assert isinstance(reply, SystemStatus)
    assert reader.dropped == 1


def test_version_without_its_end_costs_no_more_than_its_text() -> None:
    reader = ReplyReader(V9)
    (reply,) = reader.feed(b"N" + b"V" * 30 + bytes.fromhex("45 89 31"), 0)
    assert reply == Ack(letter="E", status=STANDBY)


@pytest.mark.parametrize(("text", "major"), [("V9.0", 9), ("11.2", 11), ("V5", 5), ("beta", None), ("", None)])
def test_software_is_the_number_before_the_dot(text: str, major: int | None) -> None:
    assert Version(text=text).major == major
