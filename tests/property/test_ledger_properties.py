"""Whatever comes in whatever order: the ledger never counts less than was given, and never lets a limit be passed."""

import tempfile
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from daemon.day import DoseReason, Proposed, Segment, day_verdict
from daemon.ledger import CloseState, Intended, Intent, Moment, Opened, Receipt, Refused, Settled
from daemon.ledger_fold import Doses, fold
from daemon.limits import Limits
from tests.ledger_cases import LIMITS, MONDAY_13_UTC_US, at, intent, limits, open_ledger, receipt, request

HOUR_US = 3_600_000_000


class Chair(RuleBasedStateMachine):
    """One patient and a machine that really fires; `given` is what left it, `ledger` what was written down.

    The clock only runs. Messages are lost, doubled, late, and of earlier runs; the process dies and starts again.
    """

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = open_ledger(Path(self.folder.name))
        self.now_s = 0.0
        self.boot = 1
        self.run = 1
        self.grants = 0
        self.session: Opened | None = None
        self.granted: Intent | None = None
        self.said: list[Receipt] = []
        self.given = 0

    def moment(self) -> Moment:
        return at(self.now_s, boot_id=f"boot-{self.boot}")

    @rule(seconds=st.sampled_from([1, 12, 40, 1000, 30_000]))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @precondition(lambda self: self.session is None)
    @rule()
    def open(self) -> None:
        answer = self.ledger.open_session(request(), self.moment())
        verdict = self.ledger.verdict("P1", 90, LIMITS, self.moment())
        if isinstance(answer, Opened):
            self.session = answer
        elif answer.earliest_utc_us is not None:
            assert answer.earliest_utc_us == verdict.earliest_utc_us > self.moment().utc_us

    @precondition(lambda self: self.session is not None)
    @rule(fires=st.integers(0, 33), reports=st.integers(0, 33), confirmed=st.booleans())
    def train(self, fires: int, reports: int, confirmed: bool) -> None:
        """The machine gives `fires`; what is reported before it is known to be final may be anything up to that."""
        assert self.session is not None
        self.ledger.renew(self.session.session_id, self.session.lease_token, self.moment())
        self.grants += 1
        asked = intent(self.session, 1, self.moment(), run_id=f"run-{self.run}", grant_no=self.grants)
        if isinstance(self.ledger.intend(asked, LIMITS, self.moment()), Intended):
            fires = min(fires, asked.pulses)
            self.given += fires
            self.granted = asked
            self.now_s += 5
            self.said.append(receipt(asked, pulses=fires, confirmed=confirmed))
            if reports < fires:
                self.ledger.receive(receipt(asked, pulses=reports, final=False), self.moment())

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def receipt_arrives(self, data: st.DataObject) -> None:
        """Any receipt that was ever sent, again or for the first time."""
        sent = data.draw(st.sampled_from(self.said))
        self.ledger.receive(sent, self.moment())

    @precondition(lambda self: self.granted is not None)
    @rule(pulses=st.integers(0, 40), run=st.integers(0, 3), grant=st.integers(1, 5))
    def stranger_speaks(self, pulses: int, run: int, grant: int) -> None:
        """A receipt of another run: it may raise a count, never lower one."""
        assert self.granted is not None
        if run != self.run:
            self.ledger.receive(receipt(self.granted, run_id=f"run-{run}", grant_no=grant, pulses=pulses), self.moment())

    @rule(pulses=st.integers(1, 5), knows_session=st.booleans())
    def fires_by_itself(self, pulses: int, knows_session: bool) -> None:
        session_id = self.session.session_id if self.session is not None and knows_session else None
        self.given += pulses
        self.ledger.ungranted(session_id=session_id, patient="P1", pulses=pulses, mono_ns=None, how="panel", moment=self.moment())

    @precondition(lambda self: self.session is not None)
    @rule(state=st.sampled_from(CloseState))
    def close(self, state: CloseState) -> None:
        assert self.session is not None
        self.ledger.close_session(self.session.session_id, state, "stopped", self.moment())
        self.session = None

    @rule()
    def hot_process_restarts(self) -> None:
        self.run += 1

    @rule(reboots=st.booleans())
    def daemon_dies(self, reboots: bool) -> None:
        self.ledger.close()
        self.boot += reboots
        self.ledger = open_ledger(Path(self.folder.name))
        self.ledger.recover("chair-1", self.moment())
        self.session = None

    @invariant()
    def never_counts_less_than_was_given(self) -> None:
        doses = self.ledger.doses()
        counted = sum(session.counted_pulses for session in doses.sessions.values()) + sum(stray.pulses.count for stray in doses.strays)
        assert counted >= self.given

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
    def chain_is_whole(self) -> None:
        assert self.ledger.verify() is None

    def proposed(self) -> Proposed:
        moment = self.moment()
        return Proposed(first_pulse_utc_us=moment.utc_us, planned_pulses=90, mono_ns=moment.mono_ns, boot_id=moment.boot_id)

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
            self.folder.cleanup()


TestChair = Chair.TestCase
TestChair.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


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
    tighter = msgspec.structs.replace(limit, **{key: getattr(limit, key) + TIGHTER[key]})
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


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.permutations(range(6)))
def test_order_of_receipts_does_not_change_the_count(counts: list[int], order: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = open_ledger(Path(folder))
        session = ledger.open_session(request(), at(0))
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
