"""The bench of the simulated room: what hands do there, and that the camera sees it so."""

import itertools
import math

import msgspec
import pytest

from sim import room_acts as ask
from sim.bench_hands import BenchHands
from sim.ndi_room_tools import ROOM_BODIES
from sim.room_stage import Stage
from sim.world import NoSuchThing, World
from sim.world_bench import COIL_POINTS_MM, COIL_SIDES_MM, DIVOTS_MM, PLATE_BODY, PLATE_FROM_COIL, divot_in_room, known_distances_mm
from sim.world_bodies import COIL_FROM_COILTOOL, TIP_IN_POINTER_MM
from sim.world_geometry import IDENTITY, Vector, distance, product
from sim.world_head import Head

NS = 1_000_000_000
START_NS = 5_000 * NS


@pytest.fixture(scope="module")
def head() -> Head:
    return Head()


@pytest.fixture
def world(head: Head) -> World:
    return World(7, START_NS, head=head)


@pytest.fixture
def hands(world: World) -> BenchHands:
    return BenchHands(world, 7)


def tip_in_room(world: World, t_ns: int) -> Vector:
    tracker_from_room = world.camera.in_room(t_ns, IDENTITY)
    return tracker_from_room.inverse().carry(world.tracker_from("pointer", t_ns).carry(TIP_IN_POINTER_MM))


def test_the_plates_spheres_differ_from_every_other_tools() -> None:
    bodies = [*ROOM_BODIES.values(), PLATE_BODY]
    distances = sorted(math.dist(a, b) for body in bodies for a, b in itertools.combinations(body.markers_mm, 2))
    assert distances[0] > 45.0
    assert min(after - before for before, after in itertools.pairwise(distances)) > 2.0


def test_a_pivot_turns_the_pointer_to_every_side_and_leaves_its_tip_in_the_divot(world: World, hands: BenchHands) -> None:
    start_ns = hands.touch_divot("A", START_NS)
    end_ns = hands.pivot("A", 20.0, 35.0, start_ns)
    times = range(start_ns + NS, end_ns, NS // 10)
    assert all(distance(tip_in_room(world, t_ns), divot_in_room("A")) < 1e-6 for t_ns in times)
    turns = [product(world.tracker_from("pointer", start_ns).inverse().wxyz, world.tracker_from("pointer", t_ns).wxyz) for t_ns in times]
    for axis in (1, 2, 3):
        angles = [2.0 * math.degrees(math.asin(turn[axis])) for turn in turns]
        assert max(angles) - min(angles) > 50.0


@pytest.mark.parametrize("point", [*COIL_POINTS_MM, *COIL_SIDES_MM])
def test_a_touch_of_the_coil_is_where_its_drawing_says(world: World, hands: BenchHands, point: str) -> None:
    done_ns = hands.touch_coil(point, START_NS)
    coil = world.tracker_from("coil", done_ns) @ COIL_FROM_COILTOOL.inverse()
    tip = coil.inverse().carry(world.tracker_from("pointer", done_ns).carry(TIP_IN_POINTER_MM))
    true = (COIL_POINTS_MM | COIL_SIDES_MM)[point]
    assert distance(tip, true) < (1.0 if point in COIL_POINTS_MM else 12.0)
    pointer_in_coil = coil.inverse().carry(world.tracker_from("pointer", done_ns).mm)
    assert (pointer_in_coil[2] > true[2]) == (point in COIL_POINTS_MM), "the shaft is on the outer side"


def test_the_coil_stays_in_its_plate_while_that_is_tilted(world: World, hands: BenchHands) -> None:
    laid_ns = hands.coil_on_plate(START_NS)
    end_ns = hands.tilt_plate(10.0, 30.0, laid_ns)
    for t_ns in range(laid_ns, end_ns, NS // 7):
        plate_from_coil = world.tracker_from("plate", t_ns).inverse() @ world.tracker_from("coil", t_ns) @ COIL_FROM_COILTOOL.inverse()
        assert distance(plate_from_coil.mm, PLATE_FROM_COIL.mm) < 0.3
    middle = world.tracker_from("plate", (laid_ns + end_ns) // 2).wxyz
    assert middle != world.tracker_from("plate", laid_ns).wxyz


def test_a_plate_without_the_coil_is_not_tilted(hands: BenchHands) -> None:
    with pytest.raises(NoSuchThing, match="plate"):
        hands.tilt_plate(10.0, 30.0, START_NS)


def test_the_reference_comes_off_the_head_lies_still_and_goes_back_to_where_it_sat(world: World, hands: BenchHands) -> None:
    before = world.mri_from_head(START_NS)
    off_ns = hands.take_off_head(START_NS)
    assert world.tracker_from("head", off_ns) == world.tracker_from("head", off_ns + 30 * NS)
    on_ns = hands.strap_on_head(off_ns + 60 * NS)
    assert distance(world.mri_from_head(on_ns).mm, before.mm) < 1e-6
    assert hands.strap_on_head(on_ns) == on_ns


def test_divots_are_touched_within_their_cones_and_the_known_distances_are_theirs(world: World, hands: BenchHands) -> None:
    for divot in DIVOTS_MM:
        assert distance(tip_in_room(world, hands.touch_divot(divot, START_NS)), divot_in_room(divot)) < 0.6
    assert all(abs(length - distance(DIVOTS_MM[a], DIVOTS_MM[b])) <= 0.005 for (a, b), length in known_distances_mm().items())


def test_what_is_not_there_cannot_be_touched(hands: BenchHands) -> None:
    with pytest.raises(NoSuchThing, match="mark"):
        hands.touch_coil("nose", START_NS)
    with pytest.raises(NoSuchThing, match="divot"):
        hands.touch_divot("Z", START_NS)
    with pytest.raises(NoSuchThing, match="pivot"):
        hands.pivot("A", 0.0, 1.0, START_NS)


@pytest.mark.parametrize(
    "line",
    [
        b'{"do": "touch_divot", "divot": "B"}',
        b'{"do": "pivot"}',
        b'{"do": "touch_coil", "point": "handle"}',
        b'{"do": "coil_on_plate"}',
        b'{"do": "take_off_head"}',
        b'{"do": "strap_on_head"}',
    ],
)
def test_each_act_at_the_bench_can_be_asked_for_at_the_door(world: World, hands: BenchHands, line: bytes) -> None:
    stage = Stage(world, None, hands, None, None, None, lambda: START_NS)  # type: ignore[arg-type]  # only the bench is asked
    done_ns, answer = stage.act(msgspec.json.decode(line, type=ask.Request))
    assert answer.ok and done_ns >= START_NS
