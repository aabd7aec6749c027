"""What telemetry says: the body of each topic. Values only; which topic carries which stands in `messages`."""

import msgspec

from daemon.message_words import Message, Priority, Step, Word

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class Heartbeat(Message, frozen=True, kw_only=True):
    state_rev: int
    step: Step
    chair: str
    operator: str | None
    hot_age_ms: float | None


class ErrorNumbers(Message, frozen=True, kw_only=True):
    """The numbers of a coil error once more: smoothed for a screen, or each one's expected error (1 sigma). Null: not known."""

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
    scalp_gap_mm: float | None = None


class CoilErrorBody(Message, frozen=True, kw_only=True):
    """Where the coil is against its target, at one camera exposure. Every number is null when it cannot be known.

    The first four are the operator's known numbers; signs as documented in the wire protocol. `displayed` is the same smoothed, for
    screens alone; `sigma` is by how much each number is expected to be wrong.
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
    scalp_gap_mm: float | None = None
    expected_error_mm: float | None = None  # 1 sigma of the registration at the target
    displayed: ErrorNumbers | None = None
    sigma: ErrorNumbers | None = None


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


class TrackerBody(Message, frozen=True, kw_only=True):
    """How well the tracker has served over the last `period_s`: frames, those that never came, latency, clock, jitter at rest."""

    kind: str
    period_s: float
    frame_hz: float | None
    measured_hz: float | None
    frames: int
    frames_skipped: int
    frames_skipped_total: int
    news_lost_total: int
    latency_ms_p50: float | None
    latency_ms_p99: float | None
    latency_ms_max: float | None
    longest_gap_ms: float | None
    clock_fitted: bool
    clock_bound_ms: float | None
    clock_drift_ppm: float | None
    clock_restarts: int
    head_jitter_mm: float | None
    coil_jitter_mm: float | None
    coil_in_head_jitter_mm: float | None


class PulseBody(Message, frozen=True, kw_only=True):
    """Where the coil was at one pulse: its pose interpolated to the pulse's time between two exposures.

    `how`: interpolated; nearest (only one exposure is near); none. `pose_age_ms`: from the nearer exposure to the pulse. `good`: both
    poses seen well, no further apart than poses may be.
    """

    grant_no: int
    train: int
    burst: int
    pulse: int
    at_ns: int
    how: str
    pose_age_ms: float | None
    pose_span_ms: float | None
    fit_rms_mm: float | None
    good: bool
    coil_in_mri_mm: Vector | None
    mri_from_coil_wxyz: Quaternion | None
    error: ErrorNumbers | None


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


class RequestBody(Message, frozen=True, kw_only=True):
    """The last request of another program for a train or pulse, and what became of it: `reason` null, it was followed as a start is."""

    stream: str
    id: str | None
    want: str | None
    accepted: bool
    reason: str | None
    age_ms: float
    accepted_total: int
    refused_total: int
