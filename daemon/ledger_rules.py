"""Rules for the next train: what its own session, its grant and its amplitude have to hold. Pure.

What the day says is `daemon.day`; what rows mean is `daemon.ledger_fold`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from daemon.day import DoseReason, Proposed
from daemon.ledger import Intent, Moment, OpenRequest
from daemon.ledger_fold import Session
from daemon.limits import Limits
from daemon.purpose import Purpose

# A grant not begun 2 s after its first moment is void, so that a stale one can never fire.
GRANT_WINDOW_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class IntentView:
    """What the rules for a train look at."""

    session: Session
    intent: Intent
    moment: Moment
    lease_is_held: bool


def _train_gap_is_kept(view: IntentView) -> bool:
    """No pulse before the last possible one and the gap; one given under another boot's clock cannot be compared and refuses."""
    return all(
        part.boot_id == view.moment.boot_id and view.intent.not_before_ns >= part.last_mono_ns + view.session.request.train_gap_ns
        for part in view.session.parts
    )


def _grant_no_rises(view: IntentView) -> bool:
    return all(train.grant_no < view.intent.grant_no for train in view.session.trains if train.run_id == view.intent.run_id)


INTENT_RULES: Mapping[DoseReason, Callable[[IntentView], bool]] = {
    DoseReason.SESSION_NOT_OPEN: lambda view: view.session.closed is None,
    DoseReason.LEASE_LOST: lambda view: view.lease_is_held,
    DoseReason.INTENT_OPEN: lambda view: not view.session.open_trains,
    DoseReason.GRANT_NOT_RISING: _grant_no_rises,
    DoseReason.GRANT_WINDOW: lambda view: 0 < view.intent.expires_ns - view.intent.not_before_ns <= GRANT_WINDOW_NS,
    DoseReason.SESSION_PULSES: lambda view: view.session.counted_pulses + view.intent.pulses <= view.session.request.planned_pulses,
    DoseReason.TRAIN_GAP: _train_gap_is_kept,
    DoseReason.SET_POINT: lambda view: view.intent.amplitude_pct <= view.session.request.set_point_mso,
}


def intent_reasons(view: IntentView) -> tuple[DoseReason, ...]:
    """Every reason against this train that lies in its own session."""
    return tuple(reason for reason, holds in INTENT_RULES.items() if not holds(view))


def amplitude_reasons(request: OpenRequest, amplitude_pct: int, limits: Limits) -> tuple[DoseReason, ...]:
    """Every reason against this amplitude and protocol under `limits`. The motor threshold is the measured one, in %MSO.

    A search for the motor threshold follows no protocol and has no threshold to be a share of.
    """
    searches = request.purpose is Purpose.MT
    must_hold = {
        DoseReason.PROTOCOL_NOT_ALLOWED: searches or limits.allowed_protocols is None or request.protocol in limits.allowed_protocols,
        DoseReason.INTENSITY: searches or _is_within(amplitude_pct, limits.max_intensity_pct_rmt, request.rmt_mso),
        DoseReason.SET_POINT: amplitude_pct <= limits.max_set_point_mso,
    }
    return tuple(reason for reason, holds in must_hold.items() if not holds)


def _is_within(amplitude_pct: int, max_pct_rmt: int | float, rmt_mso: int | float | None) -> bool:
    return rmt_mso is not None and amplitude_pct * 100 <= max_pct_rmt * rmt_mso


def proposed_rest(session: Session, intent: Intent, moment: Moment) -> Proposed:
    """The rest of a session as a start of its own: the train that is asked for and all that the plan has after it.

    A single pulse is asked for at its first possible moment, for its interval is short against the time to get there.
    """
    given = session.counted_pulses
    searches = session.request.purpose is Purpose.MT
    first_ns = max(moment.mono_ns, intent.not_before_ns) if searches else moment.mono_ns
    return Proposed(
        first_pulse_utc_us=moment.utc_us + (first_ns - moment.mono_ns) // 1000,
        planned_pulses=max(session.request.planned_pulses - given, intent.pulses),
        resume_session_id=session.session_id,
        mono_ns=first_ns,
        boot_id=moment.boot_id,
    )
