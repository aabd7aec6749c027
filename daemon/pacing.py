"""When the next train may start, and how many bursts a train has given. Pure; nanoseconds on the monotonic clock.

Never catch up, never shorten a gap: what is late moves everything after it.
"""

from fractions import Fraction

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

    Never less than the device reported. Where its reports may have holes, or its end is unknown, the plan fills them: a burst
    that may have been given was given.
    """
    seen = len(tally.events_ns)
    if tally.ended_ns is None:
        return max(seen, tally.bursts_planned), False
    by_plan = min(tally.bursts_planned, _bursts_by(tally, tally.ended_ns, burst_period_ns))
    return max(seen, by_plan), tally.link_sound and seen >= by_plan


def _bursts_by(tally: TrainTally, ended_ns: int, burst_period_ns: int) -> int:
    """Bursts that the plan had begun when the train ended or was told to.

    Over a sound link every burst before the end was reported before it, so the count runs from the first report to the stop, and
    half a period of lateness is no hole. Over a damaged one it runs from the start that was sent to the end that was confirmed.
    """
    if not tally.link_sound:
        return max(0, ended_ns - tally.started_ns) // burst_period_ns + 1
    if not tally.events_ns:
        return 0
    until_ns = ended_ns if tally.stop_asked_ns is None else min(ended_ns, tally.stop_asked_ns)
    return max(0, until_ns - burst_period_ns // 2 - tally.events_ns[0]) // burst_period_ns + 1


def burst_period_ns(burst_hz: str) -> int:
    """Onset to onset, rounded to the nanosecond, from an exact decimal string."""
    return round(Fraction(NS) / Fraction(burst_hz))
