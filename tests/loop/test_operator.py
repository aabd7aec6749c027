"""The simulated operator: aims by the numbers alone, in a closed loop with a simulated room, and says in one line why a day failed.

The whole day against a daemon is tested with the daemon.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sim.operator_aim import CannotAim, aim, corrections, near_enough
from sim.operator_hands import Hands, RoomSaysNo
from sim.operator_view import FRESH_S, CoilSeen, View
from sim.room_files import Chair, write_chair
from sim.room_plan import plan_path
from sim.room_unit import chair_lines
from sim.world import World
from sim.world_geometry import Pose, from_rotation_vector
from sim.world_head import Head
from sim.world_people import People

NS = 1_000_000_000
TARGET = Pose(from_rotation_vector((150.0, 40.0, 20.0)), (-45.0, 40.0, 75.0))
ON_TARGET_MM, ON_TARGET_DEG = 2.0, 3.0


class Body(msgspec.Struct):
    exposed_ns: int | None
    on_target: bool
    lateral_x_mm: float | None = None
    lateral_y_mm: float | None = None
    gap_mm: float | None = None
    tilt_x_deg: float | None = None
    tilt_y_deg: float | None = None
    twist_error_deg: float | None = None


class Told(msgspec.Struct):
    body: object


class Bench:
    """A world, hands in it, and a screen that shows the truth; time passes only while somebody waits or moves."""

    def __init__(self, head: Head, seed: int) -> None:
        self.now_ns = 0
        self.world = World(seed, 0, head=head, target=TARGET)
        self.people = People(self.world, seed)
        self.now_ns = self.people.coil_near(0)
        self.blind = False
        self.acts: list[str] = []

    def latest(self, topic: str) -> Told | None:
        assert topic == "v1/coil/error"
        error = self.world.coil_error(self.now_ns)
        if error is None or self.blind:
            return Told(Body(exposed_ns=None, on_target=False))
        on_target = error.lateral_mm < ON_TARGET_MM and error.tilt_deg < ON_TARGET_DEG and abs(error.twist_deg) < ON_TARGET_DEG
        return Told(
            Body(
                exposed_ns=self.now_ns,
                on_target=on_target,
                lateral_x_mm=error.lateral_x_mm,
                lateral_y_mm=error.lateral_y_mm,
                gap_mm=error.gap_mm,
                tilt_x_deg=error.tilt_x_deg,
                tilt_y_deg=error.tilt_y_deg,
                twist_error_deg=error.twist_deg,
            )
        )

    def age_s(self, topic: str) -> float | None:
        return 0.0 if topic == "v1/coil/error" else None

    def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        end_ns = self.now_ns + round(seconds * NS)
        while not holds() and self.now_ns < end_ns:
            self.now_ns += NS // 60
        return holds()

    def do(self, act: str, **how: object) -> None:
        assert act == "move_coil_by", "an operator who aims does nothing else"
        self.acts.append(act)
        self.now_ns = self.people.move_coil_by(self.now_ns, **{name: float(str(by)) for name, by in how.items()})


@pytest.fixture(scope="module")
def head() -> Head:
    return Head()


@pytest.mark.parametrize("seed", range(6))
def test_aiming_by_the_numbers_ends_on_target_in_a_few_moves(head: Head, seed: int) -> None:
    bench = Bench(head, seed)
    moves = aim(View(bench), bench, bench.wait)
    error = bench.world.coil_error(bench.now_ns)
    assert error is not None
    assert error.lateral_mm < ON_TARGET_MM
    assert error.tilt_deg < ON_TARGET_DEG
    assert 1 <= moves == len(bench.acts) <= 6


def test_a_coil_that_is_turned_around_is_turned_back_before_it_is_moved(head: Head) -> None:
    bench = Bench(head, 1)
    bench.now_ns = bench.people.move_coil_by(bench.now_ns, twist_deg=170.0)
    aim(View(bench), bench, bench.wait)
    error = bench.world.coil_error(bench.now_ns)
    assert error is not None
    assert abs(error.twist_deg) < ON_TARGET_DEG
    assert error.lateral_mm < ON_TARGET_MM


def test_a_coil_on_target_is_left_alone(head: Head) -> None:
    bench = Bench(head, 2)
    aim(View(bench), bench, bench.wait)
    assert aim(View(bench), bench, bench.wait) == 0


def test_an_operator_who_sees_no_numbers_moves_nothing_and_gives_up(head: Head) -> None:
    bench = Bench(head, 3)
    bench.blind = True
    with pytest.raises(CannotAim, match="no coil error for 15 s"):
        aim(View(bench), bench, bench.wait)
    assert bench.acts == []


def test_every_correction_has_the_opposite_sign_of_what_is_shown() -> None:
    seen = CoilSeen(
        exposed_ns=1,
        on_target=False,
        lateral_x_mm=3.0,
        lateral_y_mm=-4.0,
        gap_mm=1.0,
        tilt_x_deg=2.0,
        tilt_y_deg=-5.0,
        twist_error_deg=6.0,
    )
    assert corrections(seen) == {
        "dx_mm": -3.0,
        "dy_mm": 4.0,
        "gap_mm": -1.0,
        "tilt_x_deg": -2.0,
        "tilt_y_deg": 5.0,
        "twist_deg": -6.0,
    }


@pytest.mark.parametrize("missing", ["lateral_x_mm", "lateral_y_mm", "gap_mm", "tilt_x_deg", "tilt_y_deg", "twist_error_deg"])
def test_no_correction_is_made_up_where_a_number_is_missing(missing: str) -> None:
    seen = CoilSeen(
        exposed_ns=1,
        on_target=False,
        lateral_x_mm=3.0,
        lateral_y_mm=-4.0,
        gap_mm=1.0,
        tilt_x_deg=2.0,
        tilt_y_deg=-5.0,
        twist_error_deg=6.0,
    )
    assert corrections(msgspec.structs.replace(seen, **{missing: None})) is None


def test_near_enough_is_judged_in_each_number() -> None:
    assert near_enough({"dx_mm": 0.5, "twist_deg": -0.9})
    assert not near_enough({"dx_mm": 0.5, "twist_deg": -1.1})
    assert not near_enough({"dx_mm": -0.9, "twist_deg": 0.0})


def test_a_coil_error_that_is_too_old_is_not_seen(head: Head) -> None:
    class Late(Bench):
        def age_s(self, topic: str) -> float | None:
            return FRESH_S + 0.001 if topic == "v1/coil/error" else None

    assert View(Late(head, 1)).coil is None
    assert View(Bench(head, 1)).coil is not None


# ---- the program --------------------------------------------------------------------------------------------------------


def test_hands_without_a_room_say_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(RoomSaysNo, match="atmsd sim room"):
        Hands(tmp_path / "room.sock", lambda: None)


def _operator(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "sim.operator", *options], capture_output=True, text=True, timeout=60, check=False)


def _chair(folder: Path) -> Path:
    plan = plan_path(folder, "demo_itbs90")
    plan.parent.mkdir()
    plan.write_text("{}")
    chair = Chair(camera="tcp://127.0.0.1:1", rate_hz=60, latency_ms=14, stimulator=chair_lines("x100-option", folder))
    return write_chair(folder, 1, chair)


def test_without_a_room_the_day_fails_with_one_line(tmp_path: Path) -> None:
    day = _operator("--config", str(_chair(tmp_path)))
    assert day.returncode == 1
    assert day.stderr.count("\n") == 1
    assert "no room answers there" in day.stderr
    assert json.loads(day.stdout)["event"] == "failed"


def test_without_a_chairs_file_the_day_fails_with_one_line(tmp_path: Path) -> None:
    plan = plan_path(tmp_path, "demo_itbs90")
    plan.parent.mkdir()
    plan.write_text("{}")
    day = _operator("--config", str(tmp_path / "chair.toml"))
    assert day.returncode == 1
    assert day.stderr.count("\n") == 1
    assert "chair.toml" in day.stderr


def test_an_unknown_option_is_bad_usage() -> None:
    day = _operator("--config", "x", "--dance")
    assert day.returncode == 64
    assert "--dance" in day.stderr
