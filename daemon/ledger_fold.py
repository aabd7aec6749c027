"""Folds a patient's rows into sessions, trains and pulses, and states the rules for the next train.

Pure. It can count too much after a crash, never too little: what has no final receipt counts in full, of two receipts the larger counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from daemon.day import Segment
from daemon.ledger import (
    Body,
    Closed,
    External,
    ExternalWithdrawn,
    Intent,
    IntentMade,
    Moment,
    OpenRequest,
    Receipt,
    ReceiptTaken,
    Reconciled,
    Row,
    SessionClosed,
    SessionOpened,
    Standing,
    UngrantedSeen,
)
from daemon.purpose import Purpose


class Basis(StrEnum):
    """What a train's count rests on."""

    RECEIPT = "receipt"
    INTENT_IN_FULL = "intent_in_full"
    RECONCILED = "reconciled"
    RECEIPT_WITHOUT_INTENT = "receipt_without_intent"


@dataclass(frozen=True, slots=True)
class Pulses:
    """Some pulses and when: the first at the earliest, the last at the latest. `last_is_bound`: nobody saw the last one."""

    count: int
    first_utc_us: int
    last_utc_us: int
    last_is_bound: bool
    last_mono_ns: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class SeenReceipt:
    receipt: Receipt
    moment: Moment


@dataclass(frozen=True)  # no slots: what is worked out once is kept
class Train:
    """One grant of a session and all that was said about it; `intent` is None for a receipt that nobody asked for."""

    run_id: str
    grant_no: int
    moment: Moment
    intent: Intent | None
    receipts: tuple[SeenReceipt, ...] = ()
    is_settled: bool = False
    reconciled_pulses: int | None = None

    def with_receipt(self, seen: SeenReceipt, *, settles: bool) -> "Train":
        """Written out, for a ledger has hundreds of thousands of them."""
        return Train(
            run_id=self.run_id,
            grant_no=self.grant_no,
            moment=self.moment,
            intent=self.intent,
            receipts=(*self.receipts, seen),
            is_settled=self.is_settled or settles,
            reconciled_pulses=self.reconciled_pulses,
        )

    @cached_property
    def said_pulses(self) -> int:
        """The most that any receipt said."""
        return max((seen.receipt.pulses for seen in self.receipts), default=0)

    @property
    def basis(self) -> Basis:
        if self.intent is None:
            return Basis.RECEIPT_WITHOUT_INTENT
        if self.reconciled_pulses is not None:
            return Basis.RECONCILED
        return Basis.RECEIPT if self.is_settled else Basis.INTENT_IN_FULL

    @property
    def counted_pulses(self) -> int:
        if self.reconciled_pulses is not None:
            return max(self.reconciled_pulses, self.said_pulses)
        if self.intent is None or self.is_settled:
            return self.said_pulses
        return max(self.intent.pulses, self.said_pulses)

    @cached_property
    def pulses(self) -> Pulses | None:
        """When the counted pulses were, at the widest; None if there are none."""
        if self.counted_pulses == 0:
            return None
        spans = [span for seen in self.receipts if (span := self._receipt_span(seen)) is not None]
        if self.basis is not Basis.RECEIPT:
            spans.append(self._widest_span())
        if len(spans) == 1 and spans[0].count == self.counted_pulses:
            return spans[0]
        last = max(spans, key=lambda span: span.last_utc_us)
        return replace(last, count=self.counted_pulses, first_utc_us=min(span.first_utc_us for span in spans))

    def _receipt_span(self, seen: SeenReceipt) -> Pulses | None:
        """As the receipt has it; without believable times, as wide as the grant allowed."""
        receipt = seen.receipt
        if receipt.pulses == 0:
            return None
        first_ns, last_ns = receipt.first_mono_ns, receipt.last_mono_ns
        too_early = self.intent is not None and last_ns is not None and last_ns < self.intent.not_before_ns
        if first_ns is None or last_ns is None or too_early:
            return self._widest_span()
        clocks = [self.moment, seen.moment] if seen.moment.boot_id == self.moment.boot_id else [self.moment]
        return Pulses(
            count=receipt.pulses,
            first_utc_us=min(clock.utc_us_at(first_ns) for clock in clocks),
            last_utc_us=max(clock.utc_us_at(last_ns) for clock in clocks),
            last_is_bound=False,
            last_mono_ns=last_ns,
            boot_id=self.moment.boot_id,
        )

    def _widest_span(self) -> Pulses:
        """From the grant's first moment to the last pulse of a train begun at its expiry."""
        if self.intent is None:
            return _at(self.moment, self.said_pulses, None)
        last_ns = self.intent.expires_ns + self.intent.length_ns
        return Pulses(
            count=self.counted_pulses,
            first_utc_us=self.moment.utc_us_at(self.intent.not_before_ns),
            last_utc_us=self.moment.utc_us_at(last_ns),
            last_is_bound=True,
            last_mono_ns=last_ns,
            boot_id=self.moment.boot_id,
        )


@dataclass(frozen=True, slots=True)
class Stray:
    """Pulses that the device gave without a grant."""

    seq: int
    how: str
    mono_ns: int | None
    pulses: Pulses


@dataclass(frozen=True)  # no slots: what is worked out once is kept
class Session:
    """One reservation and what became of it."""

    session_id: str
    opened: SessionOpened
    moment: Moment
    trains: tuple[Train, ...] = ()
    strays: tuple[Stray, ...] = ()
    closed: SessionClosed | None = None
    closed_utc_us: int | None = None

    def with_trains(self, trains: tuple[Train, ...]) -> "Session":
        """Written out, for a ledger has hundreds of thousands of them."""
        return Session(
            session_id=self.session_id,
            opened=self.opened,
            moment=self.moment,
            trains=trains,
            strays=self.strays,
            closed=self.closed,
            closed_utc_us=self.closed_utc_us,
        )

    @property
    def request(self) -> OpenRequest:
        return self.opened.request

    @property
    def current_run(self) -> str | None:
        """The hot process that was last granted a train."""
        return next((train.run_id for train in reversed(self.trains) if train.intent is not None), None)

    @cached_property
    def counted_pulses(self) -> int:
        return sum(part.count for part in self.parts)

    @property
    def open_trains(self) -> tuple[Train, ...]:
        return tuple(train for train in self.trains if train.basis is Basis.INTENT_IN_FULL)

    def train(self, run_id: str, grant_no: int) -> Train | None:
        """Looked for from the last one back: that is nearly always the one that is meant."""
        return next((train for train in reversed(self.trains) if train.grant_no == grant_no and train.run_id == run_id), None)

    @cached_property
    def parts(self) -> tuple[Pulses, ...]:
        trains = tuple(train.pulses for train in self.trains if train.pulses is not None)
        return trains + tuple(stray.pulses for stray in self.strays)

    def last(self) -> Pulses | None:
        """The part with the session's last pulse."""
        return max(self.parts, key=lambda part: part.last_utc_us, default=None)

    @cached_property
    def segment(self) -> Segment | None:
        """The pulses given so far; None if there are none."""
        return _segment(self.session_id, self.parts, self.request.purpose) if self.parts else None

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """What the session has given so far, as the day counts it.

        In a search for the motor threshold only what was asked for counts as such: all else the device gave counts as treatment.
        """
        if self.request.purpose is Purpose.TREATMENT:
            return () if self.segment is None else (self.segment,)
        asked, unasked = _asked_and_not(self)
        searched = () if not asked else (_segment(self.session_id, asked, Purpose.MT),)
        return searched + (() if not unasked else (_segment(f"ungranted-{self.session_id}", unasked),))

    def reserved_segment(self, now_utc_us: int) -> Segment:
        """The whole reservation, as whoever does not run this session has to see it: any pulse may fall until now."""
        given = self.segment
        return Segment(
            session_id=self.session_id,
            commanded=max(self.request.planned_pulses, self.counted_pulses),
            acknowledged=None,
            first_pulse_utc_us=self.moment.utc_us if given is None else given.first_pulse_utc_us,
            last_pulse_utc_us=now_utc_us if given is None else max(now_utc_us, given.last_pulse_utc_us),
            last_pulse_is_bound=True,
            purpose=self.request.purpose,
        )

    def as_closed(self, closed: SessionClosed) -> Closed:
        last = self.last()
        return Closed(
            session_id=self.session_id,
            patient=self.request.patient,
            state=closed.state,
            counted_pulses=self.counted_pulses,
            trains_in_full=len(self.open_trains),
            last_pulse_utc_us=None if last is None else last.last_utc_us,
        )


@dataclass(frozen=True, slots=True)
class ExternalSession:
    """A session given elsewhere. `entry`: the number of its row."""

    entry: int
    patient: str
    entered: External

    @property
    def segment(self) -> Segment:
        """One session of treatment. Nobody here saw its pulses, so that its time proves nothing about the clock."""
        return Segment(
            session_id=f"external-{self.entry}",
            commanded=self.entered.pulses,
            acknowledged=self.entered.pulses,
            first_pulse_utc_us=self.entered.first_pulse_utc_us,
            last_pulse_utc_us=self.entered.last_pulse_utc_us,
            last_pulse_is_bound=True,
        )


@dataclass(frozen=True, slots=True)
class Doses:
    """All that the folded rows say: sessions by id in the order of their opening, and pulses that no open session holds.

    `summed`: closed sessions of which nothing but the sum in their closing row was read.
    """

    sessions: Mapping[str, Session] = field(default_factory=dict)
    strays: tuple[Stray, ...] = ()
    summed: Mapping[str, tuple[Segment, ...]] = field(default_factory=dict)
    externals: tuple[ExternalSession, ...] = ()

    @property
    def open_sessions(self) -> tuple[Session, ...]:
        return tuple(session for session in self.sessions.values() if session.closed is None)

    def segments(self, now_utc_us: int, running: str | None = None) -> tuple[Segment, ...]:
        """What counts for the day. The session `running` counts what it gave; any other open one counts its whole reservation."""
        parts = [part for given in self.summed.values() for part in given]
        for session in self.sessions.values():
            is_own = session.closed is not None or session.session_id == running
            parts += session.segments if is_own else (session.reserved_segment(now_utc_us),)
        parts += [_segment(f"ungranted-{stray.seq}", (stray.pulses,)) for stray in self.strays]
        parts += [external.segment for external in self.externals]
        return tuple(parts)


def fold(doses: Doses, rows: Iterable[Row]) -> Doses:
    """`doses` with the rows that follow. Raises LedgerDamaged when a row cannot be understood.

    Trains of a session that was only summed up cannot be added to: `needs_whole_session` tells such rows.
    """
    sessions, strays, externals = dict(doses.sessions), list(doses.strays), doses.externals
    for row in rows:
        body = row.content()
        session = sessions.get(row.session_id) if row.session_id is not None else None
        if isinstance(body, SessionOpened) and row.session_id is not None:
            sessions[row.session_id] = Session(session_id=row.session_id, opened=body, moment=row.moment)
        elif session is not None and not (isinstance(body, UngrantedSeen) and session.closed is not None):
            sessions[session.session_id] = _with_row(session, row, body)
        elif isinstance(body, UngrantedSeen) and row.patient is not None:
            strays.append(_stray(row.seq, row.moment, body))
        elif isinstance(body, External) and row.patient is not None:
            externals += (ExternalSession(row.seq, row.patient, body),)
        elif isinstance(body, ExternalWithdrawn):
            externals = tuple(each for each in externals if each.entry != body.entry)
    return Doses(sessions=sessions, strays=tuple(strays), summed=doses.summed, externals=externals)


def needs_whole_session(doses: Doses, row: Row) -> bool:
    """Whether the row changes a session that was only summed up. Stray pulses after a closing stand by themselves."""
    return row.session_id in doses.summed and row.kind != "ungranted"


def standing(session: Session, receipt: Receipt) -> Standing:
    """What this receipt is to the session as it stands."""
    train = session.train(receipt.run_id, receipt.grant_no)
    if train is not None and any(seen.receipt == receipt for seen in train.receipts):
        return Standing.DUPLICATE
    if train is None or train.intent is None:
        return Standing.UNKNOWN_GRANT
    if session.closed is not None:
        return Standing.SESSION_CLOSED
    if receipt.run_id != session.current_run:
        return Standing.EARLIER_RUN
    if train.is_settled or receipt.pulses < train.said_pulses:
        return Standing.DIFFERS
    return Standing.SETTLES if receipt.final else Standing.PROGRESS


# ---- one row -----------------------------------------------------------------------------------------------------------


def _asked_and_not(session: Session) -> tuple[tuple[Pulses, ...], tuple[Pulses, ...]]:
    """Pulses that an intent asked for, and all others: strays, receipts nobody asked for, and what a train gave beyond its intent."""
    asked, unasked = [], [stray.pulses for stray in session.strays]
    for train in session.trains:
        if train.pulses is None:
            continue
        wanted = 0 if train.intent is None else min(train.counted_pulses, train.intent.pulses)
        asked += [replace(train.pulses, count=wanted)] if wanted else []
        unasked += [replace(train.pulses, count=train.counted_pulses - wanted)] if train.counted_pulses > wanted else []
    return tuple(asked), tuple(unasked)


def _with_row(session: Session, row: Row, body: Body) -> Session:
    match body:
        case IntentMade(intent=intent):
            train = Train(run_id=intent.run_id, grant_no=intent.grant_no, moment=row.moment, intent=intent)
            return session.with_trains((*session.trains, train))
        case ReceiptTaken(receipt=receipt):
            return _with_receipt(session, receipt, row.moment)
        case UngrantedSeen() as seen:
            return replace(session, strays=(*session.strays, _stray(row.seq, row.moment, seen)))
        case Reconciled(reconciliation=reconciliation):
            found = {(train.run_id, train.grant_no): train.pulses for train in reconciliation.trains}
            return session.with_trains(tuple(_with_finding(train, found) for train in session.trains))
        case SessionClosed() as closed:
            return replace(session, closed=closed, closed_utc_us=row.utc_us)
    return session


def _with_receipt(session: Session, receipt: Receipt, moment: Moment) -> Session:
    train = session.train(receipt.run_id, receipt.grant_no)
    if train is None:
        seen = (SeenReceipt(receipt, moment),)
        unasked = Train(run_id=receipt.run_id, grant_no=receipt.grant_no, moment=moment, intent=None, receipts=seen)
        return session.with_trains((*session.trains, unasked))
    settles = receipt.final and standing(session, receipt) in (Standing.SETTLES, Standing.DIFFERS)
    changed = train.with_receipt(SeenReceipt(receipt, moment), settles=settles)
    if session.trains[-1] is train:
        return session.with_trains((*session.trains[:-1], changed))
    return session.with_trains(tuple(changed if other is train else other for other in session.trains))


def _with_finding(train: Train, found: Mapping[tuple[str, int], int]) -> Train:
    pulses = found.get((train.run_id, train.grant_no))
    return train if pulses is None else replace(train, reconciled_pulses=pulses)


def _stray(seq: int, moment: Moment, seen: UngrantedSeen) -> Stray:
    return Stray(seq=seq, how=seen.how, mono_ns=seen.mono_ns, pulses=_at(moment, seen.pulses, seen.mono_ns))


def _at(moment: Moment, count: int, mono_ns: int | None) -> Pulses:
    """Pulses at one instant; where nobody knows when, the moment they were entered."""
    at_ns = moment.mono_ns if mono_ns is None else mono_ns
    at_us = moment.utc_us_at(at_ns)
    return Pulses(
        count=count, first_utc_us=at_us, last_utc_us=at_us, last_is_bound=mono_ns is None, last_mono_ns=at_ns, boot_id=moment.boot_id
    )


def _segment(session_id: str, parts: tuple[Pulses, ...], purpose: Purpose = Purpose.TREATMENT) -> Segment:
    count, last = sum(part.count for part in parts), max(parts, key=lambda part: part.last_utc_us)
    return Segment(
        session_id=session_id,
        commanded=count,
        acknowledged=count,
        first_pulse_utc_us=min(part.first_utc_us for part in parts),
        last_pulse_utc_us=last.last_utc_us,
        last_pulse_is_bound=last.last_is_bound,
        last_pulse_mono_ns=last.last_mono_ns,
        boot_id=last.boot_id,
        purpose=purpose,
    )
