"""What holds of every set point: no cap is passed, tightening never raises, rounding never raises."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.depth import DepthError
from daemon.plan_values import LinearDepth
from daemon.set_point import Caps, Intensity, Output, set_point

outputs = st.integers(10, 1000).map(lambda tenths: Output.of(tenths / 10))
intensities = st.integers(10, 1200).map(lambda tenths: Intensity.of(tenths / 10))
caps = st.builds(Caps, intensity=intensities, site=outputs, device=outputs)
depths = st.integers(50, 400).map(lambda tenths: tenths / 10)
corrections = st.none() | st.builds(
    LinearDepth,
    m1_depth_mm=depths,
    target_depth_mm=depths,
    t1_sha256=st.just("a"),
    coil_serial=st.just("C"),
    slope_mso_per_mm=st.sampled_from([2.8, 3.0]),
    constants_sha256=st.just("c"),
)


def found(*args):
    try:
        return set_point(*args)
    except DepthError:
        return None


@settings(deadline=None)
@given(outputs, intensities, corrections, caps)
def test_a_set_point_is_the_floor_of_the_least_of_wish_and_caps(threshold, intensity, correction, capped):
    got = found(threshold, intensity, correction, capped)
    if got is None:
        return
    least = min(got.wanted.mso, capped.intensity.pct_rmt / 100 * threshold.mso, capped.site.mso, capped.device.mso)
    assert got.mso == math.floor(least)
    assert got.is_limited == (got.wanted.mso > least)


@settings(deadline=None)
@given(outputs, intensities, corrections, caps, caps)
def test_tightening_any_cap_never_raises_a_set_point(threshold, intensity, correction, one, other):
    both = Caps(intensity=min(one.intensity, other.intensity), site=min(one.site, other.site), device=min(one.device, other.device))
    loose, tight = found(threshold, intensity, correction, one), found(threshold, intensity, correction, both)
    assert (loose is None) == (tight is None)
    assert loose is None or tight.mso <= loose.mso


@settings(deadline=None)
@given(outputs, intensities, intensities, corrections, caps)
def test_a_lower_intensity_never_raises_a_set_point(threshold, one, other, correction, capped):
    low, high = sorted((one, other))
    lower, higher = found(threshold, low, correction, capped), found(threshold, high, correction, capped)
    assert lower is None or lower.mso <= higher.mso
