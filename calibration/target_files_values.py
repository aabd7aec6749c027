"""What a file of targets says: coil poses and points in the T1's world, what was left out and why. Knows no format and no file."""

import enum
from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from calibration.bad_input import BadInput
from calibration.frames import Transform, Xyz

Row = tuple[float, float, float, float]
Matrix = tuple[Row, Row, Row, Row]


class TargetFormat(enum.StrEnum):
    """The formats that are read, by program and kind of file."""

    BRAINSIGHT = "brainsight"
    LOCALITE_INSTRUMENT = "localite_instrument"
    LOCALITE_TRIGGER = "localite_trigger"
    LOCALITE_ENTRYTARGET = "localite_entrytarget"
    SIMNIBS_CSV = "simnibs_csv"
    SIMNIBS_MAT = "simnibs_mat"
    NAVINIBS_JSON = "navinibs_json"
    INVESALIUS_MKSS = "invesalius_mkss"
    NIBS_BIDS = "nibs_bids"
    SLICER_MRK = "slicer_mrk"
    SLICER_FCSV = "slicer_fcsv"
    ANT_MRK = "ant_mrk"
    SOFTAXIC = "softaxic"


class TargetKind(enum.StrEnum):
    """What is known of a target: the whole coil pose, one point, or a line from the scalp to a point in the brain."""

    COIL_POSE = "coil_pose"
    POINT = "point"
    ENTRY_TARGET = "entry_target"


class TargetGroup(enum.StrEnum):
    """Planned, or recorded with a pulse; or a place of another kind that the file lists among its targets."""

    TARGET = "target"
    SAMPLE = "sample"
    HISTORICAL = "historical"
    FIDUCIAL = "fiducial"
    ELECTRODE = "electrode"


class TargetFileError(BadInput):
    """A file, or a choice from it, that must not be used; `format` is None where not even that was recognised."""

    def __init__(self, code: str, what: str, where: str, remedy: str, file_format: TargetFormat | None = None) -> None:
        super().__init__(code, what, where, remedy)
        self.format = file_format


class FileTarget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of a file, all places RAS mm of the T1, coil axes as SimNIBS'. What the file does not say is None.

    `position_in_mri_mm` is a point's place, or the deep end of an entry-target line; `cortex_in_mri_mm` is what a coil pose aims at.
    """

    name: str
    kind: TargetKind
    group: TargetGroup = TargetGroup.TARGET
    mri_from_coil: Matrix | None = None
    position_in_mri_mm: Xyz | None = None
    entry_in_mri_mm: Xyz | None = None
    cortex_in_mri_mm: Xyz | None = None
    handle_angle_deg: float | None = None  # from the midline, as the file's program counts it
    coil_distance_mm: float | None = None  # wished for, between coil and skin
    coil_file: str | None = None
    row_type: str | None = None
    associated_target: str | None = None
    is_chosen: bool | None = None
    recorded_ms: float | None = None  # from the start of the recording
    recorded_local: str | None = None  # date and time as the file writes them
    didt_a_per_us: float | None = None
    amplitude_pct_mso: float | None = None
    response_uv: float | None = None
    warnings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    extra: Mapping[str, str] = {}  # columns that are not used here, as written

    @property
    def pose(self) -> Transform | None:
        """mri_from_coil, where the file gives one."""
        return None if self.mri_from_coil is None else Transform("mri", "coil", np.array(self.mri_from_coil))


class Landmark(msgspec.Struct, frozen=True, kw_only=True):
    """A named point on the head, RAS mm of the T1."""

    name: str
    position_in_mri_mm: Xyz


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that was left out; `index` counts the file's entries of that sort from 0."""

    name: str
    index: int
    reason: str


class NiftiNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """What a file copies out of its image's header: qform quaternion b c d, offset, handedness and voxel sizes."""

    quatern: Xyz
    qoffset: Xyz
    pixdim: Row


class ImageWords(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says about the image it belongs to; `verified` once that image was given and agreed."""

    named: str | None = None
    numbers: NiftiNumbers | None = None
    verified: bool = False


class TargetFile(msgspec.Struct, frozen=True, kw_only=True):
    """Everything imported from one file. `space` is as declared; `warnings` and `assumptions` are codes, `remarks` are for people."""

    file: str
    sha256: str
    format: TargetFormat
    space: str
    targets: tuple[FileTarget, ...]
    version: int | None = None
    variant: str | None = None
    sidecar: str | None = None
    sidecar_sha256: str | None = None
    landmarks: tuple[Landmark, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    image: ImageWords = ImageWords()

    def named(self, name: str) -> FileTarget:
        """The one target of that name. Raises TargetFileError `no_such_target` or `duplicate_name`."""
        found = [target for target in self.targets if target.name == name]
        if not found:
            known = ", ".join(repr(target.name) for target in self.targets) or "none"
            raise TargetFileError("no_such_target", f"no target is called {name!r}", self.file, f"There are: {known}.", self.format)
        if len(found) > 1:
            what = f"{len(found)} targets are called {name!r}"
            raise TargetFileError("duplicate_name", what, self.file, "Give each its own name and export again.", self.format)
        return found[0]


WARNING_TEXTS: Final[Mapping[str, str]] = {
    "needs_image_sform_check": "The places are in the image's sform: give the T1 so that its sform can be checked.",
    "space_not_stated": "The file names no space: its places are taken as RAS of the T1. Look at them on the T1.",
    "handle_sense_assumed": "Which way along the handle y points is not stated: taken as away from the handle. Look at the handle.",
    "axes_rounded": "The axes are written with so few decimals that they are up to 0.1 degrees from right angles; they were straightened.",
    "world_columns_unplaced": "The world columns ignore where the image lies: the image's own columns and the given T1 were used.",
}
ASSUMPTION_TEXTS: Final[Mapping[str, str]] = {
    "normal_is_outward": "The normal is taken as pointing out of the head.",
    "direction_is_away_from_handle": "The direction is taken as pointing away from the handle.",
    "coil_transform_axes_are_simnibs": "The transform's columns are taken as x, y away from the handle, z into the head.",
    "line_begins_at_entry": "The first point of a line is taken as the entry, the second as the target.",
}
SKIP_TEXTS: Final[Mapping[str, str]] = {
    "null_position": "its pose or position is empty in the file",
    "not_set": "it was never set",
    "untracked": "the coil was not seen at that pulse (identity matrix)",
    "unpaired": "entry or target is missing",
    "no_matsimnibs": "only centre and direction, no pose: let SimNIBS compute it first",
    "not_tms": "it is no TMS coil",
    "no_pose": "it holds no pose",
    "no_orientation": "it has a place but no angles",
    "not_defined": "its position is not defined",
    "not_two_points": "a line needs two defined points",
    "unsupported_type": "it is neither points nor a line",
    "unknown_row_type": "its row type is not known",
    "not_in_format": "the format cannot hold it",
    "template_space_needs_transform": "only template coordinates: they need a transform into the T1",
}
