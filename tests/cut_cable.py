"""A cable between a chair and its ledger that a test can cut: before a transaction, or after it, so that its answer is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from daemon.ledger import LedgerUnavailable, Moment
from daemon.ledger_engines import Transaction
from daemon.ledger_store import Ledger


class Cable:
    def __init__(self, ledger: Ledger) -> None:
        self._database = ledger._database
        self._writing = ledger._database.writing
        self.state: Literal["whole", "cut", "answers lost"] = "whole"
        self._database.writing = self._through  # type: ignore[method-assign]

    @contextmanager
    def _through(self, moment: Moment) -> Iterator[Transaction]:
        if self.state == "cut":
            raise _lost()
        with self._writing(moment) as turn:
            yield turn
        if self.state == "answers lost":
            raise _lost()


def _lost() -> LedgerUnavailable:
    return LedgerUnavailable("the cable is cut", "ledger", "Mend it.")
