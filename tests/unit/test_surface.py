import numpy as np
import pytest

from calibration.surface import BadMesh, Surface, signed_volume_mm3
from tests import swept_head

CUBE = np.array([(x, y, z) for x in (0.0, 2.0) for y in (0.0, 2.0) for z in (0.0, 2.0)])
FACES = np.array(
    [
        *((0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)),
        *((2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)),
    ]
)


def test_a_cube_encloses_its_volume() -> None:
    assert signed_volume_mm3(CUBE, FACES) == pytest.approx(8.0)


def test_a_mesh_turned_inside_out_is_turned_back() -> None:
    surface = Surface.from_mesh(CUBE, FACES[:, ::-1])
    assert signed_volume_mm3(surface.vertices_mm, surface.faces) == pytest.approx(8.0)
    assert ((surface.normals * (surface.vertices_mm - 1.0)).sum(axis=1) > 0.0).all()


def test_vertices_without_a_face_are_dropped() -> None:
    surface = Surface.from_mesh(np.vstack(([(90.0, 90.0, 90.0)], CUBE)), FACES + 1)
    assert len(surface.vertices_mm) == 8
    assert surface.closest([(90.0, 1.0, 1.0)]).signed_mm[0] == pytest.approx(88.0)


@pytest.mark.parametrize(
    ("vertices", "faces", "why"),
    [
        (CUBE * np.nan, FACES, "not a number"),
        (CUBE, FACES + 1, "names vertex 8"),
        (CUBE, [(0, 0, 1)], "no triangle"),
        (CUBE, np.empty((0, 3)), "no triangle"),
        (CUBE[:, :2], FACES, "needs vertices"),
    ],
)
def test_what_is_no_surface_is_refused(vertices: np.ndarray, faces: np.ndarray, why: str) -> None:
    with pytest.raises(BadMesh, match=why):
        Surface.from_mesh(vertices, faces)


def test_the_closest_point_lies_on_faces_edges_and_corners() -> None:
    closest = Surface.from_mesh(CUBE, FACES).closest([(1.0, 0.7, 3.0), (3.0, 3.0, 1.0), (3.0, 3.0, 3.0), (1.0, 0.9, 0.4)])
    assert np.allclose(closest.points_mm, [(1.0, 0.7, 2.0), (2.0, 2.0, 1.0), (2.0, 2.0, 2.0), (1.0, 0.9, 0.0)])
    assert np.allclose(closest.signed_mm, (1.0, np.sqrt(2.0), np.sqrt(3.0), -0.4))


def test_no_points_have_no_closest_points() -> None:
    assert Surface.from_mesh(CUBE, FACES).closest(np.empty((0, 3))).signed_mm.shape == (0,)


def test_many_points_at_once_have_the_closest_points_of_each() -> None:
    scalp, rng = swept_head.scalp(), np.random.default_rng(4)
    points = swept_head.on_scalp(rng, 5000) + rng.normal(0.0, 3.0, (5000, 3))
    together, last = scalp.closest(points), scalp.closest(points[-1:])
    assert together.signed_mm[-1] == last.signed_mm[0]
    assert len(together.signed_mm) == 5000


def test_the_closest_point_is_that_of_a_search_through_every_triangle() -> None:
    scalp, rng = swept_head.scalp(), np.random.default_rng(5)
    every_triangle = Surface(scalp.vertices_mm, scalp.faces, scalp.normals, scalp.tree, scalp.middles, np.arange(len(scalp.faces)))
    points = np.vstack((swept_head.on_scalp(rng, 20) + rng.normal(0.0, 4.0, (20, 3)), rng.uniform(-90.0, 90.0, (10, 3))))
    assert np.allclose(scalp.closest(points).signed_mm, every_triangle.closest(points).signed_mm, atol=1e-9)


def test_a_line_measures_the_free_way_to_the_surface() -> None:
    cube = Surface.from_mesh(CUBE, FACES)
    assert cube.gap_along_mm((0.6, 1.2, 7.0), (0.0, 0.0, -1.0)) == pytest.approx(5.0)


def test_a_slanted_line_measures_along_itself() -> None:
    cube = Surface.from_mesh(CUBE, FACES)
    assert cube.gap_along_mm((0.6, 0.5, 3.0), (0.6, 0.0, -0.8)) == pytest.approx(1.25)


def test_from_inside_the_way_is_measured_backwards_and_negative() -> None:
    cube = Surface.from_mesh(CUBE, FACES)
    assert cube.gap_along_mm((0.6, 1.2, 1.7), (0.0, 0.0, -1.0)) == pytest.approx(-0.3)


def test_a_line_that_meets_nothing_falls_back_on_the_closest_point() -> None:
    cube = Surface.from_mesh(CUBE, FACES)
    assert cube.gap_along_mm((0.6, 1.2, 7.0), (0.0, 0.0, 1.0)) == pytest.approx(5.0)


def test_a_line_to_a_surface_far_away_falls_back_on_the_closest_point() -> None:
    cube = Surface.from_mesh(CUBE, FACES)
    assert cube.gap_along_mm((1.0, 1.0, 100.0), (0.0, 0.0, -1.0)) == pytest.approx(98.0)


def test_the_surface_cannot_be_written() -> None:
    surface = Surface.from_mesh(CUBE, FACES)
    with pytest.raises(ValueError, match="read-only"):
        surface.vertices_mm[0, 0] = 1.0
