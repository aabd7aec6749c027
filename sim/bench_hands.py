"""What hands do at the bench: turn the pointer in a divot, touch the coil's marks, lay the coil into the plate and tilt it.

As `world_people` at the chair: each act is told the moment it begins and returns the moment it is done.
"""

import math
import random
import threading
from collections.abc import Mapping

from sim.world import NoSuchThing, World
from sim.world_bench import COIL_POINTS_MM, COIL_SIDES_MM, DIVOTS_MM, PLATE_FROM_COIL, PLATE_STAND, divot_in_room
from sim.world_geometry import Pose, Vector, added, crossed, from_axes, from_rotation_vector, unit
from sim.world_hand import NS, Carrier, Reach, Stroke
from sim.world_people import reach_seconds

IN_DIVOT_MM = 0.12  # per axis: a round tip in a cone
ON_CASING_MM = 2.0  # anywhere about there
SEAT_MM, SEAT_DEG = 0.05, 0.03  # the coil in its plate
HEAD_STAND = Pose(from_rotation_vector((80.0, 0.0, 10.0)), (150.0, 140.0, 60.0))
PATH_POSES = 600  # of a turning hand: close enough together that the way between two is straight
TURNS = (5.0, 3.0, 2.0)  # about x, y and the shaft during one act
LONGEST_S = 600.0
UP: Vector = (0.0, 0.5, 1.0)  # toward the camera and up: how a pointer is held over a bench


class BenchHands:
    """Hands at the bench of one world. Acts may come from any thread."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._rng = random.Random(seed ^ 0xBE4C)
        self._one_act = threading.Lock()
        self._seat: Pose | None = None  # of the coil in its plate, once it was laid there
        self._strapped: Pose | None = None  # where the head reference sat, while it lies on its stand

    def touch_coil(self, point: str, now_ns: int) -> int:
        """The tip goes to a mark of the coil as it lies, its shaft on the outer side, and rests there."""
        marks: Mapping[str, Vector] = COIL_POINTS_MM | COIL_SIDES_MM
        if point not in marks:
            raise NoSuchThing(f"no mark {point!r} on this coil; there are {', '.join(marks)}")
        with self._one_act:
            room_from_coil = self._world.coil.steady(now_ns, self._world.room_from_mri(now_ns))
            off = self._vector(IN_DIVOT_MM if point in COIL_POINTS_MM else ON_CASING_MM)
            outward = room_from_coil.turn((0.0, 0.0, 1.0 if point in COIL_POINTS_MM else -1.0))
            tip = room_from_coil.carry(added(marks[point], off))
            return self._carry(self._world.tip, _held(tip, outward), now_ns)

    def touch_divot(self, divot: str, now_ns: int) -> int:
        """The tip goes to a divot of the block and rests there, the pointer held a little otherwise each time."""
        spot = self._divot(divot)
        with self._one_act:
            leaning = added(UP, self._vector(0.25))
            return self._carry(self._world.tip, _held(added(spot, self._vector(IN_DIVOT_MM)), leaning), now_ns)

    def pivot(self, divot: str, seconds: float, degrees: float, now_ns: int) -> int:
        """The tip goes to a divot, and the pointer is turned about it to every side and about its shaft."""
        spot = self._divot(divot)
        if not 0.0 < seconds <= LONGEST_S or not 0.0 <= degrees <= 80.0:
            raise NoSuchThing(f"a pivot of {seconds} s and {degrees} degrees; up to {LONGEST_S:.0f} s and 80 degrees")
        with self._one_act:
            upright = _held(spot, UP)
            there_ns = self._carry(self._world.tip, upright, now_ns)
            path = [upright.moved(by_deg=turn) for turn in _turns(degrees)]
            return self._stroke(self._world.tip, path, there_ns, seconds)

    def coil_on_plate(self, now_ns: int) -> int:
        """The coil is laid face down into its plate."""
        with self._one_act:
            self._carry(self._world.plate, PLATE_STAND, now_ns)
            self._seat = PLATE_FROM_COIL.moved(self._vector(SEAT_MM), self._vector(SEAT_DEG))
            return self._carry(self._world.coil, PLATE_STAND @ self._seat, now_ns)

    def tilt_plate(self, seconds: float, degrees: float, now_ns: int) -> int:
        """The plate is tilted to every side with the coil in it, and laid down again."""
        seat = self._seat
        if seat is None:
            raise NoSuchThing("the coil is not in its plate; lay it there first")
        if not 0.0 < seconds <= LONGEST_S or not 0.0 <= degrees <= 80.0:
            raise NoSuchThing(f"a tilt of {seconds} s and {degrees} degrees; up to {LONGEST_S:.0f} s and 80 degrees")
        with self._one_act:
            path = [PLATE_STAND.moved(by_deg=turn) for turn in _turns(degrees)]
            self._stroke(self._world.plate, path, now_ns, seconds)
            return self._stroke(self._world.coil, [pose @ seat for pose in path], now_ns, seconds)

    def take_off_head(self, now_ns: int) -> int:
        """The head reference is taken off the patient and laid down."""
        with self._one_act:
            if self._strapped is None:
                self._strapped = self._world.mri_from_head(now_ns)
            return self._carry(self._world.strap, HEAD_STAND, now_ns)

    def strap_on_head(self, now_ns: int) -> int:
        """And put back to where it sat."""
        with self._one_act:
            if self._strapped is None:
                return now_ns
            there, self._strapped = self._strapped, None
            room_from_mri = self._world.room_from_mri(now_ns)
            origin = room_from_mri.inverse() @ self._world.strap.steady(now_ns, room_from_mri)
            reach = Reach(now_ns, now_ns + round(reach_seconds(origin, there) * NS), origin, there, True)
            self._world.strap.set_off(reach)
            return reach.end_ns

    def _divot(self, name: str) -> Vector:
        if name not in DIVOTS_MM:
            raise NoSuchThing(f"no divot {name!r} in the block; there are {', '.join(DIVOTS_MM)}")
        return divot_in_room(name)

    def _carry(self, carrier: Carrier, goal: Pose, now_ns: int) -> int:
        here = carrier.steady(now_ns, self._world.room_from_mri(now_ns))
        reach = Reach(now_ns, now_ns + round(reach_seconds(here, goal) * NS), here, goal, False)
        carrier.set_off(reach)
        return reach.end_ns

    @staticmethod
    def _stroke(carrier: Carrier, path: list[Pose], start_ns: int, seconds: float) -> int:
        stroke = Stroke(start_ns, start_ns + round(seconds * NS), path, on_head=False)
        carrier.set_off(stroke)
        return stroke.end_ns

    def _vector(self, sigma: float) -> Vector:
        return (self._rng.gauss(0.0, sigma), self._rng.gauss(0.0, sigma), self._rng.gauss(0.0, sigma))


def _held(tip_mm: Vector, shaft: Vector) -> Pose:
    """`room_from_tip` with the shaft (z) that way."""
    z = unit(shaft)
    x = unit(crossed((0.3, 1.0, 0.2), z))
    return from_axes(x, crossed(z, x), z, tip_mm)


def _turns(degrees: float) -> list[Vector]:
    """Rotation vectors to every side, from rest to rest."""
    shares = [index / (PATH_POSES - 1) for index in range(PATH_POSES)]
    swell = [math.sin(math.pi * share) ** 0.25 for share in shares]
    x, y, z = TURNS
    return [
        (
            degrees * swell[i] * math.sin(2.0 * math.pi * x * share),
            degrees * swell[i] * math.sin(2.0 * math.pi * y * share),
            degrees * swell[i] * math.sin(2.0 * math.pi * z * share),
        )
        for i, share in enumerate(shares)
    ]
