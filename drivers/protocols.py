"""What a tracker and a stimulator can do, for whoever owns the descriptors. Sans-IO: bytes in, values and bytes out.

A driver owns no port and reads no clock. The shell feeds it bytes, ticks it at `wake_ns`, writes `send`, and reopens the
transport when asked to. Every call returns one `Step`.
"""

from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec

from drivers.values import StimEvent, StimReport, TrackerEvent, TrainSettings

Event_co = TypeVar("Event_co", covariant=True)


class LineChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done to a serial line, without delay: another speed, and before it a break of `break_ns` if that is not 0.

    A line that cannot carry a break (a pseudo terminal) gets a zero byte instead.
    """

    baud: int
    handshake: bool = False
    break_ns: int = 0


class Step(msgspec.Struct, Generic[Event_co], frozen=True, kw_only=True):
    """What follows from one call: bytes to write now, in order; events; when to tick at the latest."""

    wake_ns: int
    send: bytes = b""
    events: tuple[Event_co, ...] = ()
    reopen: str | None = None  # close the transport and open it again; says why
    line: LineChange | None = None  # never together with `send`


class Line(Protocol):
    """The way to a device: what it is called, and how it is opened."""

    @property
    def path(self) -> Path: ...

    def open(self) -> int:
        """A non-blocking descriptor with one owner. Raises Owned when someone else holds it, NotThere when there is no device."""


class Tracker(Protocol):
    """A camera that reports poses of named tools."""

    def connected(self, now_ns: int) -> Step[TrackerEvent]:
        """The transport is open (again): start the conversation from the top."""

    def disconnected(self, now_ns: int) -> Step[TrackerEvent]:
        """The transport is gone; nothing may be sent until `connected`."""

    def feed(self, data: bytes, now_ns: int) -> Step[TrackerEvent]:
        """Bytes that arrived at `now_ns`; any split of the stream gives the same values."""

    def tick(self, now_ns: int) -> Step[TrackerEvent]:
        """Time passed: polls, time-outs, retries."""

    def farewell(self, now_ns: int) -> Step[TrackerEvent]:
        """Bytes that leave the device as found (stop tracking, free handles)."""


class Stimulator(Protocol):
    """A stimulator that paces one train per start.

    `connected` sends disarm before anything else and reports `Secured` once the device confirms that it is disabled and idle.
    A call that the state does not allow returns a `StimFault` event and sends nothing.
    """

    @property
    def report(self) -> StimReport:
        """The newest report; its age is the caller's to judge."""

    @property
    def estimates(self) -> bool:
        """Whether the device tells no pulse, so that counts follow from the plan and the times."""

    @property
    def damaged(self) -> int:
        """Bytes or frames lost to damage since the port was opened: a rise during a train means that receipts may be missing."""

    @property
    def prepared(self) -> TrainSettings | None:
        """Settings read back equal since the last change of any kind; None while unknown."""

    def connected(self, now_ns: int) -> Step[StimEvent]: ...

    def disconnected(self, now_ns: int) -> Step[StimEvent]: ...

    def feed(self, data: bytes, now_ns: int) -> Step[StimEvent]: ...

    def tick(self, now_ns: int) -> Step[StimEvent]: ...

    def can(self, settings: TrainSettings) -> tuple[str, ...]:
        """Reasons why this model cannot deliver such a train; empty means it can."""

    def prepare(self, settings: TrainSettings, now_ns: int) -> Step[StimEvent]:
        """Write every parameter and read it back: a `Prepared` event follows."""

    def enable(self, now_ns: int) -> Step[StimEvent]:
        """Charge: a `Ready` event follows, or a `StimFault` after the device's own limit."""

    def least_gap_s(self, settings: TrainSettings) -> float:
        """The pause that the device needs after such a train. For settings that it `can`."""

    def may_keep_alive(self, until_ns: int) -> None:
        """The daemon was heard: until then a device that disarms itself when nobody asks it anything may be kept armed."""

    def start_is_due(self, at_ns: int) -> None:
        """A start is planned for then: no question is put to the device just before."""

    def start_train(self, now_ns: int) -> Step[StimEvent]:
        """Start the prepared train at once."""

    def start_burst(self, now_ns: int) -> Step[StimEvent]:
        """Fire one burst of the prepared train at once: host-paced trains alone. A device that cannot answers with a `StimFault`."""

    def end_train(self, now_ns: int) -> Step[StimEvent]:
        """The host asks for no further burst of this train: `TrainEnded` follows, and the device is ready again."""

    def acknowledge(self, now_ns: int) -> Step[StimEvent]:
        """A person has seen the fault: it no longer stands, provided that the device is confirmed in standby."""

    def stop(self, now_ns: int) -> Step[StimEvent]:
        """Disable now, repeat until confirmed: a `Disabled` event follows. Allowed in every state, at any time."""
