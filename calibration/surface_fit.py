"""Refines mri_from_head by laying swept pointer points onto the scalp: point-to-plane ICP with trim, Huber weights, landmark anchors.

Point-to-plane because point-to-point needs hundreds of steps to slide along a scalp. How wrong the fit may be is `surface_error`'s,
what to make of it `registration`'s.
"""

from dataclasses import dataclass

import numpy as np

from calibration.expected_error import Part, PoseCovariance, shift_jacobian
from calibration.frames import FloatArray, apply_rigid, rigid_matrix, rotation_from_vector
from calibration.surface import Surface
from calibration.surface_error import Linear, covariances, regional_error

MAX_STEPS = 60
TURN_SETTLED_RAD = 1e-5
SHIFT_SETTLED_MM = 1e-4
VERTEX_TRIM = 0.90
EXACT_STEPS = 2  # and as many with the final weights: the planes of vertices alone leave a tenth more error at the target
EXACT_TRIM = 0.97
ROBUST_TRIM = 0.90
LEAST_SCALE_MM = 0.05
MAD_TO_SIGMA = 1.4826  # of a normal distribution
HUBER_SCALES = 2.0
HEAD_RADIUS_MM = 90.0  # makes a turn comparable with a shift
SURFACE_SIGMA_MM = 0.5
LANDMARK_SIGMA_MM = 1.15  # per axis: 2 mm RMS in 3-D, for the pull; the covariance uses the anchors' own error
# Keeps the landmarks audible beside many surface points whose errors are correlated: as many points then count as one.
POINTS_WORTH_ONE = 30.0
# Regions that err alike by this much give the landmarks half of that extra say. Where none do, landmarks touched 2.5 mm aside would
# only make the fit worse: 0.59 mm instead of 0.33 mm at the target.
REGION_SPREAD_MM = 0.5
SETTLING_STEPS = 2  # after the landmarks were given their final say


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """Landmarks as touched (N, 3) in head and as marked (N, 3) in MRI coordinates, mm; `error_mm`: what one of them errs by (RMS, 3-D)."""

    in_head_mm: FloatArray
    in_mri_mm: FloatArray
    error_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceFit:
    """mri_from_head after refinement, and how the points lie then: signed distances (N,) from the triangles, + outside."""

    mri_from_head: FloatArray
    signed_mm: FloatArray
    robust_rms_mm: float
    conditioning: float  # least over greatest eigenvalue of what the surface alone says; small: something can slide
    alike_mm: float  # what neighbouring residuals have in common, RMS: whole regions float
    covariances: dict[Part, PoseCovariance]  # by cause; independent of each other


@dataclass(frozen=True, slots=True, eq=False)
class _Contact:
    """Points (N, 3) in MRI coordinates, the outward unit normal under each, its signed distance, and its weight (0: trimmed)."""

    points_mm: FloatArray
    normals: FloatArray
    residuals_mm: FloatArray
    weights: FloatArray


def fit_surface(start: FloatArray, sweep_in_head_mm: FloatArray, scalp: Surface, anchors: Anchors) -> SurfaceFit:
    """Lay sweep points (N, 3) onto the scalp (MRI, mm), from a start (4x4 mri_from_head) within some 30 mm and 45 degrees.

    Against the planes of the nearest vertices first, then a few steps against the exact triangles. At least three anchors
    that are not on a line are needed.
    """
    matrix, anchor_weight = start, _anchor_weight(len(sweep_in_head_mm), 1.0)
    for _ in range(MAX_STEPS):
        matrix, has_settled = _stepped(matrix, _vertex_contact(apply_rigid(matrix, sweep_in_head_mm), scalp), anchors, anchor_weight)
        if has_settled:
            break
    for _ in range(EXACT_STEPS):
        matrix, _ = _stepped(matrix, _exact_contact(apply_rigid(matrix, sweep_in_head_mm), scalp), anchors, anchor_weight)
    contact = _exact_contact(apply_rigid(matrix, sweep_in_head_mm), scalp)
    regional = regional_error(_linear(matrix, contact, anchors, anchor_weight))
    anchor_weight = _anchor_weight(len(sweep_in_head_mm), regional.region_mm**2 / (regional.region_mm**2 + REGION_SPREAD_MM**2))
    for _ in range(SETTLING_STEPS):
        matrix, _ = _stepped(matrix, contact, anchors, anchor_weight)
        contact = _exact_contact(apply_rigid(matrix, sweep_in_head_mm), scalp)
    linear = _linear(matrix, contact, anchors, anchor_weight)
    return SurfaceFit(
        mri_from_head=matrix,
        signed_mm=contact.residuals_mm,
        robust_rms_mm=_robust_rms_mm(contact.residuals_mm),
        conditioning=_conditioning(linear),
        alike_mm=regional.alike_mm,
        covariances=covariances(linear, regional, _sigma_mm(contact.residuals_mm)),
    )


def _vertex_contact(points: FloatArray, scalp: Surface) -> _Contact:
    distance_mm, nearest = scalp.tree.query(points)
    normals = scalp.normals[nearest]
    residuals_mm = ((points - scalp.vertices_mm[nearest]) * normals).sum(axis=1)
    return _Contact(points, normals, residuals_mm, _weights(residuals_mm, distance_mm, VERTEX_TRIM))


def _exact_contact(points: FloatArray, scalp: Surface) -> _Contact:
    closest = scalp.closest(points)
    return _Contact(points, closest.normals, closest.signed_mm, _weights(closest.signed_mm, np.abs(closest.signed_mm), EXACT_TRIM))


def _weights(residuals_mm: FloatArray, distance_mm: FloatArray, kept: float) -> FloatArray:
    """Huber weights (Huber 1964, Ann Math Stat 35:73), 0 for the farthest."""
    is_kept = distance_mm <= np.quantile(distance_mm, kept)
    limit_mm = HUBER_SCALES * max(_sigma_mm(residuals_mm[is_kept]), LEAST_SCALE_MM)
    return np.where(is_kept, limit_mm / np.maximum(np.abs(residuals_mm), limit_mm), 0.0)


def _sigma_mm(residuals_mm: FloatArray) -> float:
    return MAD_TO_SIGMA * float(np.median(np.abs(residuals_mm)))


def _stepped(matrix: FloatArray, contact: _Contact, anchors: Anchors, anchor_weight: float) -> tuple[FloatArray, bool]:
    """One Gauss-Newton step, and whether it was too small to matter."""
    linear = _linear(matrix, contact, anchors, anchor_weight)
    pull = linear.anchor_rows.T @ (anchors.in_mri_mm - apply_rigid(matrix, anchors.in_head_mm)).ravel()
    step = np.linalg.solve(linear.normal, anchor_weight * pull - (linear.rows * contact.weights[:, None]).T @ contact.residuals_mm)
    turn = rotation_from_vector(step[:3])
    about_centre = rigid_matrix(turn, linear.centre_mm + step[3:] - turn @ linear.centre_mm)
    has_settled = np.linalg.norm(step[:3]) < TURN_SETTLED_RAD and np.linalg.norm(step[3:]) < SHIFT_SETTLED_MM
    return about_centre @ matrix, bool(has_settled)


def _anchor_weight(point_count: int, extra_share: float) -> float:
    """Of one landmark against one point: by their errors alone at share 0, as if 30 points were one at share 1."""
    crowd = max(point_count / POINTS_WORTH_ONE, 1.0)
    return (SURFACE_SIGMA_MM / LANDMARK_SIGMA_MM) ** 2 * (1.0 + (crowd - 1.0) * extra_share)


def _linear(matrix: FloatArray, contact: _Contact, anchors: Anchors, anchor_weight: float) -> Linear:
    centre_mm = contact.points_mm.mean(axis=0)
    touched = apply_rigid(matrix, anchors.in_head_mm)
    return Linear(
        centre_mm=centre_mm,
        points_mm=contact.points_mm,
        residuals_mm=contact.residuals_mm,
        rows=np.einsum("nx,nxk->nk", contact.normals, shift_jacobian(contact.points_mm, centre_mm)),
        weights=contact.weights,
        anchor_rows=shift_jacobian(touched, centre_mm).reshape(-1, 6),
        anchor_weight=anchor_weight,
        anchor_sigma_mm=anchors.error_mm / 3.0**0.5,
    )


def _robust_rms_mm(residuals_mm: FloatArray) -> float:
    distance_mm = np.abs(residuals_mm)
    near_mm = distance_mm[distance_mm <= np.quantile(distance_mm, ROBUST_TRIM)]
    return float(np.sqrt(np.mean(near_mm**2)))


def _conditioning(linear: Linear) -> float:
    surface = (linear.rows * linear.weights[:, None]).T @ linear.rows
    scale = np.array([1.0 / HEAD_RADIUS_MM] * 3 + [1.0] * 3)
    least, *_, greatest = np.linalg.eigvalsh(surface * np.outer(scale, scale))
    return float(max(least, 0.0) / greatest)
