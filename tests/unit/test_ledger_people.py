"""What people enter in the ledger: sessions given elsewhere, overrides in use, layers that vanish, a confirmed clock."""

from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest

from daemon.day import DoseReason, Proposed, day_verdict
from daemon.ledger import (
    Body,
    ClockConfirmed,
    CloseState,
    Entered,
    External,
    ExternalWithdrawn,
    NotEntered,
    OverrideUsed,
    Reconciliation,
    Refusal,
    Refused,
    SessionOpened,
)
from daemon.ledger_fold import ExternalSession
from daemon.ledger_store import Ledger
from daemon.limits import Layer, Limits, Override, effective_limits
from tests.engines import Place
from tests.ledger_cases import LIMITS, at, given, limits, opened, reasons, request

BOTH = ("Ada", "Ben")
PROTOCOL = Layer(
    name="protocol",
    limits={"max_sessions_per_day": 10, "max_pulses_per_day": 900, "min_gap_s": 900, "max_course_sessions": 50, "max_treatment_days": 5},
    sha256="protocol",
)
PATIENT = Layer(name="patient", limits={"max_sessions_per_day": 4}, sha256="patient", signed=True)


def elsewhere(first_s: float, last_s: float, **changes: Any) -> External:
    usual = External(
        pulses=60,
        first_pulse_utc_us=at(first_s).utc_us,
        last_pulse_utc_us=at(last_s).utc_us,
        site="the other hospital",
        by=BOTH,
        reason="told by the patient, confirmed by telephone",
    )
    return msgspec.structs.replace(usual, **changes)


def under(*layers: Layer) -> Limits:
    return effective_limits(layers, "America/New_York")


# ---- sessions given elsewhere ------------------------------------------------------------------------------------------


def test_session_given_elsewhere_counts_in_every_window(ledger: Ledger) -> None:
    assert isinstance(ledger.enter_external("P1", elsewhere(0, 100), at(200)), Entered)
    verdict = ledger.verdict("P1", 90, LIMITS, at(300))
    assert (verdict.sessions_today, verdict.pulses_today, verdict.sessions_rolling, verdict.pulses_rolling) == (1, 60, 1, 60)
    assert (verdict.course_sessions, verdict.course_days) == (1, 1)
    assert verdict.reasons == (DoseReason.MIN_GAP,)
    assert verdict.earliest_utc_us == at(1000).utc_us


def test_session_given_elsewhere_is_one_patients(ledger: Ledger) -> None:
    ledger.enter_external("P1", elsewhere(0, 100), at(200))
    assert ledger.verdict("P2", 90, LIMITS, at(300)).sessions_today == 0


def test_session_given_elsewhere_is_read_back_as_entered(ledger: Ledger) -> None:
    ledger.enter_external("P1", elsewhere(0, 100), at(200))
    (external,) = ledger.doses("P1").externals
    assert (external.patient, external.entered, external.segment.session_id) == ("P1", elsewhere(0, 100), "external-1")
    assert ledger.verify() is None


@pytest.mark.parametrize(("first_s", "last_s", "entered"), [(-100, 200, True), (-100, 200.000001, False), (300, 400, False)])
def test_session_given_elsewhere_lies_in_the_past(ledger: Ledger, first_s: float, last_s: float, entered: bool) -> None:
    assert isinstance(ledger.enter_external("P1", elsewhere(first_s, last_s), at(200)), Entered) is entered


@pytest.mark.parametrize(("first_s", "last_s"), [(0, 100), (100, 150), (-50, 0), (20, 30)])
def test_same_patient_and_time_is_entered_once(ledger: Ledger, first_s: float, last_s: float) -> None:
    ledger.enter_external("P1", elsewhere(0, 100), at(200))
    rows = ledger.rows()
    answer = ledger.enter_external("P1", elsewhere(first_s, last_s), at(201))
    assert isinstance(answer, NotEntered)
    assert "external-1" in answer.why
    assert ledger.rows() == rows


def test_session_of_this_ledger_is_not_entered_again_as_given_elsewhere(ledger: Ledger) -> None:
    given(ledger, 0)
    assert isinstance(ledger.enter_external("P1", elsewhere(10, 12), at(200)), NotEntered)


def test_session_given_elsewhere_before_and_after_another_is_entered(ledger: Ledger) -> None:
    ledger.enter_external("P1", elsewhere(0, 100), at(200))
    assert isinstance(ledger.enter_external("P1", elsewhere(-200, -1), at(201)), Entered)
    assert isinstance(ledger.enter_external("P1", elsewhere(101, 150), at(202)), Entered)


@pytest.mark.parametrize(
    "changes",
    [
        {"pulses": 0},
        {"site": " "},
        {"reason": ""},
        {"by": ("Ada",)},
        {"by": ("Ada", "ADA ")},
        {"by": ("Ada", "")},
        {"last_pulse_utc_us": at(-1).utc_us},
        {"first_pulse_utc_us": 0},
    ],
)
def test_entry_of_a_session_given_elsewhere_is_whole_and_two_peoples(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"session given elsewhere|first pulse"):
        elsewhere(0, 100, **changes)


def test_entry_made_in_error_counts_no_more_and_stays_legible(ledger: Ledger) -> None:
    ledger.enter_external("P1", elsewhere(0, 100), at(200))
    assert isinstance(ledger.withdraw_external("P1", ExternalWithdrawn(entry=1, by=BOTH, reason="another patient"), at(300)), Entered)
    assert ledger.verdict("P1", 90, LIMITS, at(301)).sessions_today == 0
    assert ledger.rows()[0].content() == elsewhere(0, 100)


@pytest.mark.parametrize(("patient", "entry"), [("P2", 1), ("P1", 2)])
def test_only_the_patients_own_entry_can_be_taken_back(ledger: Ledger, patient: str, entry: int) -> None:
    ledger.enter_external("P1", elsewhere(0, 100), at(200))
    answer = ledger.withdraw_external(patient, ExternalWithdrawn(entry=entry, by=BOTH, reason="error"), at(300))
    assert isinstance(answer, NotEntered)
    assert ledger.verdict("P1", 90, LIMITS, at(301)).sessions_today == 1


def test_entry_is_taken_back_once_and_by_two_people(ledger: Ledger) -> None:
    ledger.enter_external("P1", elsewhere(0, 100), at(200))
    ledger.withdraw_external("P1", ExternalWithdrawn(entry=1, by=BOTH, reason="error"), at(300))
    assert isinstance(ledger.withdraw_external("P1", ExternalWithdrawn(entry=1, by=BOTH, reason="error"), at(301)), NotEntered)
    with pytest.raises(ValueError, match="two different people"):
        ExternalWithdrawn(entry=1, by=("Ada", "ada"), reason="error")


def test_time_of_a_session_given_elsewhere_proves_nothing_about_the_clock() -> None:
    segment = ExternalSession(entry=1, patient="P1", entered=elsewhere(0, 100)).segment
    earlier = Proposed(first_pulse_utc_us=at(50).utc_us, planned_pulses=90)
    assert DoseReason.CLOCK_ROLLBACK not in day_verdict([segment], earlier, LIMITS, None).reasons


# ---- what speaks against a start from outside the ledger ----------------------------------------------------------------


@pytest.mark.parametrize("reason", [DoseReason.LIMITS_INVALID, DoseReason.MT_STALE])
def test_reason_from_outside_refuses_and_is_written_down(ledger: Ledger, reason: DoseReason) -> None:
    answer = ledger.open_session(request(), at(0), against=(reason,))
    assert answer == Refused(reasons=(reason,), earliest_utc_us=None)
    body = ledger.rows()[-1].content()
    assert isinstance(body, Refusal)
    assert body.reasons == (reason,)
    assert ledger.verdict("P1", 90, LIMITS, at(0), against=(reason,)).reasons == (reason,)


def test_suspect_clock_refuses_and_leaves_no_time_in_the_ledger_that_nobody_trusts(ledger: Ledger) -> None:
    given(ledger, 0)
    far_ahead = at(60, wall_ahead_s=10 * 365 * 86_400)
    assert DoseReason.CLOCK_SUSPECT in reasons(ledger.open_session(request(), far_ahead, against=(DoseReason.CLOCK_SUSPECT,)))
    assert ledger.verdict("P1", 90, LIMITS, at(2000)).reasons == ()


def test_reasons_from_outside_join_those_of_the_day(ledger: Ledger) -> None:
    given(ledger, 0)
    answer = ledger.open_session(request(), at(60), against=(DoseReason.MT_STALE,))
    assert reasons(answer) == {DoseReason.MIN_GAP, DoseReason.MT_STALE}


# ---- layers ------------------------------------------------------------------------------------------------------------


def test_every_source_of_the_limits_is_in_the_opening_row(ledger: Ledger) -> None:
    opened(ledger, at(0), limits=under(PROTOCOL, PATIENT))
    body = ledger.rows()[0].content()
    assert isinstance(body, SessionOpened)
    assert [(layer.name, layer.sha256) for layer in body.request.limits.layers][1:] == [("protocol", "protocol"), ("patient", "patient")]
    assert body.request.limits.layers[2].limits == {"max_sessions_per_day": 4}


def test_signed_layer_of_the_last_session_cannot_vanish(ledger: Ledger) -> None:
    session = opened(ledger, at(0), limits=under(PROTOCOL, PATIENT))
    ledger.close_session(session.session_id, CloseState.ABORTED, "", at(1))
    assert reasons(ledger.open_session(request(limits=under(PROTOCOL)), at(2))) == {DoseReason.LIMITS_INVALID}
    emptied = msgspec.structs.replace(PATIENT, limits={}, sha256="signed anew")
    opened(ledger, at(3), limits=under(PROTOCOL, emptied))


def test_layer_of_another_patient_is_not_missed(ledger: Ledger) -> None:
    session = opened(ledger, at(0), limits=under(PROTOCOL, PATIENT))
    ledger.close_session(session.session_id, CloseState.ABORTED, "", at(1))
    opened(ledger, at(2), patient="P2", limits=under(PROTOCOL))


def test_each_use_of_an_override_is_a_row(ledger: Ledger) -> None:
    override = Override(
        name="more",
        layer="patient",
        limits={"max_sessions_per_day": 5},
        reason="the morning's was broken off",
        by=BOTH,
        until_utc="2026-03-03T00:00:00Z",
        sha256="override",
    )
    reissued = msgspec.structs.replace(PATIENT, limits={"max_sessions_per_day": 5}, overrides=(override,))
    given(ledger, 0, limits=under(PROTOCOL, reissued))
    given(ledger, 2000, limits=under(PROTOCOL, reissued))
    uses = [row for row in ledger.rows() if row.kind == "override_used"]
    assert len(uses) == 2
    body = uses[0].content()
    assert isinstance(body, OverrideUsed)
    assert (body.override, body.by, body.limits, uses[0].patient) == ("more", BOTH, {"max_sessions_per_day": 5}, "P1")


# ---- the clock and the ledger ------------------------------------------------------------------------------------------


def test_confirmed_clock_is_written_down(ledger: Ledger) -> None:
    said = ClockConfirmed(chair="chair-1", boot_id="boot-1", wall_minus_mono_us=1, by=BOTH, reason="radio clock")
    assert ledger.confirm_clock(said, at(0)) == Entered(seq=1)
    assert ledger.rows()[0].content() == said


@pytest.mark.parametrize(("by", "reason"), [(("Ada",), "radio clock"), (("Ada", "ada "), "radio clock"), (BOTH, " ")])
def test_clock_is_confirmed_by_two_people_who_say_how(by: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ValueError, match="confirm"):
        ClockConfirmed(chair="chair-1", boot_id="boot-1", wall_minus_mono_us=1, by=by, reason=reason)


@pytest.mark.parametrize(("by", "reason"), [(("Ada", "ada "), "restored"), (("Ada",), "restored"), (BOTH, " ")])
def test_ledger_is_accepted_by_two_people_with_a_reason(ledger: Ledger, by: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ValueError, match="accept"):
        ledger.accept_ledger(by, reason, at(0))
    assert ledger.rows() == ()


def test_finding_states_its_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        Reconciliation(session_id="s", trains=(), reason=" ", by=BOTH)


# ---- blinding ----------------------------------------------------------------------------------------------------------


def test_nothing_that_is_counted_tells_a_sham_from_an_active_session(new_place: Callable[[], Place]) -> None:
    """Two patients whose plans differ in the arm alone: the same counts, refusals and earliest starts at every step."""
    arms = {
        new_place().open(): {"target_token": "A", "plan_sha256": "one"},
        new_place().open(): {"target_token": "B", "plan_sha256": "two"},
    }
    for start_s in (0, 2000, 4000):
        told = []
        for ledger, arm in arms.items():
            given(ledger, start_s, **arm)
            told.append(
                (ledger.verdict("P1", 90, limits(), at(start_s + 60)), reasons(ledger.open_session(request(**arm), at(start_s + 60))))
            )
        assert told[0] == told[1]
    for ledger in arms:
        ledger.close()


def test_ledger_has_no_word_for_the_arm() -> None:
    words = {field for kind in get_args(Body) for field in kind.__struct_fields__} | set(request().__struct_fields__)
    assert not {word for word in words for part in ("sham", "active", "arm", "placebo", "allocation") if part in word}
