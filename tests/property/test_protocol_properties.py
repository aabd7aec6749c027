"""Schedules and days for any figures: counts, order, exactness; nothing comes closer than plan or limit allow."""

from fractions import Fraction
from pathlib import Path

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from daemon.course import Doses, Given, Spacing, remaining_onsets_us
from daemon.protocol import SHIPPED_DIR, BadProtocol, read_protocol
from daemon.protocol_timing import Timing, whole_us
from daemon.safety_tables import shipped_tables

rates_hz = st.decimals(min_value="0.1", max_value="200", places=3).map(Fraction)
seconds = st.decimals(min_value="0", max_value="100", places=3).map(Fraction)


@st.composite
def timings(draw: st.DrawFn) -> Timing:
    """Any six numbers that make sense together."""
    try:
        return Timing(
            intra_burst_hz=draw(rates_hz),
            pulses_per_burst=draw(st.integers(1, 5)),
            burst_hz=draw(rates_hz),
            bursts_per_train=draw(st.integers(1, 30)),
            train_gap_s=draw(seconds),
            trains=draw(st.integers(1, 20)),
        )
    except BadProtocol:
        assume(False)
        raise


@given(timings())
def test_schedule_has_every_pulse_once_in_order_and_ends_where_it_says(timing: Timing) -> None:
    onsets = timing.onsets_us()
    assert len(onsets) == timing.total_pulses
    assert onsets[0] == 0
    assert list(onsets) == sorted(onsets)
    assert onsets[-1] == timing.first_to_last_us


@given(timings(), st.data())
def test_onset_is_the_exact_time_rounded_for_itself(timing: Timing, data: st.DataObject) -> None:
    train = data.draw(st.integers(0, timing.trains - 1))
    burst = data.draw(st.integers(0, timing.bursts_per_train - 1))
    pulse = data.draw(st.integers(0, timing.pulses_per_burst - 1))
    exact_s = train * timing.train_period_s + burst / timing.burst_hz + pulse / timing.intra_burst_hz
    at = (train * timing.bursts_per_train + burst) * timing.pulses_per_burst + pulse
    assert timing.onsets_us()[at] == whole_us(exact_s)


spacings = st.one_of(
    st.builds(Spacing),
    st.builds(Spacing, onset_to_onset_s=st.integers(0, 7200).map(Fraction)),
    st.builds(Spacing, pause_s=st.integers(0, 7200).map(Fraction)),
)


@given(timings(), spacings, st.integers(1, 8), st.integers(900, 5000), st.lists(st.integers(0, 9000), max_size=8), st.integers(0, 10**11))
def test_planned_session_never_comes_closer_than_plan_or_limit_or_before_now(
    timing: Timing, spacing: Spacing, sessions: int, gap_s: int, delays_s: list[int], now_us: int
) -> None:
    doses, gap_us, given_so_far = Doses(timing=timing, sessions_by_day=(sessions,), spacing=spacing), gap_s * 1_000_000, list[Given]()
    for delay_s in delays_s[: sessions - 1]:
        first = delay_s * 1_000_000 + (given_so_far[-1].last_us + gap_us if given_so_far else 0)
        given_so_far.append(Given(first_us=first, last_us=first + timing.first_to_last_us))
    onsets = remaining_onsets_us(doses, 1, gap_us, given_so_far, now_us)
    assert len(onsets) == sessions - len(given_so_far)
    before = given_so_far[-1] if given_so_far else None
    for onset in onsets:
        assert onset >= now_us
        if before is not None:
            assert onset - before.last_us >= gap_us
            assert spacing.onset_to_onset_s is None or onset - before.first_us >= whole_us(spacing.onset_to_onset_s)
            assert spacing.pause_s is None or onset - before.last_us >= whole_us(spacing.pause_s)
        before = Given(first_us=onset, last_us=onset + timing.first_to_last_us)


tables = st.sampled_from(shipped_tables())
percents = st.decimals(min_value="1", max_value="140", places=1).map(Fraction)


@given(tables, rates_hz, percents, seconds, rates_hz, percents, seconds)
def test_faster_stronger_or_longer_is_never_allowed_where_the_gentler_train_is_not(  # type: ignore[no-untyped-def]
    table, hz, pct, train_s, more_hz, more_pct, more_s
) -> None:
    if not table.allows(hz, pct, train_s):
        assert not table.allows(max(hz, more_hz), max(pct, more_pct), max(train_s, more_s))


SHIPPED = sorted(SHIPPED_DIR.glob("*.toml"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example writes the file anew
@given(st.sampled_from(SHIPPED), st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=3)), min_size=1, max_size=4))
def test_mutilated_file_is_a_protocol_or_one_clear_error(tmp_path: Path, shipped: Path, cuts: list[tuple[int, bytes]]) -> None:
    content = shipped.read_bytes()
    for at, put in cuts:
        content = content[: at % len(content)] + put + content[at % len(content) + 1 :]
    path = tmp_path / shipped.name
    path.write_bytes(content)
    try:
        protocol = read_protocol(path)
    except BadProtocol as error:
        assert error.where == str(path)
    else:
        assert protocol.id == shipped.stem
