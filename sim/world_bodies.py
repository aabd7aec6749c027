"""What the room's marked tools truly are beyond their markers: the pointer's tip, where the coil sits under its own.

Nobody in the room knows these exactly: a chair's file holds them with the error of its calibrations.
"""

from sim.world_geometry import Pose, Vector, from_rotation_vector

TIP_IN_POINTER_MM: Vector = (-18.2, 0.7, -157.4)
COIL_FROM_COILTOOL = Pose(from_rotation_vector((176.0, 20.0, -9.0)), (4.0, -62.0, -88.0))  # above the casing, toward the handle
