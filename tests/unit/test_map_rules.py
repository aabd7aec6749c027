"""The published map rule on small maps: ties, the fewest values and voxels, and what is reported where nothing is found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.map_rules import Clusters, contarg26

SHAPE = (6, 6, 6)
AFFINE = np.array([[-2.0, 0, 0, 40], [0, 2.0, 0, -20], [0, 0, 2.0, 10], [0, 0, 0, 1]])
EVERYWHERE = np.ones(SHAPE, bool)
Voxel = tuple[int, int, int]


def found_in(strengths: dict[Voxel, float], percentile: float = 100.0) -> Clusters:
    """What the rule finds in a map that is weakly positive but for the named voxels."""
    values = np.full(SHAPE, 0.01)
    for voxel, strength in strengths.items():
        values[voxel] = -strength
    return contarg26(values, EVERYWHERE, AFFINE, "negative", percentile=percentile)


def mm(*voxel: float) -> list[float]:
    return [float(number) for number in (AFFINE @ (*voxel, 1.0))[:3]]


def rod(row: int, *strengths: float) -> dict[Voxel, float]:
    return {(row, row, k): strength for k, strength in enumerate(strengths)}


def test_most_voxels_win_over_the_larger_sum() -> None:
    best = found_in(rod(0, 9, 9, 9) | rod(3, 1, 1, 1, 1)).best
    assert best is not None
    assert (best.n_vox, best.peak.tolist()) == (4, mm(3, 3, 0))


def test_of_equal_clusters_the_larger_sum_wins() -> None:
    best = found_in(rod(0, 1, 1, 1) | rod(3, 1, 1, 1.001)).best
    assert best is not None
    assert best.peak.tolist() == mm(3, 3, 2)


@pytest.mark.parametrize("strengths", [(0.1, 0.2, 0.3), (0.3, 0.2, 0.1), (0.2, 0.3, 0.1)])
def test_sums_that_differ_by_their_order_of_adding_alone_are_a_tie_for_the_first_voxel(strengths: tuple[float, ...]) -> None:
    best = found_in(rod(0, *strengths) | rod(3, 0.1, 0.3, 0.2)).best
    assert best is not None
    assert best.peak.tolist() == mm(0, 0, strengths.index(0.3))


@given(corner=st.tuples(*[st.integers(0, 4)] * 3), strength=st.floats(0.1, 5))
@settings(deadline=None)
def test_voxels_equally_near_the_weighted_centre_leave_the_first_in_c_order(corner: Voxel, strength: float) -> None:
    i, j, k = corner
    square = {(i + a, j + b, k): strength for a in (0, 1) for b in (0, 1)}
    best = found_in(square | {(5 - i, 5 - j, 5 if k < 3 else 0): 0.05}).best
    assert best is not None
    assert best.cog == pytest.approx(mm(i + 0.5, j + 0.5, k))
    assert best.snapped.tolist() == mm(i, j, k)


def test_weights_are_the_strengths_and_the_plain_centre_has_none() -> None:
    best = found_in(rod(2, 1, 1, 1, 1, 6)).best
    assert best is not None
    assert best.centre == pytest.approx(mm(2, 2, 2))
    assert best.cog == pytest.approx(mm(2, 2, 3))
    assert best.snapped.tolist() == mm(2, 2, 3)


def test_snapped_point_lies_in_a_cluster_that_its_centre_is_outside_of() -> None:
    bow = {(0, 0, 0): 1.0, (1, 0, 0): 1.0, (2, 0, 0): 1.0, (0, 1, 0): 1.0, (2, 1, 0): 1.0, (0, 2, 0): 1.0, (2, 2, 0): 1.0}
    best = found_in(bow).best
    assert best is not None
    assert [round(number) for number in np.linalg.solve(AFFINE, (*best.snapped, 1.0))[:3]] in [list(voxel) for voxel in bow]


def test_voxels_that_touch_at_a_corner_are_one_cluster() -> None:
    assert found_in({(n, n, n): 1.0 for n in range(5)}).sizes == (5,)


def test_five_values_give_a_target_and_four_none() -> None:
    five = found_in(rod(1, 1, 1, 1, 1, 1))
    assert (five.sizes, five.best is None, five.threshold) == ((5,), False, -1.0)
    four = found_in(rod(1, 1, 1, 1, 1))
    assert (four.sizes, four.n_kept, four.best, four.threshold) == ((), 0, None, -np.inf)
    assert (four.peak.tolist(), four.peak_z) == (mm(1, 1, 0), -1.0)


def test_three_connected_voxels_give_a_target_and_two_none() -> None:
    alone = {(5, 0, 0): 1.0, (0, 5, 0): 1.0}
    assert found_in(rod(2, 1, 1, 1) | alone).best is not None
    two = found_in(rod(2, 1, 1) | alone | {(5, 5, 5): 1.0})
    assert (two.sizes, two.best) == ((2, 1, 1, 1), None)
    assert two.n_kept == 5


def test_threshold_is_the_interpolated_percentile_of_the_negative_values_alone() -> None:
    strengths = rod(0, 1, 2, 3, 4, 5, 6)
    assert found_in(strengths, 20).threshold == pytest.approx(-5.0)
    assert found_in(strengths, 30).threshold == pytest.approx(-4.5)
    assert found_in(strengths, 20).n_kept == 2  # the value at the threshold is kept


def test_nought_is_neither_kept_nor_counted() -> None:
    values = np.zeros(SHAPE)
    values[0, 0, :5] = -1.0
    found = contarg26(values, EVERYWHERE, AFFINE, "negative", percentile=100)
    assert (found.n_kept, found.sizes) == (5, (5,))


def test_strongest_voxel_outside_the_mask_is_not_looked_at() -> None:
    values = np.full(SHAPE, -0.1)
    values[0, 0, 0] = -9.0
    inside = EVERYWHERE.copy()
    inside[0, 0, 0] = False
    found = contarg26(values, inside, AFFINE, "negative")
    assert found.peak_z == -0.1
    assert found.n_kept == inside.sum()


def test_positive_map_keeps_its_strongest_values_and_not_its_weakest() -> None:
    values = np.full(SHAPE, -0.01)
    values[2, 2, :6] = (1, 2, 3, 4, 5, 6)
    found = contarg26(values, EVERYWHERE, AFFINE, "positive", percentile=40)
    assert found.threshold == pytest.approx(4.0)
    assert found.best is not None
    assert (found.best.n_vox, found.best.peak_z) == (3, 6.0)
