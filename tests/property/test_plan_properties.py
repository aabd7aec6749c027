"""Plans under random fields and random damage: what is written is read back, what is damaged is refused."""

import json
import string

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from calibration.placement import PlacementError, place_coil
from daemon.on_target import DEFAULT_LIMITS, TargetLimits
from daemon.plan import read_plan
from daemon.plan_record import matrix, placement_report, point
from daemon.plan_values import PlanError
from daemon.set_point import planned_set_point
from tests import plans
from tests.scalps import sample_scalp

quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
replace = msgspec.structs.replace
FILES = ("t1.nii.gz", "map.nii.gz", "mask.nii.gz", "scalp.surf.gii")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    return path, plans.make(path)


@st.composite
def tightened(draw) -> TargetLimits:
    shares = {name: draw(st.floats(0.2, 1.0)) for name in ("lateral_mm", "tilt_deg", "twist_deg")}
    changes = {
        f"{when}_{name}": share * getattr(DEFAULT_LIMITS, f"{when}_{name}") for name, share in shares.items() for when in ("enter", "leave")
    }
    return replace(DEFAULT_LIMITS, dwell_on_s=draw(st.floats(0.5, 5.0)), **changes)


@quick
@given(
    rmt=st.floats(2.0, 100.0),
    intensity=st.floats(60.0, 120.0),
    patient=st.text(string.ascii_letters + string.digits, min_size=1, max_size=32),
    limit_mm=st.floats(0.1, 10.0),
    limits=st.none() | tightened(),
    by=st.text(min_size=1).filter(str.strip),
)
def test_any_plan_that_may_be_is_read_back_as_it_was_written(made, rmt, intensity, patient, limit_mm, limits, by):
    path, plan = made
    set_point = planned_set_point(rmt, intensity).mso
    assume(set_point >= 1)
    assume(by.isprintable())
    changes = {
        "patient": patient,
        "created_by": by,
        "expected_error_limit_mm": limit_mm,
        "on_target": limits,
        "dose": replace(plan.dose, rmt_mso=rmt, intensity_pct_rmt=intensity, set_point_mso=set_point),
    }
    read = read_plan(plans.rewritten(path.parent, plan, **changes))
    assert replace(read, checksum="") == replace(plan, checksum="", **changes)


@quick
@given(
    target_mm=st.tuples(st.floats(-70, -10), st.floats(-90, 60), st.floats(-20, 80)),
    gap_mm=st.floats(0, 5),
    angle_deg=st.floats(-180, 180),
    tilt=st.booleans(),
)
def test_any_pose_that_can_be_placed_passes_the_plan_s_own_checks(made, target_mm, gap_mm, angle_deg, tilt):
    path, plan = made
    try:
        placed = place_coil(sample_scalp(), target_mm, "left", gap_mm=gap_mm, handle_angle_deg=angle_deg, tilt_to_target=tilt)
    except PlacementError:
        assume(False)
    target = replace(
        plan.target,
        cortical_target_in_mri_mm=point(np.array(target_mm)),
        mri_from_coil=matrix(placed.mri_from_coil.matrix),
        placement=placement_report(placed, tilt),
        selection=None,
    )
    files = replace(plan.files, map=None, mask=None)
    read = read_plan(plans.rewritten(path.parent, plan, target=target, files=files, hair_gap_mm=gap_mm))
    assert read.target == target


@quick
@given(data=st.data())
def test_any_changed_byte_of_any_named_file_is_refused(made, data):
    path = made[0].parent / "plan.files" / data.draw(st.sampled_from(FILES))
    at = data.draw(st.integers(0, path.stat().st_size - 1))
    with path.open("r+b") as file:
        file.seek(at)
        before = file.read(1)
        file.seek(at)
        file.write(bytes([before[0] ^ data.draw(st.integers(1, 255))]))
    try:
        with pytest.raises(PlanError, match=path.name):
            read_plan(made[0])
    finally:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(before)


@quick
@given(data=st.data())
def test_any_changed_byte_of_the_plan_is_refused_or_changes_nothing_it_says(made, data):
    content = bytearray(made[0].read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    damaged = made[0].with_name("damaged.json")
    damaged.write_bytes(content)
    try:
        read = read_plan(damaged)
    except PlanError:
        return
    assert read == made[1]
    assert json.loads(content) == json.loads(made[0].read_bytes())


@quick
@given(rmt=st.integers(1, 1000).map(lambda tenths: tenths / 10), intensity=st.integers(1, 1200).map(lambda tenths: tenths / 10))
def test_the_set_point_never_passes_any_of_its_caps_and_wastes_less_than_one_percent(rmt, intensity):
    got = planned_set_point(rmt, intensity).mso
    wanted = round(rmt * 10) * round(intensity * 10)  # in hundredths of a percent of a percent: exact
    caps = (wanted, 1200 * round(rmt * 10), 100 * 10_000)
    assert got * 10_000 <= min(caps) < (got + 1) * 10_000


@quick
@given(rmt=st.floats(1, 100), intensity=st.floats(1, 120), less=st.floats(0.1, 1.0))
def test_a_lower_intensity_never_raises_the_set_point(rmt, intensity, less):
    assert planned_set_point(rmt, intensity * less).mso <= planned_set_point(rmt, intensity).mso
