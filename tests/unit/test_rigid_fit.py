import numpy as np
import pytest

from calibration.frames import apply_rigid, rigid_matrix, rotation_from_vector
from calibration.rigid_fit import DegeneratePoints, FitWarning, find_outlier, fit_rigid, refuse_duplicates, suggest_swap

HEAD = np.array([(0.0, 85.0, -46.0), (-83.0, -9.0, -46.0), (80.0, -5.0, -44.0), (-53.0, 68.0, -10.0), (50.0, 66.0, -39.0)])
MOVED = rigid_matrix(rotation_from_vector((0.4, -1.0, 0.7)), np.array((100.0, -30.0, 900.0)))


def touched(points: np.ndarray = HEAD) -> np.ndarray:
    return apply_rigid(MOVED, points)


def test_exact_pairs_give_back_the_pose() -> None:
    fit = fit_rigid(HEAD, touched())
    assert np.allclose(fit.matrix, MOVED, atol=1e-9)
    assert fit.fre_mm < 1e-9
    assert fit.warnings == ()


def test_the_fit_carries_the_named_frames() -> None:
    transform = fit_rigid(HEAD, touched()).transform("head", "mri")
    assert (transform.to, transform.frm) == ("head", "mri")


def test_a_heavy_weight_pulls_the_fit_to_its_point() -> None:
    off = touched()
    off[0] += (4.0, 0.0, 0.0)
    light, heavy = fit_rigid(HEAD, off), fit_rigid(HEAD, off, (100.0, 1.0, 1.0, 1.0, 1.0))
    assert heavy.residuals_mm[0] < 0.2 * light.residuals_mm[0]
    assert heavy.fre_weighted_mm < heavy.fre_mm


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 1.0, 1.0, 1.0, -1.0), (0.0,) * 5, (1.0, 1.0, 1.0, 1.0, float("nan"))])
def test_weights_that_make_no_sense_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        fit_rigid(HEAD, touched(), weights)


def refused(from_mm: np.ndarray, to_mm: np.ndarray, weights: tuple[float, ...] | None = None) -> str:
    with pytest.raises(DegeneratePoints) as refusal:
        fit_rigid(from_mm, to_mm, weights)
    return refusal.value.code


def test_two_points_are_too_few() -> None:
    assert refused(HEAD[:2], touched()[:2]) == "too_few_points"


def test_no_points_are_too_few() -> None:
    assert refused(np.empty((0, 3)), np.empty((0, 3))) == "too_few_points"


def test_points_that_count_are_counted_and_not_those_of_weight_0() -> None:
    assert refused(HEAD, touched(), (1.0, 1.0, 0.0, 0.0, 0.0)) == "too_few_points"


def test_points_on_a_line_are_refused_on_either_side() -> None:
    line = np.outer((0.0, 30.0, 60.0, 100.0, 130.0), (0.6, 0.0, 0.8))
    assert refused(line, touched()) == "collinear"
    assert refused(HEAD, line) == "collinear"


def test_one_place_touched_again_and_again_is_refused() -> None:
    assert refused(np.zeros((4, 3)), touched()[:4]) == "collinear"


def test_a_coordinate_that_is_not_a_number_is_refused() -> None:
    broken = touched()
    broken[1, 2] = np.nan
    assert refused(HEAD, broken) == "not_finite"


def test_points_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(ValueError, match="paired"):
        fit_rigid(HEAD, touched()[:4])


def test_points_near_a_line_are_fitted_with_a_warning() -> None:
    flat = np.array([(0.0, 0.0, 0.0), (60.0, 4.0, 0.0), (120.0, 0.0, 0.0)])
    assert fit_rigid(flat, touched(flat)).warnings == (FitWarning.ILL_CONDITIONED,)


def test_mirrored_points_leave_a_proper_rotation_and_a_warning() -> None:
    fit = fit_rigid(HEAD, touched(HEAD * (-1.0, 1.0, 1.0)))
    assert np.linalg.det(fit.matrix[:3, :3]) == pytest.approx(1.0)
    assert FitWarning.MIRRORED_POINTS in fit.warnings


def test_three_mirrored_points_cannot_be_told_and_are_not_accused() -> None:
    fit = fit_rigid(HEAD[:3], touched(HEAD[:3] * (-1.0, 1.0, 1.0)))
    assert np.linalg.det(fit.matrix[:3, :3]) == pytest.approx(1.0)
    assert fit.warnings == ()


def test_landmarks_closer_than_10_mm_are_named() -> None:
    with pytest.raises(DegeneratePoints, match=r"NAS and LEX lie 9\.0 mm apart") as refusal:
        refuse_duplicates({"NAS": (0.0, 0.0, 0.0), "RPA": (80.0, 0.0, 0.0), "LEX": (0.0, 9.0, 0.0)})
    assert refusal.value.code == "duplicate_points"


def test_landmarks_10_mm_apart_are_two_landmarks() -> None:
    refuse_duplicates({"NAS": (0.0, 0.0, 0.0), "LEX": (0.0, 10.0, 0.0)})


def test_swapped_ears_are_suggested_by_name() -> None:
    swap = suggest_swap(HEAD, touched()[[0, 2, 1, 3, 4]], ("NAS", "LPA", "RPA", "LEX", "REX"))
    assert swap is not None
    assert swap.labels == ("LPA", "RPA")
    assert swap.fre_after_mm < 1e-9


def test_no_swap_is_suggested_where_touches_are_only_noisy() -> None:
    noisy = touched() + np.random.default_rng(1).normal(0.0, 2.0, HEAD.shape)
    assert suggest_swap(HEAD, noisy, ("NAS", "LPA", "RPA", "LEX", "REX")) is None


def test_the_point_that_is_off_is_found_by_leaving_each_out() -> None:
    landmarks = np.vstack((HEAD, [(0.0, -115.0, 5.0)]))
    off = landmarks + np.random.default_rng(2).normal(0.0, 0.3, landmarks.shape)
    off[0] += (14.0, 0.0, 0.0)
    assert find_outlier(landmarks, touched(off)).suspect == 0


def test_noise_alone_makes_no_outlier() -> None:
    noisy = touched() + np.random.default_rng(3).normal(0.0, 1.0, HEAD.shape)
    assert find_outlier(HEAD, noisy).suspect is None


def test_three_points_cannot_say_which_is_off() -> None:
    off = touched()[:3]
    off[0] += (0.0, 20.0, 0.0)
    search = find_outlier(HEAD[:3], off)
    assert search.suspect is None
    assert search.left_out == (None, None, None)
