"""The ledger as one chair uses it: the shared one, and the chair's own journal while that is out of reach in the middle of a session.

A session goes on within its reservation, judged by what was last known; nothing new starts until the journal is in the ledger. A ledger
on the chair's own disk has no journal: what takes that disk away takes the journal with it.
"""

from collections.abc import Callable
from typing import TypeVar

from daemon.day import DoseReason
from daemon.ledger import (
    Body,
    Closed,
    CloseState,
    Differs,
    Duplicate,
    Intended,
    Intent,
    LedgerUnavailable,
    Moment,
    Note,
    Opened,
    OpenRequest,
    Receipt,
    ReceiptTaken,
    Recorded,
    Refused,
    Row,
    Settled,
    Standing,
    UngrantedSeen,
)
from daemon.ledger_acts import closing, counted, intent_body, intent_refused, receipt_answer
from daemon.ledger_fold import Doses, Session, fold, standing
from daemon.ledger_journal import Journal
from daemon.ledger_store import Ledger
from daemon.limits import Limits

Answer = TypeVar("Answer")
AWAY = "the shared dose record is out of reach; this session goes on from the chair's own journal, and no new one starts"


class ChairLedger:
    """What a chair writes down. Synchronous, for one thread at a time, as the ledger is."""

    def __init__(self, ledger: Ledger, journal: Journal | None, chair: str) -> None:
        self._ledger, self._journal, self._chair = ledger, journal, chair
        self._patient: str | None = None  # of the session that this chair last opened
        self._known = Doses()  # that patient's, as the shared ledger last had them, and this chair's journal on top
        self._latest_utc_us: int | None = None
        self._may_hold_one = False  # an answer to an opening was lost: the session may be there

    @property
    def trouble(self) -> str | None:
        """What people must know while the journal is in use."""
        return f"{self._ledger.where}: {AWAY}" if self.is_away else None

    @property
    def is_away(self) -> bool:
        """Something waits in the journal; until it is settled everything goes there, for the order is kept."""
        return self._journal is not None and len(self._journal.rows) > 0

    def answers(self) -> bool:
        """Whether the shared ledger can be asked at this moment; from any thread."""
        return self._ledger.answers()

    # ---- before and after a session -----------------------------------------------------------------------------------

    def recover(self, moment: Moment) -> tuple[Closed, ...]:
        """After a start: first the journal of an earlier run, then whatever session it left open. Raises LedgerError."""
        self.settle(moment)
        return self._ledger.recover(self._chair, moment)

    def settle(self, moment: Moment) -> None:
        """Brings the journal into the ledger. Raises LedgerUnavailable; then it waits on, and trying again loses and doubles nothing."""
        if self._journal is None or not self._journal.rows:
            return
        self._ledger.settle(self._chair, self._journal.rows, moment)
        self._journal.clear()
        self._learn()

    def open_session(self, request: OpenRequest, moment: Moment, *, against: tuple[DoseReason, ...] = ()) -> Opened | Refused:
        """As the ledger does. Raises LedgerUnavailable, and nothing starts."""
        if self._journal is not None:
            self._journal.check_room()
        self.settle(moment)
        if self._may_hold_one:
            self._ledger.recover(self._chair, moment)
        self._may_hold_one = True
        answer = self._ledger.open_session(request, moment, against=against)
        self._may_hold_one = False
        self._patient, self._latest_utc_us = request.patient, moment.utc_us
        self._learn()
        return answer

    # ---- in a session -------------------------------------------------------------------------------------------------

    def renew(self, session_id: str, lease_token: int, moment: Moment) -> bool:
        """False: the lease is gone. While the ledger is out of reach nobody can take it: whoever sees the session sees it unsettled."""
        if self.is_away:
            return True
        try:
            return self._ledger.renew(session_id, lease_token, moment)
        except LedgerUnavailable:
            if self._journal is None:
                raise
            return True

    def intend(self, intent: Intent, limits: Limits, moment: Moment) -> Intended | Refused:
        """The intent is durable, here or there, when it is not refused."""
        return self._either(
            lambda: self._ledger.intend(intent, limits, moment),
            lambda journal, was_asked: self._intend_here(journal, intent, limits, moment, was_asked=was_asked),
            moment,
        )

    def receive(self, receipt: Receipt, moment: Moment) -> Settled | Duplicate | Differs | Recorded:
        return self._either(
            lambda: self._ledger.receive(receipt, moment), lambda journal, _: self._receive_here(journal, receipt, moment), moment
        )

    def ungranted(
        self, *, session_id: str | None, patient: str | None, pulses: int, mono_ns: int | None, how: str, moment: Moment
    ) -> None:
        def there() -> None:
            self._ledger.ungranted(session_id=session_id, patient=patient, pulses=pulses, mono_ns=mono_ns, how=how, moment=moment)

        def here(journal: Journal, _was_asked: bool) -> None:
            session = None if session_id is None else self._known.sessions.get(session_id)
            whose = patient if session is None else session.request.patient
            self._write(journal, UngrantedSeen(pulses=pulses, mono_ns=mono_ns, how=how), whose, session_id, moment)

        self._either(there, here, moment)

    def close_session(self, session_id: str, state: CloseState, reason: str, moment: Moment) -> Closed | Refused:
        return self._either(
            lambda: self._ledger.close_session(session_id, state, reason, moment),
            lambda journal, _: self._close_here(journal, session_id, state, reason, moment),
            moment,
        )

    def note(self, note: Note, moment: Moment, *, patient: str | None = None, session_id: str | None = None) -> None:
        self._either(
            lambda: self._ledger.note(note, moment, patient=patient, session_id=session_id),
            lambda journal, _: _nothing(self._write(journal, note, patient, session_id, moment)),
            moment,
        )

    # ---- the journal --------------------------------------------------------------------------------------------------

    def _either(self, there: Callable[[], Answer], here: Callable[[Journal, bool], Answer], moment: Moment) -> Answer:
        """Asks the ledger; where that is out of reach, and something waits in the journal already, the journal.

        `here` is told whether the ledger was asked before: what it did of it is then unknown.
        """
        self._latest_utc_us = max(self._latest_utc_us or 0, moment.utc_us)
        if self._journal is None:
            return there()
        if self.is_away:
            return here(self._journal, False)
        try:
            answer = there()
        except LedgerUnavailable:
            return here(self._journal, True)
        self._learn()
        return answer

    def _intend_here(self, journal: Journal, intent: Intent, limits: Limits, moment: Moment, *, was_asked: bool) -> Intended | Refused:
        session = self._session(intent.session_id)
        refused = intent_refused(
            self._known,
            session,
            intent,
            limits,
            moment,
            lease_is_held=intent.lease_token == session.opened.lease_token,  # nobody else can hold it over an unsettled session
            high_water_utc_us=self._latest_utc_us,
        )
        patient = session.request.patient
        row = self._write(journal, intent_body(intent, refused, limits), patient, session.session_id, moment)
        if refused is None:
            return Intended(seq=row.seq)
        if was_asked:  # the ledger may have taken it down before it was lost: it was never granted
            never = ReceiptTaken(receipt=_never_granted(intent), lease_token=session.opened.lease_token)
            self._write(journal, never, patient, session.session_id, moment)
        return refused

    def _receive_here(self, journal: Journal, receipt: Receipt, moment: Moment) -> Duplicate | Settled | Differs | Recorded:
        session = self._known.sessions.get(receipt.session_id)
        if session is None:
            self._write(journal, ReceiptTaken(receipt=receipt, lease_token=None), None, receipt.session_id, moment)
            return Recorded(standing=Standing.UNKNOWN_SESSION, counted_pulses=None)
        rank = standing(session, receipt)
        if rank is Standing.DUPLICATE:
            return Duplicate(counted_pulses=counted(session, receipt))
        body = ReceiptTaken(receipt=receipt, lease_token=session.opened.lease_token)
        self._write(journal, body, session.request.patient, session.session_id, moment)
        return receipt_answer(self._session(receipt.session_id), receipt, rank)

    def _close_here(self, journal: Journal, session_id: str, state: CloseState, reason: str, moment: Moment) -> Closed | Refused:
        session = self._known.sessions.get(session_id)
        if session is None:
            return Refused(reasons=(DoseReason.SESSION_NOT_OPEN,), earliest_utc_us=None)
        closed = session.closed
        if closed is None:
            closed = closing(session, state, reason, recovered=False)
            self._write(journal, closed, session.request.patient, session_id, moment)
        return session.as_closed(closed)

    def _write(self, journal: Journal, body: Body, patient: str | None, session_id: str | None, moment: Moment) -> Row:
        row = journal.append(body, patient=patient, session_id=session_id, moment=moment)
        self._known = fold(self._known, (row,))
        return row

    def _session(self, session_id: str) -> Session:
        session = self._known.sessions.get(session_id)
        if session is None:
            what = "out of reach, and the session asked about is not this chair's"
            raise LedgerUnavailable(what, self._ledger.where, "Wait a moment, or call the engineer.")
        return session

    def _learn(self) -> None:
        """What the ledger now holds of the patient; what is not read anew stays as it was known."""
        known = None if self._patient is None else self._ledger.known_doses(self._patient)
        self._known = self._known if known is None else known


def _never_granted(intent: Intent) -> Receipt:
    return Receipt(
        session_id=intent.session_id,
        run_id=intent.run_id,
        grant_no=intent.grant_no,
        pulses=0,
        confirmed=True,
        first_mono_ns=None,
        last_mono_ns=None,
        final=True,
        reason="never granted",
    )


def _nothing(_row: Row) -> None:
    return None
