import math

import numpy as np
import pytest

from calibration.coil_error import coil_error
from calibration.error_sigma import ErrorParts, error_sigma
from calibration.frames import Transform, rigid_matrix, rotation_from_vector
from calibration.rigid_fit import fit_rigid

NOTHING = ErrorParts(registration_mm=0.0, coil_mm=0.0, coil_deg=0.0)
TWO = math.sqrt(2.0)


def test_the_trackers_part_is_what_was_simulated_for_its_markers_noise() -> None:
    sigma = error_sigma(NOTHING, 0.12 / TWO, 0.12 / TWO)  # four markers leave 1/sqrt 2 of their noise as residual
    assert sigma.target_error_mm == pytest.approx(0.27)
    assert sigma.angular_error_deg == pytest.approx(0.15)
    assert sigma.twist_error_deg == pytest.approx(0.09)


def test_the_stated_ratios_hold_for_simulated_markers() -> None:
    """Head reference 110 mm from the target, coil tool 90 mm from its face, 0.12 mm of noise (RMS, 3-D) in each of four markers."""
    rng = np.random.default_rng(3)
    markers = np.array([(0.0, 0.0, 0.0), (66.0, 20.0, 0.0), (33.0, 78.0, 0.0), (-67.0, 25.0, -1.0)])
    target, cortex = Transform.identity("mri", "coil"), (0.0, 0.0, 22.0)
    head, tool = (Transform("mri", "coil", rigid_matrix(np.eye(3), np.array(mm))) for mm in ((0.0, 0.0, 110.0), (0.0, 0.0, -90.0)))
    found = []
    for _ in range(600):
        wrong = []
        for place in (head, tool):
            seen = place.apply(markers) + rng.normal(0.0, 0.12 / math.sqrt(3.0), (4, 3))
            wrong.append(Transform("mri", "coil", fit_rigid(place.apply(markers), seen).matrix))
        pose = Transform("mri", "coil", wrong[0].inverse().matrix @ wrong[1].matrix)
        error = coil_error(target, pose, cortex)
        found.append((error.target_error_mm, error.angular_error_deg, error.twist_error_deg))
    rms = np.sqrt((np.array(found) ** 2).mean(axis=0))
    sigma = error_sigma(NOTHING, 0.12 / TWO, 0.12 / TWO)
    stated = (sigma.target_error_mm, sigma.angular_error_deg, sigma.twist_error_deg)
    for is_rms, said in zip(rms.tolist(), stated, strict=True):
        assert said is not None
        assert 0.5 * is_rms < said < 2.0 * is_rms, "another tool, another share; the order of size must hold"


def test_a_registrations_error_in_space_is_split_among_the_axes() -> None:
    sigma = error_sigma(ErrorParts(registration_mm=3.0, coil_mm=0.0, coil_deg=0.0), 0.0, 0.0)
    assert sigma.distance_to_target_mm == pytest.approx(3.0)
    assert sigma.target_error_mm == pytest.approx(3.0 * math.sqrt(2.0 / 3.0))
    assert sigma.gap_mm == sigma.lateral_x_mm == sigma.beam_depth_mm == pytest.approx(3.0 / math.sqrt(3.0))


def test_parts_add_in_quadrature() -> None:
    sigma = error_sigma(ErrorParts(registration_mm=2.0, coil_mm=1.0, coil_deg=0.5, slip_mm=2.0, slip_deg=0.3), 0.0, 0.0)
    assert sigma.distance_to_target_mm == pytest.approx(3.0)
    turn_deg = math.degrees(2.0 / (TWO * 80.0))
    assert sigma.tilt_x_deg == pytest.approx(math.sqrt(turn_deg**2 + 0.25 + 0.09))
    assert sigma.rotation_total_deg == pytest.approx(math.sqrt(3.0) * math.sqrt(turn_deg**2 + 0.25 + 0.09))


@pytest.mark.parametrize("part", ["registration_mm", "coil_mm", "slip_mm"])
def test_a_part_that_nobody_knows_leaves_lengths_unknown(part: str) -> None:
    fields: dict[str, float | None] = {"registration_mm": 1.0, "coil_mm": 1.0, "coil_deg": 1.0, "slip_mm": 0.0, "slip_deg": 0.0, part: None}
    sigma = error_sigma(ErrorParts(**fields), 0.1, 0.1)
    assert sigma.distance_to_target_mm is sigma.target_error_mm is sigma.beam_x_mm is None


def test_without_the_cameras_residual_or_with_nan_nothing_is_known() -> None:
    for fits in ((None, 0.1), (0.1, None), (math.nan, 0.1)):
        sigma = error_sigma(NOTHING, *fits)
        assert sigma.target_error_mm is None and sigma.twist_error_deg is None


def test_a_turn_of_one_degree_is_not_hidden_in_a_smaller_sigma() -> None:
    pose = Transform("mri", "coil", rigid_matrix(rotation_from_vector((math.radians(1.0), 0.0, 0.0)), np.zeros(3)))
    assert coil_error(Transform.identity("mri", "coil"), pose, None).angular_error_deg == pytest.approx(1.0)
    assert error_sigma(ErrorParts(registration_mm=0.0, coil_mm=0.0, coil_deg=1.0), 0.0, 0.0).angular_error_deg == pytest.approx(TWO)
