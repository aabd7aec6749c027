"""Sealed calibrations under any damage; the calibration in force under any orders; gates under any figures."""

import contextlib
import math

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calibration.coil_sides import side_refusals
from calibration.frames import Transform, rigid_matrix, rotation_from_vector
from calibration.plate import calibrate_plate
from calibration.store import Altered, Record, against, open_record, seal
from daemon.calibration_in_force import CalibrationInForce
from daemon.ipc import Calibrated
from tests.unit.test_calibration_store import COIL, NOW_S, POINTER, ROM, accepted

FINITE = st.floats(-300.0, 300.0)
RECORDS = st.builds(
    Record,
    tool=st.sampled_from(["pointer", "coil"]),
    version=st.integers(1, 9999),
    method=st.text(max_size=20),
    taken_utc=st.text(max_size=30),
    taken_by=st.text(max_size=30),
    valid_until_utc=st.text(max_size=30),
    rom_sha256=st.text(max_size=64),
    tip_in_pointer_mm=st.none() | st.tuples(FINITE, FINITE, FINITE),
    numbers=st.dictionaries(st.text(max_size=10), FINITE, max_size=4),
    refusals=st.lists(st.text(max_size=10), max_size=3).map(tuple),
    previous_sha256=st.none() | st.text(max_size=64),
)


@given(RECORDS)
def test_any_record_reads_back_as_it_was_sealed(record: Record) -> None:
    assert open_record(seal(record)) == record


@given(st.sampled_from([POINTER, COIL]), st.data())
def test_a_file_with_any_byte_changed_is_the_same_record_or_refused(record: Record, data: st.DataObject) -> None:
    content = bytearray(seal(record))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Altered):
        assert open_record(bytes(content)) == record


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_order(content: bytes) -> None:
    with contextlib.suppress(Altered):
        open_record(content)


@given(st.floats(allow_nan=True), st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_no_tip_that_is_unknown_or_out_of_reach_is_used(x: float, y: float, z: float) -> None:
    record = msgspec.structs.replace(POINTER, tip_in_pointer_mm=(x, y, z))
    try:
        is_used = against(record, accepted(record), ROM, NOW_S) == ()
    except Altered:
        is_used = False  # a figure that is no number cannot even be kept
    assert is_used == (math.hypot(x, y, z) <= 500.0)


ORDERS = st.lists(
    st.tuples(
        st.one_of(
            st.just(Calibrated(coiltool_from_coil=None, valid_until_utc_ns=0)),
            st.builds(Calibrated, coiltool_from_coil=st.sampled_from([((1.0,),), ((2.0,),)]), valid_until_utc_ns=st.integers(1, 3)),
        ),
        st.booleans(),
    )
)


@given(ORDERS)
def test_no_orders_bring_another_calibration_into_force_while_armed(orders: list[tuple[Calibrated, bool]]) -> None:
    force = CalibrationInForce(is_handed_over=True)
    for order, at_rest in orders:
        before, force = force, force.handed_over(order, at_rest=at_rest)
        if not at_rest:
            assert force.rows is None or force == before
        else:
            assert force.rows == order.coiltool_from_coil


@given(ORDERS)
def test_no_order_changes_what_the_chair_file_says(orders: list[tuple[Calibrated, bool]]) -> None:
    written = force = CalibrationInForce(is_handed_over=False, rows=((5.0,),), valid_until_utc_ns=9)
    for order, at_rest in orders:
        force = force.handed_over(order, at_rest=at_rest)
    assert force == written


TURN = st.tuples(*[st.floats(-2.0, 2.0)] * 3)
PLACE = st.tuples(*[st.floats(-200.0, 200.0)] * 3)


@given(TURN, PLACE, TURN, PLACE, st.lists(st.tuples(TURN, PLACE), min_size=1, max_size=8))
def test_the_plate_gives_the_coil_whatever_the_poses(
    turn: object, place: object, plate_turn: object, plate_place: object, views: list[tuple[object, object]]
) -> None:
    true = Transform("coiltool", "coil", rigid_matrix(rotation_from_vector(turn), np.array(place)))
    plate_from_coil = Transform("plate", "coil", rigid_matrix(rotation_from_vector(plate_turn), np.array(plate_place)))
    plates = [Transform("tracker", "plate", rigid_matrix(rotation_from_vector(t), np.array(p))) for t, p in views]
    coiltools = [plate @ plate_from_coil @ true.inverse() for plate in plates]
    found = calibrate_plate([each.matrix for each in coiltools], [each.matrix for each in plates], plate_from_coil)
    assert np.allclose(found.coiltool_from_coil.matrix, true.matrix, atol=1e-6)


@given(TURN, PLACE)
def test_a_calibration_the_wrong_way_round_is_always_noticed(turn: object, place: object) -> None:
    right = Transform("coiltool", "coil", rigid_matrix(rotation_from_vector(turn), np.array(place)))
    x, y, z = right.apply((5.0, -120.0, -10.0)).tolist()
    a, b, c = right.apply((3.0, 4.0, -20.0)).tolist()
    assert side_refusals(right, (x, y, z), (a, b, c)) == ()
    for flip in ((np.pi, 0.0, 0.0), (0.0, np.pi, 0.0), (0.0, 0.0, np.pi)):
        wrong = right @ Transform("coil", "coil", rigid_matrix(rotation_from_vector(flip), np.zeros(3)))
        assert side_refusals(wrong, (x, y, z), (a, b, c)) != ()
