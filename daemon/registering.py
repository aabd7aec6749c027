"""What counts as a touch, from camera frames: the pointer's tip in the head's frame, still for long enough. Pure; frames are fed in.

Owns touches and landmarks. The sweep is `sweeping`; the fit and its verdict are `calibration.registration`'s.
"""

import enum
import math
from typing import Literal

import msgspec
import numpy as np

from calibration.frames import Transform
from drivers.values import ToolSample

HOLD_NS = 1_000_000_000  # a landmark is held for a second, and its median taken
MIN_FRAMES = 20
SPREAD_LIMIT_MM = 0.5  # RMS of the tip about its median: a moving hand shows here
APART_LIMIT_MM = 3.0  # two touches of one landmark further apart than this are both thrown away
FIT_LIMIT_MM = 0.35  # camera's own residual of head or pointer
MOST_GAP_NS = 200_000_000  # unseen for longer: the touch starts again
KEY_WINDOW_NS = 500_000_000  # looked back from a key or pedal; a slow camera's MIN_FRAMES take up to HOLD_NS
FRESH_NS = 250_000_000  # an older frame shows where the tip was
TOUCHES_FULL, TOUCHES_QUICK = 2, 1  # of each landmark

Point = tuple[float, float, float]


class Unseen(enum.StrEnum):
    """Why there is no tip in a frame."""

    HEAD = "head_unseen"
    POINTER = "pointer_unseen"
    OTHER_FRAME = "other_frame"
    POOR_FIT = "poor_fit"
    FLAGGED = "flagged"
    OLD = "old_frame"
    UNCALIBRATED = "pointer_uncalibrated"


def look_for_tip(head: ToolSample | None, pointer: ToolSample | None, tip_in_pointer_mm: Point | None) -> Point | Unseen:
    """The pointer's tip in the head reference's frame, mm, or why not: both must be seen well in the same frame."""
    if tip_in_pointer_mm is None:
        return Unseen.UNCALIBRATED
    if head is None or head.wxyz is None or head.in_tracker_mm is None:
        return Unseen.HEAD
    if pointer is None or pointer.wxyz is None or pointer.in_tracker_mm is None:
        return Unseen.POINTER
    if head.frame_number != pointer.frame_number:
        return Unseen.OTHER_FRAME
    if head.flagged or pointer.flagged:
        return Unseen.FLAGGED
    if not all(each.fit_rms_mm is not None and each.fit_rms_mm <= FIT_LIMIT_MM for each in (head, pointer)):
        return Unseen.POOR_FIT
    tracker_from_head = Transform.from_quaternion("tracker", "head", head.wxyz, head.in_tracker_mm)
    tracker_from_pointer = Transform.from_quaternion("tracker", "pointer", pointer.wxyz, pointer.in_tracker_mm)
    x, y, z = (tracker_from_head.inverse() @ tracker_from_pointer).apply(np.array(tip_in_pointer_mm)).tolist()
    return (x, y, z)


class Touch(msgspec.Struct, frozen=True, kw_only=True):
    """One touch: median of the tip in head, RMS about it, and whether it was held or taken by key or pedal."""

    tip_in_head_mm: Point
    spread_mm: float
    frames: int
    taken: Literal["held", "key"] = "held"


class Held:
    """The newest frames of a tip that is still: what makes the spread too large is forgotten from the old end."""

    def __init__(self) -> None:
        self._tips: list[tuple[int, Point]] = []
        self.spread_mm: float | None = None

    @property
    def share(self) -> float:
        """How much of the second it has been still."""
        return min(1.0, (self._tips[-1][0] - self._tips[0][0]) / HOLD_NS) if self._tips else 0.0

    def add(self, tip_mm: Point | None, exposed_ns: int | None) -> Touch | None:
        """One frame; the touch, once the tip was seen and still for a whole second."""
        if tip_mm is None or exposed_ns is None:
            return None
        if self._tips and not 0 < exposed_ns - self._tips[-1][0] <= MOST_GAP_NS:
            self._tips.clear()
        self._tips.append((exposed_ns, tip_mm))
        median, self.spread_mm = _median([tip for _, tip in self._tips])
        still_mm = self.spread_mm
        while not still_mm <= SPREAD_LIMIT_MM and len(self._tips) > 1:
            del self._tips[: max(1, len(self._tips) // 8)]
            median, still_mm = _median([tip for _, tip in self._tips])
        if exposed_ns - self._tips[0][0] < HOLD_NS:
            return None
        touch = Touch(tip_in_head_mm=median, spread_mm=still_mm, frames=len(self._tips))
        self._tips = [(at_ns, tip) for at_ns, tip in self._tips if exposed_ns - at_ns < HOLD_NS]
        return touch if touch.frames >= MIN_FRAMES else None


class Recent:
    """The last second of tips, for a touch taken by key or pedal."""

    def __init__(self) -> None:
        self._tips: list[tuple[int, Point]] = []

    def add(self, tip_mm: Point | None, exposed_ns: int | None) -> None:
        if tip_mm is None or exposed_ns is None:
            return
        self._tips = [each for each in self._tips if 0 < exposed_ns - each[0] <= HOLD_NS]
        self._tips.append((exposed_ns, tip_mm))

    def touch(self, now_ns: int) -> Touch | str:
        """The tip at this moment: median of half a second, or of as many frames as are needed. Or why there is none."""
        fresh = [each for each in self._tips if 0 <= now_ns - each[0] <= HOLD_NS]
        if not fresh or now_ns - fresh[-1][0] > FRESH_NS:
            return "pointer and head reference are not seen together at this moment"
        within = sum(1 for at_ns, _ in fresh if now_ns - at_ns <= KEY_WINDOW_NS)
        tips = [tip for _, tip in fresh[-max(within, MIN_FRAMES) :]]
        if len(tips) < MIN_FRAMES:
            return f"pointer and head reference were seen together in {len(tips)} frames of the last second, {MIN_FRAMES} are needed"
        median, spread_mm = _median(tips)
        if not spread_mm <= SPREAD_LIMIT_MM:
            return f"the tip moved by {spread_mm:.1f} mm"
        return Touch(tip_in_head_mm=median, spread_mm=spread_mm, frames=len(tips), taken="key")


def _median(tips: list[Point]) -> tuple[Point, float]:
    """The median of each coordinate, and the RMS about it."""
    points = np.array(tips)
    median = np.median(points, axis=0)
    x, y, z = median.tolist()
    return (x, y, z), float(np.sqrt(((points - median) ** 2).sum(axis=1).mean()))


class Landmarks(msgspec.Struct, frozen=True, kw_only=True):
    """Accepted touches by landmark, `wanted` of each at most; `order`: the landmarks as they were touched, for taking back."""

    wanted: int = TOUCHES_FULL
    touches: dict[str, tuple[Touch, ...]] = {}
    order: tuple[str, ...] = ()

    def with_touch(self, landmark: str, touch: Touch) -> tuple["Landmarks", float | None]:
        """After one more touch, and how far it is from the earlier one. Too far apart: both are dropped and touched again."""
        earlier = self.touches.get(landmark, ())
        if not earlier:
            return self._with(landmark, (touch,)), None
        apart_mm = math.dist(earlier[-1].tip_in_head_mm, touch.tip_in_head_mm)
        kept = () if not apart_mm <= APART_LIMIT_MM else (earlier[-1], touch)[-self.wanted :]
        return self._with(landmark, kept), apart_mm

    def _with(self, landmark: str, kept: tuple[Touch, ...]) -> "Landmarks":
        others = tuple(name for name in self.order if name != landmark)
        order = (*others, *(landmark for _ in kept))
        return msgspec.structs.replace(self, touches={**self.touches, landmark: kept}, order=order)

    def without(self, landmark: str) -> "Landmarks":
        """All touches of one landmark taken back."""
        return self._with(landmark, ())

    def undone(self) -> tuple["Landmarks", str] | None:
        """The newest touch taken back, and of which landmark; None where there is none."""
        if not self.order:
            return None
        landmark = self.order[-1]
        return self._with(landmark, self.touches[landmark][:-1]), landmark

    def next_of(self, names: tuple[str, ...]) -> str | None:
        """The first of these that wants a touch; None once all have theirs."""
        return next((name for name in names if len(self.touches.get(name, ())) < self.wanted), None)

    def points(self) -> dict[str, Point]:
        """Mean of the touches of each landmark that has all of them."""
        means = {}
        for name, touches in self.touches.items():
            if len(touches) < self.wanted:
                continue
            x, y, z = np.mean([touch.tip_in_head_mm for touch in touches], axis=0).tolist()
            means[name] = (x, y, z)
        return means
