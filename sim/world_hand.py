"""What holds a tool, and how it is carried from place to place: on its stand, on the head, on the way between.

A carrier remembers its last moves, so that a moment just past (a camera's exposure, a pulse) can still be asked for.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from sim.world_geometry import Pose, Vector, added, between, distance, scaled
from sim.world_motion import Wobble, minimum_jerk

NS = 1_000_000_000
REMEMBERED = 200  # moves
OVER_THE_FACE: Vector = (0.0, 0.8, 0.6)  # a long reach goes round the front of the head, never through it
LONG_REACH_MM = 60.0


@dataclass(frozen=True, slots=True)
class Reach:
    """One minimum-jerk move, then rest: `on_head` the poses are `mri_from_tool` and follow the head, else `room_from_tool`."""

    start_ns: int
    end_ns: int
    origin: Pose
    goal: Pose
    on_head: bool

    def in_room(self, t_ns: int, room_from_mri: Pose) -> Pose:
        pose = self._pose(t_ns)
        return room_from_mri @ pose if self.on_head else pose

    def _pose(self, t_ns: int) -> Pose:
        if t_ns >= self.end_ns:
            return self.goal
        share = minimum_jerk((t_ns - self.start_ns) / (self.end_ns - self.start_ns))
        way = between(self.origin, self.goal, share)
        length = distance(self.origin.mm, self.goal.mm)
        if length < LONG_REACH_MM:
            return way
        return Pose(way.wxyz, added(way.mm, scaled(OVER_THE_FACE, 4.0 * share * (1.0 - share) * length)))


@dataclass(frozen=True, slots=True)
class Stroke:
    """Along a path at even speed; `mri_from_tool` (off the head: `room_from_tool`) at points close together."""

    start_ns: int
    end_ns: int
    path: Sequence[Pose]
    on_head: bool = True

    def in_room(self, t_ns: int, room_from_mri: Pose) -> Pose:
        share = min(1.0, max(0.0, (t_ns - self.start_ns) / (self.end_ns - self.start_ns)))
        along = share * (len(self.path) - 1)
        first = min(int(along), len(self.path) - 2)
        pose = between(self.path[first], self.path[first + 1], along - first)
        return room_from_mri @ pose if self.on_head else pose


class Carrier:
    """A tool and whatever carries it. `shake` is the hand's own wobble in the tool's axes, None for a strap or a clamp."""

    def __init__(self, start_ns: int, pose: Pose, *, on_head: bool, shake: Sequence[Wobble] = ()) -> None:
        self._born_ns = start_ns
        self._shake = tuple(shake)
        self._ways: tuple[Reach | Stroke, ...] = (Reach(start_ns, start_ns, pose, pose, on_head),)

    def in_room(self, t_ns: int, room_from_mri: Pose) -> Pose:
        """`room_from_tool` at any moment since the start; a tool on its stand does not shake."""
        way = self._way(t_ns)
        pose = way.in_room(t_ns, room_from_mri)
        if way.on_head:
            t_s = (t_ns - self._born_ns) / NS
            for wobble in self._shake:
                pose = pose.moved(wobble.mm(t_s), wobble.deg(t_s))
        return pose

    def steady(self, t_ns: int, room_from_mri: Pose) -> Pose:
        """`room_from_tool` as meant by the hand, without its shaking."""
        return self._way(t_ns).in_room(t_ns, room_from_mri)

    def set_off(self, way: Reach | Stroke) -> None:
        """Go that way from its start on. What was planned for later than that is forgotten."""
        kept = tuple(old for old in self._ways if old.start_ns < way.start_ns)
        self._ways = (*kept[-REMEMBERED:], way)

    def _way(self, t_ns: int) -> Reach | Stroke:
        ways = self._ways
        return ways[max(0, bisect.bisect_right(ways, t_ns, key=lambda way: way.start_ns) - 1)]
