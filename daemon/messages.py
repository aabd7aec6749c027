"""What goes over the network: telemetry, commands, results and errors. Clients import this module and nothing else of ours.

Bodies are JSON of these structs. Telemetry comes as `[topic, header, body]`; a command as one JSON `Request`, answered by
one `Reply`. Lengths mm, angles degrees, times nanoseconds on the daemon host's monotonic clock unless a name says otherwise.
"""

import enum
from typing import Literal

import msgspec

from daemon.message_words import Message, Params, Priority, Step, Word

__all__ = ["Message", "Params", "Priority", "Step", "Word"]  # handed on; what is defined here needs no mention

API_VERSION = 1

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


# ---- telemetry ------------------------------------------------------------------------------------------------------


class Header(Message, frozen=True, kw_only=True):
    """`seq` counts per topic; `epoch` is new at every start of the daemon; `retained` marks a value sent again to a new subscriber."""

    seq: int
    mono_ns: int
    utc: str
    epoch: int
    severity: Priority
    valid: bool
    retained: bool = False


class Heartbeat(Message, frozen=True, kw_only=True):
    state_rev: int
    step: Step
    chair: str
    operator: str | None
    hot_age_ms: float | None


class CoilErrorBody(Message, frozen=True, kw_only=True):
    """Where the coil is against its target, at one camera exposure. Every number is null when it cannot be known.

    The first four are the operator's known numbers; signs as documented in the wire protocol.
    """

    frame_number: int | None
    exposed_ns: int | None
    age_ms: float | None
    on_target: bool
    settling: bool
    distance_to_target_mm: float | None = None
    target_error_mm: float | None = None
    angular_error_deg: float | None = None
    twist_error_deg: float | None = None
    lateral_mm: float | None = None
    lateral_x_mm: float | None = None
    lateral_y_mm: float | None = None
    gap_mm: float | None = None
    tilt_x_deg: float | None = None
    tilt_y_deg: float | None = None
    rotation_total_deg: float | None = None
    beam_x_mm: float | None = None
    beam_y_mm: float | None = None
    beam_depth_mm: float | None = None
    expected_error_mm: float | None = None  # 1 sigma of the registration at the target


class CoilPoseBody(Message, frozen=True, kw_only=True):
    frame_number: int
    exposed_ns: int | None
    coil_in_mri_mm: Vector | None
    mri_from_coil_wxyz: Quaternion | None


class ToolBody(Message, frozen=True, kw_only=True):
    tool: str
    seen: bool
    why: str | None
    fit_rms_mm: float | None


class ToolsBody(Message, frozen=True, kw_only=True):
    tracker: str
    why: str
    remedy: str
    frame_hz: float | None
    tools: tuple[ToolBody, ...]


class Reason(Message, frozen=True, kw_only=True):
    """Why the gate is closed: `code`, then three short lines for a screen."""

    code: str
    priority: Priority
    row: str
    do: str
    then: str


class GateBody(Message, frozen=True, kw_only=True):
    """`open` is true only while a pulse could be fired at this moment; `may_start` while nothing but the grant is missing."""

    open: bool
    may_start: bool
    word: Word
    reasons: tuple[Reason, ...]


class StimBody(Message, frozen=True, kw_only=True):
    state: str
    model: str | None
    serial: int | None
    enabled: bool | None
    running: bool | None
    temperature_c: int | None
    coil_type: int | None
    amplitude_pct_mso: int | None
    fault: str | None
    simulated: bool
    age_ms: float | None


class TrainBody(Message, frozen=True, kw_only=True):
    """The running or coming train. `state`: waiting, intending, granted, running, done, broken."""

    train: int
    trains: int
    state: str
    bursts_seen: int
    bursts: int
    pulses_session: int
    pulses_planned: int
    next_train_mono_ns: int | None


class SessionBody(Message, frozen=True, kw_only=True):
    state_rev: int
    step: Step
    word: Word
    patient: str | None = None
    target: str | None = None
    plan_sha256: str | None = None
    protocol: str | None = None
    session_id: str | None = None
    set_point_mso: int | None = None
    trains_planned: int | None = None
    trains_done: int = 0
    trains_broken: int = 0
    pulses_planned: int | None = None
    pulses_delivered: int = 0
    armed: bool = False
    held_why: tuple[str, ...] = ()
    stopped_why: str | None = None
    resume_until_mono_ns: int | None = None
    end_utc: str | None = None  # when the last train ends, if nothing else holds
    hardware_stop_tested: bool = False
    warnings: tuple[str, ...] = ()


class DoseBody(Message, frozen=True, kw_only=True):
    """Today against the limits, the proposed session not counted. `earliest_utc`: when a start would be allowed, null if never."""

    patient: str
    sessions_today: int
    sessions_limit: int
    pulses_today: int
    pulses_limit: int
    min_gap_s: float
    allowed_now: bool
    reasons: tuple[str, ...]
    earliest_utc: str | None


class LandmarkBody(Message, frozen=True, kw_only=True):
    """A landmark of the plan: how often it was touched, and after the fit how far the touch lies from its mark."""

    name: str
    needed: bool
    touches: int
    wanted: int
    spread_mm: float | None = None
    moved_mm: float | None = None


class ZoneBody(Message, frozen=True, kw_only=True):
    zone: str
    points: int
    wanted: int


class CheckBody(Message, frozen=True, kw_only=True):
    """Whether the head reference still sits as at the registration. `missing`: landmarks whose touch the check still wants.

    `distances_mm`: of each touched again, from its place; `shift_mm`, `turn_deg`, `at_target_mm` from three or more.
    """

    passed: bool
    slipped: bool
    missing: tuple[str, ...]
    distances_mm: dict[str, float]
    worst_mm: float | None
    warn_mm: float
    block_mm: float
    shift_mm: float | None = None
    turn_deg: float | None = None
    at_target_mm: float | None = None
    trend_mm_per_h: float | None = None
    age_s: float | None = None
    valid_until_utc: str | None = None


class RegistrationBody(Message, frozen=True, kw_only=True):
    """`phase`: none, restored, touching, sweeping, fitting, fitted, accepted. `kind`: full, quick.

    `asks`: what is to be done next: touch, sweep, left_ear, accept, repeat, check, quick, register, or null.
    `residual_map`: swept points seen in the landmarks' frame, right, front, up and distance from the scalp, mm.
    """

    phase: str
    kind: str = "full"
    asks: str | None = None
    touches: dict[str, int] = msgspec.field(default_factory=dict)
    landmarks: tuple[LandmarkBody, ...] = ()
    next_landmark: str | None = None
    tip_spread_mm: float | None = None
    hold_share: float | None = None
    sweep_points: int = 0
    sweep_wanted: int = 0
    zones: tuple[ZoneBody, ...] = ()
    wanted_zone: str | None = None
    around_target_points: int = 0
    around_target_wanted: int = 0
    rejected: dict[str, int] = msgspec.field(default_factory=dict)
    alike_mm: float | None = None
    conditioning: float | None = None
    swapped: tuple[str, str] | None = None
    outlier: str | None = None
    residual_map: tuple[tuple[float, float, float, float], ...] = ()
    expected_parts_mm: dict[str, float] = msgspec.field(default_factory=dict)
    left_ear_touched: bool = False
    side_fact: str | None = None
    change_at_target_mm: float | None = None
    change_turn_deg: float | None = None
    check: CheckBody | None = None
    fre_mm: float | None = None
    surface_rms_mm: float | None = None
    share_within_3mm: float | None = None
    float_mm: float | None = None
    expected_error_mm: float | None = None
    expected_error_limit_mm: float | None = None
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    valid_until_utc: str | None = None


class AlarmBody(Message, frozen=True, kw_only=True):
    id: str
    priority: Priority
    text: str
    do: str
    raised_utc: str
    active: bool
    acknowledged_by: str | None = None


class MtTrial(Message, frozen=True, kw_only=True):
    """One pulse of the hunt: its amplitude, %MSO, and whether the muscle answered."""

    amplitude_mso: int
    responded: bool


class MtBody(Message, frozen=True, kw_only=True):
    """A search for the motor threshold. `step`: opening, open, arming, armed, closing, closed, refused; `phase`: hotspot, hunt, confirm,
    saved, not_found, aborted. `waiting`: "pulse" or "answer", to `waiting_number`. Amplitudes and thresholds in %MSO. `pulses_today`:
    the patient's single pulses of this day, this search's included; null where the dose record did not say.
    """

    step: str
    phase: str
    patient: str
    method: str
    evidence: str
    pulses_given: int
    pulses_planned: int
    next_number: int
    highest_next_mso: int
    waiting: str | None = None
    waiting_number: int | None = None
    amplitude_mso: int | None = None
    last_mso: int | None = None
    trials: tuple[MtTrial, ...] = ()
    estimate_mso: float | None = None
    interval_mso: tuple[float, float] | None = None
    threshold_mso: float | None = None
    needs_repeat: bool = False
    why: str = ""
    remedy: str = ""
    pulses_today: int | None = None
    pulses_today_limit: int | None = None


TOPICS: dict[str, type[Message]] = {
    "v1/hb": Heartbeat,
    "v1/coil/error": CoilErrorBody,
    "v1/coil/pose": CoilPoseBody,
    "v1/tools": ToolsBody,
    "v1/gate": GateBody,
    "v1/stim": StimBody,
    "v1/train": TrainBody,
    "v1/session": SessionBody,
    "v1/dose": DoseBody,
    "v1/registration": RegistrationBody,
    "v1/mt": MtBody,
}
ALARM_TOPIC = "v1/alarm/"  # followed by the alarm's id


# ---- commands -------------------------------------------------------------------------------------------------------


class Expect(Params, frozen=True, kw_only=True):
    """The state a command was based on; a newer one refuses it."""

    state_rev: int


class Request(Params, frozen=True, kw_only=True):
    """`id` is the client's own, new for every command: the same id again gets the same reply and does nothing.

    `stop`, `hello` and `snapshot` are always carried out and answered afresh.
    """

    id: str
    method: str
    api: int
    params: msgspec.Raw = msgspec.Raw(b"{}")
    expect: Expect | None = None


class ErrorCode(enum.StrEnum):
    """The registry of error codes; `docs/api.md` says what each means."""

    BAD_REQUEST = "BAD_REQUEST"
    UNKNOWN_METHOD = "UNKNOWN_METHOD"
    BAD_PARAMS = "BAD_PARAMS"
    API_VERSION = "API_VERSION"
    STATE_REV_MISSING = "STATE_REV_MISSING"
    STALE_STATE = "STALE_STATE"
    NOT_OPERATOR = "NOT_OPERATOR"
    LEASE_HELD = "LEASE_HELD"
    WRONG_STEP = "WRONG_STEP"
    BUSY = "BUSY"
    PLAN_REFUSED = "PLAN_REFUSED"
    TOUCH_REFUSED = "TOUCH_REFUSED"
    REGISTRATION_REFUSED = "REGISTRATION_REFUSED"
    DEVICE_NOT_READY = "DEVICE_NOT_READY"
    HARDWARE_STOP_UNTESTED = "HARDWARE_STOP_UNTESTED"
    SIMULATION_ONLY = "SIMULATION_ONLY"
    DOSE_REFUSED = "DOSE_REFUSED"
    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE"
    GATE_CLOSED = "GATE_CLOSED"
    INTERNAL = "INTERNAL"


class Error(Message, frozen=True, kw_only=True):
    code: ErrorCode
    message: str
    remedy: str
    retryable: bool = False
    details: dict[str, object] = msgspec.field(default_factory=dict)


class Reply(Message, frozen=True, kw_only=True):
    id: str
    ok: bool
    result: msgspec.Raw | None = None
    error: Error | None = None


class NoParams(Params, frozen=True, kw_only=True):
    pass


class NameParams(Params, frozen=True, kw_only=True):
    """Who takes the lease or confirms: a name for the record."""

    name: str


class OpenPlanParams(Params, frozen=True, kw_only=True):
    path: str


class TouchParams(Params, frozen=True, kw_only=True):
    landmark: str


class TouchNowParams(Params, frozen=True, kw_only=True):
    """By key or pedal; null: the landmark that is next."""

    landmark: str | None = None


class CheckParams(Params, frozen=True, kw_only=True):
    """`landmark`: null: the one that the check wants next; "scalp": any point of the scalp. `now`: by key or pedal."""

    landmark: str | None = None
    now: bool = False


class StopParams(Params, frozen=True, kw_only=True):
    why: str = "operator"


class AlarmParams(Params, frozen=True, kw_only=True):
    id: str
    name: str


class MtOpenParams(Params, frozen=True, kw_only=True):
    """A search for the motor threshold. `procedure`: relative_frequency, pest, bayes; `evidence`: emg, visual; `side`: of the hemisphere.

    `planned_pulses` are reserved, hotspot included; `most_mso`: no pulse is stronger, %MSO. `medication_sha256`: of today's list.
    """

    patient: str
    muscle: str
    side: Literal["left", "right"]
    procedure: Literal["relative_frequency", "pest", "bayes"] = "pest"
    evidence: Literal["emg", "visual"] = "visual"
    planned_pulses: int = 60
    most_mso: int = 100
    step_mso: int = 1
    medication_sha256: str | None = None


class MtPulseParams(Params, frozen=True, kw_only=True):
    """One pulse of the search for the hotspot; `number` is the `next_number` of v1/mt, so that no pulse is asked for twice."""

    number: int
    amplitude_mso: int


class MtAnswerParams(Params, frozen=True, kw_only=True):
    """Whether the muscle answered to that pulse; null: could not tell."""

    number: int
    responded: bool | None


class Done(Message, frozen=True, kw_only=True):
    """`state_rev` after the command."""

    state_rev: int


class HelloResult(Message, frozen=True, kw_only=True):
    api: int
    schema_sha256: str
    version: str
    chair: str
    epoch: int
    mono_ns: int
    utc: str
    role: str
    telemetry: str
    commands: str


class Kept(Message, frozen=True, kw_only=True):
    """A topic's newest value as it was published: severity, time and validity travel with it."""

    header: Header
    body: msgspec.Raw


class SnapshotResult(Message, frozen=True, kw_only=True):
    """The newest value of every topic, keyed by topic."""

    state_rev: int
    epoch: int
    values: dict[str, Kept]


class OpenPlanResult(Message, frozen=True, kw_only=True):
    state_rev: int
    patient: str
    protocol: str
    warnings: tuple[str, ...]
    dose: DoseBody


class TouchResult(Message, frozen=True, kw_only=True):
    """`spread_mm`: RMS of the tip about its mean while it was held; `apart_mm`: from the earlier touch of the same landmark."""

    state_rev: int
    landmark: str
    touches: int
    spread_mm: float
    apart_mm: float | None


class CheckResult(Message, frozen=True, kw_only=True):
    """`distance_mm`: from where it was touched at the registration. `complete`: the check is whole with this touch and within its limit."""

    state_rev: int
    landmark: str
    distance_mm: float
    complete: bool


class RegistrationResult(Message, frozen=True, kw_only=True):
    state_rev: int
    registration: RegistrationBody


class StopResult(Message, frozen=True, kw_only=True):
    state_rev: int
    disarm_confirmed: bool | None


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """`changes`: wants `expect.state_rev`. `lease`: only the holder of the operator lease may call it."""

    params: type[Params]
    result: type[Message]
    changes: bool = True
    lease: bool = True


METHODS: dict[str, Method] = {
    "hello": Method(params=NoParams, result=HelloResult, changes=False, lease=False),
    "snapshot": Method(params=NoParams, result=SnapshotResult, changes=False, lease=False),
    "stop": Method(params=StopParams, result=StopResult, changes=False, lease=False),
    "take_lease": Method(params=NameParams, result=Done, changes=False, lease=False),
    "keep_lease": Method(params=NoParams, result=Done, changes=False),
    "release_lease": Method(params=NoParams, result=Done, changes=False),
    "open_plan": Method(params=OpenPlanParams, result=OpenPlanResult),
    "touch_landmark": Method(params=TouchParams, result=TouchResult),
    "touch_now": Method(params=TouchNowParams, result=TouchResult),
    "retake_landmark": Method(params=TouchParams, result=Done),
    "undo_touch": Method(params=NoParams, result=Done),
    "start_sweep": Method(params=NoParams, result=Done),
    "end_sweep": Method(params=NoParams, result=RegistrationResult),
    "accept_registration": Method(params=NoParams, result=Done),
    "reject_registration": Method(params=NoParams, result=Done),
    "check_touch": Method(params=CheckParams, result=CheckResult),
    "start_quick_registration": Method(params=NoParams, result=Done),
    "test_hardware_stop": Method(params=NoParams, result=Done),
    "arm": Method(params=NoParams, result=Done),
    "start": Method(params=NoParams, result=Done),
    "hold": Method(params=NoParams, result=Done, changes=False),
    "resume": Method(params=NoParams, result=Done),
    "close": Method(params=NoParams, result=Done),
    "mt_open": Method(params=MtOpenParams, result=Done),
    "mt_arm": Method(params=NoParams, result=Done),
    "mt_pulse": Method(params=MtPulseParams, result=Done, changes=False),
    "mt_hotspot": Method(params=NoParams, result=Done),
    "mt_answer": Method(params=MtAnswerParams, result=Done, changes=False),
    "mt_confirm": Method(params=NoParams, result=Done),
    "mt_close": Method(params=NoParams, result=Done, changes=False),
    "acknowledge_alarm": Method(params=AlarmParams, result=Done, changes=False, lease=False),
}
LEASE_TTL_S = 3.0  # the operator lease lapses when not kept for this long; a session then holds
