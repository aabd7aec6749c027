"""When the next train may start, and how many bursts a train has given. Pure; nanoseconds on the monotonic clock.

Never catch up, never shorten a gap: what is late moves everything after it.
"""

from fractions import Fraction
from itertools import pairwise

import msgspec

NS = 1_000_000_000
GRANT_WINDOW_NS = 2 * NS  # a grant not begun this long after its time comes back unused
CHARGE_NS = 4 * NS  # preparing and enabling take the device 2-3 s: a grant over a disabled device is sent this much ahead
LEAD_NS = 600_000_000  # over a charged device


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """The timing of one protocol's trains."""

    train_period_ns: int  # onset to onset
    train_gap_ns: int  # least pause between the last pulse and the next first one
    train_length_ns: int  # onset of the first pulse to onset of the last
    burst_period_ns: int


def next_onset(pace: Pace, now_ns: int, last_onset_ns: int | None, last_pulse_ns: int | None, broken: bool) -> int:
    """Earliest onset of the next train: a period after the last onset, the full gap after the last pulse, never before now.

    After a broken train only the gap counts: its unused rest is not waited for, and not repeated.
    """
    earliest = now_ns
    if last_onset_ns is not None and not broken:
        earliest = max(earliest, last_onset_ns + pace.train_period_ns)
    if last_pulse_ns is not None:
        earliest = max(earliest, last_pulse_ns + pace.train_gap_ns)
    return earliest


class TrainTally(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one train when its receipt is written."""

    bursts_planned: int
    started_ns: int
    events_ns: tuple[int, ...]  # one for each burst that the device reported
    stop_asked_ns: int | None
    ended_ns: int | None  # the device reported the end or confirmed the stop
    link_sound: bool  # no byte was lost or damaged since the start


def bursts_given(tally: TrainTally, burst_period_ns: int) -> tuple[int, bool]:
    """How many bursts count, and whether the device confirmed that very number.

    Never less than the device reported. Where its end is unknown the plan counts; where its reports may have holes, or leave out some
    of a train that nobody stopped, every burst that the plan had begun between the start that was sent and the end that was confirmed.
    """
    seen = len(tally.events_ns)
    if tally.ended_ns is None:
        return max(seen, tally.bursts_planned), False
    if tally.link_sound and (seen >= tally.bursts_planned or _is_whole(tally, burst_period_ns)):
        return seen, True
    begun = max(0, tally.ended_ns - tally.started_ns) // burst_period_ns + 1
    return max(seen, min(tally.bursts_planned, begun)), False


def _is_whole(tally: TrainTally, burst_period_ns: int) -> bool:
    """The reports follow each other, and follow the start and reach the stop, so closely that none can be missing between them."""
    if tally.stop_asked_ns is None or tally.ended_ns is None:
        return False
    until_ns = min(tally.ended_ns, tally.stop_asked_ns)
    if not tally.events_ns:
        return until_ns - tally.started_ns <= burst_period_ns
    return (
        tally.events_ns[0] - tally.started_ns <= burst_period_ns
        and all(later - earlier <= burst_period_ns * 3 // 2 for earlier, later in pairwise(tally.events_ns))
        and until_ns - tally.events_ns[-1] <= burst_period_ns * 5 // 4
    )


def burst_period_ns(burst_hz: str) -> int:
    """Onset to onset, rounded to the nanosecond, from an exact decimal string."""
    return round(Fraction(NS) / Fraction(burst_hz))
