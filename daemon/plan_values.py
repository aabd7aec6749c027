"""The fields of a plan, and the rule that turns motor threshold and intensity into a set point.

Values alone: reading and writing is `plan`, what must hold `plan_checks`, making one `planning`.
"""

import math
from fractions import Fraction
from typing import Final

import msgspec

from calibration.fiducials import Side
from calibration.map_rules import Polarity
from calibration.nifti import AffineSource
from calibration.target_map import Rule
from daemon.on_target import TargetLimits
from daemon.protocol import MAX_INTENSITY_PCT_RMT

Point = tuple[float, float, float]
Row = tuple[float, float, float, float]
Matrix = tuple[Row, Row, Row, Row]

MAX_SHARE_OF_RMT: Final = Fraction(MAX_INTENSITY_PCT_RMT, 100)
MAX_OUTPUT_MSO: Final = Fraction(100)


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


class Dose(Part, frozen=True, kw_only=True):
    """Intensity in percent of the resting motor threshold; threshold and set point in percent of the stimulator's output."""

    protocol: str
    protocol_sha256: str
    rmt_mso: float
    intensity_pct_rmt: float
    set_point_mso: int


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


def set_point_mso(rmt_mso: float, intensity_pct_rmt: float) -> int:
    """floor(min(intensity x threshold, 1.2 x threshold, 100)) in whole percent of output; rounding never raises the dose.

    Exact in the decimals as written: 45 % of 60 is 27, not 26.999.
    """
    threshold = Fraction(repr(float(rmt_mso)))
    wanted = Fraction(repr(float(intensity_pct_rmt))) / 100 * threshold
    return math.floor(min(wanted, MAX_SHARE_OF_RMT * threshold, MAX_OUTPUT_MSO))
