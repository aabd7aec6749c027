"""Results of planning as the fields of a plan: arrays become named numbers, checked images become pinned files. No decisions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.fiducials import Fiducials
from calibration.frames import FloatArray
from calibration.map_rules import Cluster
from calibration.nifti import CheckedImage
from calibration.placement import Placement
from calibration.target_map import Selection
from daemon.plan_values import ClusterReport, Matrix, NamedImage, PlacementReport, Point, SelectionReport, SensitivityReport


def point(values: Sequence[float] | NDArray[np.float64]) -> Point:
    """Three numbers."""
    x, y, z = (float(value) for value in values)
    return x, y, z


def matrix(values: FloatArray) -> Matrix:
    """Four rows of four numbers."""
    first, second, third, fourth = ((float(a), float(b), float(c), float(d)) for a, b, c, d in values)
    return first, second, third, fourth


def named_image(image: CheckedImage, path: str, expected_space: str, native_also: bool) -> NamedImage:
    """A checked image, pinned: bytes, affine, and what was expected of its header."""
    return NamedImage(
        path=path,
        sha256=image.sha256,
        mri_from_voxel=matrix(image.mri_from_voxel),
        shape=image.shape,
        affine_source=image.affine_source,
        was_picked=image.was_picked,
        space_code=image.space_code,
        expected_space=expected_space,
        native_also=native_also,
    )


def fiducials_report(fiducials: Fiducials) -> dict[str, Point]:
    """Every landmark by name, mri mm."""
    return {name: point(at) for name, at in fiducials.all_mm().items()}


def selection_report(selection: Selection) -> SelectionReport:
    """How the map gave the target."""
    return SelectionReport(
        rule=selection.rule,
        polarity=selection.polarity,
        threshold=selection.threshold,
        z_at_target=selection.clusters[0].snapped_z,
        peak_mm=point(selection.peak),
        peak_z=selection.peak_z,
        dominance=selection.dominance,
        clusters=tuple(_cluster_report(cluster) for cluster in selection.clusters),
        sensitivity=tuple(
            SensitivityReport(
                top_fraction=other.top_fraction,
                target_mm=None if other.target_mm is None else point(other.target_mm),
                shift_mm=other.shift_mm,
            )
            for other in selection.sensitivity
        ),
    )


def placement_report(placement: Placement, tilted_to_target: bool) -> PlacementReport:
    """How the pose sits on the scalp."""
    return PlacementReport(
        entry_in_mri_mm=point(placement.entry_mm),
        normal_in_mri=point(placement.normal),
        handle_in_mri=point(placement.handle),
        depth_mm=placement.depth_mm,
        beam_miss_mm=placement.beam_miss_mm,
        tilt_deg=placement.tilt_deg,
        tilted_to_target=tilted_to_target,
    )


def _cluster_report(cluster: Cluster) -> ClusterReport:
    return ClusterReport(
        n_vox=cluster.n_vox,
        sum_score=cluster.sum_score,
        centre_mm=point(cluster.cog),
        snapped_mm=point(cluster.snapped),
        peak_mm=point(cluster.peak),
        peak_z=cluster.peak_z,
    )
