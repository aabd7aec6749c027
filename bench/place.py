"""The room that benches look into: the simulated world with a target on its head, and a coil that is on it or not."""

from collections.abc import Mapping

from drivers.rom_wire import RomFile
from sim.ndi_poses import BodyPose
from sim.world import World
from sim.world_geometry import crossed, from_axes, scaled, unit
from sim.world_hand import Reach
from sim.world_people import People

SPOT_DIRECTION = (-0.55, 0.55, 0.63)  # left front, where dorsolateral prefrontal targets lie
AT_ONCE_NS = 1_000
ASIDE_MM = 20.0  # beyond twice every leave limit, so that leaving counts at once
SLIP_MS = 50.0
LOOK_NS, FINE_NS = 1_000_000, 50_000
LEAVE_LATERAL_MM, LEAVE_TILT_DEG, LEAVE_TWIST_DEG, LEAVE_GAP_MM = 3.0, 5.0, 8.0, 4.0  # the product's leave limits, stated anew


class Place:
    """What a simulated camera sees. `exposed_ns`: the last moment that it asked for."""

    def __init__(self, seed: int, start_ns: int) -> None:
        self._world = World(seed, start_ns)
        self._people = People(self._world, seed)
        spot = self._world.head.skin(SPOT_DIRECTION)
        into = scaled(self._world.head.outward(spot), -1.0)
        x = unit(crossed((0.0, 1.0, 0.0), into))
        self.target = self._world.target = from_axes(x, crossed(into, x), into, spot)
        self.mri_from_head = self._world.mri_from_head(start_ns)
        self.exposed_ns = start_ns
        self.put(start_ns, on_target=False)

    @property
    def bodies(self) -> Mapping[str, RomFile]:
        return self._world.bodies

    def pose(self, body: str, exposed_ns: int) -> BodyPose | None:
        self.exposed_ns = exposed_ns
        return self._world.pose(body, exposed_ns)

    def probe(self, t_ns: int) -> dict[str, float | bool | None]:
        return self._world.probe(t_ns)

    def put(self, now_ns: int, *, on_target: bool) -> int:
        """Between one exposure and the next. Returns the moment from which every exposure shows it."""
        goal = self.target if on_target else self.target.moved((ASIDE_MM, 0.0, 0.0))
        self._world.coil.set_off(Reach(now_ns, now_ns + AT_ONCE_NS, goal, goal, True))
        return now_ns + AT_ONCE_NS

    def slip(self, mm: float, now_ns: int) -> int:
        """The coil slides off its target. Returns when it comes to rest."""
        return self._people.slip(mm, SLIP_MS, now_ns)

    def left_ns(self, from_ns: int, until_ns: int) -> int | None:
        """When the true coil first was beyond a leave limit, within 0.05 ms; None where it never was."""
        coarse = next((t_ns for t_ns in range(from_ns, until_ns, LOOK_NS) if self._is_beyond(t_ns)), None)
        if coarse is None:
            return None
        return next(t_ns for t_ns in range(coarse - LOOK_NS, coarse + FINE_NS, FINE_NS) if self._is_beyond(t_ns))

    def _is_beyond(self, t_ns: int) -> bool:
        error = self._world.coil_error(t_ns)
        return error is not None and (
            error.lateral_mm > LEAVE_LATERAL_MM
            or error.tilt_deg > LEAVE_TILT_DEG
            or abs(error.twist_deg) > LEAVE_TWIST_DEG
            or abs(error.gap_mm) > LEAVE_GAP_MM
        )
