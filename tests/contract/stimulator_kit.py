"""A stimulator driver and a simulated unit on one line in simulated time: real bytes, no waiting, every moment repeatable.

A family comes in with one adapter: a `Unit`, and a `Model` for each thing of it that the contract is to hold for. What a model
cannot show it says there, with the reason.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import pytest
from msgspec.structs import replace

from daemon.firing import SETTLE_NS
from daemon.pacing import TrainTally, burst_period_ns, bursts_given
from drivers.protocols import Step, Stimulator
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
from sim.truth import TruthLog

MS = 1_000_000
START_NS = 5_000_000_000_000
LONG_MS = 20_000  # relays, capacitors and the rules of energy take their time

Kind = TypeVar("Kind", bound=StimEvent)


class Trouble(enum.StrEnum):
    """What goes wrong with a unit, its coil, its line or its host, what somebody does at it; and what not every unit can do."""

    SILENT = "says nothing"
    DEAF = "hears nothing"
    WRONG_CHECKSUM = "wrong checksums"
    LOST_BYTES = "loses bytes"
    DOUBLED_BYTES = "doubles bytes"
    SLOW = "answers after three seconds"
    STUCK_ARMED = "obeys no disable"
    IGNORES_STOP = "obeys a disable late"
    NEVER_READY = "never gets ready"
    START_IGNORED = "ignores the start"
    SETTING_REFUSED = "takes no setting"
    SETTING_DIFFERS = "another setting than was written"
    WARMING = "coil warms up"
    BROKEN_SENSOR = "broken sensor"
    COIL_REMOVED = "coil removed"
    PANEL_ENABLE = "enable pressed"
    PANEL_DISABLE = "disable pressed"
    PANEL_DIAL = "dial turned"
    PANEL_FIRE = "fired by hand"
    POWER_CYCLE = "switched off and on"
    LEFT_ENABLED = "left enabled by a host that died"
    DAEMON_SILENT = "the daemon is not heard"
    PACED_BY_HOST = "bursts asked for one by one"
    LATE_ANSWER = "an answer that waited in the port of a host that hung"
    MID_TRAIN = "a train with a middle"


@dataclass(frozen=True, slots=True)
class Cannot:
    """A model cannot show this, and why."""

    why: str


class Truth(TruthLog):
    """The physical pulses and charged states, in memory."""

    def __init__(self) -> None:
        super().__init__(None)
        self.pulses_ns: list[int] = []
        self.charged_states: list[tuple[int, bool]] = []

    def pulse(self, mono_ns: int, amplitude_pct: int, *, enabled: bool, train: int | None) -> None:
        assert enabled, "a pulse left a unit that was not enabled"
        assert 0 <= amplitude_pct <= 100
        assert train is None or train > 0
        self.pulses_ns.append(mono_ns)

    def charged(self, mono_ns: int, *, enabled: bool) -> None:
        self.charged_states.append((mono_ns, enabled))


class Unit(Protocol):
    """A simulated unit, and a driver for it that knows nothing yet. Times are those of the line."""

    @property
    def driver(self) -> Stimulator: ...

    @property
    def truth(self) -> Truth: ...

    @property
    def next_ns(self) -> int:
        """When it has something to do or to say at the earliest."""

    @property
    def enabled(self) -> bool: ...

    def hear(self, data: bytes, now_ns: int) -> None:
        """Bytes from the host; any split of them."""

    def say(self, now_ns: int) -> bytes:
        """Do all that is due; what the unit then has said, as its cable delivers it."""

    def restart_host(self) -> None:
        """A new driver, which knows nothing; the unit is as it was left."""

    def keep_alive(self, now_ns: int) -> None:
        """The daemon was heard by the driver's process."""

    def ignore_stop(self, ms: int) -> None:
        """From the first disable heard from now on."""

    def heal(self) -> None:
        """No fault of the unit or its line stands any more; what hands did stays."""


Act = Callable[[Any, int], None]  # the adapter's own unit, and now


@dataclass(frozen=True, slots=True, repr=False)
class Model:
    """One model of a family. `alarm_ms`: from a stop that is not confirmed to the alarm; `retry_ms`: between its tries."""

    name: str
    make: Callable[[int], Unit]  # of a seed, for a cable that loses bytes
    settings: TrainSettings  # a train that it can deliver, two seconds long where it paces trains
    impossible: TrainSettings  # one that it cannot
    disarm_bytes: bytes  # the first bytes on a new line
    alarm_ms: int
    retry_ms: int
    tells_pulses: bool  # a receipt for each; without any, one fired by hand may leave no trace if the unit is off before it is asked
    forgets_host_ms: int | None  # it disarms itself when it was asked nothing for so long; None: it never does
    troubles: Mapping[Trouble, Act | Cannot]
    stride: int = 1  # of the bytes at which a stop is tried: a language of long lines has thousands that are alike

    def __repr__(self) -> str:
        return self.name

    def stronger(self, pct: int) -> TrainSettings:
        return replace(self.settings, amplitude_pct_mso=pct)

    def cannot(self, *needed: Trouble) -> str | None:
        """Why a test that needs all of these does not hold for this model; None: it does."""
        reasons = [shown.why for need in needed if isinstance(shown := self.troubles[need], Cannot)]
        return "; ".join(reasons) or None


@dataclass(slots=True)
class Account:
    """One train of ours, as whoever has to count its pulses sees it."""

    started_ns: int
    damaged_before: int
    bursts: int  # asked for, at once or one by one
    events_ns: list[int] = field(default_factory=list)
    stop_asked_ns: int | None = None
    ended_ns: int | None = None
    link_lost: bool = False


@dataclass(slots=True)
class StopAt:
    """A stop asked for after so many bytes have come in, or gone out, since the line was new."""

    received: int | None = None
    sent: int | None = None


class Line:
    """`events` and `sent` keep all that happened; `within` runs the time on until something does."""

    def __init__(self, model: Model, *, seed: int = 0, stop_at: StopAt | None = None) -> None:
        self.now_ns = START_NS
        self.model = model
        self.unit = model.make(seed)
        self.driver = self.unit.driver
        self.events: list[StimEvent] = []
        self.sent: list[tuple[int, bytes]] = []
        self.received_bytes = self.sent_bytes = 0
        self.stop_asked_ns: int | None = None
        self._sent_before_stop = 0
        self.daemon_beats = True
        self.host_turns = True  # False: dead or hung
        self._in_the_port = b""
        self._stop_at = stop_at or StopAt()
        self._accounts: list[Account] = []
        self._unasked = 0
        self._wake_ns = START_NS

    # ---- time -------------------------------------------------------------------------------------------------------

    def take(self, step: Step[StimEvent]) -> tuple[StimEvent, ...]:
        """Carry out what a call to the driver asked for."""
        self._wake_ns = step.wake_ns
        self.events += step.events
        for event in step.events:
            self._enter(event)
        if step.send:
            self.sent.append((self.now_ns, step.send))
            self._leave(step.send)
        return step.events

    def step(self, limit_ns: int) -> None:
        """Go to the next moment at which anything happens, `limit_ns` at most."""
        wake_ns = self._wake_ns if self.host_turns else limit_ns
        self.now_ns = max(self.now_ns, min(wake_ns, self.unit.next_ns, limit_ns))
        self._in_the_port += self.unit.say(self.now_ns)
        if not self.host_turns:
            return
        if self.daemon_beats:
            self.unit.keep_alive(self.now_ns)
        data, self._in_the_port = self._in_the_port, b""
        if data:
            self._arrive(data)
        elif self.now_ns >= self._wake_ns:
            self.take(self.driver.tick(self.now_ns))

    def _arrive(self, data: bytes) -> None:
        at = self._place(self._stop_at.received, self.received_bytes, len(data))
        self.received_bytes += len(data)
        if at is None:
            self.take(self.driver.feed(data, self.now_ns))
            return
        self.take(self.driver.feed(data[:at], self.now_ns))
        self.ask_stop()
        self.take(self.driver.feed(data[at:], self.now_ns))

    def _leave(self, data: bytes) -> None:
        """A frame begun is finished, whatever is asked meanwhile."""
        at = self._place(self._stop_at.sent, self.sent_bytes, len(data))
        self.sent_bytes += len(data)
        if at is None:
            self.unit.hear(data, self.now_ns)
            return
        self.unit.hear(data[:at], self.now_ns)
        self._note_stop()
        step = self.driver.stop(self.now_ns)
        self.unit.hear(data[at:], self.now_ns)
        self.take(step)

    @staticmethod
    def _place(wanted: int | None, before: int, count: int) -> int | None:
        return None if wanted is None or not before < wanted <= before + count else wanted - before

    def run(self, ms: float) -> None:
        """Let that much time pass."""
        end_ns = self.now_ns + round(ms * MS)
        while self.now_ns < end_ns:
            self.step(end_ns)

    def within(self, ms: float, happened: Callable[[], bool]) -> None:
        """Run until it has happened; fails after `ms`."""
        end_ns = self.now_ns + round(ms * MS)
        while not happened():
            if self.now_ns >= end_ns:
                pytest.fail(f"did not happen within {ms} ms; last: {self.events[-5:]}")
            self.step(end_ns)

    def next(self, kind: type[Kind], ms: float = LONG_MS) -> Kind:
        """The next event of that kind that has not happened yet."""
        seen = len(self.events)
        self.within(ms, lambda: any(isinstance(event, kind) for event in self.events[seen:]))
        return next(event for event in self.events[seen:] if isinstance(event, kind))

    def all(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    # ---- troubles ---------------------------------------------------------------------------------------------------

    def strike(self, trouble: Trouble) -> None:
        act = self.model.troubles[trouble]
        if isinstance(act, Cannot):
            raise LookupError(act.why)
        act(self.unit, self.now_ns)

    def heal(self) -> None:
        self.unit.heal()

    def restart_host(self) -> None:
        """Another process takes the line over: what waited in the port is gone with the old one."""
        self.unit.restart_host()
        self.driver, self.host_turns, self._in_the_port = self.unit.driver, True, b""

    def hang(self, ms: float) -> None:
        """The host stands still; what the unit says meanwhile waits in the port."""
        self.host_turns = False
        self.run(ms)
        self.host_turns = True

    def mute_daemon(self) -> None:
        self.daemon_beats = False

    def lose(self) -> tuple[StimEvent, ...]:
        """The transport is gone."""
        for account in self._accounts:
            account.link_lost = True
        return self.take(self.driver.disconnected(self.now_ns))

    # ---- a session's steps ------------------------------------------------------------------------------------------

    def connect(self) -> Secured:
        if self.daemon_beats:
            self.unit.keep_alive(self.now_ns)
        self.take(self.driver.connected(self.now_ns))
        return self.next(Secured)

    def prepare(self) -> Prepared:
        self.take(self.driver.prepare(self.model.settings, self.now_ns))
        return self.next(Prepared)

    def enable(self) -> None:
        self.take(self.driver.enable(self.now_ns))
        self.next(Ready)
        self.within(LONG_MS, lambda: self.state is StimState.READY)

    def make_ready(self) -> None:
        """Connected, prepared, charged, and allowed to start."""
        self.connect()
        assert self.prepare().mismatches == ()
        self.enable()

    def start(self) -> None:
        self.ask_start()
        self.next(TrainBegan, 500)

    def fire(self, share: float = 0.25) -> None:
        """Ready, started, and so much of the train given."""
        self.make_ready()
        self.start()
        self.within(LONG_MS, lambda: len(self.pulses_ns) >= share * self.model.settings.pulses)

    def stop(self) -> Disabled:
        """The first answer to a stop, confirmed or not."""
        seen = len(self.events)
        self.ask_stop()
        self.within(LONG_MS, lambda: any(isinstance(event, Disabled) for event in self.events[seen:]))
        return next(event for event in self.events[seen:] if isinstance(event, Disabled))

    def driver_says(self, act: str) -> tuple[StimEvent, ...]:
        """What comes at once of a call that takes nothing but the time."""
        return self.take(getattr(self.driver, act)(self.now_ns))

    def ask_start(self) -> tuple[StimEvent, ...]:
        damaged = self.driver.damaged
        step = self.driver.start_train(self.now_ns)
        if not any(isinstance(event, StimFault) for event in step.events):
            self._accounts.append(Account(started_ns=self.now_ns, damaged_before=damaged, bursts=self.model.settings.bursts))
        return self.take(step)

    def ask_burst(self) -> tuple[StimEvent, ...]:
        """The first of a train or the next."""
        damaged = self.driver.damaged
        step = self.driver.start_burst(self.now_ns)
        if any(isinstance(event, StimFault) for event in step.events):
            return self.take(step)
        if not self._accounts or self._accounts[-1].ended_ns is not None:
            self._accounts.append(Account(started_ns=self.now_ns, damaged_before=damaged, bursts=0))
        self._accounts[-1].bursts += 1
        return self.take(step)

    def ask_stop(self) -> tuple[StimEvent, ...]:
        self._note_stop()
        return self.take(self.driver.stop(self.now_ns))

    def _note_stop(self) -> None:
        self.stop_asked_ns, self._sent_before_stop = self.now_ns, len(self.sent)
        self._break()

    # ---- what came of it --------------------------------------------------------------------------------------------

    @property
    def state(self) -> StimState:
        return self.driver.report.state

    @property
    def pulses_ns(self) -> list[int]:
        return self.unit.truth.pulses_ns

    @property
    def fault_texts(self) -> str:
        return " | ".join(event.what for event in self.all(StimFault))

    @property
    def sent_since_stop(self) -> bytes:
        return b"".join(data for _, data in self.sent[self._sent_before_stop :])

    def counted_pulses(self) -> int:
        """As the chair counts them: by the driver's events, its count of damage, and the plan where those leave it open."""
        per_burst = self.model.settings.pulses_per_burst
        return per_burst * (self._unasked + sum(self._bursts(account) for account in self._accounts))

    @property
    def countable_pulses_ns(self) -> list[int]:
        """Those that anybody but the unit can know of: all, or where it tells of none those of our own trains."""
        if self.model.tells_pulses:
            return self.pulses_ns
        spans = [(account.started_ns, account.ended_ns or self.now_ns) for account in self._accounts]
        return [pulse_ns for pulse_ns in self.pulses_ns if any(since_ns <= pulse_ns <= until_ns for since_ns, until_ns in spans)]

    def _bursts(self, account: Account) -> int:
        tally = TrainTally(
            bursts_planned=account.bursts,
            started_ns=account.started_ns,
            events_ns=tuple(account.events_ns),
            stop_asked_ns=account.stop_asked_ns,
            ended_ns=account.ended_ns,
            link_sound=not account.link_lost and self.driver.damaged == account.damaged_before,
        )
        return bursts_given(tally, burst_period_ns(self.model.settings.burst_hz))[0]

    def _enter(self, event: StimEvent) -> None:
        account = self._accounts[-1] if self._accounts else None
        match event:
            case BurstFired(at_ns=at_ns):
                if account is not None and (account.ended_ns is None or at_ns < account.ended_ns + SETTLE_NS):
                    account.events_ns.append(at_ns)
                else:
                    self._unasked += 1
            case TrainEnded(at_ns=at_ns) | Secured(at_ns=at_ns) | Disabled(confirmed=True, at_ns=at_ns):
                if account is not None and account.ended_ns is None:
                    account.ended_ns = at_ns
            case StimFault():
                self._break()

    def _break(self) -> None:
        for account in self._accounts:
            if account.ended_ns is None and account.stop_asked_ns is None:
                account.stop_asked_ns = self.now_ns


def confirmed(line: Line) -> list[Disabled]:
    return [event for event in line.all(Disabled) if event.confirmed]


def assert_off_and_counted(line: Line) -> None:
    """The unit confirmed that it is off, no pulse came after that, and the account has every one."""
    proven = confirmed(line)
    assert proven, line.events[-8:]
    assert not line.unit.enabled
    assert all(pulse_ns <= proven[-1].at_ns for pulse_ns in line.pulses_ns)
    assert line.counted_pulses() >= len(line.pulses_ns)


def assert_made_safe(line: Line) -> None:
    """Off and counted, a fault that stands with its reason, and nothing prepared any more."""
    assert_off_and_counted(line)
    assert line.state is StimState.FAULT
    assert line.driver.report.fault
    assert line.fault_texts
    assert line.driver.prepared is None
