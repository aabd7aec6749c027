"""What people do in the room: touch, sweep, hold the coil, slip, stand in the way.

Every act is told the moment it begins and returns the moment it is done; nothing here waits. What a hand makes of an order
(a touch a millimetre off) comes from the seed and the order of acts.
"""

import math
import random
import threading

from sim.world import COIL_STAND, POINTER_STAND, Hidden, NoSuchThing, World
from sim.world_geometry import (
    IDENTITY,
    Pose,
    Vector,
    added,
    crossed,
    distance,
    from_axes,
    product,
    scaled,
    unit,
)
from sim.world_hand import NS, Carrier, Reach, Stroke
from sim.world_head import MIDDLE_MM

TOUCH_ACROSS_MM = 0.6  # per axis; a hand on a landmark is about 1 mm off in all, mostly along the skin
TOUCH_DEPTH_MM = 0.25
SWEEP_DEPTH_MM = 0.35  # hair and pressure under a sweeping tip
SHAFT_LEAN = 0.8  # how far a standing person's pointer leans up from the skin's normal
APPROACH_MM, APPROACH_DEG = 15.0, 10.0
BUMP_MS = 200.0
REACH_S, REACH_S_PER_MM, REACH_S_PER_DEG = 0.3, 0.0018, 0.008  # a correction of 5 mm takes 0.31 s, a reach of 300 mm 0.84 s


class People:
    """Hands and feet in one world. Acts may come from any thread."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._rng = random.Random(seed)
        self._one_act = threading.Lock()

    def touch(self, landmark: str, now_ns: int) -> int:
        """The pointer's tip goes to a landmark and stays there, about a millimetre off as hands are."""
        head = self._world.head
        if landmark not in head.landmarks_mm:
            raise NoSuchThing(f"no landmark {landmark!r} on this head; there are {', '.join(head.landmarks_mm)}")
        spot = head.landmarks_mm[landmark]
        normal = head.outward(spot)
        with self._one_act:
            off = self._vector(TOUCH_ACROSS_MM)
            depth = self._rng.gauss(0.0, TOUCH_DEPTH_MM) - _dot(off, normal)
            return self._carry(self._world.tip, _pointing(added(spot, added(off, scaled(normal, depth))), normal), now_ns, on_head=True)

    def pointer_to_scalp(self, now_ns: int) -> int:
        """The tip goes to where a sweep begins."""
        first = self._world.head.sweep_mm[0]
        with self._one_act:
            return self._carry(self._world.tip, _pointing(first, _from_middle(first)), now_ns, on_head=True)

    def sweep(self, seconds: float, now_ns: int) -> int:
        """The tip strokes nose bridge, forehead and scalp, pressed through the hair as well as a hand can; it stays at the crown."""
        if not 0.0 < seconds <= 600.0:
            raise NoSuchThing(f"a sweep of {seconds} s; say how many seconds it takes, up to 600")
        with self._one_act:
            poses = []
            for skin in self._world.head.sweep_mm:
                normal = _from_middle(skin)
                poses.append(_pointing(added(skin, scaled(normal, self._rng.gauss(0.0, SWEEP_DEPTH_MM))), normal))
            stroke = Stroke(now_ns, now_ns + round(seconds * NS), poses)
            self._world.tip.set_off(stroke)
            return stroke.end_ns

    def park_pointer(self, now_ns: int) -> int:
        with self._one_act:
            return self._carry(self._world.tip, POINTER_STAND, now_ns, on_head=False)

    def park_coil(self, now_ns: int) -> int:
        with self._one_act:
            return self._carry(self._world.coil, COIL_STAND, now_ns, on_head=False)

    def coil_near(self, now_ns: int) -> int:
        """The coil goes roughly where the plan says, as by eye: some 15 mm and 10 degrees off."""
        if self._world.target is None:
            raise NoSuchThing("no planned target in this room; make a plan first")
        with self._one_act:
            x, y = self._around(APPROACH_MM)
            lifted = abs(self._rng.gauss(0.0, 3.0))
            turn = scaled(unit(self._vector(1.0)), APPROACH_DEG)
            return self._carry(self._world.coil, self._world.target.moved((x, y, -lifted), turn), now_ns, on_head=True)

    def move_coil_by(
        self,
        now_ns: int,
        *,
        dx_mm: float = 0.0,
        dy_mm: float = 0.0,
        gap_mm: float = 0.0,
        tilt_x_deg: float = 0.0,
        tilt_y_deg: float = 0.0,
        twist_deg: float = 0.0,
    ) -> int:
        """Moves in the coil's own axes, each in the sense in which the coil error of that name grows."""
        with self._one_act:
            leant = self._coil_on_head(now_ns).moved((dx_mm, dy_mm, -gap_mm), (tilt_x_deg, tilt_y_deg, 0.0))
            return self._carry(self._world.coil, leant.moved(by_deg=(0.0, 0.0, -twist_deg)), now_ns, on_head=True)

    def slip(self, mm: float, ms: float, now_ns: int) -> int:
        """The coil slides off sideways, some way or other, within so many milliseconds, and stays there."""
        with self._one_act:
            here = self._coil_on_head(now_ns)
            x, y = self._around(mm)
            return _slide(self._world.coil, here, here.moved((x, y, 0.0)), now_ns, ms, on_head=True)

    def slip_reference(self, mm: float, ms: float, now_ns: int) -> int:
        """The head reference slides on the skin: from then on every registration made before is wrong."""
        with self._one_act:
            here = self._world.mri_from_head(now_ns)
            return _slide(self._world.strap, here, here.moved(scaled(unit(self._vector(1.0)), mm)), now_ns, ms, on_head=True)

    def bump_camera(self, mm: float, now_ns: int) -> int:
        """Somebody knocks against the camera: every pose jumps, nothing else changes."""
        with self._one_act:
            here = self._world.camera.steady(now_ns, IDENTITY)
            return _slide(self._world.camera, here, here.moved(scaled(unit(self._vector(1.0)), mm)), now_ns, BUMP_MS, on_head=False)

    def occlude(self, body: str, seconds: float, now_ns: int) -> int:
        """Somebody steps between the camera and a body for so long; returns at once."""
        with self._one_act:
            self._world.hide(Hidden(body, now_ns, now_ns + round(seconds * NS)))
            return now_ns

    def _coil_on_head(self, now_ns: int) -> Pose:
        room_from_mri = self._world.room_from_mri(now_ns)
        return room_from_mri.inverse() @ self._world.coil.steady(now_ns, room_from_mri)

    def _carry(self, carrier: Carrier, goal: Pose, now_ns: int, *, on_head: bool) -> int:
        """A reach that takes as long as such a way takes a hand."""
        room_from_mri = self._world.room_from_mri(now_ns)
        here = carrier.steady(now_ns, room_from_mri)
        origin = room_from_mri.inverse() @ here if on_head else here
        reach = Reach(now_ns, now_ns + round(reach_seconds(origin, goal) * NS), origin, goal, on_head)
        carrier.set_off(reach)
        return reach.end_ns

    def _vector(self, sigma: float) -> Vector:
        return (self._rng.gauss(0.0, sigma), self._rng.gauss(0.0, sigma), self._rng.gauss(0.0, sigma))

    def _around(self, mm: float) -> tuple[float, float]:
        angle = self._rng.uniform(0.0, 2.0 * math.pi)
        return mm * math.cos(angle), mm * math.sin(angle)


def reach_seconds(origin: Pose, goal: Pose) -> float:
    """How long a hand takes from one pose to the other."""
    turned = product(origin.inverse().wxyz, goal.wxyz)
    deg = 2.0 * math.degrees(math.atan2(math.hypot(*turned[1:]), abs(turned[0])))
    return REACH_S + REACH_S_PER_MM * distance(origin.mm, goal.mm) + REACH_S_PER_DEG * deg


def _slide(carrier: Carrier, here: Pose, there: Pose, now_ns: int, ms: float, *, on_head: bool) -> int:
    if not ms > 0.0:
        raise NoSuchThing(f"a slip within {ms} ms; say how many milliseconds it takes, more than 0")
    reach = Reach(now_ns, now_ns + round(ms * 1e6), here, there, on_head)
    carrier.set_off(reach)
    return reach.end_ns


def _pointing(tip_mm: Vector, normal: Vector) -> Pose:
    """`mri_from_tip`: the shaft (z) leaves the skin outward and upward, as a standing person holds it."""
    z = unit(added(normal, (0.0, 0.0, SHAFT_LEAN)))
    x = unit(crossed((0.0, 1.0, 0.0), z))
    return from_axes(x, crossed(z, x), z, tip_mm)


def _from_middle(skin_mm: Vector) -> Vector:
    return unit(added(skin_mm, scaled(MIDDLE_MM, -1.0)))


def _dot(a: Vector, b: Vector) -> float:
    return sum(p * q for p, q in zip(a, b, strict=True))
