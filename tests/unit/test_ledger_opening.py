"""Opening a session: what is reserved, refused, and kept of it."""

from typing import Any

import pytest

from daemon.day import DoseReason
from daemon.ledger import CloseState, Refusal
from daemon.ledger_store import Ledger
from tests.engines import Place
from tests.ledger_cases import LENGTH_NS, LIMITS, MONDAY_13_UTC_US, at, given, limits, opened, reasons, request


def test_open_session_counts_its_whole_reservation(ledger: Ledger) -> None:
    opened(ledger, at(0))
    verdict = ledger.verdict("P1", 90, LIMITS, at(1))
    assert (verdict.sessions_today, verdict.pulses_today) == (1, 90)
    assert DoseReason.PATIENT_BUSY in verdict.reasons
    assert verdict.earliest_utc_us is None


def test_closed_session_counts_what_it_gave(ledger: Ledger) -> None:
    given(ledger, 0, trains=2)
    verdict = ledger.verdict("P1", 90, LIMITS, at(60))
    assert (verdict.sessions_today, verdict.pulses_today) == (1, 60)
    assert verdict.reasons == (DoseReason.MIN_GAP,)
    assert verdict.earliest_utc_us == MONDAY_13_UTC_US + 16_000_000 + LENGTH_NS // 1000 + 900_000_000


def test_session_of_no_pulse_counts_nothing_once_closed(ledger: Ledger) -> None:
    session = opened(ledger, at(0))
    ledger.close_session(session.session_id, CloseState.ABORTED, "patient left", at(5))
    verdict = ledger.verdict("P1", 90, LIMITS, at(6))
    assert (verdict.sessions_today, verdict.pulses_today, verdict.reasons) == (0, 0, ())


def test_start_is_refused_by_the_day_with_the_earliest_moment(ledger: Ledger) -> None:
    given(ledger, 0)
    answer = ledger.open_session(request(), at(60))
    assert reasons(answer) == {DoseReason.MIN_GAP}
    assert answer.earliest_utc_us == ledger.verdict("P1", 90, LIMITS, at(60)).earliest_utc_us  # type: ignore[union-attr]


def test_refusal_is_kept_with_what_it_was_judged_by(ledger: Ledger) -> None:
    given(ledger, 0)
    ledger.open_session(request(), at(60))
    last = ledger.rows()[-1]
    assert last.content() == Refusal(
        asked=request(),
        reasons=(DoseReason.MIN_GAP,),
        limits=LIMITS,
        earliest_utc_us=ledger.verdict("P1", 90, LIMITS, at(60)).earliest_utc_us,
    )
    assert (last.kind, last.patient) == ("refused", "P1")


def test_fencing_token_is_the_number_of_the_opening_row_and_only_rises(ledger: Ledger) -> None:
    first = opened(ledger, at(0))
    ledger.close_session(first.session_id, CloseState.ABORTED, "stopped", at(1))
    second = opened(ledger, at(2))
    rows = ledger.rows()
    assert (first.lease_token, second.lease_token) == (rows[0].seq, rows[2].seq) == (1, 3)
    assert (first.session_id, second.session_id) == ("20260302T130000Z-1", "20260302T130002Z-3")


def test_one_patients_doses_are_told_without_the_others(ledger: Ledger) -> None:
    opened(ledger, at(0))
    other = opened(ledger, at(1), chair="chair-2", patient="P2")
    assert list(ledger.doses("P2").sessions) == [other.session_id]
    assert len(ledger.doses().sessions) == 2


def test_second_chair_gets_patient_busy(ledger: Ledger, place: Place) -> None:
    opened(ledger, at(0))
    second = place.open()
    assert DoseReason.PATIENT_BUSY in reasons(second.open_session(request(chair="chair-2"), at(1)))
    second.close()


def test_lease_that_ran_out_over_an_unsettled_session_is_not_given_away(ledger: Ledger) -> None:
    opened(ledger, at(0))
    assert DoseReason.PATIENT_BUSY in reasons(ledger.open_session(request(chair="chair-2"), at(90_000)))


def test_chair_with_an_unsettled_session_opens_no_other(ledger: Ledger) -> None:
    opened(ledger, at(0))
    assert reasons(ledger.open_session(request(patient="P2"), at(1))) == {DoseReason.CHAIR_BUSY}


def test_two_chairs_treat_two_patients(ledger: Ledger) -> None:
    opened(ledger, at(0))
    opened(ledger, at(1), chair="chair-2", patient="P2")


def test_patients_do_not_count_for_each_other(ledger: Ledger) -> None:
    given(ledger, 0)
    assert ledger.verdict("P2", 90, LIMITS, at(60)).pulses_today == 0
    assert ledger.verdict("P1", 90, LIMITS, at(60)).pulses_today == 90


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"limits": limits(allowed_protocols=("itbs600",))}, DoseReason.PROTOCOL_NOT_ALLOWED),
        ({"set_point_mso": 73}, DoseReason.INTENSITY),
        ({"set_point_mso": 71, "limits": limits(max_set_point_mso=70)}, DoseReason.SET_POINT),
        ({"planned_pulses": 901, "limits": limits(max_pulses_rolling=901)}, DoseReason.DAY_PULSES),
    ],
)
def test_start_is_refused_for_the_one_thing_wrong_with_it(ledger: Ledger, changes: dict[str, Any], reason: DoseReason) -> None:
    answer = ledger.open_session(request(**changes), at(0))
    assert reasons(answer) == {reason}
    assert answer.earliest_utc_us is None  # type: ignore[union-attr]


def test_120_percent_of_the_motor_threshold_is_allowed_exactly(ledger: Ledger) -> None:
    opened(ledger, at(0), set_point_mso=72, rmt_mso=60)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"planned_pulses": 0}, "at least one train of one pulse"),
        ({"planned_trains": 0}, "at least one train of one pulse"),
        ({"train_gap_ns": -1}, "train_gap_ns is negative"),
        ({"set_point_mso": 0}, "are positive"),
        ({"rmt_mso": 0}, "are positive"),
        ({"rmt_mso": float("nan")}, "are positive"),
        ({"patient": ""}, "are named"),
        ({"operator": ""}, "are named"),
    ],
)
def test_request_that_makes_no_sense_cannot_be_made(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        request(**changes)


def test_smallest_session_of_all_is_opened(ledger: Ledger) -> None:
    opened(ledger, at(0), planned_pulses=1, planned_trains=1, train_gap_ns=0, set_point_mso=1)
