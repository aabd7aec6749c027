"""NIfTI images at the door: the header's checks, bounded reading, checksums, values in closest-RAS order.

Owns what one image must satisfy by itself. Whether two images belong together is decided in `map_on_t1`.
"""

import gzip
import hashlib
import itertools
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, cast

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from calibration.bad_input import BadInput

Array = NDArray[np.float64]
AffineSource = Literal["qform", "sform"]
orientations: Final[Any] = nib.orientations  # nibabel has no types here

NATIVE: Final = "native"
NATIVE_CODES: Final = frozenset({1, 2})  # scanner, aligned (nifti1.h, NIFTI_XFORM_*)
TALAIRACH_CODE: Final = 3
TEMPLATE_CODES: Final = frozenset({4, 5})  # MNI-152, other template
CODE_NAMES: Final[Mapping[int, str]] = {1: "scanner", 2: "aligned", TALAIRACH_CODE: "Talairach", 4: "MNI-152", 5: "other template"}
MM_PER_UNIT: Final[Mapping[int, float]] = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # nifti1.h: unknown, metre, millimetre, micrometre
MAX_CORNER_MM: Final = 0.5  # between qform and sform; half the finest voxel in common use
VOXEL_RANGE_MM: Final = (0.3, 6.0)
FIELD_RANGE_MM: Final = (80.0, 350.0)
LARGEST_MM: Final = 1e9  # finite, and its squares too
MAX_SHEAR: Final = 1e-3
HEADER_KINDS: Final[Mapping[int, Any]] = {348: nib.Nifti1Header, 540: nib.Nifti2Header}  # by sizeof_hdr
MAX_VOXELS: Final = 2**27  # 512 cubed: a whole head at 0.5 mm fits, a claim of gigabytes does not
MAX_OFFSET_BYTES: Final = 2**22  # header extensions are never larger than this in practice
MOST_TRAILING_BYTES: Final = 2**20
MAX_DEFLATE_RATIO: Final = 1032  # zlib's own bound: more bytes cannot come out of the file
READ_ERRORS: Final = (OSError, EOFError, ValueError, zlib.error, HeaderDataError)


class ImageError(BadInput):
    """An image that must not be used."""


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """An image whose header passed every check; `mri_from_voxel` maps voxel centres to RAS mm."""

    path: Path
    sha256: str
    shape: tuple[int, int, int]
    mri_from_voxel: Array
    voxel_mm: tuple[float, float, float]
    affine_source: AffineSource
    space_code: int
    max_corner_mm: float | None  # between qform and sform; None where only one is set
    warnings: tuple[str, ...]

    @property
    def was_picked(self) -> bool:
        """A person chose between two forms that differ."""
        return f"picked_{self.affine_source}" in self.warnings


@dataclass(frozen=True, slots=True)
class HeaderNumbers:
    """What a header says of its two forms; the qform as its numbers, in the header's own unit. `pixdim` begins with the handedness."""

    q_code: int
    s_code: int
    quatern: tuple[float, float, float]
    qoffset: tuple[float, float, float]
    pixdim: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Volume:
    """Values of one image, axes in closest-RAS order, float32; `mri_from_voxel` maps their indices to RAS mm."""

    values: NDArray[np.float32]
    mri_from_voxel: Array

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        i, j, k = self.values.shape
        return (i, j, k)

    @property
    def voxel_mm(self) -> Array:
        """Edge lengths of a voxel, (3,), mm."""
        return cast(Array, np.linalg.norm(self.mri_from_voxel[:3, :3], axis=0))


def file_sha256(path: Path) -> str:
    """SHA-256 of the file's bytes, hexadecimal. OSError as from opening it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_image(
    path: Path,
    expected_space: str = NATIVE,
    *,
    native_also: bool = False,
    pick: AffineSource | None = None,
) -> CheckedImage:
    """Every check of the header, in the order of their codes, without reading the values.

    `expected_space` is "native" or a template's name; `native_also` lets native codes pass beside the template's
    (maps of a subject that is a template). `pick` is the person's choice where qform and sform differ, and counts only there.
    Raises ImageError: unreadable_image, expected_single_volume, no_spatial_code, qform_sform_mismatch,
    template_space_needs_transform, bad_units, sheared_affine.
    """
    where = path.name
    header = _header(path)
    shape = _single_volume_shape(header, where)
    _refuse_impossible_size(path, header, shape)
    forms, warnings = _forms(header, where)
    corner_mm = _largest_corner_mm(shape, *forms.values()) if len(forms) == 2 else None
    codes: dict[AffineSource, int] = {"qform": int(header["qform_code"]), "sform": int(header["sform_code"])}
    differ = _differ(codes, corner_mm)
    if differ and pick is None:
        raise _forms_differ(codes, corner_mm, where)
    source: AffineSource = pick if pick is not None and differ else ("sform" if "sform" in forms else "qform")
    if differ:
        warnings += (f"picked_{source}",)
    elif corner_mm is not None and codes["qform"] != codes["sform"]:
        warnings += ("qform_and_sform_codes_differ",)
    _check_space(codes[source], expected_space, native_also, where)
    voxel_mm = _check_geometry(forms[source], shape, where)
    return CheckedImage(path, file_sha256(path), shape, forms[source], voxel_mm, source, codes[source], corner_mm, warnings)


def header_numbers(image: CheckedImage) -> HeaderNumbers:
    """Codes and qform numbers of a checked image as its header holds them. Raises ImageError `unreadable_image`."""
    header = _header(image.path)
    b, c, d = (float(header[f"quatern_{name}"]) for name in "bcd")
    x, y, z = (float(header[f"qoffset_{name}"]) for name in "xyz")
    handedness, i, j, k = (float(number) for number in header["pixdim"][:4])
    return HeaderNumbers(int(header["qform_code"]), int(header["sform_code"]), (b, c, d), (x, y, z), (handedness, i, j, k))


def load_volume(image: CheckedImage) -> Volume:
    """Values of a checked image as float32 in closest-RAS order; handedness of the storage makes no difference.

    Raises ImageError `unreadable_image` when the values cannot be read whole.
    """
    header = _header(image.path)
    try:
        with _opened(image.path) as file, np.errstate(over="ignore", invalid="ignore"):
            values = np.asarray(header.data_from_fileobj(file), dtype=np.float32).reshape(image.shape)
            file.read(MOST_TRAILING_BYTES)  # gzip compares its checksum only at the end of the file
    except READ_ERRORS as error:
        raise _unreadable(image.path, str(error)) from error
    orientation = orientations.io_orientation(image.mri_from_voxel)
    ras = np.ascontiguousarray(orientations.apply_orientation(values, orientation))
    return Volume(ras, image.mri_from_voxel @ orientations.inv_ornt_aff(orientation, image.shape))


def corner_indices(shape: tuple[int, int, int]) -> Array:
    """Voxel indices of the eight corners, homogeneous, (4, 8)."""
    corners = itertools.product(*((0.0, float(n - 1)) for n in shape))
    return np.array([(*corner, 1.0) for corner in corners]).T


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.name.endswith(".gz") else path.open("rb")


def _unreadable(path: Path, why: str) -> ImageError:
    return ImageError("unreadable_image", f"not a readable NIfTI image ({why})", path.name, "Export or copy the file again.")


def _header(path: Path) -> Any:  # nibabel ships no types
    if not path.name.endswith((".nii", ".nii.gz")):
        raise _unreadable(path, "its name ends in neither .nii nor .nii.gz")
    try:
        with _opened(path) as file:
            block = file.read(540)
        size = min(int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big"))
        if size not in HEADER_KINDS or len(block) < size:
            raise _unreadable(path, "no NIfTI header")
        header = HEADER_KINDS[size](block[:size], check=False)  # the library's own check would repair, and log, in silence
        kind = header.get_data_dtype().kind
    except (*READ_ERRORS, LookupError) as error:
        raise _unreadable(path, str(error)) from error
    if bytes(header["magic"])[:3] not in (b"n+1", b"n+2"):
        raise _unreadable(path, "header and values are not in one file")
    if kind not in "iuf":
        raise _unreadable(path, "its values are no plain numbers")
    if header["pixdim"][0] == 0:
        header["pixdim"][0] = 1  # nifti1.h: a handedness of 0 means 1
    return header


def _single_volume_shape(header: Any, where: str) -> tuple[int, int, int]:
    shape = tuple(int(n) for n in header.get_data_shape())
    if len(shape) not in (3, 4) or shape[3:] not in ((), (1,)) or min(shape) < 1:
        raise ImageError(
            "expected_single_volume", f"its dimensions are {' x '.join(map(str, shape))}", where, "Give one three-dimensional volume."
        )
    return cast(tuple[int, int, int], shape[:3])


def _refuse_impossible_size(path: Path, header: Any, shape: tuple[int, int, int]) -> None:
    voxels = int(np.prod(shape, dtype=object))
    offset = float(header["vox_offset"])
    if voxels > MAX_VOXELS:
        raise _unreadable(path, f"it claims {voxels} voxels, more than {MAX_VOXELS}")
    if not (int(header["sizeof_hdr"]) < offset <= MAX_OFFSET_BYTES and offset.is_integer()):
        raise _unreadable(path, f"its values are said to begin at byte {offset:g}")
    claimed = int(offset) + voxels * header.get_data_dtype().itemsize
    held = path.stat().st_size * (MAX_DEFLATE_RATIO if path.name.endswith(".gz") else 1)
    if claimed > held:
        raise _unreadable(path, f"it claims {claimed} bytes of values and is too short to hold them")


def _forms(header: Any, where: str) -> tuple[dict[AffineSource, Array], tuple[str, ...]]:
    unit = int(header["xyzt_units"]) & 7
    if unit not in MM_PER_UNIT:
        raise ImageError("bad_units", f"unknown unit code {unit}", where, "Export it in millimetres.")
    forms: dict[AffineSource, Array] = {}
    names: tuple[AffineSource, ...] = ("qform", "sform")
    for name in names:
        if int(header[f"{name}_code"]) <= 0:
            continue
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                form = np.array(header.get_qform() if name == "qform" else header.get_sform(), dtype=np.float64)
        except (ValueError, HeaderDataError) as error:
            raise ImageError("unreadable_image", f"its {name} is damaged ({error})", where, "Export the image again.") from error
        form[:3] *= MM_PER_UNIT[unit]
        if not (np.abs(form) <= LARGEST_MM).all():
            raise ImageError("unreadable_image", f"its {name} holds values that are not finite", where, "Export the image again.")
        forms[name] = form
    if not forms:
        raise ImageError(
            "no_spatial_code", "neither qform nor sform says where the voxels are", where, "Export it with its position in the scanner."
        )
    return forms, () if unit else ("units_unknown_taken_as_mm",)


def _largest_corner_mm(shape: tuple[int, int, int], qform: Array, sform: Array) -> float:
    return float(np.linalg.norm(((qform - sform) @ corner_indices(shape))[:3], axis=0).max())


def _differ(codes: Mapping[AffineSource, int], corner_mm: float | None) -> bool:
    """Both forms are set and place the image apart, or one says subject and the other template."""
    kinds = {NATIVE if code in NATIVE_CODES else code for code in codes.values()}
    return corner_mm is not None and (corner_mm > MAX_CORNER_MM or len(kinds) > 1)


def _forms_differ(codes: Mapping[AffineSource, int], corner_mm: float | None, where: str) -> ImageError:
    q, s, apart_mm = _code_name(codes["qform"]), _code_name(codes["sform"]), corner_mm or 0.0
    return ImageError(
        "qform_sform_mismatch",
        f"qform ({q}) and sform ({s}) differ by up to {apart_mm:.2f} mm",
        where,
        "Find out which of the two the map was made in and pick it by name: qform or sform.",
        {"max_corner_mm": apart_mm, "qform": q, "sform": s},
    )


def _code_name(code: int) -> str:
    return CODE_NAMES.get(code, f"code {code}")


def _check_space(code: int, expected_space: str, native_also: bool, where: str) -> None:
    if expected_space == NATIVE:
        allowed = NATIVE_CODES
    else:
        allowed = frozenset({TALAIRACH_CODE}) if "talairach" in expected_space.casefold() else TEMPLATE_CODES
        allowed |= NATIVE_CODES if native_also else frozenset()
    if code not in allowed:
        raise ImageError(
            "template_space_needs_transform",
            f"its space is {_code_name(code)} where {expected_space} is expected",
            where,
            "Give it in the expected space; a map of a template needs a transform, a T1 that is itself a template must be named so.",
            {"found": _code_name(code), "expected": expected_space},
        )


def _check_geometry(mri_from_voxel: Array, shape: tuple[int, int, int], where: str) -> tuple[float, float, float]:
    axes = mri_from_voxel[:3, :3]
    voxel_mm = np.linalg.norm(axes, axis=0)
    field_mm = voxel_mm * shape
    if not (_all_within(voxel_mm, VOXEL_RANGE_MM) and _all_within(field_mm, FIELD_RANGE_MM)):
        raise ImageError(
            "bad_units",
            f"voxels of {_triple(voxel_mm)} mm in a field of {_triple(field_mm)} mm are not a head",
            where,
            "Check the header's units and voxel sizes.",
        )
    cosines = (axes.T @ axes) / np.outer(voxel_mm, voxel_mm)
    if np.abs(cosines - np.eye(3)).max() > MAX_SHEAR:
        raise ImageError("sheared_affine", "its axes are not at right angles", where, "Resample it to a plain grid.")
    return (float(voxel_mm[0]), float(voxel_mm[1]), float(voxel_mm[2]))


def _all_within(lengths_mm: Array, bounds_mm: tuple[float, float]) -> bool:
    return bool(((lengths_mm >= bounds_mm[0]) & (lengths_mm <= bounds_mm[1])).all())


def _triple(lengths_mm: Array) -> str:
    return " x ".join(f"{length:.4g}" for length in lengths_mm)
