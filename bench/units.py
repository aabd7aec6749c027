"""The stimulators that benches have at the far end of a chair's wire, and what each calls a start, a trigger and a stop."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from daemon.purpose import Pacing
from drivers.magstim_command_wire import DISARM, FIRE
from drivers.magstim_command_wire import CommandReader as MagstimCommandReader
from drivers.magventure_command_wire import SetEnabled, StartTrain, Trigger, decode_command
from drivers.magventure_frame_wire import FrameReader
from drivers.values import TrainSettings, WireError
from sim.magstim_device import MagstimDevice
from sim.magstim_faults import MagstimFaults
from sim.magstim_settings import MADE_UP_UNLOCK
from sim.magventure_device import MagVentureDevice
from sim.magventure_faults import MagVentureFaults
from sim.room_unit import chair_lines
from sim.truth import TruthLog

THETA = TrainSettings(amplitude_pct_mso=30, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10)
PLAIN = TrainSettings(amplitude_pct_mso=30, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="10", bursts=20)
PACED_BURSTS = 50  # ten seconds, the longest train that a chair is trusted with unless it says otherwise
START, TRIGGER, STOP = "start", "trigger", "stop"


@dataclass(frozen=True, slots=True)
class Unit:
    """One family at a bench's chair. `hot`: the program of its hot process."""

    name: str
    model: str
    settings: TrainSettings
    pacing: Pacing = Pacing.TRAIN
    hot: str = "daemon.hot"

    def chair_lines(self, folder: Path) -> str:
        lines = chair_lines(self.model, folder)
        return lines if self.pacing is Pacing.TRAIN else f'{lines}\npacing = "{self.pacing}"'


MAGVENTURE = Unit(name="MagVenture", model="x100-option", settings=THETA)
PACED = Unit(
    name="MagVenture, paced by the host",
    model="x100-option",
    settings=TrainSettings(
        amplitude_pct_mso=30, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=PACED_BURSTS
    ),
    pacing=Pacing.BURST,
)
MAGSTIM = Unit(name="Magstim", model="plus1", settings=PLAIN, hot="bench.rested_hot")
UNITS = {unit.model: unit for unit in (MAGVENTURE, MAGSTIM)}


class FarUnit(Protocol):
    """A simulated unit that says which of the three commands it has just heard."""

    @property
    def next_ns(self) -> int: ...

    def hear(self, data: bytes, now_ns: int) -> list[str]: ...

    def advance(self, now_ns: int) -> list[bytes]:
        """Do what is due; what it says."""


class FarMagVenture:
    def __init__(self, truth: TruthLog, now_ns: int, reply_delay_ms: float) -> None:
        self._reader = FrameReader()
        self._device = MagVentureDevice(truth, MagVentureFaults(), now_ns, reply_delay_ms=reply_delay_ms)

    @property
    def next_ns(self) -> int:
        return self._device.next_ns

    def hear(self, data: bytes, now_ns: int) -> list[str]:
        heard = []
        for body in self._reader.feed(data, now_ns):
            self._device.hear(body, now_ns)
            heard += _magventure_word(body)
        return heard

    def advance(self, now_ns: int) -> list[bytes]:
        self._device.advance(now_ns)
        return self._device.take_frames()


def _magventure_word(body: bytes) -> list[str]:
    try:
        command = decode_command(body)
    except WireError:
        return []
    match command:
        case StartTrain():
            return [START]
        case Trigger():
            return [TRIGGER]
        case SetEnabled(on=False):
            return [STOP]
    return []


class FarMagstim:
    """Its answers take their time on the wire; there is no other delay."""

    def __init__(self, truth: TruthLog, now_ns: int, model: str) -> None:
        self._device = MagstimDevice(truth, MagstimFaults(), now_ns, model=model, software="9.0", unlock=MADE_UP_UNLOCK)
        self._ear = MagstimCommandReader(self._device.dialect)

    @property
    def next_ns(self) -> int:
        return self._device.next_ns

    def hear(self, data: bytes, now_ns: int) -> list[str]:
        self._device.hear(data, now_ns)
        words = {FIRE: START, DISARM: STOP}
        return [words[command] for command in self._ear.feed(data, now_ns) if command in (FIRE, DISARM)]

    def advance(self, now_ns: int) -> list[bytes]:
        self._device.advance(now_ns)
        return self._device.take_frames(now_ns)


def far_unit(model: str, truth: TruthLog, now_ns: int, reply_delay_ms: float) -> FarUnit:
    makers: dict[str, Callable[[], FarUnit]] = {
        MAGVENTURE.model: lambda: FarMagVenture(truth, now_ns, reply_delay_ms),
        MAGSTIM.model: lambda: FarMagstim(truth, now_ns, model),
    }
    return makers[model]()
