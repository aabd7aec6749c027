"""The simulated camera's state: mode, frame clock, handles, parameters, and the faults that befall it by themselves."""

import enum
from collections.abc import Callable

from drivers.ndi_codes_wire import SYSTEM_HANDLE_UNOCCUPIED
from drivers.ndi_pose_wire import TrackingReply
from sim.ndi_faults import CameraFaults
from sim.ndi_parameters import FRAME_HZ, TRACK_RATE, Parameters, vega_table
from sim.ndi_poses import PoseSource
from sim.ndi_shutter import Frame, Shutter
from sim.ndi_tools import ToolBay
from sim.ndi_view import View

FRAMES_PER_POSE = {0: 3, 1: 2, 2: 1}  # by Track Frequency


class Mode(enum.Enum):
    POWERED_UP = enum.auto()
    SETUP = enum.auto()
    TRACKING = enum.auto()


class Device:
    """One camera without its line. The clock counts integer nanoseconds, monotonic."""

    def __init__(
        self,
        source: PoseSource,
        rate_hz: int,
        clock: Callable[[], int],
        *,
        latency_ms: float | None = None,
        noise_mm: float = 0.0,
        noise_deg: float = 0.0,
        seed: int = 0,
        first_frame: int = 1,
        serial: str = "SIM-0001",
        freeze_tag: str = "Polaris Vega 008",
        keeps_handles: bool = False,
    ) -> None:
        """`first_frame`: the frame number at the start. `keeps_handles`: INIT leaves the handles of an earlier host standing.

        By the default freeze tag ndicapi's Python wrapper chooses TX, which it reads with any number of tools.
        """
        self.faults = CameraFaults()
        self.mode = Mode.POWERED_UP
        self.serial = serial
        self.freeze_tag = freeze_tag
        self.bay = ToolBay(source.bodies)
        self.parameters = Parameters(vega_table(rate_hz, serial), self._parameter_changed)
        self._shutter = Shutter(rate_hz, first_frame, clock(), latency_ms)
        self._view = View(source, self.faults, noise_mm, noise_deg, seed)
        self._clock = clock
        self._keeps_handles = keeps_handles
        self._status_once = 0  # system status bits of the next tracking reply
        self._frozen: Frame | None = None

    def power_up(self) -> None:
        """As after switching on: nothing loaded, nothing begun."""
        self.mode = Mode.POWERED_UP
        self.bay.clear()

    def initialise(self) -> None:
        self.mode = Mode.SETUP
        if not self._keeps_handles:
            self.bay.clear()

    def look(self, options: int) -> TrackingReply:
        """The newest frame of every handle that is enabled or has lost its tool."""
        every = FRAMES_PER_POSE[self.parameters.number(TRACK_RATE)]
        frame = self._shutter.newest(self._clock(), every)
        if not self.faults.frozen:
            self._frozen = None
        else:
            frame = self._frozen = self._frozen or frame
        status, self._status_once = self._status_once | self.faults.system_status, 0
        handles = [handle for handle in self.bay.in_order() if handle.is_enabled or handle.number in self.bay.to_free]
        return self._view.look(handles, frame, status, options)

    def suffer(self) -> None:
        """Let faults happen that were asked for since the last command."""
        if self.faults.takes("stop_tracking") and self.mode is Mode.TRACKING:
            self.mode = Mode.SETUP
        self._shutter.skip(self.faults.takes_all("skip_frames"))
        self._shutter.jump(self.faults.takes_all("jump_frames"))
        for body in tuple(self.faults.unplug):
            for handle in self.bay.in_order():
                if handle.body == body:
                    self.bay.unplug(handle)
                    self._status_once |= 1 << SYSTEM_HANDLE_UNOCCUPIED
            self.faults.unplug.discard(body)

    def _parameter_changed(self, name: str) -> None:
        if name == FRAME_HZ:
            self._shutter.set_rate(self.parameters.number(FRAME_HZ), self._clock())
