"""Which camera frames count for a calibration, and when a tip is still. Pure; frames are fed in.

A frame counts when it is fresh and its tools are seen well in it; what does not count says why, for the person who holds the tool.
"""

from collections import deque
from dataclasses import dataclass

import msgspec
import numpy as np

from calibration.frames import FloatArray, Transform, Xyz
from daemon.ipc import FrameNews

FRESH_NS = 100_000_000  # as for the gate: what was exposed earlier shows where a tool was, not where it is
FIT_LIMIT_MM = 0.35  # the camera's own residual of a tool
HOLD_NS = 1_000_000_000
LEAST_FRAMES = 20
MOST_GAP_NS = 200_000_000  # unseen for longer: the hold begins again
SPREAD_LIMIT_MM = 0.5  # RMS about the mean: a moving hand shows here
MOVED_ON_MM = 10.0  # the next point is touched only once the tip has left the last one
OUTLIER_MADS = 3.0
MAD_TO_SIGMA = 1.4826  # of a normal distribution
DROPPED_LIMIT = 0.20  # of a second's frames: beyond it the tip was still on its way
LEAST_SPREAD_MM = 0.05  # frames nearer to the median than this are never outliers


def pose_of(news: FrameNews, tool: str, now_ns: int) -> Transform | str:
    """tracker_from_<tool> of a frame that counts, or why it does not."""
    sample = next((each for each in news.tools if each.tool == tool), None)
    if sample is None or sample.wxyz is None or sample.in_tracker_mm is None:
        return f"{tool} not seen"
    if news.exposed_ns is None or not now_ns - news.exposed_ns <= FRESH_NS:
        return "the camera's frames are old"
    if sample.flagged:
        return f"{tool} at the edge of the camera's view"
    if sample.fit_rms_mm is None or not sample.fit_rms_mm <= FIT_LIMIT_MM:
        return f"{tool} seen badly: clean its spheres, turn it to the camera"
    return Transform.from_quaternion("tracker", tool, sample.wxyz, sample.in_tracker_mm)


def poses_of(news: FrameNews, tools: tuple[str, ...], now_ns: int) -> tuple[Transform, ...] | str:
    """The poses of several tools in one frame, all of which must count."""
    found = []
    for tool in tools:
        pose = pose_of(news, tool, now_ns)
        if isinstance(pose, str):
            return pose
        found.append(pose)
    return tuple(found)


class Touch(msgspec.Struct, frozen=True, kw_only=True):
    """A point held still for a second: the mean of the frames that were not outliers, and their RMS about it."""

    point_mm: Xyz
    spread_mm: float
    frames: int
    dropped: int


@dataclass(frozen=True, slots=True)
class _Seen:
    exposed_ns: int
    point_mm: Xyz


class StillTip:
    """The frames of one touch: the tip must first have left `not_at_mm`, then be still for a second."""

    def __init__(self, not_at_mm: Xyz | None = None) -> None:
        self._not_at_mm = not_at_mm
        self._seen: deque[_Seen] = deque()
        self.spread_mm: float | None = None
        self.has_left = not_at_mm is None

    def add(self, point_mm: Xyz, exposed_ns: int) -> Touch | None:
        """One frame in order of time; the touch, once there is one."""
        if not self.has_left and self._not_at_mm is not None:
            self.has_left = float(np.linalg.norm(np.subtract(point_mm, self._not_at_mm))) > MOVED_ON_MM
            if not self.has_left:
                return None
        if self._seen and exposed_ns - self._seen[-1].exposed_ns > MOST_GAP_NS:
            self._seen.clear()
        self._seen.append(_Seen(exposed_ns, point_mm))
        while exposed_ns - self._seen[0].exposed_ns > HOLD_NS + MOST_GAP_NS:
            self._seen.popleft()
        window = [seen.point_mm for seen in self._seen if exposed_ns - seen.exposed_ns <= HOLD_NS]
        if exposed_ns - self._seen[0].exposed_ns < HOLD_NS or len(window) < LEAST_FRAMES:
            return None
        touch = _without_outliers(np.array(window))
        self.spread_mm = touch.spread_mm
        is_still = touch.spread_mm <= SPREAD_LIMIT_MM and touch.dropped <= DROPPED_LIMIT * len(window)
        return touch if is_still else None


def _without_outliers(points: FloatArray) -> Touch:
    off_mm = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    median_mm = float(np.median(off_mm))
    sigma_mm = max(MAD_TO_SIGMA * float(np.median(np.abs(off_mm - median_mm))), LEAST_SPREAD_MM)
    kept = points[off_mm <= median_mm + OUTLIER_MADS * sigma_mm]
    mean = kept.mean(axis=0)
    x, y, z = mean.tolist()
    spread_mm = float(np.sqrt(((kept - mean) ** 2).sum(axis=1).mean()))
    return Touch(point_mm=(x, y, z), spread_mm=spread_mm, frames=len(kept), dropped=len(points) - len(kept))
