"""The room that benches look into: the simulated world with a target on its head, and a coil that is on it or not."""

from sim.world import World
from sim.world_geometry import Pose, crossed, from_axes, scaled, unit
from sim.world_hand import Reach

SPOT_DIRECTION = (-0.55, 0.55, 0.63)  # left front, where dorsolateral prefrontal targets lie
AT_ONCE_NS = 1_000
NEAR_MM = 20.0  # where the coil waits: beyond twice every leave limit, so that leaving counts at once


class Place:
    """A world whose coil can be put on the target, or aside, between one exposure and the next."""

    def __init__(self, seed: int, start_ns: int) -> None:
        self.world = World(seed, start_ns)
        self.target = self.world.target = _target(self.world)
        self.put(on_target=False, now_ns=start_ns)

    def put(self, *, on_target: bool, now_ns: int) -> int:
        """Returns the moment from which every exposure shows it."""
        goal = self.target if on_target else self.target.moved((NEAR_MM, 0.0, 0.0))
        self.world.coil.set_off(Reach(now_ns, now_ns + AT_ONCE_NS, goal, goal, True))
        return now_ns + AT_ONCE_NS

    def mri_from_head(self, now_ns: int) -> Pose:
        return self.world.mri_from_head(now_ns)


def _target(world: World) -> Pose:
    """`mri_from_coil`: flat on the skin, z into the head."""
    spot = world.head.skin(SPOT_DIRECTION)
    into = scaled(world.head.outward(spot), -1.0)
    x = unit(crossed((0.0, 1.0, 0.0), into))
    return from_axes(x, crossed(into, x), into, spot)
