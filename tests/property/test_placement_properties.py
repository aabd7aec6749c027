"""Coil poses over random targets, and files of every kind under random damage: right or refused, never anything else."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from calibration.bad_input import BadInput
from calibration.fiducials import read_fiducials
from calibration.map_rules import cluster6, contarg26
from calibration.nifti import ImageError, check_image, load_volume
from calibration.placement import MAX_TILT_DEG, PlacementError, coil_frame, handle_direction, place_coil
from calibration.scalp import Mesh, ScalpError
from calibration.surface_files import read_surface, write_gifti
from calibration.surface_nets import surface_nets
from calibration.template_points import apply_affine, read_itk_affine
from tests.images import AFFINE, write_image
from tests.scalps import sample_scalp

quick = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
sides = st.sampled_from(("left", "right"))
ITK = Path("tests/data/connectivity/native_from_mni_points_itk.txt").read_bytes()


@st.composite
def directions(draw) -> np.ndarray:
    vector = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 3)))
    assume(np.linalg.norm(vector) > 0.1)
    return vector / np.linalg.norm(vector)


@quick
@given(normal=directions(), side=sides, angle_deg=st.floats(0, 90), gap_mm=st.floats(0, 5), entry=st.tuples(*[st.floats(-100, 100)] * 3))
def test_axes_are_orthonormal_right_handed_and_z_points_into_the_head(normal, side, angle_deg, gap_mm, entry):
    frame = coil_frame(np.array(entry), normal, handle_direction(normal, side, angle_deg), gap_mm)
    axes = frame[:3, :3]
    assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    assert axes[:, 2] == pytest.approx(-normal)
    assert frame[:3, 3] - np.array(entry) == pytest.approx(gap_mm * normal, abs=1e-9)


@quick
@given(normal=directions(), side=sides, angle_deg=st.floats(1, 89))
def test_the_handle_points_backward_and_outward_along_the_scalp(normal, side, angle_deg):
    handle = handle_direction(normal, side, angle_deg)
    assert handle @ normal == pytest.approx(0.0, abs=1e-12)
    assert np.linalg.norm(handle) == pytest.approx(1.0)
    forward = np.array((0.0, 1.0, 0.0)) if np.linalg.norm(np.cross((0, 1, 0), normal)) >= 0.1 else np.array((0.0, 0.0, 1.0))
    anterior = forward - (forward @ normal) * normal
    anterior /= np.linalg.norm(anterior)
    assert np.degrees(np.arccos(np.clip(-handle @ anterior, -1, 1))) == pytest.approx(angle_deg, abs=1e-4)
    outward = np.cross(anterior, normal) * (1 if side == "right" else -1)
    assert handle @ outward > 0


@quick
@given(normal=directions(), angle_deg=st.floats(0, 90))
def test_left_and_right_are_mirror_images(normal, angle_deg):
    mirror = np.array((-1.0, 1.0, 1.0))
    assert handle_direction(normal, "left", angle_deg) * mirror == pytest.approx(handle_direction(normal * mirror, "right", angle_deg))


@quick
@given(target_mm=st.tuples(st.floats(-75, 75), st.floats(-100, 80), st.floats(-40, 90)), side=sides, tilt=st.booleans())
def test_whatever_is_placed_faces_its_target_from_the_scalp(target_mm, side, tilt):
    try:
        placed = place_coil(sample_scalp(), target_mm, side, tilt_to_target=tilt)
    except PlacementError:
        return
    in_coil = placed.mri_from_coil.inverse().apply(target_mm)
    assert in_coil[2] > 0
    assert np.hypot(*in_coil[:2]) == pytest.approx(placed.beam_miss_mm, abs=1e-9)
    assert abs(sample_scalp().closest(placed.entry_mm[None]).signed_mm[0]) < 1e-6
    assert 8 <= placed.depth_mm <= 40
    assert placed.tilt_deg <= (MAX_TILT_DEG + 1e-6 if tilt else 1e-6)


@quick
@given(seed=st.integers(0, 10_000), polarity=st.sampled_from(("negative", "positive")))
def test_a_target_is_a_searched_voxel_of_the_wanted_sign(seed, polarity):
    rng = np.random.default_rng(seed)
    values, inside = rng.normal(size=(7, 8, 9)), rng.random((7, 8, 9)) < 0.7
    for found in (cluster6(values, inside, AFFINE, polarity), contarg26(values, inside, AFFINE, polarity)):
        for cluster in found.found:
            voxel = tuple(np.rint(np.linalg.solve(AFFINE, [*cluster.snapped, 1.0])[:3]).astype(int))
            assert inside[voxel]
            assert values[voxel] == cluster.snapped_z
            assert (cluster.snapped_z < 0) == (polarity == "negative")


@quick
@given(seed=st.integers(0, 10_000))
def test_surface_nets_of_anything_are_closed(seed):
    rng = np.random.default_rng(seed)
    values = np.pad(rng.random((6, 6, 6)).astype(np.float32), 1)
    _, faces = surface_nets(values, 0.5)
    edges = {}
    for start, end in np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist():
        edges[start, end] = edges.get((start, end), 0) + 1
    assert all(edges.get((end, start)) == count for (start, end), count in edges.items())


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    image = write_image(folder / "a.nii", np.arange(40 * 46 * 40, dtype=np.int16).reshape(40, 46, 40))
    vertices, faces = surface_nets(np.pad(np.ones((3, 3, 3), np.float32), 1), 0.5)
    write_gifti(folder / "a.gii", Mesh(vertices, faces), 1)
    return {".nii": image.read_bytes(), ".gii": (folder / "a.gii").read_bytes()}, folder


@settings(quick, max_examples=300)
@given(damage=st.dictionaries(st.integers(0, 351), st.integers(0, 255), min_size=1, max_size=4), keep=st.floats(0.0, 1.5))
def test_a_damaged_image_is_read_or_refused(small_files, damage, keep):
    contents, folder = small_files
    content = bytearray(contents[".nii"])
    for at, value in damage.items():
        content[at] = value
    path = folder / "damaged.nii"
    path.write_bytes(content[: int(keep * len(content))])
    try:
        volume = load_volume(check_image(path))
    except ImageError:
        return
    assert np.isfinite(volume.mri_from_voxel).all()


@settings(quick, max_examples=200)
@given(data=st.data())
def test_a_damaged_surface_is_read_or_refused(small_files, data):
    contents, folder = small_files
    content = bytearray(contents[".gii"])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged.gii"
    path.write_bytes(content)
    try:
        found = read_surface(path)
    except ScalpError:
        return
    assert np.isfinite(found.vertices_mm).all()
    assert found.faces.max() < len(found.vertices_mm)


@quick
@given(content=st.binary(max_size=300), name=st.sampled_from(("a.nii", "a.nii.gz", "a.gii", "a.stl", "a.json", "a.txt")))
def test_random_bytes_are_refused_by_every_reader(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    readers = {"nii": check_image, "gz": check_image, "gii": read_surface, "stl": read_surface, "json": read_fiducials}
    with pytest.raises(BadInput):
        readers.get(name.rsplit(".", 1)[1], read_itk_affine)(path)


@quick
@given(at=st.integers(0, len(ITK) - 1), value=st.integers(0, 255))
def test_a_damaged_transform_is_read_or_refused(tmp_path, at, value):
    content = bytearray(ITK)
    content[at] = value
    (tmp_path / "t.txt").write_bytes(content)
    try:
        affine = read_itk_affine(tmp_path / "t.txt")
    except BadInput:
        return
    assert np.isfinite(apply_affine(affine, np.zeros(3))).all()
