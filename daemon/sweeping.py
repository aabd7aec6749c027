"""The swept points of one scalp: which are kept, why others are not, and where points are still missing. Pure; tips are fed in.

Where a point lies is judged by the landmarks alone, some millimetres off; the fit comes later.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.coverage import HeadMap, Zone
from calibration.frames import Transform
from calibration.surface import Surface
from daemon.registering import Point, Unseen

SPACING_MM = 3.0  # between kept points
POINTS_MOST = 600
# Landmarks alone place the scalp to some millimetres; a tip further off than this was lifted, or lies on an ear, a hand, a chair.
OFF_SCALP_MM = 30.0
UNDO_NS = 2_000_000_000  # a stroke of the hand
Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much makes a sweep: `points` are wanted, fewer than `least` refused; likewise in each zone and in how many zones."""

    points: int
    least: int
    per_zone: int
    least_zones: int
    around_target: int


# At least 60, better 150 to 300, over all of the scalp and the forehead: fewer leave the crown free to slide.
FULL = Wanted(points=150, least=60, per_zone=8, least_zones=8, around_target=8)
QUICK = Wanted(points=80, least=60, per_zone=4, least_zones=6, around_target=4)


class Sweep:
    """Points in head, at least SPACING_MM apart, and their count by zone."""

    def __init__(self, wanted: Wanted, mri_from_head: Transform, scalp: Surface, head: HeadMap) -> None:
        """`mri_from_head`: of the landmarks alone."""
        self.wanted = wanted
        self._mri_from_head, self._scalp, self._head = mri_from_head, scalp, head
        self._points = np.empty((POINTS_MOST, 3))
        self._about: list[tuple[int, Zone, bool]] = []  # exposure, zone, near the target
        self._off: list[Point] = []
        self.rejected: Counter[str] = Counter()

    @property
    def count(self) -> int:
        return len(self._about)

    def add(self, tip: Point | Unseen, exposed_ns: int) -> bool:
        """Keep a point that is seen, on the scalp and far enough from all kept ones; True when it was kept."""
        if isinstance(tip, Unseen):
            self.rejected[str(tip)] += 1
            return False
        kept = self._points[: self.count]
        if self.count == POINTS_MOST or (self.count and float(((kept - tip) ** 2).sum(axis=1).min()) < SPACING_MM**2):
            return False
        in_mri = self._mri_from_head.apply(np.array(tip))
        if not float(self._scalp.tree.query(in_mri)[0]) <= OFF_SCALP_MM:
            self.rejected["off_scalp"] += 1
            if len(self._off) < POINTS_MOST and (not self._off or np.linalg.norm(np.subtract(self._off[-1], tip)) >= SPACING_MM):
                self._off.append(tip)
            return False
        self._points[self.count] = tip
        self._about.append((exposed_ns, self._head.zone(in_mri), self._head.is_near_target(in_mri)))
        return True

    def undo(self) -> int:
        """Take the last stroke back; returns how many points that were."""
        if not self._about:
            return 0
        newest_ns = self._about[-1][0]
        before = self.count
        self._about = [each for each in self._about if newest_ns - each[0] > UNDO_NS]
        return before - self.count

    @property
    def zones(self) -> dict[Zone, int]:
        counts = Counter(zone for _, zone, _ in self._about)
        return {zone: counts[zone] for zone in Zone}

    @property
    def around_target(self) -> int:
        return sum(1 for _, _, is_near in self._about if is_near)

    @property
    def thin_zones(self) -> tuple[Zone, ...]:
        """Zones with fewer points than wanted: the forehead first, then the emptiest."""
        counts = self.zones
        thin = [zone for zone in Zone if counts[zone] < self.wanted.per_zone]
        return tuple(sorted(thin, key=lambda zone: (zone is not Zone.FOREHEAD, counts[zone])))

    @property
    def is_misplaced(self) -> bool:
        """Most of what was swept lies nowhere near where the landmarks say the scalp is: the landmarks are wrong, not the sweep."""
        return len(self._off) > self.count

    def lacking(self) -> str | None:
        """What is missing before it can be fitted, as an order to the operator; None when it is enough."""
        if self.is_misplaced:
            return None
        filled = len(Zone) - len(self.thin_zones)
        names = ", ".join(zone.replace("_", " ") for zone in self.thin_zones[:3])
        if self.count < self.wanted.least:
            return f"{self.count} points were swept, at least {self.wanted.least} are needed: add {names}"
        if Zone.FOREHEAD in self.thin_zones or filled < self.wanted.least_zones:
            return f"{filled} of {len(Zone)} zones have points enough, {self.wanted.least_zones} are needed with the forehead: add {names}"
        return None

    def points_in_head_mm(self) -> Points:
        """The kept points (N, 3); with those off the scalp where the landmarks seem to be wrong, so that the fit can say which."""
        kept = self._points[: self.count].copy()
        return np.concatenate((kept, np.array(self._off).reshape(-1, 3))) if self.is_misplaced else kept
