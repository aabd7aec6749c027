"""Selection of a target: the published vectors, the sample maps, and each rule and warning on small maps made for it."""

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.map_rules import cluster6, contarg26
from calibration.nifti import ImageError, check_image, load_volume
from calibration.target_map import mask_on_map, select, select_contarg26
from tests.images import AFFINE, SHAPE, shifted, write_image

SAMPLES = Path("tests/data/connectivity")
MASK = SAMPLES / "mask_native.nii.gz"
EXPECTED = json.loads((SAMPLES / "expected.json").read_text())["files"]
VECTORS = [
    vector for vector in json.loads(Path("tests/data/protocol_vectors.json").read_text())["vectors"] if vector["kind"] == "target_from_map"
]


@pytest.mark.parametrize("name", ["zmap_native", "zmap_native_LAS"])
def test_the_sample_map_gives_its_clusters_however_it_is_stored(name):
    expected = EXPECTED["zmap_native.nii.gz"]["expected"]
    selection = select(SAMPLES / f"{name}.nii.gz", MASK, "negative")
    assert selection.threshold == pytest.approx(expected["threshold"], abs=1e-3)
    assert [cluster.n_vox for cluster in selection.clusters] == [cluster["n_vox"] for cluster in expected["clusters"]]
    for cluster, wanted in zip(selection.clusters, expected["clusters"], strict=True):
        for key in ("cog", "snapped", "peak", "peak_z"):
            assert getattr(cluster, key) == pytest.approx(wanted[key], abs=1e-3)
        assert cluster.sum_score == pytest.approx(wanted["sum_score"], rel=1e-5)


def test_a_map_without_values_in_the_mask_is_refused():
    with pytest.raises(ImageError) as caught:
        select(SAMPLES / "zmap_allnan_in_mask.nii.gz", MASK, "negative")
    assert caught.value.code == "no_finite_values_in_mask"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_published_rule_gives_the_published_numbers(vector):
    given, expected = vector["input"], vector["expect"]
    values, inside = (np.array(given[key], dtype=float).reshape(given["shape"]) for key in ("values", "roi"))
    found = contarg26(values, inside > 0, np.array(given["affine"], float), "negative", percentile=given["percentile_of_negatives"])
    assert found.threshold == pytest.approx(expected["threshold"], abs=1e-6)
    assert sorted((cluster.n_vox for cluster in found.found), reverse=True) == expected["cluster_sizes"]
    assert (found.n_kept, found.peak_z) == (expected["voxels_kept"], expected["peak_value"])
    best = found.found[0]
    for got, key in ((best.centre, "centre_mm"), (best.cog, "weighted_centre_mm"), (best.snapped, "snapped_mm"), (found.peak, "peak_mm")):
        assert got == pytest.approx(expected[key], abs=0.002)


def test_a_positive_map_gives_what_its_negative_gives():
    values = np.random.default_rng(5).normal(size=(8, 8, 8))
    inside = np.ones(values.shape, bool)
    for rule in (cluster6, contarg26):
        negative, positive = rule(values, inside, AFFINE, "negative"), rule(-values, inside, AFFINE, "positive")
        assert [c.snapped.tolist() for c in negative.found] == [c.snapped.tolist() for c in positive.found]
        assert negative.peak_z == -positive.peak_z


def blocks(*sizes_and_scores: tuple[int, float]) -> np.ndarray:
    """Rods of the given length and value along x, apart from each other, in a map of weak noise of the wrong sign."""
    values = np.full(SHAPE, 0.1, np.float32) + np.random.default_rng(7).uniform(0, 0.01, SHAPE).astype(np.float32)
    for row, (size, score) in enumerate(sizes_and_scores):
        values[5 : 5 + size, 5 + 4 * row, 20] = -score
    return values


def selected(tmp_path: Path, values: np.ndarray, mask: np.ndarray | None = None, **kwargs):
    whole = np.ones(SHAPE, np.uint8) if mask is None else mask
    return select(write_image(tmp_path / "map.nii.gz", values), write_image(tmp_path / "mask.nii.gz", whole), "negative", **kwargs)


def test_a_map_of_the_wrong_sign_has_no_cluster(tmp_path):
    with pytest.raises(ImageError) as caught:
        selected(tmp_path, np.abs(blocks()))
    assert caught.value.code == "no_cluster"


def test_clusters_of_200_mm3_stay_and_smaller_ones_go(tmp_path):
    values = blocks((4, 3.0), (3, 9.0))  # voxels of 64 mm3: 256 and 192
    assert [cluster.n_vox for cluster in selected(tmp_path, values).clusters] == [4]


def test_the_largest_sum_wins_over_the_deepest_peak(tmp_path):
    first = selected(tmp_path, blocks((4, 5.0), (10, 3.0))).clusters[0]
    assert (first.n_vox, first.peak_z) == (10, -3.0)


def test_voxels_that_touch_at_edges_are_one_cluster_of_26_and_two_of_6(tmp_path):
    values = blocks((4, 3.0))
    values[9:13, 6, 20] = -3.0
    assert len(selected(tmp_path, values).clusters) == 2
    assert len(selected(tmp_path, values, connectivity=26).clusters) == 1


def test_two_clusters_of_like_strength_are_called_ambiguous(tmp_path):
    assert "ambiguous_target" in selected(tmp_path, blocks((6, 3.0), (5, 3.0))).warnings
    assert "ambiguous_target" not in selected(tmp_path, blocks((8, 3.0), (4, 3.0))).warnings


def test_a_target_that_moves_with_the_threshold_is_called_sensitive(tmp_path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:38, 4:14, 20] = 1
    values = np.full(SHAPE, 1.0, np.float32)
    values[5:24, 5, 20] = -6.0  # strongest: alone within 5 % of 360 voxels
    values[4:38, 10, 20] = -5.0  # larger in sum once 10 % are kept
    selection = selected(tmp_path, values, mask)
    assert "threshold_sensitive" in selection.warnings
    assert selection.sensitivity[0].shift_mm > 8


def test_a_mask_of_another_grid_is_brought_to_the_map(tmp_path):
    fine = np.diag([2.0, 2.0, 2.0, 1.0])
    fine[:3, 3] = AFFINE[:3, 3] - 1.0
    mask = np.zeros((80, 92, 80), np.uint8)
    mask[10:30, 20:40, 30:50] = 1
    on = load_volume(check_image(write_image(tmp_path / "map.nii.gz")))
    given = load_volume(check_image(write_image(tmp_path / "mask.nii.gz", mask, affine=fine)))
    brought = mask_on_map(given, on, "mask")
    assert brought.shape == SHAPE
    assert np.argwhere(brought).min(axis=0).tolist() == [5, 10, 15]
    assert brought.sum() == 1000


def test_a_mask_on_the_map_s_grid_is_taken_as_it_is(tmp_path):
    on = load_volume(check_image(write_image(tmp_path / "map.nii.gz")))
    given = load_volume(check_image(write_image(tmp_path / "mask.nii.gz", np.random.default_rng(1).integers(0, 2, SHAPE, np.uint8))))
    assert np.array_equal(mask_on_map(given, on, "mask"), given.values > 0)


@pytest.mark.parametrize(("shift_mm", "passes"), [(8.0, True), (16.0, False)])
def test_a_mask_must_lie_in_the_map_s_field_by_95_percent(tmp_path, shift_mm, passes):
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, :, 0] = 1  # 40 columns: two outside are 5 %, four are 10 %
    on = load_volume(check_image(write_image(tmp_path / "map.nii.gz")))
    given = load_volume(check_image(write_image(tmp_path / "mask.nii.gz", mask, affine=shifted(AFFINE, (-shift_mm, 0, 0)))))
    if passes:
        assert mask_on_map(given, on, "mask").any()
    else:
        with pytest.raises(ImageError) as caught:
            mask_on_map(given, on, "mask")
        assert caught.value.code == "mask_outside_map"


def test_an_empty_mask_is_refused(tmp_path):
    with pytest.raises(ImageError) as caught:
        selected(tmp_path, blocks((6, 3.0)), np.zeros(SHAPE, np.uint8))
    assert caught.value.code == "no_finite_values_in_mask"


def test_the_published_rule_on_files_snaps_to_a_voxel_of_the_sample():
    selection = select_contarg26(SAMPLES / "zmap_native.nii.gz", MASK, "negative")
    assert selection.rule == "contarg26"
    assert selection.target_mm.tolist() == [-42.0, 42.0, 28.0]


def test_the_published_rule_finds_nothing_in_four_values(tmp_path):
    values = np.full(SHAPE, 0.1, np.float32)
    values[5:9, 5, 20] = -3.0
    mask = write_image(tmp_path / "mask.nii.gz", np.ones(SHAPE, np.uint8))
    with pytest.raises(ImageError) as caught:
        select_contarg26(write_image(tmp_path / "map.nii.gz", values), mask, "negative")
    assert caught.value.code == "no_cluster"
