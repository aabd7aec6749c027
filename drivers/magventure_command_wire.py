"""What a host may tell or ask a MagPro, as values, both ways (the simulator reads what the driver writes).

Not what the device makes of it. Layouts are those on which the public clients MAGIC, magicpy and pytms agree for MagPro R30 and
X100 with "G3" software; commands 10 to 12 were found by experiment.
"""

import struct
from collections.abc import Callable, Container

import msgspec

from drivers.magventure_frame_wire import frame
from drivers.magventure_wire import MAX_AMPLITUDE_PCT, Mode, Waveform
from drivers.values import WireError


def _wrong(what: str) -> WireError:
    return WireError(what, "MagVenture command", "This is a fault of the program that sends it.")


def _pack(layout: str, *values: int) -> bytes:
    try:
        return struct.pack(layout, *values)
    except struct.error as error:
        raise _wrong(f"{values} cannot be written as {layout}: {error}") from error


def _amplitude(pct: int) -> int:
    if not 0 <= pct <= MAX_AMPLITUDE_PCT:
        raise _wrong(f"an amplitude of {pct} % is outside 0 to 100")
    return pct


class AskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Command 0: the short status."""

    def body(self) -> bytes:
        return b"\x00"


class SetAmplitude(msgspec.Struct, frozen=True, kw_only=True):
    """Command 1, % of the maximum output; B for twin and dual."""

    a_pct: int
    b_pct: int | None = None

    def body(self) -> bytes:
        return bytes((1, _amplitude(self.a_pct))) + (b"" if self.b_pct is None else bytes((_amplitude(self.b_pct),)))


class SetEnabled(msgspec.Struct, frozen=True, kw_only=True):
    """Command 2: charge, or discharge and end any train."""

    on: bool

    def body(self) -> bytes:
        return bytes((2, self.on))


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """Command 3: one pulse, or one burst in the burst waveform."""

    def body(self) -> bytes:
        return b"\x03"


class StartTrain(msgspec.Struct, frozen=True, kw_only=True):
    """Command 4: the train on the Timing page, the protocol on the Protocol page."""

    def body(self) -> bytes:
        return b"\x04"


class AskLongStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Command 5."""

    def body(self) -> bytes:
        return b"\x05"


class SetTrain(msgspec.Struct, frozen=True, kw_only=True):
    """Command 6. In the burst waveform pulses and rate count bursts; the gap runs from a train's last to the next one's first."""

    rate_tenth_hz: int
    pulses: int
    trains: int
    gap_tenth_s: int

    def body(self) -> bytes:
        return b"\x06" + _pack(">4H", self.rate_tenth_hz, self.pulses, self.trains, self.gap_tenth_s)


class SelectPage(msgspec.Struct, frozen=True, kw_only=True):
    """Command 7."""

    page: int

    def body(self) -> bytes:
        return _pack("3B", 7, self.page, 0)


class SetDelays(msgspec.Struct, frozen=True, kw_only=True):
    """Command 8; trigger out may be negative: before the pulse."""

    trigger_in_tenth_ms: int
    trigger_out_tenth_ms: int
    charge_ms: int

    def body(self) -> bytes:
        return b"\x08" + _pack(">HhHH", self.trigger_in_tenth_ms, self.trigger_out_tenth_ms, self.charge_ms, 0)


class AskWaveform(msgspec.Struct, frozen=True, kw_only=True):
    """Command 9, reading."""

    def body(self) -> bytes:
        return b"\x09\x00"


class SetWaveform(msgspec.Struct, frozen=True, kw_only=True):
    """Command 9, writing. The interval is written in tenths of a millisecond, the ratio of pulse B to A in hundredths."""

    model: int
    mode: Mode
    reverse: bool
    waveform: Waveform
    pulses_per_burst: int
    ipi_us: int
    ba_pct: int

    def body(self) -> bytes:
        tenth_ms, rest = divmod(self.ipi_us, 100)
        if rest:
            raise _wrong(f"an interval of {self.ipi_us} us is not a multiple of 100 us")
        head = (9, 1, self.model, self.mode, self.reverse, self.waveform, 5 - self.pulses_per_burst)
        return _pack("7B", *head) + _pack(">HH", tenth_ms, self.ba_pct)


class AskDelays(msgspec.Struct, frozen=True, kw_only=True):
    """Command 10, reading."""

    def body(self) -> bytes:
        return b"\x0a\x00"


class WriteDelays(msgspec.Struct, frozen=True, kw_only=True):
    """Command 10, writing: as command 8, answered."""

    trigger_in_tenth_ms: int
    trigger_out_tenth_ms: int
    charge_ms: int

    def body(self) -> bytes:
        return b"\x0a\x01" + _pack(">HhH", self.trigger_in_tenth_ms, self.trigger_out_tenth_ms, self.charge_ms)


class AskTrain(msgspec.Struct, frozen=True, kw_only=True):
    """Command 11, reading."""

    def body(self) -> bytes:
        return b"\x0b\x00"


class WriteTrain(msgspec.Struct, frozen=True, kw_only=True):
    """Command 11, writing: as command 6, with timing control (0 is the device's own sequence) and the warning beep."""

    timing_control: int
    rate_tenth_hz: int
    pulses: int
    trains: int
    gap_tenth_s: int
    warning: bool

    def body(self) -> bytes:
        train = _pack(">4H", self.rate_tenth_hz, self.pulses, self.trains, self.gap_tenth_s)
        return _pack("3B", 11, 1, self.timing_control) + train + _pack("B", self.warning)


class AskCounters(msgspec.Struct, frozen=True, kw_only=True):
    """Command 12."""

    def body(self) -> bytes:
        return b"\x0c\x00"


Command = (
    AskStatus
    | SetAmplitude
    | SetEnabled
    | Trigger
    | StartTrain
    | AskLongStatus
    | SetTrain
    | SelectPage
    | SetDelays
    | AskWaveform
    | SetWaveform
    | AskDelays
    | WriteDelays
    | AskTrain
    | WriteTrain
    | AskCounters
)


def _flag(value: int) -> bool:
    if value not in (0, 1):
        raise _wrong(f"{value} where 0 or 1 must stand")
    return value == 1


def _set_amplitude(body: bytes) -> SetAmplitude:
    return SetAmplitude(a_pct=_amplitude(body[1]), b_pct=_amplitude(body[2]) if len(body) > 2 else None)


def _set_train(body: bytes) -> SetTrain:
    rate, pulses, trains, gap = struct.unpack(">4H", body[1:9])
    return SetTrain(rate_tenth_hz=rate, pulses=pulses, trains=trains, gap_tenth_s=gap)


def _set_delays(body: bytes) -> SetDelays:
    trigger_in, trigger_out, charge = struct.unpack(">HhH", body[1:7])
    return SetDelays(trigger_in_tenth_ms=trigger_in, trigger_out_tenth_ms=trigger_out, charge_ms=charge)


def _set_waveform(body: bytes) -> SetWaveform:
    if body[3] > Mode.DUAL or body[5] > Waveform.BURST or body[6] > 3:
        raise _wrong(f"waveform settings {body.hex(' ')} hold an unknown mode, waveform or burst")
    tenth_ms, ba_pct = struct.unpack(">HH", body[7:11])
    return SetWaveform(
        model=body[2],
        mode=Mode(body[3]),
        reverse=_flag(body[4]),
        waveform=Waveform(body[5]),
        pulses_per_burst=5 - body[6],
        ipi_us=100 * tenth_ms,
        ba_pct=ba_pct,
    )


def _write_delays(body: bytes) -> WriteDelays:
    trigger_in, trigger_out, charge = struct.unpack(">HhH", body[2:8])
    return WriteDelays(trigger_in_tenth_ms=trigger_in, trigger_out_tenth_ms=trigger_out, charge_ms=charge)


def _write_train(body: bytes) -> WriteTrain:
    rate, pulses, trains, gap = struct.unpack(">4H", body[3:11])
    return WriteTrain(
        timing_control=body[2], rate_tenth_hz=rate, pulses=pulses, trains=trains, gap_tenth_s=gap, warning=_flag(body[11])
    )


# By command id and, where one id both reads and writes, its second byte: the lengths a body may have, and what it says.
# Clients differ in trailing zeros (a trigger is sent as `03`, `03 01` or `03 01 00`); all are accepted.
_COMMANDS: dict[tuple[int, int | None], tuple[Container[int], Callable[[bytes], Command]]] = {
    (0, None): ((1,), lambda _: AskStatus()),
    (1, None): ((2, 3), _set_amplitude),
    (2, None): ((2, 3), lambda body: SetEnabled(on=_flag(body[1]))),
    (3, None): ((1, 2, 3), lambda _: Trigger()),
    (4, None): ((1,), lambda _: StartTrain()),
    (5, None): ((1,), lambda _: AskLongStatus()),
    (6, None): ((9,), _set_train),
    (7, None): ((3,), lambda body: SelectPage(page=body[1])),
    (8, None): ((9,), _set_delays),
    (9, 0): ((2, 11), lambda _: AskWaveform()),
    (9, 1): ((11,), _set_waveform),
    (10, 0): ((2,), lambda _: AskDelays()),
    (10, 1): ((8,), _write_delays),
    (11, 0): ((2,), lambda _: AskTrain()),
    (11, 1): ((12,), _write_train),
    (12, 0): ((2,), lambda _: AskCounters()),
}


def decode_command(body: bytes) -> Command:
    """The command in one body. Raises WireError for an unknown id, a wrong length or a value that cannot be."""
    known = None
    if body:
        known = _COMMANDS.get((body[0], None)) or _COMMANDS.get((body[0], body[1] if len(body) > 1 else None))
    if known is None or len(body) not in known[0]:
        raise _wrong(f"the body {body.hex(' ')} is no known command of that length")
    return known[1](body)


def encode_command(command: Command) -> bytes:
    """The whole frame, as a host sends it. Raises WireError for a value that does not fit its field."""
    return frame(command.body())
