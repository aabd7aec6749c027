"""ANT's visor markers in JSON: the one format that copies its image's header, so that the given T1 can be compared with it."""

from typing import Final

import msgspec
import numpy as np

from calibration.coil_axes import CoilAxes, from_axes
from calibration.target_files_image import has_numbers
from calibration.target_files_source import Entries, Source, is_template, quoted, rows_of
from calibration.target_files_values import FileTarget, ImageWords, Matrix, NiftiNumbers, Skipped, TargetFile, TargetKind

ASSOCIATED_IMAGE: Final = "ASSOCIATED_IMAGE"
AXES: Final = "simnibs"
UNIT: Final = "mm"


class _Image(msgspec.Struct, frozen=True, kw_only=True):
    quatern: tuple[float, float, float] = msgspec.field(name="NIfTI_quatern")
    qoffset: tuple[float, float, float] = msgspec.field(name="NIfTI_qoffset")
    pixdim: tuple[float, float, float, float] = msgspec.field(name="NIfTI_pixdim")


class _Configuration(msgspec.Struct, frozen=True):
    image: _Image | None = msgspec.field(default=None, name="AssociatedImageInfo")


class _Pose(msgspec.Struct, frozen=True, rename="pascal"):
    rigid_transform: Matrix | None = msgspec.field(default=None, name="RigidTransformMatrix4x4")


class _Coil(msgspec.Struct, frozen=True, rename="pascal"):
    name: str = ""
    coordinate_system: str = ""
    positional_unit: str = ""
    coil_axes_convention: str = ""
    coil_pose: _Pose = _Pose()


class _Marker(msgspec.Struct, frozen=True, rename="pascal"):
    coil_target: _Coil | None = None


class _Document(msgspec.Struct, frozen=True, rename="pascal"):
    target_markers: list[_Marker]
    configuration: _Configuration = _Configuration()


def read_ant(content: object, source: Source) -> TargetFile:
    """Each coil target as a pose; the image is compared where one is given. Raises TargetFileError."""
    try:
        document = msgspec.convert(content, _Document)
    except (msgspec.ValidationError, OverflowError) as error:
        raise source.refusal("unreadable_target_file", f"it is not as the program writes it ({error})") from error
    if not document.target_markers:
        raise source.refusal("no_targets", "its list of markers is empty")
    numbers = _numbers(document.configuration.image, source)
    verified = numbers is not None and source.image is not None
    if numbers is not None and source.image is not None and not has_numbers(source.image, numbers):
        raise source.refusal("wrong_image", "the header numbers in the file are not those of the given image")
    entries = Entries.sorted([_entry(marker.coil_target, index, source) for index, marker in enumerate(document.target_markers)])
    return TargetFile(
        file=source.name,
        sha256=source.sha256,
        format=source.format,
        space=ASSOCIATED_IMAGE,
        targets=entries.targets,
        skipped=entries.skipped,
        image=ImageWords(numbers=numbers, verified=verified),
    )


def _numbers(image: _Image | None, source: Source) -> NiftiNumbers | None:
    if image is None:
        return None
    for value in (*image.quatern, *image.qoffset, *image.pixdim):
        source.finite(value, "AssociatedImageInfo")
    return NiftiNumbers(quatern=image.quatern, qoffset=image.qoffset, pixdim=image.pixdim)


def _entry(coil: _Coil | None, index: int, source: Source) -> FileTarget | Skipped:
    if coil is None or coil.coil_pose.rigid_transform is None:
        return Skipped(name="" if coil is None else coil.name, index=index, reason="no_pose")
    entry = coil.name or f"marker {index}"
    if not coil.coordinate_system:
        raise source.refusal("missing_coordinate_space", "its CoordinateSystem is not stated", entry)
    if is_template(coil.coordinate_system):
        raise source.refusal("template_space_needs_transform", f"its place is in {quoted(coil.coordinate_system)}", entry)
    if coil.coordinate_system != ASSOCIATED_IMAGE:
        raise source.refusal("unsupported_coordinate_system", f"its CoordinateSystem is {quoted(coil.coordinate_system)}", entry)
    if coil.positional_unit != UNIT:
        raise source.refusal("bad_units", f"its PositionalUnit is {quoted(coil.positional_unit)}", entry)
    if coil.coil_axes_convention != AXES:
        raise source.refusal("unsupported_axes", f"its CoilAxesConvention is {quoted(coil.coil_axes_convention)}", entry)
    pose = source.rigid(from_axes(np.array(coil.coil_pose.rigid_transform), CoilAxes.ANT), entry)
    return FileTarget(name=coil.name, kind=TargetKind.COIL_POSE, mri_from_coil=rows_of(pose))
