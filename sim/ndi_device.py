"""The simulated camera's state: mode, frame clock, handles, parameters, and the faults that befall it by themselves."""

import enum
from collections.abc import Callable

from drivers.ndi_codes_wire import SYSTEM_DIAGNOSTIC, SYSTEM_HANDLE_UNOCCUPIED
from drivers.ndi_gbf_wire import CameraAlert
from drivers.ndi_pose_wire import TrackingReply
from sim.ndi_faults import CameraFaults
from sim.ndi_models import ILLUMINATED_HZ, VEGA, Model
from sim.ndi_parameters import BUMPED, FRAME_HZ, ILLUMINATOR, TRACK_RATE, Parameters, table_of
from sim.ndi_poses import PoseSource
from sim.ndi_shutter import Frame, Shutter
from sim.ndi_tools import PortHandle, ToolBay
from sim.ndi_view import View

FRAMES_PER_POSE = {0: 3, 1: 2, 2: 1}  # by Track Frequency
BUMP_ALERT = CameraAlert(1, 2)


class Mode(enum.Enum):
    POWERED_UP = enum.auto()
    SETUP = enum.auto()
    TRACKING = enum.auto()


class Device:
    """One camera without its line. The clock counts integer nanoseconds, monotonic."""

    def __init__(
        self,
        source: PoseSource,
        rate_hz: int | None,
        clock: Callable[[], int],
        *,
        model: Model = VEGA,
        latency_ms: float | None = None,
        noise_mm: float = 0.0,
        seed: int = 0,
        first_frame: int = 1,
        serial: str = "SIM-0001",
        freeze_tag: str | None = None,
        keeps_handles: bool = False,
    ) -> None:
        """`rate_hz`, `freeze_tag` None: the model's. `first_frame`: the frame number at the start.

        `noise_mm`: of each marker, per axis. `keeps_handles`: INIT leaves the handles of an earlier host standing.
        """
        rate_hz = model.rate_hz if rate_hz is None else rate_hz
        self.faults = CameraFaults()
        self.mode = Mode.POWERED_UP
        self.model = model
        self.serial = serial
        self.freeze_tag = model.freeze_tag if freeze_tag is None else freeze_tag
        self.bay = ToolBay(source.bodies)
        self.parameters = Parameters(table_of(model, rate_hz, serial), self._parameter_changed)
        self.shutter = Shutter(rate_hz, first_frame, clock(), latency_ms, seed)
        self.asker = 0  # whose command is being carried out
        self.shown: Frame | None = None  # the frame that is pushed just now; None: the newest
        self._view = View(source, self.faults, noise_mm, seed)
        self._clock = clock
        self._keeps_handles = keeps_handles
        self._status_once = 0  # system status bits of the next tracking reply
        self._alerts_once: tuple[CameraAlert, ...] = ()
        self._frozen: Frame | None = None
        self._told: dict[int, int] = {}  # by client: the frame that BX2 told it last

    def power_up(self) -> None:
        """As after switching on: nothing loaded, nothing begun."""
        self.mode = Mode.POWERED_UP
        self.bay.clear()

    def initialise(self) -> None:
        self.mode = Mode.SETUP
        if not self._keeps_handles:
            self.bay.clear()

    # ---- looking -----------------------------------------------------------------------------------------------------

    @property
    def every(self) -> int:
        """One frame out of so many is tracked."""
        return FRAMES_PER_POSE[self.parameters.number(TRACK_RATE)]

    def frame(self) -> Frame:
        """The frame that is told now."""
        frame = self.shutter.newest(self._clock(), self.every) if self.shown is None else self.shown
        if not self.faults.frozen:
            self._frozen = None
            return frame
        self._frozen = self._frozen or frame
        return self._frozen

    def look(self, options: int) -> TrackingReply:
        """Every handle that is enabled or has lost its tool, in the frame that is told now."""
        status, self._status_once = self._status_once | self.faults.system_status, 0
        return self._view.look(self._tracked(), self.frame(), status, options)

    def look_if_new(self, options: int) -> tuple[Frame, TrackingReply] | None:
        """As BX2 does: None when the asker was told this frame already."""
        frame = self.frame()
        if self.shown is None and self._told.get(self.asker) == frame.number:
            return None
        self._told[self.asker] = frame.number
        return frame, self._view.look(self._tracked(), frame, 0, options)

    def take_alerts(self) -> tuple[CameraAlert, ...]:
        alerts, self._alerts_once = self._alerts_once, ()
        return alerts

    def _tracked(self) -> list[PortHandle]:
        return [handle for handle in self.bay.in_order() if handle.is_enabled or handle.number in self.bay.to_free]

    # ---- faults and parameters ---------------------------------------------------------------------------------------

    def suffer(self) -> None:
        """Let faults happen that were asked for since the last command."""
        faults, shutter = self.faults, self.shutter
        if faults.takes("stop_tracking") and self.mode is Mode.TRACKING:
            self.mode = Mode.SETUP
        shutter.skip(int(faults.takes_all("skip_frames")), self._clock())
        shutter.jump(int(faults.takes_all("jump_frames")))
        shutter.drop_share, shutter.repeat_share = faults.drop, faults.repeat
        shutter.set_drift(faults.drift_ppm, self._clock())
        if faults.takes("bumps"):
            self.parameters.note(BUMPED, "1")
            self._status_once |= 1 << SYSTEM_DIAGNOSTIC
            self._alerts_once += (BUMP_ALERT,)
        for body in tuple(faults.unplug):
            for handle in self.bay.in_order():
                if handle.body == body:
                    self.bay.unplug(handle)
                    self._status_once |= 1 << SYSTEM_HANDLE_UNOCCUPIED
            faults.unplug.discard(body)

    def _parameter_changed(self, name: str) -> None:
        if name == ILLUMINATOR:
            self.parameters.note(FRAME_HZ, str(ILLUMINATED_HZ[self.parameters.number(ILLUMINATOR)]))
        if name in (FRAME_HZ, ILLUMINATOR):
            self.shutter.set_rate(self.parameters.number(FRAME_HZ), self._clock())
