"""On target: limits, dwell, and what a single lost frame does and does not mean."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import CoilErrorBody
from daemon.on_target import DEFAULT_LIMITS, OnTarget, TargetLimits, inside, judge, loosened, within_leave

MS = 1_000_000
FRAME = 10 * MS


def at(**changes: float | None) -> CoilErrorBody:
    zero = CoilErrorBody(
        frame_number=1,
        exposed_ns=1,
        age_ms=1.0,
        on_target=False,
        settling=False,
        lateral_mm=0.0,
        angular_error_deg=0.0,
        twist_error_deg=0.0,
        gap_mm=0.0,
    )
    return msgspec.structs.replace(zero, **changes)


ON, SLIPPED, FAR = at(), at(lateral_mm=3.1), at(lateral_mm=6.1)


def run(frames: list[CoilErrorBody | None], start: OnTarget = OnTarget()) -> list[OnTarget]:  # noqa: B008  # immutable
    verdicts = [start]
    for k, error in enumerate(frames):
        verdicts.append(judge(verdicts[-1], error, error is not None, k * FRAME, DEFAULT_LIMITS))
    return verdicts[1:]


def test_it_takes_half_a_second_within_the_enter_limits() -> None:
    verdicts = run([ON] * 51)
    assert [verdict.published for verdict in verdicts] == [False] * 50 + [True]
    assert verdicts[10].settling


@pytest.mark.parametrize(
    "error",
    [
        at(lateral_mm=2.1),
        at(angular_error_deg=3.1),
        at(twist_error_deg=4.1),
        at(twist_error_deg=-4.1),
        at(gap_mm=2.1),
        at(gap_mm=-3.1),
        at(twist_error_deg=None),
        at(lateral_mm=float("nan")),
        None,
    ],
)
def test_one_metric_beyond_its_enter_limit_starts_the_dwell_anew(error: CoilErrorBody | None) -> None:
    assert not run([ON] * 40 + [error] + [ON] * 40)[-1].published
    assert not inside(error, DEFAULT_LIMITS)


def test_it_is_left_after_a_tenth_of_a_second_beyond_the_leave_limits() -> None:
    verdicts = run([ON] * 51 + [SLIPPED] * 12)[51:]
    assert [verdict.sustained for verdict in verdicts] == [True] * 10 + [False] * 2


def test_beyond_twice_the_leave_limits_it_is_left_at_once() -> None:
    assert not run([ON] * 51 + [FAR])[-1].sustained


def test_a_lost_frame_starts_nothing_and_ends_nothing_before_the_leave_dwell() -> None:
    verdicts = run([ON] * 51 + [None] * 11)[51:]
    assert not any(verdict.published for verdict in verdicts)
    assert [verdict.sustained for verdict in verdicts] == [True] * 10 + [False]


def test_a_coil_that_faces_away_is_off_whatever_the_millimetres_say() -> None:
    wide = TargetLimits(enter_tilt_deg=90.0, leave_tilt_deg=90.0)
    assert not within_leave(at(angular_error_deg=61.0), wide, 2.0)


def test_tightening_is_no_loosening_and_the_reverse_is() -> None:
    assert loosened(TargetLimits(enter_lateral_mm=1.0, dwell_on_s=1.0)) == ()
    assert loosened(TargetLimits(enter_lateral_mm=2.5, dwell_on_s=0.4)) == ("enter_lateral_mm", "dwell_on_s")


def test_limits_that_contradict_themselves_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="leave limit"):
        TargetLimits(enter_lateral_mm=4.0)
    with pytest.raises(ValueError, match="dwell"):
        TargetLimits(dwell_on_s=float("nan"))


@given(st.lists(st.sampled_from([ON, SLIPPED, FAR, None]), max_size=120))
def test_never_published_in_a_frame_that_was_not_seen(frames: list[CoilErrorBody | None]) -> None:
    for error, verdict in zip(frames, run(frames), strict=True):
        assert not verdict.published or error is not None
        assert not verdict.published or verdict.sustained
