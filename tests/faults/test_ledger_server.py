"""A server that stops, hangs, forgets a chair or comes back: told within seconds, never waited for, and nothing is lost."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.ledger import Closed, CloseState, Intended, LedgerUnavailable, Opened
from daemon.ledger_chair import ChairLedger
from daemon.ledger_engines import Database
from daemon.ledger_journal import Journal
from daemon.ledger_store import Ledger
from tests.engines import TRUST, Cluster
from tests.ledger_cases import LIMITS, at, counted, intent, opened, receipt, request

ANSWER_WITHIN_S = 2.0
SLACK_S = 3.0  # of a busy machine; without a bound the wait would have no end


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A server of this file's own, which may be stopped and hung."""
    server = Cluster()
    yield server
    server.remove()


@pytest.fixture
def ledger(server: Cluster) -> Iterator[Ledger]:
    ledger = Ledger.open(server.ledger_database(), trust=TRUST)
    yield ledger
    ledger.close()


def test_session_outlives_its_server(server: Cluster, ledger: Ledger, tmp_path: Path) -> None:
    chair = ChairLedger(ledger, Journal(tmp_path / "journal"), "chair-1")
    session = chair.open_session(request(), at(0))
    assert isinstance(session, Opened)
    server.stop()
    for train in (1, 2, 3):
        moment = at(20 * train)
        asked = intent(session, train, moment)
        assert isinstance(chair.intend(asked, LIMITS, moment), Intended)
        chair.receive(receipt(asked), at(20 * train + 4))
    assert isinstance(chair.close_session(session.session_id, CloseState.COMPLETE, "done", at(90)), Closed)
    with pytest.raises(LedgerUnavailable):
        chair.open_session(request(), at(2000))
    assert not chair.answers()
    server.start()
    assert chair.answers()
    chair.settle(at(2001))
    assert counted(ledger) == 90
    assert isinstance(chair.open_session(request(), at(2002)), Opened)


def test_server_that_was_restarted_between_two_questions_is_asked_again(server: Cluster, ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    server.stop()
    server.start()
    assert isinstance(ledger.intend(intent(session, 1, at(1)), LIMITS, at(1)), Intended)


def test_server_that_hangs_is_told_within_two_seconds(server: Cluster, ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    session = opened(ledger, at(0))
    server.signal(signal.SIGSTOP)
    try:
        begun_s = time.monotonic()
        with pytest.raises(LedgerUnavailable, match="no answer within"):
            ledger.intend(intent(session, 1, at(1)), LIMITS, at(1))
        with pytest.raises(LedgerUnavailable, match="timeout"):
            Ledger.open(server.url("postgres"), trust=TRUST)
        assert time.monotonic() - begun_s < 2 * ANSWER_WITHIN_S + SLACK_S
        assert caplog.records == []  # the connection is given up, not asked again
    finally:
        server.signal(signal.SIGCONT)
    assert isinstance(ledger.intend(intent(session, 2, at(20)), LIMITS, at(20)), Intended)


def test_writer_that_keeps_its_turn_is_told_as_such_and_loses_it(server: Cluster) -> None:
    """A chair that is frozen inside its transaction: others are refused for a while, and then the server ends it."""
    url = server.ledger_database()
    frozen, ledger = Database(url, trust=TRUST), Ledger.open(url, trust=TRUST)
    with pytest.raises(LedgerUnavailable, match=r"idle-in-transaction|closed"), frozen.writing(at(0)) as turn:
        with pytest.raises(LedgerUnavailable, match="lock timeout"):
            ledger.open_session(request(), at(0))
        deadline_s = time.monotonic() + 20.0
        while not isinstance(_tried(ledger), Opened):
            assert time.monotonic() < deadline_s
        turn.connection.exec_driver_sql("SELECT 1")
    frozen.close()
    ledger.close()


def _tried(ledger: Ledger) -> object:
    try:
        return ledger.open_session(request(), at(1))
    except LedgerUnavailable:
        return None


def test_killed_chair_gives_its_turn_back(server: Cluster) -> None:
    url = server.ledger_database()
    child = os.fork()
    if child == 0:
        with Database(url, trust=TRUST).writing(at(0)):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    ledger = Ledger.open(url, trust=TRUST)
    assert isinstance(ledger.open_session(request(), at(1)), Opened)
    ledger.close()


def test_whole_ledger_is_read_while_others_write(server: Cluster) -> None:
    url = server.ledger_database()
    ledger, other = Ledger.open(url, trust=TRUST), Ledger.open(url, trust=TRUST)
    opened(ledger, at(0))
    with ledger.reading() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM entries").scalar_one()
        opened(other, at(1), patient="P2", chair="chair-2")
        assert connection.exec_driver_sql("SELECT count(*) FROM entries").scalar_one() == before == 1
    assert len(ledger.rows()) == 2
    ledger.close()
    other.close()
