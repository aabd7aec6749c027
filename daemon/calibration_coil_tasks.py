"""The coil's two calibrations as they are collected: by its marked points, and by the plate it is laid into. Pure.

Both end with a touch of the handle and one of the back: a residual does not see a coil that is the wrong way round.
"""

from collections import deque
from collections.abc import Mapping

import msgspec
import numpy as np

from calibration.coil import POINTS_LIMIT, calibrate_coil
from calibration.coil_sides import BACK, HANDLE, SideRefusal, side_refusals
from calibration.frames import FloatArray, Transform, Xyz, angle_between_deg, rigid_from_file
from calibration.plate import ANGLES_LIMIT, FRAMES_LIMIT, SPREAD_LIMIT_MM, PlateCalibration, calibrate_plate
from calibration.rigid_fit import DegeneratePoints
from calibration.store import Rows
from daemon.bench_files import Drawing
from daemon.calibration_messages import CalibrationBody
from daemon.calibration_samples import Touch, poses_of
from daemon.calibration_tasks import TURNED_DEG, Found, Nothing, Outcome
from daemon.ipc import FrameNews

MOST_FRAMES = 400


class CoilTask:
    """The coil by touching its marked points, and then its handle and its back, so that it is the right way round."""

    name, tool = "coil", "coil"

    def __init__(self, drawing: Drawing, tip_in_pointer_mm: Xyz, rests_on: Mapping[str, str]) -> None:
        self._drawing, self._tip_in_pointer_mm = drawing, tip_in_pointer_mm
        self._rests_on = {**rests_on, "drawing": drawing.sha256}
        self.points = (*drawing.points_mm, HANDLE, BACK)
        self._touches: dict[str, Touch] = {}
        self._counts: dict[str, int] = {}

    def add(self, news: FrameNews, now_ns: int) -> str:
        tip = self.tip_of(news, now_ns)
        return tip if isinstance(tip, str) else ""

    def tip_of(self, news: FrameNews, now_ns: int) -> Xyz | str:
        return _tip_in_coiltool_mm(news, self._tip_in_pointer_mm, now_ns)

    def take(self, point: str, touch: Touch) -> int:
        """The newest touch of a point counts: a bad one is mended by touching it again."""
        self._touches = {**self._touches, point: touch}
        self._counts = {**self._counts, point: self._counts.get(point, 0) + 1}
        return self._counts[point]

    def measured(self, body: CalibrationBody) -> CalibrationBody:
        outcome = self.found()
        counts = self._counts
        touched = msgspec.structs.replace(
            body, samples=len(counts), samples_wanted=len(self.points), points=self.points, touches=counts, dropped=self._dropped()
        )
        if isinstance(outcome, Nothing):
            return msgspec.structs.replace(touched, refusals=(outcome.code,))
        return msgspec.structs.replace(
            touched,
            rms_mm=outcome.numbers["fre_mm"],
            max_mm=max(outcome.residuals_mm.values()),
            residuals_mm=outcome.residuals_mm,
            refusals=outcome.refusals,
            enough=not outcome.refusals and all(point in counts for point in self.points),
        )

    def _dropped(self) -> int:
        return sum(touch.dropped for touch in self._touches.values())

    def found(self) -> Outcome:
        marked = {name: touch.point_mm for name, touch in self._touches.items() if name in self._drawing.points_mm}
        if len(marked) < POINTS_LIMIT:
            what = f"{len(marked)} of the coil's points were touched; at least {POINTS_LIMIT} are needed"
            return Nothing(code="too_few_points", what=what)
        try:
            fit = calibrate_coil(self._drawing.points_mm, marked)
        except DegeneratePoints as error:
            return Nothing(code=error.code, what=str(error))
        return Found(
            method="touched points",
            refusals=tuple(str(refusal) for refusal in (*fit.guided_refusals(), *_sides(fit.coiltool_from_coil, self._touches))),
            coiltool_from_coil=_rows(fit.coiltool_from_coil),
            numbers={"fre_mm": fit.fre_mm, "face_error_mm": fit.face_error_mm, "points": float(len(marked))},
            residuals_mm=dict(zip(fit.labels, fit.residuals_mm, strict=True)),
            rests_on=self._rests_on,
        )


class PlateTask:
    """The coil by the plate it is laid into, seen from several sides; then its handle and back are touched."""

    name, tool = "plate", "coil"
    points = (HANDLE, BACK)

    def __init__(self, plate_from_coil: Rows, tip_in_pointer_mm: Xyz, rests_on: Mapping[str, str]) -> None:
        self._plate_from_coil = rigid_from_file("plate", "coil", plate_from_coil, "[tools.plate].plate_from_coil")
        self._tip_in_pointer_mm, self._rests_on = tip_in_pointer_mm, dict(rests_on)
        self._pairs: deque[tuple[FloatArray, FloatArray]] = deque(maxlen=MOST_FRAMES)
        self._touches: dict[str, Touch] = {}

    def add(self, news: FrameNews, now_ns: int) -> str:
        seen = poses_of(news, ("coil", "plate"), now_ns)
        if isinstance(seen, str):
            return seen
        tracker_from_coiltool, tracker_from_plate = seen
        if len(self._pairs) < MOST_FRAMES or self._turned(tracker_from_plate):
            self._pairs.append((tracker_from_coiltool.matrix, tracker_from_plate.matrix))
        return ""

    def _turned(self, tracker_from_plate: Transform) -> bool:
        """A plate at rest must not crowd out the views before."""
        return angle_between_deg(self._pairs[-1][1][:3, :3], tracker_from_plate.rotation) >= TURNED_DEG

    def tip_of(self, news: FrameNews, now_ns: int) -> Xyz | str:
        return _tip_in_coiltool_mm(news, self._tip_in_pointer_mm, now_ns)

    def take(self, point: str, touch: Touch) -> int:
        self._touches = {**self._touches, point: touch}
        return 1

    def measured(self, body: CalibrationBody) -> CalibrationBody:
        wanted = msgspec.structs.replace(
            body,
            samples=len(self._pairs),
            samples_wanted=FRAMES_LIMIT,
            angles_wanted=ANGLES_LIMIT,
            rms_limit_mm=SPREAD_LIMIT_MM,
            points=self.points,
            touches=dict.fromkeys(self._touches, 1),
        )
        outcome = self.found()
        if isinstance(outcome, Nothing):
            return msgspec.structs.replace(wanted, refusals=(outcome.code,))
        return msgspec.structs.replace(
            wanted,
            samples=int(outcome.numbers["frames"]),
            dropped=int(outcome.numbers["dropped"]),
            angles=int(outcome.numbers["angles"]),
            rms_mm=outcome.numbers["spread_mm"],
            refusals=outcome.refusals,
            enough=not outcome.refusals,
        )

    def found(self) -> Outcome:
        fit = self._fit()
        if fit is None:
            return Nothing(code="too_few_frames", what="coil and plate were not seen together")
        return Found(
            method="plate",
            refusals=tuple(str(refusal) for refusal in (*fit.refusals(), *_sides(fit.coiltool_from_coil, self._touches))),
            coiltool_from_coil=_rows(fit.coiltool_from_coil),
            numbers={
                "spread_mm": fit.spread_mm,
                "spread_deg": fit.spread_deg,
                "angles": float(fit.angles),
                "frames": float(fit.frames),
                "dropped": float(fit.dropped),
            },
            rests_on=self._rests_on,
        )

    def _fit(self) -> PlateCalibration | None:
        pairs = tuple(self._pairs)
        if not pairs:
            return None
        coiltools, plates = zip(*pairs, strict=True)
        return calibrate_plate(np.array(coiltools), np.array(plates), self._plate_from_coil)


def _tip_in_coiltool_mm(news: FrameNews, tip_in_pointer_mm: Xyz, now_ns: int) -> Xyz | str:
    """The tip as the coil's marker body sees it in this very frame, so that the coil may move between touches."""
    seen = poses_of(news, ("coil", "pointer"), now_ns)
    if isinstance(seen, str):
        return seen
    tracker_from_coil, tracker_from_pointer = seen
    x, y, z = (tracker_from_coil.inverse() @ tracker_from_pointer).apply(tip_in_pointer_mm).tolist()
    return x, y, z


def _sides(coiltool_from_coil: Transform, touches: Mapping[str, Touch]) -> tuple[SideRefusal, ...]:
    handle, back = (touches.get(name) for name in (HANDLE, BACK))
    return side_refusals(coiltool_from_coil, None if handle is None else handle.point_mm, None if back is None else back.point_mm)


def _rows(pose: Transform) -> Rows:
    first, second, third, last = ((a, b, c, d) for a, b, c, d in pose.matrix.tolist())
    return first, second, third, last
