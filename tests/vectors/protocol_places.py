"""Vectors of scalp rules, targets from maps, coil frames and rating scales."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from calibration.beam_f3 import Variant, beam_f3
from calibration.fiducials import Side
from calibration.map_rules import contarg26
from calibration.placement import HANDLE_ANGLE_DEG, coil_frame, handle_direction
from daemon.outcome import madrs_outcome

Values = Mapping[str, Any]


def _beam_f3(given: Values, _expect: Values) -> Values:
    found = beam_f3(
        float(given["tragus_tragus_cm"]),
        float(given["nasion_inion_cm"]),
        float(given["circumference_cm"]),
        Variant(given.get("variant", Variant.WEB)),
    )
    return {"X_cm": found.x_cm, "Y_cm": found.y_cm, "theta_deg": found.theta_deg, "Y_plus_0_35_cm": found.y_mri_cm}


def _madrs(given: Values, _expect: Values) -> Values:
    found = madrs_outcome(given["baseline"], given["follow_up"])
    reduction = None if found.pct_reduction is None else round(float(found.pct_reduction), 4)
    return {"pct_reduction": reduction, "response": found.response, "remission": found.remission}


def _target_from_map(given: Values, _expect: Values) -> Values:
    """A number that no file of a map could hold is outside, as is what a file's map does not know."""
    shape, order = tuple(given["shape"]), ORDERS[given.get("order", "C")[:1]]
    values = np.array(given["values"], dtype=np.float64).reshape(shape, order=order)
    mask = np.array(given["roi"], dtype=np.float64).reshape(shape, order=order) > 0
    affine = np.array(given["affine"], dtype=np.float64)
    percentile = float(given.get("percentile_of_negatives", 10))
    found = contarg26(values, mask & np.isfinite(values), affine, "negative", percentile=percentile)
    best = found.best
    return {
        "threshold": found.threshold if math.isfinite(found.threshold) else None,
        "n_clusters": len(found.sizes),
        "cluster_sizes": list(found.sizes),
        "voxels_kept": found.n_kept,
        "peak_mm": found.peak,
        "peak_value": found.peak_z,
        "centre_mm": None if best is None else best.centre,
        "weighted_centre_mm": None if best is None else best.cog,
        "snapped_mm": None if best is None else best.snapped,
    }


def _coil_frame(given: Values, _expect: Values) -> Values:
    """A sphere stands in for the scalp."""
    target, centre = (np.array(given[f"{name}_mm"], dtype=np.float64) for name in ("target", "sphere_centre"))
    normal = (target - centre) / np.linalg.norm(target - centre)
    entry = centre + float(given["sphere_radius_mm"]) * normal
    handle = handle_direction(normal, SIDES[given["side"]], float(given.get("angle_to_midline_deg", HANDLE_ANGLE_DEG)))
    return {
        "scalp_mm": entry,
        "normal": normal,
        "handle_dir": handle,
        "scalp_cortex_mm": float(np.linalg.norm(entry - target)),
        "matrix_rows": coil_frame(entry, normal, handle, float(given.get("standoff_mm", 0))),
    }


ORDERS: Mapping[str, Literal["C", "F"]] = {"C": "C", "F": "F"}
SIDES: Mapping[str, Side] = {"left": "left", "right": "right"}
INPUT_KEYS: Mapping[str, frozenset[str]] = {
    "beam_f3": frozenset(("tragus_tragus_cm", "nasion_inion_cm", "circumference_cm", "variant")),
    "madrs": frozenset(("baseline", "follow_up")),
    "target_from_map": frozenset(("shape", "order", "affine", "values", "roi", "percentile_of_negatives")),
    "coil_frame": frozenset(("target_mm", "sphere_centre_mm", "sphere_radius_mm", "standoff_mm", "angle_to_midline_deg", "side")),
}
RUNNERS: Mapping[str, Callable[[Values, Values], Values]] = {
    "beam_f3": _beam_f3,
    "madrs": _madrs,
    "target_from_map": _target_from_map,
    "coil_frame": _coil_frame,
}
