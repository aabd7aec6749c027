"""Registers the head: landmarks first, then the swept scalp, then a verdict with every reason for it.

Owns what is asked of a registration. The person accepts it; whether it has expired or slipped since is decided elsewhere.
"""

import enum
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from calibration.expected_error import (
    UNMODELLED_MM,
    ErrorPart,
    Part,
    assumed_landmark_error_mm,
    landmark_target_error_mm,
    total_mm,
)
from calibration.frames import FloatArray, Transform, apply_rigid
from calibration.registration_change import Change, change
from calibration.rigid_fit import DegeneratePoints, FitWarning, RigidFit, find_outlier, fit_rigid, refuse_duplicates, suggest_swap
from calibration.surface import Surface
from calibration.surface_fit import Anchors, SurfaceFit, fit_surface

# Defaults, to be tightened by a site. Another person's head on this scalp left 3.4 mm RMS, its own mirror image 1.45 mm: the
# residual refuses a wrong subject, and cannot tell left from right.
SURFACE_RMS_GOOD_MM = 1.5
SURFACE_RMS_LIMIT_MM = 2.5
WITHIN_MM = 3.0
SHARE_WITHIN_LIMIT = 0.80
LANDMARK_MOVED_LIMIT_MM = 5.0
TARGET_SHIFT_LIMIT_MM = 10.0
EXPECTED_ERROR_LIMIT_MM = 5.0  # total accuracy of navigated stimulation is some 5 to 6 mm (Richter 2013, section 1.2)
SWEEP_POINTS_LIMIT = 60
FLOAT_GOOD_MM = 1.0
# What neighbouring residuals have in common: below 0.15 mm in clean sweeps, 0.3 mm and more where hair lifts half the points by 2 mm.
ALIKE_GOOD_MM = 0.25
CONDITIONING_GOOD = 1e-3
# A quick registration of three touches and a short sweep differs from the day's first by 1.2 mm as a rule: more is a strap that moved.
CHANGE_AT_TARGET_LIMIT_MM = 3.0
CHANGE_TURN_LIMIT_DEG = 3.0
SWAP_TRIED_ABOVE_MM = 2.0  # residual of the landmarks from which a mix-up of labels is looked for
SWAP_NEAR_MM = 10.0  # half of the sweep lies this near to the scalp from landmarks alone, where their labels are right
SWAP_GAIN = 0.70  # an exchange that takes this share of that distance away is worth a question


class Verdict(enum.StrEnum):
    """GOOD: accept. LOOK: a person decides, seeing the warning. REPEAT: cannot be accepted."""

    GOOD = "GOOD"
    LOOK = "LOOK"
    REPEAT = "REPEAT"


class Refusal(enum.StrEnum):
    """Why a registration must be repeated."""

    TOO_FEW_POINTS = "too_few_points"
    SURFACE_RMS_HIGH = "surface_rms_high"
    POINTS_FAR_FROM_SCALP = "points_far_from_scalp"
    LANDMARK_MOVED = "landmark_moved"
    TARGET_SHIFTED = "target_shifted"
    EXPECTED_ERROR_HIGH = "expected_error_high"
    MIRRORED_POINTS = "mirrored_points"
    LANDMARKS_SWAPPED = "landmarks_swapped"
    DIFFERS_FROM_FIRST = "differs_from_first"


class Caution(enum.StrEnum):
    """What a person should look at before accepting."""

    SURFACE_RMS_RAISED = "surface_rms_raised"
    SURFACE_UNDERCONSTRAINED = "surface_underconstrained"
    POINTS_FLOAT_OFF_SCALP = "points_float_off_scalp"
    REGIONS_FLOAT = "regions_float"
    ILL_CONDITIONED = "ill_conditioned"
    LANDMARK_OUTLIER = "landmark_outlier"


class RegistrationLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a registration must keep. Raises ValueError when a limit is not above 0 or the limits contradict each other."""

    surface_rms_good_mm: float = SURFACE_RMS_GOOD_MM
    surface_rms_mm: float = SURFACE_RMS_LIMIT_MM
    share_within_3mm: float = SHARE_WITHIN_LIMIT
    landmark_moved_mm: float = LANDMARK_MOVED_LIMIT_MM
    target_shift_mm: float = TARGET_SHIFT_LIMIT_MM
    expected_error_mm: float = EXPECTED_ERROR_LIMIT_MM
    change_at_target_mm: float = CHANGE_AT_TARGET_LIMIT_MM
    change_turn_deg: float = CHANGE_TURN_LIMIT_DEG
    sweep_points: int = SWEEP_POINTS_LIMIT
    float_good_mm: float = FLOAT_GOOD_MM
    alike_good_mm: float = ALIKE_GOOD_MM
    conditioning_good: float = CONDITIONING_GOOD

    def __post_init__(self) -> None:
        if not all(0.0 < getattr(self, name) < float("inf") for name in self.__struct_fields__):
            raise ValueError("every registration limit must be a number above 0")
        if not (self.surface_rms_good_mm <= self.surface_rms_mm and self.share_within_3mm <= 1.0):
            raise ValueError("a good surface RMS must not be above the refused one, nor a share above 1")


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """mri_from_head and all that is known about it. What only the surface tells is None when too few points were swept to lay on it."""

    mri_from_head: Transform
    landmarks: tuple[str, ...]
    landmarks_moved_mm: tuple[float, ...]  # from mark to touch after the fit, in the order of `landmarks`
    landmark_warnings: tuple[FitWarning, ...]
    fre_mm: float  # of the landmarks alone
    sweep_points: int
    surface_rms_mm: float | None  # of the nearest 90 % of the points
    share_within_3mm: float | None
    signed_mean_mm: float | None  # + outside: hair, or no pressure
    alike_mm: float | None  # what neighbouring residuals have in common, RMS: hair over a part of the head
    conditioning: float | None
    target_shift_mm: float | None  # what the surface moved the target by, against the landmarks alone
    expected_parts: tuple[ErrorPart, ...]
    swapped: tuple[str, str] | None  # labels that seem to have been exchanged
    outlier: str | None  # landmark to touch again
    signed_mm: FloatArray | None = None  # of each swept point from the scalp, + outside
    change: Change | None = None  # from the day's first registration
    reasons: tuple[Refusal, ...] = ()
    warnings: tuple[Caution, ...] = ()

    @property
    def expected_error_mm(self) -> float:
        """1 sigma (RMS, 3-D) at the target, with what no residual shows."""
        return total_mm(self.expected_parts)

    @property
    def verdict(self) -> Verdict:
        """REPEAT with any reason, LOOK with any warning, else GOOD."""
        if self.reasons:
            return Verdict.REPEAT
        return Verdict.LOOK if self.warnings else Verdict.GOOD


Rule = Callable[[Registration, RegistrationLimits], bool]


def _none_or(value: float | None, holds: Callable[[float], bool]) -> bool:
    """A number of the surface holds, or there is none: too few points were swept, which refuses by itself."""
    return value is None or holds(value)


def _within(found: Change, limits: RegistrationLimits) -> bool:
    return found.at_target_mm <= limits.change_at_target_mm and found.turn_deg <= limits.change_turn_deg


# What must hold; NaN does not.
MUST: Mapping[Refusal, Rule] = {
    Refusal.TOO_FEW_POINTS: lambda r, limits: r.surface_rms_mm is not None and r.sweep_points >= limits.sweep_points,
    Refusal.SURFACE_RMS_HIGH: lambda r, limits: _none_or(r.surface_rms_mm, lambda rms: rms <= limits.surface_rms_mm),
    Refusal.POINTS_FAR_FROM_SCALP: lambda r, limits: _none_or(r.share_within_3mm, lambda share: share >= limits.share_within_3mm),
    Refusal.TARGET_SHIFTED: lambda r, limits: _none_or(r.target_shift_mm, lambda shift: shift <= limits.target_shift_mm),
    Refusal.LANDMARK_MOVED: lambda r, limits: all(moved <= limits.landmark_moved_mm for moved in r.landmarks_moved_mm),
    Refusal.EXPECTED_ERROR_HIGH: lambda r, limits: r.expected_error_mm <= limits.expected_error_mm,
    Refusal.MIRRORED_POINTS: lambda r, _: FitWarning.MIRRORED_POINTS not in r.landmark_warnings,
    Refusal.LANDMARKS_SWAPPED: lambda r, _: r.swapped is None,
    Refusal.DIFFERS_FROM_FIRST: lambda r, limits: r.change is None or _within(r.change, limits),
}
SHOULD: Mapping[Caution, Rule] = {
    Caution.SURFACE_RMS_RAISED: lambda r, limits: _none_or(r.surface_rms_mm, lambda rms: rms <= limits.surface_rms_good_mm),
    Caution.SURFACE_UNDERCONSTRAINED: lambda r, limits: _none_or(r.conditioning, lambda ratio: ratio >= limits.conditioning_good),
    Caution.POINTS_FLOAT_OFF_SCALP: lambda r, limits: _none_or(r.signed_mean_mm, lambda mean: mean <= limits.float_good_mm),
    Caution.REGIONS_FLOAT: lambda r, limits: _none_or(r.alike_mm, lambda alike: alike <= limits.alike_good_mm),
    Caution.ILL_CONDITIONED: lambda r, _: FitWarning.ILL_CONDITIONED not in r.landmark_warnings,
    Caution.LANDMARK_OUTLIER: lambda r, _: r.outlier is None,
}


def register(
    touched: Mapping[str, ArrayLike],
    marked: Mapping[str, ArrayLike],
    sweep_in_head_mm: ArrayLike,
    scalp: Surface,
    *,
    target_in_mri_mm: ArrayLike,
    limits: RegistrationLimits,
    first_mri_from_head: Transform | None = None,
) -> Registration:
    """Fit mri_from_head to landmarks `touched` (head, mm) and `marked` (mri, mm) by name, then to sweep points (N, 3) on the scalp.

    `first_mri_from_head`: of an earlier registration of the same head and reference, to be held against. Every touched landmark must be
    marked. A verdict other than GOOD comes with its reasons and is no exception; what gives no pose at all is: DegeneratePoints (fewer
    than three landmarks, on a line, one place touched twice, not a number).
    """
    pairs = _pairs(touched, marked)
    sweep = np.asarray(sweep_in_head_mm, dtype=np.float64).reshape(-1, 3)
    if not np.isfinite(sweep).all():
        raise DegeneratePoints("not_finite", "A swept point is not a number", "Sweep the scalp again.")
    target = np.asarray(target_in_mri_mm, dtype=np.float64)
    fit = fit_rigid(pairs.in_head_mm, pairs.in_mri_mm)
    from_landmarks = _from_landmarks(pairs, fit, len(sweep), target)
    if len(sweep) < limits.sweep_points:
        return _judged(from_landmarks, limits)
    anchors = Anchors(pairs.in_head_mm, pairs.in_mri_mm, assumed_landmark_error_mm(fit.fre_mm, len(pairs.labels)))
    refined = _with_surface(from_landmarks, fit_surface(fit.matrix, sweep, scalp, anchors), pairs, target)
    if first_mri_from_head is not None:
        refined = replace(refined, change=change(first_mri_from_head, refined.mri_from_head, target))
    if refined.swapped is None:
        refined = replace(refined, swapped=_swap_by_surface(pairs, sweep, scalp))
    return _judged(refined, limits)


def _swap_by_surface(pairs: "_Pairs", sweep: FloatArray, scalp: Surface) -> tuple[str, str] | None:
    """Labels whose exchange brings the sweep onto the scalp: with ears exchanged three landmarks still fit, on a head upside down."""

    def median_mm(in_mri_mm: FloatArray) -> float:
        distances_mm, _ = scalp.tree.query(apply_rigid(fit_rigid(pairs.in_head_mm, in_mri_mm).matrix, sweep))
        return float(np.median(distances_mm))

    before_mm = median_mm(pairs.in_mri_mm)
    if before_mm <= SWAP_NEAR_MM:
        return None
    tried = {}
    for i, j in itertools.combinations(range(len(pairs.labels)), 2):
        order = np.arange(len(pairs.labels))
        order[[i, j]] = j, i
        tried[pairs.labels[i], pairs.labels[j]] = median_mm(pairs.in_mri_mm[order])
    best = min(tried, key=lambda labels: tried[labels])
    return best if tried[best] < (1.0 - SWAP_GAIN) * before_mm else None


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    labels: tuple[str, ...]
    in_head_mm: FloatArray
    in_mri_mm: FloatArray


def _pairs(touched: Mapping[str, ArrayLike], marked: Mapping[str, ArrayLike]) -> _Pairs:
    unmarked = sorted(set(touched) - set(marked))
    if unmarked:
        raise ValueError(f"{', '.join(unmarked)} was touched but is not marked in the image")
    labels = tuple(touched)
    refuse_duplicates(touched)
    refuse_duplicates({label: marked[label] for label in labels})
    in_head = np.array([touched[label] for label in labels], dtype=np.float64).reshape(-1, 3)
    in_mri = np.array([marked[label] for label in labels], dtype=np.float64).reshape(-1, 3)
    return _Pairs(labels, in_head, in_mri)


def _from_landmarks(pairs: _Pairs, fit: RigidFit, sweep_points: int, target: FloatArray) -> Registration:
    error_mm = assumed_landmark_error_mm(fit.fre_mm, len(pairs.labels))
    swap = suggest_swap(pairs.in_head_mm, pairs.in_mri_mm, pairs.labels) if fit.fre_mm > SWAP_TRIED_ABOVE_MM else None
    outlier = find_outlier(pairs.in_head_mm, pairs.in_mri_mm).suspect
    return Registration(
        mri_from_head=fit.transform("mri", "head"),
        landmarks=pairs.labels,
        landmarks_moved_mm=tuple(fit.residuals_mm.tolist()),
        landmark_warnings=fit.warnings,
        fre_mm=fit.fre_mm,
        sweep_points=sweep_points,
        surface_rms_mm=None,
        share_within_3mm=None,
        signed_mean_mm=None,
        conditioning=None,
        alike_mm=None,
        target_shift_mm=None,
        expected_parts=(
            ErrorPart(Part.LANDMARKS, float(landmark_target_error_mm(pairs.in_mri_mm, target, error_mm)[0])),
            ErrorPart(Part.UNMODELLED, UNMODELLED_MM),
        ),
        swapped=None if swap is None else swap.labels,
        outlier=None if outlier is None else pairs.labels[outlier],
    )


def _with_surface(before: Registration, refined: SurfaceFit, pairs: _Pairs, target: FloatArray) -> Registration:
    mri_from_head = Transform("mri", "head", refined.mri_from_head)
    moved_mm = np.linalg.norm(mri_from_head.apply(pairs.in_head_mm) - pairs.in_mri_mm, axis=1)
    shifted = mri_from_head.apply(before.mri_from_head.inverse().apply(target))
    return replace(
        before,
        mri_from_head=mri_from_head,
        landmarks_moved_mm=tuple(moved_mm.tolist()),
        surface_rms_mm=refined.robust_rms_mm,
        share_within_3mm=float(np.mean(np.abs(refined.signed_mm) <= WITHIN_MM)),
        signed_mean_mm=float(np.mean(refined.signed_mm)),
        conditioning=refined.conditioning,
        alike_mm=refined.alike_mm,
        target_shift_mm=float(np.linalg.norm(shifted - target)),
        expected_parts=(
            *(ErrorPart(name, covariance.error_at_mm(target)) for name, covariance in refined.covariances.items()),
            ErrorPart(Part.UNMODELLED, UNMODELLED_MM),
        ),
        signed_mm=refined.signed_mm,
    )


def _judged(registration: Registration, limits: RegistrationLimits) -> Registration:
    refusals = tuple(refusal for refusal, holds in MUST.items() if not holds(registration, limits))
    cautions = tuple(caution for caution, holds in SHOULD.items() if not holds(registration, limits))
    return replace(registration, reasons=refusals, warnings=cautions)
