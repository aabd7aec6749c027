"""`ledger`: what a ledger of years costs: opening a session for a patient with five of them, and verifying a million rows.

On a SQLite file and on a PostgreSQL server of the bench's own, which flushes its commits.
"""

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from bench.ledger_years import PATIENT, YEARS_S, into_file, into_server, years
from bench.options import CouldNotRun, Options
from bench.table import Row, ms, print_rows
from daemon import ledger
from daemon.ledger import CloseState, Opened
from daemon.ledger_postgres import Trust
from daemon.ledger_store import Ledger
from tests.engines import Cluster
from tests.ledger_cases import at, limits, request

OPENINGS, PLANNED = 20, 90
LEDGER_ROWS, PATIENT_SESSIONS = 300_000, 500  # ten courses of fifty sessions of sixty trains are the patient's
VERIFIED_ROWS = 1_000_000
OPEN_BUDGET, VERIFY_BUDGET = (("p50", 50.0),), (("max", 20.0),)
TRUST = Trust(clock=False)
WIDE = limits(max_course_sessions=10_000, max_treatment_days=10_000)
NewLedger = Callable[[Iterator[ledger.Row]], str]


def run(options: Options) -> None:
    rows = []
    for engine, new_ledger in (("SQLite", _file_ledgers), ("PostgreSQL", _server_ledgers)):
        with new_ledger() as new:
            url = new(years(LEDGER_ROWS, PATIENT_SESSIONS))
            openings = [_opening(url, number) for number in range(options.count_or(OPENINGS))]
            rows.append(Row(f"{engine}: session opened, five years known", ms(openings), budget=OPEN_BUDGET))
            url = new(years(VERIFIED_ROWS, PATIENT_SESSIONS))
            took_s, of_it_own_s = _verification(url)
            rows.append(Row(f"{engine}: {VERIFIED_ROWS} rows verified", [took_s], unit="s", budget=VERIFY_BUDGET))
            rows.append(Row("  of it our own process's", [of_it_own_s], unit="s"))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    note = f"an opening is verdict and reservation, nothing known before; most memory ever used: {peak_mb:.0f} MB"
    print_rows("ledger of years", rows, [note])


def _opening(url: str, number: int) -> int:
    """ns of a verdict and a reservation by a chair that has just started."""
    opened = Ledger.open(url, trust=TRUST)
    moment = at(YEARS_S + 86_400 * (1 + number))
    begun_ns = time.perf_counter_ns()
    opened.verdict(PATIENT, PLANNED, WIDE, moment)
    answer = opened.open_session(request(patient=PATIENT, limits=WIDE, planned_pulses=PLANNED), moment)
    took_ns = time.perf_counter_ns() - begun_ns
    if not isinstance(answer, Opened):
        raise CouldNotRun(f"the ledger's answer to an opening: {answer}")
    opened.close_session(answer.session_id, CloseState.ABORTED, "bench", moment)
    opened.close()
    return took_ns


def _verification(url: str) -> tuple[float, float]:
    """Seconds that passed, and those of the processor that this process took: others may be busy here."""
    opened = Ledger.open(url, read_only=True, trust=TRUST)
    begun_s, begun_own_s = time.perf_counter(), time.process_time()
    fault = opened.verify()
    took_s, of_it_own_s = time.perf_counter() - begun_s, time.process_time() - begun_own_s
    opened.close()
    if fault is not None:
        raise CouldNotRun(f"row {fault.seq} {fault.what}")
    return took_s, of_it_own_s


@contextmanager
def _file_ledgers() -> Iterator[NewLedger]:
    with tempfile.TemporaryDirectory(prefix="atmsd-bench-") as folder:
        files = (Path(folder) / f"{name}.sqlite" for name in ("opening", "verifying"))

        def new(rows: Iterator[ledger.Row]) -> str:
            file = next(files)
            Ledger.open(f"sqlite:///{file}").close()
            into_file(file, rows)
            return f"sqlite:///{file}"

        yield new


@contextmanager
def _server_ledgers() -> Iterator[NewLedger]:
    try:
        server = Cluster(flushes=True)
    except RuntimeError as error:
        raise CouldNotRun(str(error)) from error

    def new(rows: Iterator[ledger.Row]) -> str:
        url = server.empty_database()
        Ledger.open(url, trust=TRUST).close()
        into_server(f"host={server.folder} user=atmsd dbname={make_url(url).database}", rows)
        return url

    try:
        yield new
    finally:
        server.remove()
