"""A search for the motor threshold as clients see it. Decides nothing."""

from calibration.motor_threshold import Method
from calibration.motor_threshold_likelihood import estimate, posterior
from daemon.limits import Limits
from daemon.messages import MtBody, MtTrial
from daemon.mt_chair import Search
from daemon.mt_hunt import highest_next_mso
from daemon.mt_words import Hunt, WaitingAnswer, WaitingPulse


def mt_body(search: Search, pulses_before: int | None, limits: Limits | None) -> MtBody:
    """The search as clients see it. `pulses_before`: single pulses of the patient's day before it."""
    hunt, setup = search.hunt, search.setup
    estimate = estimate_so_far(hunt)
    waiting = hunt.waiting
    found, record = hunt.found, hunt.record
    return MtBody(
        step=search.step,
        phase=hunt.phase,
        patient=setup.patient,
        method=setup.method,
        evidence=setup.evidence,
        pulses_given=hunt.given,
        pulses_planned=setup.planned_pulses,
        next_number=hunt.asked + 1,
        highest_next_mso=highest_next_mso(hunt),
        waiting="pulse" if isinstance(waiting, WaitingPulse) else "answer" if isinstance(waiting, WaitingAnswer) else None,
        waiting_number=None if waiting is None else waiting.number,
        amplitude_mso=None if waiting is None else waiting.amplitude_mso,
        last_mso=hunt.last_mso,
        trials=tuple(MtTrial(amplitude_mso=trial.stimulus_mso, responded=trial.responded) for trial in hunt.trials),
        estimate_mso=None if estimate is None else estimate[0],
        interval_mso=None if estimate is None else estimate[1],
        threshold_mso=record.value_mso if record is not None else None if found is None else found.threshold_mso,
        needs_repeat=record is not None and record.needs_repeat,
        why=search.why or hunt.why or "",
        remedy=hunt.remedy or "",
        pulses_today=None if pulses_before is None else pulses_before + hunt.given,
        pulses_today_limit=None if limits is None else limits.max_mt_pulses_per_day,
    )


def estimate_so_far(hunt: Hunt) -> tuple[float, tuple[float, float]] | None:
    """Where the threshold lies by the trials so far and its 95 % interval, %MSO; None where the method has no estimate on the way."""
    if not hunt.trials or hunt.setup.method is Method.RELATIVE_FREQUENCY:
        return None
    if hunt.setup.method is Method.PEST:
        likely = estimate(hunt.trials)
        return likely.mso, likely.interval_mso
    bayesian = posterior(hunt.trials)
    return bayesian.mean_mso, bayesian.interval_mso
