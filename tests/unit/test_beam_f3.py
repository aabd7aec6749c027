"""Beam F3 from three tape measures: published example, mirror-free numbers, and what no head measures."""

import math

import pytest

from calibration.beam_f3 import BeamError, Variant, beam_f3, measured_twice


def test_calculator_that_clinics_use_gives_its_published_example() -> None:
    found = beam_f3(36, 36, 56)
    assert (found.x_cm, found.y_cm) == pytest.approx((6.469, 9.5), abs=0.001)
    assert found.y_mri_cm == pytest.approx(found.y_cm + 0.35)


def test_variants_are_about_a_centimetre_apart() -> None:
    web, geometric = beam_f3(36, 36, 56, Variant.WEB), beam_f3(36, 36, 56, Variant.GEOMETRIC)
    assert 0.8 < web.x_cm - geometric.x_cm < 1.0
    assert 0.8 < web.y_cm - geometric.y_cm < 1.0


@pytest.mark.parametrize("variant", Variant)
def test_larger_head_puts_the_point_farther_from_vertex_and_midline(variant: Variant) -> None:
    small, large = beam_f3(34, 34, 53, variant), beam_f3(38, 38, 60, variant)
    assert large.x_cm > small.x_cm
    assert large.y_cm > small.y_cm


@pytest.mark.parametrize(
    ("measures", "named"),
    [
        ((29.9, 36, 56), "tragus to tragus"),
        ((36, 44.1, 56), "nasion to inion"),
        ((36, 36, 47.9), "circumference"),
        ((36, 36, 560), "circumference"),
        ((math.nan, 36, 56), "tragus to tragus"),
        ((36, 36, math.inf), "circumference"),
    ],
)
def test_measure_of_no_head_is_refused_by_name(measures: tuple[float, float, float], named: str) -> None:
    with pytest.raises(BeamError, match=named) as refused:
        beam_f3(*measures)
    assert refused.value.code == "measure_out_of_range"


def test_two_measures_of_one_distance_may_differ_by_half_a_centimetre() -> None:
    assert measured_twice("circumference", 56.0, 56.5) == 56.25
    for second in (56.51, math.nan):
        with pytest.raises(BeamError, match="circumference"):
            measured_twice("circumference", 56.0, second)
