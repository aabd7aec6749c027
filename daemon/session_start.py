"""What speaks against opening a session although the dose record allows it: files that changed, a motor threshold that does not hold.

Reads the files again; the rules are `limit_files` and `mt_rules`.
"""

from daemon.config import Config
from daemon.day import DoseReason
from daemon.mt_rules import Circumstances, Reason, Stale, evidence_required, reason_for, stale_reasons
from daemon.mt_values import StatedThreshold
from daemon.treatment import Treatment


def against_start(treatment: Treatment, config: Config, now_utc_us: int) -> tuple[DoseReason, ...]:
    """Every reason; each is looked up anew when a session is about to be opened, for a plan may have been open for hours."""
    must_hold = {
        DoseReason.LIMITS_INVALID: not treatment.changed_files(),
        DoseReason.MT_STALE: not threshold_reasons(treatment, config, now_utc_us),
    }
    return tuple(reason for reason, holds in must_hold.items() if not holds)


def threshold_reasons(treatment: Treatment, config: Config, now_utc_us: int) -> tuple[Reason, ...]:
    """Why the motor threshold that this session is dosed by does not hold at this chair.

    What the plan of a simulated head states may be as old as it likes: nobody lies in that chair.
    """
    circumstances = Circumstances(
        now_utc_us=now_utc_us,
        max_age_h=treatment.limits.mt_max_age_h,
        coil_serial=coil_name(config),
        device=config.stimulator.model,
        evidence_required=evidence_required(treatment.basis, outside_admitted=treatment.outside_admitted),
    )
    found = stale_reasons(treatment.dose.threshold, circumstances)
    if treatment.dose.needs_repeat and all(reason.code is not Stale.NEEDS_REPEAT for reason in found):
        found += (reason_for(Stale.NEEDS_REPEAT),)
    is_simulated = treatment.simulation_only and isinstance(treatment.dose.threshold, StatedThreshold)
    return tuple(reason for reason in found if not (is_simulated and reason.code is Stale.TOO_OLD))


def coil_name(config: Config) -> str:
    """What tells this coil from another: the number on it where the chair's file has it, else the device's code of its type."""
    return config.stimulator.coil_serial or f"type {config.stimulator.coil_type}"
