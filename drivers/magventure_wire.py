"""What a MagPro says, as values, both ways: answers and events. Commands are in drivers.magventure_command_wire.

Not when it says so (drivers.magventure) nor the framing (drivers.magventure_frame_wire). Layouts are those on which the public
clients MAGIC, magicpy and pytms agree for MagPro R30 and X100 with "G3" software; events 10 to 12 were found by experiment.
"""

import enum
import struct
from collections.abc import Callable, Container

import msgspec

from drivers.magventure_frame_wire import MAX_BODY, frame
from drivers.values import WireError


class Mode(enum.IntEnum):
    STANDARD = 0
    POWER = 1
    TWIN = 2
    DUAL = 3


class Waveform(enum.IntEnum):
    MONOPHASIC = 0
    BIPHASIC = 1
    HALF_SINE = 2
    BURST = 3


class Page(enum.IntEnum):
    """Pages that a host may select; the device reports others too."""

    MAIN = 1
    TIMING = 2
    TRIGGER = 3
    CONFIGURATION = 4
    PROTOCOL = 7


MODEL_NAMES = {0: "r30", 1: "x100", 2: "r30-option", 3: "x100-option", 4: "r30-option-mono", 5: "mst"}
MAX_AMPLITUDE_PCT = 100
MAX_BA_INDEX = 96  # pulse B over pulse A runs from 5.00 down to 0.20 in steps of 0.05

# Inter-pulse intervals by index, as the device reports them: descending lists, microseconds.
BURST_IPI_US = (
    *(100_000 - 1_000 * i for i in range(81)),
    *(19_500 - 500 * i for i in range(20)),
    *(9_900 - 100 * i for i in range(95)),
)
PAIRED_IPI_US = (
    *(3_000_000 - 100_000 * i for i in range(21)),
    *(950_000 - 50_000 * i for i in range(10)),
    *(490_000 - 10_000 * i for i in range(40)),
    *(99_000 - 1_000 * i for i in range(80)),
    *(19_500 - 500 * i for i in range(20)),
    *(9_900 - 100 * i for i in range(90)),
)


def _unreadable(what: str) -> WireError:
    return WireError(what, "MagVenture line", "Check the cable and that nothing else uses the port.")


def _pack(layout: str, *values: int) -> bytes:
    try:
        return struct.pack(layout, *values)
    except struct.error as error:
        raise _unreadable(f"{values} cannot be written as {layout}: {error}") from error


def _amplitude(pct: int) -> int:
    if not 0 <= pct <= MAX_AMPLITUDE_PCT:
        raise _unreadable(f"an amplitude of {pct} % is outside 0 to 100")
    return pct


def _flag(value: int) -> bool:
    if value not in (0, 1):
        raise _unreadable(f"{value} where 0 or 1 must stand")
    return value == 1


# ---- the device's frames --------------------------------------------------------------------------------------------


class StatusBits(msgspec.Struct, frozen=True, kw_only=True):
    """The status byte of nearly every frame: bits 0-1 mode, 2-3 waveform, 4 enabled, 5-7 model."""

    mode: Mode
    waveform: Waveform
    enabled: bool
    model: int  # index into MODEL_NAMES; 6 and 7 are unknown

    @classmethod
    def from_byte(cls, value: int) -> "StatusBits":
        return cls(mode=Mode(value & 3), waveform=Waveform(value >> 2 & 3), enabled=bool(value & 0x10), model=value >> 5)

    def byte(self) -> int:
        return self.mode | self.waveform << 2 | self.enabled << 4 | self.model << 5


class ShortStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Event 0."""

    bits: StatusBits
    serial: int
    temperature_c: int
    coil_type: int
    a_pct: int
    b_pct: int

    def body(self) -> bytes:
        return b"\x00" + _status_fields(self)


class LongStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Event 5: the short status, the amplitudes before scaling, the scale factors, page and train."""

    bits: StatusBits
    serial: int
    temperature_c: int
    coil_type: int
    a_pct: int
    b_pct: int
    original_a_pct: int
    original_b_pct: int
    factor_a_pct: int
    factor_b_pct: int
    page: int
    running: bool

    def body(self) -> bytes:
        scaled = (self.original_a_pct, self.original_b_pct, self.factor_a_pct, self.factor_b_pct)
        return b"\x05" + _status_fields(self) + _pack("6B", *scaled, self.page, self.running)


class AmplitudeReport(msgspec.Struct, frozen=True, kw_only=True):
    """Event 1: the amplitude or the enabled state changed, or was written."""

    a_pct: int
    b_pct: int
    bits: StatusBits

    def body(self) -> bytes:
        return bytes((1, _amplitude(self.a_pct), _amplitude(self.b_pct), self.bits.byte()))


class PulseFired(msgspec.Struct, frozen=True, kw_only=True):
    """Event 2: a pulse (or a burst's first pulse) left the coil, with the measured slope of the current."""

    didt_a_per_us: int
    didt_b_per_us: int
    bits: StatusBits

    def body(self) -> bytes:
        return _pack("4B", 2, self.didt_a_per_us, self.didt_b_per_us, self.bits.byte())


class CoilReport(msgspec.Struct, frozen=True, kw_only=True):
    """Event 3: temperature or coil changed; also part of the answer to enable."""

    temperature_c: int
    coil_type: int
    bits: StatusBits

    def body(self) -> bytes:
        return _pack("4B", 3, self.temperature_c, self.coil_type, self.bits.byte())


class MepReport(msgspec.Struct, frozen=True, kw_only=True):
    """Event 4: the MEP module's last measurement."""

    max_uv: int
    min_uv: int
    time_us: int
    peak_to_peak_uv: int | None = None

    def body(self) -> bytes:
        tail = b"" if self.peak_to_peak_uv is None else _pack(">i", self.peak_to_peak_uv)
        return b"\x04" + _pack(">iii", self.max_uv, self.min_uv, self.time_us) + tail


class OriginalAmplitude(msgspec.Struct, frozen=True, kw_only=True):
    """Event 6, Protocol page."""

    a_pct: int
    b_pct: int
    bits: StatusBits

    def body(self) -> bytes:
        return bytes((6, _amplitude(self.a_pct), _amplitude(self.b_pct), self.bits.byte()))


class GainReport(msgspec.Struct, frozen=True, kw_only=True):
    """Event 7, Protocol page."""

    gain_a_pct: int
    gain_b_pct: int
    bits: StatusBits

    def body(self) -> bytes:
        return _pack("4B", 7, self.gain_a_pct, self.gain_b_pct, self.bits.byte())


class PageReport(msgspec.Struct, frozen=True, kw_only=True):
    """Event 8: page changed, or a train or protocol began or ended."""

    page: int
    running: bool
    bits: StatusBits

    def body(self) -> bytes:
        return _pack("4B", 8, self.page, self.running, self.bits.byte())


class WaveformReport(msgspec.Struct, frozen=True, kw_only=True):
    """Event 9. `model_byte`: bits 0-2 model, the rest options. The IPI index is little-endian, the only such field."""

    flag: int
    model_byte: int
    mode: Mode
    reverse: bool
    waveform: Waveform
    pulses_per_burst: int
    ipi_index: int
    ba_index: int

    @property
    def ipi_us(self) -> int | None:
        """The interval inside a burst or pair; None where the waveform has none or the index is unknown."""
        if self.mode in (Mode.TWIN, Mode.DUAL):
            intervals = PAIRED_IPI_US
        elif self.waveform is Waveform.BURST:
            intervals = BURST_IPI_US
        else:
            return None
        return intervals[self.ipi_index] if self.ipi_index < len(intervals) else None

    @property
    def ba_pct(self) -> int | None:
        """Pulse B over pulse A in hundredths; None where that has no meaning or the index is unknown."""
        return 500 - 5 * self.ba_index if self.mode is Mode.TWIN and self.ba_index <= MAX_BA_INDEX else None

    def body(self) -> bytes:
        head = (9, self.flag, self.model_byte, self.mode, self.reverse, self.waveform, 5 - self.pulses_per_burst)
        return _pack("7B", *head) + _pack("<H", self.ipi_index) + _pack("B", self.ba_index)


class DelayReport(msgspec.Struct, frozen=True, kw_only=True):
    """Event 10. Trigger out may be negative: before the pulse."""

    trigger_in_tenth_ms: int
    trigger_out_tenth_ms: int
    charge_ms: int

    def body(self) -> bytes:
        return b"\x0a\x00" + _pack(">HhH", self.trigger_in_tenth_ms, self.trigger_out_tenth_ms, self.charge_ms)


class TrainReport(msgspec.Struct, frozen=True, kw_only=True):
    """Event 11. In the burst waveform pulses and rate count bursts."""

    timing_control: int
    rate_tenth_hz: int
    pulses: int
    trains: int
    gap_tenth_s: int
    warning: bool
    ramp_up_pct: int
    ramp_up_trains: int

    def body(self) -> bytes:
        train = _pack(">4H", self.rate_tenth_hz, self.pulses, self.trains, self.gap_tenth_s)
        return _pack("3B", 11, 0, self.timing_control) + train + _pack("3B", self.warning, self.ramp_up_pct, self.ramp_up_trains)


class CounterReport(msgspec.Struct, frozen=True, kw_only=True):
    """Event 12; the bytes between are unknown and read as zero here."""

    trains: int
    total_pulses: int
    stimuli: int
    page: int

    def body(self) -> bytes:
        total = _pack(">I", self.total_pulses)[1:]
        return b"\x0c" + _pack(">H", self.trains) + b"\x00" + total + b"\x00\x00" + _pack(">H", self.stimuli) + _pack("3B", 0, 0, self.page)


class Unexplained(msgspec.Struct, frozen=True, kw_only=True):
    """Events 240 and 241: seen by others, meaning unknown."""

    raw: bytes

    def body(self) -> bytes:
        return self.raw


Event = (
    ShortStatus
    | AmplitudeReport
    | PulseFired
    | CoilReport
    | MepReport
    | LongStatus
    | OriginalAmplitude
    | GainReport
    | PageReport
    | WaveformReport
    | DelayReport
    | TrainReport
    | CounterReport
    | Unexplained
)


def _status_fields(status: ShortStatus | LongStatus) -> bytes:
    if not 0 <= status.serial < 1 << 24:
        raise _unreadable(f"the serial number {status.serial} has more than 24 bits")
    serial = status.serial.to_bytes(3, "big")
    rest = (status.temperature_c, status.coil_type, _amplitude(status.a_pct), _amplitude(status.b_pct))
    return bytes((status.bits.byte(),)) + serial + _pack("4B", *rest)


def _short_status(body: bytes) -> ShortStatus:
    return ShortStatus(
        bits=StatusBits.from_byte(body[1]),
        serial=int.from_bytes(body[2:5], "big"),
        temperature_c=body[5],
        coil_type=body[6],
        a_pct=_amplitude(body[7]),
        b_pct=_amplitude(body[8]),
    )


def _long_status(body: bytes) -> LongStatus:
    return LongStatus(
        bits=StatusBits.from_byte(body[1]),
        serial=int.from_bytes(body[2:5], "big"),
        temperature_c=body[5],
        coil_type=body[6],
        a_pct=_amplitude(body[7]),
        b_pct=_amplitude(body[8]),
        original_a_pct=body[9],
        original_b_pct=body[10],
        factor_a_pct=body[11],
        factor_b_pct=body[12],
        page=body[13],
        running=_flag(body[14]),
    )


def _amplitude_report(body: bytes) -> AmplitudeReport:
    return AmplitudeReport(a_pct=_amplitude(body[1]), b_pct=_amplitude(body[2]), bits=StatusBits.from_byte(body[3]))


def _pulse_fired(body: bytes) -> PulseFired:
    return PulseFired(didt_a_per_us=body[1], didt_b_per_us=body[2], bits=StatusBits.from_byte(body[3]))


def _coil_report(body: bytes) -> CoilReport:
    return CoilReport(temperature_c=body[1], coil_type=body[2], bits=StatusBits.from_byte(body[3]))


def _mep_report(body: bytes) -> MepReport:
    max_uv, min_uv, time_us, *rest = struct.unpack(f">{len(body) // 4}i", body[1:])
    return MepReport(max_uv=max_uv, min_uv=min_uv, time_us=time_us, peak_to_peak_uv=rest[0] if rest else None)


def _original_amplitude(body: bytes) -> OriginalAmplitude:
    return OriginalAmplitude(a_pct=_amplitude(body[1]), b_pct=_amplitude(body[2]), bits=StatusBits.from_byte(body[3]))


def _gain_report(body: bytes) -> GainReport:
    return GainReport(gain_a_pct=body[1], gain_b_pct=body[2], bits=StatusBits.from_byte(body[3]))


def _page_report(body: bytes) -> PageReport:
    return PageReport(page=body[1], running=_flag(body[2]), bits=StatusBits.from_byte(body[3]))


def _waveform_report(body: bytes) -> WaveformReport:
    if body[3] > Mode.DUAL or body[5] > Waveform.BURST or body[6] > 3:
        raise _unreadable(f"waveform settings {body.hex(' ')} hold an unknown mode, waveform or burst")
    return WaveformReport(
        flag=body[1],
        model_byte=body[2],
        mode=Mode(body[3]),
        reverse=_flag(body[4]),
        waveform=Waveform(body[5]),
        pulses_per_burst=5 - body[6],
        ipi_index=int.from_bytes(body[7:9], "little"),
        ba_index=body[9],
    )


def _delay_report(body: bytes) -> DelayReport:
    trigger_in, trigger_out, charge = struct.unpack(">HhH", body[2:8])
    return DelayReport(trigger_in_tenth_ms=trigger_in, trigger_out_tenth_ms=trigger_out, charge_ms=charge)


def _train_report(body: bytes) -> TrainReport:
    rate, pulses, trains, gap = struct.unpack(">4H", body[3:11])
    return TrainReport(
        timing_control=body[2],
        rate_tenth_hz=rate,
        pulses=pulses,
        trains=trains,
        gap_tenth_s=gap,
        warning=_flag(body[11]),
        ramp_up_pct=body[12],
        ramp_up_trains=body[13],
    )


def _counter_report(body: bytes) -> CounterReport:
    return CounterReport(
        trains=int.from_bytes(body[1:3], "big"),
        total_pulses=int.from_bytes(body[4:7], "big"),
        stimuli=int.from_bytes(body[9:11], "big"),
        page=body[13],
    )


def _unexplained(body: bytes) -> Unexplained:
    return Unexplained(raw=body)


_ANY_LENGTH = range(1, MAX_BODY + 1)
_EVENTS: dict[int, tuple[Container[int], Callable[[bytes], Event]]] = {
    0: ((9,), _short_status),
    1: ((4,), _amplitude_report),
    2: ((4,), _pulse_fired),
    3: ((4,), _coil_report),
    4: ((13, 17), _mep_report),
    5: ((15,), _long_status),
    6: ((4,), _original_amplitude),
    7: ((4,), _gain_report),
    8: ((4,), _page_report),
    9: ((10,), _waveform_report),
    10: (range(8, MAX_BODY + 1), _delay_report),
    11: (range(14, MAX_BODY + 1), _train_report),
    12: (range(14, MAX_BODY + 1), _counter_report),
    240: (_ANY_LENGTH, _unexplained),
    241: (_ANY_LENGTH, _unexplained),
}


def decode_event(body: bytes) -> Event:
    """The event in one body. Raises WireError for an unknown id, a wrong length or a value that cannot be."""
    lengths, parse = _EVENTS.get(body[0], ((), _unexplained)) if body else ((), _unexplained)
    if len(body) not in lengths:
        raise _unreadable(f"the body {body.hex(' ')} is no known event of that length")
    return parse(body)


def encode_event(event: Event) -> bytes:
    """The whole frame, as the device sends it. Raises WireError for a value that does not fit its field."""
    return frame(event.body())
