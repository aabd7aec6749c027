"""What the daemon, the hot process and the supervisor tell each other: msgpack structs over three SEQPACKET channels.

`beats`: heartbeats, holds and stops. `orders`: grants one way, receipts the other, never dropped. `news`: telemetry, dropped when full.
All times are nanoseconds on the host's monotonic clock, one for all three processes.
"""

import enum
import socket
from typing import Generic, TypeVar

import msgspec

from calibration.clocks import ClockState
from calibration.coil_error import CoilError
from calibration.scalp_patch import ScalpPatch
from daemon.on_target import TargetLimits
from daemon.purpose import Pacing, Purpose
from drivers.values import StimReport, ToolSample, TrackerIdentity, TrainSettings


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    pass


# ---- daemon -> hot, beats ---------------------------------------------------------------------------------------------


class DaemonBeat(Packet, frozen=True, kw_only=True, tag="beat"):
    """Made by the loop that runs the session; beats that waited in a queue are old. The facts are true as of `made_ns`."""

    made_ns: int
    operator_present: bool
    hardware_stop_tested: bool
    stop_inputs_clear: bool


class StopNow(Packet, frozen=True, kw_only=True, tag="stop"):
    """Disable and take the arm away."""

    why: str


class HoldNow(Packet, frozen=True, kw_only=True, tag="hold"):
    """Disable and keep the operator's arm. Grants up to `grant_no` are void, also one that is still on its way by the other channel."""

    why: str
    grant_no: int


ToHotBeat = DaemonBeat | StopNow | HoldNow


# ---- daemon -> hot, orders --------------------------------------------------------------------------------------------


class Aim(Packet, frozen=True, kw_only=True, tag="aim"):
    """All that turns two tool poses into an error and a verdict. Matrices are 4x4 rows, mm."""

    mri_from_head: tuple[tuple[float, ...], ...]
    mri_from_target: tuple[tuple[float, ...], ...]
    target_in_mri_mm: tuple[float, float, float]
    limits: TargetLimits
    registration_expires_ns: int
    scalp: ScalpPatch | None = None  # around the target
    check_expires_ns: int | None = None  # of the last check of the head reference; None: due
    reference_holds: bool = False  # false too while a slip stands


class ClearAim(Packet, frozen=True, kw_only=True, tag="clear_aim"):
    """No registration, no plan: not on any target."""


class Calibrated(Packet, frozen=True, kw_only=True, tag="calibrated"):
    """Where the coil sits in its marker body (4x4 rows, mm) until then on the wall clock; None: no calibration may be used.

    Only for a chair whose file leaves the coil's calibration to the history; never takes effect while armed.
    """

    coiltool_from_coil: tuple[tuple[float, ...], ...] | None
    valid_until_utc_ns: int


class Arm(Packet, frozen=True, kw_only=True, tag="arm"):
    """The operator's act: prepare, read back and charge the device for these trains.

    For the motor threshold `settings` are the strongest single pulse that may be granted, and the device rests disabled between pulses.
    """

    arm_no: int
    settings: TrainSettings
    purpose: Purpose = Purpose.TREATMENT
    pacing: Pacing = Pacing.TRAIN


class TestStop(Packet, frozen=True, kw_only=True, tag="test_stop"):
    """Charge at 0 % and wait for somebody to press the device's own stop."""

    arm_no: int
    within_ns: int


class Grant(Packet, frozen=True, kw_only=True, tag="grant"):
    """Leave for one train, once. `run_id` is that of the hot process it is meant for; numbers only rise."""

    run_id: str
    grant_no: int
    arm_no: int
    train: int
    settings: TrainSettings
    not_before_ns: int
    expires_ns: int
    gap_ns: int  # least pause from the last pulse of any earlier train
    wall_minus_mono_ns: int  # as it was when the intent was committed
    purpose: Purpose = Purpose.TREATMENT
    pacing: Pacing = Pacing.TRAIN


ToHotOrder = Aim | ClearAim | Calibrated | Arm | TestStop | Grant


# ---- hot -> daemon, beats ---------------------------------------------------------------------------------------------


class HotBeat(Packet, frozen=True, kw_only=True, tag="hot"):
    made_ns: int
    run_id: str
    armed: bool


# ---- hot -> daemon, facts (on the orders channel) -----------------------------------------------------------------------


class PulsePose(Packet, frozen=True, kw_only=True):
    """Where the coil was at the newest exposure when the device reported this burst."""

    at_ns: int
    didt_a_per_us: int | None
    distance_mm: float | None
    exposed_ns: int | None


class Receipt(Packet, frozen=True, kw_only=True, tag="receipt"):
    """What became of one grant. Never less than the device confirmed; sent final, 200 ms after the device was last heard."""

    run_id: str
    grant_no: int
    train: int
    pulses: int
    confirmed: bool  # every pulse was reported by the device, and its end too
    broken: bool
    why: tuple[str, ...]
    first_ns: int | None
    last_ns: int | None
    bursts: tuple[PulsePose, ...]


class PlaceKind(enum.StrEnum):
    """How the pose at a pulse is known: between two exposures, from the one near exposure, or not at all."""

    INTERPOLATED = "interpolated"
    NEAREST = "nearest"
    NONE = "none"


class PulsePlace(Packet, frozen=True, kw_only=True):
    """Where the coil was at one pulse. `pose_age_ms`: from the nearer exposure; `pose_span_ms`: between the two it lies between.

    `good`: interpolated between poses that were good enough to fire on.
    """

    at_ns: int
    how: PlaceKind
    pose_age_ms: float | None = None
    pose_span_ms: float | None = None
    fit_rms_mm: float | None = None
    good: bool = False
    coil_in_mri_mm: tuple[float, float, float] | None = None
    mri_from_coil_wxyz: tuple[float, float, float, float] | None = None
    error: CoilError | None = None


class BurstPlaced(Packet, frozen=True, kw_only=True, tag="burst_placed"):
    """The places of one burst's pulses, by the times that the device reported; told once the exposure after them is known."""

    grant_no: int
    train: int
    burst: int
    pulses: tuple[PulsePlace, ...]


class TrainStarted(Packet, frozen=True, kw_only=True, tag="train_started"):
    grant_no: int
    train: int
    at_ns: int


class TrainBroken(Packet, frozen=True, kw_only=True, tag="train_broken"):
    """A running train has just been told to stop; its receipt follows once the device has confirmed."""

    grant_no: int
    why: tuple[str, ...]


class Ungranted(Packet, frozen=True, kw_only=True, tag="ungranted"):
    """The device fired without a grant: it counts, and it is an alarm."""

    pulses: int
    at_ns: int


class ArmState(Packet, frozen=True, kw_only=True, tag="arm_state"):
    """The arm changed hands or failed; `stopped` says that only the operator may give it back."""

    arm_no: int
    armed: bool
    stopped: bool
    why: str


class Safe(Packet, frozen=True, kw_only=True, tag="safe"):
    """The answer to a stop, hold or opening of the port."""

    confirmed: bool
    found_enabled: bool
    found_running: bool
    at_ns: int
    opening: bool


class HardwareStopSeen(Packet, frozen=True, kw_only=True, tag="hardware_stop"):
    """The device was switched off by its own stop during the test, or nobody pressed it in time."""

    arm_no: int
    seen: bool
    why: str


class DeviceAlarm(Packet, frozen=True, kw_only=True, tag="device_alarm"):
    """Something a person must read: `code` names it, `high` if the machine may not be safe."""

    code: str
    high: bool
    text: str
    remedy: str


class Hello(Packet, frozen=True, kw_only=True, tag="hello"):
    run_id: str


FromHotOrder = Receipt | BurstPlaced | TrainStarted | TrainBroken | Ungranted | ArmState | Safe | HardwareStopSeen | DeviceAlarm | Hello


# ---- hot -> daemon, news ------------------------------------------------------------------------------------------------


class FrameNews(Packet, frozen=True, kw_only=True, tag="frame"):
    """One camera frame as the hot process judged it. `dropped` counts packets lost before it for want of room.

    `skipped`: frames that the tracker made before it and that never came.
    """

    frame_number: int
    received_ns: int
    exposed_ns: int | None
    tools: tuple[ToolSample, ...]
    error: CoilError | None
    coil_in_mri_mm: tuple[float, float, float] | None
    mri_from_coil_wxyz: tuple[float, float, float, float] | None
    on_target: bool
    settling: bool
    dropped: int
    skipped: int = 0


class GateNews(Packet, frozen=True, kw_only=True, tag="gate"):
    """Every reason at this moment; empty means a granted train may start."""

    at_ns: int
    vetoes: tuple[str, ...]
    off_target: tuple[str, ...]
    pose_age_ms: float | None
    burst: int
    firing: bool


class StimNews(Packet, frozen=True, kw_only=True, tag="stim"):
    report: StimReport


class TrackerNews(Packet, frozen=True, kw_only=True, tag="tracker"):
    state: str
    why: str
    remedy: str
    identity: TrackerIdentity | None


class ClockNews(Packet, frozen=True, kw_only=True, tag="clock"):
    """How the tracker's clock stands against ours, once a second. `restarts`: how often its fit began anew."""

    state: ClockState
    restarts: int


FromHotNews = FrameNews | GateNews | StimNews | TrackerNews | ClockNews


# ---- supervisor ---------------------------------------------------------------------------------------------------------

T = TypeVar("T")
PACKET_LIMIT = 262_144  # a receipt of the longest train in use, 1200 pulses reported one by one, takes a third of it


class Channel(Generic[T]):
    """One non-blocking SEQPACKET end: whole packets or nothing. `send` False: no room, or the other side is gone."""

    def __init__(self, end: socket.socket, kinds: object) -> None:
        end.setblocking(False)
        self.end = end
        self.closed = False
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kinds)
        self._buffer = memoryview(bytearray(PACKET_LIMIT))  # one for all packets: nothing of it outlives a decoding

    def fileno(self) -> int:
        return self.end.fileno()

    def send(self, packet: Packet) -> bool:
        try:
            self.end.send(self._encode(packet))
        except BlockingIOError:
            return False
        except OSError:
            self.closed = True
            return False
        return True

    def receive(self) -> T | None:
        """The next packet, or None; `closed` turns true when the other side has gone and nothing is left."""
        try:
            size = self.end.recv_into(self._buffer)
        except BlockingIOError:
            return None
        except OSError:
            self.closed = True
            return None
        if not size:
            self.closed = True
            return None
        return self._decode.decode(self._buffer[:size])

    def drain(self) -> list[T]:
        packets = []
        while (packet := self.receive()) is not None:
            packets.append(packet)
        return packets


def channel_from_fd(fd: int, kinds: object) -> "Channel[T]":
    """The end of a channel that this process inherited."""
    return Channel(socket.socket(fileno=fd), kinds)
