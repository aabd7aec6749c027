"""Where the tip of a pointer is, from poses taken while the tip rests in one place and the pointer is turned about it.

Collecting the poses belongs to the session. A small residual proves nothing here: with a span of 6 degrees it was 0.35 mm
and the tip 2.4 to 3.0 mm wrong, hence the condition number and the span.
"""

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calibration.frames import FloatArray, Xyz, angle_between_deg, nearest_rotation, quaternion_from_rotation, rotation_vector

RANK_TOLERANCE = 1e-4  # of the largest singular value; real poses of a usable span stay above 1/15
RMS_LIMIT_MM = 0.5
CONDITION_LIMIT = 15.0
SPAN_LIMIT_DEG = 45.0  # about at least two axes
FRAMES_LIMIT = 200
WIDE_SPAN_DEG = 60.0
FRAMES_LIMIT_IF_WIDE = 60
OUTLIER_MADS = 3.0
MAD_TO_SIGMA = 1.4826  # of a normal distribution
TRIMMINGS = 2
DROPPED_LIMIT = 0.20


class NoPivot(ValueError):
    """Poses that fix no tip: `code` is rank_deficient (turned about one axis only, `rank` < 6) or too_many_outliers."""

    def __init__(self, code: str, rank: int, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
        self.code, self.rank = code, rank


class PivotRefusal(enum.StrEnum):
    """Why a pointer calibration is not accepted."""

    RMS_HIGH = "rms_high"
    ILL_CONDITIONED = "ill_conditioned"
    SPAN_SMALL = "span_small"
    TOO_FEW_FRAMES = "too_few_frames"


@dataclass(frozen=True, slots=True)
class PivotFit:
    """The tip in the pointer's frame and the place it rested in, in the tracker's, with what tells how well they are known."""

    tip_in_pointer_mm: Xyz
    pivot_in_tracker_mm: Xyz
    rms_mm: float  # 3-D
    rms_axis_mm: float
    max_mm: float
    condition_number: float
    rank: int
    span_deg: float  # largest angle between any two poses
    axis_spans_deg: tuple[float, float]  # about the two axes turned about most
    frames: int
    dropped: int

    def numeric_refusals(self) -> tuple[PivotRefusal, ...]:
        """What the numbers of the fit alone say against it; empty means nothing."""
        holds = {
            PivotRefusal.RMS_HIGH: self.rms_mm <= RMS_LIMIT_MM,
            PivotRefusal.ILL_CONDITIONED: self.condition_number <= CONDITION_LIMIT,
        }
        return tuple(refusal for refusal, is_met in holds.items() if not is_met)

    def refusals(self) -> tuple[PivotRefusal, ...]:
        """Everything against accepting a calibration collected live; empty means accept."""
        frames_wanted = FRAMES_LIMIT_IF_WIDE if self.span_deg >= WIDE_SPAN_DEG else FRAMES_LIMIT
        holds = {
            PivotRefusal.SPAN_SMALL: min(self.axis_spans_deg) >= SPAN_LIMIT_DEG,
            PivotRefusal.TOO_FEW_FRAMES: self.frames >= frames_wanted,
        }
        return self.numeric_refusals() + tuple(refusal for refusal, is_met in holds.items() if not is_met)


def fit_pivot(tracker_from_pointer: ArrayLike) -> PivotFit:
    """Least squares over all poses (N, 4, 4), mm: R tip - pivot = -t for each. Raises NoPivot `rank_deficient`."""
    poses = np.asarray(tracker_from_pointer, dtype=np.float64).reshape(-1, 4, 4)
    return _described(poses, _solve(poses), dropped=0)


def calibrate_pointer(tracker_from_pointer: ArrayLike) -> PivotFit:
    """The fit to all poses (N, 4, 4) but those far off the rest, which are dropped: the tip slipped there, or was on its way.

    Dropped at most twice, since frames far out hide nearer ones. Ask `refusals` before using it. Raises NoPivot: rank_deficient,
    too_many_outliers.
    """
    given = kept = np.asarray(tracker_from_pointer, dtype=np.float64).reshape(-1, 4, 4)
    for _ in range(TRIMMINGS):
        lengths_mm = np.linalg.norm(_solve(kept).residuals_mm, axis=1)
        median_mm = np.median(lengths_mm)
        spread_mm = MAD_TO_SIGMA * np.median(np.abs(lengths_mm - median_mm))
        kept = kept[lengths_mm <= median_mm + OUTLIER_MADS * spread_mm]
    dropped = len(given) - len(kept)
    if dropped > DROPPED_LIMIT * len(given):
        what = f"In {dropped} of {len(given)} frames the tip was not where it was in the others"
        raise NoPivot("too_many_outliers", 6, what, "Hold the tip in its divot and turn the pointer more slowly.")
    return _described(kept, _solve(kept), dropped)


@dataclass(frozen=True, slots=True, eq=False)
class _Solution:
    tip_and_pivot_mm: FloatArray
    residuals_mm: FloatArray  # (N, 3)
    singular_values: FloatArray


def _solve(poses: FloatArray) -> _Solution:
    A = np.concatenate((poses[:, :3, :3].reshape(-1, 3), np.tile(-np.eye(3), (len(poses), 1))), axis=1)
    b = -poses[:, :3, 3].ravel()
    U, S, Vt = np.linalg.svd(A, full_matrices=False)
    rank = int((RANK_TOLERANCE * S.max(initial=0.0) < S).sum())
    if rank < 6:
        raise NoPivot("rank_deficient", rank, "The pointer was turned about one axis only", "Tilt it in all directions about its tip.")
    tip_and_pivot_mm = Vt.T @ ((U.T @ b) / S)
    return _Solution(tip_and_pivot_mm, (A @ tip_and_pivot_mm - b).reshape(-1, 3), S)


def _described(poses: FloatArray, solution: _Solution, dropped: int) -> PivotFit:
    tip_x, tip_y, tip_z, pivot_x, pivot_y, pivot_z = solution.tip_and_pivot_mm.tolist()
    lengths_mm = np.linalg.norm(solution.residuals_mm, axis=1)
    return PivotFit(
        tip_in_pointer_mm=(tip_x, tip_y, tip_z),
        pivot_in_tracker_mm=(pivot_x, pivot_y, pivot_z),
        rms_mm=float(np.sqrt(np.mean(lengths_mm**2))),
        rms_axis_mm=float(np.sqrt(np.mean(solution.residuals_mm**2))),
        max_mm=float(lengths_mm.max()),
        condition_number=float(solution.singular_values[0] / solution.singular_values[-1]),
        rank=6,
        span_deg=_span_deg(poses[:, :3, :3]),
        axis_spans_deg=_axis_spans_deg(poses[:, :3, :3]),
        frames=len(poses),
        dropped=dropped,
    )


def _span_deg(rotations: FloatArray) -> float:
    quaternions = np.array([quaternion_from_rotation(rotation) for rotation in rotations])
    likeness = np.abs(quaternions @ quaternions.T)
    first, second = np.unravel_index(int(np.argmin(likeness)), likeness.shape)
    return angle_between_deg(rotations[first], rotations[second])


def _axis_spans_deg(rotations: FloatArray) -> tuple[float, float]:
    """How far the pointer was turned about the two axes it was turned about most."""
    mean = nearest_rotation(rotations.mean(axis=0))
    turns = np.array([rotation_vector(mean.T @ rotation) for rotation in rotations])
    _, _, axes = np.linalg.svd(turns - turns.mean(axis=0), full_matrices=False)
    first, second = np.degrees(np.ptp(turns @ axes[:2].T, axis=0)).tolist()
    return first, second
