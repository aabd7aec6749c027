"""What a tool's marker geometry makes of the camera's noise: each marker is seen a little off, and the pose is fitted to all of them.

Few or narrow markers give a pose that trembles more, most of all far from them. Least squares for small motions.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sim.world_geometry import Pose, Vector, from_rotation_vector

Array = npt.NDArray[np.float64]

FIT_RMS_MM = 0.08  # of a camera without noise: within the 0.05 to 0.3 mm that real ones report
ANY_TOOL: tuple[Vector, ...] = ((0.0, 0.0, 0.0), (50.0, 0.0, 0.0), (0.0, 60.0, 0.0), (-40.0, 40.0, 0.0))  # where no geometry is known


class MarkerNoise:
    """`markers_mm`: those seen, in the tool's frame; `sigma_mm`: of each marker's place, per axis."""

    def __init__(self, markers_mm: Sequence[Vector], sigma_mm: float) -> None:
        self._sigma_mm = sigma_mm
        self._count = len(markers_mm)
        self._moves = np.vstack([_move_of(np.array(marker)) for marker in markers_mm])
        self._fit: Array = np.asarray(np.linalg.pinv(self._moves), dtype=np.float64)

    def sample(self, rng: np.random.Generator) -> tuple[Pose, float]:
        """`true_from_measured`, small, and the RMS residual of the fit in mm."""
        off = rng.normal(0.0, self._sigma_mm, 3 * self._count)
        move = self._fit @ off
        left = off - self._moves @ move
        shift_x, shift_y, shift_z, turn_x, turn_y, turn_z = move.tolist()
        turn_deg = (np.degrees(turn_x), np.degrees(turn_y), np.degrees(turn_z))
        rms_mm = float(np.sqrt(left @ left / self._count))
        return Pose(from_rotation_vector(turn_deg), (shift_x, shift_y, shift_z)), rms_mm


def _move_of(marker: Array) -> Array:
    """How a small shift and turn (rad) of the tool moves this marker: 3 x 6."""
    x, y, z = marker.tolist()
    return np.hstack([np.eye(3), np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]])])
