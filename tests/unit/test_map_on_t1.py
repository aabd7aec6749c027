"""Do map, T1 and scalp belong together: each way in which they may not."""

import numpy as np
import pytest

from calibration.map_on_t1 import check_map_on_t1, check_scalp_on_t1, cranium_centre_mm
from calibration.nifti import ImageError, Volume, check_image, load_volume
from calibration.scalp import ScalpError
from calibration.surface import Surface
from tests.images import AFFINE, SHAPE, shifted
from tests.scalps import T1, TEMPLATE, sample_fiducials, sample_mesh, sample_scalp

BRAIN_CENTRE_MM = np.array((0.0, -18.0, 8.0))  # of the average brain in this template


@pytest.fixture(scope="module")
def t1() -> Volume:
    return load_volume(check_image(T1, TEMPLATE))


def ellipsoid() -> np.ndarray:
    """The voxels of a brain-sized ellipsoid where the template's brain is."""
    points = np.indices(SHAPE).reshape(3, -1).T @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    return (np.linalg.norm((points - BRAIN_CENTRE_MM) / (68.0, 86.0, 64.0), axis=1) < 1).reshape(SHAPE)


def brain_map(outside: float, shift_mm: tuple[float, float, float] = (0, 0, 0)) -> Volume:
    return Volume(np.where(ellipsoid(), 1.5, outside).astype(np.float32), shifted(AFFINE, shift_mm))


def checked(volume: Volume, search: np.ndarray | None = None) -> tuple[str, ...]:
    whole = np.ones(SHAPE, bool)
    return check_map_on_t1(volume, whole if search is None else search, sample_scalp(), sample_fiducials(), "map")


@pytest.mark.parametrize("outside", [0.0, np.nan])
def test_a_map_with_its_brain_in_the_head_passes_without_a_warning(outside):
    assert checked(brain_map(outside)) == ()


@pytest.mark.parametrize("shift_mm", [(30, 0, 0), (0, 30, 0), (0, -30, 0), (0, 0, 30), (0, 0, -30)])
def test_a_map_whose_brain_lies_3_cm_elsewhere_is_refused(shift_mm):
    with pytest.raises(ImageError) as caught:
        checked(brain_map(0.0, shift_mm))
    assert caught.value.code == "map_not_on_this_t1"


def test_a_map_without_outline_passes_with_a_warning_where_its_mask_lies_in_the_head():
    assert checked(brain_map(-0.5), ellipsoid()) == ("map_has_no_outline",)


def test_a_map_without_outline_is_refused_where_its_mask_lies_outside_the_head():
    with pytest.raises(ImageError) as caught:
        checked(brain_map(-0.5, (0, 60, 0)), ellipsoid())
    assert caught.value.code == "map_not_on_this_t1"


def test_the_middle_of_the_cranium_is_near_the_middle_of_the_brain():
    assert np.linalg.norm(cranium_centre_mm(sample_scalp(), sample_fiducials()) - BRAIN_CENTRE_MM) < 8


def test_the_sample_scalp_runs_along_the_edge_of_the_sample_t1(t1):
    check_scalp_on_t1(t1, sample_scalp(), "scalp")


@pytest.mark.parametrize(
    "change",
    [
        lambda vertices: vertices * (-1, -1, 1),  # LPS
        lambda vertices: vertices + np.array((0, 8, 0)),
        lambda vertices: vertices * 1.06,
        lambda vertices: vertices + np.array((200, 0, 0)),
    ],
    ids=["lps", "shifted", "larger", "elsewhere"],
)
def test_a_scalp_of_another_space_or_head_is_refused(t1, change):
    mesh = sample_mesh()
    with pytest.raises(ScalpError) as caught:
        check_scalp_on_t1(t1, Surface.from_mesh(change(mesh.vertices_mm), mesh.faces), "scalp")
    assert caught.value.code == "scalp_not_on_this_t1"
