"""Every reason for a closed gate as a person reads it: how urgent, what it is, what to do, what then. Text only, no rules."""

from daemon.gate import Veto
from daemon.messages import Priority, Reason

_N, _L, _M, _H = Priority.NONE, Priority.LOW, Priority.MEDIUM, Priority.HIGH

# code -> (priority, while only aiming, row, do, then)
TABLE: dict[str, tuple[Priority, Priority, str, str, str]] = {
    Veto.STOP_INPUT: (_H, _H, "Stop is pressed", "Lift the coil off", "release it when safe"),
    Veto.DISARM_UNCONFIRMED: (_H, _H, "Disarm not confirmed", "Lift the coil off", "then press red button"),
    Veto.DAEMON_LATE: (_H, _H, "Control has stopped", "Lift the coil off", "then press red button"),
    Veto.SUPERVISOR_LATE: (_H, _H, "Control has stopped", "Lift the coil off", "then press red button"),
    Veto.STIM_FAULT: (_H, _M, "Stimulator fault", "Lift the coil off", "then read its display"),
    Veto.TRACKER_SILENT: (_M, _M, "Tracker is silent", "Check tracker", "its power and cable"),
    Veto.POSE_STALE: (_M, _M, "Tracking is late", "Wait a moment", "or check tracker cable"),
    Veto.HEAD_UNSEEN: (_M, _M, "Head tracker not seen", "Clear the view", "from camera to head"),
    Veto.COIL_UNSEEN: (_M, _M, "Coil tracker not seen", "Clear the view", "from camera to coil"),
    Veto.TRACKER_QUALITY: (_M, _M, "Tracking is poor", "Clean spheres", "or move the camera"),
    Veto.NOT_REGISTERED: (_M, _N, "Head not registered", "Register first", "N opens it"),
    Veto.REGISTRATION_EXPIRED: (_M, _N, "Registration too old", "Register again", "all of it"),
    Veto.REFERENCE_SLIPPED: (_M, _M, "Head tracker slipped", "Register again", "before the next pulse"),
    Veto.CHECK_DUE: (_M, _N, "Head check is due", "Touch the nose", "then one ear"),
    Veto.CALIBRATION_INVALID: (_M, _N, "Coil not calibrated", "Calibrate coil", "or take another one"),
    Veto.COIL_WRONG: (_M, _N, "Wrong coil connected", "Change the coil", "the plan names it"),
    "reversed": (_M, _N, "Coil is reversed", "Turn around", "the handle is reversed"),
    "facing_away": (_M, _N, "Coil faces away", "Face the head", "flat on the scalp"),
    "lateral": (_M, _N, "Coil aside", "Move the coil", "to the target"),
    "tilt": (_M, _N, "Coil tilted", "Level the coil", "flat on the scalp"),
    "twist": (_M, _N, "Coil turned", "Turn the handle", "into its slot"),
    "lifted": (_M, _N, "Coil too high", "Press closer", "until it touches"),
    "pressed": (_M, _N, "Coil too deep", "Ease off", "a little"),
    "settling": (_N, _N, "Settling", "Keep still", "half a second"),
    Veto.OFF_TARGET: (_M, _N, "Coil off target", "Move the coil", "to the target"),
    Veto.STIM_STALE: (_M, _M, "Stimulator is silent", "Wait a moment", "or check its cable"),
    Veto.STIM_NOT_READY: (_N, _N, "Stimulator charging", "Wait a moment", "it is getting ready"),
    Veto.COIL_HOT: (_M, _M, "Coil hot", "Let it cool", "some minutes"),
    Veto.SETTINGS_DIFFER: (_M, _N, "Output not as planned", "Leave the dial", "then start again"),
    Veto.HARDWARE_STOP_UNTESTED: (_N, _N, "Red button not tested", "Press red button", "once, to test it"),
    Veto.OPERATOR_ABSENT: (_M, _N, "Operator not there", "Take the controls", "then go on"),
    Veto.NOT_ARMED: (_N, _N, "Not armed", "Arm", "when on target"),
    Veto.TOO_SOON: (_N, _N, "Pause between trains", "Keep still", "the next one follows"),
    Veto.NO_GRANT: (_N, _N, "Train not released", "Wait a moment", ""),
    Veto.RECORD_BLOCKED: (_M, _M, "Dose record offline", "Wait a moment", "or call the engineer"),
}
# Where the first holds, the others say nothing of their own.
IMPLIED: dict[str, tuple[str, ...]] = {Veto.NOT_REGISTERED: (Veto.REGISTRATION_EXPIRED, Veto.REFERENCE_SLIPPED, Veto.CHECK_DUE)}
_ORDER = (_H, _M, _L, _N)


def reasons(vetoes: tuple[str, ...], off_target: tuple[str, ...], in_session: bool) -> tuple[Reason, ...]:
    """The lines for these vetoes, most urgent first, then in the order of the table. `off_target` says what about it."""
    implied = {code for veto in vetoes for code in IMPLIED.get(veto, ())}
    told = [veto for veto in vetoes if veto not in implied]
    codes = [code for veto in told for code in (off_target if veto == Veto.OFF_TARGET and off_target else (veto,))]
    lines = [_line(code, in_session) for code in codes]
    order = list(TABLE)
    return tuple(sorted(lines, key=lambda line: (_ORDER.index(line.priority), order.index(line.code))))


def _line(code: str, in_session: bool) -> Reason:
    urgent, aiming, row, do, then = TABLE[code]
    return Reason(code=str(code), priority=urgent if in_session else aiming, row=row, do=do, then=then)
