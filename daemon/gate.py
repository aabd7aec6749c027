"""May a pulse leave the machine now? Pure rules over one view of everything known; every reason at once.

Each rule says what must hold, written so that None and NaN do not hold. Nothing here remembers, logs or raises.
"""

import enum
from collections.abc import Callable, Mapping

import msgspec

from daemon.ipc import DaemonBeat, Grant
from daemon.on_target import FACING_AWAY_DEG, Errors, OnTarget, TargetLimits
from daemon.purpose import Purpose
from drivers.values import StimReport, StimState, TrainSettings

POSE_MAX_AGE_NS = 100_000_000  # a head moves 0.1 mm in 50 ms as a rule, 4 mm at its fastest: older is not known
BEAT_START_NS = 200_000_000  # a daemon that has not spoken for so long refuses every start
BEAT_RUN_NS = 300_000_000  # and for so long ends what runs
SUPERVISOR_NS = 600_000_000  # second line of defence: longer than any scheduling hiccup of an idle process
STIM_REPORT_START_NS = 500_000_000  # a start wants a report younger than this
STIM_REPORT_RUN_NS = 1_500_000_000  # a device that answers nothing at all for so long is silent (its own answer limit is 1 s)
WALL_TOLERANCE_NS = 2_000_000_000  # wall against monotonic clock between intent and fire: a step or a suspend voids the grant


class Veto(enum.StrEnum):
    """Why the gate is closed, in the order in which people are told."""

    STOP_INPUT = "stop_input"
    DISARM_UNCONFIRMED = "disarm_unconfirmed"
    DAEMON_LATE = "daemon_late"
    SUPERVISOR_LATE = "supervisor_late"
    STIM_FAULT = "stim_fault"
    TRACKER_SILENT = "tracker_silent"
    POSE_STALE = "pose_stale"
    HEAD_UNSEEN = "head_unseen"
    COIL_UNSEEN = "coil_unseen"
    TRACKER_QUALITY = "tracker_quality"
    NOT_REGISTERED = "not_registered"
    REGISTRATION_EXPIRED = "registration_expired"
    REFERENCE_SLIPPED = "reference_slipped"
    CHECK_DUE = "check_due"
    CALIBRATION_INVALID = "calibration_invalid"
    OFF_TARGET = "off_target"
    STIM_STALE = "stim_stale"
    STIM_NOT_READY = "stim_not_ready"
    COIL_WRONG = "coil_wrong"
    COIL_HOT = "coil_hot"
    SETTINGS_DIFFER = "settings_differ"
    HARDWARE_STOP_UNTESTED = "hardware_stop_untested"
    OPERATOR_ABSENT = "operator_absent"
    NOT_ARMED = "not_armed"
    TOO_SOON = "too_soon"
    NO_GRANT = "no_grant"
    RECORD_BLOCKED = "record_blocked"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a decision looks at. None: not known."""

    exposed_ns: int | None = None
    head_seen: bool = False
    coil_seen: bool = False
    fit_rms_mm: float | None = None  # the worse of head and coil
    flagged: bool = True  # the camera itself doubts a pose
    max_fit_rms_mm: float | None = None
    registration_expires_ns: int | None = None
    check_expires_ns: int | None = None
    reference_holds: bool = False
    calibration_expires_ns: int | None = None
    on_target: OnTarget = OnTarget()
    stim: StimReport | None = None
    prepared: TrainSettings | None = None
    secured: bool = False
    disarm_failed: bool = True
    coil_type: int | None = None
    start_temp_c: int | None = None
    stop_temp_c: int | None = None
    armed: bool = False
    beat: DaemonBeat | None = None
    supervisor_ns: int | None = None
    grant: Grant | None = None
    last_pulse_ns: int | None = None  # None: none fired since this process secured the device
    wall_minus_mono_ns: int | None = None
    record_open: bool = False  # receipts can be handed over


Rule = Callable[[View, int], bool]


def _young(then_ns: int | None, now_ns: int, limit_ns: int) -> bool:
    return then_ns is not None and 0 <= now_ns - then_ns <= limit_ns


def _ahead(until_ns: int | None, now_ns: int) -> bool:
    return until_ns is not None and now_ns < until_ns


def _stop_inputs_clear(view: View, _now_ns: int) -> bool:
    return view.beat is not None and view.beat.stop_inputs_clear


def _disarm_works(view: View, _now_ns: int) -> bool:
    return view.secured and not view.disarm_failed


def _daemon_beats_for_start(view: View, now_ns: int) -> bool:
    return view.beat is not None and _young(view.beat.made_ns, now_ns, BEAT_START_NS)


def _daemon_beats(view: View, now_ns: int) -> bool:
    return view.beat is not None and _young(view.beat.made_ns, now_ns, BEAT_RUN_NS)


def _supervisor_beats(view: View, now_ns: int) -> bool:
    return _young(view.supervisor_ns, now_ns, SUPERVISOR_NS)


def _stim_sound(view: View, _now_ns: int) -> bool:
    lost = (StimState.DISCONNECTED, StimState.FAULT)
    return view.stim is not None and view.stim.fault is None and view.stim.state not in lost


def _tracker_speaks(view: View, _now_ns: int) -> bool:
    return view.exposed_ns is not None


def _pose_fresh(view: View, now_ns: int) -> bool:
    return view.exposed_ns is not None and now_ns - view.exposed_ns <= POSE_MAX_AGE_NS


def _head_seen(view: View, _now_ns: int) -> bool:
    return view.head_seen


def _coil_seen(view: View, _now_ns: int) -> bool:
    return view.coil_seen


def _tracker_good(view: View, _now_ns: int) -> bool:
    if view.fit_rms_mm is None or view.max_fit_rms_mm is None:
        return False
    return view.fit_rms_mm <= view.max_fit_rms_mm and not view.flagged


def _registered(view: View, _now_ns: int) -> bool:
    return view.registration_expires_ns is not None


def _registration_valid(view: View, now_ns: int) -> bool:
    return _ahead(view.registration_expires_ns, now_ns)


def _reference_holds(view: View, _now_ns: int) -> bool:
    return view.reference_holds


def _check_valid(view: View, now_ns: int) -> bool:
    return _ahead(view.check_expires_ns, now_ns)


def _calibration_valid(view: View, now_ns: int) -> bool:
    return _ahead(view.calibration_expires_ns, now_ns)


def _on_target_now(view: View, _now_ns: int) -> bool:
    return view.on_target.published


def _on_target_still(view: View, _now_ns: int) -> bool:
    return view.on_target.sustained


def _stim_fresh_for_start(view: View, now_ns: int) -> bool:
    return view.stim is not None and _young(view.stim.received_ns, now_ns, STIM_REPORT_START_NS)


def _stim_fresh(view: View, now_ns: int) -> bool:
    return view.stim is not None and _young(view.stim.received_ns, now_ns, STIM_REPORT_RUN_NS)


def _stim_ready(view: View, _now_ns: int) -> bool:
    return view.stim is not None and view.stim.state is StimState.READY and view.stim.running is False


def _coil_right(view: View, _now_ns: int) -> bool:
    return view.stim is not None and view.stim.coil_type is not None and view.stim.coil_type == view.coil_type


def _cool_enough_to_run(view: View, _now_ns: int) -> bool:
    if view.stim is None or view.stim.temperature_c is None or view.stop_temp_c is None:
        return False
    return view.stim.temperature_c < view.stop_temp_c


def _cool_enough_to_start(view: View, now_ns: int) -> bool:
    if view.stim is None or view.stim.temperature_c is None or view.start_temp_c is None:
        return False
    return view.stim.temperature_c < view.start_temp_c and _cool_enough_to_run(view, now_ns)


def _settings_read_back(view: View, _now_ns: int) -> bool:
    if view.prepared is None or view.stim is None or view.stim.amplitude_pct_mso != view.prepared.amplitude_pct_mso:
        return False
    return view.grant is None or view.grant.settings == view.prepared


def _hardware_stop_tested(view: View, _now_ns: int) -> bool:
    return view.beat is not None and view.beat.hardware_stop_tested


def _operator_present(view: View, _now_ns: int) -> bool:
    return view.beat is not None and view.beat.operator_present


def _armed(view: View, _now_ns: int) -> bool:
    return view.armed


def _gap_passed(view: View, now_ns: int) -> bool:
    """The full pause since the last pulse, and not before the time of the grant."""
    if view.grant is None or now_ns < view.grant.not_before_ns:
        return False
    return view.last_pulse_ns is None or now_ns - view.last_pulse_ns >= view.grant.gap_ns


def _grant_valid(view: View, now_ns: int) -> bool:
    grant = view.grant
    if grant is None or now_ns > grant.expires_ns or view.wall_minus_mono_ns is None:
        return False
    return abs(view.wall_minus_mono_ns - grant.wall_minus_mono_ns) <= WALL_TOLERANCE_NS


def _record_open(view: View, _now_ns: int) -> bool:
    return view.record_open


START_RULES: Mapping[Veto, Rule] = {
    Veto.STOP_INPUT: _stop_inputs_clear,
    Veto.DISARM_UNCONFIRMED: _disarm_works,
    Veto.DAEMON_LATE: _daemon_beats_for_start,
    Veto.SUPERVISOR_LATE: _supervisor_beats,
    Veto.STIM_FAULT: _stim_sound,
    Veto.TRACKER_SILENT: _tracker_speaks,
    Veto.POSE_STALE: _pose_fresh,
    Veto.HEAD_UNSEEN: _head_seen,
    Veto.COIL_UNSEEN: _coil_seen,
    Veto.TRACKER_QUALITY: _tracker_good,
    Veto.NOT_REGISTERED: _registered,
    Veto.REGISTRATION_EXPIRED: _registration_valid,
    Veto.REFERENCE_SLIPPED: _reference_holds,
    Veto.CHECK_DUE: _check_valid,
    Veto.CALIBRATION_INVALID: _calibration_valid,
    Veto.OFF_TARGET: _on_target_now,
    Veto.STIM_STALE: _stim_fresh_for_start,
    Veto.STIM_NOT_READY: _stim_ready,
    Veto.COIL_WRONG: _coil_right,
    Veto.COIL_HOT: _cool_enough_to_start,
    Veto.SETTINGS_DIFFER: _settings_read_back,
    Veto.HARDWARE_STOP_UNTESTED: _hardware_stop_tested,
    Veto.OPERATOR_ABSENT: _operator_present,
    Veto.NOT_ARMED: _armed,
    Veto.TOO_SOON: _gap_passed,
    Veto.NO_GRANT: _grant_valid,
    Veto.RECORD_BLOCKED: _record_open,
}

# While a train runs: one unseen frame is not a slip, so seeing is judged by the leave dwell and the pose's age. A check that runs out
# lets the train end: it proves nothing wrong, and the next one asks for it.
RUN_RULES: Mapping[Veto, Rule] = {
    Veto.STOP_INPUT: _stop_inputs_clear,
    Veto.DISARM_UNCONFIRMED: _disarm_works,
    Veto.DAEMON_LATE: _daemon_beats,
    Veto.SUPERVISOR_LATE: _supervisor_beats,
    Veto.STIM_FAULT: _stim_sound,
    Veto.TRACKER_SILENT: _tracker_speaks,
    Veto.POSE_STALE: _pose_fresh,
    Veto.REGISTRATION_EXPIRED: _registration_valid,
    Veto.REFERENCE_SLIPPED: _reference_holds,
    Veto.CALIBRATION_INVALID: _calibration_valid,
    Veto.OFF_TARGET: _on_target_still,
    Veto.STIM_STALE: _stim_fresh,
    Veto.COIL_WRONG: _coil_right,
    Veto.COIL_HOT: _cool_enough_to_run,
    Veto.SETTINGS_DIFFER: _settings_read_back,
    Veto.OPERATOR_ABSENT: _operator_present,
    Veto.NOT_ARMED: _armed,
    Veto.RECORD_BLOCKED: _record_open,
}

# While armed and idle: what takes the arm away or disables the device although nothing runs.
ARMED_RULES: Mapping[Veto, Rule] = {
    Veto.STOP_INPUT: _stop_inputs_clear,
    Veto.DAEMON_LATE: _daemon_beats,
    Veto.SUPERVISOR_LATE: _supervisor_beats,
    Veto.STIM_FAULT: _stim_sound,
    Veto.STIM_STALE: _stim_fresh,
    Veto.COIL_WRONG: _coil_right,
    Veto.COIL_HOT: _cool_enough_to_run,
}

# The search for the motor threshold has no target, and begins before any registration: where the coil is, is recorded, not asked.
NEEDS_TARGET = frozenset(
    {
        Veto.TRACKER_SILENT,
        Veto.POSE_STALE,
        Veto.HEAD_UNSEEN,
        Veto.COIL_UNSEEN,
        Veto.TRACKER_QUALITY,
        Veto.NOT_REGISTERED,
        Veto.REGISTRATION_EXPIRED,
        Veto.REFERENCE_SLIPPED,
        Veto.CHECK_DUE,
        Veto.CALIBRATION_INVALID,
        Veto.OFF_TARGET,
    }
)
MT_START_RULES: Mapping[Veto, Rule] = {veto: rule for veto, rule in START_RULES.items() if veto not in NEEDS_TARGET}
MT_RUN_RULES: Mapping[Veto, Rule] = {veto: rule for veto, rule in RUN_RULES.items() if veto not in NEEDS_TARGET}
STARTS: Mapping[Purpose, Mapping[Veto, Rule]] = {Purpose.TREATMENT: START_RULES, Purpose.MT: MT_START_RULES}
RUNS: Mapping[Purpose, Mapping[Veto, Rule]] = {Purpose.TREATMENT: RUN_RULES, Purpose.MT: MT_RUN_RULES}

# Before each burst that the host itself asks for in a train: all that a start needs, but for the grant, which this train has used up.
BURST_RULES: Mapping[Veto, Rule] = {
    **{veto: rule for veto, rule in START_RULES.items() if veto not in (Veto.STIM_NOT_READY, Veto.TOO_SOON, Veto.NO_GRANT)},
    Veto.COIL_HOT: _cool_enough_to_run,
}

# A hold keeps the operator's arm; every other veto during a train is a stop and takes it away.
HOLDS = frozenset(
    {
        Veto.TRACKER_SILENT,
        Veto.POSE_STALE,
        Veto.REGISTRATION_EXPIRED,
        Veto.REFERENCE_SLIPPED,
        Veto.OFF_TARGET,
        Veto.OPERATOR_ABSENT,
        Veto.COIL_HOT,
    }
)
ONLY_THE_GRANT = frozenset({Veto.NO_GRANT, Veto.TOO_SOON})


def vetoes(view: View, now_ns: int, rules: Mapping[Veto, Rule] = START_RULES) -> tuple[Veto, ...]:
    """Reasons against a pulse at `now_ns`; empty means go."""
    return tuple([veto for veto, holds in rules.items() if not holds(view, now_ns)])  # a list first: a generator costs twice as much


def off_target_parts(error: Errors | None, settling: bool, limits: TargetLimits) -> tuple[str, ...]:
    """What is off about the coil, most basic first, by the enter limits. Empty where nothing is known."""
    if error is None or error.lateral_mm is None or error.angular_error_deg is None or error.gap_mm is None:
        return ()
    twist = error.twist_error_deg
    parts = (
        ("reversed", twist is None or abs(twist) > 90.0),
        ("facing_away", error.angular_error_deg > FACING_AWAY_DEG),
        ("lateral", error.lateral_mm > limits.enter_lateral_mm),
        ("tilt", error.angular_error_deg > limits.enter_tilt_deg),
        ("twist", twist is not None and limits.enter_twist_deg < abs(twist) <= 90.0),
        ("lifted", error.gap_mm > limits.enter_gap_lifted_mm),
        ("pressed", error.gap_mm < -limits.enter_gap_pressed_mm),
        ("settling", settling),
    )
    return tuple(name for name, is_so in parts if is_so)
