"""What a MagPro has last said about itself, what changed between two sayings, and what differs from the settings asked for.

Pure. Not whose act a change was: the driver knows what it had asked.
"""

import msgspec

from drivers.magventure_command_wire import SetWaveform
from drivers.magventure_models import BA_RATIO_PCT, Capability, rate_tenth_hz, waveform_command
from drivers.magventure_wire import (
    MODEL_NAMES,
    AmplitudeReport,
    CoilReport,
    Event,
    GainReport,
    LongStatus,
    Mode,
    OriginalAmplitude,
    Page,
    PageReport,
    PulseFired,
    ShortStatus,
    StatusBits,
    TrainReport,
    Waveform,
    WaveformReport,
)
from drivers.values import StimReport, StimState, TrainSettings

SENSOR_FAULTS_C = (0, 90)  # seen with a broken sensor, and with a cooled coil whose cooling is not connected (public clients)
SENSOR_CEILING_C = 60  # no coil gets so hot: the device disables itself long before (commonly quoted: 43 degrees C)
SIMULATED_SERIAL = 0x53494D  # "SIM": no real unit has it
INTERNAL_SEQUENCE = 0  # timing control: the device paces the train itself
EXTENDED_RATE_FLAG = 0x10  # read only, set where the extended rate option is bought

_Pair = tuple[str, int | str | None, int | str | None]  # field, what the device says, what is wanted


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The device as it last described itself; None where it has not said."""

    bits: StatusBits | None = None
    serial: int | None = None
    temperature_c: int | None = None
    coil_type: int | None = None
    a_pct: int | None = None
    b_pct: int | None = None
    page: int | None = None
    running: bool | None = None
    waveform: WaveformReport | None = None
    train: TrainReport | None = None

    @property
    def enabled(self) -> bool | None:
        return None if self.bits is None else self.bits.enabled


def seen(old: Picture, event: Event) -> Picture:
    """The picture after one more event."""
    new = old
    match event:
        case ShortStatus() | LongStatus():
            new = msgspec.structs.replace(
                old,
                bits=event.bits,
                serial=event.serial,
                temperature_c=event.temperature_c,
                coil_type=event.coil_type,
                a_pct=event.a_pct,
                b_pct=event.b_pct,
            )
            if isinstance(event, LongStatus):
                new = msgspec.structs.replace(new, page=event.page, running=event.running)
        case AmplitudeReport():
            new = msgspec.structs.replace(old, bits=event.bits, a_pct=event.a_pct, b_pct=event.b_pct)
        case CoilReport():
            new = msgspec.structs.replace(old, bits=event.bits, temperature_c=event.temperature_c, coil_type=event.coil_type)
        case PageReport():
            new = msgspec.structs.replace(old, bits=event.bits, page=event.page, running=event.running)
        case PulseFired() | OriginalAmplitude() | GainReport():
            new = msgspec.structs.replace(old, bits=event.bits)
        case WaveformReport():
            new = msgspec.structs.replace(old, waveform=event)
        case TrainReport():
            new = msgspec.structs.replace(old, train=event)
    return new


def setting_changes(old: Picture, new: Picture) -> tuple[str, ...]:
    """Settings that a host writes too, now different from before, each as a sentence."""
    changes = [_change("amplitude", old.a_pct, new.a_pct, " %"), _change("page", old.page, new.page)]
    if old.bits is not None and new.bits is not None:
        changes.append(_change("mode", old.bits.mode.name, new.bits.mode.name))
        if new.bits.mode in (Mode.TWIN, Mode.DUAL):
            changes.append(_change("amplitude of pulse B", old.b_pct, new.b_pct, " %"))
        changes.append(_change("waveform", old.bits.waveform.name, new.bits.waveform.name))
    return tuple(change for change in changes if change)


def unit_changes(old: Picture, new: Picture) -> tuple[str, ...]:
    """Another coil or another device: nothing that a host can bring about."""
    changes = [_change("coil type", old.coil_type, new.coil_type), _change("serial number", old.serial, new.serial)]
    if old.bits is not None and new.bits is not None:
        changes.append(_change("model", _model(old.bits), _model(new.bits)))
    return tuple(change for change in changes if change)


def _change(name: str, before: int | str | None, after: int | str | None, unit: str = "") -> str:
    return f"{name} changed from {before} to {after}{unit}" if None not in (before, after) and before != after else ""


def _model(bits: StatusBits) -> str:
    return MODEL_NAMES.get(bits.model, f"unknown {bits.model}")


def reported(picture: Picture, received_ns: int, state: StimState, fault: str | None) -> StimReport:
    """The picture as every stimulator tells it; `received_ns` is when the last whole status came."""
    return StimReport(
        received_ns=received_ns,
        state=state,
        model=None if picture.bits is None else _model(picture.bits),
        serial=picture.serial,
        enabled=picture.enabled,
        running=picture.running,
        temperature_c=picture.temperature_c,
        coil_type=picture.coil_type,
        amplitude_pct_mso=picture.a_pct,
        fault=fault,
        simulated=picture.serial == SIMULATED_SERIAL,
    )


def is_plausible(temperature_c: int) -> bool:
    """Whether a coil can have this temperature; otherwise its sensor or its cooling speaks."""
    return temperature_c not in SENSOR_FAULTS_C and temperature_c <= SENSOR_CEILING_C


def temperature_reason(temperature_c: int | None, limit_c: int) -> str | None:
    """Why no pulse may leave a coil of this temperature; None when it may. Unknown is a reason."""
    if temperature_c is None:
        return "the coil's temperature is unknown"
    if not is_plausible(temperature_c):
        return f"the coil reports {temperature_c} degrees C: its sensor or its cooling is at fault"
    if temperature_c >= limit_c:
        return f"the coil is at {temperature_c} degrees C, the limit is {limit_c}"
    return None


def mismatches(settings: TrainSettings, picture: Picture, model: Capability, coil_type: int) -> tuple[str, ...]:
    """Each field of the device that differs from what such a train needs, or that it has not told; empty means equal."""
    wanted = waveform_command(settings, model)
    pairs: list[_Pair] = [
        ("amplitude", picture.a_pct, settings.amplitude_pct_mso),
        ("coil type", picture.coil_type, coil_type),
        ("page", picture.page, int(Page.TIMING)),
        ("model", None if picture.bits is None else picture.bits.model, model.code),
        ("mode", None if picture.bits is None else picture.bits.mode.name, wanted.mode.name),
        ("waveform", None if picture.bits is None else picture.bits.waveform.name, wanted.waveform.name),
        *_waveform_pairs(picture.waveform, wanted),
        *_pair_pairs(settings, picture, wanted),
        *_train_pairs(settings, picture.train),
    ]
    return tuple(f"{name}: {_said(got)}, {want} asked" for name, got, want in pairs if got != want)


def _waveform_pairs(got: WaveformReport | None, wanted: SetWaveform) -> list[_Pair]:
    pairs: list[_Pair] = [
        ("mode set", None if got is None else got.mode.name, wanted.mode.name),
        ("current reversed", None if got is None else got.reverse, False),
        ("waveform set", None if got is None else got.waveform.name, wanted.waveform.name),
    ]
    if wanted.waveform is Waveform.BURST:
        pairs.append(("pulses per burst", None if got is None else got.pulses_per_burst, wanted.pulses_per_burst))
        pairs.append(("interval in the burst, us", None if got is None else got.ipi_us, wanted.ipi_us))
    return pairs


def _pair_pairs(settings: TrainSettings, picture: Picture, wanted: SetWaveform) -> list[_Pair]:
    """What counts in the twin mode alone: the second pulse and its distance."""
    got = picture.waveform
    if wanted.mode is not Mode.TWIN:
        return []
    return [
        ("amplitude of pulse B", picture.b_pct, settings.amplitude_pct_mso),
        ("interval in the pair, us", None if got is None else got.ipi_us, wanted.ipi_us),
        ("pulse B over pulse A, %", None if got is None else got.ba_pct, BA_RATIO_PCT),
    ]


def _train_pairs(settings: TrainSettings, got: TrainReport | None) -> list[_Pair]:
    has_no_ramp = None if got is None else got.ramp_up_trains == 0 or got.ramp_up_pct == 100
    return [
        ("timing control", None if got is None else got.timing_control & ~EXTENDED_RATE_FLAG, INTERNAL_SEQUENCE),
        ("rate, tenths per second", None if got is None else got.rate_tenth_hz, rate_tenth_hz(settings.burst_hz)),
        ("bursts in the train", None if got is None else got.pulses, settings.bursts),
        ("trains", None if got is None else got.trains, 1),
        ("no ramp-up", has_no_ramp, True),
    ]


def _said(got: int | str | None) -> str:
    return "unknown" if got is None else f"{got} read back"
