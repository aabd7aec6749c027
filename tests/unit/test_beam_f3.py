"""Beam F3 from three tape measures: published examples, every head of the allowed range, and what no head measures."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.beam_f3 import BeamError, Variant, beam_f3, measured_twice

arcs, rings, variants = st.floats(30, 44), st.floats(48, 66), st.sampled_from(Variant)


@pytest.mark.parametrize(
    ("variant", "measures", "x_y_theta"),
    [
        (Variant.WEB, (36, 36, 56), (6.469, 9.500, -48.411)),
        (Variant.GEOMETRIC, (36, 36, 56), (5.567, 8.666, -54.210)),
        (Variant.WEB, (38, 35, 55), (6.321, 9.561, -48.623)),
        (Variant.GEOMETRIC, (38, 35, 55), (5.447, 8.739, -54.347)),
    ],
)
def test_known_heads_give_their_known_points(
    variant: Variant, measures: tuple[float, float, float], x_y_theta: tuple[float, float, float]
) -> None:
    found = beam_f3(*measures, variant)
    assert (found.x_cm, found.y_cm, found.theta_deg) == pytest.approx(x_y_theta, abs=0.001)
    assert found.y_mri_cm == pytest.approx(found.y_cm + 0.35)
    assert found.variant is variant


def test_calculator_that_clinics_use_is_the_default() -> None:
    assert beam_f3(36, 36, 56) == beam_f3(36, 36, 56, Variant.WEB)


def test_variants_are_about_a_centimetre_apart() -> None:
    web, geometric = beam_f3(36, 36, 56, Variant.WEB), beam_f3(36, 36, 56, Variant.GEOMETRIC)
    assert 0.8 < web.x_cm - geometric.x_cm < 1.0
    assert 0.8 < web.y_cm - geometric.y_cm < 1.0


@given(variant=variants, across=arcs, along=arcs)
def test_point_is_where_the_line_from_fz_to_f7_meets_that_from_c3_to_fp1(variant: Variant, across: float, along: float) -> None:
    f7_deg, fp1_deg, share = (324, 298, 0.91) if variant is Variant.WEB else (324, 288, 0.90)
    found = beam_f3(across, along, 56, variant)
    length, angle = found.y_cm / share, math.radians(found.theta_deg)
    x, y = length * math.cos(angle), length * math.sin(angle)
    r1, r2 = 0.4 * along, 0.4 * across
    f7 = (r2 if variant is Variant.WEB else r2 * _cos(f7_deg), r2 * _sin(f7_deg))
    fp1 = (r1 * _cos(fp1_deg), r1 * _sin(fp1_deg))
    for (x1, y1), (x2, y2) in (((0, -r1 / 2), f7), ((r2 / 2, 0), fp1)):
        assert (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) == pytest.approx(0, abs=1e-9)


@given(variant=variants, across=arcs, along=arcs, ring=rings)
def test_every_head_gets_a_point_between_midline_and_ear(variant: Variant, across: float, along: float, ring: float) -> None:
    found = beam_f3(across, along, ring, variant)
    assert -90 < found.theta_deg < 0
    assert 0 < found.x_cm < ring / 4
    assert 0 < found.y_cm < max(across, along) / 2


@given(variant=variants, across=st.floats(30, 36), along=st.floats(30, 36), ring=st.floats(48, 54), factor=st.floats(1, 1.2))
def test_larger_head_of_the_same_shape_has_its_point_farther_by_as_much(
    variant: Variant, across: float, along: float, ring: float, factor: float
) -> None:
    small, large = (beam_f3(across * by, along * by, ring * by, variant) for by in (1.0, factor))
    assert (large.x_cm, large.y_cm) == pytest.approx((small.x_cm * factor, small.y_cm * factor))


def test_head_on_which_the_line_from_c3_to_fp1_has_no_slope_is_laid_out_like_its_neighbours() -> None:
    upright = 30 * 0.5 / _cos(298)
    before, there, after = (beam_f3(30, upright + change, 56, Variant.WEB) for change in (-1e-6, 0.0, 1e-6))
    assert (there.x_cm, there.y_cm) == pytest.approx((before.x_cm, before.y_cm), abs=1e-5)
    assert (there.x_cm, there.y_cm) == pytest.approx((after.x_cm, after.y_cm), abs=1e-5)


@pytest.mark.parametrize("measures", [(30, 30, 48), (44, 44, 66), (30, 44, 48), (44, 30, 66)])
def test_ends_of_the_allowed_ranges_are_allowed(measures: tuple[float, float, float]) -> None:
    for variant in Variant:
        assert beam_f3(*measures, variant).y_cm > 0


@pytest.mark.parametrize(
    ("measures", "named"),
    [
        ((29.9, 36, 56), "tragus to tragus"),
        ((44.1, 36, 56), "tragus to tragus"),
        ((360, 36, 56), "tragus to tragus"),
        ((math.nan, 36, 56), "tragus to tragus"),
        ((36, 29.9, 56), "nasion to inion"),
        ((36, 44.1, 56), "nasion to inion"),
        ((36, -36, 56), "nasion to inion"),
        ((36, 0, 56), "nasion to inion"),
        ((36, 36, 47.9), "circumference"),
        ((36, 36, 66.1), "circumference"),
        ((36, 36, 560), "circumference"),
        ((36, 36, math.inf), "circumference"),
    ],
)
def test_measure_of_no_head_is_refused_by_name(measures: tuple[float, float, float], named: str) -> None:
    with pytest.raises(BeamError, match=named) as refused:
        beam_f3(*measures)
    assert refused.value.code == "measure_out_of_range"


@given(tenths=st.integers(300, 655))
def test_two_measures_of_one_distance_may_differ_by_half_a_centimetre(tenths: int) -> None:
    assert measured_twice("circumference", tenths / 10, (tenths + 5) / 10) == pytest.approx(tenths / 10 + 0.25)
    with pytest.raises(BeamError, match="circumference") as refused:
        measured_twice("circumference", (tenths + 6) / 10, tenths / 10)
    assert refused.value.code == "measures_differ"


@pytest.mark.parametrize("measures", [(56.0, math.nan), (math.nan, 56.0), (56.0, math.inf), (math.inf, math.inf)])
def test_measure_that_is_no_number_has_no_mean(measures: tuple[float, float]) -> None:
    with pytest.raises(BeamError):
        measured_twice("circumference", *measures)


def _cos(degrees: float) -> float:
    return math.cos(math.radians(degrees))


def _sin(degrees: float) -> float:
    return math.sin(math.radians(degrees))
