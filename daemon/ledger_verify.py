"""Whether a ledger is whole: every row as it was written, and every closing row the sum of its session's rows. Pure.

Reads rows once, in order; keeps the rows of sessions that are open at that point and nothing else.
"""

from collections.abc import Iterable

from daemon.ledger import GENESIS_HASH, LedgerDamaged, Row, Value, row_hash
from daemon.ledger_fold import Doses, Session, fold


class Fault(Value, frozen=True, kw_only=True):
    """The first row that is not as it should be."""

    seq: int
    what: str


def first_fault(rows: Iterable[Row]) -> Fault | None:
    """Where the chain breaks, a row cannot be understood, or a closing row does not say what its session gave."""
    chain, sums = _Chain(), _Sums()
    for row in rows:
        if not chain.goes_on(row):
            return sums.not_understood() or Fault(seq=chain.expected, what="breaks the chain of hashes")
        if not sums.holds(row):
            return sums.not_understood() or Fault(seq=row.seq, what="does not say what its session gave")
    return sums.not_understood()


class _Chain:
    def __init__(self) -> None:
        self.expected = 1
        self._last_hash = GENESIS_HASH

    def goes_on(self, row: Row) -> bool:
        """Whether `row` is the next one; asked for each in turn."""
        if row.seq != self.expected or row.prev_hash != self._last_hash or row.hash != row_hash(row):
            return False
        self.expected += 1
        self._last_hash = row.hash
        return True


class _Sums:
    """The rows of sessions that are not closed yet, each read when its session closes, and of the others whatever stands alone."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Row]] = {}

    def holds(self, row: Row) -> bool:
        """Takes the row in; False if it is not understood, or is a closing row with a wrong sum."""
        session_id = row.session_id
        if session_id is None or (session_id not in self._rows and row.kind != "session_opened"):
            return self._is_understood(row)  # of no session, or of one that is closed: no sum has it
        self._rows.setdefault(session_id, []).append(row)
        if row.kind != "session_closed":
            return True
        try:
            session = fold(Doses(), self._rows[session_id]).sessions[session_id]
        except LedgerDamaged:
            return False
        if not _is_sum(session):
            return False
        del self._rows[session_id]
        return True

    def not_understood(self) -> Fault | None:
        """The first row of those still here that cannot be understood."""
        waiting = sorted((row for rows in self._rows.values() for row in rows), key=lambda row: row.seq)
        return next((Fault(seq=row.seq, what="cannot be understood") for row in waiting if not _is_understood(row)), None)

    def _is_understood(self, row: Row) -> bool:
        if _is_understood(row):
            return True
        self._rows.setdefault("", []).append(row)
        return False


def _is_understood(row: Row) -> bool:
    try:
        row.content()
    except LedgerDamaged:
        return False
    return True


def _is_sum(session: Session) -> bool:
    closed = session.closed
    return closed is None or (closed.counted_pulses == session.counted_pulses and closed.given in (None, session.segments))
