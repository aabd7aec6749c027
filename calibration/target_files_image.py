"""The image that a file of targets speaks of, and whether the file's own words about it hold.

The image's header was checked by `nifti` before; nothing is read from disk here.
"""

from dataclasses import dataclass
from typing import Any, Final

import nibabel as nib
import numpy as np

from calibration.frames import FloatArray, Xyz, rigid_matrix, rotation_from_quaternion
from calibration.nifti import AffineSource, CheckedImage, HeaderNumbers, header_numbers
from calibration.target_files_values import FileTarget, NiftiNumbers, TargetFile, TargetFileError, TargetKind

orientations: Final[Any] = nib.orientations  # nibabel has no types here

SAME_NUMBER: Final = 1e-4  # between a header and its copy in a file
COIL_BESIDE_IMAGE_MM: Final = 30.0  # a coil may hover outside a tightly cut image by this much


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SourceImage:
    """Where the image lies: `mri_from_voxel` maps voxel centres to RAS mm. `header` where the file itself was at hand."""

    mri_from_voxel: FloatArray
    shape: tuple[int, int, int]
    header: HeaderNumbers | None = None
    affine_source: AffineSource | None = None
    was_picked: bool = False

    @property
    def closest_ras(self) -> tuple[FloatArray, tuple[int, int, int]]:
        """Affine and shape with the axes in closest-RAS order, as InVesalius loads it."""
        orientation = orientations.io_orientation(self.mri_from_voxel)
        order = np.argsort(orientation[:, 0])
        affine: FloatArray = self.mri_from_voxel @ orientations.inv_ornt_aff(orientation, self.shape)
        i, j, k = (self.shape[int(axis)] for axis in order)
        return affine, (i, j, k)


def source_image(checked: CheckedImage) -> SourceImage:
    """The image of a checked file. Raises ImageError when it can no longer be read."""
    return SourceImage(
        mri_from_voxel=checked.mri_from_voxel,
        shape=checked.shape,
        header=header_numbers(checked),
        affine_source=checked.affine_source,
        was_picked=checked.was_picked,
    )


def has_numbers(image: SourceImage, numbers: NiftiNumbers) -> bool:
    """The image's header agrees with its copy within 1e-4; without the header its affine must be the one the copy describes."""
    if image.header is None:
        return bool(np.abs(_affine_of(numbers) - image.mri_from_voxel).max() <= SAME_NUMBER)
    header = image.header
    if _handedness(header.pixdim[0]) != _handedness(numbers.pixdim[0]):
        return False
    found = np.array((*header.quatern, *header.qoffset, *header.pixdim[1:]))
    return bool(np.abs(found - (*numbers.quatern, *numbers.qoffset, *numbers.pixdim[1:])).max() <= SAME_NUMBER)


def _handedness(pixdim0: float) -> float:
    """nifti1.h: 0 means 1."""
    return -1.0 if pixdim0 < 0 else 1.0


def _affine_of(numbers: NiftiNumbers) -> FloatArray:
    """The qform as nifti1.h defines it: rotation of the quaternion, columns scaled by the voxel sizes, the third by the handedness too."""
    b, c, d = numbers.quatern
    w = max(0.0, 1.0 - b * b - c * c - d * d) ** 0.5
    scales = (numbers.pixdim[1], numbers.pixdim[2], _handedness(numbers.pixdim[0]) * numbers.pixdim[3])
    return rigid_matrix(rotation_from_quaternion((w, b, c, d)) * scales, np.array(numbers.qoffset))


def check_inside_image(file: TargetFile, image: SourceImage) -> None:
    """Raises TargetFileError `target_outside_image` for the first target outside the image's field; a coil may be 30 mm outside."""
    for target in file.targets:
        for place_mm, margin_mm in _places(target):
            if not _is_inside(image, place_mm, margin_mm):
                what = "({:.1f}, {:.1f}, {:.1f}) mm lies outside the image".format(*place_mm)
                remedy = "Give the T1 that the file was made with."
                raise TargetFileError("target_outside_image", what, f"{file.file}, {target.name!r}", remedy, file.format)


def _places(target: FileTarget) -> list[tuple[Xyz, float]]:
    inner = (target.position_in_mri_mm, target.cortex_in_mri_mm)
    places = [(place, 0.0) for place in inner if place is not None]
    if target.entry_in_mri_mm is not None:
        places.append((target.entry_in_mri_mm, COIL_BESIDE_IMAGE_MM))
    if target.kind is TargetKind.COIL_POSE and target.mri_from_coil is not None:
        x, y, z = (row[3] for row in target.mri_from_coil[:3])
        places.append(((x, y, z), COIL_BESIDE_IMAGE_MM))
    return places


def _is_inside(image: SourceImage, place_mm: Xyz, margin_mm: float) -> bool:
    voxel_mm = np.linalg.norm(image.mri_from_voxel[:3, :3], axis=0)
    voxel = np.linalg.solve(image.mri_from_voxel, np.array((*place_mm, 1.0)))[:3]
    margin = margin_mm / voxel_mm + 0.5
    return bool((voxel >= -margin).all() and (voxel <= np.array(image.shape) - 1 + margin).all())
