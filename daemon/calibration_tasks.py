"""A calibration as it is collected: frames in, what is known so far out, and in the end what was found. Here: the pointer's. Pure.

`measured` may take some milliseconds and runs beside the loop; it works on copies. Gates are those of `calibration`.
"""

from collections import deque
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np

from calibration.frames import FloatArray, Transform, Xyz, angle_between_deg
from calibration.pivot import CONDITION_LIMIT, FRAMES_LIMIT, RMS_LIMIT_MM, SPAN_LIMIT_DEG, NoPivot, PivotFit, calibrate_pointer
from calibration.store import Rows
from daemon.calibration_messages import CalibrationBody, QaItem
from daemon.calibration_samples import Touch, poses_of
from daemon.ipc import FrameNews

TURNED_DEG = 0.5  # a pointer held still tells nothing new, however many frames it is seen in
MOST_POSES = 600


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a task found: figures of a tool for the history, or items of a quality check; `refusals` is what stands against it."""

    method: str
    refusals: tuple[str, ...] = ()
    tip_in_pointer_mm: Xyz | None = None
    coiltool_from_coil: Rows | None = None
    numbers: dict[str, float] = {}
    residuals_mm: dict[str, float] = {}
    rests_on: dict[str, str] = {}
    items: tuple[QaItem, ...] = ()


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """Too little was collected to find anything: why, and what to do."""

    code: str
    what: str


Outcome = Found | Nothing


class TaskUnderWay(Protocol):
    """`points`: what is to be touched. `tool`: whose calibration it is; None for a quality check."""

    @property
    def name(self) -> str: ...

    @property
    def tool(self) -> str | None: ...

    @property
    def points(self) -> tuple[str, ...]: ...

    def add(self, news: FrameNews, now_ns: int) -> str:
        """One frame; why it does not count, empty when it does."""

    def measured(self, body: CalibrationBody) -> CalibrationBody:
        """The body with what is known so far."""

    def found(self) -> Outcome: ...


@runtime_checkable
class TouchingTask(TaskUnderWay, Protocol):
    """A task that wants points touched one by one."""

    def tip_of(self, news: FrameNews, now_ns: int) -> Xyz | str:
        """The pointer's tip in the frame in which points are kept, mm; or why the frame does not count."""

    def take(self, point: str, touch: Touch) -> int:
        """Keep a touch; how many of that point are kept now."""


class Turning:
    """Poses of a pointer that is turned about its tip: each differs from the one before it by half a degree at least."""

    def __init__(self) -> None:
        self._poses: deque[FloatArray] = deque(maxlen=MOST_POSES)

    def __len__(self) -> int:
        return len(self._poses)

    def add(self, tracker_from_pointer: Transform) -> None:
        if not self._poses or angle_between_deg(self._poses[-1][:3, :3], tracker_from_pointer.rotation) >= TURNED_DEG:
            self._poses.append(tracker_from_pointer.matrix)

    def poses(self) -> FloatArray:
        return np.array(tuple(self._poses)).reshape(-1, 4, 4)


class PointerTask:
    """The pointer's tip by turning it about a divot."""

    name, tool = "pointer", "pointer"
    points: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._turning = Turning()

    def add(self, news: FrameNews, now_ns: int) -> str:
        seen = poses_of(news, ("pointer",), now_ns)
        if isinstance(seen, str):
            return seen
        self._turning.add(seen[0])
        return ""

    def measured(self, body: CalibrationBody) -> CalibrationBody:
        poses = self._turning.poses()
        wanted = msgspec.structs.replace(
            body,
            samples=len(poses),
            samples_wanted=FRAMES_LIMIT,
            span_wanted_deg=SPAN_LIMIT_DEG,
            condition_limit=CONDITION_LIMIT,
            rms_limit_mm=RMS_LIMIT_MM,
        )
        fit = _pivot(poses)
        if isinstance(fit, Nothing):
            return msgspec.structs.replace(wanted, refusals=(fit.code,))
        refusals = tuple(str(refusal) for refusal in fit.refusals())
        return msgspec.structs.replace(
            wanted,
            samples=fit.frames,
            dropped=fit.dropped,
            span_deg=fit.span_deg,
            axis_spans_deg=fit.axis_spans_deg,
            condition_number=fit.condition_number,
            rms_mm=fit.rms_mm,
            max_mm=fit.max_mm,
            refusals=refusals,
            enough=not refusals,
        )

    def found(self) -> Outcome:
        fit = _pivot(self._turning.poses())
        if isinstance(fit, Nothing):
            return fit
        first_deg, second_deg = fit.axis_spans_deg
        numbers = {
            "rms_mm": fit.rms_mm,
            "max_mm": fit.max_mm,
            "condition_number": fit.condition_number,
            "span_deg": fit.span_deg,
            "first_axis_deg": first_deg,
            "second_axis_deg": second_deg,
            "frames": float(fit.frames),
            "dropped": float(fit.dropped),
        }
        refusals = tuple(str(refusal) for refusal in fit.refusals())
        return Found(method="pivot", refusals=refusals, tip_in_pointer_mm=fit.tip_in_pointer_mm, numbers=numbers)


def _pivot(poses: FloatArray) -> PivotFit | Nothing:
    try:
        return calibrate_pointer(poses)
    except NoPivot as error:
        return Nothing(code=error.code, what=str(error))
