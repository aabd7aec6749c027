"""Limits and the day: layers only tighten, tightening never turns a refusal into a go, and the day counts as a naive model counts."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from daemon.day import DayVerdict, DoseReason, Proposed, Segment, day_verdict, mt_verdict
from daemon.ledger_rules import amplitude_reasons
from daemon.limits import LIMIT_NAMES, Layer, LimitFault, Limits, LimitsInvalid, LimitValue, Way, effective_limits, merge, product_layer
from daemon.purpose import Purpose
from tests.ledger_cases import LIMITS, MONDAY_13_UTC_US, request

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000
NUMBERS = sorted(key for key, name in LIMIT_NAMES.items() if name.way is not Way.SUBSET)
IN_LIMITS = [key for key in NUMBERS if getattr(LIMITS, key) is not None]

values = st.one_of(
    st.integers(-2, 20_000),
    st.floats(allow_nan=True, allow_infinity=True),
    st.booleans(),
    st.text(max_size=3),
    st.lists(st.sampled_from(["itbs600", "itbs1800"]), max_size=2),
)
layers = st.lists(
    st.builds(
        lambda name, limits: Layer(name=name, limits=limits, sha256=name),
        st.sampled_from(["device", "site", "protocol", "patient", "session"]),
        st.dictionaries(st.sampled_from([*LIMIT_NAMES, "max_session_per_day"]), values, max_size=4),
    ),
    max_size=4,
)


# ---- merging -----------------------------------------------------------------------------------------------------------


@given(layers)
def test_effective_limits_are_as_strict_as_every_layer_or_there_are_none(given_layers: list[Layer]) -> None:
    merged = merge((product_layer(), *given_layers))
    assert (merged.effective is None) == bool(merged.refused)
    if merged.effective is None:
        return
    for layer in (product_layer(), *given_layers):
        for key, value in layer.limits.items():
            assert is_as_strict(key, merged.effective[key], value)


def is_as_strict(key: str, new: Any, old: Any) -> bool:
    """By the name of the limit alone, as its definition has it."""
    if key == "allowed_protocols":
        return set(new) <= set(old)
    return bool(new <= old) if key.startswith(("max_", "mt_max", "off_", "session_", "clock_", "screening_")) else bool(new >= old)


@given(layers, st.integers(0, 4))
def test_what_is_refused_once_is_refused_whatever_comes_after(given_layers: list[Layer], more: int) -> None:
    before = merge((product_layer(), *given_layers))
    after = merge((product_layer(), *given_layers, *given_layers[:more]))
    assert set(before.refused) <= set(after.refused)


@given(layers)
def test_no_layer_makes_limits_that_contradict_themselves(given_layers: list[Layer]) -> None:
    protocol = Layer(
        name="protocol",
        limits={"max_sessions_per_day": 1, "max_pulses_per_day": 600, "min_gap_s": 900, "max_course_sessions": 1, "max_treatment_days": 1},
        sha256="protocol",
    )
    try:
        limits = effective_limits((protocol, *given_layers), "UTC")
    except LimitsInvalid:
        return
    assert msgspec.json.decode(msgspec.json.encode(limits), type=Limits) == limits
    assert limits.max_sessions_rolling <= limits.max_sessions_per_day
    assert limits.max_pulses_rolling <= limits.max_pulses_per_day


@given(st.sampled_from(IN_LIMITS), st.sampled_from([float("nan"), float("inf"), -1, True, "1"]))
def test_limit_that_is_no_number_cannot_be_built(key: str, value: LimitValue) -> None:
    try:
        msgspec.structs.replace(LIMITS, **{key: value})
    except ValueError:
        return
    raise AssertionError(f"{key} = {value!r} was taken")


# ---- the day against a naive model -------------------------------------------------------------------------------------


def tightened(limits: Limits, key: str, by: float) -> Limits:
    old = getattr(limits, key)
    new = old * (1 - by) if LIMIT_NAMES[key].way is Way.AT_MOST else old * (1 + by) + by
    return msgspec.structs.replace(limits, **{key: int(new) if LIMIT_NAMES[key].is_count else new})


class Week(RuleBasedStateMachine):
    """A patient's week: sessions, searches, strays, and at any moment the question whether another one may start."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = MONDAY_13_UTC_US
        self.segments: list[Segment] = []

    @rule(minutes=st.sampled_from([1, 14, 15, 30, 240, 700, 1400]))
    def wait(self, minutes: int) -> None:
        self.now_us += minutes * 60_000_000

    @rule(
        pulses=st.integers(0, 90), acknowledged=st.one_of(st.none(), st.integers(0, 90)), seconds=st.integers(0, 600), goes_on=st.booleans()
    )
    def treat(self, pulses: int, acknowledged: int | None, seconds: int, goes_on: bool) -> None:
        sessions = [part.session_id for part in self.segments if part.purpose is Purpose.TREATMENT]
        self.give(sessions[-1] if goes_on and sessions else f"s{len(self.segments)}", pulses, acknowledged, seconds, Purpose.TREATMENT)

    @rule(pulses=st.integers(1, 120), seconds=st.integers(0, 600))
    def search(self, pulses: int, seconds: int) -> None:
        self.give(f"mt{len(self.segments)}", pulses, pulses, seconds, Purpose.MT)

    def give(self, session_id: str, pulses: int, acknowledged: int | None, seconds: int, purpose: Purpose) -> None:
        first_us, self.now_us = self.now_us, self.now_us + seconds * 1_000_000
        self.segments.append(
            Segment(
                session_id=session_id,
                commanded=pulses,
                acknowledged=acknowledged,
                first_pulse_utc_us=first_us,
                last_pulse_utc_us=self.now_us,
                purpose=purpose,
            )
        )

    def asked(self, planned: int, *, resumes: bool = False) -> Proposed:
        known = [part.session_id for part in self.segments if part.pulses > 0 and part.purpose is Purpose.TREATMENT]
        return Proposed(first_pulse_utc_us=self.now_us, planned_pulses=planned, resume_session_id=known[-1] if resumes and known else None)

    @rule(planned=st.integers(1, 300), resumes=st.booleans())
    def counts_as_the_naive_model(self, planned: int, resumes: bool) -> None:
        proposed = self.asked(planned, resumes=resumes)
        verdict = day_verdict(self.segments, proposed, LIMITS, None)
        assert (set(verdict.reasons), counts(verdict)) == naive(self.segments, proposed)
        if verdict.reasons and verdict.earliest_utc_us is not None:
            later = msgspec.structs.replace(proposed, first_pulse_utc_us=verdict.earliest_utc_us)
            just_before = msgspec.structs.replace(proposed, first_pulse_utc_us=verdict.earliest_utc_us - 1)
            assert day_verdict(self.segments, later, LIMITS, None).reasons == ()
            assert day_verdict(self.segments, just_before, LIMITS, None).reasons != ()

    @rule(planned=st.integers(1, 300), key=st.sampled_from(IN_LIMITS), by=st.floats(0, 1))
    def tightening_never_turns_a_refusal_into_a_go(self, planned: int, key: str, by: float) -> None:
        """Nor does it take any reason away, for treatment, for single pulses, or for an amplitude."""
        strict, proposed = tightened(LIMITS, key, by), self.asked(planned)
        for rules in (day_verdict, mt_verdict):
            loose_reasons = set(rules(self.segments, proposed, LIMITS, None).reasons)
            assert loose_reasons <= set(rules(self.segments, proposed, strict, None).reasons)
        for amplitude in (40, 54, 72, 73, 100):
            assert set(amplitude_reasons(request(), amplitude, LIMITS)) <= set(amplitude_reasons(request(), amplitude, strict))

    @rule(planned=st.integers(1, 300))
    def single_pulses_are_counted_apart(self, planned: int) -> None:
        proposed = self.asked(planned)
        local = local_day(self.now_us)
        today = sum(part.pulses for part in self.segments if part.purpose is Purpose.MT and local_day(part.first_pulse_utc_us) == local)
        last_us = max((part.last_pulse_utc_us for part in self.segments if part.pulses > 0), default=None)
        expected = {DoseReason.MT_PULSES} if today + planned > LIMITS.max_mt_pulses_per_day else set()
        if last_us is not None and self.now_us - last_us < 5_000_000:
            expected.add(DoseReason.MT_INTERVAL)
        assert set(mt_verdict(self.segments, proposed, LIMITS, None).reasons) == expected


def local_day(utc_us: int) -> str:
    return (EPOCH + timedelta(microseconds=utc_us)).astimezone(ZoneInfo(LIMITS.timezone)).date().isoformat()


def counts(verdict: DayVerdict) -> tuple[int, int, int, int]:
    return (verdict.sessions_today, verdict.pulses_today, verdict.sessions_rolling, verdict.pulses_rolling)


def naive(segments: list[Segment], proposed: Proposed) -> tuple[set[DoseReason], tuple[int, int, int, int]]:
    """The rules once more, in the words of their definition and with nothing clever."""
    limits, now = LIMITS, proposed.first_pulse_utc_us
    sessions: dict[str, list[Segment]] = {}
    for part in segments:
        if part.purpose is Purpose.TREATMENT and part.pulses > 0:
            sessions.setdefault(part.session_id, []).append(part)
    first = {name: min(part.first_pulse_utc_us for part in parts) for name, parts in sessions.items()}
    last = {name: max(part.last_pulse_utc_us for part in parts) for name, parts in sessions.items()}
    pulses = {name: sum(part.pulses for part in parts) for name, parts in sessions.items()}
    resumed = proposed.resume_session_id if proposed.resume_session_id in sessions else None
    day = local_day(now if resumed is None else first[resumed])
    today = [name for name in sessions if local_day(first[name]) == day]
    rolling = [name for name in sessions if last[name] > now - 23 * HOUR_US]
    extra = 0 if resumed else 1
    others = [last[name] for name in sessions if name != resumed]
    fails = {
        DoseReason.DAY_SESSIONS: len(today) + extra > limits.max_sessions_per_day,
        DoseReason.DAY_PULSES: sum(pulses[name] for name in today) + proposed.planned_pulses > limits.max_pulses_per_day,
        DoseReason.ROLLING_SESSIONS: len(rolling) + (0 if resumed in rolling else 1) > limits.max_sessions_rolling,
        DoseReason.ROLLING_PULSES: sum(pulses[name] for name in rolling) + proposed.planned_pulses > limits.max_pulses_rolling,
        DoseReason.MIN_GAP: bool(others) and now - max(others) < limits.min_gap_s * 1_000_000,
        DoseReason.COURSE_SESSIONS: len(sessions) + extra > limits.max_course_sessions,
        DoseReason.COURSE_DAYS: len({local_day(each) for each in first.values()} | {day}) > limits.max_treatment_days,
    }
    told = (len(today), sum(pulses[name] for name in today), len(rolling), sum(pulses[name] for name in rolling))
    return {reason for reason, does in fails.items() if does}, told


TestWeek = Week.TestCase
TestWeek.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@given(st.sampled_from(NUMBERS), st.floats(0.001, 1000))
def test_any_step_past_the_product_is_refused(key: str, beyond: float) -> None:
    name = LIMIT_NAMES[key]
    if name.ceiling is None:
        return
    value: float = name.ceiling + beyond if name.way is Way.AT_MOST else name.ceiling - beyond
    if name.is_count:
        value = int(name.ceiling + max(1, beyond))
    refused = merge((product_layer(), Layer(name="site", limits={key: value}, sha256=""))).refused
    assert [each.code for each in refused] == [
        LimitFault.LOOSENS if isinstance(value, int | float) and value >= 0 else LimitFault.BAD_VALUE
    ]
