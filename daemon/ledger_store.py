"""The dose ledger on disk: every question is asked and answered inside one transaction, and what it promised is durable.

Synchronous, for one thread at a time. Time is passed in. What rows mean is `daemon.ledger_fold`; tables are `daemon.ledger_db`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from sqlalchemy.engine import Connection

from daemon import ledger_db
from daemon.day import DayVerdict, DoseReason, Proposed, day_verdict
from daemon.ledger import (
    GENESIS_HASH,
    Body,
    Closed,
    CloseState,
    Differs,
    Duplicate,
    Intended,
    Intent,
    IntentMade,
    Moment,
    Note,
    Opened,
    OpenRequest,
    Receipt,
    ReceiptTaken,
    Reconciled,
    Reconciliation,
    Recorded,
    Refusal,
    Refused,
    Row,
    SessionClosed,
    SessionOpened,
    Settled,
    Standing,
    UngrantedSeen,
    row_hash,
)
from daemon.ledger_db import ENTRIES, Database
from daemon.ledger_fold import Doses, IntentView, Session, amplitude_reasons, fold, intent_reasons, proposed_rest, standing
from daemon.limits import Limits
from daemon.witness import Rewound, Seen, Witness


@dataclass(slots=True)
class _Writing:
    """One write transaction at one moment, and the rows that it added."""

    connection: Connection
    moment: Moment
    rewound: Rewound | None
    added: list[Row] = field(default_factory=list)

    def append(self, body: Body, *, patient: str | None, session_id: str | None) -> Row:
        row = ledger_db.append(self.connection, patient=patient, session_id=session_id, body=body, moment=self.moment)
        self.added.append(row)
        return row


class Ledger:
    """One database of doses, seen from one chair."""

    def __init__(self, database: Database, witness: Witness | None) -> None:
        self._database = database
        self._witness = witness
        self._folded: tuple[str, int, Doses] | None = None  # one patient's committed rows up to a number: rows never change

    @classmethod
    def open(cls, url: str, *, witness: Witness | None = None, read_only: bool = False) -> Self:
        """Opens `sqlite:///FILE`, creating it unless `read_only`. Raises LedgerUnavailable."""
        return cls(Database(url, read_only=read_only), witness)

    def close(self) -> None:
        self._database.close()

    # ---- the session --------------------------------------------------------------------------------------------------

    def verdict(self, patient: str, planned_pulses: int, limits: Limits, moment: Moment) -> DayVerdict:
        """Whether a session of so many pulses could be opened now, PATIENT_BUSY included. Changes nothing."""
        with self._database.reading() as connection:
            return self._verdict(connection, patient, planned_pulses, limits, moment)

    def open_session(self, request: OpenRequest, moment: Moment) -> Opened | Refused:
        """Takes the patient's lease and reserves the whole session."""
        with self._writing(moment) as writing:
            if writing.rewound is not None:
                return Refused(reasons=(DoseReason.LEDGER_REWOUND,), earliest_utc_us=None)
            verdict = self._verdict(writing.connection, request.patient, request.planned_pulses, request.limits, moment)
            fixed = amplitude_reasons(request, request.set_point_mso, request.limits)
            if ledger_db.chair_holds_lease(writing.connection, request.chair):
                fixed += (DoseReason.CHAIR_BUSY,)
            if verdict.reasons or fixed:
                refused = Refused(reasons=verdict.reasons + fixed, earliest_utc_us=None if fixed else verdict.earliest_utc_us)
                writing.append(_refusal(request, refused, request.limits), patient=request.patient, session_id=None)
                return refused
            return _begin(writing, request)

    def renew(self, session_id: str, lease_token: int, moment: Moment) -> bool:
        """Every 10 s while the session is open. False: the lease is gone, and no train may be granted."""
        with self._database.writing() as connection:
            return ledger_db.renew_lease(connection, session_id, lease_token, moment)

    def close_session(self, session_id: str, state: CloseState, reason: str, moment: Moment) -> Closed | Refused:
        """Ends the session and gives the rest of its reservation back; intents without a final receipt count in full.

        Closing again changes nothing and says what the first closing said, with the counts as they now stand.
        """
        with self._writing(moment) as writing:
            session = self._session(writing.connection, session_id)
            if session is None:
                return Refused(reasons=(DoseReason.SESSION_NOT_OPEN,), earliest_utc_us=None)
            closed = session.closed or _end(writing, session, state, reason, recovered=False)
            return session.as_closed(closed)

    def recover(self, chair: str, moment: Moment) -> tuple[Closed, ...]:
        """After a crash: closes every session that this chair left open, from its own intents and receipts.

        Does nothing on a ledger that is not the one this chair saw.
        """
        with self._writing(moment) as writing:
            if writing.rewound is not None:
                return ()
            left = [row.session_id for row in ledger_db.open_session_rows(writing.connection) if _chair_of(row) == chair]
            sessions = [self._session(writing.connection, session_id) for session_id in left if session_id is not None]
            return tuple(
                session.as_closed(_end(writing, session, CloseState.PARTIAL, "found open after a restart", recovered=True))
                for session in sessions
                if session is not None
            )

    # ---- trains -------------------------------------------------------------------------------------------------------

    def intend(self, intent: Intent, limits: Limits, moment: Moment) -> Intended | Refused:
        """Checks every limit again and commits the intent; only then may the train be granted.

        `limits` may be tighter than those the session was opened under; looser ones change nothing, for both are asked.
        """
        with self._writing(moment) as writing:
            if writing.rewound is not None:
                return Refused(reasons=(DoseReason.LEDGER_REWOUND,), earliest_utc_us=None)
            patient = ledger_db.patient_of(writing.connection, intent.session_id)
            if patient is None:
                return Refused(reasons=(DoseReason.SESSION_NOT_OPEN,), earliest_utc_us=None)
            refused = _intent_refused(writing, self._doses(writing.connection, patient), intent, limits)
            body = IntentMade(intent=intent, limits_sha256=limits.sha256) if refused is None else _refusal(intent, refused, limits)
            row = writing.append(body, patient=patient, session_id=intent.session_id)
            return Intended(seq=row.seq) if refused is None else refused

    def receive(self, receipt: Receipt, moment: Moment) -> Settled | Duplicate | Differs | Recorded:
        """Takes a receipt down. Only a final one of the current run closes its intent; none ever lowers a count."""
        with self._writing(moment) as writing:
            session = self._session(writing.connection, receipt.session_id)
            if session is None:
                writing.append(ReceiptTaken(receipt=receipt, lease_token=None), patient=None, session_id=receipt.session_id)
                return Recorded(standing=Standing.UNKNOWN_SESSION, counted_pulses=None)
            rank = standing(session, receipt)
            if rank is Standing.DUPLICATE:
                return Duplicate(counted_pulses=_counted(session, receipt))
            body = ReceiptTaken(receipt=receipt, lease_token=session.opened.lease_token)
            row = writing.append(body, patient=session.request.patient, session_id=session.session_id)
            return _answer(_after(session, row), receipt, rank)

    def ungranted(
        self, *, session_id: str | None, patient: str | None, pulses: int, mono_ns: int | None, how: str, moment: Moment
    ) -> int:
        """Pulses that the device gave without a grant, for the patient of the session, else the one named. Returns the row's number."""
        with self._writing(moment) as writing:
            holder = None if session_id is None else ledger_db.patient_of(writing.connection, session_id)
            body = UngrantedSeen(pulses=pulses, mono_ns=mono_ns, how=how)
            return writing.append(body, patient=holder or patient, session_id=session_id).seq

    # ---- people -------------------------------------------------------------------------------------------------------

    def reconcile(self, reconciliation: Reconciliation, moment: Moment) -> Closed | Refused:
        """A person's word on trains that count in full; closes a session whose chair let its lease run out.

        PATIENT_BUSY while the session is open and its lease runs: its chair settles it. NO_OPEN_TRAIN for a train that does not
        count in full, and for a closed session when no train is named.
        """
        with self._writing(moment) as writing:
            session = self._session(writing.connection, reconciliation.session_id)
            if session is None:
                return Refused(reasons=(DoseReason.SESSION_NOT_OPEN,), earliest_utc_us=None)
            session_id, token = session.session_id, session.opened.lease_token
            if session.closed is None and ledger_db.lease_is_held(writing.connection, session_id, token, moment):
                return Refused(reasons=(DoseReason.PATIENT_BUSY,), earliest_utc_us=None)
            named = {(train.run_id, train.grant_no) for train in reconciliation.trains}
            if not named <= {(train.run_id, train.grant_no) for train in session.open_trains} or not (named or session.closed is None):
                return Refused(reasons=(DoseReason.NO_OPEN_TRAIN,), earliest_utc_us=None)
            body = Reconciled(reconciliation=reconciliation)
            session = _after(session, writing.append(body, patient=session.request.patient, session_id=session_id))
            reason = f"reconciled: {reconciliation.reason}"
            return session.as_closed(session.closed or _end(writing, session, CloseState.PARTIAL, reason, recovered=True))

    def rewound(self) -> Rewound | None:
        """Whether this is not the ledger that the witness saw; then nothing starts until two people accept it."""
        with self._database.reading() as connection:
            return self._rewound(connection)

    def accept_ledger(self, by: tuple[str, str], reason: str, moment: Moment) -> None:
        """Two people take this ledger as the right one although the witness saw another. Raises ValueError if they are one."""
        if by[0].strip().casefold() == by[1].strip().casefold():
            raise ValueError("two different people accept a ledger")
        note = Note(by=by, what="accepted a ledger that differs from the one this chair last saw", reason=reason)
        with self._writing(moment) as writing:
            writing.append(note, patient=None, session_id=None)
            writing.rewound = None

    def note(self, note: Note, moment: Moment, *, patient: str | None = None, session_id: str | None = None) -> None:
        """Audit: who did what, and why."""
        with self._writing(moment) as writing:
            writing.append(note, patient=patient, session_id=session_id)

    # ---- reading ------------------------------------------------------------------------------------------------------

    def rows(self) -> tuple[Row, ...]:
        """Every row in order."""
        with self._database.reading() as connection:
            return tuple(ledger_db.rows(connection))

    def doses(self, patient: str | None = None) -> Doses:
        """Sessions in the order of their opening and stray pulses, of one patient or of all."""
        with self._database.reading() as connection:
            where = () if patient is None else (ENTRIES.c.patient == patient,)
            return fold(Doses(), ledger_db.rows(connection, *where))

    def verify(self) -> int | None:
        """The number of the first row that breaks the chain; None if it holds from end to end."""
        with self._database.reading() as connection:
            return first_bad_seq(ledger_db.rows(connection))

    # ---- inside a transaction -----------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self, moment: Moment) -> Iterator[_Writing]:
        """One transaction; what it added is remembered by the witness, unless this is another ledger than the witness knows."""
        with self._database.writing() as connection:
            writing = _Writing(connection, moment, self._rewound(connection))
            yield writing
        if writing.added and writing.rewound is None and self._witness is not None:
            self._witness.remember(Seen(seq=writing.added[-1].seq, hash=writing.added[-1].hash))

    def _rewound(self, connection: Connection) -> Rewound | None:
        return None if self._witness is None else self._witness.differs(lambda seq: ledger_db.hash_at(connection, seq))

    def _doses(self, connection: Connection, patient: str) -> Doses:
        """The patient's doses by all committed rows; to be asked before the transaction adds any."""
        known_patient, known_seq, known = self._folded or (patient, 0, Doses())
        if known_patient != patient:
            known_seq, known = 0, Doses()
        new = list(ledger_db.rows(connection, ENTRIES.c.patient == patient, ENTRIES.c.seq > known_seq))
        doses = fold(known, new)
        self._folded = (patient, new[-1].seq if new else known_seq, doses)
        return doses

    def _session(self, connection: Connection, session_id: str) -> Session | None:
        patient = ledger_db.patient_of(connection, session_id)
        return None if patient is None else self._doses(connection, patient).sessions[session_id]

    def _verdict(self, connection: Connection, patient: str, planned_pulses: int, limits: Limits, moment: Moment) -> DayVerdict:
        doses = self._doses(connection, patient)
        proposed = Proposed(
            first_pulse_utc_us=moment.utc_us, planned_pulses=planned_pulses, mono_ns=moment.mono_ns, boot_id=moment.boot_id
        )
        verdict = day_verdict(doses.segments(moment.utc_us), proposed, limits, ledger_db.high_water_utc_us(connection))
        return verdict.with_busy_patient() if doses.open_sessions else verdict


def first_bad_seq(rows: Iterable[Row]) -> int | None:
    """Where the chain breaks: a row missing, out of place or not as it was written."""
    last_hash = GENESIS_HASH
    for seq, row in enumerate(rows, start=1):
        if row.seq != seq or row.prev_hash != last_hash or row.hash != row_hash(row):
            return seq
        last_hash = row.hash
    return None


def _begin(writing: _Writing, request: OpenRequest) -> Opened:
    """The reservation and the lease. The fencing token is the number of the row, so that it only ever rises."""
    token = ledger_db.tail(writing.connection).seq + 1
    session_id = _session_id(token, writing.moment)
    writing.append(SessionOpened(request=request, lease_token=token), patient=request.patient, session_id=session_id)
    ledger_db.take_lease(
        writing.connection, patient=request.patient, session_id=session_id, chair=request.chair, token=token, moment=writing.moment
    )
    return Opened(session_id=session_id, lease_token=token)


def _end(writing: _Writing, session: Session, state: CloseState, reason: str, *, recovered: bool) -> SessionClosed:
    body = SessionClosed(
        state=state,
        reason=reason,
        recovered=recovered,
        counted_pulses=session.counted_pulses,
        lease_token=session.opened.lease_token,
    )
    writing.append(body, patient=session.request.patient, session_id=session.session_id)
    ledger_db.drop_lease(writing.connection, session.session_id)
    return body


def _intent_refused(writing: _Writing, doses: Doses, intent: Intent, limits: Limits) -> Refused | None:
    moment, session = writing.moment, doses.sessions[intent.session_id]
    lease_is_held = ledger_db.lease_is_held(writing.connection, intent.session_id, intent.lease_token, moment)
    fixed = intent_reasons(IntentView(session=session, intent=intent, moment=moment, lease_is_held=lease_is_held))
    segments = doses.segments(moment.utc_us, running=intent.session_id)
    high_water = ledger_db.high_water_utc_us(writing.connection)
    days = []
    for each in (limits, session.request.limits):
        fixed += amplitude_reasons(session.request, intent.amplitude_pct, each)
        days.append(day_verdict(segments, proposed_rest(session, intent, moment), each, high_water))
    reasons = tuple(dict.fromkeys(fixed + tuple(reason for day in days for reason in day.reasons)))
    if not reasons:
        return None
    moments = [day.earliest_utc_us for day in days if day.earliest_utc_us is not None]
    return Refused(reasons=reasons, earliest_utc_us=max(moments) if len(moments) == len(days) and not fixed else None)


def _refusal(asked: OpenRequest | Intent, refused: Refused, limits: Limits) -> Refusal:
    return Refusal(asked=asked, reasons=refused.reasons, limits=limits, earliest_utc_us=refused.earliest_utc_us)


def _after(session: Session, row: Row) -> Session:
    return fold(Doses(sessions={session.session_id: session}), (row,)).sessions[session.session_id]


def _counted(session: Session, receipt: Receipt) -> int:
    train = session.train(receipt.run_id, receipt.grant_no)
    return 0 if train is None else train.counted_pulses


def _answer(session: Session, receipt: Receipt, rank: Standing) -> Settled | Differs | Recorded:
    train, counted = session.train(receipt.run_id, receipt.grant_no), _counted(session, receipt)
    if rank is Standing.SETTLES and train is not None and train.intent is not None:
        return Settled(counted_pulses=counted, excess_pulses=max(0, counted - train.intent.pulses))
    if rank is Standing.DIFFERS:
        return Differs(counted_pulses=counted, said_pulses=receipt.pulses)
    return Recorded(standing=rank, counted_pulses=counted)


def _chair_of(row: Row) -> str | None:
    body = row.content()
    return body.request.chair if isinstance(body, SessionOpened) else None


def _session_id(token: int, moment: Moment) -> str:
    opened = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment.utc_us)
    return f"{opened:%Y%m%dT%H%M%SZ}-{token}"
