"""One write transaction of the ledger: the rows that it adds, and the end of a session. What rows mean is decided elsewhere."""

from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from daemon import ledger_db
from daemon.ledger import Body, CloseState, Moment, Row, SessionClosed
from daemon.ledger_acts import closing
from daemon.ledger_fold import Session
from daemon.ledger_history import History
from daemon.witness import Rewound


@dataclass(slots=True)
class Writing:
    """One write transaction at one moment, and the rows that it added. `clock`: that moment by the ledger's own wall clock."""

    connection: Connection
    moment: Moment
    clock: Moment
    rewound: Rewound | None
    added: list[Row] = field(default_factory=list)
    history: History | None = None

    def append(self, body: Body, *, patient: str | None, session_id: str | None, moment: Moment | None = None) -> Row:
        """`moment`: when it was, where that is not now."""
        when = self.moment if moment is None else moment
        row = ledger_db.append(self.connection, patient=patient, session_id=session_id, body=body, moment=when)
        self.added.append(row)
        return row


def end_session(writing: Writing, session: Session, state: CloseState, reason: str, *, recovered: bool) -> SessionClosed:
    """The closing row, and the lease given back."""
    body = closing(session, state, reason, recovered=recovered)
    writing.append(body, patient=session.request.patient, session_id=session.session_id)
    ledger_db.drop_lease(writing.connection, session.session_id)
    return body
