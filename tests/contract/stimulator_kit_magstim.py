"""The Magstim family in the contract: its driver and its simulated unit as a `Unit`, and its models."""

import random

from msgspec.structs import replace

from drivers.magstim import MagstimStimulator
from drivers.magstim_command_wire import UnlockCode
from drivers.values import TrainSettings
from sim.magstim_device import MagstimDevice
from sim.magstim_faults import MagstimFaults, damaged
from sim.magstim_settings import MADE_UP_UNLOCK
from tests.contract.stimulator_kit import MS, START_NS, Act, Cannot, Model, Trouble, Truth

COIL = 60
BEAT_NS = 300 * MS  # how long one beat of the daemon keeps the unit armed
TRAIN = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="10", bursts=20)
SINGLE = replace(TRAIN, burst_hz="1", bursts=1)
PAIR = replace(SINGLE, pulses_per_burst=2, intra_burst_interval_us=3_000)
THETA = replace(TRAIN, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10)


class MagstimUnit:
    def __init__(self, model: str, software: str, seed: int) -> None:
        self.truth, self.faults = Truth(), MagstimFaults()
        self.device = MagstimDevice(self.truth, self.faults, START_NS, model=model, software=software, unlock=MADE_UP_UNLOCK)
        self._model = model
        self.restart_host()
        self._rng = random.Random(seed)

    @property
    def next_ns(self) -> int:
        return self.device.next_ns

    @property
    def enabled(self) -> bool:
        return self.device.armed

    def hear(self, data: bytes, now_ns: int) -> None:
        if self.faults.drop_byte_probability or self.faults.duplicate_byte_probability:
            data = damaged(data, self.faults, self._rng)
        self.device.hear(data, now_ns)

    def say(self, now_ns: int) -> bytes:
        self.device.advance(now_ns)
        return b"".join(damaged(frame, self.faults, self._rng) for frame in self.device.take_frames(now_ns))

    def restart_host(self) -> None:
        code = UnlockCode(MADE_UP_UNLOCK.encode())
        self.driver = MagstimStimulator(self._model, COIL, max_amplitude_pct_mso=80, unlock=code, spent_before_joules=0.0)

    def keep_alive(self, now_ns: int) -> None:
        self.driver.may_keep_alive(now_ns + BEAT_NS)

    def ignore_stop(self, ms: int) -> None:
        self.faults.ignores_stop_ms = ms

    def heal(self) -> None:
        self.device.faults = self.faults = MagstimFaults()


def switch(name: str, value: object) -> Act:
    return lambda unit, _now_ns: setattr(unit.faults, name, value)


def warm(unit: MagstimUnit, _now_ns: int) -> None:
    unit.device.windings.warm_to(39.0)
    unit.faults.heating_c_per_s = 1.5


TROUBLES: dict[Trouble, Act | Cannot] = {
    Trouble.SILENT: switch("silent", True),
    Trouble.DEAF: switch("deaf", True),
    Trouble.WRONG_CHECKSUM: switch("wrong_crc", True),
    Trouble.LOST_BYTES: switch("drop_byte_probability", 0.08),
    Trouble.DOUBLED_BYTES: switch("duplicate_byte_probability", 0.08),
    Trouble.SLOW: switch("reply_delay_ms", 3000.0),
    Trouble.STUCK_ARMED: switch("stuck_armed", True),
    Trouble.IGNORES_STOP: lambda unit, _now_ns: unit.ignore_stop(120),
    Trouble.NEVER_READY: switch("never_ready", True),
    Trouble.START_IGNORED: switch("ignores_fire", True),
    Trouble.SETTING_REFUSED: switch("conflicts_with", "@"),
    Trouble.SETTING_DIFFERS: lambda unit, _now_ns: setattr(unit.device.settings, "tenth_hz", 77),
    Trouble.WARMING: warm,
    Trouble.BROKEN_SENSOR: switch("reports_tenth_c", 0),
    Trouble.COIL_REMOVED: lambda unit, now_ns: unit.device.plug_coil(False, now_ns),
    Trouble.PANEL_ENABLE: lambda unit, now_ns: unit.device.arm(now_ns),
    Trouble.PANEL_DISABLE: lambda unit, now_ns: unit.device.disarm(now_ns),
    Trouble.PANEL_DIAL: lambda unit, now_ns: unit.device.turn_power(60, now_ns),
    Trouble.PANEL_FIRE: lambda unit, now_ns: unit.device.trigger(now_ns),
    Trouble.POWER_CYCLE: lambda unit, now_ns: unit.device.reset(now_ns),
    Trouble.LEFT_ENABLED: lambda _unit, _now_ns: None,
    Trouble.DAEMON_SILENT: lambda _unit, _now_ns: None,
    Trouble.PACED_BY_HOST: Cannot("single triggers are a second apart at the least: what the host paces are whole trains"),
    Trouble.LATE_ANSWER: lambda _unit, _now_ns: None,
    Trouble.MID_TRAIN: lambda _unit, _now_ns: None,
}
WITHOUT_TRAINS: dict[Trouble, Act | Cannot] = TROUBLES | {
    Trouble.MID_TRAIN: Cannot("this model fires one pulse or pair for each start: there is no train with a middle"),
    Trouble.START_IGNORED: Cannot("no bit tells of a single pulse: a fire command that was acknowledged counts as a pulse"),
    Trouble.SETTING_DIFFERS: lambda unit, _now_ns: setattr(unit.device.settings, "a_pct", 77),
}


def model_of(name: str, settings: TrainSettings, *, software: str = "9.0", impossible: TrainSettings = THETA) -> Model:
    return Model(
        name=f"magstim {name}" + (f" v{software}" if settings is TRAIN else ""),
        make=lambda seed: MagstimUnit(name, software, seed),
        settings=settings,
        impossible=impossible,
        disarm_bytes=bytes.fromhex("454179"),
        alarm_ms=200,
        retry_ms=50,
        tells_pulses=False,
        forgets_host_ms=1000,
        troubles=TROUBLES if settings is TRAIN else WITHOUT_TRAINS,
    )


MODELS = (
    model_of("plus1", TRAIN),
    model_of("rapid", TRAIN, software="5.0", impossible=replace(TRAIN, burst_hz="40")),
    model_of("superrapid", TRAIN, software="11.0"),
    model_of("bistim", PAIR, impossible=replace(PAIR, intra_burst_interval_us=50)),
    model_of("200", SINGLE, impossible=TRAIN),
)
