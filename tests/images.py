"""Small NIfTI files for tests: written with nibabel, every header field that matters a parameter."""

from pathlib import Path

import nibabel as nib
import numpy as np

AFFINE = np.array([[4.0, 0, 0, -78], [0, 4, 0, -110], [0, 0, 4, -68], [0, 0, 0, 1]])
SHAPE = (40, 46, 40)


def write_image(path: Path, values=None, *, affine=AFFINE, qform=None, sform=None, q_code=1, s_code=1, unit="mm") -> Path:
    """`qform`, `sform` default to `affine`; a code of 0 leaves that form unset."""
    image = nib.Nifti1Image(np.zeros(SHAPE, np.float32) if values is None else values, None)
    header = image.header
    header.set_qform(affine if qform is None else qform, q_code)
    header.set_sform(affine if sform is None else sform, s_code)
    header["qform_code"], header["sform_code"] = q_code, s_code
    header["pixdim"][1:4] = np.linalg.norm((affine if qform is None else qform)[:3, :3], axis=0)
    header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


def shifted(affine: np.ndarray, mm: tuple[float, float, float]) -> np.ndarray:
    """The affine moved in the world."""
    moved = affine.copy()
    moved[:3, 3] += mm
    return moved
