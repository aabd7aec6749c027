"""The virtual camera room with the hot process's own aiming and gate behind it: when the gate stands open, and why it does not.

Head and coil stand still, the coil on its target: whatever closes the gate is the camera's doing.
"""

from collections.abc import Callable, Mapping

import msgspec
import numpy as np

from calibration.frames import Transform
from daemon.aiming import Aiming
from daemon.dating import CameraDating
from daemon.gate import NEEDS_TARGET, START_RULES, Veto, View, vetoes
from daemon.ipc import Aim
from daemon.on_target import TargetLimits
from drivers.ndi_line import SerialWish
from drivers.ndi_ways import Way
from drivers.rom_wire import RomFile
from drivers.values import ClockRestart, TrackerChanged, TrackerEvent, TrackerFrame, TrackerState
from sim.ndi_models import MODELS
from sim.ndi_poses import BodyPose
from sim.ndi_room_tools import COIL, HEAD, ROOM_BODIES
from tests.ndi_virtual import LATENCY_MS, MS, SECOND, VirtualRoom

LOOK_NS = 2 * MS  # the gate is asked so often; the hot process asks at least every 20 ms
RULES = {veto: rule for veto, rule in START_RULES.items() if veto in NEEDS_TARGET}
IDENTITY = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
COIL_IN_HEAD_MM = (0.0, 0.0, 100.0)
FAR_NS = 1 << 62

LINES: dict[str, tuple[str, Way | None, SerialWish | None]] = {  # model, way, serial line
    "bx": ("vega", Way.BX, None),
    "bx2": ("vega", Way.BX2, None),
    "stream": ("vega", None, None),
    "tx": ("vega", Way.TX, None),
    "serial": ("spectra", None, SerialWish(baud=115200)),
}


class StillPair:
    """Head and coil, fixed to each other and to the camera; `hidden` says what is unseen at a moment."""

    def __init__(self, hidden: Callable[[str, int], bool] = lambda _body, _ns: False) -> None:
        self.bodies: Mapping[str, RomFile] = ROOM_BODIES
        self._hidden = hidden

    def pose(self, body: str, exposed_ns: int) -> BodyPose | None:
        if self._hidden(body, exposed_ns):
            return None
        offset = COIL_IN_HEAD_MM if body == COIL else (0.0, 0.0, 0.0)
        return BodyPose(wxyz=(1.0, 0.0, 0.0, 0.0), in_tracker_mm=(offset[0], offset[1], offset[2] - 1500.0))


class Look(msgspec.Struct, frozen=True):
    """One look at the gate."""

    at_ns: int
    against: tuple[Veto, ...]


class GatedRoom(VirtualRoom):
    """`looks`: the gate at every turn. `on_target`: (exposure as numbered by the camera, verdict) of every frame."""

    def __init__(self, line: str = "bx", rate_hz: int | None = 60, source: StillPair | None = None, noise_mm: float = 0.0) -> None:
        self.looks: list[Look] = []
        self.published: list[tuple[int, bool]] = []  # frame number, on target
        self.good: list[tuple[int, int]] = []  # when a frame with head and coil both good was told, and its true exposure
        self.aiming = Aiming(Transform("coiltool", "coil", np.eye(4)), CameraDating(round(LATENCY_MS * MS)))
        x, y, z = COIL_IN_HEAD_MM
        target = (*IDENTITY[:2], (0.0, 0.0, 1.0, z), IDENTITY[3])
        self.aiming.take_aim(
            Aim(
                mri_from_head=IDENTITY,
                mri_from_target=target,
                target_in_mri_mm=(x, y, z + 15.0),
                limits=TargetLimits(),
                registration_expires_ns=FAR_NS,
                check_expires_ns=FAR_NS,
                reference_holds=True,
            )
        )
        model, way, serial = LINES[line]
        super().__init__(
            rate_hz,
            tools=(HEAD, COIL),
            way=way,
            model=MODELS[model],
            serial=serial,
            source=source or StillPair(),
            noise_mm=noise_mm,
            first_frame=5000,
        )

    def run(self, seconds: float) -> "GatedRoom":
        """In steps, the gate asked after each."""
        end_ns = self.now_ns + round(seconds * SECOND)
        while self.now_ns < end_ns:
            super().run(min(LOOK_NS, end_ns - self.now_ns) / SECOND)
            self._look()
        return self

    def until_open(self, within_s: float = 30.0) -> "GatedRoom":
        """Run until the gate stands open, then forget how that went."""
        end_ns = self.now_ns + round(within_s * SECOND)
        while not self.looks or self.looks[-1].against:
            assert self.now_ns < end_ns, f"closed for {within_s} s: {self.looks[-1].against}, {self.changes[-3:]}"
            self.run(0.01)
        self.looks.clear()
        self.forget()
        return self

    def _look(self) -> None:
        aiming = self.aiming
        view = View(
            exposed_ns=aiming.exposed_ns,
            head_seen=aiming.head_seen,
            coil_seen=aiming.coil_seen,
            fit_rms_mm=aiming.worst_fit_mm,
            flagged=aiming.flagged,
            max_fit_rms_mm=0.35,
            registration_expires_ns=FAR_NS,
            check_expires_ns=FAR_NS,
            reference_holds=True,
            calibration_expires_ns=FAR_NS,
            on_target=aiming.on_target,
        )
        self.looks.append(Look(self.now_ns, vetoes(view, self.now_ns, RULES)))

    def _note(self, event: TrackerEvent) -> None:
        """As the hot process treats it."""
        super()._note(event)
        match event:
            case TrackerFrame():
                news = self.aiming.frame(event, 0)
                self.published.append((event.frame_number, news.on_target))
                if all(tool.wxyz and not tool.flagged for tool in event.tools):
                    self.good.append((self.now_ns, true_exposure_ns(self, event.frame_number)))
            case ClockRestart(frame_hz=frame_hz):
                self.aiming.restart_clock(frame_hz)
            case TrackerChanged(state=state) if state is not TrackerState.TRACKING:
                self.aiming.forget()


def true_exposure_ns(room: VirtualRoom, frame_number: int) -> int:
    """When the camera exposed the frame of that number, by its own clock."""
    shutter = room.device.shutter
    return shutter.frame((frame_number - shutter.frame(0).number) % 2**32).exposed_ns


