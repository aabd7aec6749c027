"""What goes over the network: telemetry, commands, results and errors. Clients import this module and nothing else of ours.

Bodies are JSON of these structs. Telemetry comes as `[topic, header, body]`; a command as one JSON `Request`, answered by
one `Reply`. Lengths mm, angles degrees, times nanoseconds on the daemon host's monotonic clock unless a name says otherwise.
"""

import enum
from typing import Literal

import msgspec

from daemon.calibration_messages import (
    CALIBRATION_METHODS,
    CalibrateDoneResult,
    CalibrateListResult,
    CalibrateShowResult,
    CalibrateStarted,
    CalibrateTouchResult,
    CalibrationBody,
    CalibrationEntry,
    QaItem,
    QaReport,
    QaReportResult,
)
from daemon.message_words import Done, Message, Method, NoParams, Params, Priority, Step, Word
from daemon.telemetry_messages import (
    AlarmBody,
    CheckBody,
    CoilErrorBody,
    CoilPoseBody,
    DoseBody,
    ErrorNumbers,
    GateBody,
    Heartbeat,
    LandmarkBody,
    MtBody,
    MtTrial,
    PulseBody,
    Reason,
    RegistrationBody,
    RequestBody,
    SessionBody,
    StimBody,
    ToolBody,
    ToolsBody,
    TrackerBody,
    TrainBody,
    ZoneBody,
)

__all__ = [  # handed on; what is defined here needs no mention
    "AlarmBody",
    "CalibrateDoneResult",
    "CalibrateListResult",
    "CalibrateShowResult",
    "CalibrateStarted",
    "CalibrateTouchResult",
    "CalibrationBody",
    "CalibrationEntry",
    "CheckBody",
    "CoilErrorBody",
    "CoilPoseBody",
    "Done",
    "DoseBody",
    "ErrorNumbers",
    "GateBody",
    "Heartbeat",
    "LandmarkBody",
    "Message",
    "Method",
    "MtBody",
    "MtTrial",
    "NoParams",
    "Params",
    "Priority",
    "PulseBody",
    "QaItem",
    "QaReport",
    "QaReportResult",
    "Reason",
    "RegistrationBody",
    "RequestBody",
    "SessionBody",
    "Step",
    "StimBody",
    "ToolBody",
    "ToolsBody",
    "TrackerBody",
    "TrainBody",
    "Word",
    "ZoneBody",
]

API_VERSION = 1



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


TOPICS: dict[str, type[Message]] = {
    "v1/hb": Heartbeat,
    "v1/coil/error": CoilErrorBody,
    "v1/coil/pose": CoilPoseBody,
    "v1/tools": ToolsBody,
    "v1/tracker": TrackerBody,
    "v1/pulse": PulseBody,
    "v1/gate": GateBody,
    "v1/stim": StimBody,
    "v1/train": TrainBody,
    "v1/session": SessionBody,
    "v1/dose": DoseBody,
    "v1/registration": RegistrationBody,
    "v1/mt": MtBody,
    "v1/request": RequestBody,
    "v1/calibration": CalibrationBody,
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
    CALIBRATION_REFUSED = "CALIBRATION_REFUSED"
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
    **CALIBRATION_METHODS,
}
LEASE_TTL_S = 3.0  # the operator lease lapses when not kept for this long; a session then holds
