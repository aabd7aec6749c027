"""The simulated room: what it shows, what people do in it, and that a seed says it all."""

import itertools
import math

import pytest

from sim.ndi_poses import BodyPose
from sim.world import Hidden, NoSuchThing, World
from sim.world_bodies import COIL_FROM_COILTOOL, TIP_IN_POINTER_MM
from sim.world_geometry import Pose, Vector, distance, from_rotation_vector
from sim.world_head import Head
from sim.world_motion import minimum_jerk
from sim.world_people import People

NS = 1_000_000_000
START_NS = 5_000 * NS
TARGET = Pose(from_rotation_vector((150.0, 40.0, 20.0)), (-45.0, 40.0, 75.0))


@pytest.fixture(scope="module")
def head() -> Head:
    return Head()


@pytest.fixture
def world(head: Head) -> World:
    return World(7, START_NS, head=head, target=TARGET)


@pytest.fixture
def people(world: World) -> People:
    return People(world, 7)


def tip_in_mri_mm(world: World, t_ns: int) -> Vector:
    """As a perfect navigator would have it: the true poses through the true tip and the true strap."""
    tip_in_tracker = world.tracker_from("pointer", t_ns).carry(TIP_IN_POINTER_MM)
    return (world.mri_from_head(t_ns) @ world.tracker_from("head", t_ns).inverse()).carry(tip_in_tracker)


def errors_now(world: World, t_ns: int) -> dict[str, float]:
    error = world.coil_error(t_ns)
    assert error is not None
    return {
        "dx_mm": error.lateral_x_mm,
        "dy_mm": error.lateral_y_mm,
        "gap_mm": error.gap_mm,
        "tilt_x_deg": error.tilt_x_deg,
        "tilt_y_deg": error.tilt_y_deg,
        "twist_deg": error.twist_deg,
    }


# ---- what is where ------------------------------------------------------------------------------------------------------


def test_every_body_lies_in_the_measuring_volume_whatever_the_seed(head: Head) -> None:
    for seed in range(12):
        world = World(seed, START_NS, head=head)
        for body in world.bodies:
            x, y, z = world.tracker_from(body, START_NS + NS).mm
            assert -2400.0 < z < -1200.0
            assert max(abs(x), abs(y)) < 330.0


def test_the_same_seed_shows_the_same_poses(head: Head) -> None:
    def seen(seed: int) -> list[BodyPose | None]:
        world = World(seed, START_NS, head=head, target=TARGET)
        people = People(world, seed)
        people.touch("NAS", START_NS)
        people.coil_near(START_NS)
        return [world.pose(body, START_NS + k * NS // 60) for k in range(90) for body in world.bodies]

    assert seen(3) == seen(3)
    assert seen(3) != seen(4)


def test_a_pose_asked_for_again_is_the_same(world: World, people: People) -> None:
    people.touch("LPA", START_NS)
    early = world.pose("pointer", START_NS + NS // 2)
    people.touch("RPA", START_NS + 2 * NS)
    assert world.pose("pointer", START_NS + NS // 2) == early


def test_a_seated_head_moves_but_no_faster_than_a_millimetre_a_second(world: World) -> None:
    places = [world.room_from_mri(START_NS + k * NS // 10).carry((0.0, 90.0, 40.0)) for k in range(1200)]
    speeds = [distance(a, b) * 10.0 for a, b in itertools.pairwise(places)]
    assert max(speeds) < 1.5
    assert distance(places[0], max(places, key=lambda place: distance(place, places[0]))) > 0.3


def test_a_body_behind_somebody_is_not_seen_until_the_view_clears(world: World, people: People) -> None:
    people.occlude("head", 0.5, START_NS + NS)
    assert world.pose("head", START_NS + NS - 1) is not None
    assert world.pose("head", START_NS + NS) is None
    assert world.pose("coil", START_NS + NS) is not None
    assert world.probe(START_NS + NS)["head_seen"] is False
    assert world.pose("head", START_NS + NS + NS // 2) is not None


def test_a_body_that_is_not_in_the_room_cannot_be_hidden(world: World) -> None:
    with pytest.raises(NoSuchThing, match="head, pointer, coil"):
        world.hide(Hidden("phone", START_NS, START_NS + NS))


# ---- what people do -----------------------------------------------------------------------------------------------------


def test_minimum_jerk_is_half_way_at_half_time_and_still_at_both_ends() -> None:
    assert minimum_jerk(0.5) == pytest.approx(0.5)
    assert minimum_jerk(0.01) < 1e-4
    assert minimum_jerk(0.99) > 1.0 - 1e-4
    assert (minimum_jerk(-1.0), minimum_jerk(2.0)) == (0.0, 1.0)


@pytest.mark.parametrize("landmark", ["NAS", "LPA", "RPA"])
def test_a_touch_ends_within_a_hands_error_of_the_landmark_and_holds_still(world: World, people: People, landmark: str) -> None:
    done_ns = people.touch(landmark, START_NS)
    tips = [tip_in_mri_mm(world, done_ns + k * NS // 60) for k in range(60)]
    assert all(distance(tip, world.head.landmarks_mm[landmark]) < 3.0 for tip in tips)
    assert max(distance(tip, tips[0]) for tip in tips) < 0.8


def test_touches_of_one_landmark_differ_by_about_a_millimetre(world: World, people: People) -> None:
    now_ns, errors = START_NS, []
    for _ in range(40):
        now_ns = people.touch("NAS", now_ns)
        errors.append(distance(tip_in_mri_mm(world, now_ns), world.head.landmarks_mm["NAS"]))
    assert 0.5 < sum(errors) / len(errors) < 1.5


def test_an_unknown_landmark_is_refused_by_name(people: People) -> None:
    with pytest.raises(NoSuchThing, match=r"NOSE.*NAS, LPA, RPA"):
        people.touch("NOSE", START_NS)


def test_a_sweep_stays_on_skin_within_a_hands_noise(world: World, people: People) -> None:
    began_ns = people.pointer_to_scalp(START_NS)
    done_ns = people.sweep(10.0, began_ns)
    assert done_ns == began_ns + 10 * NS
    off = []
    for k in range(0, 600, 7):
        x, y, z = tip_in_mri_mm(world, began_ns + k * NS // 60)
        middle_x, middle_y, middle_z = (0.0, -12.0, 10.0)
        direction = (x - middle_x, y - middle_y, z - middle_z)
        off.append(distance((x, y, z), world.head.skin(direction)))
    assert max(off) < 1.6
    assert 0.1 < sum(off) / len(off) < 0.6


def test_a_sweep_covers_front_crown_back_and_both_sides_but_no_ear_or_cheek(head: Head) -> None:
    xs, ys, zs = zip(*head.sweep_mm, strict=True)
    assert min(xs) < -70.0
    assert max(xs) > 70.0
    assert min(ys) < -100.0
    assert max(ys) > 85.0
    assert max(zs) > 95.0
    assert all(z > -10.0 or (y > 70.0 and abs(x) < 20.0) or (z > -35.0 and y > 60.0) for x, y, z in head.sweep_mm)


def test_a_sweep_without_duration_is_refused(people: People) -> None:
    with pytest.raises(NoSuchThing, match="seconds"):
        people.sweep(0.0, START_NS)


def test_a_rough_approach_ends_some_fifteen_millimetres_and_ten_degrees_off(world: World, people: People) -> None:
    error = world.coil_error(people.coil_near(START_NS))
    assert error is not None
    assert 12.0 < error.lateral_mm < 18.0
    assert math.hypot(error.tilt_deg, error.twist_deg) == pytest.approx(10.0, abs=1.5)


def test_nobody_can_go_near_a_target_that_is_not_planned(head: Head) -> None:
    people = People(World(1, START_NS, head=head), 1)
    with pytest.raises(NoSuchThing, match="plan"):
        people.coil_near(START_NS)


def test_moves_of_the_opposite_sign_bring_the_coil_on_target(world: World, people: People) -> None:
    now_ns = people.coil_near(START_NS)
    for _ in range(4):
        now_ns = people.move_coil_by(now_ns, **{name: -by for name, by in errors_now(world, now_ns).items()})
    error = world.coil_error(now_ns)
    assert error is not None
    assert error.lateral_mm < 0.8
    assert abs(error.gap_mm) < 0.8
    assert error.tilt_deg < 0.8
    assert abs(error.twist_deg) < 0.8


@pytest.mark.parametrize("name", ["dx_mm", "dy_mm", "gap_mm", "tilt_x_deg", "tilt_y_deg", "twist_deg"])
def test_each_move_raises_the_error_of_its_own_name(world: World, people: People, name: str) -> None:
    now_ns = people.coil_near(START_NS)
    for _ in range(6):
        now_ns = people.move_coil_by(now_ns, **{each: -by for each, by in errors_now(world, now_ns).items()})
    moved = errors_now(world, people.move_coil_by(now_ns, **{name: 5.0}))
    assert moved[name] == pytest.approx(5.0, abs=1.0)
    assert all(abs(by) < 1.0 for each, by in moved.items() if each != name)


def test_a_slip_is_sideways_sudden_and_stays(world: World, people: People) -> None:
    now_ns = people.coil_near(START_NS)
    for _ in range(4):
        now_ns = people.move_coil_by(now_ns, **{name: -by for name, by in errors_now(world, now_ns).items()})
    done_ns = people.slip(8.0, 50.0, now_ns)
    assert done_ns == now_ns + 50_000_000
    for later_ns in (done_ns, done_ns + 3 * NS):
        error = world.coil_error(later_ns)
        assert error is not None
        assert error.lateral_mm == pytest.approx(8.0, abs=1.0)
        assert abs(error.gap_mm) < 1.0


def test_a_coil_held_on_the_head_follows_it(world: World, people: People) -> None:
    done_ns = people.coil_near(START_NS)
    first, later = world.mri_from_coil(done_ns), world.mri_from_coil(done_ns + 60 * NS)
    assert distance(first.mm, later.mm) < 1.5


def test_a_parked_coil_lies_still_in_the_room_far_from_the_head(world: World, people: People) -> None:
    done_ns = people.park_coil(people.coil_near(START_NS))
    assert world.tracker_from("coil", done_ns) == world.tracker_from("coil", done_ns + 30 * NS)
    error = world.coil_error(done_ns)
    assert error is not None
    assert error.lateral_mm > 100.0


def test_a_knock_at_the_camera_moves_every_pose_and_no_truth(world: World, people: People) -> None:
    now_ns = people.coil_near(START_NS)
    before = world.tracker_from("head", now_ns)
    done_ns = people.bump_camera(30.0, now_ns)
    assert distance(world.tracker_from("head", done_ns).mm, before.mm) > 20.0
    head_from_coiltool = world.tracker_from("head", done_ns).inverse() @ world.tracker_from("coil", done_ns)
    measured = world.mri_from_head(done_ns) @ head_from_coiltool @ COIL_FROM_COILTOOL.inverse()
    assert distance(measured.mm, world.mri_from_coil(done_ns).mm) == pytest.approx(0.0, abs=1e-9)


def test_a_slipped_reference_sits_elsewhere_on_the_head(world: World, people: People) -> None:
    before = world.mri_from_head(START_NS)
    done_ns = people.slip_reference(5.0, 100.0, START_NS)
    assert distance(world.mri_from_head(done_ns).mm, before.mm) == pytest.approx(5.0)


def test_the_probe_says_nothing_of_errors_without_a_target(head: Head) -> None:
    truth = World(1, START_NS, head=head).probe(START_NS)
    assert truth["lateral_mm"] is None
    assert truth["head_seen"] is True
