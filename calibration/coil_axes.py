"""Coil axes of other programs, and their ways to write a pose down, as the axes used here.

Ours are SimNIBS': x = y cross z, y away from the handle, z into the head, origin in the middle of the casing's face.
Reading files is not done here. Matrices are 4x4 in mm, image space RAS.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from calibration.frames import FloatArray, Xyz


class CoilAxes(enum.StrEnum):
    """Whose axes a coil pose is written in."""

    SIMNIBS = "simnibs"
    BRAINSIGHT = "brainsight"
    NAVINIBS = "navinibs"
    LOCALITE = "localite"
    SOFTAXIC = "softaxic"
    INVESALIUS = "invesalius"
    ANT = "ant"


def _block(*rows: tuple[int, int, int]) -> FloatArray:
    block = np.eye(4)
    block[:3, :3] = rows
    block.setflags(write=False)
    return block


# mri_from_theirs = mri_from_ours @ C: it re-labels the coil's axes, hence from the right. NaviNIBS' and InVesalius' follow from
# their sources; the others agree with what SimNIBS' own importers make of such files.
OURS_FROM_THEIRS: Mapping[CoilAxes, FloatArray] = MappingProxyType(
    {
        CoilAxes.SIMNIBS: _block((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        CoilAxes.BRAINSIGHT: _block((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
        CoilAxes.NAVINIBS: _block((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
        CoilAxes.LOCALITE: _block((0, 0, 1), (0, -1, 0), (1, 0, 0)),
        CoilAxes.SOFTAXIC: _block((0, -1, 0), (1, 0, 0), (0, 0, 1)),
        CoilAxes.INVESALIUS: _block((0, 1, 0), (1, 0, 0), (0, 0, -1)),
        CoilAxes.ANT: _block((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    }
)
# LPS to RAS and back: it re-labels space, hence from the left.
FLIP: FloatArray = np.diag((-1.0, -1.0, 1.0, 1.0))


def to_axes(mri_from_coil: FloatArray, axes: CoilAxes) -> FloatArray:
    """Our pose (4, 4) written in another program's coil axes, RAS."""
    return mri_from_coil @ OURS_FROM_THEIRS[axes]


def from_axes(theirs: FloatArray, axes: CoilAxes) -> FloatArray:
    """A RAS pose (4, 4) in another program's coil axes as ours."""
    return theirs @ OURS_FROM_THEIRS[axes].T


def flip_lps(pose_or_point: ArrayLike) -> FloatArray:
    """A pose (4, 4) or point (3,) between LPS and RAS, either way; a pose keeps its coil's axes."""
    given = np.asarray(pose_or_point, dtype=np.float64)
    flipped: FloatArray = FLIP @ given if given.ndim == 2 else FLIP[:3, :3] @ given
    return flipped


def invesalius_image_pose(mri_from_coil: FloatArray, mri_from_voxel: FloatArray, shape: tuple[int, int, int]) -> tuple[Xyz, Xyz]:
    """Position (mm in the image, y reversed) and orientation (sxyz degrees) as in InVesalius' plain marker columns.

    `mri_from_voxel` is the image's closest-RAS affine. Its rotation, without the voxel sizes, carries image millimetres into
    the world; the angles are not reversed.
    """
    spacing_mm = np.linalg.norm(mri_from_voxel[:3, :3], axis=0)
    world_from_image = mri_from_voxel @ np.diag((*(1.0 / spacing_mm), 1.0))
    image_from_coil = np.linalg.inv(world_from_image) @ to_axes(mri_from_coil, CoilAxes.INVESALIUS)
    x, y, z = image_from_coil[:3, 3].tolist()
    return (x, float(spacing_mm[1]) * (shape[1] - 1) - y, z), euler_sxyz_deg(image_from_coil[:3, :3])


def euler_sxyz_deg(rotation: FloatArray) -> Xyz:
    """Angles a, b, c in degrees of a 3x3 rotation Rz(c) Ry(b) Rx(a); at b = +-90 degrees c is 0."""
    sine = float(np.hypot(rotation[0, 0], rotation[1, 0]))
    b = np.arctan2(-rotation[2, 0], sine)
    if sine > 1e-9:
        a, c = np.arctan2(rotation[2, 1], rotation[2, 2]), np.arctan2(rotation[1, 0], rotation[0, 0])
    else:
        a, c = np.arctan2(-rotation[1, 2], rotation[1, 1]), 0.0
    return float(np.degrees(a)), float(np.degrees(b)), float(np.degrees(c))


def rotation_from_sxyz_deg(angles_deg: Xyz) -> FloatArray:
    """The 3x3 rotation Rz(c) Ry(b) Rx(a) of angles a, b, c in degrees."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(np.radians(angles_deg)).tolist(), np.sin(np.radians(angles_deg)).tolist()
    return np.array(
        (
            (cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc),
            (cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc),
            (-sb, sa * cb, ca * cb),
        )
    )
