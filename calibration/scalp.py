"""The outer surface of a head from its T1 as a closed mesh, and the checks that refuse one that is no scalp.

Reading and writing mesh files is `surface_files`; fitting points to the surface is `registration`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from calibration.bad_input import BadInput
from calibration.head_mask import head_mask
from calibration.mesh import Faces, Vertices, kept, largest_piece, open_edges
from calibration.nifti import Array, Volume
from calibration.surface import signed_volume_mm3
from calibration.surface_nets import surface_nets

MASK_SMOOTHING_MM: Final = 1.0
VOLUME_RANGE_L: Final = (2.5, 6.0)
EXTENT_RANGE_MM: Final = (130.0, 300.0)
CUT_PLANE_MM: Final = 3.0  # from the image's border: the neck's cut plane is no skin


class ScalpError(BadInput):
    """A surface that must not be used as a scalp."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """A closed scalp: vertices (V, 3) in RAS mm, triangles (F, 3) counter-clockwise seen from outside."""

    vertices_mm: Vertices
    faces: Faces


def extract_scalp(t1: Volume, where: str) -> Mesh:
    """The scalp of a whole-head T1. Raises ScalpError: no_head_in_image, and those of `checked_scalp`."""
    found = head_mask(t1)
    if found is None:
        raise ScalpError("no_head_in_image", "nothing in it is brighter than air", where, "Give a whole-head T1.")
    head, mri_from_voxel = found
    pad = 4  # the smoothing reaches three voxels; the last layer must be empty for the mesh to close
    voxel_mm = np.linalg.norm(mri_from_voxel[:3, :3], axis=0)
    soft = ndimage.gaussian_filter(np.pad(head, pad).astype(np.float32), MASK_SMOOTHING_MM / voxel_mm, truncate=3.0)
    vertices, faces = surface_nets(soft, 0.5)
    vertices_mm = (vertices - pad) @ mri_from_voxel[:3, :3].T + mri_from_voxel[:3, 3]
    as_stored_mm = vertices_mm.astype(np.float32).astype(np.float64)  # mesh files hold 32 bits: the file says what was used
    return checked_scalp(*largest_piece(as_stored_mm, faces), where)


def checked_scalp(vertices_mm: Vertices, faces: Faces, where: str) -> Mesh:
    """The mesh turned outside out. Raises ScalpError: scalp_not_closed, scalp_volume, scalp_extent."""
    gaps = open_edges(faces)
    if gaps:
        raise ScalpError("scalp_not_closed", f"the surface has {gaps} open edges", where, "Give a closed surface of the whole head.")
    volume_l = signed_volume_mm3(vertices_mm, faces) / 1e6
    if volume_l < 0:
        faces = np.ascontiguousarray(faces[:, ::-1])
    if not VOLUME_RANGE_L[0] <= abs(volume_l) <= VOLUME_RANGE_L[1]:
        what = f"it encloses {abs(volume_l):.2f} litres, a head has {VOLUME_RANGE_L[0]:g} to {VOLUME_RANGE_L[1]:g}"
        raise ScalpError("scalp_volume", what, where, "Look at the surface: padding, wrap-around, or a head that is cut off?")
    extent_mm = np.ptp(vertices_mm, axis=0)
    if not (EXTENT_RANGE_MM[0] <= extent_mm.min() and extent_mm.max() <= EXTENT_RANGE_MM[1]):
        what = f"it measures {' x '.join(f'{mm:.0f}' for mm in extent_mm)} mm"
        raise ScalpError("scalp_extent", what, where, "Look at the surface: padding, wrap-around, or a head that is cut off?")
    return Mesh(vertices_mm, faces)


def without_cut_plane(mesh: Mesh, mri_from_voxel: Array, shape: tuple[int, int, int]) -> tuple[Vertices, Faces]:
    """The mesh (no longer closed) without vertices within 3 mm of the image's border, where the image ends and not the head."""
    return kept(mesh.vertices_mm, mesh.faces, to_border_mm(mesh.vertices_mm, mri_from_voxel, shape) > CUT_PLANE_MM)


def to_border_mm(points_mm: Vertices, mri_from_voxel: Array, shape: tuple[int, int, int]) -> Array:
    """Distance (N,) of points (N, 3) from the nearest face of the image's box, mm; negative outside."""
    voxel_from_mri = np.linalg.inv(mri_from_voxel)
    voxel = points_mm @ voxel_from_mri[:3, :3].T + voxel_from_mri[:3, 3]
    each_mm = np.minimum(voxel + 0.5, np.array(shape) - 0.5 - voxel) * np.linalg.norm(mri_from_voxel[:3, :3], axis=0)
    nearest_mm: Array = each_mm.min(axis=1)
    return nearest_mm
