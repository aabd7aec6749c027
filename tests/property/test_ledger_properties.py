"""Whatever comes in whatever order: the ledger never counts less than was given, and never lets a limit be passed."""

import contextlib
from collections.abc import Callable
from typing import Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from daemon.day import DoseReason, Proposed, Segment, day_verdict
from daemon.ledger import (
    CloseState,
    Intended,
    Intent,
    LedgerUnavailable,
    Moment,
    Opened,
    Receipt,
    ReconciledTrain,
    Reconciliation,
    Refused,
    Settled,
)
from daemon.ledger_chair import ChairLedger
from daemon.ledger_fold import Doses, fold
from daemon.ledger_history import patient_history
from daemon.ledger_journal import Journal
from daemon.limits import Limits
from tests.cut_cable import Cable
from tests.engines import Place
from tests.ledger_cases import LIMITS, MONDAY_13_UTC_US, at, intent, limits, receipt
from tests.ledger_cases import request as open_request

HOUR_US = 3_600_000_000


class Chair(RuleBasedStateMachine):
    """One patient and a machine that really fires; `given` is what left it, the ledger and the chair's journal what was written down.

    The clock only runs. Messages are lost, doubled, late, and of earlier runs; the cable to the ledger is cut and mended; the process
    dies and starts again.
    """

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.now_s = 0.0
        self.boot = 1
        self.run = 1
        self.grants = 0
        self.session: Opened | None = None
        self.last_session_id: str | None = None
        self.granted: Intent | None = None
        self.said: list[Receipt] = []
        self.given = 0
        self.begin()

    def begin(self) -> None:
        self.ledger = self.place.open()
        self.cable = Cable(self.ledger)
        self.chair = ChairLedger(self.ledger, Journal(self.place.folder / "journal"), "chair-1")

    def moment(self) -> Moment:
        return at(self.now_s, boot_id=f"boot-{self.boot}")

    @rule(seconds=st.sampled_from([1, 12, 40, 1000, 30_000]))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @precondition(lambda self: self.session is None)
    @rule()
    def open(self) -> None:
        try:
            answer = self.chair.open_session(open_request(), self.moment())
        except LedgerUnavailable:
            assert self.cable.state != "whole"
            return
        if self.cable.state == "whole":
            verdict = self.ledger.verdict("P1", 90, LIMITS, self.moment())
            if isinstance(answer, Refused) and answer.earliest_utc_us is not None:
                assert answer.earliest_utc_us == verdict.earliest_utc_us > self.moment().utc_us
        if isinstance(answer, Opened):
            self.session = answer
            self.last_session_id = answer.session_id

    @precondition(lambda self: self.session is not None)
    @rule(fires=st.integers(0, 33), reports=st.integers(0, 33), confirmed=st.booleans())
    def train(self, fires: int, reports: int, confirmed: bool) -> None:
        """The machine gives `fires`; what is reported before it is known to be final may be anything up to that."""
        assert self.session is not None
        self.chair.renew(self.session.session_id, self.session.lease_token, self.moment())
        self.grants += 1
        asked = intent(self.session, 1, self.moment(), run_id=f"run-{self.run}", grant_no=self.grants)
        if isinstance(self.chair.intend(asked, LIMITS, self.moment()), Intended):
            fires = min(fires, asked.pulses)
            self.given += fires
            self.granted = asked
            self.now_s += 5
            self.said.append(receipt(asked, pulses=fires, confirmed=confirmed))
            if reports < fires:
                self.chair.receive(receipt(asked, pulses=reports, final=False), self.moment())

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def receipt_arrives(self, data: st.DataObject) -> None:
        """Any receipt that was ever sent, again or for the first time."""
        sent = data.draw(st.sampled_from(self.said))
        self.chair.receive(sent, self.moment())

    @precondition(lambda self: self.granted is not None)
    @rule(pulses=st.integers(0, 40), run=st.integers(0, 3), grant=st.integers(1, 5))
    def stranger_speaks(self, pulses: int, run: int, grant: int) -> None:
        """A receipt of another run: it may raise a count, never lower one."""
        assert self.granted is not None
        if run != self.run:
            self.chair.receive(receipt(self.granted, run_id=f"run-{run}", grant_no=grant, pulses=pulses), self.moment())

    @rule(pulses=st.integers(1, 5), knows_session=st.booleans())
    def fires_by_itself(self, pulses: int, knows_session: bool) -> None:
        session_id = self.last_session_id if knows_session else None  # the device may go on after the session's end
        self.given += pulses
        self.chair.ungranted(session_id=session_id, patient="P1", pulses=pulses, mono_ns=None, how="panel", moment=self.moment())

    @precondition(lambda self: self.session is not None)
    @rule(state=st.sampled_from(CloseState))
    def close(self, state: CloseState) -> None:
        assert self.session is not None
        self.chair.close_session(self.session.session_id, state, "stopped", self.moment())
        self.session = None

    @precondition(lambda self: self.session is None and self.granted is not None and self.cable.state == "whole")
    @rule()
    def person_reconciles(self) -> None:
        """To what really left the machine in the last train, or to nothing known better than its receipt."""
        assert self.granted is not None
        truth = max((said.pulses for said in self.said if said.grant_no == self.granted.grant_no), default=0)
        train = ReconciledTrain(run_id=self.granted.run_id, grant_no=self.granted.grant_no, pulses=truth)
        word = Reconciliation(session_id=self.granted.session_id, trains=(train,), reason="counter", by=("engineer-1",))
        self.ledger.reconcile(word, self.moment())

    @rule(state=st.sampled_from(["whole", "whole", "cut", "answers lost"]))
    def cable_is_touched(self, state: Literal["whole", "cut", "answers lost"]) -> None:
        self.cable.state = state

    @rule()
    def chair_tries_to_settle(self) -> None:
        with contextlib.suppress(LedgerUnavailable):
            self.chair.settle(self.moment())
        assert not self.chair.is_away or self.cable.state != "whole"

    @rule()
    def hot_process_restarts(self) -> None:
        self.run += 1

    @rule(reboots=st.booleans())
    def daemon_dies(self, reboots: bool) -> None:
        self.ledger.close()
        self.boot += reboots
        self.begin()
        self.chair.recover(self.moment())
        self.session = None

    def counted(self) -> int:
        doses = self.ledger.doses()
        return sum(session.counted_pulses for session in doses.sessions.values()) + sum(stray.pulses.count for stray in doses.strays)

    @invariant()
    def never_counts_less_than_was_given(self) -> None:
        assert self.chair.is_away or self.counted() >= self.given

    @invariant()
    def totals_are_the_fold_of_the_rows(self) -> None:
        whole = fold(Doses(), self.ledger.rows())
        day = day_verdict(whole.segments(self.moment().utc_us), self.proposed(), LIMITS, None)
        told = self.ledger.verdict("P1", 90, LIMITS, self.moment())
        assert (told.pulses_today, told.sessions_today, told.last_pulse_utc_us) == (
            day.pulses_today,
            day.sessions_today,
            day.last_pulse_utc_us,
        )

    @invariant()
    def sums_of_closed_sessions_are_the_fold_of_their_rows(self) -> None:
        now_us = self.moment().utc_us
        with self.ledger.reading() as connection:
            short = patient_history(connection, "P1", None).doses
        whole = fold(Doses(), self.ledger.rows())
        by_id = sorted(short.segments(now_us), key=lambda part: part.session_id)
        assert by_id == sorted(whole.segments(now_us), key=lambda part: part.session_id)
        assert [each.session_id for each in short.open_sessions] == [each.session_id for each in whole.open_sessions]

    @invariant()
    def chain_is_whole(self) -> None:
        assert self.ledger.verify() is None

    def proposed(self) -> Proposed:
        moment = self.moment()
        return Proposed(first_pulse_utc_us=moment.utc_us, planned_pulses=90, mono_ns=moment.mono_ns, boot_id=moment.boot_id)

    def teardown(self) -> None:
        self.cable.state = "whole"
        self.chair.settle(self.moment())
        assert self.counted() >= self.given
        self.ledger.close()


def test_whatever_is_lost_nothing_given_goes_uncounted(new_place: Callable[[], Place], request: pytest.FixtureRequest) -> None:
    examples = 25 if "sqlite" in request.node.name else 10
    run_state_machine_as_test(
        lambda: Chair(new_place()),
        settings=settings(max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)),
    )


# ---- the day -----------------------------------------------------------------------------------------------------------

segments = st.lists(
    st.builds(
        lambda number, start_h, length_s, pulses, known: Segment(
            session_id=f"s{number}",
            commanded=pulses,
            acknowledged=pulses if known else None,
            first_pulse_utc_us=MONDAY_13_UTC_US - int(start_h * HOUR_US),
            last_pulse_utc_us=MONDAY_13_UTC_US - int(start_h * HOUR_US) + length_s * 1_000_000,
        ),
        st.integers(0, 6),
        st.floats(0.2, 80),
        st.integers(0, 600),
        st.integers(0, 300),
        st.booleans(),
    ),
    max_size=7,
)
some_limits = st.builds(
    lambda sessions, pulses, gap, window, course, days, zone: limits(
        timezone=zone,
        max_sessions_per_day=sessions,
        max_pulses_per_day=pulses,
        min_gap_s=gap,
        rolling_window_h=window,
        max_sessions_rolling=sessions,
        max_pulses_rolling=pulses,
        max_course_sessions=course,
        max_treatment_days=days,
    ),
    st.integers(0, 6),
    st.integers(0, 1500),
    st.sampled_from([0, 0.5, 900, 3000, 7200.25]),
    st.sampled_from([20, 23, 23.5, 24]),
    st.integers(1, 10),
    st.integers(1, 5),
    st.sampled_from(["America/New_York", "Europe/London", "Pacific/Apia", "UTC"]),
)
asks = st.builds(
    lambda offset_h, planned, resume: Proposed(
        first_pulse_utc_us=MONDAY_13_UTC_US + int(offset_h * HOUR_US), planned_pulses=planned, resume_session_id=resume
    ),
    st.floats(-1, 30),
    st.integers(1, 300),
    st.sampled_from([None, "s1"]),
)


def reasons_at(parts: list[Segment], proposed: Proposed, limit: Limits, at_us: int) -> tuple[DoseReason, ...]:
    moved = msgspec.structs.replace(proposed, first_pulse_utc_us=at_us)
    return day_verdict(parts, moved, limit, None).reasons


@settings(max_examples=300, deadline=None)
@given(segments, asks, some_limits, st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_earliest_start_is_the_first_moment_without_a_reason(
    parts: list[Segment], proposed: Proposed, limit: Limits, shares: list[float]
) -> None:
    verdict = day_verdict(parts, proposed, limit, None)
    now_us, earliest_us = proposed.first_pulse_utc_us, verdict.earliest_utc_us
    end_us = now_us + 8 * 24 * HOUR_US if earliest_us is None else earliest_us
    tried = {now_us + int(share * (end_us - now_us)) for share in shares} | {end_us - 1}
    assert all(reasons_at(parts, proposed, limit, moment) for moment in tried if now_us <= moment < end_us)
    assert earliest_us is None or not reasons_at(parts, proposed, limit, earliest_us)


TIGHTER = {
    "max_sessions_per_day": -1,
    "max_pulses_per_day": -50,
    "min_gap_s": 100,
    "rolling_window_h": 1,
    "max_sessions_rolling": -1,
    "max_pulses_rolling": -50,
    "max_course_sessions": -1,
    "max_treatment_days": -1,
    "clock_tolerance_s": -1,
}


@settings(deadline=None)
@given(segments, asks, some_limits, st.sampled_from(sorted(TIGHTER)))
def test_tightening_a_limit_never_turns_a_refusal_into_a_go(parts: list[Segment], proposed: Proposed, limit: Limits, key: str) -> None:
    tighter = msgspec.structs.replace(limit, **{key: max(0, getattr(limit, key) + TIGHTER[key])})
    before = reasons_at(parts, proposed, limit, proposed.first_pulse_utc_us)
    after = reasons_at(parts, proposed, tighter, proposed.first_pulse_utc_us)
    assert set(before) <= set(after)


@settings(deadline=None)
@given(segments, asks, some_limits, segments)
def test_more_pulses_in_the_past_never_turn_a_refusal_into_a_go(
    parts: list[Segment], proposed: Proposed, limit: Limits, more: list[Segment]
) -> None:
    others = [msgspec.structs.replace(part, session_id=f"more {part.session_id}") for part in more]
    before = reasons_at(parts, proposed, limit, proposed.first_pulse_utc_us)
    assert set(before) <= set(reasons_at(parts + others, proposed, limit, proposed.first_pulse_utc_us))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.permutations(range(6)))
def test_order_of_receipts_does_not_change_the_count(new_place: Callable[[], Place], counts: list[int], order: list[int]) -> None:
    ledger = new_place().open()
    session = ledger.open_session(open_request(), at(0))
    assert isinstance(session, Opened)
    asked = intent(session, 1, at(1))
    assert isinstance(ledger.intend(asked, LIMITS, at(1)), Intended)
    for place in order:
        if place < len(counts):
            answer = ledger.receive(receipt(asked, pulses=counts[place]), at(4))
            assert not isinstance(answer, Refused)
    (found,) = ledger.doses().sessions.values()
    assert found.counted_pulses == max(counts)
    assert isinstance(answer, Settled) == (len(counts) == 1)
    ledger.close()
