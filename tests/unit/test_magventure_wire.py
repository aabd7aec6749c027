"""Frames, commands and events of the MagPro against bytes written down by hand."""

import pytest

from drivers.magventure_command_wire import (
    AskCounters,
    AskDelays,
    AskLongStatus,
    AskStatus,
    AskTrain,
    AskWaveform,
    Command,
    SelectPage,
    SetAmplitude,
    SetDelays,
    SetEnabled,
    SetTrain,
    SetWaveform,
    StartTrain,
    Trigger,
    WriteDelays,
    WriteTrain,
    decode_command,
    encode_command,
)
from drivers.magventure_frame_wire import REST_OF_FRAME_NS, FrameReader, crc8, frame
from drivers.magventure_wire import (
    BURST_IPI_US,
    PAIRED_IPI_US,
    AmplitudeReport,
    CoilReport,
    DelayReport,
    Event,
    LongStatus,
    Mode,
    Page,
    PageReport,
    PulseFired,
    ShortStatus,
    StatusBits,
    TrainReport,
    Unexplained,
    Waveform,
    WaveformReport,
    decode_event,
    encode_event,
)
from drivers.values import WireError

BURST_OF_3 = SetWaveform(
    model=3, mode=Mode.STANDARD, reverse=False, waveform=Waveform.BURST, pulses_per_burst=3, ipi_us=20_000, ba_pct=100
)
BIPHASIC = SetWaveform(
    model=3, mode=Mode.STANDARD, reverse=False, waveform=Waveform.BIPHASIC, pulses_per_burst=2, ipi_us=20_000, ba_pct=100
)
COMMANDS: list[tuple[str, Command]] = [
    ("FE 01 00 00 FF", AskStatus()),
    ("FE 01 05 3F FF", AskLongStatus()),
    ("FE 02 01 32 C6 FF", SetAmplitude(a_pct=50)),
    ("FE 03 01 32 28 F6 FF", SetAmplitude(a_pct=50, b_pct=40)),
    ("FE 02 02 01 CF FF", SetEnabled(on=True)),
    ("FE 02 02 00 91 FF", SetEnabled(on=False)),
    ("FE 01 03 E2 FF", Trigger()),
    ("FE 01 04 61 FF", StartTrain()),
    ("FE 09 06 00 32 00 0A 00 14 00 50 2F FF", SetTrain(rate_tenth_hz=50, pulses=10, trains=20, gap_tenth_s=80)),
    (
        "FE 0C 0B 01 00 00 32 00 0A 00 14 00 50 01 AC FF",
        WriteTrain(timing_control=0, rate_tenth_hz=50, pulses=10, trains=20, gap_tenth_s=80, warning=True),
    ),
    ("FE 03 07 02 00 EB FF", SelectPage(page=Page.TIMING)),
    ("FE 03 07 01 00 BE FF", SelectPage(page=Page.MAIN)),
    ("FE 03 07 07 00 14 FF", SelectPage(page=Page.PROTOCOL)),
    ("FE 09 08 00 05 FF EC 00 64 00 00 02 FF", SetDelays(trigger_in_tenth_ms=5, trigger_out_tenth_ms=-20, charge_ms=100)),
    ("FE 08 0A 01 00 05 FF EC 00 64 D0 FF", WriteDelays(trigger_in_tenth_ms=5, trigger_out_tenth_ms=-20, charge_ms=100)),
    ("FE 02 09 00 B2 FF", AskWaveform()),
    ("FE 0B 09 01 03 00 00 03 02 00 C8 00 64 B8 FF", BURST_OF_3),
    ("FE 0B 09 01 03 00 00 01 03 00 C8 00 64 1B FF", BIPHASIC),
    ("FE 02 0A 00 E7 FF", AskDelays()),
    ("FE 02 0B 00 23 FF", AskTrain()),
    ("FE 02 0C 00 4D FF", AskCounters()),
]
OTHER_FORMS: list[tuple[str, Command]] = [
    ("FE 02 03 01 0B FF", Trigger()),
    ("FE 0B 09 00 00 00 00 00 00 00 00 00 00 2B FF", AskWaveform()),
]


def bits(*, enabled: bool, waveform: Waveform = Waveform.BIPHASIC) -> StatusBits:
    return StatusBits(mode=Mode.STANDARD, waveform=waveform, enabled=enabled, model=3)


BURST_ON = bits(enabled=True, waveform=Waveform.BURST)
ON = bits(enabled=True)
SHORT = ShortStatus(bits=bits(enabled=False), serial=0x010203, temperature_c=24, coil_type=60, a_pct=50, b_pct=0)
EVENTS: list[tuple[str, Event]] = [
    ("FE 09 00 64 01 02 03 18 3C 32 00 14 FF", SHORT),
    (
        "FE 09 00 74 01 02 03 18 3C 32 00 40 FF",
        ShortStatus(bits=ON, serial=0x010203, temperature_c=24, coil_type=60, a_pct=50, b_pct=0),
    ),
    (
        "FE 0F 05 74 01 02 03 18 3C 32 00 32 00 64 64 02 01 2E FF",
        LongStatus(
            bits=ON,
            serial=0x010203,
            temperature_c=24,
            coil_type=60,
            a_pct=50,
            b_pct=0,
            original_a_pct=50,
            original_b_pct=0,
            factor_a_pct=100,
            factor_b_pct=100,
            page=2,
            running=True,
        ),
    ),
    ("FE 04 01 32 00 74 87 FF", AmplitudeReport(a_pct=50, b_pct=0, bits=ON)),
    ("FE 04 02 4B 00 74 6E FF", PulseFired(didt_a_per_us=75, didt_b_per_us=0, bits=ON)),
    ("FE 04 03 18 3C 74 1E FF", CoilReport(temperature_c=24, coil_type=60, bits=ON)),
    ("FE 04 08 02 01 7C CC FF", PageReport(page=2, running=True, bits=BURST_ON)),
    ("FE 04 08 02 00 7C 08 FF", PageReport(page=2, running=False, bits=BURST_ON)),
    (
        "FE 0A 09 00 03 00 00 03 02 50 00 50 C4 FF",
        WaveformReport(
            flag=0,
            model_byte=3,
            mode=Mode.STANDARD,
            reverse=False,
            waveform=Waveform.BURST,
            pulses_per_burst=3,
            ipi_index=80,
            ba_index=80,
        ),
    ),
]


def body_of(text: str) -> bytes:
    return bytes.fromhex(text)[2:-2]


def test_checksum_of_the_check_string_is_a1() -> None:
    assert crc8(b"123456789") == 0xA1


@pytest.mark.parametrize(("text", "command"), COMMANDS)
def test_command_is_written_as_by_hand(text: str, command: Command) -> None:
    assert encode_command(command) == bytes.fromhex(text)


@pytest.mark.parametrize(("text", "command"), COMMANDS + OTHER_FORMS)
def test_command_written_by_hand_is_read(text: str, command: Command) -> None:
    (body,) = FrameReader().feed(bytes.fromhex(text), 0)
    assert decode_command(body) == command


@pytest.mark.parametrize("body", [b"\x03", b"\x03\x01", b"\x03\x01\x00"])
def test_every_published_form_of_the_trigger_is_accepted(body: bytes) -> None:
    assert decode_command(body) == Trigger()


@pytest.mark.parametrize(("text", "event"), EVENTS)
def test_event_is_read_and_written_as_by_hand(text: str, event: Event) -> None:
    (body,) = FrameReader().feed(bytes.fromhex(text), 0)
    assert decode_event(body) == event
    assert encode_event(event) == bytes.fromhex(text)


def test_train_report_is_read_with_its_ramp() -> None:
    body = bytes.fromhex("0B 00 10 00 32 00 0A 00 14 00 50 01 50 03")
    assert decode_event(body) == TrainReport(
        timing_control=16, rate_tenth_hz=50, pulses=10, trains=20, gap_tenth_s=80, warning=True, ramp_up_pct=80, ramp_up_trains=3
    )


def test_longer_answers_of_the_undocumented_reads_are_accepted() -> None:
    event = decode_event(bytes.fromhex("0A 00 00 05 FF EC 00 64 00 00"))
    assert event == DelayReport(trigger_in_tenth_ms=5, trigger_out_tenth_ms=-20, charge_ms=100)


def test_events_of_unknown_meaning_are_kept_apart() -> None:
    assert decode_event(b"\xf0\x01\x02") == Unexplained(raw=b"\xf0\x01\x02")


@pytest.mark.parametrize(("index", "ipi_us"), [(0, 100_000), (80, 20_000), (100, 10_000), (150, 5_000), (195, 500)])
def test_burst_interval_index(index: int, ipi_us: int) -> None:
    assert BURST_IPI_US[index] == ipi_us


@pytest.mark.parametrize(
    ("index", "ipi_us"),
    [(0, 3_000_000), (20, 1_000_000), (30, 500_000), (70, 100_000), (150, 20_000), (170, 10_000), (260, 1_000)],
)
def test_paired_interval_index(index: int, ipi_us: int) -> None:
    assert PAIRED_IPI_US[index] == ipi_us


def test_interval_lists_have_the_lengths_of_the_devices() -> None:
    assert (len(BURST_IPI_US), len(PAIRED_IPI_US)) == (196, 261)


@pytest.mark.parametrize(
    "body",
    [
        b"\x0d",  # no such event
        b"\x00\x64\x01\x02\x03\x18\x3c\x32",  # short by one
        b"\x01\x65\x00\x74",  # 101 %
        b"\x08\x02\x02\x7c",  # running is neither 0 nor 1
        b"\x09\x00\x03\x04\x00\x03\x02\x50\x00\x50",  # no such mode
        b"",
    ],
)
def test_event_that_cannot_be_is_a_wire_error(body: bytes) -> None:
    with pytest.raises(WireError):
        decode_event(body)


@pytest.mark.parametrize(
    "body", [b"\x01\x65", b"\x02\x02", b"\x02", b"\x07\x02", b"\x09", b"\x0d", b"\x06\x00", b"", b"\x09\x02" + bytes(9)]
)
def test_command_that_cannot_be_is_a_wire_error(body: bytes) -> None:
    with pytest.raises(WireError):
        decode_command(body)


@pytest.mark.parametrize(
    "command",
    [
        SetAmplitude(a_pct=101),
        SetAmplitude(a_pct=-1),
        SetAmplitude(a_pct=50, b_pct=200),
        SetTrain(rate_tenth_hz=70_000, pulses=1, trains=1, gap_tenth_s=1),
        SetWaveform(
            model=3, mode=Mode.STANDARD, reverse=False, waveform=Waveform.BURST, pulses_per_burst=3, ipi_us=20_050, ba_pct=100
        ),
    ],
)
def test_command_that_does_not_fit_its_field_is_never_written(command: Command) -> None:
    with pytest.raises(WireError):
        encode_command(command)


@pytest.mark.parametrize("length", [0, 33])
def test_frame_of_a_length_the_device_does_not_know_is_never_written(length: int) -> None:
    with pytest.raises(WireError):
        frame(bytes(length))


def test_end_mark_inside_a_body_does_not_end_the_frame() -> None:
    data = frame(b"\xff\xfe\xff")
    assert FrameReader().feed(data, 0) == [b"\xff\xfe\xff"]


def test_garbage_before_a_frame_costs_only_itself() -> None:
    reader = FrameReader()
    assert reader.feed(b"\x00\x12\xff" + frame(b"\x05"), 0) == [b"\x05"]
    assert (reader.broken, reader.dropped) == (0, 3)


def test_start_mark_with_an_impossible_length_is_dropped() -> None:
    reader = FrameReader()
    assert reader.feed(b"\xfe\x21" + frame(b"\x05"), 0) == [b"\x05"]
    assert reader.broken == 1


def test_wrong_checksum_costs_one_frame() -> None:
    bad = bytearray(frame(b"\x05"))
    bad[-2] ^= 1
    reader = FrameReader()
    assert reader.feed(bytes(bad) + frame(b"\x04"), 0) == [b"\x04"]


def test_frame_hidden_behind_a_false_start_appears_when_the_false_one_is_given_up() -> None:
    reader = FrameReader()
    assert reader.feed(b"\xfe\x20" + frame(b"\x05"), 0) == []
    assert reader.expires_ns == REST_OF_FRAME_NS
    assert reader.expire(REST_OF_FRAME_NS - 1) == []
    assert reader.expire(REST_OF_FRAME_NS) == [b"\x05"]
    assert reader.expires_ns is None


def test_rest_of_a_frame_after_100_ms_does_not_complete_it() -> None:
    reader = FrameReader()
    data = frame(b"\x05")
    assert reader.feed(data[:3], 0) == []
    assert reader.feed(data[3:], REST_OF_FRAME_NS) == []
    assert reader.broken == 1
