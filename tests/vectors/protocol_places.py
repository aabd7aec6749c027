"""Vectors of scalp rules, targets from maps, coil frames and rating scales."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from calibration.beam_f3 import Variant, beam_f3
from calibration.map_rules import contarg26
from calibration.placement import coil_frame, handle_direction
from daemon.outcome import madrs_outcome

Values = Mapping[str, Any]


def _beam_f3(given: Values, _expect: Values) -> Values:
    found = beam_f3(given["tragus_tragus_cm"], given["nasion_inion_cm"], given["circumference_cm"], Variant(given.get("variant", "web")))
    return {"X_cm": found.x_cm, "Y_cm": found.y_cm, "theta_deg": found.theta_deg, "Y_plus_0_35_cm": found.y_mri_cm}


def _madrs(given: Values, _expect: Values) -> Values:
    found = madrs_outcome(given["baseline"], given["follow_up"])
    reduction = None if found.pct_reduction is None else round(float(found.pct_reduction), 4)
    return {"pct_reduction": reduction, "response": found.response, "remission": found.remission}


def _target_from_map(given: Values, _expect: Values) -> Values:
    shape, affine = tuple(given["shape"]), np.array(given["affine"], dtype=np.float64)
    values = np.array(given["values"], dtype=np.float64).reshape(shape)
    inside = np.array(given["roi"]).reshape(shape).astype(bool)
    found = contarg26(values, inside, affine, "negative", percentile=given["percentile_of_negatives"])
    best = found.best
    return {
        "threshold": found.threshold,
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
    target, centre = np.array(given["target_mm"]), np.array(given["sphere_centre_mm"])
    normal = (target - centre) / np.linalg.norm(target - centre)
    entry = centre + given["sphere_radius_mm"] * normal
    handle = handle_direction(normal, given["side"], given["angle_to_midline_deg"])
    return {
        "scalp_mm": entry,
        "normal": normal,
        "handle_dir": handle,
        "scalp_cortex_mm": float(np.linalg.norm(entry - target)),
        "matrix_rows": coil_frame(entry, normal, handle, given["standoff_mm"]),
    }


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
