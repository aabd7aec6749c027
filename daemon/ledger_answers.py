"""A connection to PostgreSQL that waits for no answer longer than it was told to. Knows the driver, nothing of the ledger."""

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

Answer = TypeVar("Answer")
LOOK_UP_S = 0.1


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """Server-side time-outs help nothing against a server that hangs or a cable that is cut: this one is the client's own."""

    answer_within_s: float | None = None

    def wait(self, gen: PQGen[Answer], interval: float = LOOK_UP_S, timeout: float | None = None) -> Answer:
        """Raises OperationalError, and the connection is closed: what an unanswered statement did, nobody knows."""
        try:
            return super().wait(gen, interval, self.answer_within_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.close()
            raise psycopg.OperationalError(f"no answer within {self.answer_within_s} s") from error
