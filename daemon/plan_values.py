"""The fields of a plan.

Values alone: reading and writing is `plan`, what must hold `plan_checks`, making one `planning`, the set point `set_point`.
"""

from typing import Literal

import msgspec

from calibration.fiducials import Side
from calibration.map_rules import Polarity
from calibration.nifti import AffineSource
from calibration.target_map import Rule
from daemon.on_target import TargetLimits

Point = tuple[float, float, float]
Row = tuple[float, float, float, float]
Matrix = tuple[Row, Row, Row, Row]


class PlanError(Exception):
    """A plan that must not be used: what, where, what to do."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.what, self.where, self.remedy = what, where, remedy


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Any part of a plan: an unknown field is refused, a typo must never mean a default."""


class NamedFile(Part, frozen=True, kw_only=True):
    """A file the plan rests on: path relative to the plan's folder, checksum of its bytes."""

    path: str
    sha256: str


class NamedImage(NamedFile, frozen=True, kw_only=True):
    """An image and the affine of it that was used; `expected_space` is "native" or a template's name."""

    mri_from_voxel: Matrix
    shape: tuple[int, int, int]
    affine_source: AffineSource
    was_picked: bool
    space_code: int
    expected_space: str
    native_also: bool


class Files(Part, frozen=True, kw_only=True):
    """`map`, `mask` where a map gave the target; `transform` where the target came from a template's space."""

    t1: NamedImage
    scalp: NamedFile
    map: NamedImage | None = None
    mask: NamedImage | None = None
    transform: NamedFile | None = None


class ClusterReport(Part, frozen=True, kw_only=True):
    """One cluster of the map, points in the map's world."""

    n_vox: int
    sum_score: float
    centre_mm: Point
    snapped_mm: Point
    peak_mm: Point
    peak_z: float


class SensitivityReport(Part, frozen=True, kw_only=True):
    """Where the target would be with another share of voxels kept; None where nothing would be found."""

    top_fraction: float
    target_mm: Point | None
    shift_mm: float | None


class SelectionReport(Part, frozen=True, kw_only=True):
    """How the map gave the target; `dominance` is the best cluster's sum over the second's, None where it is alone."""

    rule: Rule
    polarity: Polarity
    threshold: float
    z_at_target: float
    peak_mm: Point
    peak_z: float
    dominance: float | None
    clusters: tuple[ClusterReport, ...]
    sensitivity: tuple[SensitivityReport, ...]


class PlacementReport(Part, frozen=True, kw_only=True):
    """Scalp entry, outward normal and handle in mri; distance of the target from the scalp and from the coil's axis."""

    entry_in_mri_mm: Point
    normal_in_mri: Point
    handle_in_mri: Point
    depth_mm: float
    beam_miss_mm: float
    tilt_deg: float
    tilted_to_target: bool


class Target(Part, frozen=True, kw_only=True):
    """`token` is all that a screen at the chair may say of it; `side_fact` tells left from right in this very image."""

    token: str
    side: Side
    side_fact: str | None
    cortical_target_in_mri_mm: Point
    mri_from_coil: Matrix
    given_in_space: str
    selection: SelectionReport | None
    placement: PlacementReport


class DepthFigures(Part, frozen=True, kw_only=True, tag_field="kind", tag="linear"):
    """Scalp-to-cortex distances, mm, under the motor hotspot and under the planned coil centre, on one image.

    `t1_sha256`: of that image; `coil_serial`: the coil whose centres these are.
    """

    m1_depth_mm: float
    target_depth_mm: float
    t1_sha256: str
    coil_serial: str


class LinearDepth(DepthFigures, frozen=True, kw_only=True, tag_field="kind", tag="linear"):
    """Depth correction by a slope in %MSO per mm; `constants_sha256`: of the site's signed file that the slope is from."""

    slope_mso_per_mm: float
    constants_sha256: str


class FieldFigures(Part, frozen=True, kw_only=True, tag_field="kind", tag="efield"):
    """Fields in V/m at motor cortex and target, simulated at one rate of current, by one statistic; and how they were come by.

    `sphere_radius_mm`: of the sphere of grey matter, where the statistic is its mean. Conductivities in S/m, by tissue.
    """

    m1_v_per_m: float
    target_v_per_m: float
    di_dt_a_per_us: float
    statistic: Literal["sphere_mean", "percentile_99"]
    sphere_radius_mm: float | None = None
    solver: str
    solver_version: str
    t1_sha256: str
    head_model_sha256: str
    coil_file_sha256: str
    coil_serial: str
    conductivities_s_per_m: dict[str, float]
    m1_mri_from_coil: Matrix
    target_mri_from_coil: Matrix


class TargetField(FieldFigures, frozen=True, kw_only=True, tag_field="kind", tag="efield"):
    """Field correction; `constants_sha256`: of the site's signed file that admits it."""

    constants_sha256: str


Correction = LinearDepth | TargetField


class Dose(Part, frozen=True, kw_only=True, omit_defaults=True):
    """Intensity in percent of the resting motor threshold; threshold and set point in percent of the stimulator's output.

    `course` says how often the protocol is given; None: as the protocol itself allows. `rmt_measured_utc`, `rmt_coil_serial`: when
    and with which coil the threshold was measured. Without a correction it is dosed by as measured. What a plan does not state is
    not in its file, so that the checksums of older plans still fit.
    """

    protocol: str
    protocol_sha256: str
    rmt_mso: float
    intensity_pct_rmt: float
    set_point_mso: int
    course: str | None = None
    course_sha256: str | None = None
    rmt_measured_utc: str | None = None
    rmt_coil_serial: str | None = None
    correction: Correction | None = None


class Plan(Part, frozen=True, kw_only=True, tag="plan.v1"):
    """Everything of a session that is decided before it. `checksum` covers all the other fields."""

    patient: str
    created_utc: str
    created_by: str
    basis: str
    subject_is_template: str | None
    files: Files
    fiducials_in_mri_mm: dict[str, Point]
    target: Target
    dose: Dose
    hair_gap_mm: float
    expected_error_limit_mm: float
    on_target: TargetLimits | None = None
    auto_resume: bool = False
    make_up: bool = False
    warnings: tuple[str, ...] = ()
    checksum: str = ""
