"""The scalp around a target as heights over the planned coil's face, so that the free way to the skin costs microseconds in each frame.

Made once for a target by `patch_of`, which needs the mesh; looked up by `gap_mm`, which does not.
"""

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from calibration.frames import FloatArray, Transform

if TYPE_CHECKING:  # the hot process looks up alone: it needs no meshes, and no scipy
    from calibration.surface import Surface

HALF_MM = 40.0  # on each side of the target: a coil further off is not being aimed
STEP_MM = 2.5
DEEP_MM = 45.0  # skin further than this along the target's axis belongs to another side of the head
FACING = -0.2  # cosine between outward normal and the coil's axis: skin that faces away from the coil is passed over
FLATTEST_COSINE = 0.5  # a coil tilted by more than 60 degrees looks past the patch
CLOSE_MM = 0.01
MOST_STEPS = 12
NODES = 2 * round(HALF_MM / STEP_MM) + 1


class ScalpPatch(msgspec.Struct, frozen=True, kw_only=True):
    """Heights of the skin along the target's z (into the head, mm), rows along y, at NODES x NODES points; None where there is none."""

    rows: tuple[tuple[float | None, ...], ...]

    def height_mm(self, x: float, y: float) -> float | None:
        """Along the target's z at a point of its plane; between the nodes a bilinear surface."""
        across, along = (x + HALF_MM) / STEP_MM, (y + HALF_MM) / STEP_MM
        if not (0.0 <= across < NODES - 1 and 0.0 <= along < NODES - 1):
            return None
        column, row = int(across), int(along)
        u, v = across - column, along - row
        near, far = self.rows[row], self.rows[row + 1]
        a, b, c, d = near[column], near[column + 1], far[column], far[column + 1]
        if a is None or b is None or c is None or d is None:
            return None
        return (1.0 - v) * ((1.0 - u) * a + u * b) + v * ((1.0 - u) * c + u * d)

    def gap_mm(self, x: float, y: float, z: float, dx: float, dy: float, dz: float) -> float | None:
        """From the coil's centre along its axis (unit) to the skin, both in the target's axes: + free air, - pressed in.

        None beyond the patch, for a coil tilted by more than 60 degrees, and where the way to the skin does not settle.
        """
        if not dz >= FLATTEST_COSINE:
            return None
        gap = 0.0
        for _ in range(MOST_STEPS):
            height = self.height_mm(x + gap * dx, y + gap * dy)
            if height is None:
                return None
            before, gap = gap, (height - z) / dz
            if abs(gap - before) <= CLOSE_MM:
                return gap
        return None


def patch_of(scalp: "Surface", mri_from_target: Transform) -> ScalpPatch:
    """The skin that faces the planned coil, within 40 mm of its centre. Takes some tens of milliseconds."""
    from scipy.interpolate import LinearNDInterpolator  # noqa: PLC0415  # not in the hot process

    target_from_mri = mri_from_target.inverse()
    places = target_from_mri.apply(scalp.vertices_mm)
    facing = scalp.normals @ mri_from_target.rotation[:, 2] <= FACING
    reach_mm = HALF_MM + 4.0 * STEP_MM
    near = facing & (np.abs(places[:, :2]).max(axis=1) <= reach_mm) & (np.abs(places[:, 2]) <= DEEP_MM)
    grid = np.linspace(-HALF_MM, HALF_MM, NODES)
    if int(near.sum()) < 4:
        return ScalpPatch(rows=((None,) * NODES,) * NODES)
    heights: FloatArray = LinearNDInterpolator(places[near, :2], places[near, 2])(*np.meshgrid(grid, grid))
    return ScalpPatch(rows=tuple(tuple(None if math.isnan(value) else value for value in row) for row in heights.tolist()))
