"""The dose ledger on disk: every question is asked and answered inside one transaction, and what it promised is durable.

Synchronous, for one thread at a time. Time is passed in. What an act means is `daemon.ledger_acts`; tables are `daemon.ledger_db`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Self

import msgspec
from sqlalchemy.engine import Connection

from daemon import ledger_db, ledger_people
from daemon.day import DayVerdict, DoseReason, Proposed
from daemon.ledger import (
    ClockConfirmed,
    Closed,
    CloseState,
    Differs,
    Duplicate,
    Entered,
    External,
    ExternalWithdrawn,
    Intended,
    Intent,
    JournalSettled,
    Moment,
    Note,
    NotEntered,
    Opened,
    OpenRequest,
    Receipt,
    ReceiptTaken,
    Reconciliation,
    Recorded,
    Refused,
    Row,
    SessionClosed,
    SessionOpened,
    Settled,
    Standing,
    ThresholdSaved,
    UngrantedSeen,
)
from daemon.ledger_acts import (
    after,
    closing,
    counted,
    intent_body,
    intent_refused,
    layers_vanished,
    override_used,
    receipt_answer,
    refusal,
    verdict_of,
)
from daemon.ledger_db import ENTRIES
from daemon.ledger_engines import TRUST, Database
from daemon.ledger_fold import Doses, Session, fold, needs_whole_session, standing
from daemon.ledger_history import History, patient_history, whole_session
from daemon.ledger_journal import is_known
from daemon.ledger_postgres import Trust
from daemon.ledger_rules import amplitude_reasons
from daemon.ledger_verify import Fault, first_fault
from daemon.ledger_writing import Writing, end_session
from daemon.limits import Limits
from daemon.mt_values import MotorThresholdRecord
from daemon.purpose import Purpose
from daemon.witness import Rewound, Seen, Witness


class Ledger:
    """One database of doses, seen from one chair."""

    def __init__(self, database: Database, witness: Witness | None) -> None:
        self._database = database
        self._witness = witness
        self._history: History | None = None  # of the patient that was last asked about

    @classmethod
    def open(cls, url: str, *, witness: Witness | None = None, read_only: bool = False, trust: Trust = TRUST) -> Self:
        """Opens `sqlite:///FILE` or `postgresql+psycopg://...`, creating it unless `read_only`. Raises LedgerUnavailable."""
        return cls(Database(url, read_only=read_only, trust=trust), witness)

    def close(self) -> None:
        self._database.close()

    @property
    def is_shared(self) -> bool:
        """On a server: it can be lost while this chair and its disk work on."""
        return self._database.is_shared

    @property
    def where(self) -> str:
        return self._database.where

    def answers(self) -> bool:
        """Whether it can be asked at this moment; from any thread."""
        return self._database.answers()

    def known_doses(self, patient: str) -> Doses | None:
        """What this chair last knew of the patient, its own acts included; asks nobody."""
        return None if self._history is None or self._history.patient != patient else self._history.doses

    # ---- the session --------------------------------------------------------------------------------------------------

    def verdict(
        self,
        patient: str,
        planned_pulses: int,
        limits: Limits,
        moment: Moment,
        *,
        purpose: Purpose = Purpose.TREATMENT,
        against: tuple[DoseReason, ...] = (),
    ) -> DayVerdict:
        """Whether a session of so many pulses could be opened now, PATIENT_BUSY and all that is `against` it included.

        Changes nothing.
        """
        self._database.check_room()
        with self._database.reading() as connection:
            clock = self._database.clock(connection, moment)
            self._history = patient_history(connection, patient, self._history)
            verdict = _verdict(connection, self._history.doses, planned_pulses, limits, moment, clock, purpose)
            return verdict.with_reasons(against)

    def open_session(self, request: OpenRequest, moment: Moment, *, against: tuple[DoseReason, ...] = ()) -> Opened | Refused:
        """Takes the patient's lease and reserves the whole session, unless a rule refuses or something outside is `against` it."""
        self._database.check_room()
        with self._writing(moment) as writing:
            if writing.rewound is not None:
                return Refused(reasons=(DoseReason.LEDGER_REWOUND,), earliest_utc_us=None)
            doses = self._doses(writing, request.patient)
            verdict = _verdict(
                writing.connection, doses, request.planned_pulses, request.limits, moment, writing.clock, request.purpose
            )
            fixed = against + amplitude_reasons(request, request.set_point_mso, request.limits)
            if layers_vanished(ledger_db.last_of_kind(writing.connection, "session_opened", request.patient), request):
                fixed += (DoseReason.LIMITS_INVALID,)
            if ledger_db.chair_holds_lease(writing.connection, request.chair):
                fixed += (DoseReason.CHAIR_BUSY,)
            if verdict.reasons or fixed:
                reasons = tuple(dict.fromkeys(verdict.reasons + fixed))
                refused = Refused(reasons=reasons, earliest_utc_us=None if fixed else verdict.earliest_utc_us)
                if DoseReason.CLOCK_SUSPECT not in reasons:  # else a time that nobody trusts would stay the latest in the ledger
                    writing.append(refusal(request, refused, request.limits), patient=request.patient, session_id=None)
                return refused
            return _begin(writing, request)

    def renew(self, session_id: str, lease_token: int, moment: Moment) -> bool:
        """Every 10 s while the session is open. False: the lease is gone, and no train may be granted."""
        with self._database.writing(moment) as turn:
            return ledger_db.renew_lease(turn.connection, session_id, lease_token, turn.clock)

    def close_session(self, session_id: str, state: CloseState, reason: str, moment: Moment) -> Closed | Refused:
        """Ends the session and gives the rest of its reservation back; intents without a final receipt count in full.

        Closing again changes nothing and says what the first closing said, with the counts as they now stand.
        """
        with self._writing(moment) as writing:
            session = self._session(writing, session_id)
            if session is None:
                return Refused(reasons=(DoseReason.SESSION_NOT_OPEN,), earliest_utc_us=None)
            closed = session.closed or end_session(writing, session, state, reason, recovered=False)
            return session.as_closed(closed)

    def recover(self, chair: str, moment: Moment) -> tuple[Closed, ...]:
        """After a crash: closes every session that this chair left open, from its own intents and receipts.

        Does nothing on a ledger that is not the one this chair saw.
        """
        with self._writing(moment) as writing:
            if writing.rewound is not None:
                return ()
            left = [row.session_id for row in ledger_db.open_session_rows(writing.connection) if _chair_of(row) == chair]
            sessions = [self._session(writing, session_id) for session_id in left if session_id is not None]
            return tuple(
                session.as_closed(end_session(writing, session, CloseState.PARTIAL, "found open after a restart", recovered=True))
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
            session = self._session(writing, intent.session_id)
            if session is None:
                return Refused(reasons=(DoseReason.SESSION_NOT_OPEN,), earliest_utc_us=None)
            refused = intent_refused(
                self._doses(writing, session.request.patient),
                session,
                intent,
                limits,
                moment,
                lease_is_held=ledger_db.lease_is_held(writing.connection, intent.session_id, intent.lease_token, writing.clock),
                high_water_utc_us=ledger_db.high_water_utc_us(writing.connection),
            )
            body = intent_body(intent, refused, limits)
            row = writing.append(body, patient=session.request.patient, session_id=intent.session_id)
            return Intended(seq=row.seq) if refused is None else refused

    def receive(self, receipt: Receipt, moment: Moment) -> Settled | Duplicate | Differs | Recorded:
        """Takes a receipt down. Only a final one of the current run closes its intent; none ever lowers a count."""
        with self._writing(moment) as writing:
            session = self._session(writing, receipt.session_id)
            if session is None:
                writing.append(ReceiptTaken(receipt=receipt, lease_token=None), patient=None, session_id=receipt.session_id)
                return Recorded(standing=Standing.UNKNOWN_SESSION, counted_pulses=None)
            rank = standing(session, receipt)
            if rank is Standing.DUPLICATE:
                return Duplicate(counted_pulses=counted(session, receipt))
            body = ReceiptTaken(receipt=receipt, lease_token=session.opened.lease_token)
            row = writing.append(body, patient=session.request.patient, session_id=session.session_id)
            return receipt_answer(after(session, row), receipt, rank)

    def ungranted(self, *, session_id: str | None, patient: str | None, pulses: int, mono_ns: int | None, how: str, moment: Moment) -> int:
        """Pulses that the device gave without a grant, for the patient of the session, else the one named. Returns the row's number."""
        with self._writing(moment) as writing:
            holder = patient if session_id is None else ledger_db.patient_of(writing.connection, session_id) or patient
            if holder is not None:
                self._doses(writing, holder)
            body = UngrantedSeen(pulses=pulses, mono_ns=mono_ns, how=how)
            return writing.append(body, patient=holder, session_id=session_id).seq

    # ---- a chair's journal --------------------------------------------------------------------------------------------

    def settle(self, chair: str, journal: Sequence[Row], moment: Moment) -> None:
        """Enters what the chair wrote down while it could not reach this ledger: in order, once, whatever failed in between.

        Rows keep their own moments. What had reached the ledger after all is not entered again. Pulses are entered in a ledger
        that was rewound too, and it stays refused.
        """
        if not journal:
            return
        with self._writing(moment) as writing:
            settled_no = ledger_db.settled_no(writing.connection, journal[0].hash)
            for row in journal:
                if row.seq > settled_no:
                    self._settle_row(writing, row)
            if journal[-1].seq > settled_no:
                body = JournalSettled(chair=chair, journal=journal[0].hash, last_no=journal[-1].seq, last_hash=journal[-1].hash)
                writing.append(body, patient=None, session_id=None)

    def _settle_row(self, writing: Writing, row: Row) -> None:
        session = None if row.session_id is None else self._session(writing, row.session_id)
        body = row.content()
        if is_known(session, body):
            return
        if session is not None and isinstance(body, SessionClosed):
            body = closing(session, body.state, body.reason, recovered=body.recovered)
            ledger_db.drop_lease(writing.connection, session.session_id)
        writing.append(body, patient=row.patient, session_id=row.session_id, moment=row.moment)

    # ---- people -------------------------------------------------------------------------------------------------------

    def reconcile(self, reconciliation: Reconciliation, moment: Moment) -> Closed | Refused:
        """A person's word on trains that count in full; closes a session whose chair let its lease run out."""
        with self._writing(moment) as writing:
            return ledger_people.reconcile(writing, self._session(writing, reconciliation.session_id), reconciliation)

    def enter_external(self, patient: str, entered: External, moment: Moment) -> Entered | NotEntered:
        """A session given elsewhere counts from now on."""
        with self._writing(moment) as writing:
            return ledger_people.enter_external(writing, self._doses(writing, patient), patient, entered)

    def withdraw_external(self, patient: str, withdrawal: ExternalWithdrawn, moment: Moment) -> Entered | NotEntered:
        """An entry made in error counts no longer."""
        with self._writing(moment) as writing:
            return ledger_people.withdraw_external(writing, self._doses(writing, patient), patient, withdrawal)

    def confirm_clock(self, confirmation: ClockConfirmed, moment: Moment) -> Entered:
        """Two people say that this chair's clock is right."""
        with self._writing(moment) as writing:
            return Entered(seq=writing.append(confirmation, patient=None, session_id=None).seq)

    def rewound(self) -> Rewound | None:
        """Whether this is not the ledger that the witness saw; then nothing starts until two people accept it."""
        with self._database.reading() as connection:
            return self._rewound(connection)

    def accept_ledger(self, by: tuple[str, ...], reason: str, moment: Moment) -> None:
        """Two people take this ledger as the right one although the witness saw another. Raises ValueError if they are one."""
        with self._writing(moment) as writing:
            ledger_people.accept(writing, by, reason)

    def note(self, note: Note, moment: Moment, *, patient: str | None = None, session_id: str | None = None) -> None:
        """Audit: who did what, and why."""
        with self._writing(moment) as writing:
            writing.append(note, patient=patient, session_id=session_id)

    def save_threshold(self, record: MotorThresholdRecord, moment: Moment) -> None:
        """Keeps a motor threshold that the operator took."""
        with self._writing(moment) as writing:
            writing.append(ThresholdSaved(record=record), patient=record.patient, session_id=None)

    # ---- reading ------------------------------------------------------------------------------------------------------

    def rows(self) -> tuple[Row, ...]:
        """Every row in order."""
        with self._database.reading() as connection:
            return ledger_db.rows(connection)

    def last_seq(self) -> int:
        """The number of the last row; 0 of an empty ledger."""
        with self._database.reading() as connection:
            return ledger_db.tail(connection).seq

    def doses(self, patient: str | None = None) -> Doses:
        """Sessions in the order of their opening and stray pulses, of one patient or of all."""
        with self._database.reading() as connection:
            where = () if patient is None else (ENTRIES.c.patient == patient,)
            return fold(Doses(), ledger_db.stream(connection, *where))

    def latest_threshold(self, patient: str) -> MotorThresholdRecord | None:
        """The patient's last motor threshold."""
        with self._database.reading() as connection:
            found = ledger_db.rows(connection, ENTRIES.c.patient == patient, ENTRIES.c.kind == "threshold")
        body = found[-1].content() if found else None
        return body.record if isinstance(body, ThresholdSaved) else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One state of the ledger, for who reads more than one thing of it."""
        with self._database.reading() as connection:
            yield connection

    def verify(self) -> Fault | None:
        """The first row that is not as it should be; None if the chain holds and every closing row is the sum of its session."""
        with self._database.reading() as connection:
            return first_fault(ledger_db.stream(connection))

    # ---- inside a transaction -----------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self, moment: Moment) -> Iterator[Writing]:
        """One transaction; what it added is remembered by the witness, unless this is another ledger than the witness knows."""
        with self._database.writing(moment) as turn:
            writing = Writing(turn.connection, moment, turn.clock, self._rewound(turn.connection))
            yield writing
        if writing.history is not None:
            self._history = _with_added(writing.history, writing)
        if writing.added and writing.rewound is None and self._witness is not None:
            self._witness.remember(Seen(seq=writing.added[-1].seq, hash=writing.added[-1].hash))

    def _rewound(self, connection: Connection) -> Rewound | None:
        return None if self._witness is None else self._witness.differs(lambda seq: ledger_db.hash_at(connection, seq))

    def _doses(self, writing: Writing, patient: str) -> Doses:
        """The patient's doses by all rows, those of this transaction included."""
        writing.history = patient_history(writing.connection, patient, writing.history or self._history)
        return writing.history.doses

    def _session(self, writing: Writing, session_id: str) -> Session | None:
        patient = ledger_db.patient_of(writing.connection, session_id)
        if patient is None:
            return None
        return self._doses(writing, patient).sessions.get(session_id) or whole_session(writing.connection, session_id)


def _with_added(history: History | None, writing: Writing) -> History | None:
    """What is known of a patient once this transaction is committed; None where that has to be read anew."""
    if history is None:
        return None
    new = [row for row in writing.added if row.patient == history.patient and row.seq > history.last_seq]
    if any(needs_whole_session(history.doses, row) for row in new):
        return None
    return History(history.patient, new[-1].seq, fold(history.doses, new)) if new else history


def _verdict(
    connection: Connection, doses: Doses, planned_pulses: int, limits: Limits, moment: Moment, clock: Moment, purpose: Purpose
) -> DayVerdict:
    """The day as it stands, PATIENT_BUSY included; CLOCK_SUSPECT where the asker's wall clock is not the ledger's."""
    proposed = Proposed(first_pulse_utc_us=moment.utc_us, planned_pulses=planned_pulses, mono_ns=moment.mono_ns, boot_id=moment.boot_id)
    high_water_utc_us = ledger_db.high_water_utc_us(connection)
    verdict = verdict_of(purpose, doses.segments(moment.utc_us), proposed, limits, high_water_utc_us)
    if abs(clock.utc_us - moment.utc_us) > limits.clock_tolerance_s * 1_000_000:
        verdict = msgspec.structs.replace(verdict, reasons=(*verdict.reasons, DoseReason.CLOCK_SUSPECT), earliest_utc_us=None)
    return verdict.with_busy_patient() if doses.open_sessions else verdict


def _begin(writing: Writing, request: OpenRequest) -> Opened:
    """The reservation and the lease. The fencing token is the number of the row, so that it only ever rises."""
    token = ledger_db.tail(writing.connection).seq + 1
    session_id = _session_id(token, writing.moment)
    writing.append(SessionOpened(request=request, lease_token=token), patient=request.patient, session_id=session_id)
    for override in request.limits.overrides:
        writing.append(override_used(override), patient=request.patient, session_id=session_id)
    ledger_db.take_lease(
        writing.connection, patient=request.patient, session_id=session_id, chair=request.chair, token=token, clock=writing.clock
    )
    return Opened(session_id=session_id, lease_token=token)


def _chair_of(row: Row) -> str | None:
    body = row.content()
    return body.request.chair if isinstance(body, SessionOpened) else None


def _session_id(token: int, moment: Moment) -> str:
    opened = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment.utc_us)
    return f"{opened:%Y%m%dT%H%M%SZ}-{token}"
