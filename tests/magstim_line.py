"""A Magstim driver and a simulated unit on one line, in simulated time: real bytes, no waiting, every moment repeatable."""

import random
from collections.abc import Callable
from typing import TypeVar

from drivers.magstim import MagstimStimulator
from drivers.magstim_command_wire import UnlockCode
from drivers.protocols import Step
from drivers.values import (
    BurstFired,
    Disabled,
    Prepared,
    Ready,
    Secured,
    StimEvent,
    StimFault,
    StimState,
    TrainBegan,
    TrainEnded,
    TrainSettings,
)
from sim.magstim_device import MagstimDevice
from sim.magstim_faults import MagstimFaults, damaged
from sim.magstim_settings import MADE_UP_UNLOCK
from sim.truth import TruthLog

MS = 1_000_000
START_NS = 5_000_000_000_000
COIL = 60
CODE = UnlockCode(MADE_UP_UNLOCK.encode())
TRAIN = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="10", bursts=20)
SINGLE = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="1", bursts=1)
PAIR = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=2, intra_burst_interval_us=3_000, burst_hz="1", bursts=1)
BEAT_NS = 300 * MS  # how long one beat of the daemon keeps the unit armed

Kind = TypeVar("Kind", bound=StimEvent)


class RememberedTruth(TruthLog):
    """The physical pulses and charged states, in memory."""

    def __init__(self) -> None:
        super().__init__(None)
        self.pulses_ns: list[int] = []
        self.amplitudes_pct: list[int] = []
        self.charged_states: list[tuple[int, bool]] = []

    def pulse(self, mono_ns: int, amplitude_pct: int, *, enabled: bool, train: int | None) -> None:
        assert enabled, "a pulse left a unit that was not armed"
        assert train is None or train > 0
        self.pulses_ns.append(mono_ns)
        self.amplitudes_pct.append(amplitude_pct)

    def charged(self, mono_ns: int, *, enabled: bool) -> None:
        self.charged_states.append((mono_ns, enabled))


class MagstimLine:
    """`events` and `sent` keep all that happened; `within` runs the time on until something does. `daemon_beats` while it is heard."""

    def __init__(
        self,
        *,
        model: str = "plus1",
        software: str = "9.0",
        unlock: UnlockCode | None = CODE,
        told_model: str | None = None,
        told_software: int | None = None,
        spent_before_joules: float = 0.0,
        ignore_coil_switch: bool = False,
        seed: int = 0,
    ) -> None:
        self.now_ns = START_NS
        self.faults = MagstimFaults()
        self.truth = RememberedTruth()
        self.device = MagstimDevice(self.truth, self.faults, START_NS, model=model, software=software, unlock=MADE_UP_UNLOCK)
        self.driver = MagstimStimulator(
            told_model or model,
            COIL,
            max_amplitude_pct_mso=100,
            software=told_software,
            unlock=unlock,
            spent_before_joules=spent_before_joules,
            ignore_coil_switch=ignore_coil_switch,
        )
        self.daemon_beats = True
        self.events: list[StimEvent] = []
        self.sent: list[tuple[int, bytes]] = []
        self._rng = random.Random(seed)
        self._wake_ns = START_NS

    # ---- time -------------------------------------------------------------------------------------------------------

    def take(self, step: Step[StimEvent]) -> tuple[StimEvent, ...]:
        """Carry out what a call to the driver asked for."""
        self._wake_ns = step.wake_ns
        self.events += step.events
        if step.send:
            self.sent.append((self.now_ns, step.send))
            self.device.hear(damaged_on_the_way(step.send, self.faults, self._rng), self.now_ns)
        return step.events

    def step(self, limit_ns: int) -> None:
        """Go to the next moment at which anything happens, `limit_ns` at most."""
        self.now_ns = max(self.now_ns, min(self._wake_ns, self.device.next_ns, limit_ns))
        if self.daemon_beats:
            self.driver.may_keep_alive(self.now_ns + BEAT_NS)
        self.device.advance(self.now_ns)
        data = b"".join(damaged(frame, self.faults, self._rng) for frame in self.device.take_frames(self.now_ns))
        if data:
            self.take(self.driver.feed(data, self.now_ns))
        elif self.now_ns >= self._wake_ns:
            self.take(self.driver.tick(self.now_ns))

    def run(self, ms: float) -> None:
        """Let that much time pass."""
        end_ns = self.now_ns + round(ms * MS)
        while self.now_ns < end_ns:
            self.step(end_ns)

    def within(self, ms: float, happened: Callable[[], bool]) -> None:
        """Run until it has happened; fails after `ms`."""
        end_ns = self.now_ns + round(ms * MS)
        while not happened():
            assert self.now_ns < end_ns, f"did not happen within {ms} ms; last: {self.events[-5:]}"
            self.step(end_ns)

    def next(self, kind: type[Kind], ms: float = 8000) -> Kind:
        """The next event of that kind that has not happened yet."""
        seen = len(self.events)
        self.within(ms, lambda: any(isinstance(event, kind) for event in self.events[seen:]))
        return next(event for event in self.events[seen:] if isinstance(event, kind))

    def all(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    # ---- a session's steps ------------------------------------------------------------------------------------------

    def connect(self) -> Secured:
        self.take(self.driver.connected(self.now_ns))
        return self.next(Secured)

    def prepare(self, settings: TrainSettings = TRAIN) -> Prepared:
        self.take(self.driver.prepare(settings, self.now_ns))
        return self.next(Prepared, 20_000)

    def make_ready(self, settings: TrainSettings = TRAIN) -> None:
        """Connected, prepared, armed and charged."""
        self.make_ready_but_resting(settings)
        self.until(StimState.READY)

    def make_ready_but_resting(self, settings: TrainSettings) -> None:
        """Armed and charged, in whatever pause the rules of energy ask for."""
        self.connect()
        assert self.prepare(settings).mismatches == ()
        self.take(self.driver.enable(self.now_ns))
        self.next(Ready)

    def enable(self) -> None:
        self.take(self.driver.enable(self.now_ns))
        self.next(Ready)
        self.until(StimState.READY)

    def enable_again(self, settings: TrainSettings = TRAIN) -> None:
        """After a stop: prepared and armed anew."""
        assert self.prepare(settings).mismatches == ()
        self.enable()

    def until(self, state: StimState, ms: float = 8000) -> None:
        self.within(ms, lambda: self.state() is state)

    def start(self) -> None:
        self.take(self.driver.start_train(self.now_ns))
        self.next(TrainBegan, 500)

    def fire(self) -> None:
        self.start()
        self.next(TrainEnded)

    def stop(self) -> Disabled:
        events = self.take(self.driver.stop(self.now_ns))
        at_once = [event for event in events if isinstance(event, Disabled)]
        return at_once[0] if at_once else self.next(Disabled)

    # ---- what came of it --------------------------------------------------------------------------------------------

    def state(self) -> StimState:
        return self.driver.report.state

    @property
    def unasked_pulses(self) -> int:
        return sum(not event.asked for event in self.all(BurstFired))

    @property
    def fault_texts(self) -> str:
        return " | ".join(event.what for event in self.all(StimFault))


def damaged_on_the_way(data: bytes, faults: MagstimFaults, rng: random.Random) -> bytes:
    """Bytes to the unit: a bad cable loses and doubles them in both directions."""
    return damaged(data, faults, rng) if faults.drop_byte_probability or faults.duplicate_byte_probability else data
