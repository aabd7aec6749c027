"""Where the simulated camera sees bodies: the interface the room fulfils, and slow motion for a camera without a room.

Knows poses in the camera's own frame, no bytes, no handles.
"""

import math
from collections.abc import Mapping
from typing import Protocol

import msgspec

from drivers.rom_wire import RomFile
from sim.world_geometry import Quaternion, Vector, product


class BodyPose(msgspec.Struct, frozen=True, kw_only=True):
    """`tracker_from_body` at one exposure: unit quaternion (w, x, y, z) and the body's origin in the camera's frame, mm."""

    wxyz: Quaternion
    in_tracker_mm: Vector


class PoseSource(Protocol):
    """A room with bodies in it. The camera asks for each frame once, from its own thread, always about the past."""

    @property
    def bodies(self) -> Mapping[str, RomFile]:
        """The marked bodies by name, as their makers would define them."""

    def pose(self, body: str, exposed_ns: int) -> BodyPose | None:
        """The body at that moment on the host's monotonic clock; None when the camera does not see it."""


class SlowMotion:
    """Each body on a slow circle of its own, turning a little, always well inside the measuring volume."""

    RADIUS_MM = 30.0
    TURN_DEG = 12.0
    PERIOD_NS = 20_000_000_000

    def __init__(self, bodies: Mapping[str, RomFile]) -> None:
        self.bodies = dict(bodies)
        self._places = {name: index for index, name in enumerate(self.bodies)}

    def pose(self, body: str, exposed_ns: int) -> BodyPose | None:
        return slow_pose(self._places[body], exposed_ns)


def slow_pose(place: int, exposed_ns: int) -> BodyPose:
    """Body number `place` of a row 150 mm apart, about 1.5 m before the camera, at most 10 mm/s."""
    angle = 2.0 * math.pi * ((exposed_ns % SlowMotion.PERIOD_NS) / SlowMotion.PERIOD_NS) + place
    centre_x = 150.0 * (place % 5 - 2)
    centre_y = 150.0 * (place // 5 % 5 - 2)
    half_turn = math.radians(SlowMotion.TURN_DEG) * math.sin(angle) / 2.0
    return BodyPose(
        wxyz=product(turn_about(place), (math.cos(half_turn), 0.0, math.sin(half_turn), 0.0)),
        in_tracker_mm=(
            centre_x + SlowMotion.RADIUS_MM * math.cos(angle),
            centre_y + SlowMotion.RADIUS_MM * math.sin(angle),
            -1500.0 + 10.0 * math.sin(2.0 * angle),
        ),
    )


def turn_about(place: int) -> Quaternion:
    """An orientation of its own for each place."""
    half = 0.35 * (place + 1)
    return (math.cos(half), 0.0, 0.0, math.sin(half))
