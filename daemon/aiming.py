"""From camera frames to a verdict: exposure times, the coil's error, on target or not. Owns no descriptor and fires nothing."""

import math

import numpy as np

from calibration.clocks import ClockState
from calibration.coil_error import CoilChain, CoilError
from calibration.frames import Transform
from daemon.dating import Dating
from daemon.ipc import Aim, FrameNews
from daemon.on_target import OnTarget, judge
from drivers.values import ToolSample, TrackerFrame

HEAD, COIL = "head", "coil"


def transform_of(to: str, frm: str, rows: tuple[tuple[float, ...], ...]) -> Transform:
    """A pose that came as 4 x 4 rows."""
    return Transform(to, frm, np.array(rows, dtype=np.float64))


class Aiming:
    """The tracker's side of the hot process: keeps the newest frame and what was made of it."""

    def __init__(self, coiltool_from_coil: Transform | None, dating: Dating) -> None:
        self._coiltool_from_coil = coiltool_from_coil
        self._dating = dating
        self.clock_restarts = 0
        self._chain: CoilChain | None = None
        self.aim: Aim | None = None
        self.on_target = OnTarget()
        self.exposed_ns: int | None = None
        self.head: ToolSample | None = None
        self.coil: ToolSample | None = None
        self.error: CoilError | None = None
        self.mri_from_coil: Transform | None = None  # at the newest frame
        self.mri_from_target: Transform | None = None

    def restart_clock(self, frame_hz: float) -> None:
        """Frame numbers begin anew, or at another rate: there is no age until a new fit stands."""
        self._dating.restart(frame_hz)
        self.clock_restarts += 1
        self.forget()

    def forget(self) -> None:
        """The camera is lost: nothing of the last frame survives."""
        self.on_target, self.exposed_ns, self.head, self.coil, self.error = OnTarget(), None, None, None, None

    def take_aim(self, aim: Aim | None) -> None:
        self.aim = aim
        self._prepare()

    def calibrate(self, coiltool_from_coil: Transform | None) -> None:
        """Another calibration of the coil, or none: what was on target is so no longer."""
        self._coiltool_from_coil = coiltool_from_coil
        self._prepare()

    def _prepare(self) -> None:
        aim = self.aim
        self.on_target, self.error = OnTarget(), None
        self._chain = self.mri_from_coil = self.mri_from_target = None
        if aim is not None:
            self.mri_from_target = transform_of("mri", "coil", aim.mri_from_target)
        if aim is not None and self.mri_from_target is not None and self._coiltool_from_coil is not None:
            self._chain = CoilChain.prepare(
                transform_of("mri", "head", aim.mri_from_head),
                self._coiltool_from_coil,
                self.mri_from_target,
                aim.target_in_mri_mm,
                aim.scalp,
            )

    def frame(self, frame: TrackerFrame, dropped: int) -> FrameNews:
        """Judge one frame; frames come in order, each exactly once."""
        self.exposed_ns = self._dating.exposed_ns(frame)
        samples = {sample.tool: sample for sample in frame.tools}
        self.head, self.coil = samples.get(HEAD), samples.get(COIL)
        self.error, self.mri_from_coil = self._measure()
        pose = _told(self.mri_from_coil)
        if self.aim is None or self.exposed_ns is None:
            self.on_target = OnTarget()
        else:
            self.on_target = judge(self.on_target, self.error, self.error is not None, self.exposed_ns, self.aim.limits)
        return FrameNews(
            frame_number=frame.frame_number,
            received_ns=frame.received_ns,
            exposed_ns=self.exposed_ns,
            tools=frame.tools,
            error=self.error,
            coil_in_mri_mm=None if pose is None else pose[0],
            mri_from_coil_wxyz=None if pose is None else pose[1],
            on_target=self.on_target.published,
            settling=self.on_target.settling,
            dropped=dropped,
            skipped=frame.skipped,
        )

    def _measure(self) -> tuple[CoilError | None, Transform | None]:
        head, coil = self.head, self.coil
        if self._chain is None or head is None or coil is None:
            return None, None
        if head.wxyz is None or head.in_tracker_mm is None or coil.wxyz is None or coil.in_tracker_mm is None:
            return None, None
        if head.frame_number != coil.frame_number:
            return None, None
        tracker_from_head = Transform.from_quaternion("tracker", "head", head.wxyz, head.in_tracker_mm)
        tracker_from_coiltool = Transform.from_quaternion("tracker", "coiltool", coil.wxyz, coil.in_tracker_mm)
        error, mri_from_coil = self._chain.both(tracker_from_head, tracker_from_coiltool)
        return (error, mri_from_coil) if math.isfinite(error.distance_to_target_mm) else (None, None)

    @property
    def clock(self) -> ClockState:
        return self._dating.state

    @property
    def head_seen(self) -> bool:
        return self.head is not None and self.head.wxyz is not None

    @property
    def coil_seen(self) -> bool:
        return self.coil is not None and self.coil.wxyz is not None

    @property
    def worst_fit_mm(self) -> float | None:
        """The camera's residual of the worse of head and coil; None where either is unknown."""
        if self.head is None or self.coil is None or self.head.fit_rms_mm is None or self.coil.fit_rms_mm is None:
            return None
        return max(self.head.fit_rms_mm, self.coil.fit_rms_mm)

    @property
    def flagged(self) -> bool:
        return self.head is None or self.coil is None or self.head.flagged or self.coil.flagged


def _told(pose: Transform | None) -> tuple[tuple[float, float, float], tuple[float, float, float, float]] | None:
    """Place and quaternion, as they are told."""
    if pose is None:
        return None
    x, y, z = pose.translation_mm.tolist()
    return (x, y, z), pose.wxyz
