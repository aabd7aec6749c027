"""Does the head reference still sit where it sat at the registration? Landmarks touched again, each against its own earlier place. Pure.

A check has an age and expires; a slip blocks until the head is registered again, or until three fresh touches all say that it was the hand.
"""

import math
from collections.abc import Mapping

import msgspec

from calibration.reference_drift import DRIFT_BLOCK_MM, DRIFT_WARN_MM, Drift, drift_trend_mm_per_h, reference_drift
from daemon.registering import Point

VALID_S = 1200.0  # twenty minutes of treatment: a strap creeps with sweat and hair
TOGETHER_NS = 300_000_000_000  # touches of one check lie no further apart
NS = 1_000_000_000
LEFT_EAR = "LPA"  # a nearly symmetric head fits its mirror image: a person must have the left ear under the tip
WHOLE, SHORT = ("NAS", "LPA", "RPA"), ("NAS", "LPA")
SCALP = "scalp"


class CheckLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`warn_mm`: good below. `block_mm`: slipped above."""

    warn_mm: float = DRIFT_WARN_MM
    block_mm: float = DRIFT_BLOCK_MM
    valid_s: float = VALID_S


class CheckTouch(msgspec.Struct, frozen=True, kw_only=True):
    """A landmark touched again: how far from its place at registration, in head, mm. `moved_mm` is None for a point of the scalp."""

    landmark: str
    at_ns: int
    distance_mm: float
    moved_mm: Point | None


class ReferenceCheck(msgspec.Struct, frozen=True, kw_only=True):
    """`registered`: landmarks as touched at registration, in head, mm. `wanted`: whose touches make the next check.

    `touches`: of the check under way, or of the last one, one a landmark. `history`: all since the registration. `passed_ns`: when a
    check was last whole and within the limit.
    """

    registered: dict[str, Point]
    wanted: tuple[str, ...] = WHOLE
    touches: tuple[CheckTouch, ...] = ()
    history: tuple[CheckTouch, ...] = ()
    passed_ns: int | None = None
    has_slipped: bool = False
    is_whole: bool = False  # `touches` made a check: the next touch begins another

    def with_touch(self, landmark: str, tip_in_head_mm: Point, now_ns: int, limits: CheckLimits) -> "ReferenceCheck":
        """After one more touch of a landmark that was registered."""
        x, y, z = (now - then for now, then in zip(tip_in_head_mm, self.registered[landmark], strict=True))
        return self._with(CheckTouch(landmark=landmark, at_ns=now_ns, distance_mm=math.hypot(x, y, z), moved_mm=(x, y, z)), limits)

    def with_scalp(self, off_scalp_mm: float, now_ns: int, limits: CheckLimits) -> "ReferenceCheck":
        """After a touch of any point of the scalp: shows a slip, proves none away, for it does not see what slides along the head."""
        return self._with(CheckTouch(landmark=SCALP, at_ns=now_ns, distance_mm=abs(off_scalp_mm), moved_mm=None), limits)

    def _with(self, touch: CheckTouch, limits: CheckLimits) -> "ReferenceCheck":
        history = (*self.history, touch)
        if not touch.distance_mm <= limits.block_mm:
            return self._changed(history=history, touches=(), wanted=WHOLE, passed_ns=None, has_slipped=True, is_whole=False)
        together = () if self.is_whole else self.touches
        others = (one for one in together if one.landmark != touch.landmark and touch.at_ns - one.at_ns <= TOGETHER_NS)
        touches = (*others, touch)
        known = {one.landmark: one.distance_mm for one in touches}
        is_whole = all(name in known for name in self.wanted)
        if self.has_slipped:
            is_whole = is_whole and all(known[name] <= limits.warn_mm for name in self.wanted)
        if not is_whole:
            return self._changed(history=history, touches=touches, is_whole=False)
        return self._changed(history=history, touches=touches, wanted=SHORT, passed_ns=touch.at_ns, has_slipped=False, is_whole=True)

    def due_again(self) -> "ReferenceCheck":
        """Another session begins: what was checked before it does not count, and three landmarks are wanted."""
        return self._changed(wanted=WHOLE, touches=(), passed_ns=None, is_whole=False)

    def _changed(self, **changes: object) -> "ReferenceCheck":
        return msgspec.structs.replace(self, **changes)

    def expires_ns(self, limits: CheckLimits) -> int | None:
        """Until when the last check holds; None where none does."""
        return None if self.passed_ns is None or self.has_slipped else self.passed_ns + round(limits.valid_s * NS)

    @property
    def missing(self) -> tuple[str, ...]:
        """Whose touches the check under way still wants."""
        have = () if self.is_whole else tuple(touch.landmark for touch in self.touches)
        return tuple(name for name in self.wanted if name not in have)

    @property
    def worst_mm(self) -> float | None:
        """The largest distance of the check under way or of the last one; after a slip the distance that showed it."""
        distances = [touch.distance_mm for touch in (self.touches or self.history[-1:])]
        return max(distances, default=None)

    @property
    def rms_mm(self) -> float | None:
        """RMS of the same: what a slip may hide behind."""
        touches = self.touches or self.history[-1:]
        return math.sqrt(sum(touch.distance_mm**2 for touch in touches) / len(touches)) if touches else None

    def drift(self) -> Drift | None:
        """Shift and turn, from the landmarks of the check under way or of the last one; None with none."""
        names = [touch.landmark for touch in self.touches if touch.moved_mm is not None]
        if not names:
            return None
        now = {touch.landmark: touch.moved_mm for touch in self.touches if touch.moved_mm is not None}
        then = [self.registered[name] for name in names]
        return reference_drift(then, [_added(place, now[name]) for name, place in zip(names, then, strict=True)])

    def trend_mm_per_h(self) -> float | None:
        """How fast the reference has crept since the registration; None where the hand's scatter hides it."""
        moved = [(touch.at_ns / NS, touch.moved_mm) for touch in self.history if touch.moved_mm is not None]
        return drift_trend_mm_per_h([at_s for at_s, _ in moved], [each for _, each in moved])


def _added(place: Point, moved: Point) -> Point:
    x, y, z = (one + by for one, by in zip(place, moved, strict=True))
    return (x, y, z)


def nearest_landmark(point_mm: Point, landmarks_mm: Mapping[str, Point]) -> str:
    """The landmark that lies nearest to a point, both in one frame."""
    return min(landmarks_mm, key=lambda name: math.dist(point_mm, landmarks_mm[name]))
