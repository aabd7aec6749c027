"""What the product makes of one case of each group of registration vectors: plain values under the names of the vectors.

A value is left out where the product refuses the case; the comparison takes that for None.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.coil import calibrate_coil, touched_in_coiltool_mm
from calibration.coil_axes import CoilAxes, flip_lps, invesalius_image_pose, to_axes
from calibration.coil_error import CoilChain, CoilError, coil_error
from calibration.expected_error import expected_fre_mm, landmark_target_error_mm
from calibration.filters import Filtered, OneEuro, filtered
from calibration.frames import Transform, rotation_vector
from calibration.pivot import NoPivot, fit_pivot
from calibration.poses import between, mean_position, mean_rotation
from calibration.reference_drift import DRIFT_WARN_MM, reference_drift
from calibration.rigid_fit import DegeneratePoints, find_outlier, fit_rigid, suggest_swap
from daemon.on_target import Hysteresis, advance

Case = Mapping[str, Any]  # JSON as the file has it; a missing key is that case's failure
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """Names a case may give, names it may expect, the product's answer, and by how much rounded inputs alone blur it."""

    inputs: frozenset[str]
    values: frozenset[str]
    compute: Callable[[Case], Values]
    blur: Callable[[Case], Mapping[str, float]]


def _sharp(_case: Case) -> Mapping[str, float]:
    return {}


def _group(compute: Callable[[Case], Values], inputs: str, values: str, blur: Callable[[Case], Mapping[str, float]] = _sharp) -> Group:
    return Group(frozenset(inputs.split()), frozenset(values.split()), compute, blur)


def _pose(to: str, frm: str, matrix: Any) -> Transform:
    return Transform(to, frm, np.array(matrix, dtype=np.float64))


def _quaternion(case: Case) -> Values:
    wxyz = case["quat_wxyz"]
    pose = Transform.from_quaternion("a", "b", wxyz, case.get("translation_mm") or (0.0, 0.0, 0.0))
    w, x, y, z = pose.wxyz
    return {
        "T": pose.matrix,
        "T_inv": pose.inverse().matrix,
        "rotvec_rad": rotation_vector(pose.rotation),
        "det": np.linalg.det(pose.rotation),
        "quat_wxyz": (w, x, y, z),
        "quat_xyzw": (x, y, z, w),
    }


def _quaternion_blur(case: Case) -> Mapping[str, float]:
    """Nine decimals of a quaternion leave a turn of up to 2e-9 rad open, which shifts the inverse's origin at a lever's end."""
    return {"T_inv": 2e-9 * float(np.linalg.norm(case.get("translation_mm") or 0.0))}


def _chain(case: Case) -> Values:
    chain = CoilChain.prepare(
        mri_from_head=_pose("mri", "head", case["mri_from_head"]),
        coiltool_from_coil=_pose("coiltool", "coil", case["coiltool_from_coil"]),
        mri_from_target=Transform.identity("mri", "coil"),
        cortical_target_in_mri_mm=None,
    )
    tracker_from_head = _pose("tracker", "head", case["tracker_from_head"])
    return {"mri_from_coil": chain.mri_from_coil(tracker_from_head, _pose("tracker", "coiltool", case["tracker_from_coiltool"])).matrix}


def _coil_conventions(case: Case) -> Values:
    ours = np.array(case["mri_from_coil_simnibs"], dtype=np.float64)
    localite = to_axes(ours, CoilAxes.LOCALITE)
    values: Values = {
        "brainsight_ras": to_axes(ours, CoilAxes.BRAINSIGHT),
        "navinibs_ras": to_axes(ours, CoilAxes.NAVINIBS),
        "localite_ras": localite,
        "localite_lps": flip_lps(localite),
        "softaxic_ras": to_axes(ours, CoilAxes.SOFTAXIC),
        "invesalius_axes_ras": to_axes(ours, CoilAxes.INVESALIUS),
        "slicer_lps_position": flip_lps(ours[:3, 3]),
        "handle_direction_ras": -ours[:3, 1],
        "into_head_ras": ours[:3, 2],
    }
    if "image_affine" in case:
        affine, shape = np.array(case["image_affine"], dtype=np.float64), tuple(case["image_shape"])
        position, orientation = invesalius_image_pose(ours, affine, shape)
        values |= {"invesalius_position": position, "invesalius_orientation_sxyz_deg": orientation}
    return values


def _paired(case: Case) -> Values:
    source, target = case["src"], case["dst"]
    try:
        fit = fit_rigid(source, target, case.get("weights"))
        swap = suggest_swap(source, target, case.get("labels") or [str(index) for index in range(len(source))])
        outliers = find_outlier(source, target)
    except DegeneratePoints as refusal:
        return {"error": refusal.code, "warning": ()}
    left_out = [
        None if one is None else {"fre_rms_rest": one.fre_rest_mm, "predicted_residual": one.predicted_residual_mm}
        for one in outliers.left_out
    ]
    return {
        "dst_from_src": fit.matrix,
        "det": np.linalg.det(fit.matrix[:3, :3]),
        "residuals": fit.residuals_mm,
        "fre_rms": fit.fre_mm,
        "fre_rms_all": fit.fre_mm,
        "fre_rms_unweighted": fit.fre_mm,
        "fre_rms_weighted": fit.fre_weighted_mm,
        "singular_values_H_over_N": fit.covariance_singular_values_mm2,
        "spread_mm": fit.spread_mm,
        "ratio": fit.spread_mm[1] / fit.spread_mm[0],
        "warning": tuple(str(warning) for warning in fit.warnings),
        "suspect": None if swap is None else swap.labels,
        "fre_after_swap": None if swap is None else swap.fre_after_mm,
        "leave_one_out": left_out,
        "outlier_index": outliers.suspect,
    }


def _target_error(case: Case) -> Values:
    fiducials, error_mm = np.array(case["fiducials"], dtype=np.float64), case["fle_rms"]
    values = {
        "expected_fre_rms": expected_fre_mm(error_mm, len(fiducials)),
        "tre_at_centroid": landmark_target_error_mm(fiducials, fiducials.mean(axis=0), error_mm)[0],
    }
    return values | {"tre_rms": landmark_target_error_mm(fiducials, case["targets"], error_mm)} if "targets" in case else values


def _pivot(case: Case) -> Values:
    try:
        fit = fit_pivot(case["poses"])
    except NoPivot as refusal:
        return {"error": refusal.code, "rank": refusal.rank, "accept": False}
    values = {
        "tip": fit.tip_in_pointer_mm,
        "pivot": fit.pivot_in_tracker_mm,
        "rms_3d_mm": fit.rms_mm,
        "rms_axis_mm": fit.rms_axis_mm,
        "max_mm": fit.max_mm,
        "cond": fit.condition_number,
        "rank": fit.rank,
        "rotation_span_deg": fit.span_deg,
        "accept": not fit.numeric_refusals(),
    }
    if "true_tip" in case:
        values["tip_error_mm"] = np.linalg.norm(np.subtract(fit.tip_in_pointer_mm, case["true_tip"]))
    return values


def _coil_calibration(case: Case) -> Values:
    model = dict(enumerate(case["model_points_coil_frame"]))
    poses = (_pose("tracker", "coiltool", matrix) for matrix in case["tracker_from_coiltool"])
    touches = [touched_in_coiltool_mm(pose, tip) for pose, tip in zip(poses, case["touched_tip_in_tracker"], strict=True)]
    labels = [str(label) for label in case.get("labels") or model]
    fitted = calibrate_coil(dict(zip(labels, model.values(), strict=True)), dict(zip(labels, touches, strict=True)))
    return {
        "points_in_coiltool": touches,
        "coiltool_from_coil": fitted.coiltool_from_coil.matrix,
        "residuals": fitted.residuals_mm,
        "fre_rms": fitted.fre_mm,
        "accept": not fitted.refusals(),
    }


def _pose_average(case: Case) -> Values:
    mean = mean_rotation(case["quats_wxyz"])
    values: Values = {
        "mean_quat_wxyz": mean.wxyz,
        "weighted_mean_quat_wxyz": mean_rotation(case["quats_wxyz"], case.get("weights")).wxyz,
        "largest_eigenvalue": mean.agreement,
    }
    if "positions" in case:
        position = mean_position(case["positions"])
        values |= {"mean_position": position.mean_mm, "median_position": position.median_mm}
    return values


def _between(case: Case) -> Values:
    """`predict_time` stands among the expected values, and is what is asked for."""
    earlier, later = _pose("a", "b", case["T_a"]), _pose("a", "b", case["T_b"])
    values: Values = {"at_half": between(earlier, later, 0.5).matrix, "at_quarter": between(earlier, later, 0.25).matrix}
    asked_s = case["expected"].get("predict_time", case.get("predict_time"))
    if asked_s is not None:
        share = (asked_s - case["t_a"]) / (case["t_b"] - case["t_a"])
        values |= {"predict_time": asked_s, "predicted": between(earlier, later, share).matrix}
    return values


def _one_euro(case: Case) -> Values:
    settings = OneEuro(least_cutoff_hz=case["mincutoff"], speed_factor=case["beta"], speed_cutoff_hz=case["dcutoff"])
    state: Filtered | None = None
    outputs = []
    for t_s, value in zip(case["t"], case["x"], strict=True):
        state = filtered(state, value, round(t_s * 1e9), settings)
        outputs.append(state.value)
    return {"y": outputs}


def _coil_error(case: Case) -> Values:
    target = case.get("cortical_target")
    error = coil_error(
        _pose("mri", "coil", case["mri_from_coil_target"]),
        _pose("mri", "coil", case["mri_from_coil_current"]),
        None if target is None else tuple(target),
    )
    return {name: getattr(error, name) for name in CoilError.__struct_fields__}


def _on_target(case: Case) -> Values:
    state = Hysteresis()
    states = []
    for t_s, error_mm in zip(case["t"], case["error_mm"], strict=True):
        state = advance(
            state,
            inside=error_mm is not None and error_mm <= case["on_below"],
            outside=error_mm is None or not error_mm <= case["off_above"],
            now_ns=round(t_s * 1e9),
            dwell_on_ns=round(case["dwell_on_s"] * 1e9),
            dwell_off_ns=round(case["dwell_off_s"] * 1e9),
        )
        states.append(state.on)
    return {"on_target": states}


def _reference_drift(case: Case) -> Values:
    drift = reference_drift(case["fiducials_in_head_at_registration"], case["retouched_in_head_now"])
    limit_mm = case.get("limit_mm")
    values: Values = {
        "distance_mm": drift.distances_mm,
        "max_mm": drift.max_mm,
        "drifted": drift.exceeds(DRIFT_WARN_MM if limit_mm is None else limit_mm),
    }
    if drift.slip is not None:
        values |= {
            "now_from_registration": drift.slip.now_from_registration.matrix,
            "rotation_deg": drift.slip.rotation_deg,
            "translation_at_centroid_mm": drift.slip.shift_mm,
        }
    return values


PAIRED = _group(
    _paired,
    "src dst weights labels",
    "dst_from_src det residuals fre_rms fre_rms_all fre_rms_unweighted fre_rms_weighted singular_values_H_over_N spread_mm ratio "
    "warning error suspect fre_after_swap leave_one_out outlier_index",
)
GROUPS: Mapping[str, Group] = {
    "quaternion": _group(
        _quaternion,
        "quat_wxyz quat_xyzw_scipy negated_same_rotation translation_mm",
        "T T_inv rotvec_rad det quat_wxyz quat_xyzw",
        _quaternion_blur,
    ),
    "chain": _group(_chain, "tracker_from_head tracker_from_coiltool coiltool_from_coil mri_from_head", "mri_from_coil"),
    "coil_conventions": _group(
        _coil_conventions,
        "mri_from_coil_simnibs image_affine image_shape",
        "brainsight_ras navinibs_ras localite_ras localite_lps softaxic_ras invesalius_axes_ras invesalius_position "
        "invesalius_orientation_sxyz_deg slicer_lps_position handle_direction_ras into_head_ras",
    ),
    "paired_exact": PAIRED,
    "paired_noisy": PAIRED,
    "paired_weighted": PAIRED,
    "paired_reflection": PAIRED,
    "paired_degenerate": PAIRED,
    "paired_near_collinear": PAIRED,
    "paired_swapped": PAIRED,
    "paired_outlier": PAIRED,
    "tre_fitzpatrick": _group(_target_error, "fiducials targets fle_rms", "tre_rms expected_fre_rms tre_at_centroid"),
    "pivot": _group(_pivot, "poses", "tip pivot rms_3d_mm rms_axis_mm max_mm cond rank rotation_span_deg tip_error_mm accept error"),
    "coil_calibration": _group(
        _coil_calibration,
        "model_points_coil_frame labels tracker_from_coiltool touched_tip_in_tracker",
        "points_in_coiltool coiltool_from_coil residuals fre_rms accept",
    ),
    "pose_average": _group(
        _pose_average,
        "quats_wxyz positions weights",
        "mean_quat_wxyz weighted_mean_quat_wxyz mean_position median_position largest_eigenvalue",
    ),
    "pose_interp_extrap": _group(_between, "T_a T_b t_a t_b predict_time", "at_half at_quarter predicted predict_time"),
    "one_euro": _group(_one_euro, "t x mincutoff beta dcutoff", "y"),
    "coil_error": _group(_coil_error, "mri_from_coil_target mri_from_coil_current cortical_target", " ".join(CoilError.__struct_fields__)),
    "on_target_hysteresis": _group(_on_target, "t error_mm on_below off_above dwell_on_s dwell_off_s", "on_target"),
    "reference_drift": _group(
        _reference_drift,
        "fiducials_in_head_at_registration retouched_in_head_now limit_mm",
        "distance_mm max_mm now_from_registration rotation_deg translation_at_centroid_mm drifted",
    ),
}
