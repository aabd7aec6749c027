"""The truth of the room: a patient's head with its reference strapped on, a camera, a pointer and a coil.

Everything is a function of seed, acts and time: `pose` is what the camera sees, `probe` what a pulse would have done. What
people do to it stands in `world_people`. Nothing here waits or reads a clock.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.rom_wire import RomFile
from sim import ndi_room_tools, world_bench
from sim.ndi_poses import BodyPose
from sim.ndi_room_tools import ROOM_BODIES
from sim.world_bench import PLATE, PLATE_BODY, PLATE_STAND
from sim.world_bodies import COIL_FROM_COILTOOL, TIP_IN_POINTER_MM
from sim.world_geometry import IDENTITY, CoilError, Pose, Vector, added, coil_error, from_axes, from_rotation_vector, scaled
from sim.world_hand import NS, Carrier
from sim.world_head import Head
from sim.world_motion import Wobble

FACING = from_axes((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0))  # the patient looks into the camera
POINTER_STAND = Pose(from_rotation_vector((20.0, -30.0, 0.0)), (220.0, 120.0, -60.0))
COIL_STAND = Pose(from_rotation_vector((90.0, 0.0, 0.0)), (-240.0, 60.0, 40.0))
REMEMBERED = 50
BODIES: Mapping[str, RomFile] = ROOM_BODIES | {PLATE: PLATE_BODY}


class NoSuchThing(ValueError):
    """The room has no landmark, body or target of that name, or an act cannot be done so."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """Somebody stands between the camera and a body."""

    body: str
    start_ns: int
    end_ns: int


class World:
    """One room, from `start_ns` on. The room's frame has its origin in the head as it first sat, axes as the MRI's.

    `target` (`mri_from_coil` as planned) is known to the probe and to a rough first approach alone. Poses may be asked for
    from any thread, at any moment since the start.
    """

    def __init__(self, seed: int, start_ns: int, head: Head | None = None, target: Pose | None = None) -> None:
        rng = random.Random(seed)
        self.head = head or Head()
        self.target = target
        self._start_ns = start_ns
        self._hidden: tuple[Hidden, ...] = ()
        self._sway = (
            Wobble(rng, rms_mm=0.8, rms_deg=0.25, low_hz=0.01, high_hz=0.05),  # a seated person sinks and shifts
            Wobble(rng, rms_mm=0.06, rms_deg=0.02, low_hz=0.2, high_hz=0.35),  # and breathes
        )
        camera = FACING.moved(by_deg=_spread(rng, 12.0))
        aside = _spread(rng, 40.0)
        camera = Pose(camera.wxyz, (aside[0], aside[1], -rng.uniform(1500.0, 1850.0)))
        strap = Pose(from_rotation_vector(_spread(rng, 60.0)), added((15.0, 118.0, 62.0), _spread(rng, 6.0)))
        tremor = Wobble(rng, rms_mm=0.08, rms_deg=0.06, low_hz=5.0, high_hz=11.0)
        settling = Wobble(rng, rms_mm=0.15, rms_deg=0.1, low_hz=0.03, high_hz=0.2)  # an arm that tires
        self.camera = Carrier(start_ns, camera, on_head=False)
        self.strap = Carrier(start_ns, strap, on_head=True)
        self.tip = Carrier(start_ns, POINTER_STAND, on_head=False, shake=[tremor])
        self.plate = Carrier(start_ns, PLATE_STAND, on_head=False)
        self.coil = Carrier(start_ns, COIL_STAND, on_head=False, shake=[tremor, settling])

    @property
    def bodies(self) -> Mapping[str, RomFile]:
        return BODIES

    def pose(self, body: str, exposed_ns: int) -> BodyPose | None:
        """`tracker_from_<body>`, or None while somebody stands before it; the camera adds its own noise."""
        if self.is_hidden(body, exposed_ns):
            return None
        true = self.tracker_from(body, exposed_ns)
        return BodyPose(wxyz=true.wxyz, in_tracker_mm=true.mm)

    def tracker_from(self, body: str, t_ns: int) -> Pose:
        """The true pose of a marked body before the camera."""
        tracker_from_room = self.camera.in_room(t_ns, IDENTITY)
        room_from_mri = self.room_from_mri(t_ns)
        match body:
            case ndi_room_tools.HEAD:
                return tracker_from_room @ self.strap.in_room(t_ns, room_from_mri)
            case ndi_room_tools.POINTER:
                room_from_tip = self.tip.in_room(t_ns, room_from_mri)
                return tracker_from_room @ room_from_tip.moved(scaled(TIP_IN_POINTER_MM, -1.0))
            case ndi_room_tools.COIL:
                return tracker_from_room @ self.coil.in_room(t_ns, room_from_mri) @ COIL_FROM_COILTOOL
            case world_bench.PLATE:
                return tracker_from_room @ self.plate.in_room(t_ns, IDENTITY)
            case _:
                raise NoSuchThing(f"no body {body!r} in this room; there are {', '.join(BODIES)}")

    def room_from_mri(self, t_ns: int) -> Pose:
        """How the patient sits, sways and breathes."""
        t_s = (t_ns - self._start_ns) / NS
        pose = IDENTITY
        for sway in self._sway:
            pose = pose.moved(sway.mm(t_s), sway.deg(t_s))
        return pose

    def mri_from_coil(self, t_ns: int) -> Pose:
        """Where the coil truly is over the head, tremor and all."""
        room_from_mri = self.room_from_mri(t_ns)
        return room_from_mri.inverse() @ self.coil.in_room(t_ns, room_from_mri)

    def mri_from_head(self, t_ns: int) -> Pose:
        """How the head reference truly sits: what registration has to find."""
        return self.strap.in_room(t_ns, IDENTITY)

    def coil_error(self, t_ns: int) -> CoilError | None:
        return None if self.target is None else coil_error(self.target, self.mri_from_coil(t_ns))

    def probe(self, t_ns: int) -> dict[str, float | bool | None]:
        """The truth about a pulse at that moment, for the truth log; errors are null while no target is known."""
        error = self.coil_error(t_ns)
        return {
            "lateral_mm": None if error is None else round(error.lateral_mm, 3),
            "tilt_deg": None if error is None else round(error.tilt_deg, 3),
            "twist_deg": None if error is None else round(error.twist_deg, 3),
            "gap_mm": None if error is None else round(error.gap_mm, 3),
            "head_seen": not self.is_hidden(ndi_room_tools.HEAD, t_ns),
            "coil_seen": not self.is_hidden(ndi_room_tools.COIL, t_ns),
        }

    def hide(self, hidden: Hidden) -> None:
        if hidden.body not in BODIES:
            raise NoSuchThing(f"no body {hidden.body!r} in this room; there are {', '.join(BODIES)}")
        self._hidden = (*self._hidden[-REMEMBERED:], hidden)

    def is_hidden(self, body: str, t_ns: int) -> bool:
        return any(hidden.body == body and hidden.start_ns <= t_ns < hidden.end_ns for hidden in self._hidden)


def _spread(rng: random.Random, half_width: float) -> Vector:
    return (rng.uniform(-half_width, half_width), rng.uniform(-half_width, half_width), rng.uniform(-half_width, half_width))
