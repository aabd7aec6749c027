"""When a motor threshold may no longer be dosed by, each rule by itself, and what a new one is to the one before.

Pure: the moment is passed in. Every reason is returned; missing knowledge is a reason.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from daemon.mt_values import Evidence, MotorThresholdRecord, StatedThreshold, is_far
from daemon.people import person

US_PER_H: Final = 3_600_000_000
RESEARCH: Final = "research:"  # how the basis of a protocol for research begins


class Stale(StrEnum):
    """Why a motor threshold does not hold; `STALE_TEXT` says it to people."""

    NONE = "MT_NONE"
    TOO_OLD = "MT_TOO_OLD"
    FROM_THE_FUTURE = "MT_FROM_THE_FUTURE"
    OTHER_COIL = "MT_OTHER_COIL"
    OTHER_DEVICE = "MT_OTHER_DEVICE"
    OTHER_PULSE_SHAPE = "MT_OTHER_PULSE_SHAPE"
    NOT_BY_EMG = "MT_NOT_BY_EMG"
    MEDICATION = "MT_MEDICATION"
    EVENT_SINCE = "MT_EVENT_SINCE"
    NEEDS_REPEAT = "MT_NEEDS_REPEAT"


class StaleText(msgspec.Struct, frozen=True):
    """What is the matter and what to do about it."""

    text: str
    remedy: str


STALE_TEXT: Mapping[Stale, StaleText] = {
    Stale.NONE: StaleText("no motor threshold is known", "Measure it."),
    Stale.TOO_OLD: StaleText("the motor threshold is too old", "Measure it again."),
    Stale.FROM_THE_FUTURE: StaleText("the motor threshold was measured later than now", "Check the clock."),
    Stale.OTHER_COIL: StaleText("the motor threshold was measured with another coil", "Measure it with this coil."),
    Stale.OTHER_DEVICE: StaleText("the motor threshold was measured with another stimulator", "Measure it with this one."),
    Stale.OTHER_PULSE_SHAPE: StaleText("the motor threshold was measured with another pulse shape", "Measure it with this one."),
    Stale.NOT_BY_EMG: StaleText("the motor threshold was not measured by EMG, which is required here", "Measure it by EMG."),
    Stale.MEDICATION: StaleText("the medication changed since the motor threshold was measured", "Tell the physician; measure it again."),
    Stale.EVENT_SINCE: StaleText("there was a seizure or a faint since the threshold was measured", "The physician decides."),
    Stale.NEEDS_REPEAT: StaleText(
        "the motor threshold moved by more than a fifth and nobody has repeated it", "Have a second person measure it again."
    ),
}


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason, with its words."""

    code: Stale
    text: str
    remedy: str


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold is held against. `evidence_required`: None where any will do.

    `medication_sha256`: of the list as it stands today, None where the site keeps none. `last_event_utc_us`: the patient's last
    seizure or faint.
    """

    now_utc_us: int
    max_age_h: int | float
    coil_serial: str | None
    device: str | None
    pulse_shape: str | None = None
    evidence_required: Evidence | None = None
    medication_sha256: str | None = None
    last_event_utc_us: int | None = None


# What must hold of a measured threshold. A value that is unknown on either side of an equation does not hold, but for the pulse
# shape and the medication, which not every device and site tells: there, both unknown is no change.
RULES: Mapping[Stale, Callable[[MotorThresholdRecord, Circumstances], bool]] = {
    Stale.TOO_OLD: lambda record, now: _is_young(record.measured_utc_us, now),
    Stale.FROM_THE_FUTURE: lambda record, now: record.measured_utc_us <= now.now_utc_us,
    Stale.OTHER_COIL: lambda record, now: record.coil_serial == now.coil_serial,
    Stale.OTHER_DEVICE: lambda record, now: record.device == now.device,
    Stale.OTHER_PULSE_SHAPE: lambda record, now: record.pulse_shape == now.pulse_shape,
    Stale.NOT_BY_EMG: lambda record, now: now.evidence_required in (None, Evidence.VISUAL) or record.evidence is Evidence.EMG,
    Stale.MEDICATION: lambda record, now: record.medication_sha256 == now.medication_sha256,
    Stale.EVENT_SINCE: lambda record, now: _is_before(now.last_event_utc_us, record.measured_utc_us),
    Stale.NEEDS_REPEAT: lambda record, _now: not record.needs_repeat,
}
# A threshold that a plan states says neither coil nor device nor how it was seen: who made the plan answers for these.
STATED_RULES: Mapping[Stale, Callable[[StatedThreshold, Circumstances], bool]] = {
    Stale.TOO_OLD: lambda stated, now: _is_young(stated.measured_utc_us, now),
    Stale.FROM_THE_FUTURE: lambda stated, now: stated.measured_utc_us <= now.now_utc_us,
    Stale.NOT_BY_EMG: lambda _stated, now: now.evidence_required in (None, Evidence.VISUAL),
    Stale.EVENT_SINCE: lambda stated, now: _is_before(now.last_event_utc_us, stated.measured_utc_us),
}


def stale_reasons(threshold: MotorThresholdRecord | StatedThreshold | None, now: Circumstances) -> tuple[Reason, ...]:
    """Every reason not to dose by this threshold; empty means it holds."""
    if threshold is None:
        return (reason_for(Stale.NONE),)
    if isinstance(threshold, StatedThreshold):
        return tuple(reason_for(code) for code, holds in STATED_RULES.items() if not holds(threshold, now))
    return tuple(reason_for(code) for code, holds in RULES.items() if not holds(threshold, now))


def evidence_required(basis: str, *, outside_admitted: bool, site_requires_emg: bool = False) -> Evidence | None:
    """EMG for research, for a protocol outside the safety tables, and where the site wants it; otherwise any evidence will do.

    By eye a threshold reads 11.3 % higher on average, which took doses past table limits in more than half of the subjects of
    Westin 2014, PMC3954153.
    """
    return Evidence.EMG if outside_admitted or site_requires_emg or basis.startswith(RESEARCH) else None


class Succession(msgspec.Struct, frozen=True, kw_only=True):
    """What a new record says of the one before: the last value that was believed, and whose measurement it repeats and confirms."""

    previous_mso: float | None
    second_person: str | None


def succession(previous: MotorThresholdRecord | None, value_mso: float, operator: str) -> Succession:
    """What a value newly found by `operator` is to the patient's last record.

    Another person's value within a fifth of the last confirms it. One that nobody confirmed was never believed: the new value is
    then held against the one before it.
    """
    if previous is None:
        return Succession(previous_mso=None, second_person=None)
    confirms = person(previous.operator) != person(operator) and not is_far(value_mso, previous.value_mso)
    return Succession(
        previous_mso=previous.previous_mso if previous.needs_repeat else previous.value_mso,
        second_person=previous.operator if confirms else None,
    )


def _is_young(measured_utc_us: int, now: Circumstances) -> bool:
    return now.now_utc_us - measured_utc_us <= now.max_age_h * US_PER_H


def _is_before(event_utc_us: int | None, measured_utc_us: int) -> bool:
    return event_utc_us is None or event_utc_us < measured_utc_us


def reason_for(code: Stale) -> Reason:
    """One reason with its words."""
    words = STALE_TEXT[code]
    return Reason(code=code, text=words.text, remedy=words.remedy)
