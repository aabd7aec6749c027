import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.coil_error import CoilChain, CoilError, coil_error
from calibration.frames import Transform

part = st.floats(-1.0, 1.0)
quaternions = st.tuples(part, part, part, part).filter(lambda q: math.hypot(*q) > 1e-2)
positions = st.tuples(*(st.floats(-200.0, 200.0),) * 3)
ALWAYS_THERE = ("distance_to_target_mm", "target_error_mm", "angular_error_deg", "lateral_mm", "gap_mm", "rotation_total_deg")


@st.composite
def poses(draw: st.DrawFn, to: str = "mri", frm: str = "coil") -> Transform:
    return Transform.from_quaternion(to, frm, draw(quaternions), draw(positions))


@given(poses(), poses(), positions)
def test_every_number_is_finite_in_range_or_unknown(target: Transform, current: Transform, cortex: tuple[float, float, float]) -> None:
    error = coil_error(target, current, cortex)
    numbers = {name: getattr(error, name) for name in CoilError.__struct_fields__}
    assert all(value is None or math.isfinite(value) for value in numbers.values())
    assert all(numbers[name] is not None for name in ALWAYS_THERE)
    assert 0.0 <= error.angular_error_deg <= error.rotation_total_deg + 1e-4 <= 180.0 + 1e-3
    assert error.twist_error_deg is None or -180.0 < error.twist_error_deg <= 180.0


@given(poses(), poses(), positions)
def test_the_parts_make_up_the_whole(target: Transform, current: Transform, cortex: tuple[float, float, float]) -> None:
    error = coil_error(target, current, cortex)
    assert math.hypot(error.lateral_x_mm, error.lateral_y_mm, error.gap_mm) == pytest.approx(error.distance_to_target_mm, abs=1e-9)
    assert error.beam_x_mm is not None
    assert error.beam_y_mm is not None
    assert math.hypot(error.beam_x_mm, error.beam_y_mm) == pytest.approx(error.target_error_mm, abs=1e-9)
    if error.tilt_x_deg is not None and error.tilt_y_deg is not None:
        assert math.hypot(error.tilt_x_deg, error.tilt_y_deg) == pytest.approx(error.angular_error_deg, abs=1e-6)


@given(poses(), poses(), poses("mri", "mri"), positions)
def test_where_the_head_lies_changes_no_error(
    target: Transform, current: Transform, elsewhere: Transform, cortex: tuple[float, float, float]
) -> None:
    here = coil_error(target, current, cortex)
    there = coil_error(elsewhere @ target, elsewhere @ current, tuple(elsewhere.apply(cortex).tolist()))
    for name in ALWAYS_THERE:
        assert getattr(there, name) == pytest.approx(getattr(here, name), abs=1e-5), name


@given(poses())
def test_a_coil_on_its_target_has_no_error(target: Transform) -> None:
    error = coil_error(target, target, None)
    assert error.distance_to_target_mm == pytest.approx(0.0, abs=1e-9)
    assert error.target_error_mm == pytest.approx(0.0, abs=1e-9)
    assert error.rotation_total_deg == pytest.approx(0.0, abs=1e-6)
    assert error.twist_error_deg == pytest.approx(0.0, abs=1e-6)


@given(poses("tracker", "head"), poses("tracker", "coiltool"), poses("mri", "head"), poses("coiltool", "coil"), poses(), positions)
def test_the_prepared_chain_and_the_long_way_agree(
    head: Transform,
    coiltool: Transform,
    mri_from_head: Transform,
    coiltool_from_coil: Transform,
    target: Transform,
    cortex: tuple[float, float, float],
) -> None:
    chain = CoilChain.prepare(mri_from_head, coiltool_from_coil, target, cortex)
    mri_from_coil = mri_from_head @ head.inverse() @ coiltool @ coiltool_from_coil
    direct, chained = coil_error(target, mri_from_coil, cortex), chain.error(head, coiltool)
    assert np.allclose(chain.mri_from_coil(head, coiltool).matrix, mri_from_coil.matrix, atol=1e-8)
    for name in ALWAYS_THERE:
        assert getattr(chained, name) == pytest.approx(getattr(direct, name), abs=1e-5), name
