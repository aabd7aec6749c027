"""The ledger as others read it: sessions and trains as JSON or CSV, with every stored row beside them.

Owns the shape of the export, not the counting. A ledger of any size passes through piece by piece.
"""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from daemon import ledger_db
from daemon.ledger import Row, Value
from daemon.ledger_db import ENTRIES
from daemon.ledger_fold import Doses, Session, Stray, Train, fold
from daemon.ledger_store import Ledger
from daemon.ledger_verify import first_fault

SCHEMA = "atmsd.ledger/1"


class FirstBad(Value, frozen=True, kw_only=True):
    """The first row that breaks the chain of hashes."""

    first_bad_seq: int


class TrainExport(Value, frozen=True, kw_only=True):
    """One grant. `basis` says what its count rests on; times are monotonic, null where no receipt brought them."""

    train: int | None
    grant_no: int
    run_id: str
    amplitude_pct: int | None
    intended_pulses: int | None
    counted_pulses: int
    basis: str
    confirmed: bool
    not_before_mono_ns: int | None
    expires_mono_ns: int | None
    first_pulse_mono_ns: int | None
    last_pulse_mono_ns: int | None
    pulse_mono_ns: tuple[int, ...]


class UngrantedExport(Value, frozen=True, kw_only=True):
    pulses: int
    utc: str
    mono_ns: int | None
    how: str


class SessionExport(Value, frozen=True, kw_only=True):
    """One session. While it is OPEN others count `planned_pulses`; `last_pulse_is_bound`: the latest it could have been."""

    session_id: str
    patient: str
    protocol: str
    chair: str
    state: str
    reason: str | None
    recovered: bool
    opened_utc: str
    closed_utc: str | None
    planned_pulses: int
    counted_pulses: int
    first_pulse_utc: str | None
    last_pulse_utc: str | None
    last_pulse_mono_ns: int | None
    last_pulse_is_bound: bool
    boot_id: str
    trains: tuple[TrainExport, ...]
    ungranted: tuple[UngrantedExport, ...]


class RowExport(Value, frozen=True, kw_only=True):
    """A row as it is stored, so that anyone can work the hashes out again."""

    seq: int
    prev_hash: str
    hash: str
    kind: str
    utc_us: int
    mono_ns: int
    boot_id: str
    patient: str | None
    session_id: str | None
    body: msgspec.Raw


def export_json(ledger: Ledger) -> Iterator[str]:
    """The whole ledger as one JSON object, in pieces: `schema`, `verified`, `sessions`, `ungranted`, `rows`.

    `ungranted` are pulses that no open session held. Raises LedgerDamaged when a row cannot be understood.
    """
    with ledger.reading() as connection:
        fault = first_fault(ledger_db.stream(connection))
        verified: bool | FirstBad = True if fault is None else FirstBad(first_bad_seq=fault.seq)
        yield f'{{"schema":{_json(SCHEMA)},"verified":{_json(verified)},"sessions":['
        strays = list(_strays_outside(connection))
        sessions = _Listed()
        for doses in _each_session(connection):
            strays += doses.strays
            yield from (sessions.item(session_export(session)) for session in doses.sessions.values())
        yield '],"ungranted":['
        ungranted = _Listed()
        yield from (ungranted.item(_ungranted(stray)) for stray in sorted(strays, key=lambda stray: stray.seq))
        yield '],"rows":['
        listed = _Listed()
        yield from (listed.item(_row(row)) for row in ledger_db.stream(connection))
        yield "]}\n"


def export_csv(ledger: Ledger) -> Iterator[str]:
    """One line a train, with what its session says beside it; times of single pulses are left to the JSON. Raises LedgerDamaged."""
    of_session = ("session_id", "patient", "protocol", "chair", "state", "opened_utc", "closed_utc")
    of_train = tuple(name for name in TrainExport.__struct_fields__ if name != "pulse_mono_ns")
    yield _line(of_session + of_train)
    with ledger.reading() as connection:
        for doses in _each_session(connection):
            for session in map(session_export, doses.sessions.values()):
                head = [getattr(session, name) for name in of_session]
                yield from (_line((*head, *(getattr(train, name) for name in of_train))) for train in session.trains)


class _Listed:
    """Items of a JSON list, one after the other."""

    def __init__(self) -> None:
        self._before = "\n"

    def item(self, value: object) -> str:
        text, self._before = self._before + _json(value), ",\n"
        return text


def _each_session(connection: Connection) -> Iterator[Doses]:
    """Each session by itself, in the order of their opening, with the stray pulses that came after its end."""
    opened = sa.select(ENTRIES.c.session_id).where(ENTRIES.c.kind == "session_opened").order_by(ENTRIES.c.seq)
    for session_id in connection.execute(opened).scalars().all():
        yield fold(Doses(), ledger_db.rows(connection, ENTRIES.c.session_id == session_id))


def _strays_outside(connection: Connection) -> tuple[Stray, ...]:
    """Pulses of no session that this ledger knows."""
    opened = sa.select(ENTRIES.c.session_id).where(ENTRIES.c.kind == "session_opened")
    is_outside = sa.or_(ENTRIES.c.session_id.is_(None), ENTRIES.c.session_id.not_in(opened))
    return fold(Doses(), ledger_db.stream(connection, ENTRIES.c.kind == "ungranted", is_outside)).strays


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _line(cells: tuple[object, ...]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def session_export(session: Session) -> SessionExport:
    """One session with its trains."""
    closed, segment = session.closed, session.segment
    return SessionExport(
        session_id=session.session_id,
        patient=session.request.patient,
        protocol=session.request.protocol,
        chair=session.request.chair,
        state="OPEN" if closed is None else closed.state,
        reason=None if closed is None else closed.reason,
        recovered=closed is not None and closed.recovered,
        opened_utc=utc_text(session.moment.utc_us),
        closed_utc=None if session.closed_utc_us is None else utc_text(session.closed_utc_us),
        planned_pulses=session.request.planned_pulses,
        counted_pulses=session.counted_pulses,
        first_pulse_utc=None if segment is None else utc_text(segment.first_pulse_utc_us),
        last_pulse_utc=None if segment is None else utc_text(segment.last_pulse_utc_us),
        last_pulse_mono_ns=None if segment is None else segment.last_pulse_mono_ns,
        last_pulse_is_bound=segment is not None and segment.last_pulse_is_bound,
        boot_id=session.moment.boot_id,
        trains=tuple(_train(train) for train in session.trains),
        ungranted=tuple(_ungranted(stray) for stray in session.strays),
    )


def utc_text(utc_us: int) -> str:
    """ISO 8601 with µs and Z."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=utc_us)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def _train(train: Train) -> TrainExport:
    intent, receipts = train.intent, [seen.receipt for seen in train.receipts]
    fullest = max(receipts, key=lambda receipt: (receipt.pulses, receipt.pulse_mono_ns), default=None)
    return TrainExport(
        train=None if intent is None else intent.train_no,
        grant_no=train.grant_no,
        run_id=train.run_id,
        amplitude_pct=None if intent is None else intent.amplitude_pct,
        intended_pulses=None if intent is None else intent.pulses,
        counted_pulses=train.counted_pulses,
        basis=train.basis,
        confirmed=fullest is not None and fullest.confirmed,
        not_before_mono_ns=None if intent is None else intent.not_before_ns,
        expires_mono_ns=None if intent is None else intent.expires_ns,
        first_pulse_mono_ns=None if fullest is None else fullest.first_mono_ns,
        last_pulse_mono_ns=None if fullest is None else fullest.last_mono_ns,
        pulse_mono_ns=() if fullest is None else fullest.pulse_mono_ns,
    )


def _ungranted(stray: Stray) -> UngrantedExport:
    return UngrantedExport(pulses=stray.pulses.count, utc=utc_text(stray.pulses.last_utc_us), mono_ns=stray.mono_ns, how=stray.how)


def _row(row: Row) -> RowExport:
    return RowExport(**msgspec.structs.asdict(row) | {"body": msgspec.Raw(row.body.encode())})
