"""Faults in mid-train over real processes and real bytes: each ends with the gate closed, a reason, and nothing counted too low.

One supervised hot process for all of them: none of these faults may need a restart.
"""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.loop.rig import Fact, Room, Supervised, wait

MS = 1_000_000
SLIP_BOUND_MS = 100 + 3 * 17 + 14 + 20  # leave dwell, three frames, camera latency, a noisy machine


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = Room(tmp_path_factory.mktemp("room"))
    room.act("coil_near")
    yield room
    room.close()


@pytest.fixture(scope="module")
def chair(room: Room) -> Iterator[Supervised]:
    chair = Supervised(room).ready()
    yield chair
    assert chair.close() == 0


def settled(chair: Supervised, asked_ns: int) -> Fact:
    """The broken train's receipt."""
    return wait("a broken receipt", lambda: [fact for fact in chair.receipts(asked_ns) if fact["broken"]])[0]  # type: ignore[no-any-return]


def assert_nothing_is_lost(room: Room, chair: Supervised, asked_ns: int, *, exact: bool) -> None:
    counted = sum(fact["pulses"] for fact in chair.receipts(asked_ns))
    given = len(room.pulses(asked_ns))
    assert counted == given if exact else counted >= given


def at_rest(chair: Supervised, since_ns: int) -> None:
    """The stop that followed the last broken train or ungranted pulse is confirmed."""
    last_ns = max(fact["mono_ns"] for event in ("train_broken", "ungranted") for fact in chair.facts(event, since_ns))
    wait("confirmed standby", lambda: [fact for fact in chair.facts("safe", last_ns) if fact["confirmed"]])


def test_a_slip_breaks_the_train_within_the_leave_dwell_and_holds(room: Room, chair: Supervised) -> None:
    asked_ns = chair.fire()
    slipped_ns = time.monotonic_ns()
    room.act("slip", mm=8.0, ms=20.0)
    receipt = settled(chair, asked_ns)
    assert receipt["why"] == ["off_target"]
    last_ns = room.pulses(asked_ns)[-3]["mono_ns"]  # the first pulse of the last burst
    assert last_ns - slipped_ns <= (20 + SLIP_BOUND_MS + 200) * MS
    assert_nothing_is_lost(room, chair, asked_ns, exact=True)
    assert [fact for fact in chair.facts("arm_state", slipped_ns) if not fact["armed"]] == []  # a hold keeps the arm


def test_one_lost_look_is_no_slip_and_a_long_one_holds(room: Room, chair: Supervised) -> None:
    asked_ns = chair.fire()
    room.act("occlude", tool="coil", seconds=0.05)
    first = wait("the first receipt", lambda: chair.receipts(asked_ns))[0]
    assert (first["pulses"], first["broken"]) == (30, False)
    began_ns = chair.wait_fact("train_started", since_ns=first["mono_ns"])["mono_ns"]
    wait("its pulses", lambda: room.pulses(began_ns))
    room.act("occlude", tool="head", seconds=0.6)
    assert settled(chair, asked_ns)["why"] == ["off_target"]
    assert_nothing_is_lost(room, chair, asked_ns, exact=True)


@pytest.mark.parametrize(
    ("fault", "rest"),
    [("silent", False), ("frozen", False)],
)
def test_a_camera_that_says_nothing_new_holds_and_comes_back(room: Room, chair: Supervised, fault: str, rest: bool) -> None:
    asked_ns = chair.fire()
    fault_ns = time.monotonic_ns()
    room.act("camera_fault", name=fault, value=True)
    receipt = settled(chair, asked_ns)
    assert receipt["why"][0] in ("pose_stale", "tracker_silent")
    broken = chair.facts("train_broken", asked_ns)[0]
    assert broken["mono_ns"] - fault_ns <= 300 * MS
    room.act("camera_fault", name=fault, value=rest)
    assert_nothing_is_lost(room, chair, asked_ns, exact=True)
    wait("an age of poses again", lambda: "tracker_silent" not in (chair.facts("gate")[-1]["vetoes"]))


@pytest.mark.parametrize("fault", ["restart", "close"])
def test_a_camera_that_restarts_or_hangs_up_holds_and_comes_back_without_a_restart(room: Room, chair: Supervised, fault: str) -> None:
    asked_ns = chair.fire()
    room.act("camera_fault", name=fault, value=1)
    receipt = settled(chair, asked_ns)
    assert receipt["why"][0] in ("pose_stale", "tracker_silent")
    assert_nothing_is_lost(room, chair, asked_ns, exact=True)
    chair.wait_fact("tracker", since_ns=asked_ns, state="tracking")


@pytest.mark.parametrize(
    ("act", "facts"),
    [("press_disable", {}), ("turn_amplitude", {"pct": 60})],
)
def test_a_hand_on_the_panel_stops_and_takes_the_arm_away(room: Room, chair: Supervised, act: str, facts: dict[str, Any]) -> None:
    asked_ns = chair.fire()
    acted_ns = time.monotonic_ns()
    room.act(act, **facts)
    assert chair.wait_fact("arm_state", since_ns=acted_ns, armed=False)["stopped"]
    settled(chair, asked_ns)
    at_rest(chair, acted_ns)
    assert_nothing_is_lost(room, chair, asked_ns, exact=False)


def test_a_pulse_from_the_panel_is_counted_and_stops_everything(room: Room, chair: Supervised) -> None:
    asked_ns = time.monotonic_ns()
    os.kill(chair.pids["daemon"], signal.SIGUSR1)
    chair.wait_fact("arm_state", since_ns=asked_ns, armed=True)
    pressed_ns = time.monotonic_ns()
    room.act("press_trigger")
    ungranted = chair.wait_fact("ungranted", since_ns=asked_ns)
    assert ungranted["pulses"] >= 3
    assert chair.wait_fact("arm_state", since_ns=pressed_ns, armed=False)["stopped"]
    assert chair.facts("device_alarm", pressed_ns)[0]["high"]
    at_rest(chair, asked_ns)
    counted = sum(fact["pulses"] for fact in [*chair.receipts(asked_ns), *chair.facts("ungranted", asked_ns)])
    assert counted >= len(room.pulses(asked_ns))


def test_the_panel_switched_on_while_idle_is_switched_off_again(room: Room, chair: Supervised) -> None:
    pressed_ns = time.monotonic_ns()
    room.act("press_enable")
    room.disabled(pressed_ns)
    assert chair.wait_fact("device_alarm", since_ns=pressed_ns)["text"].startswith("front panel used")
    chair.wait_fact("safe", since_ns=pressed_ns, confirmed=True)


@pytest.mark.parametrize(
    ("name", "value", "rest"),
    [("silent", True, False), ("wrong_crc", True, False), ("loses_receipts", True, False), ("reports_temperature_c", 41, None)],
)
def test_a_stimulator_that_fails_is_stopped_and_every_pulse_that_may_have_been_given_counts(
    room: Room, chair: Supervised, name: str, value: float | bool, rest: float | bool | None
) -> None:
    asked_ns = chair.fire()
    room.act("stimulator_fault", name=name, value=value)
    broken = chair.wait_fact("train_broken", since_ns=asked_ns)
    assert broken["why"]
    room.disabled(asked_ns)
    room.act("stimulator_fault", name=name, value=rest)
    settled(chair, asked_ns)
    at_rest(chair, asked_ns)
    assert_nothing_is_lost(room, chair, asked_ns, exact=False)


def test_a_stop_that_the_device_ignores_for_a_while_counts_what_it_gave(room: Room, chair: Supervised) -> None:
    asked_ns = chair.fire()
    room.act("stimulator_fault", name="ignores_stop_ms", value=350.0)
    room.act("slip", mm=8.0, ms=20.0)
    settled(chair, asked_ns)
    room.act("stimulator_fault", name="ignores_stop_ms", value=0.0)
    at_rest(chair, asked_ns)
    assert_nothing_is_lost(room, chair, asked_ns, exact=False)


def test_a_hold_and_a_resume_keep_the_arm_and_the_gap(chair: Supervised) -> None:
    asked_ns = chair.fire()
    os.kill(chair.pids["daemon"], signal.SIGUSR2)
    receipt = settled(chair, asked_ns)
    assert receipt["why"] == ["operator"]
    os.kill(chair.pids["daemon"], signal.SIGUSR2)
    second = wait("a second train", lambda: [fact for fact in chair.receipts(asked_ns) if fact["pulses"] == 30])[0]
    assert second["first_ns"] - receipt["last_ns"] >= 300 * MS
    assert [fact for fact in chair.facts("arm_state", receipt["mono_ns"]) if not fact["armed"]] == []
