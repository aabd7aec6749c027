"""`commit`: what one dose decision costs on disk: intent, receipt and lease, each checked against every limit and committed durably.

A treatment day of ten sessions of sixty trains, one after the other, so that the ledger fills as it does; on a SQLite file, on a
PostgreSQL server that flushes its commits, and beside them SQLite alone.
"""

import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from bench.options import CouldNotRun, Options
from bench.table import Row, ms, print_rows
from daemon.ledger import Closed, CloseState, Intended, Opened, Settled
from daemon.ledger_postgres import Trust
from daemon.ledger_store import Ledger
from daemon.witness import Witness
from tests.engines import Cluster
from tests.ledger_cases import LENGTH_NS, TRAIN_NS, at, intent, limits, receipt, request

SESSIONS, TRAINS, PULSES = 10, 60, 30
APART_S, RECEIPT_S = 3_000.0, 4.0
BARE = 300
LIMITS = limits(max_pulses_per_day=SESSIONS * TRAINS * PULSES, max_pulses_rolling=SESSIONS * TRAINS * PULSES)
Answer = TypeVar("Answer")


class Costs:
    """ns of each question, by its name."""

    def __init__(self) -> None:
        self.took_ns: dict[str, list[int]] = {}

    def ask(self, what: str, question: Callable[[], object], wanted: type[Answer]) -> Answer:
        begun_ns = time.perf_counter_ns()
        answer = question()
        self.took_ns.setdefault(what, []).append(time.perf_counter_ns() - begun_ns)
        if not isinstance(answer, wanted):
            raise CouldNotRun(f"the ledger's answer to {what}: {answer}")
        return answer


def run(options: Options) -> None:
    with tempfile.TemporaryDirectory(prefix="atmsd-bench-") as folder:
        rows = _day("SQLite", f"sqlite:///{Path(folder) / 'ledger.sqlite'}", Path(folder), options)
        rows.append(Row("bare SQLite, WAL, synchronous=FULL: one row", ms(_bare(Path(folder) / "bare.sqlite"))))
        try:
            server = Cluster(flushes=True)
        except RuntimeError as error:
            raise CouldNotRun(str(error)) from error
        try:
            rows += _day("PostgreSQL", server.empty_database(), Path(folder), options)
        finally:
            server.remove()
    print_rows(f"commit: a dose ledger on disk in {tempfile.gettempdir()}", rows)


def _day(engine: str, url: str, folder: Path, options: Options) -> list[Row]:
    costs = Costs()
    ledger = Ledger.open(url, witness=Witness(folder / f"{engine}.witness"), trust=Trust(clock=False))
    for number in range(options.count_or(SESSIONS)):
        _session(ledger, costs, number * APART_S)
    ledger.close()
    return [Row(f"{engine}: {what}", ms(took_ns)) for what, took_ns in costs.took_ns.items()]


def _session(ledger: Ledger, costs: Costs, begun_s: float) -> None:
    asked = request(planned_pulses=TRAINS * PULSES, planned_trains=TRAINS, train_gap_ns=TRAIN_NS - LENGTH_NS, limits=LIMITS)
    opened = costs.ask("session opened", partial(ledger.open_session, asked, at(begun_s)), Opened)
    for train in range(1, TRAINS + 1):
        begins_s = begun_s + train * TRAIN_NS / 1e9
        wanted = intent(opened, train, at(begins_s))
        costs.ask("lease renewed", partial(ledger.renew, opened.session_id, opened.lease_token, at(begins_s)), bool)
        costs.ask("intent", partial(ledger.intend, wanted, LIMITS, at(begins_s)), Intended)
        costs.ask("receipt", partial(ledger.receive, receipt(wanted), at(begins_s + RECEIPT_S)), Settled)
    end = at(begun_s + (TRAINS + 1) * TRAIN_NS / 1e9)
    costs.ask("session closed", partial(ledger.close_session, opened.session_id, CloseState.COMPLETE, "done", end), Closed)


def _bare(file: Path) -> list[int]:
    took_ns = []
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE row (text TEXT)")
    for _ in range(BARE):
        begun_ns = time.perf_counter_ns()
        connection.execute("INSERT INTO row VALUES (?)", ("x" * 600,))
        connection.commit()
        took_ns.append(time.perf_counter_ns() - begun_ns)
    connection.close()
    return took_ns
