"""Ledgers of years, made in seconds: the rows that a chair would have written, straight into the tables. For benches alone."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg

from daemon.day import Segment
from daemon.ledger import (
    GENESIS_HASH,
    Body,
    CloseState,
    IntentMade,
    Moment,
    Opened,
    ReceiptTaken,
    Row,
    SessionClosed,
    SessionOpened,
    make_row,
)
from tests.ledger_cases import LENGTH_NS, TRAIN_NS, at, intent, receipt, request

TRAINS, PULSES = 60, 30
ROWS_OF_SESSION = 2 + 2 * TRAINS
YEARS_S = 5 * 365.25 * 86_400
BURSTS, BURST_NS = 10, 200_000_000
PATIENT = "P1"
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def years(rows: int, of_patient: int) -> Iterator[Row]:
    """About so many rows, spread evenly over five years; `of_patient` of their sessions are P1's, the others of a hundred patients."""
    sessions = rows // ROWS_OF_SESSION
    previous, seq = GENESIS_HASH, 0
    for number in range(sessions):
        is_his = (number + 1) * of_patient // sessions > number * of_patient // sessions
        patient = PATIENT if is_his else f"Q{number % 100}"
        for session_id, body, moment in _session(patient, seq + 1, number * YEARS_S / sessions):
            seq += 1
            row = make_row(seq=seq, prev_hash=previous, patient=patient, session_id=session_id, body=body, moment=moment)
            previous = row.hash
            yield row


def _session(patient: str, token: int, begun_s: float) -> Iterator[tuple[str, Body, Moment]]:
    opened = Opened(session_id=f"s{token}", lease_token=token)
    asked = request(patient=patient, planned_pulses=TRAINS * PULSES, planned_trains=TRAINS)
    yield opened.session_id, SessionOpened(request=asked, lease_token=token), at(begun_s)
    for train in range(1, TRAINS + 1):
        moment = at(begun_s + train * TRAIN_NS / 1e9)
        wanted = intent(opened, train, moment)
        yield opened.session_id, IntentMade(intent=wanted, limits_sha256="limits"), moment
        events = tuple(wanted.not_before_ns + burst * BURST_NS for burst in range(BURSTS))
        said = receipt(wanted, pulse_mono_ns=events)
        yield opened.session_id, ReceiptTaken(receipt=said, lease_token=token), at(begun_s + train * TRAIN_NS / 1e9 + 4)
    end = at(begun_s + (TRAINS + 1) * TRAIN_NS / 1e9)
    first, last_ns = at(begun_s + TRAIN_NS / 1e9), moment.mono_ns + 1_000_000_000 + LENGTH_NS
    given = Segment(
        session_id=opened.session_id,
        commanded=TRAINS * PULSES,
        acknowledged=TRAINS * PULSES,
        first_pulse_utc_us=first.utc_us + 1_000_000,
        last_pulse_utc_us=moment.utc_us + 1_000_000 + LENGTH_NS // 1000,
        last_pulse_mono_ns=last_ns,
        boot_id=moment.boot_id,
    )
    state = CloseState.COMPLETE
    body = SessionClosed(
        state=state, reason="done", recovered=False, counted_pulses=TRAINS * PULSES, lease_token=token, given=(given,)
    )
    yield opened.session_id, body, end


def into_file(file: Path, rows: Iterator[Row]) -> None:
    """Into an empty ledger's tables, without its triggers' or its disk's help."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(_INSERT, (msgspec.structs.astuple(row) for row in rows))


def into_server(address: str, rows: Iterator[Row]) -> None:
    with psycopg.connect(address) as connection, connection.cursor().copy("COPY entries FROM STDIN") as copy:
        for row in rows:
            copy.write_row(msgspec.structs.astuple(row))
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("ANALYZE entries")
