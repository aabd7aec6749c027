"""Rigid fit of paired points, and what can be wrong with the pairs: on a line, mirrored, swapped, one of them off.

Suggests, never repairs: no label is swapped and no point is dropped here. Points are (N, 3) in mm.
"""

import enum
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calibration.frames import FloatArray, Transform, Xyz, apply_rigid, rigid_matrix

COLLINEAR_RATIO = 1e-3  # second spread over first: below it the turn about the line is noise
ILL_CONDITIONED_RATIO = 0.10
ILL_CONDITIONED_MM = 10.0
FLAT_MM = 3.0  # third spread below which points count as flat: twice what touching skin scatters along one axis
DUPLICATE_MM = 10.0  # no two landmarks of a head lie closer: one place was touched under two names
SWAP_GAIN = 0.70  # a swap that explains this share of the residual is worth a question
OUTLIER_RATIO = 3.0
OUTLIER_MM = 5.0


class DegeneratePoints(ValueError):
    """Points that determine no pose: `code` is too_few_points, not_finite, collinear or duplicate_points."""

    def __init__(self, code: str, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
        self.code, self.what, self.remedy = code, what, remedy


class FitWarning(enum.StrEnum):
    """What makes a fit less trustworthy than its residual says."""

    ILL_CONDITIONED = "ill_conditioned"
    MIRRORED_POINTS = "mirrored_points"


@dataclass(frozen=True, slots=True, eq=False)
class RigidFit:
    """to_from_from of paired points, with its residuals in the order of the points."""

    matrix: FloatArray
    residuals_mm: FloatArray
    fre_mm: float  # unweighted RMS of the residuals
    fre_weighted_mm: float
    spread_mm: Xyz  # singular values of the centred source points over sqrt(N), falling
    covariance_singular_values_mm2: Xyz  # of the weighted cross covariance
    warnings: tuple[FitWarning, ...]

    def transform(self, to: str, frm: str) -> Transform:
        """The fit as a transform between named frames."""
        return Transform(to, frm, self.matrix)


@dataclass(frozen=True, slots=True)
class Swap:
    """Two labels that seem to have been exchanged, and the residual if they were."""

    labels: tuple[str, str]
    fre_after_mm: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One point predicted from all the others."""

    fre_rest_mm: float
    predicted_residual_mm: float


@dataclass(frozen=True, slots=True)
class OutlierSearch:
    """Every point predicted from the rest (None where the rest fixes no pose); `suspect` is the one to touch again, if any."""

    left_out: tuple[LeftOut | None, ...]
    suspect: int | None


def fit_rigid(from_mm: ArrayLike, to_mm: ArrayLike, weights: ArrayLike | None = None) -> RigidFit:
    """Least-squares rigid to_from_from of paired points (N, 3), N >= 3; `weights` (N,) are relative.

    Always a proper rotation: mirrored points leave a large residual and a warning. Raises DegeneratePoints.
    Arun, Huang, Blostein 1987, IEEE PAMI 9:698; Umeyama 1991, IEEE PAMI 13:376.
    """
    source, target = _paired(from_mm, to_mm)
    share = _shares(weights, len(source))
    used = share > 0.0
    _refuse_lines(source[used], target[used])
    spread_mm = _spread(source)
    source_mean, target_mean = share @ source, share @ target
    H = ((source - source_mean) * share[:, None]).T @ (target - target_mean)
    U, S, Vt = np.linalg.svd(H)
    handedness = 1.0 if np.linalg.det(Vt.T @ U.T) > 0.0 else -1.0
    rotation = Vt.T @ np.diag((1.0, 1.0, handedness)) @ U.T
    matrix = rigid_matrix(rotation, target_mean - rotation @ source_mean)
    residuals_mm = np.linalg.norm(target - apply_rigid(matrix, source), axis=1)
    return RigidFit(
        matrix=matrix,
        residuals_mm=residuals_mm,
        fre_mm=float(np.sqrt(np.mean(residuals_mm**2))),
        fre_weighted_mm=float(np.sqrt(share @ residuals_mm**2)),
        spread_mm=spread_mm,
        covariance_singular_values_mm2=_three(S),
        warnings=_warnings(spread_mm, handedness),
    )


def refuse_duplicates(points_mm: Mapping[str, ArrayLike]) -> None:
    """Raise DegeneratePoints when two labelled points lie within 10 mm: one place was touched twice under two names."""
    for (label, point), (other, elsewhere) in itertools.combinations(points_mm.items(), 2):
        apart_mm = float(np.linalg.norm(np.subtract(point, elsewhere)))
        if not apart_mm >= DUPLICATE_MM:
            raise DegeneratePoints("duplicate_points", f"{label} and {other} lie {apart_mm:.1f} mm apart", "Touch both again.")


def suggest_swap(from_mm: ArrayLike, to_mm: ArrayLike, labels: Sequence[str]) -> Swap | None:
    """The exchange of two labels that would take away most of the residual, if one would take more than 70 % of it."""
    source, target = _paired(from_mm, to_mm)
    before_mm = fit_rigid(source, target).fre_mm
    pairs = itertools.combinations(range(len(source)), 2)
    best = min((_swapped(source, target, pair, labels) for pair in pairs), key=lambda swap: swap.fre_after_mm)
    return best if best.fre_after_mm < (1.0 - SWAP_GAIN) * before_mm else None


def _swapped(source: FloatArray, target: FloatArray, pair: tuple[int, int], labels: Sequence[str]) -> Swap:
    i, j = pair
    order = np.arange(len(target))
    order[[i, j]] = j, i
    return Swap(labels=(labels[i], labels[j]), fre_after_mm=fit_rigid(source, target[order]).fre_mm)


def find_outlier(from_mm: ArrayLike, to_mm: ArrayLike) -> OutlierSearch:
    """Predict each point from the rest. With N >= 4 the worst is suspect when over 5 mm and over 3 times the others' median.

    The residuals of one fit do not point at the culprit; leaving each out does.
    """
    source, target = _paired(from_mm, to_mm)
    left_out = tuple(_leave_out(source, target, index) for index in range(len(source)))
    predicted = np.array([np.nan if one is None else one.predicted_residual_mm for one in left_out])
    if len(source) < 4 or np.isnan(predicted).any():
        return OutlierSearch(left_out, None)
    worst = int(np.argmax(predicted))
    others_mm = float(np.median(np.delete(predicted, worst)))
    is_suspect = predicted[worst] > OUTLIER_RATIO * others_mm and predicted[worst] > OUTLIER_MM
    return OutlierSearch(left_out, worst if is_suspect else None)


def _leave_out(source: FloatArray, target: FloatArray, index: int) -> LeftOut | None:
    try:
        rest = fit_rigid(np.delete(source, index, axis=0), np.delete(target, index, axis=0))
    except DegeneratePoints:
        return None
    predicted_mm = np.linalg.norm(target[index] - apply_rigid(rest.matrix, source[index]))
    return LeftOut(fre_rest_mm=rest.fre_mm, predicted_residual_mm=float(predicted_mm))


def _paired(from_mm: ArrayLike, to_mm: ArrayLike) -> tuple[FloatArray, FloatArray]:
    source = np.asarray(from_mm, dtype=np.float64).reshape(-1, 3)
    target = np.asarray(to_mm, dtype=np.float64).reshape(-1, 3)
    if len(source) != len(target):
        raise ValueError(f"{len(source)} points cannot be paired with {len(target)}")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise DegeneratePoints("not_finite", "A coordinate is not a number", "Touch that landmark again.")
    return source, target


def _shares(weights: ArrayLike | None, count: int) -> FloatArray:
    if weights is None:
        return np.full(count, 1.0 / max(count, 1))
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (count,) or not (given >= 0.0).all() or not 0.0 < given.sum() < np.inf:
        raise ValueError(f"{count} weights are needed, none negative and not all 0")
    share: FloatArray = given / given.sum()
    return share


def _spread(points: FloatArray) -> Xyz:
    return _three(np.linalg.svd(points - points.mean(axis=0), compute_uv=False) / np.sqrt(len(points)))


def _three(values: FloatArray) -> Xyz:
    first, second, third = values.tolist()
    return first, second, third


def _refuse_lines(source: FloatArray, target: FloatArray) -> None:
    if len(source) < 3:
        raise DegeneratePoints("too_few_points", f"{len(source)} points fix no pose", "Touch at least three landmarks.")
    for first, second, _ in (_spread(source), _spread(target)):
        if not second >= COLLINEAR_RATIO * first or first == 0.0:
            raise DegeneratePoints("collinear", "The points lie on a line", "Add a landmark away from it.")


def _warnings(spread_mm: Xyz, handedness: float) -> tuple[FitWarning, ...]:
    first, second, third = spread_mm
    found = []
    if second < ILL_CONDITIONED_RATIO * first or second < ILL_CONDITIONED_MM:
        found.append(FitWarning.ILL_CONDITIONED)
    if handedness < 0.0 and third > FLAT_MM:
        found.append(FitWarning.MIRRORED_POINTS)
    return tuple(found)
