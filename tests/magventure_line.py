"""A MagVenture driver and a simulated unit on one line, in simulated time: real bytes, no waiting, every moment repeatable."""

import random
from collections.abc import Callable
from typing import TypeVar

from drivers.magventure import MagVentureStimulator
from drivers.magventure_frame_wire import FrameReader
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
from sim.magventure_device import MagVentureDevice
from sim.magventure_faults import MagVentureFaults, damaged
from sim.truth import TruthLog

MS = 1_000_000
START_NS = 5_000_000_000_000
THETA = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10)
COIL = 60

Kind = TypeVar("Kind", bound=StimEvent)


class RememberedTruth(TruthLog):
    """The physical pulses and charged states, in memory."""

    def __init__(self) -> None:
        super().__init__(None)
        self.pulses_ns: list[int] = []
        self.charged_states: list[tuple[int, bool]] = []

    def pulse(self, mono_ns: int, amplitude_pct: int, *, enabled: bool, train: int | None) -> None:
        assert enabled, "a pulse left a device that was not enabled"
        assert 0 <= amplitude_pct <= 100
        assert train is None or train > 0
        self.pulses_ns.append(mono_ns)

    def charged(self, mono_ns: int, *, enabled: bool) -> None:
        self.charged_states.append((mono_ns, enabled))


class MagVentureLine:
    """`events` and `sent` keep all that happened; `within` runs the time on until something does."""

    def __init__(
        self,
        *,
        model: str = "x100-option",
        reply_delay_ms: float = 20,
        events_per_burst: int = 1,
        told_events_per_burst: int | None = None,
        seed: int = 0,
    ) -> None:
        self.now_ns = START_NS
        self.faults = MagVentureFaults()
        self.truth = RememberedTruth()
        self.device = MagVentureDevice(
            self.truth, self.faults, START_NS, model=model, reply_delay_ms=reply_delay_ms, events_per_burst=events_per_burst
        )
        self.driver = MagVentureStimulator(
            model,
            COIL,
            events_per_burst=events_per_burst if told_events_per_burst is None else told_events_per_burst,
            max_amplitude_pct_mso=80,
        )
        self.events: list[StimEvent] = []
        self.sent: list[tuple[int, bytes]] = []
        self._rng = random.Random(seed)
        self._hearing = FrameReader()
        self._wake_ns = START_NS

    # ---- time -------------------------------------------------------------------------------------------------------

    def take(self, step: Step[StimEvent]) -> tuple[StimEvent, ...]:
        """Carry out what a call to the driver asked for."""
        self._wake_ns = step.wake_ns
        self.events += step.events
        if step.send:
            self.sent.append((self.now_ns, step.send))
            for body in self._hearing.feed(step.send, self.now_ns):
                self.device.hear(body, self.now_ns)
        return step.events

    def step(self, limit_ns: int) -> None:
        """Go to the next moment at which anything happens, `limit_ns` at most."""
        self.now_ns = max(self.now_ns, min(self._wake_ns, self.device.next_ns, limit_ns))
        self.device.advance(self.now_ns)
        data = b"".join(damaged(frame, self.faults, self._rng) for frame in self.device.take_frames())
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

    def next(self, kind: type[Kind], ms: float = 5000) -> Kind:
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

    def prepare(self, settings: TrainSettings = THETA) -> Prepared:
        self.take(self.driver.prepare(settings, self.now_ns))
        return self.next(Prepared, 20_000)

    def make_ready(self, settings: TrainSettings = THETA) -> None:
        """Connected, prepared, enabled."""
        self.connect()
        assert self.prepare(settings).mismatches == ()
        self.take(self.driver.enable(self.now_ns))
        self.next(Ready)

    def start(self) -> None:
        self.take(self.driver.start_train(self.now_ns))
        self.next(TrainBegan, 500)

    def burst(self) -> None:
        """One trigger, and what comes of it until it is confirmed."""
        self.take(self.driver.start_burst(self.now_ns))
        self.next(BurstFired, 300)

    def fire_bursts(self, count: int, every_ms: float = 200) -> None:
        """A train paced from here, the last burst's interval included."""
        for _ in range(count):
            asked_ns = self.now_ns
            self.burst()
            self.run(every_ms - (self.now_ns - asked_ns) / MS)

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
    def asked_bursts(self) -> int:
        return sum(event.asked for event in self.all(BurstFired))

    @property
    def fault_texts(self) -> str:
        return " | ".join(event.what for event in self.all(StimFault))
