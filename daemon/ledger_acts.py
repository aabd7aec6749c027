"""What one act means for a patient's doses: the row to write and the answer to give. Pure.

The ledger asks here inside its transaction, and the chair's journal asks the same while the ledger is out of reach.
"""

from collections.abc import Iterable

from daemon.day import DayVerdict, Proposed, Segment, day_verdict, mt_verdict
from daemon.ledger import (
    CloseState,
    Differs,
    Intent,
    IntentMade,
    Moment,
    OpenRequest,
    OverrideUsed,
    Receipt,
    Recorded,
    Refusal,
    Refused,
    Row,
    SessionClosed,
    SessionOpened,
    Settled,
    Standing,
)
from daemon.ledger_fold import Doses, Session, fold
from daemon.ledger_rules import IntentView, amplitude_reasons, intent_reasons, proposed_rest
from daemon.limits import Limits, Override
from daemon.purpose import Purpose


def verdict_of(
    purpose: Purpose, segments: Iterable[Segment], proposed: Proposed, limits: Limits, high_water_utc_us: int | None
) -> DayVerdict:
    """The day's verdict by the rules of what the pulses are for."""
    rules = mt_verdict if purpose is Purpose.MT else day_verdict
    return rules(segments, proposed, limits, high_water_utc_us)


def layers_vanished(last: Row | None, request: OpenRequest) -> bool:
    """Whether a signed layer that stood over the patient's last session stands over this one no more: a file was removed."""
    body = None if last is None else last.content()
    stood = body.request.limits.layers if isinstance(body, SessionOpened) else ()
    missing = {layer.name for layer in stood if layer.signed} - {layer.name for layer in request.limits.layers if layer.signed}
    return bool(missing)


def override_used(override: Override) -> OverrideUsed:
    return OverrideUsed(
        override=override.name,
        sha256=override.sha256,
        layer=override.layer,
        limits=override.limits,
        reason=override.reason,
        by=override.by,
        until_utc=override.until_utc,
    )


def intent_refused(
    doses: Doses, session: Session, intent: Intent, limits: Limits, moment: Moment, *, lease_is_held: bool, high_water_utc_us: int | None
) -> Refused | None:
    """Every reason against this train, under `limits` and under those the session was opened with; None: it may be granted."""
    fixed = intent_reasons(IntentView(session=session, intent=intent, moment=moment, lease_is_held=lease_is_held))
    segments = doses.segments(moment.utc_us, running=intent.session_id)
    days = []
    for each in (limits, session.request.limits):
        fixed += amplitude_reasons(session.request, intent.amplitude_pct, each)
        rest = proposed_rest(session, intent, moment)
        days.append(verdict_of(session.request.purpose, segments, rest, each, high_water_utc_us))
    reasons = tuple(dict.fromkeys(fixed + tuple(reason for day in days for reason in day.reasons)))
    if not reasons:
        return None
    moments = [day.earliest_utc_us for day in days if day.earliest_utc_us is not None]
    return Refused(reasons=reasons, earliest_utc_us=max(moments) if len(moments) == len(days) and not fixed else None)


def intent_body(intent: Intent, refused: Refused | None, limits: Limits) -> IntentMade | Refusal:
    return IntentMade(intent=intent, limits_sha256=limits.sha256) if refused is None else refusal(intent, refused, limits)


def refusal(asked: OpenRequest | Intent, refused: Refused, limits: Limits) -> Refusal:
    return Refusal(asked=asked, reasons=refused.reasons, limits=limits, earliest_utc_us=refused.earliest_utc_us)


def closing(session: Session, state: CloseState, reason: str, *, recovered: bool) -> SessionClosed:
    """The end of a session as it stands, with the sum of what it gave."""
    return SessionClosed(
        state=state,
        reason=reason,
        recovered=recovered,
        counted_pulses=session.counted_pulses,
        lease_token=session.opened.lease_token,
        given=session.segments,
    )


def after(session: Session, row: Row) -> Session:
    return fold(Doses(sessions={session.session_id: session}), (row,)).sessions[session.session_id]


def counted(session: Session, receipt: Receipt) -> int:
    train = session.train(receipt.run_id, receipt.grant_no)
    return 0 if train is None else train.counted_pulses


def receipt_answer(session: Session, receipt: Receipt, rank: Standing) -> Settled | Differs | Recorded:
    """What is said of a receipt that was just taken down; `session` with it, `rank` without."""
    train, pulses = session.train(receipt.run_id, receipt.grant_no), counted(session, receipt)
    if rank is Standing.SETTLES and train is not None and train.intent is not None:
        return Settled(counted_pulses=pulses, excess_pulses=max(0, pulses - train.intent.pulses))
    if rank is Standing.DIFFERS:
        return Differs(counted_pulses=pulses, said_pulses=receipt.pulses)
    return Recorded(standing=rank, counted_pulses=pulses)
