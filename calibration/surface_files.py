"""Mesh files: GIFTI in and out, binary STL in. Owns bytes and frames of the files; whether a mesh is a scalp is `scalp`'s."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.parsers.expat import ExpatError

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from calibration.mesh import Faces, Vertices
from calibration.nifti import READ_ERRORS
from calibration.scalp import Mesh, ScalpError

gifti: Final[Any] = nib.gifti  # nibabel has no types here

MAX_FILE_BYTES: Final = 2**28  # a scalp of a million triangles is 50 MB
STL_HEADER_BYTES: Final = 84  # 80 of text, then the number of triangles
STL_TRIANGLE: Final = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])
POINTSET: Final = "NIFTI_INTENT_POINTSET"
TRIANGLE: Final = "NIFTI_INTENT_TRIANGLE"


@dataclass(frozen=True, slots=True)
class SurfaceFile:
    """A mesh as its file gives it, mm; `space_code` as in NIfTI headers, None where the format names no space."""

    vertices_mm: Vertices
    faces: Faces
    space_code: int | None
    warnings: tuple[str, ...]


def read_surface(path: Path) -> SurfaceFile:
    """A GIFTI surface or a binary STL, by the file's name. Raises ScalpError `unreadable_surface`."""
    if path.suffix.lower() not in (".gii", ".stl"):
        raise _unreadable(path, "its name ends in neither .gii nor .stl")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _unreadable(path, f"it is larger than {MAX_FILE_BYTES >> 20} MB")
        return _read_gifti(path) if path.suffix.lower() == ".gii" else _read_stl(path)
    except (*READ_ERRORS, ExpatError, LookupError, TypeError, AttributeError, AssertionError) as error:  # nibabel's parser
        raise _unreadable(path, str(error)) from error


def write_gifti(path: Path, mesh: Mesh, space_code: int) -> None:
    """The mesh as a GIFTI surface in RAS mm; the same mesh gives the same bytes. OSError as from writing it."""
    coordsys = gifti.GiftiCoordSystem(dataspace=space_code, xformspace=space_code)
    points = gifti.GiftiDataArray(
        np.ascontiguousarray(mesh.vertices_mm, dtype=np.float32), intent=POINTSET, datatype="NIFTI_TYPE_FLOAT32", coordsys=coordsys
    )
    triangles = gifti.GiftiDataArray(
        np.ascontiguousarray(mesh.faces, dtype=np.int32), intent=TRIANGLE, datatype="NIFTI_TYPE_INT32"
    )
    path.write_bytes(gifti.GiftiImage(darrays=[points, triangles]).to_bytes())


def _read_gifti(path: Path) -> SurfaceFile:
    image = gifti.GiftiImage.from_bytes(path.read_bytes())
    points, triangles = image.get_arrays_from_intent(POINTSET), image.get_arrays_from_intent(TRIANGLE)
    if len(points) != 1 or len(triangles) != 1:
        raise _unreadable(path, f"it holds {len(points)} sets of points and {len(triangles)} of triangles, not one of each")
    coordsys = points[0].coordsys
    mri_from_points = np.asarray(coordsys.xform, dtype=np.float64)
    vertices = np.asarray(points[0].data, dtype=np.float64)
    moved = not np.allclose(mri_from_points, np.eye(4))
    if moved:
        vertices = vertices @ mri_from_points[:3, :3].T + mri_from_points[:3, 3]
    space_code = int(coordsys.xformspace if moved else coordsys.dataspace)
    warnings = () if space_code else ("surface_space_unstated",)
    return _checked(path, vertices, np.asarray(triangles[0].data), space_code or None, warnings)


def _read_stl(path: Path) -> SurfaceFile:
    content = path.read_bytes()
    count = int.from_bytes(content[80:84], "little")
    if len(content) < STL_HEADER_BYTES or len(content) != STL_HEADER_BYTES + count * STL_TRIANGLE.itemsize:
        raise _unreadable(path, "it is no binary STL: its length does not fit its number of triangles")
    stored = np.frombuffer(content, STL_TRIANGLE, offset=STL_HEADER_BYTES)["corners"].reshape(-1, 3)
    if not np.isfinite(stored).all():
        raise _unreadable(path, "a coordinate is not finite")
    corners = np.where(stored == 0, np.float32(0), stored)  # -0 and 0 are one place
    keys = np.ascontiguousarray(corners).view(np.dtype((np.void, 12))).reshape(-1)
    _, first, index = np.unique(keys, return_index=True, return_inverse=True)
    faces = index.reshape(-1, 3)
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return _checked(path, corners[first].astype(np.float64), faces[whole], None, ("surface_space_unstated",))


def _checked(path: Path, vertices: Vertices, faces: NDArray[np.int64], space_code: int | None, warnings: tuple[str, ...]) -> SurfaceFile:
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not len(vertices) or not np.isfinite(vertices).all():
        raise _unreadable(path, "its points are not rows of three finite numbers")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu" or not len(faces):
        raise _unreadable(path, "its triangles are not rows of three numbers")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise _unreadable(path, "a triangle names a point that is not there")
    return SurfaceFile(vertices, faces.astype(np.int32), space_code, warnings)


def _unreadable(path: Path, why: str) -> ScalpError:
    return ScalpError("unreadable_surface", f"not a readable surface ({why})", path.name, "Give a GIFTI surface or a binary STL in mm.")
