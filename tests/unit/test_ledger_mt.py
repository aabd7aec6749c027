"""A search for the motor threshold in the ledger: its own rules at opening and for each pulse, its own count, and what it found."""

from typing import Any

import msgspec
import pytest

from daemon.day import DoseReason
from daemon.ledger import CloseState, Intended, Opened, OpenRequest, Refused
from daemon.ledger_store import Ledger
from daemon.purpose import Purpose
from tests import mt_cases
from tests.ledger_cases import LIMITS, at, given, intent, limits, reasons, receipt, request

INTERVAL_NS = 5_000_000_000


def search(**changes: Any) -> OpenRequest:
    usual = {
        "purpose": Purpose.MT,
        "protocol": "mt",
        "rmt_mso": None,
        "planned_pulses": 60,
        "planned_trains": 60,
        "train_gap_ns": INTERVAL_NS,
        "set_point_mso": 90,
    }
    return request(**(usual | changes))


def begun(ledger: Ledger, start_s: float = 0, **changes: Any) -> Opened:
    answer = ledger.open_session(search(**changes), at(start_s))
    assert isinstance(answer, Opened), answer
    return answer


def pulse(ledger: Ledger, session: Opened, number: int, start_s: float, **changes: Any) -> Intended | Refused:
    asked = intent(session, number, at(start_s), **({"pulses": 1, "length_ns": 0, "amplitude_pct": 50} | changes))
    answer = ledger.intend(asked, LIMITS, at(start_s))
    if isinstance(answer, Intended):
        ledger.receive(receipt(asked), at(start_s + 1.5))
    return answer


def test_single_pulses_count_apart(ledger: Ledger) -> None:
    session = begun(ledger)
    for number in range(1, 4):
        assert isinstance(pulse(ledger, session, number, 6 * number), Intended)
    ledger.close_session(session.session_id, CloseState.COMPLETE, "found", at(30))
    verdict = ledger.verdict("P1", 90, LIMITS, at(31))
    assert (verdict.mt_pulses_today, verdict.pulses_today, verdict.sessions_today, verdict.reasons) == (3, 0, 0, ())


def test_search_is_refused_when_the_days_pulses_are_used_up(ledger: Ledger) -> None:
    tight = limits(max_mt_pulses_per_day=59)
    assert reasons(ledger.open_session(search(limits=tight), at(0))) == {DoseReason.MT_PULSES}


def test_treatments_rules_do_not_hold_back_a_search(ledger: Ledger) -> None:
    given(ledger, 0)
    nothing = limits(max_sessions_per_day=0, max_pulses_per_day=0, max_intensity_pct_rmt=0, allowed_protocols=("itbs600",))
    begun(ledger, 60, limits=nothing)


def test_verdict_follows_the_purpose(ledger: Ledger) -> None:
    given(ledger, 0)
    assert ledger.verdict("P1", 60, LIMITS, at(60)).reasons == (DoseReason.MIN_GAP,)
    assert ledger.verdict("P1", 60, LIMITS, at(60), purpose=Purpose.MT).reasons == ()


def test_patient_is_one_chairs_in_a_search_too(ledger: Ledger) -> None:
    begun(ledger)
    assert DoseReason.PATIENT_BUSY in reasons(ledger.open_session(request(chair="chair-2"), at(6)))
    assert DoseReason.PATIENT_BUSY in reasons(ledger.open_session(search(chair="chair-2"), at(6)))


@pytest.mark.parametrize(("start_s", "refused"), [(5.9, True), (6.1, False)])
def test_next_pulse_keeps_the_interval_from_the_last(ledger: Ledger, start_s: float, refused: bool) -> None:
    session = begun(ledger)
    assert isinstance(pulse(ledger, session, 1, 1), Intended)  # given at second 2
    assert isinstance(pulse(ledger, session, 2, start_s), Refused) is refused


def test_first_pulse_keeps_the_interval_from_a_treatment_before(ledger: Ledger) -> None:
    given(ledger, 0)  # its last pulse at second 27.84
    session = begun(ledger, 36)
    slow = limits(min_mt_pulse_interval_s=20)
    asked = intent(session, 1, at(36.5), pulses=1, length_ns=0, amplitude_pct=50)
    assert DoseReason.MT_INTERVAL in reasons(ledger.intend(asked, slow, at(36.5)))
    assert isinstance(ledger.intend(asked, LIMITS, at(36.5)), Intended)


def test_pulse_above_the_searchs_own_cap_is_refused(ledger: Ledger) -> None:
    session = begun(ledger)
    assert reasons(pulse(ledger, session, 1, 6, amplitude_pct=91)) == {DoseReason.SET_POINT}


def test_pulses_never_pass_what_the_search_planned(ledger: Ledger) -> None:
    session = begun(ledger, planned_pulses=1, planned_trains=1)
    assert isinstance(pulse(ledger, session, 1, 6), Intended)
    assert DoseReason.SESSION_PULSES in reasons(pulse(ledger, session, 2, 20))


def test_pulses_that_nobody_asked_for_in_a_search_count_as_treatment(ledger: Ledger) -> None:
    session = begun(ledger)
    assert isinstance(pulse(ledger, session, 1, 6), Intended)
    ledger.ungranted(session_id=session.session_id, patient=None, pulses=4, mono_ns=at(9).mono_ns, how="panel", moment=at(9))
    ledger.close_session(session.session_id, CloseState.ABORTED, "panel", at(12))
    verdict = ledger.verdict("P1", 90, LIMITS, at(13))
    assert (verdict.mt_pulses_today, verdict.pulses_today, verdict.sessions_today) == (1, 4, 1)
    assert verdict.reasons == (DoseReason.MIN_GAP,)


def test_what_a_pulse_gave_beyond_itself_counts_as_treatment(ledger: Ledger) -> None:
    session = begun(ledger)
    asked = intent(session, 1, at(6), pulses=1, length_ns=0, amplitude_pct=50)
    assert isinstance(ledger.intend(asked, LIMITS, at(6)), Intended)
    ledger.receive(receipt(asked, pulses=30), at(8))
    ledger.close_session(session.session_id, CloseState.ABORTED, "it gave a train", at(12))
    verdict = ledger.verdict("P1", 90, LIMITS, at(13))
    assert (verdict.mt_pulses_today, verdict.pulses_today) == (1, 29)


def test_reserved_pulses_of_another_chairs_search_count_for_the_day(ledger: Ledger) -> None:
    begun(ledger)
    assert ledger.verdict("P1", 1, LIMITS, at(6), purpose=Purpose.MT).mt_pulses_today == 60


def test_latest_threshold_is_the_one_saved_last(ledger: Ledger) -> None:
    first = mt_cases.record(patient="P1", value_mso=50.0)
    assert ledger.latest_threshold("P1") is None
    ledger.save_threshold(first, at(0))
    ledger.save_threshold(mt_cases.record(patient="P2", value_mso=70.0), at(1))
    ledger.save_threshold(msgspec.structs.replace(first, value_mso=51.0), at(2))
    latest = ledger.latest_threshold("P1")
    assert latest is not None
    assert latest.value_mso == 51.0


def test_saved_threshold_is_part_of_the_chain_and_changes_no_count(ledger: Ledger) -> None:
    given(ledger, 0)
    before = ledger.verdict("P1", 90, LIMITS, at(2000))
    ledger.save_threshold(mt_cases.record(patient="P1"), at(1999))
    assert (ledger.verify(), ledger.verdict("P1", 90, LIMITS, at(2000))) == (None, before)
