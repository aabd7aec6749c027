"""What is told as markers of LSL: each event with its own moment on the host's monotonic clock. Pure; no patient's name, no target.

How the markers leave is `lsl`'s.
"""

import msgspec

from daemon import ipc
from daemon.messages import Step
from daemon.purpose import Purpose
from daemon.session_words import Session
from drivers.values import TrainSettings


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """`seq` rises by one: a jump means markers that were lost. `mono_ns` is the event's moment, as is the marker's own time stamp."""

    seq: int
    mono_ns: int
    session_id: str | None


class Pulse(Event, frozen=True, kw_only=True, tag="pulse.v1"):
    """One pulse that the device reported; those of a burst follow its report at the burst's own interval. Numbers within the train."""

    purpose: Purpose
    grant_no: int
    train: int
    burst: int
    pulse: int
    amplitude_pct_mso: int


class TrainStart(Event, frozen=True, kw_only=True, tag="train_start.v1"):
    """The start was sent to the device."""

    purpose: Purpose
    grant_no: int
    train: int


class TrainEnd(Event, frozen=True, kw_only=True, tag="train_end.v1"):
    """`pulses` count for the patient; without `confirmed` some of them are estimated, and those have no marker of their own."""

    purpose: Purpose
    grant_no: int
    train: int
    pulses: int
    confirmed: bool
    broken: bool
    why: tuple[str, ...]


class Unasked(Event, frozen=True, kw_only=True, tag="unasked.v1"):
    """The device fired without a grant; `pulses_at_most` count."""

    pulses_at_most: int


class StepChange(Event, frozen=True, kw_only=True, tag="step.v1"):
    """The session's step changed."""

    step: Step
    before: Step
    trains_done: int
    pulses: int
    held_why: tuple[str, ...]


class StimulatorChange(Event, frozen=True, kw_only=True, tag="stimulator.v1"):
    """The stimulator's reported state changed."""

    state: str


AnyEvent = Pulse | TrainStart | TrainEnd | Unasked | StepChange | StimulatorChange


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Whose train it is that the hot process speaks of. `settings`: of the train that is granted; None where none is."""

    session_id: str | None
    purpose: Purpose
    settings: TrainSettings | None


class EventMaker:
    """Turns what happens into events, in order, numbered."""

    def __init__(self) -> None:
        self._seq = 0
        self._step: Step | None = None
        self._stim_state: str | None = None

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def of_packet(self, packet: ipc.FromHotOrder, context: Context) -> tuple[AnyEvent, ...]:
        """A fact from the hot process."""
        match packet:
            case ipc.TrainStarted(grant_no=grant_no, train=train, at_ns=at_ns):
                start = TrainStart(
                    seq=self._next(),
                    mono_ns=at_ns,
                    session_id=context.session_id,
                    purpose=context.purpose,
                    grant_no=grant_no,
                    train=train,
                )
                return (start,)
            case ipc.Receipt():
                return (*self._pulses(packet, context), *self._end(packet, context))
            case ipc.Ungranted(pulses=pulses, at_ns=at_ns):
                return (Unasked(seq=self._next(), mono_ns=at_ns, session_id=context.session_id, pulses_at_most=pulses),)
            case _:
                return ()

    def _pulses(self, receipt: ipc.Receipt, context: Context) -> tuple[Pulse, ...]:
        settings = context.settings
        if settings is None:
            return ()
        return tuple(
            Pulse(
                seq=self._next(),
                mono_ns=burst.at_ns + pulse * settings.intra_burst_interval_us * 1000,
                session_id=context.session_id,
                purpose=context.purpose,
                grant_no=receipt.grant_no,
                train=receipt.train,
                burst=number,
                pulse=pulse + 1,
                amplitude_pct_mso=settings.amplitude_pct_mso,
            )
            for number, burst in enumerate(receipt.bursts, 1)
            for pulse in range(settings.pulses_per_burst)
        )

    def _end(self, receipt: ipc.Receipt, context: Context) -> tuple[TrainEnd, ...]:
        """A grant that was never begun gave nothing, and is no train."""
        if receipt.last_ns is None:
            return ()
        end = TrainEnd(
            seq=self._next(),
            mono_ns=receipt.last_ns,
            session_id=context.session_id,
            purpose=context.purpose,
            grant_no=receipt.grant_no,
            train=receipt.train,
            pulses=receipt.pulses,
            confirmed=receipt.confirmed,
            broken=receipt.broken,
            why=receipt.why,
        )
        return (end,)

    def of_session(self, session: Session, now_ns: int) -> tuple[AnyEvent, ...]:
        before, self._step = self._step, session.step
        if before is None or before is session.step:
            return ()
        change = StepChange(
            seq=self._next(),
            mono_ns=now_ns,
            session_id=session.session_id,
            step=session.step,
            before=before,
            trains_done=session.trains_done,
            pulses=session.pulses,
            held_why=session.held_why,
        )
        return (change,)

    def of_stimulator(self, state: str, session_id: str | None, now_ns: int) -> tuple[AnyEvent, ...]:
        if state == self._stim_state:
            return ()
        self._stim_state = state
        return (StimulatorChange(seq=self._next(), mono_ns=now_ns, session_id=session_id, state=state),)
