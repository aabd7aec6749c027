"""What devices say and are asked for, as values: poses, reports, receipts. No bytes, no policy.

Times are integer nanoseconds on the host's monotonic clock. Lengths are millimetres in the tracker's frame.
"""

import enum

import msgspec


class DeviceError(Exception):
    """A device cannot do what was asked: `what` went wrong, `where`, and the `remedy` for a person."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.what, self.where, self.remedy = what, where, remedy


class NotThere(DeviceError):
    """The port or host cannot be opened, or another owner holds it."""


class Owned(NotThere):
    """Another program holds the port: two writers on one line break each other's frames."""


class NoReply(DeviceError):
    """Nothing came within the deadline."""


class WireError(DeviceError):
    """Bytes that are not what the device's language allows."""


class Refused(DeviceError):
    """The device understood and said no."""


# ---- trackers -------------------------------------------------------------------------------------------------------


class Unseen(enum.StrEnum):
    """Why a tool has no pose in a frame."""

    MISSING = "missing"
    DISABLED = "disabled"
    OUT_OF_VOLUME = "out_of_volume"
    UNOCCUPIED = "unoccupied"
    BAD_POSE = "bad_pose"
    BAD_FIT = "bad_fit"  # the markers seen do not fit the tool's definition
    TOO_FEW_MARKERS = "too_few_markers"
    INTERFERENCE = "interference"  # other infrared light


class ToolSample(msgspec.Struct, frozen=True, kw_only=True):
    """One tool in one camera frame: `tracker_from_<tool>` as quaternion and translation, or why there is none."""

    tool: str
    frame_number: int
    wxyz: tuple[float, float, float, float] | None
    in_tracker_mm: tuple[float, float, float] | None
    fit_rms_mm: float | None
    unseen: Unseen | None
    flagged: bool = False  # partly out of volume, interference: shown, never good enough to fire on


class SourceStamp(msgspec.Struct, frozen=True, kw_only=True):
    """When a source says that a frame was, on its own clock, and what it knows of that clock against the host's monotonic one."""

    source_ns: int
    host_minus_source_ns: int | None = None  # None: the source exchanges no time with us
    bound_ns: int | None = None  # that difference is wrong by no more than this


class TrackerFrame(msgspec.Struct, frozen=True, kw_only=True, tag="frame"):
    """All tools at one exposure. `received_ns` is when the last byte of the reply was read.

    `skipped`: frames that the source made since the one before and that never came.
    """

    frame_number: int
    received_ns: int
    tools: tuple[ToolSample, ...]
    stamp: SourceStamp | None = None
    skipped: int = 0


class TrackerState(enum.StrEnum):
    CONNECTING = "connecting"
    SETUP = "setup"
    TRACKING = "tracking"
    LOST = "lost"


class TrackerChanged(msgspec.Struct, frozen=True, kw_only=True, tag="tracker"):
    """The link's state, with a sentence for a person where something is wrong."""

    state: TrackerState
    why: str = ""
    remedy: str = ""


class TrackerIdentity(msgspec.Struct, frozen=True, kw_only=True, tag="tracker_identity"):
    """Who answers: `serial` of a simulator begins with `SIM-`."""

    model: str
    serial: str
    firmware: str
    frame_hz: float


class TrackerAlert(msgspec.Struct, frozen=True, kw_only=True, tag="tracker_alert"):
    """A device alert, a dropped frame count, a bad checksum: shown and counted, never fatal by itself."""

    what: str
    remedy: str


class ClockRestart(msgspec.Struct, frozen=True, kw_only=True, tag="clock_restart"):
    """Frame numbers no longer continue the earlier ones: a clock fit over them must begin anew."""

    frame_hz: float


TrackerEvent = TrackerFrame | TrackerChanged | TrackerIdentity | TrackerAlert | ClockRestart


# ---- stimulators ----------------------------------------------------------------------------------------------------


class StimState(enum.StrEnum):
    """What the device last reported, never what it was told."""

    DISCONNECTED = "disconnected"
    SECURING = "securing"  # port open, disarm sent, its confirmation awaited
    STANDBY = "standby"
    ARMING = "arming"
    READY = "ready"
    FIRING = "firing"
    FAULT = "fault"


class TrainSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One device-paced train. Rates are exact decimal strings; the device must take them without rounding."""

    amplitude_pct_mso: int
    pulses_per_burst: int
    intra_burst_interval_us: int
    burst_hz: str
    bursts: int

    @property
    def pulses(self) -> int:
        return self.pulses_per_burst * self.bursts


class StimReport(msgspec.Struct, frozen=True, kw_only=True, tag="stim"):
    """The device's last complete report. `None`: the device has not said."""

    received_ns: int
    state: StimState
    model: str | None = None
    serial: int | None = None
    enabled: bool | None = None
    running: bool | None = None
    temperature_c: int | None = None
    coil_type: int | None = None
    amplitude_pct_mso: int | None = None
    fault: str | None = None
    simulated: bool = False


class Secured(msgspec.Struct, frozen=True, kw_only=True, tag="secured"):
    """After opening the port: the device is confirmed disabled and idle; what it was found doing."""

    found_enabled: bool
    found_running: bool
    at_ns: int


class Prepared(msgspec.Struct, frozen=True, kw_only=True, tag="prepared"):
    """Settings were written and read back. `mismatches` names each field that differs; empty means equal."""

    settings: TrainSettings
    mismatches: tuple[str, ...]
    at_ns: int


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """Enabled and charged, as the device reports it."""

    at_ns: int


class TrainBegan(msgspec.Struct, frozen=True, kw_only=True, tag="train_began"):
    at_ns: int


class BurstFired(msgspec.Struct, frozen=True, kw_only=True, tag="burst"):
    """The device's own receipt of a pulse or burst. `asked` is false when no train of ours was running."""

    at_ns: int
    didt_a_per_us: int | None  # None from a device that measures none
    asked: bool


class TrainEnded(msgspec.Struct, frozen=True, kw_only=True, tag="train_ended"):
    at_ns: int


class Disabled(msgspec.Struct, frozen=True, kw_only=True, tag="disabled"):
    """The answer to a stop: `confirmed` false is the loudest alarm there is."""

    confirmed: bool
    at_ns: int


class PanelAct(msgspec.Struct, frozen=True, kw_only=True, tag="panel"):
    """Something changed that we did not ask for: a knob, the enable key, another coil."""

    what: str
    at_ns: int


class StimFault(msgspec.Struct, frozen=True, kw_only=True, tag="stim_fault"):
    """The device or its link failed in a way that takes the arm away."""

    what: str
    remedy: str
    at_ns: int


StimEvent = StimReport | Secured | Prepared | Ready | TrainBegan | BurstFired | TrainEnded | Disabled | PanelAct | StimFault
