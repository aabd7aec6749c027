"""A trigger box's driver and a simulated box on one line, in simulated time: real markers, no waiting, every moment repeatable.

The bridge is only its words here: pings are answered as long as `bridge` is alive.
"""

import itertools
from collections.abc import Callable
from typing import TypeVar

from drivers.lsl_bridge_wire import LANGUAGE as BRIDGE
from drivers.lsl_bridge_wire import Ping, Pong, decode_word, encode_word
from drivers.lsl_trigger import LslTriggerStimulator
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
from sim.lsl_box import TriggerBox
from sim.lsl_faults import BoxFaults
from tests.magstim_line import RememberedTruth

MS = 1_000_000
START_NS = 5_000_000_000_000
COIL, SERIAL = 60, 7
BEAT_NS = 300 * MS
TRAIN = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="10", bursts=20)
THETA = TrainSettings(amplitude_pct_mso=45, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10)
SLOW = TrainSettings(amplitude_pct_mso=45, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="1", bursts=5)
SINGLE = TrainSettings(amplitude_pct_mso=45, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="1", bursts=1)

Kind = TypeVar("Kind", bound=StimEvent)


def some_runs() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{next(numbers):016x}"


class TruthOfBox(RememberedTruth):
    """A box's own trigger may be pressed while it is not armed: that too is a pulse."""

    def pulse(self, mono_ns: int, amplitude_pct: int, *, enabled: bool, train: int | None) -> None:
        assert enabled or train is None, "a train's pulse left a box that was not armed"
        self.pulses_ns.append(mono_ns)
        self.amplitudes_pct.append(amplitude_pct)


class BoxLine:
    """`events` and `sent` keep all that happened; `within` runs the time on until something does. `daemon_beats` while it is heard.

    `bridge` None: it is dead or hung, and what is sent stays in `stuck`.
    """

    def __init__(self, *, makes: str = "train", model: str | None = None, receipts: bool = True, follows: bool = True) -> None:
        self.now_ns = START_NS
        self.faults = BoxFaults()
        self.truth = TruthOfBox()
        self.box = TriggerBox(self.truth, self.faults, START_NS, makes=makes, serial=SERIAL, coil_type=COIL, follows=follows)
        self.driver = LslTriggerStimulator(
            model or makes,
            COIL,
            box_serial=SERIAL,
            max_amplitude_pct_mso=80,
            receipt_stream="receipts" if receipts else None,
            unconfirmed_signed_by=None if receipts else "the site's physician",
            new_run=some_runs(),
        )
        self.bridge: Pong | None = Pong(id=0, listened=True, status=True, receipts=receipts, rivals=0)
        self.daemon_beats = True
        self.stuck: list[str] = []
        self.events: list[StimEvent] = []
        self.sent: list[tuple[int, str]] = []
        self._back: list[str] = []
        self._wake_ns = START_NS

    # ---- time -------------------------------------------------------------------------------------------------------

    def take(self, step: Step[StimEvent]) -> tuple[StimEvent, ...]:
        """Carry out what a call to the driver asked for."""
        self._wake_ns = step.wake_ns
        self.events += step.events
        for line in step.send.decode("ascii").splitlines():
            if line:
                self.sent.append((self.now_ns, line))
                self.carry(line)
        return step.events

    def carry(self, line: str) -> None:
        """As the bridge does."""
        if self.bridge is None:
            self.stuck.append(line)
        elif line.startswith(BRIDGE):
            ping = decode_word(line)
            assert isinstance(ping, Ping)
            pong = Pong(
                id=ping.id,
                listened=self.bridge.listened,
                status=self.bridge.status,
                receipts=self.bridge.receipts,
                rivals=self.bridge.rivals,
            )
            self._back.append(encode_word(pong))
        else:
            self.box.hear(line, self.now_ns)

    def say(self, *lines: str) -> None:
        """Lines that come to the driver from elsewhere."""
        self._back += lines

    def back(self) -> list[str]:
        """What the bridge itself has answered since it was last asked."""
        lines, self._back = self._back, []
        return lines

    def step(self, limit_ns: int) -> None:
        """Go to the next moment at which anything happens, `limit_ns` at most."""
        if self.daemon_beats:
            self.driver.may_keep_alive(self.now_ns + BEAT_NS)
        wake_ns = self.now_ns if self._back else min(self._wake_ns, self.box.next_ns, limit_ns)
        self.now_ns = max(self.now_ns, wake_ns)
        self.box.advance(self.now_ns)
        said = [marker for _, marker in self.box.take(self.now_ns)]
        lines = [*self._back, *(said if self.bridge is not None else [])]
        self._back = []
        if lines:
            self.take(self.driver.feed("".join(f"{line}\n" for line in lines).encode("ascii"), self.now_ns))
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
        return self.next(Prepared)

    def make_ready(self, settings: TrainSettings = TRAIN) -> None:
        self.connect()
        assert self.prepare(settings).mismatches == ()
        self.enable()

    def enable(self) -> None:
        self.take(self.driver.enable(self.now_ns))
        self.next(Ready)

    def start(self) -> None:
        self.after(lambda: self.take(self.driver.start_train(self.now_ns)), TrainBegan)

    def fire(self) -> None:
        self.after(lambda: self.take(self.driver.start_train(self.now_ns)), TrainEnded)

    def burst(self) -> tuple[StimEvent, ...]:
        return self.take(self.driver.start_burst(self.now_ns))

    def stop(self) -> Disabled:
        return self.after(lambda: self.take(self.driver.stop(self.now_ns)), Disabled)

    def after(self, act: Callable[[], object], kind: type[Kind]) -> Kind:
        """The first event of that kind that the act brings about, at once or later."""
        seen = len(self.events)
        act()
        self.within(8000, lambda: any(isinstance(event, kind) for event in self.events[seen:]))
        return next(event for event in self.events[seen:] if isinstance(event, kind))

    def state_after(self, ms: float) -> StimState:
        self.run(ms)
        return self.driver.report.state

    # ---- what came of it --------------------------------------------------------------------------------------------

    @property
    def pulses(self) -> int:
        return len(self.truth.pulses_ns)

    @property
    def asked(self) -> int:
        return sum(event.asked for event in self.all(BurstFired))

    @property
    def unasked(self) -> int:
        return sum(not event.asked for event in self.all(BurstFired))

    @property
    def fault_texts(self) -> str:
        return " | ".join(event.what for event in self.all(StimFault))

    def verbs(self) -> list[str]:
        """Of the commands that went to the box, in order."""
        return [line.split(" ")[1] for _, line in self.sent if not line.startswith(BRIDGE)]
