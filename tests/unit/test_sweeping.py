"""Which swept points are kept, why others are not, and where points are still missing."""

import numpy as np
import pytest

from calibration.coverage import HeadMap, Zone, fid_from_mri, residual_map
from calibration.frames import Transform, rigid_matrix, rotation_from_vector
from daemon.registering import Unseen
from daemon.sweeping import FULL, POINTS_MOST, QUICK, SPACING_MM, Sweep, Wanted
from tests.swept_head import marked, on_scalp, scalp

FRAME = 16_666_667
OVER_TARGET_MM = (-58.0, 55.0, 45.0)
HEAD_FROM_MRI = Transform("head", "mri", rigid_matrix(rotation_from_vector((0.3, -1.0, 0.4)), np.array((20.0, -80.0, 15.0))))


def head_map() -> HeadMap:
    return HeadMap.of(marked()["NAS"], marked()["LPA"], marked()["RPA"], OVER_TARGET_MM)


def swept(points_in_mri_mm: np.ndarray, wanted: Wanted = FULL) -> Sweep:
    sweep = Sweep(wanted, HEAD_FROM_MRI.inverse(), scalp(), head_map())
    for k, point in enumerate(points_in_mri_mm):
        x, y, z = HEAD_FROM_MRI.apply(point).tolist()
        sweep.add((x, y, z), k * FRAME)
    return sweep


def whole() -> np.ndarray:
    return on_scalp(np.random.default_rng(1), 400)


def only(*zones: Zone) -> np.ndarray:
    points = on_scalp(np.random.default_rng(2), 3000)
    return np.array([point for point in points if head_map().zone(point) in zones])


@pytest.mark.parametrize(
    ("point", "zone"),
    [
        ((0.0, -10.0, 100.0), Zone.CROWN),
        ((0.0, 86.0, 10.0), Zone.FOREHEAD),
        ((0.0, 84.0, -40.0), Zone.FOREHEAD),
        ((70.0, 45.0, 10.0), Zone.RIGHT_TEMPLE),
        ((-70.0, 45.0, 10.0), Zone.LEFT_TEMPLE),
        ((-70.0, -60.0, 10.0), Zone.LEFT_BACK),
        ((70.0, -60.0, 10.0), Zone.RIGHT_BACK),
        ((0.0, -110.0, 10.0), Zone.BACK),
        ((-40.0, 40.0, 80.0), Zone.UPPER_LEFT_FRONT),
        ((40.0, 40.0, 80.0), Zone.UPPER_RIGHT_FRONT),
        ((0.0, -80.0, 70.0), Zone.UPPER_BACK),
        ((-60.0, -25.0, 70.0), Zone.UPPER_LEFT_BACK),
        ((60.0, -25.0, 70.0), Zone.UPPER_RIGHT_BACK),
    ],
)
def test_each_place_on_the_head_has_the_zone_of_its_name(point: tuple[float, float, float], zone: Zone) -> None:
    assert head_map().zone(point) is zone


def test_the_landmarks_frame_has_right_front_and_up_as_its_axes() -> None:
    turned = Transform("turned", "mri", rigid_matrix(rotation_from_vector((0.5, 0.2, -1.0)), np.array((9.0, 8.0, 7.0))))
    marks = {name: turned.apply(marked()[name]) for name in ("NAS", "LPA", "RPA")}
    found = fid_from_mri(marks["NAS"], marks["LPA"], marks["RPA"])
    assert found.apply(marks["RPA"])[1:] == pytest.approx((0.0, 0.0), abs=1e-9)
    assert found.apply(marks["RPA"])[0] > 0.0 > found.apply(marks["LPA"])[0]
    assert found.apply(marks["NAS"]) == pytest.approx((0.0, 94.547, 0.0), abs=1e-6)
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)


def test_a_sweep_keeps_points_that_are_apart() -> None:
    sweep = swept(whole())
    kept = sweep.points_in_head_mm()
    apart = np.linalg.norm(kept[:, None] - kept[None], axis=2) + 1e9 * np.eye(len(kept))
    assert apart.min() >= SPACING_MM
    assert sweep.count == len(kept) == sum(sweep.zones.values())


def test_a_sweep_keeps_no_more_than_it_can() -> None:
    assert swept(on_scalp(np.random.default_rng(3), 9000)).count == POINTS_MOST


def test_frames_without_a_tip_are_counted_by_their_cause() -> None:
    sweep = swept(whole()[:5])
    for why in (Unseen.HEAD, Unseen.HEAD, Unseen.POOR_FIT):
        assert not sweep.add(why, 0)
    assert sweep.rejected == {"head_unseen": 2, "poor_fit": 1}


def test_a_lifted_tip_is_rejected_as_off_the_scalp() -> None:
    lifted = whole()[:10] + 40.0 * scalp().closest(whole()[:10]).normals
    sweep = swept(np.concatenate((whole()[20:120], lifted)))
    assert sweep.rejected["off_scalp"] == 10
    assert sweep.count == len(sweep.points_in_head_mm()) <= 100
    assert not sweep.is_misplaced


def test_a_sweep_that_lies_nowhere_near_is_kept_whole_so_that_the_fit_can_say_why() -> None:
    sweep = swept(np.add(whole(), (0.0, 0.0, 90.0)))
    assert sweep.is_misplaced
    assert sweep.lacking() is None
    assert len(sweep.points_in_head_mm()) > sweep.count


def test_a_whole_sweep_lacks_nothing() -> None:
    sweep = swept(whole())
    assert sweep.lacking() is None
    assert sweep.around_target >= FULL.around_target


def test_too_few_points_are_refused_with_where_to_add_some() -> None:
    said = swept(whole()[:50]).lacking()
    assert said is not None
    assert "at least 60 are needed: add" in said


def test_a_bare_forehead_is_asked_for_first() -> None:
    sweep = swept(only(*(zone for zone in Zone if zone is not Zone.FOREHEAD)))
    assert sweep.zones[Zone.FOREHEAD] == 0
    assert sweep.thin_zones[0] is Zone.FOREHEAD
    said = sweep.lacking()
    assert said is not None
    assert "add forehead" in said


def test_points_in_a_few_zones_alone_are_refused_by_name() -> None:
    said = swept(only(Zone.FOREHEAD, Zone.CROWN, Zone.UPPER_BACK)).lacking()
    assert said is not None
    assert "3 of 12 zones" in said


def test_a_quick_sweep_needs_less_and_not_nothing() -> None:
    few = swept(whole()[:75], QUICK)
    assert few.lacking() is None
    assert swept(whole()[:50], QUICK).lacking() is not None


def test_the_last_two_seconds_of_a_sweep_are_taken_back() -> None:
    sweep = swept(whole())
    before = sweep.count
    taken = sweep.undo()
    assert 0 < taken == before - sweep.count
    assert len(sweep.points_in_head_mm()) == sweep.count
    while sweep.undo():
        pass
    assert (sweep.count, sweep.undo()) == (0, 0)


def test_the_map_of_residuals_is_bounded_and_seen_from_the_landmarks() -> None:
    points = whole()
    rows = residual_map(head_map(), points, np.arange(len(points), dtype=np.float64), 100)
    assert rows.shape == (100, 4)
    assert rows[0, :3] == pytest.approx(head_map().fid_from_mri.apply(points[0]))
    assert rows[1, 3] == 4.0
