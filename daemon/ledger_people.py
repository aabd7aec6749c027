"""What people enter in the ledger: findings on trains, sessions given elsewhere, a restored ledger, a confirmed clock, a threshold.

Each is a row with names and a reason, inside the transaction that checked it; nothing that was written before is changed by it.
"""

from daemon import ledger_db
from daemon.day import DoseReason
from daemon.ledger import (
    Closed,
    CloseState,
    Entered,
    External,
    ExternalWithdrawn,
    Moment,
    Note,
    NotEntered,
    Reconciled,
    Reconciliation,
    Refused,
)
from daemon.ledger_acts import after
from daemon.ledger_fold import Doses, Session
from daemon.ledger_writing import Writing, end_session
from daemon.people import are_two

ACCEPTED = "accepted a ledger that differs from the one this chair last saw"


def reconcile(writing: Writing, session: Session | None, reconciliation: Reconciliation) -> Closed | Refused:
    """A person's word on trains that count in full; closes a session whose chair let its lease run out.

    PATIENT_BUSY while the session is open and its lease runs: its chair settles it. NO_OPEN_TRAIN for a train that does not
    count in full, and for a closed session when no train is named.
    """
    if session is None:
        return Refused(reasons=(DoseReason.SESSION_NOT_OPEN,), earliest_utc_us=None)
    session_id, token = session.session_id, session.opened.lease_token
    if session.closed is None and ledger_db.lease_is_held(writing.connection, session_id, token, writing.clock):
        return Refused(reasons=(DoseReason.PATIENT_BUSY,), earliest_utc_us=None)
    named = {(train.run_id, train.grant_no) for train in reconciliation.trains}
    if not named <= {(train.run_id, train.grant_no) for train in session.open_trains} or not (named or session.closed is None):
        return Refused(reasons=(DoseReason.NO_OPEN_TRAIN,), earliest_utc_us=None)
    body = Reconciled(reconciliation=reconciliation)
    session = after(session, writing.append(body, patient=session.request.patient, session_id=session_id))
    reason = f"reconciled: {reconciliation.reason}"
    return session.as_closed(session.closed or end_session(writing, session, CloseState.PARTIAL, reason, recovered=True))


def accept(writing: Writing, by: tuple[str, ...], reason: str) -> None:
    """Two people take this ledger as the right one although the witness saw another. Raises ValueError if they are one."""
    if not are_two(by):
        raise ValueError("two different people accept a ledger")
    if not reason.strip():
        raise ValueError("an acceptance states its reason")
    writing.append(Note(by=by, what=ACCEPTED, reason=reason), patient=None, session_id=None)
    writing.rewound = None


def enter_external(writing: Writing, doses: Doses, patient: str, entered: External) -> Entered | NotEntered:
    """A session given elsewhere: one session of treatment with its pulses, in every window."""
    why = _against_external(doses, entered, writing.moment)
    if why is not None:
        return why
    return Entered(seq=writing.append(entered, patient=patient, session_id=None).seq)


def withdraw_external(writing: Writing, doses: Doses, patient: str, withdrawal: ExternalWithdrawn) -> Entered | NotEntered:
    """Takes back an entry of a session given elsewhere, which stays legible."""
    if all(external.entry != withdrawal.entry for external in doses.externals):
        return NotEntered(
            why=f"row {withdrawal.entry} is no session given elsewhere of {patient} that counts", remedy="See `atmsd ledger show`."
        )
    return Entered(seq=writing.append(withdrawal, patient=patient, session_id=None).seq)


def _against_external(doses: Doses, entered: External, moment: Moment) -> NotEntered | None:
    if entered.last_pulse_utc_us > moment.utc_us:
        return NotEntered(why="its last pulse lies ahead of now", remedy="Correct the times; they are UTC.")
    for segment in doses.segments(moment.utc_us):
        apart = segment.last_pulse_utc_us < entered.first_pulse_utc_us or entered.last_pulse_utc_us < segment.first_pulse_utc_us
        if not apart:
            why = f"{segment.session_id} of the same patient was given at that time"
            return NotEntered(why=why, remedy="It is counted already, or the times are wrong.")
    return None
