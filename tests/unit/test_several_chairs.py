"""Several chairs over one ledger: one at a time for one patient, whatever races, vanishes or keeps another time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import msgspec
import pytest

from daemon.day import DoseReason
from daemon.ledger import Closed, CloseState, Intended, LedgerUnavailable, Moment, Opened, Reconciliation, Refused, Settled
from daemon.ledger_postgres import Trust
from daemon.ledger_store import Ledger
from tests.engines import Cluster, Place
from tests.ledger_cases import LIMITS, at, given, intended, intent, limits, opened, reasons, receipt, request

CLIENTS = 50
PATIENCE_S = 60.0


def insisted(ask: Callable[[], Opened | Refused]) -> Opened | Refused:
    """Through a queue of writers that is longer than a chair waits."""
    while True:
        try:
            return ask()
        except LedgerUnavailable as error:
            assert "lock" in str(error) or "statement timeout" in str(error), error


def all_at_once(work: Callable[[int], object], count: int) -> list[object]:
    """So many threads that begin together."""
    gate = threading.Barrier(count)

    def begin(number: int) -> object:
        gate.wait(PATIENCE_S)
        return work(number)

    with ThreadPoolExecutor(max_workers=count) as pool:
        return [each.result(PATIENCE_S) for each in [pool.submit(begin, number) for number in range(count)]]


def test_fifty_chairs_race_for_one_patient_and_one_gets_him(cluster: Cluster) -> None:
    place_url = cluster.ledger_database()

    def race(number: int) -> Opened | Refused:
        ledger = Ledger.open(place_url, trust=Trust(clock=False, disk=False))
        try:
            return insisted(lambda: ledger.open_session(request(chair=f"chair-{number}"), at(0)))
        finally:
            ledger.close()

    answers = all_at_once(race, CLIENTS)
    granted = [answer for answer in answers if isinstance(answer, Opened)]
    assert len(granted) == 1
    assert all(DoseReason.PATIENT_BUSY in reasons(answer) for answer in answers if answer not in granted)
    ledger = Ledger.open(place_url, trust=Trust(clock=False, disk=False))
    assert (ledger.verify(), len(ledger.doses().sessions)) == (None, 1)
    assert len(ledger.rows()) == CLIENTS
    ledger.close()


def test_fifty_clients_of_one_patient_get_exactly_the_sessions_of_the_day(cluster: Cluster) -> None:
    """Each keeps asking until the day itself refuses it; whoever is granted gives one train and closes."""
    url = cluster.ledger_database()
    turn, clock_s = threading.Lock(), [0.0]
    day = limits(max_sessions_per_day=6, max_sessions_rolling=6)

    def moment(seconds: float) -> Moment:
        with turn:
            clock_s[0] += seconds
            return at(clock_s[0])

    def client(number: int) -> int:
        ledger, sessions = Ledger.open(url, trust=Trust(clock=False, disk=False)), 0
        try:
            while True:
                answer = insisted(lambda: ledger.open_session(request(chair=f"chair-{number}", limits=day), moment(0.001)))
                if isinstance(answer, Opened):
                    sessions += 1
                    one_train(ledger, answer)
                    moment(901)
                elif DoseReason.DAY_SESSIONS in answer.reasons and DoseReason.PATIENT_BUSY not in answer.reasons:
                    return sessions
        finally:
            ledger.close()

    def one_train(ledger: Ledger, session: Opened) -> None:
        now = moment(0.001)
        asked = intent(session, 1, now)
        assert isinstance(ledger.intend(asked, day, now), Intended)
        assert isinstance(ledger.receive(receipt(asked), moment(4)), Settled)
        assert isinstance(ledger.close_session(session.session_id, CloseState.PARTIAL, "done", moment(0.001)), Closed)

    # Ledger moments of different clients pass each other while they wait for their turn, by less than the tolerance.
    assert sum(int(str(each)) for each in all_at_once(client, CLIENTS)) == 6
    ledger = Ledger.open(url, trust=Trust(clock=False, disk=False))
    assert ledger.verify() is None
    assert len([each for each in ledger.doses().sessions.values() if each.counted_pulses]) == 6
    ledger.close()


def test_chair_that_vanished_blocks_its_patient_until_a_person_reconciles(place: Place) -> None:
    gone, other = place.open(), place.open()
    session = opened(gone, at(0))
    intended(gone, intent(session, 1, at(1)), at(1))
    gone.close()
    for seconds in (10, 31, 90_000):
        answer = other.open_session(request(chair="chair-2"), at(seconds))
        assert DoseReason.PATIENT_BUSY in reasons(answer)
        assert answer.earliest_utc_us is None  # type: ignore[union-attr]
    word = Reconciliation(session_id=session.session_id, trains=(), reason="the chair was switched off", by=("engineer-1",))
    assert isinstance(other.reconcile(word, at(90_001)), Closed)
    verdict = other.verdict("P1", 30, LIMITS, at(90_002))
    assert DoseReason.PATIENT_BUSY not in verdict.reasons
    assert isinstance(other.open_session(request(chair="chair-2"), at(90_003)), Opened)
    other.close()


def test_chair_that_comes_back_settles_its_own_session(place: Place) -> None:
    first, second = place.open(), place.open()
    opened(first, at(0))
    first.recover("chair-1", at(90))
    assert isinstance(second.open_session(request(chair="chair-2"), at(91)), Opened)
    first.close()
    second.close()


def test_old_token_fires_nothing_after_another_chair_took_over(place: Place) -> None:
    first, second = place.open(), place.open()
    old = opened(first, at(0))
    word = Reconciliation(session_id=old.session_id, trains=(), reason="taken for dead", by=("engineer-1",))
    assert isinstance(second.reconcile(word, at(31)), Closed)
    new = second.open_session(request(chair="chair-2"), at(32))
    assert isinstance(new, Opened)
    assert new.lease_token > old.lease_token
    assert not first.renew(old.session_id, old.lease_token, at(33))
    refused = reasons(first.intend(intent(old, 1, at(33)), LIMITS, at(33)))
    assert {DoseReason.SESSION_NOT_OPEN, DoseReason.LEASE_LOST} <= refused
    first.close()
    second.close()


def test_lease_outlives_a_train_of_twenty_minutes_and_a_long_hold(place: Place) -> None:
    ledger = place.open()
    session = opened(ledger, at(0), planned_pulses=2400, planned_trains=2, limits=limits(max_pulses_per_day=3000, max_pulses_rolling=3000))
    first = intent(session, 1, at(1), pulses=1200, length_ns=1_199_000_000_000)
    assert isinstance(ledger.intend(first, limits(max_pulses_per_day=3000, max_pulses_rolling=3000), at(1)), Intended)
    for seconds in range(10, 1800, 10):
        assert ledger.renew(session.session_id, session.lease_token, at(seconds))
    ledger.receive(receipt(first), at(1205))
    second = intent(session, 2, at(1799), pulses=1200, length_ns=1_199_000_000_000)
    assert isinstance(ledger.intend(second, limits(max_pulses_per_day=3000, max_pulses_rolling=3000), at(1799)), Intended)
    ledger.close()


def host_now(ahead_s: float = 0.0) -> Moment:
    """This host's clock, or one that stands so far ahead of it: the server of the tests keeps this host's."""
    return msgspec.structs.replace(at(0), utc_us=int((datetime.now(UTC).timestamp() + ahead_s) * 1e6))


@pytest.mark.parametrize(("ahead_s", "refused"), [(0.0, False), (60.0, True), (-60.0, True)])
def test_chair_whose_clock_is_not_the_servers_starts_nothing(cluster: Cluster, ahead_s: float, refused: bool) -> None:
    ledger = Ledger.open(cluster.ledger_database(), trust=Trust(disk=False))
    verdict = ledger.verdict("P1", 90, LIMITS, host_now(ahead_s))
    answer = ledger.open_session(request(), host_now(ahead_s))
    assert (DoseReason.CLOCK_SUSPECT in verdict.reasons) == refused
    if refused:
        assert reasons(answer) == {DoseReason.CLOCK_SUSPECT}
        assert verdict.earliest_utc_us is None
    else:
        assert isinstance(answer, Opened)
    ledger.close()


def test_lease_on_a_server_runs_by_the_servers_clock(cluster: Cluster) -> None:
    """A clock that jumps at the chair in the middle of a session neither ends its lease nor keeps it for ever."""
    ledger = Ledger.open(cluster.ledger_database(), trust=Trust(disk=False))
    session = ledger.open_session(request(), host_now())
    assert isinstance(session, Opened)
    jumped = msgspec.structs.replace(host_now(40.0), boot_id="boot-2")
    assert DoseReason.LEASE_LOST not in reasons_or_none(ledger.intend(intent(session, 1, jumped), LIMITS, jumped))
    ledger.close()


def reasons_or_none(answer: Intended | Refused) -> set[DoseReason]:
    return set(answer.reasons) if isinstance(answer, Refused) else set()


def test_two_chairs_write_one_chain(place: Place) -> None:
    ledgers = [place.open() for _ in range(2)]
    for number, ledger in enumerate(ledgers):
        given(ledger, 100 * number, patient=f"P{number}", chair=f"chair-{number}", trains=1)
    assert all(ledger.verify() is None for ledger in ledgers)
    assert [row.seq for row in ledgers[0].rows()] == list(range(1, 9))
    for ledger in ledgers:
        ledger.close()
