"""The scalp: extraction from the sample T1 against its reference surface, refusals, the cut plane, and mesh files."""

import nibabel as nib
import numpy as np
import pytest

from calibration.head_mask import head_mask
from calibration.mesh import open_edges
from calibration.nifti import Volume, check_image, load_volume
from calibration.scalp import Mesh, ScalpError, checked_scalp, extract_scalp, to_border_mm, without_cut_plane
from calibration.surface import Surface, signed_volume_mm3
from calibration.surface_files import read_surface, write_gifti
from calibration.surface_nets import surface_nets
from tests.scalps import DATA, T1, TEMPLATE, ball_t1, sample_mesh, sample_scalp


@pytest.fixture(scope="module")
def t1() -> Volume:
    return load_volume(check_image(T1, TEMPLATE))


@pytest.fixture(scope="module")
def extracted(t1) -> Mesh:
    return extract_scalp(t1, "t1")


def test_the_extracted_scalp_lies_on_the_reference_surface(extracted):
    there = np.abs(sample_scalp().closest(extracted.vertices_mm[::10]).signed_mm)
    print(f"extracted to reference: mean {there.mean():.3f}, 99 % {np.quantile(there, 0.99):.3f} mm")
    assert there.mean() < 0.15
    assert np.quantile(there, 0.99) < 1.0


def test_the_reference_surface_lies_on_the_extracted_scalp(extracted):
    back = np.abs(Surface.from_mesh(extracted.vertices_mm, extracted.faces).closest(sample_mesh().vertices_mm[::2]).signed_mm)
    print(f"reference to extracted: mean {back.mean():.3f}, 99 % {np.quantile(back, 0.99):.3f} mm")
    assert back.mean() < 0.15
    assert np.quantile(back, 0.99) < 1.0


def test_the_extracted_scalp_is_closed_and_turned_outside_out(extracted):
    assert open_edges(extracted.faces) == 0
    assert signed_volume_mm3(extracted.vertices_mm, extracted.faces) == pytest.approx(4.23e6, rel=0.01)


def test_what_is_dropped_for_registration_is_the_image_s_border_alone(t1, extracted):
    vertices, faces = without_cut_plane(extracted, t1.mri_from_voxel, t1.shape)
    near = to_border_mm(extracted.vertices_mm, t1.mri_from_voxel, t1.shape) <= 3.0
    assert np.array_equal(vertices, extracted.vertices_mm[~near])
    assert (extracted.vertices_mm[near, 2] < -75).mean() > 0.9  # the neck
    assert open_edges(faces) > 0


def test_the_distance_to_the_border_counts_from_the_outermost_voxel_s_edge():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    points = np.array([[-1.0, 10.0, 10.0], [9.0, 10.0, 10.0], [10.0, 10.0, 18.0], [30.0, 10.0, 10.0]])
    assert to_border_mm(points, affine, (10, 10, 10)).tolist() == [0.0, 9.0, 1.0, -11.0]


def test_a_ball_comes_out_as_its_sphere_with_the_cavity_filled():
    mesh = extract_scalp(ball_t1(), "ball")
    radii = np.linalg.norm(mesh.vertices_mm, axis=1)
    assert radii.mean() == pytest.approx(90.0, abs=0.8)
    assert radii.min() > 87
    assert open_edges(mesh.faces) == 0


def test_a_grid_finer_than_needed_is_thinned_and_keeps_its_place():
    values = np.zeros((48, 48, 48), np.float32)
    values[10:40, 12:40, 14:40] = 200
    found = head_mask(Volume(values, np.diag([0.5, 0.5, 0.5, 1.0])))
    assert found is not None
    mask, mri_from_voxel = found
    assert np.linalg.norm(mri_from_voxel[:3, :3], axis=0).tolist() == [1.0, 1.0, 1.0]
    assert mri_from_voxel[:3, 3] == pytest.approx((5, 6, 7), abs=1.0)
    assert mask.shape == pytest.approx((15, 14, 13), abs=2)


def test_values_that_are_not_finite_count_as_air():
    t1 = ball_t1()
    t1.values[:3] = np.nan
    t1.values[-3:] = np.inf
    t1.values[:, :3] = -1000.0
    assert np.linalg.norm(extract_scalp(t1, "ball").vertices_mm, axis=1).mean() == pytest.approx(90.0, abs=0.8)


@pytest.mark.parametrize("radius_mm", [80.0, 114.0])  # 2.1 and 6.2 litres
def test_a_volume_that_is_no_head_is_refused(radius_mm):
    with pytest.raises(ScalpError) as caught:
        extract_scalp(ball_t1(radius_mm), "t1")
    assert caught.value.code == "scalp_volume"


def test_an_image_of_nothing_is_refused():
    empty = ball_t1()
    with pytest.raises(ScalpError) as caught:
        extract_scalp(Volume(np.zeros_like(empty.values), empty.mri_from_voxel), "t1")
    assert caught.value.code == "no_head_in_image"


def test_a_long_thin_surface_is_refused_by_its_extent():
    mesh = sample_mesh()
    with pytest.raises(ScalpError) as caught:
        checked_scalp(mesh.vertices_mm * (0.5, 0.9, 2.0), mesh.faces, "x")
    assert caught.value.code == "scalp_extent"


def test_a_surface_with_a_hole_is_refused():
    mesh = sample_mesh()
    with pytest.raises(ScalpError) as caught:
        checked_scalp(mesh.vertices_mm, mesh.faces[1:], "x")
    assert caught.value.code == "scalp_not_closed"


def test_a_surface_that_is_inside_out_is_turned():
    mesh = sample_mesh()
    turned = checked_scalp(mesh.vertices_mm, mesh.faces[:, ::-1], "x")
    assert signed_volume_mm3(turned.vertices_mm, turned.faces) > 0


def test_surface_nets_of_a_sphere_lie_on_it_and_close():
    grid = np.indices((24, 24, 24)) - 11.3
    vertices, faces = surface_nets((8.0 - np.linalg.norm(grid, axis=0)).astype(np.float32), 0.0)
    assert np.abs(np.linalg.norm(vertices - 11.3, axis=1) - 8.0).max() < 0.1
    assert open_edges(faces) == 0
    assert signed_volume_mm3(vertices, faces) == pytest.approx(4 / 3 * np.pi * 512, rel=0.02)


def test_gifti_keeps_the_surface_and_its_space(tmp_path):
    mesh = sample_mesh()
    write_gifti(tmp_path / "a.surf.gii", mesh, 1)
    back = read_surface(tmp_path / "a.surf.gii")
    assert np.array_equal(back.vertices_mm, mesh.vertices_mm)
    assert np.array_equal(back.faces, mesh.faces)
    assert (back.space_code, back.warnings) == (1, ())


def test_the_same_surface_gives_the_same_gifti_bytes(tmp_path):
    for name in ("a.gii", "b.gii"):
        write_gifti(tmp_path / name, sample_mesh(), 1)
    assert (tmp_path / "a.gii").read_bytes() == (tmp_path / "b.gii").read_bytes()


def test_the_matrix_in_a_gifti_is_applied(tmp_path):
    image = nib.load(DATA / "scalp_20k.surf.gii")
    image.darrays[0].coordsys.xform = np.array([[1.0, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])
    image.darrays[0].coordsys.xformspace = 1
    nib.save(image, tmp_path / "a.gii")
    moved = read_surface(tmp_path / "a.gii")
    assert (moved.vertices_mm - sample_mesh().vertices_mm).mean(axis=0) == pytest.approx((1, 2, 3))
    assert moved.space_code == 1


def test_binary_stl_is_welded_to_the_surface_it_was_made_of():
    found = read_surface(DATA.parent.parent / "tests/data/scalp_20k.stl")
    assert found.vertices_mm.shape == (20_002, 3)
    assert (found.space_code, found.warnings) == (None, ("surface_space_unstated",))
    mesh = checked_scalp(found.vertices_mm, found.faces, "stl")
    assert np.abs(sample_scalp().closest(mesh.vertices_mm[::20]).signed_mm).max() < 1e-3


def stl_with_nan() -> bytes:
    return b"\0" * 80 + (1).to_bytes(4, "little") + np.full(12, np.nan, "<f4").tobytes() + b"\0\0"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.stl", b"solid ascii\nfacet normal 0 0 1\n" * 20),
        ("a.stl", b"\0" * 80 + (1_000_000).to_bytes(4, "little")),
        ("a.stl", b"\0" * 84),
        ("a.stl", stl_with_nan()),
        ("a.gii", b"<GIFTI"),
        ("a.gii", b"<GIFTI Version='1.0' NumberOfDataArrays='0'></GIFTI>"),
        ("a.obj", b""),
    ],
)
def test_what_is_no_surface_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScalpError) as caught:
        read_surface(tmp_path / name)
    assert caught.value.code == "unreadable_surface"


def test_a_triangle_of_points_that_are_not_there_is_refused(tmp_path):
    mesh = sample_mesh()
    write_gifti(tmp_path / "a.gii", Mesh(mesh.vertices_mm[:-1], mesh.faces), 1)
    with pytest.raises(ScalpError, match="a point that is not there"):
        read_surface(tmp_path / "a.gii")
