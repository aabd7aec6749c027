"""The MagVenture family in the contract: its driver and its simulated unit as a `Unit`, and its models."""

import random

from msgspec.structs import replace

from drivers.magventure import MagVentureStimulator
from drivers.magventure_frame_wire import FrameReader
from drivers.values import TrainSettings
from sim.magventure_device import MagVentureDevice
from sim.magventure_faults import MagVentureFaults, damaged
from tests.contract.stimulator_kit import START_NS, Act, Cannot, Model, Trouble, Truth

COIL = 60
AMPLITUDE, DISABLE = bytes((1,)), bytes((2, 0))  # how such commands begin
THETA = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10)
PLAIN = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="10", bursts=20)


class MagVentureUnit:
    """`ignored`: how commands begin that it takes no notice of, without a word, as units do with what is not on their own steps."""

    def __init__(self, model: str, events_per_burst: int, seed: int) -> None:
        self.truth, self.faults = Truth(), MagVentureFaults()
        self.device = MagVentureDevice(self.truth, self.faults, START_NS, model=model, events_per_burst=events_per_burst)
        self._model, self._events_per_burst = model, events_per_burst
        self.restart_host()
        self.ignored: tuple[bytes, ...] = ()
        self._hearing = FrameReader()
        self._rng = random.Random(seed)

    @property
    def next_ns(self) -> int:
        return self.device.next_ns

    @property
    def enabled(self) -> bool:
        return self.device.enabled

    def hear(self, data: bytes, now_ns: int) -> None:
        if self.faults.drop_byte_probability or self.faults.duplicate_byte_probability:
            data = damaged(data, self.faults, self._rng)
        for body in self._hearing.feed(data, now_ns):
            if not body.startswith(self.ignored):
                self.device.hear(body, now_ns)

    def say(self, now_ns: int) -> bytes:
        self.device.advance(now_ns)
        return b"".join(damaged(frame, self.faults, self._rng) for frame in self.device.take_frames())

    def restart_host(self) -> None:
        self.driver = MagVentureStimulator(self._model, COIL, events_per_burst=self._events_per_burst, max_amplitude_pct_mso=80)

    def keep_alive(self, now_ns: int) -> None:
        self.driver.may_keep_alive(now_ns)

    def ignore_stop(self, ms: int) -> None:
        self.faults.ignores_stop_ms = ms

    def heal(self) -> None:
        self.device.faults = self.faults = MagVentureFaults()
        self.ignored = ()


def switch(name: str, value: object) -> Act:
    return lambda unit, _now_ns: setattr(unit.faults, name, value)


def ignore(beginning: bytes) -> Act:
    return lambda unit, _now_ns: setattr(unit, "ignored", (beginning,))


TROUBLES: dict[Trouble, Act | Cannot] = {
    Trouble.SILENT: switch("silent", True),
    Trouble.DEAF: switch("deaf", True),
    Trouble.WRONG_CHECKSUM: switch("wrong_crc", True),
    Trouble.LOST_BYTES: switch("drop_byte_probability", 0.08),
    Trouble.DOUBLED_BYTES: switch("duplicate_byte_probability", 0.08),
    Trouble.SLOW: switch("reply_delay_ms", 3000.0),
    Trouble.STUCK_ARMED: ignore(DISABLE),
    Trouble.IGNORES_STOP: lambda unit, _now_ns: unit.ignore_stop(150),
    Trouble.NEVER_READY: switch("ignores_enable", True),
    Trouble.START_IGNORED: switch("ignores_start", True),
    Trouble.SETTING_REFUSED: ignore(AMPLITUDE),
    Trouble.SETTING_DIFFERS: lambda unit, _now_ns: unit.device.turn_rate(77),
    Trouble.WARMING: switch("heating_c_per_s", 40.0),
    Trouble.BROKEN_SENSOR: switch("reports_temperature_c", 0),
    Trouble.COIL_REMOVED: lambda unit, now_ns: unit.device.plug_coil(0, now_ns),
    Trouble.PANEL_ENABLE: lambda unit, now_ns: unit.device.enable(now_ns),
    Trouble.PANEL_DISABLE: lambda unit, now_ns: unit.device.disable(now_ns),
    Trouble.PANEL_DIAL: lambda unit, _now_ns: unit.device.set_amplitude(60),
    Trouble.PANEL_FIRE: lambda unit, now_ns: unit.device.trigger(now_ns),
    Trouble.POWER_CYCLE: lambda unit, now_ns: unit.device.reset(now_ns),
    Trouble.LEFT_ENABLED: Cannot("it is disabled before it is asked anything, and the answer shows the state after that"),
    Trouble.DAEMON_SILENT: Cannot("it stays enabled whether or not it is asked anything: the gate alone stops it"),
    Trouble.LATE_ANSWER: Cannot("it tells of changes by itself: what followed the answer was waiting in the port behind it"),
    Trouble.MID_TRAIN: lambda _unit, _now_ns: None,
    Trouble.PACED_BY_HOST: lambda _unit, _now_ns: None,
}


PLAIN_PULSES: dict[Trouble, Act | Cannot] = TROUBLES | {
    Trouble.PACED_BY_HOST: Cannot("single pulses follow each other too closely for a host: only bursts of the burst waveform are so paced"),
}


def model_of(name: str, settings: TrainSettings, impossible: TrainSettings, *, events_per_burst: int = 1) -> Model:
    return Model(
        name=f"magventure {name}",
        make=lambda seed: MagVentureUnit(name, events_per_burst, seed),
        settings=settings,
        impossible=impossible,
        disarm_bytes=bytes.fromhex("FE02020091FF"),
        alarm_ms=300,
        retry_ms=100,
        tells_pulses=True,
        forgets_host_ms=None,
        troubles=TROUBLES if settings is THETA else PLAIN_PULSES,
    )


MODELS = (
    model_of("x100-option", THETA, replace(THETA, burst_hz="21")),
    model_of("x100", PLAIN, replace(PLAIN, burst_hz="101"), events_per_burst=3),  # a single pulse has one receipt nevertheless
    model_of("r30", PLAIN, THETA),
    model_of("r30-option", PLAIN, replace(PLAIN, burst_hz="31")),
)
