"""Exports of either engine: the same pieces, whole JSON, and nothing kept in memory that need not be."""

import csv
import json
from collections.abc import Iterator

import pytest

from daemon.ledger import CloseState
from daemon.ledger_export import export_csv, export_json
from daemon.ledger_store import Ledger
from tests.ledger_cases import at, given, intended, intent, opened


@pytest.fixture
def busy(ledger: Ledger) -> Iterator[Ledger]:
    """Two patients, an open session, stray pulses in and out of sessions."""
    first = given(ledger, 0)
    ledger.ungranted(session_id=first, patient=None, pulses=2, mono_ns=None, how="panel", moment=at(100))
    session = opened(ledger, at(200), patient="P2", chair="chair-2")
    intended(ledger, intent(session, 1, at(201)), at(201))
    ledger.ungranted(session_id=session.session_id, patient=None, pulses=1, mono_ns=at(210).mono_ns, how="pedal", moment=at(211))
    ledger.ungranted(session_id="elsewhere", patient="P3", pulses=3, mono_ns=None, how="panel", moment=at(220))
    ledger.ungranted(session_id=None, patient="P3", pulses=4, mono_ns=None, how="panel", moment=at(230))
    yield ledger


def test_export_tells_every_session_and_every_stray_pulse_once(busy: Ledger) -> None:
    whole = json.loads("".join(export_json(busy)))
    assert (whole["schema"], whole["verified"]) == ("atmsd.ledger/1", True)
    assert [(each["patient"], each["state"], each["counted_pulses"]) for each in whole["sessions"]] == [
        ("P1", "COMPLETE", 90),
        ("P2", "OPEN", 31),
    ]
    assert [each["pulses"] for each in whole["sessions"][1]["ungranted"]] == [1]
    assert [each["pulses"] for each in whole["ungranted"]] == [2, 3, 4]
    assert [row["seq"] for row in whole["rows"]] == list(range(1, len(busy.rows()) + 1))
    assert [row["hash"] for row in whole["rows"]] == [row.hash for row in busy.rows()]


def test_export_of_an_empty_ledger_is_whole_json(ledger: Ledger) -> None:
    whole = json.loads("".join(export_json(ledger)))
    assert (whole["sessions"], whole["ungranted"], whole["rows"]) == ([], [], [])


def test_table_has_a_line_for_each_train(busy: Ledger) -> None:
    table = list(csv.DictReader("".join(export_csv(busy)).splitlines()))
    assert [(line["patient"], line["counted_pulses"], line["basis"]) for line in table] == [
        *[("P1", "30", "receipt")] * 3,
        ("P2", "30", "intent_in_full"),
    ]


def test_export_comes_in_pieces_of_a_session_or_a_row(busy: Ledger) -> None:
    assert max(len(piece) for piece in export_json(busy)) < 10_000


def test_export_that_is_left_in_the_middle_holds_nothing_up(busy: Ledger) -> None:
    pieces = export_json(busy)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    session = opened(busy, at(2000))
    busy.close_session(session.session_id, CloseState.ABORTED, "stopped", at(2001))
