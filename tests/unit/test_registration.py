import dataclasses
import math

import numpy as np
import pytest

from calibration.expected_error import ErrorPart, Part
from calibration.frames import Transform, apply_rigid, rigid_matrix, rotation_from_vector
from calibration.registration import Caution, Refusal, Registration, RegistrationLimits, Verdict, _judged, register
from calibration.registration_change import Change
from calibration.rigid_fit import DegeneratePoints, FitWarning
from calibration.surface_fit import Anchors, fit_surface
from tests import swept_head
from tests.swept_head import TARGET_IN_MRI_MM, Sweep, marked, on_scalp, scalp, sweep

LIMITS = RegistrationLimits()


def registered(given: Sweep, limits: RegistrationLimits = LIMITS, first: Transform | None = None) -> Registration:
    target, points = TARGET_IN_MRI_MM, given.points_in_head_mm
    return register(given.touched, marked(), points, scalp(), target_in_mri_mm=target, limits=limits, first_mri_from_head=first)


def test_a_clean_sweep_is_good_and_within_a_millimetre_or_two() -> None:
    given = sweep(0)
    result = registered(given)
    assert (result.verdict, result.reasons, result.warnings) == (Verdict.GOOD, (), ())
    assert given.target_error_mm(result.mri_from_head.matrix) < 2.0
    assert (result.mri_from_head.to, result.mri_from_head.frm) == ("mri", "head")


def test_the_expected_error_covers_the_true_error_in_95_percent_of_heads() -> None:
    covered = 0
    for seed in range(60):
        given = sweep(seed)
        result = registered(given)
        covered += given.target_error_mm(result.mri_from_head.matrix) <= result.expected_error_mm
    assert covered >= 57


def test_no_one_is_ever_told_of_less_than_a_millimetre_and_a_half() -> None:
    assert registered(sweep(1, noise_mm=0.0, landmark_error_mm=0.0)).expected_error_mm >= 1.5


def test_the_fit_finds_home_from_10_mm_and_10_degrees_off() -> None:
    given = sweep(2, landmark_error_mm=0.0)
    marks = np.array([marked()[name] for name in given.touched])
    off = rigid_matrix(rotation_from_vector(np.radians((6.0, -6.0, 5.3))), np.array((6.0, -5.0, 6.2)))
    anchors = Anchors(np.array(list(given.touched.values())), marks, 2.5)
    fit = fit_surface(off @ given.true_mri_from_head, given.points_in_head_mm, scalp(), anchors)
    assert given.target_error_mm(fit.mri_from_head) < 0.5


def test_outliers_do_not_pull_the_fit_away() -> None:
    rng = np.random.default_rng(3)
    points = on_scalp(rng, 300)
    points[:30] += scalp().closest(points[:30]).normals * rng.uniform(5.0, 15.0, (30, 1))
    given = sweep(3, points_in_mri_mm=points)
    result = registered(given)
    assert result.verdict is not Verdict.REPEAT
    assert given.target_error_mm(result.mri_from_head.matrix) < 2.0


def test_hair_on_half_the_scalp_is_noticed_and_raises_the_expected_error() -> None:
    for seed in range(6):
        points = on_scalp(np.random.default_rng(seed), 300)
        lifted = points[:, 0] > 0.0
        points[lifted & (points[:, 2] > 20.0)] += 3.0 * scalp().closest(points[lifted & (points[:, 2] > 20.0)]).normals
        result = registered(sweep(seed, points_in_mri_mm=points))
        assert Caution.REGIONS_FLOAT in result.warnings
        assert result.expected_error_mm > 2.0


def test_clean_sweeps_are_not_said_to_float() -> None:
    assert not [seed for seed in range(20) if Caution.REGIONS_FLOAT in registered(sweep(seed)).warnings]


def test_the_target_is_found_within_half_a_millimetre_in_most_heads() -> None:
    errors_mm = [sweep(seed).target_error_mm(registered(sweep(seed)).mri_from_head.matrix) for seed in range(21)]
    assert np.median(errors_mm) <= 0.5


def test_the_expected_error_is_the_sum_of_its_named_parts() -> None:
    result = registered(sweep(0))
    assert [part.name for part in result.expected_parts] == [Part.LANDMARKS, Part.POINTS, Part.REGIONS, Part.UNMODELLED]
    assert result.expected_error_mm == pytest.approx(math.sqrt(sum(part.mm**2 for part in result.expected_parts)))


def test_every_swept_point_has_its_residual() -> None:
    result = registered(sweep(0))
    assert result.signed_mm is not None
    assert len(result.signed_mm) == 300
    assert float(np.mean(result.signed_mm)) == result.signed_mean_mm


def test_too_few_points_leave_the_landmarks_alone_and_must_be_repeated() -> None:
    result = registered(sweep(4, points_in_mri_mm=on_scalp(np.random.default_rng(4), 59)))
    assert result.reasons == (Refusal.TOO_FEW_POINTS,)
    assert result.surface_rms_mm is None
    assert result.expected_error_mm > 2.0


def test_sixty_points_are_enough() -> None:
    result = registered(sweep(4, points_in_mri_mm=on_scalp(np.random.default_rng(4), 60)))
    assert Refusal.TOO_FEW_POINTS not in result.reasons
    assert result.surface_rms_mm is not None


def test_no_sweep_at_all_must_be_repeated() -> None:
    assert registered(sweep(4, points_in_mri_mm=np.empty((0, 3)))).verdict is Verdict.REPEAT


def test_another_persons_head_must_be_repeated() -> None:
    stretched = on_scalp(np.random.default_rng(5), 300) * (1.08, 1.0, 1.0)
    result = registered(sweep(5, points_in_mri_mm=stretched))
    assert Refusal.POINTS_FAR_FROM_SCALP in result.reasons


def test_a_landmark_touched_in_the_wrong_place_must_be_repeated() -> None:
    given = sweep(6, landmark_error_mm=0.5)
    given.touched["NAS"] += (9.0, 0.0, 0.0)
    result = registered(given)
    assert Refusal.LANDMARK_MOVED in result.reasons
    assert result.landmarks_moved_mm[result.landmarks.index("NAS")] > 5.0


def test_ears_touched_under_each_others_names_must_be_repeated() -> None:
    given = sweep(7)
    given.touched["LPA"], given.touched["RPA"] = given.touched["RPA"], given.touched["LPA"]
    result = registered(given)
    assert result.verdict is Verdict.REPEAT
    assert result.swapped == ("LPA", "RPA")  # the landmarks alone fit either way, on a head upside down


def test_a_mirrored_sweep_is_not_what_the_residual_can_tell() -> None:
    """Why a person has to have the left ear under the tip: a head fits its own mirror image."""
    mirrored = on_scalp(np.random.default_rng(5), 300) * (-1.0, 1.0, 1.0)
    given = sweep(5, points_in_mri_mm=mirrored)
    assert registered(given).verdict is not Verdict.REPEAT


def test_a_registration_is_held_against_the_days_first() -> None:
    given = sweep(0)
    first = registered(given).mri_from_head
    same = registered(given, first=first)
    assert same.change is not None
    assert same.change.at_target_mm == pytest.approx(0.0, abs=1e-9)
    moved = Transform("mri", "mri", rigid_matrix(np.eye(3), np.array((0.0, 3.2, 0.0)))) @ first
    off = registered(given, first=moved)
    assert off.change is not None
    assert off.change.at_target_mm == pytest.approx(3.2)
    assert off.reasons == (Refusal.DIFFERS_FROM_FIRST,)


def test_swapped_landmarks_are_named() -> None:
    given = sweep(8, landmarks=("NAS", "LPA", "RPA", "LEX", "REX"), landmark_error_mm=0.5)
    given.touched["NAS"], given.touched["LEX"] = given.touched["LEX"], given.touched["NAS"]
    result = registered(given)
    assert Refusal.LANDMARKS_SWAPPED in result.reasons
    assert result.swapped == ("NAS", "LEX")


def test_an_outlying_landmark_is_named() -> None:
    given = sweep(9, landmarks=("NAS", "LPA", "RPA", "LEX", "REX"), landmark_error_mm=0.5)
    given.touched["NAS"] = apply_rigid(np.linalg.inv(given.true_mri_from_head), np.add(marked()["NAS"], (14.0, 0.0, 0.0)))
    result = registered(given)
    assert Caution.LANDMARK_OUTLIER in result.warnings
    assert result.outlier == "NAS"


def test_a_sweep_of_the_crown_alone_leaves_something_to_slide() -> None:
    rng = np.random.default_rng(10)
    points = on_scalp(rng, 4000)
    result = registered(sweep(10, points_in_mri_mm=points[points[:, 2] > 75.0][:300]))
    assert Caution.SURFACE_UNDERCONSTRAINED in result.warnings
    assert result.verdict is Verdict.LOOK


def test_points_that_float_around_the_whole_head_are_noticed() -> None:
    points = on_scalp(np.random.default_rng(11), 300)
    floating = points + 4.0 * scalp().closest(points).normals
    result = registered(sweep(11, points_in_mri_mm=floating, landmark_error_mm=0.5))
    assert result.signed_mean_mm is not None
    assert result.signed_mean_mm > 1.0
    assert Caution.POINTS_FLOAT_OFF_SCALP in result.warnings


def test_a_swept_point_that_is_not_a_number_is_refused() -> None:
    given = sweep(12)
    given.points_in_head_mm[17, 1] = np.nan
    with pytest.raises(DegeneratePoints, match="Sweep the scalp again"):
        registered(given)


def test_two_landmarks_touched_in_one_place_are_refused() -> None:
    given = sweep(13)
    given.touched["LPA"] = given.touched["NAS"] + (3.0, 0.0, 0.0)
    with pytest.raises(DegeneratePoints, match="NAS and LPA"):
        registered(given)


def test_two_landmarks_are_too_few() -> None:
    with pytest.raises(DegeneratePoints, match="2 points"):
        registered(sweep(14, landmarks=("NAS", "LPA")))


def test_a_landmark_that_is_not_marked_in_the_image_is_named() -> None:
    given = sweep(15)
    given.touched["INION"] = np.zeros(3)
    with pytest.raises(ValueError, match="INION"):
        registered(given)


def test_marks_that_were_not_touched_do_no_harm() -> None:
    given = sweep(16, landmarks=("NAS", "LPA", "RPA"))
    assert registered(given).landmarks == ("NAS", "LPA", "RPA")


FINE = Registration(
    mri_from_head=Transform.identity("mri", "head"),
    landmarks=("NAS", "LPA", "RPA"),
    landmarks_moved_mm=(5.0, 1.0, 1.0),
    landmark_warnings=(),
    fre_mm=1.0,
    sweep_points=60,
    surface_rms_mm=1.5,
    share_within_3mm=0.80,
    signed_mean_mm=1.0,
    conditioning=1e-3,
    alike_mm=0.25,
    target_shift_mm=10.0,
    expected_parts=(ErrorPart(Part.POINTS, 3.0), ErrorPart(Part.UNMODELLED, 4.0)),
    swapped=None,
    outlier=None,
)


def test_every_number_at_its_limit_is_good() -> None:
    assert _judged(FINE, LIMITS).verdict is Verdict.GOOD


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("sweep_points", 59, Refusal.TOO_FEW_POINTS),
        ("surface_rms_mm", None, Refusal.TOO_FEW_POINTS),
        ("surface_rms_mm", 2.501, Refusal.SURFACE_RMS_HIGH),
        ("surface_rms_mm", math.nan, Refusal.SURFACE_RMS_HIGH),
        ("share_within_3mm", 0.799, Refusal.POINTS_FAR_FROM_SCALP),
        ("share_within_3mm", math.nan, Refusal.POINTS_FAR_FROM_SCALP),
        ("landmarks_moved_mm", (1.0, 5.001, 1.0), Refusal.LANDMARK_MOVED),
        ("landmarks_moved_mm", (1.0, math.nan, 1.0), Refusal.LANDMARK_MOVED),
        ("target_shift_mm", 10.001, Refusal.TARGET_SHIFTED),
        ("target_shift_mm", math.nan, Refusal.TARGET_SHIFTED),
        ("expected_parts", (ErrorPart(Part.POINTS, 5.001),), Refusal.EXPECTED_ERROR_HIGH),
        ("expected_parts", (ErrorPart(Part.POINTS, math.nan),), Refusal.EXPECTED_ERROR_HIGH),
        ("landmark_warnings", (FitWarning.MIRRORED_POINTS,), Refusal.MIRRORED_POINTS),
        ("swapped", ("LPA", "RPA"), Refusal.LANDMARKS_SWAPPED),
        ("change", Change(3.001, 0.0), Refusal.DIFFERS_FROM_FIRST),
        ("change", Change(0.0, 3.001), Refusal.DIFFERS_FROM_FIRST),
        ("change", Change(math.nan, 0.0), Refusal.DIFFERS_FROM_FIRST),
    ],
)
def test_each_limit_passed_must_be_repeated(field: str, value: object, found: Refusal) -> None:
    result = _judged(dataclasses.replace(FINE, **{field: value}), LIMITS)
    assert found in result.reasons
    assert result.verdict is Verdict.REPEAT


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("surface_rms_mm", 1.501, Caution.SURFACE_RMS_RAISED),
        ("conditioning", 0.99e-3, Caution.SURFACE_UNDERCONSTRAINED),
        ("conditioning", math.nan, Caution.SURFACE_UNDERCONSTRAINED),
        ("signed_mean_mm", 1.001, Caution.POINTS_FLOAT_OFF_SCALP),
        ("alike_mm", 0.251, Caution.REGIONS_FLOAT),
        ("alike_mm", math.nan, Caution.REGIONS_FLOAT),
        ("landmark_warnings", (FitWarning.ILL_CONDITIONED,), Caution.ILL_CONDITIONED),
        ("outlier", "NAS", Caution.LANDMARK_OUTLIER),
    ],
)
def test_each_doubt_alone_asks_a_person_to_look(field: str, value: object, found: Caution) -> None:
    result = _judged(dataclasses.replace(FINE, **{field: value}), LIMITS)
    assert (result.reasons, result.warnings, result.verdict) == ((), (found,), Verdict.LOOK)


def test_all_that_is_wrong_is_said_at_once() -> None:
    slipped = (ErrorPart(Part.SLIP, 9.0),)
    result = _judged(dataclasses.replace(FINE, sweep_points=10, expected_parts=slipped, swapped=("LPA", "RPA"), outlier="NAS"), LIMITS)
    assert result.reasons == (Refusal.TOO_FEW_POINTS, Refusal.EXPECTED_ERROR_HIGH, Refusal.LANDMARKS_SWAPPED)
    assert result.warnings == (Caution.LANDMARK_OUTLIER,)


@pytest.mark.parametrize(
    "limits",
    [
        {"surface_rms_good_mm": 2.6},
        {"share_within_3mm": 1.1},
        {"expected_error_mm": 0.0},
        {"expected_error_mm": math.nan},
        {"target_shift_mm": math.inf},
    ],
)
def test_limits_that_contradict_themselves_cannot_be_built(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        RegistrationLimits(**limits)


def test_a_tighter_limit_of_the_plan_is_kept() -> None:
    result = registered(sweep(0), RegistrationLimits(expected_error_mm=1.5))
    assert result.reasons == (Refusal.EXPECTED_ERROR_HIGH,)


def test_the_same_sweep_gives_the_same_registration_wherever_the_head_stood() -> None:
    given = sweep(17)
    elsewhere = rigid_matrix(rotation_from_vector((0.2, 1.0, -0.6)), np.array((300.0, 20.0, -900.0)))
    moved = Sweep(
        {name: apply_rigid(elsewhere, point) for name, point in given.touched.items()},
        apply_rigid(elsewhere, given.points_in_head_mm),
        given.true_mri_from_head @ np.linalg.inv(elsewhere),
    )
    here, there = registered(given), registered(moved)
    assert here.expected_error_mm == pytest.approx(there.expected_error_mm, abs=1e-6)
    assert moved.target_error_mm(there.mri_from_head.matrix) == pytest.approx(given.target_error_mm(here.mri_from_head.matrix), abs=1e-6)


def test_the_sample_head_is_the_one_the_project_ships() -> None:
    assert len(scalp().vertices_mm) == len(swept_head.mesh()[0]) == 20002
