"""Where on the head a point lies: twelve zones seen from above, nose up, and whether it is near the target.

The zones are those of the operator's picture. What counts as enough in each is not decided here.
"""

import enum
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.frames import FloatArray, Transform

HEAD_CENTRE_UP_MM: Final = 55.0  # over the line between the ears: from there each swept place is seen in one direction of its own
CROWN_DEG, UPPER_DEG = 27.0, 62.0  # from straight up
NEAR_TARGET_MM: Final = 45.0  # along the scalp around the place over the target: half the width of a coil


class Zone(enum.StrEnum):
    """Places on the scalp, right and left the patient's. The last six are where a registration slides when they are bare."""

    CROWN = "crown"
    UPPER_BACK = "upper_back"
    UPPER_RIGHT_BACK = "upper_right_back"
    UPPER_RIGHT_FRONT = "upper_right_front"
    UPPER_LEFT_FRONT = "upper_left_front"
    UPPER_LEFT_BACK = "upper_left_back"
    FOREHEAD = "forehead"  # down to the bridge of the nose
    RIGHT_TEMPLE = "right_temple"
    RIGHT_BACK = "right_back"
    BACK = "back"
    LEFT_BACK = "left_back"
    LEFT_TEMPLE = "left_temple"


# Middle of each zone's sector, degrees from the patient's right over the front.
_UPPER: Final = ((Zone.UPPER_BACK, -90.0), (Zone.UPPER_RIGHT_BACK, -18.0), (Zone.UPPER_RIGHT_FRONT, 54.0))
_UPPER_LEFT: Final = ((Zone.UPPER_LEFT_FRONT, 126.0), (Zone.UPPER_LEFT_BACK, 198.0))
_OUTER: Final = ((Zone.RIGHT_TEMPLE, 30.0), (Zone.FOREHEAD, 90.0), (Zone.LEFT_TEMPLE, 150.0))
_OUTER_BACK: Final = ((Zone.LEFT_BACK, 210.0), (Zone.BACK, 270.0), (Zone.RIGHT_BACK, 330.0))


def fid_from_mri(nas_mm: ArrayLike, lpa_mm: ArrayLike, rpa_mm: ArrayLike) -> Transform:
    """The landmarks' own frame: x through the ears to the right, y to the nose, z up. Origin: foot of the nose on the ears' line."""
    nas, lpa, rpa = (np.asarray(point, dtype=np.float64) for point in (nas_mm, lpa_mm, rpa_mm))
    x = (rpa - lpa) / np.linalg.norm(rpa - lpa)
    origin = lpa + x * float(x @ (nas - lpa))
    y = (nas - origin) / np.linalg.norm(nas - origin)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array((x, y, np.cross(x, y)))
    matrix[:3, 3] = -matrix[:3, :3] @ origin
    return Transform("fid", "mri", matrix)


@dataclass(frozen=True, slots=True, eq=False)
class HeadMap:
    """Zones of one head in MRI coordinates. `over_target_mm` (3,): the place on the scalp over the target."""

    fid_from_mri: Transform
    over_target_mm: FloatArray

    @classmethod
    def of(cls, nas_mm: ArrayLike, lpa_mm: ArrayLike, rpa_mm: ArrayLike, over_target_mm: ArrayLike) -> Self:
        return cls(fid_from_mri(nas_mm, lpa_mm, rpa_mm), np.asarray(over_target_mm, dtype=np.float64))

    def zone(self, point_in_mri_mm: ArrayLike) -> Zone:
        """The zone of a point (3,)."""
        x, y, z = (self.fid_from_mri.apply(point_in_mri_mm) - (0.0, 0.0, HEAD_CENTRE_UP_MM)).tolist()
        down_deg = float(np.degrees(np.arctan2(np.hypot(x, y), z)))
        if down_deg < CROWN_DEG:
            return Zone.CROWN
        azimuth_deg = float(np.degrees(np.arctan2(y, x)))
        sectors = (*_UPPER, *_UPPER_LEFT) if down_deg < UPPER_DEG else (*_OUTER, *_OUTER_BACK)
        return min(sectors, key=lambda sector: abs((sector[1] - azimuth_deg + 180.0) % 360.0 - 180.0))[0]

    def is_near_target(self, point_in_mri_mm: ArrayLike) -> bool:
        """Whether a point (3,) of the scalp lies around the place over the target."""
        return float(np.linalg.norm(np.asarray(point_in_mri_mm) - self.over_target_mm)) <= NEAR_TARGET_MM


def residual_map(head: HeadMap, points_in_mri_mm: FloatArray, signed_mm: FloatArray, most: int) -> NDArray[np.float64]:
    """Points (N, 3) and their signed distances (N,) as rows right, front, up, distance (mm, fid frame), at most so many, evenly picked."""
    step = max(1, -(-len(signed_mm) // most))
    rows: NDArray[np.float64] = np.column_stack((head.fid_from_mri.apply(points_in_mri_mm), signed_mm))[::step]
    return rows
