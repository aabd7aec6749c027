"""The bench of the room: a plate into which the coil fits, a block with divots, and the coil's own marks, as they truly are.

Nobody in the room knows these better than from the drawings that `bench_files` writes. No motion, no hands.
"""

import itertools

from drivers.rom_wire import MAIN_TYPE_REFERENCE, RomFile, build_rom, parse_rom
from sim.world_geometry import Pose, Vector, distance, from_rotation_vector

PLATE = "plate"
PLATE_ROM = build_rom(
    [(0.0, 0.0, 0.0), (94.0, 13.0, 0.0), (24.0, 120.0, 0.0), (-127.0, 60.0, -12.0)],
    "ATMSD-PLATE",
    main_type=MAIN_TYPE_REFERENCE,
)
PLATE_BODY: RomFile = parse_rom(PLATE_ROM)
PLATE_STAND = Pose(from_rotation_vector((40.0, 10.0, 0.0)), (60.0, 150.0, -130.0))
PLATE_FROM_COIL = Pose(from_rotation_vector((180.0, 0.0, 0.0)), (6.0, -85.0, 18.0))  # face down

# As engraved: two at the wings, two at the front, two toward the handle, which is not in the plane of the face.
COIL_POINTS_MM: dict[str, Vector] = {
    "left_wing": (78.0, 6.0, 0.0),
    "left_front": (38.0, 44.0, 0.0),
    "right_front": (-40.0, 43.0, 0.0),
    "right_wing": (-79.0, 5.0, 0.0),
    "right_rear": (-42.0, -45.0, -9.0),
    "left_rear": (41.0, -46.0, -9.0),
}
COIL_SIDES_MM: dict[str, Vector] = {"handle": (3.0, -150.0, -14.0), "back": (4.0, -2.0, -24.0)}

BLOCK_STAND = Pose(from_rotation_vector((30.0, -15.0, 20.0)), (-110.0, 160.0, -150.0))
DIVOTS_MM: dict[str, Vector] = {
    "A": (0.0, 0.0, 0.0),
    "B": (90.0, 0.0, 0.0),
    "C": (90.0, 70.0, 12.0),
    "D": (0.0, 70.0, 25.0),
}


def divot_in_room(name: str) -> Vector:
    return BLOCK_STAND.carry(DIVOTS_MM[name])


def known_distances_mm() -> dict[tuple[str, str], float]:
    """As the block's maker measured them, to a hundredth of a millimetre."""
    return {(a, b): round(distance(DIVOTS_MM[a], DIVOTS_MM[b]), 2) for a, b in itertools.combinations(DIVOTS_MM, 2)}
