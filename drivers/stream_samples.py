"""What a tool's pose from a stream is worth: numbers, place and rotation as they must be, quaternions without a change of sign."""

import math

from drivers.values import ToolSample, Unseen

NORM_LOW, NORM_HIGH = 0.98, 1.02  # a quaternion outside is damage, not rounding
FARTHEST_MM = 10_000.0  # no tracker of this kind sees so far

Quaternion = tuple[float, float, float, float]
Place = tuple[float, float, float]


class Poses:
    """Judges poses of named tools; keeps each quaternion on the side of its predecessor.

    `stated_rms_mm`: these sources give no residual of their own: what the site has found stands for it in every sample.
    """

    def __init__(self, stated_rms_mm: float) -> None:
        self._stated_rms_mm = stated_rms_mm
        self._previous: dict[str, Quaternion] = {}

    def seen(self, tool: str, frame_number: int, wxyz: Quaternion | None, mm: Place, *, flagged: bool = False) -> ToolSample:
        """A sample; BAD_POSE where the numbers cannot be a pose. `wxyz` None: the sender's rotation was none."""
        w, x, y, z = wxyz or (math.nan,) * 4
        norm = math.sqrt(w * w + x * x + y * y + z * z)
        if not (NORM_LOW <= norm <= NORM_HIGH and math.hypot(*mm) <= FARTHEST_MM):
            return unseen(tool, frame_number, Unseen.BAD_POSE)  # what is not a number fails here too
        before = self._previous.get(tool)
        if before is not None and w * before[0] + x * before[1] + y * before[2] + z * before[3] < 0.0:
            norm = -norm
        unit = (w / norm, x / norm, y / norm, z / norm)
        self._previous[tool] = unit
        return ToolSample(
            tool=tool,
            frame_number=frame_number,
            wxyz=unit,
            in_tracker_mm=mm,
            fit_rms_mm=self._stated_rms_mm,
            unseen=None,
            flagged=flagged,
        )


def unseen(tool: str, frame_number: int, why: Unseen) -> ToolSample:
    return ToolSample(tool=tool, frame_number=frame_number, wxyz=None, in_tracker_mm=None, fit_rms_mm=None, unseen=why)
