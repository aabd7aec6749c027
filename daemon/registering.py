"""Landmarks touched and scalp swept, from camera frames to what the registration is fitted to. Pure; frames are fed in.

Owns what counts as a touch and which swept points are kept. The fit and its verdict are `calibration.registration`'s.
"""

import math

import msgspec
import numpy as np

from calibration.frames import Transform
from drivers.values import ToolSample

HOLD_NS = 1_000_000_000  # a landmark is held for a second, and averaged over it
MIN_FRAMES = 20
SPREAD_LIMIT_MM = 0.5  # RMS of the tip about its mean: a moving hand shows here
APART_LIMIT_MM = 3.0  # two touches of one landmark further apart than this are both thrown away
SPACING_MM = 3.0  # between kept points of a sweep
FIT_LIMIT_MM = 0.35  # camera's own residual of head or pointer
MOST_GAP_NS = 200_000_000  # unseen for longer: the touch starts again
SWEEP_WANTED = 150
SWEEP_MOST = 600

Point = tuple[float, float, float]


def tip_in_head_mm(head: ToolSample | None, pointer: ToolSample | None, tip_in_pointer_mm: Point) -> Point | None:
    """The pointer's tip in the head reference's frame; None unless both are seen well in the same frame."""
    if head is None or pointer is None or head.frame_number != pointer.frame_number:
        return None
    if not _good(head) or not _good(pointer):
        return None
    if head.wxyz is None or head.in_tracker_mm is None or pointer.wxyz is None or pointer.in_tracker_mm is None:
        return None
    tracker_from_head = Transform.from_quaternion("tracker", "head", head.wxyz, head.in_tracker_mm)
    tracker_from_pointer = Transform.from_quaternion("tracker", "pointer", pointer.wxyz, pointer.in_tracker_mm)
    head_from_pointer = tracker_from_head.inverse() @ tracker_from_pointer
    x, y, z = head_from_pointer.apply(np.array(tip_in_pointer_mm)).tolist()
    return (x, y, z)


def _good(sample: ToolSample) -> bool:
    return sample.fit_rms_mm is not None and sample.fit_rms_mm <= FIT_LIMIT_MM and not sample.flagged


class Touch(msgspec.Struct, frozen=True, kw_only=True):
    """One held touch: mean tip in head, RMS about it."""

    tip_in_head_mm: Point
    spread_mm: float
    frames: int


class Held:
    """Frames of one touch while it is held: a window of a second that must be still."""

    def __init__(self) -> None:
        self._tips: list[tuple[int, Point]] = []
        self.spread_mm: float | None = None

    def add(self, tip_mm: Point | None, exposed_ns: int | None) -> Touch | None:
        """One frame; the touch, once the last second of frames is long, dense and still enough."""
        if tip_mm is None or exposed_ns is None:
            return None
        if self._tips and exposed_ns - self._tips[-1][0] > MOST_GAP_NS:
            self._tips.clear()
        self._tips.append((exposed_ns, tip_mm))
        self._tips = [(at_ns, tip) for at_ns, tip in self._tips if exposed_ns - at_ns <= HOLD_NS + MOST_GAP_NS]
        window = [tip for at_ns, tip in self._tips if exposed_ns - at_ns <= HOLD_NS]
        long_enough = exposed_ns - self._tips[0][0] >= HOLD_NS
        if not long_enough or len(window) < MIN_FRAMES:
            return None
        points = np.array(window)
        mean = points.mean(axis=0)
        self.spread_mm = float(np.sqrt(((points - mean) ** 2).sum(axis=1).mean()))
        if not self.spread_mm <= SPREAD_LIMIT_MM:
            return None
        x, y, z = mean.tolist()
        return Touch(tip_in_head_mm=(x, y, z), spread_mm=self.spread_mm, frames=len(window))


class Landmarks(msgspec.Struct, frozen=True, kw_only=True):
    """Accepted touches by landmark, two at most each."""

    touches: dict[str, tuple[Touch, ...]] = {}

    def with_touch(self, landmark: str, touch: Touch) -> tuple["Landmarks", float | None]:
        """After one more touch, and how far it is from the earlier one. Too far apart: both are dropped and touched again."""
        earlier = self.touches.get(landmark, ())
        if not earlier:
            return Landmarks(touches={**self.touches, landmark: (touch,)}), None
        apart_mm = math.dist(earlier[-1].tip_in_head_mm, touch.tip_in_head_mm)
        kept = () if apart_mm > APART_LIMIT_MM else (earlier[-1], touch)
        return Landmarks(touches={**self.touches, landmark: kept}), apart_mm

    def points(self) -> dict[str, Point]:
        """Mean of the touches of each landmark that was touched twice."""
        means = {}
        for name, touches in self.touches.items():
            if len(touches) < 2:
                continue
            x, y, z = np.mean([touch.tip_in_head_mm for touch in touches], axis=0).tolist()
            means[name] = (x, y, z)
        return means


class Sweep:
    """Points of a sweep in head, at least SPACING_MM apart."""

    def __init__(self) -> None:
        self._points = np.empty((SWEEP_MOST, 3))
        self.count = 0

    def add(self, tip_mm: Point | None) -> bool:
        """Keep a point that is far enough from all kept ones; True when it was kept."""
        if tip_mm is None or self.count == SWEEP_MOST:
            return False
        kept = self._points[: self.count]
        if self.count and float(((kept - tip_mm) ** 2).sum(axis=1).min()) < SPACING_MM**2:
            return False
        self._points[self.count] = tip_mm
        self.count += 1
        return True

    def points_in_head_mm(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return self._points[: self.count].copy()
