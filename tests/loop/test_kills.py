"""Processes that die or hang in mid-train: the stimulator is disabled in time, and nothing is counted too low."""

import os
import signal
import time

import pytest

from tests.loop.rig import Room, Supervised, is_alive, wait

MS = 1_000_000
DAEMON_BOUND_MS, HOT_BOUND_MS = 500, 1000



@pytest.mark.parametrize(
    ("number", "names", "bound_ms"),
    [
        (signal.SIGKILL, ("daemon",), DAEMON_BOUND_MS),
        (signal.SIGSTOP, ("daemon",), DAEMON_BOUND_MS),
        (signal.SIGKILL, ("hot",), HOT_BOUND_MS),
        (signal.SIGSTOP, ("hot",), HOT_BOUND_MS),
        (signal.SIGKILL, ("supervisor",), HOT_BOUND_MS),
        (signal.SIGSTOP, ("supervisor",), HOT_BOUND_MS),
        (signal.SIGKILL, ("daemon", "hot"), HOT_BOUND_MS),
        (signal.SIGSTOP, ("daemon", "hot"), HOT_BOUND_MS),
    ],
)
def test_the_stimulator_is_disabled_when_a_process_dies_or_hangs(
    room: Room, chair: Supervised, number: signal.Signals, names: tuple[str, ...], bound_ms: int
) -> None:
    chair.fire()
    hit_ns = chair.signal(number, *names)
    off_ns = room.disabled(hit_ns)
    assert off_ns - hit_ns <= bound_ms * MS
    if number is signal.SIGSTOP:
        for name in names:
            if is_alive(chair.pids[name]):
                os.kill(chair.pids[name], signal.SIGCONT)
    if "supervisor" in names and number is signal.SIGKILL:
        wait("the end of both children", lambda: not is_alive(chair.pids["hot"]) and not is_alive(chair.pids["daemon"]))
    if "hot" in names:
        assert chair.process.wait(15) == 70
        assert "disarmed, confirmed" in chair.errors()
    late = [pulse for pulse in room.pulses(off_ns) if pulse["mono_ns"] > off_ns + 60 * MS]  # a burst begun is finished
    assert late == []


def test_a_hang_that_ends_leaves_the_arm_taken_away(room: Room, chair: Supervised) -> None:
    asked_ns = chair.fire()
    hit_ns = chair.signal(signal.SIGSTOP, "daemon")
    room.disabled(hit_ns)
    chair.signal(signal.SIGCONT, "daemon")
    lost = chair.wait_fact("arm_state", hit_ns, armed=False)
    assert lost["stopped"]
    assert "daemon_late" in lost["why"]
    receipt = chair.wait_fact("receipt", hit_ns)
    assert receipt["pulses"] == len(room.pulses(asked_ns))


def test_a_train_that_outlives_all_three_is_disarmed_first_and_reported_at_the_next_start(room: Room, chair: Supervised) -> None:
    chair.fire(bursts=1)
    chair.signal(signal.SIGSTOP, "supervisor", "hot", "daemon")  # at once: whoever lived a moment longer would make safe
    chair.signal(signal.SIGKILL, "supervisor", "hot", "daemon")
    chair.process.wait(10)
    began_ns = time.monotonic_ns()
    again = Supervised(room)
    try:
        assert room.disabled(began_ns) - began_ns <= 1_500 * MS
        again.ready()
        assert "running" in again.facts("begun")[0]["found"]
        assert "found running a train at start; disarmed, confirmed" in again.errors()
    finally:
        again.close()


def test_a_second_controller_of_the_chair_is_refused_and_disturbs_nothing(room: Room, chair: Supervised) -> None:
    asked_ns = chair.fire()
    second = Supervised(room)
    assert second.process.wait(15) == 69
    assert "already controlled" in second.errors()
    second.close()
    receipt = chair.wait_fact("receipt", asked_ns)
    assert (receipt["pulses"], receipt["broken"]) == (30, False)


def test_a_second_controller_of_the_port_is_refused_and_disturbs_nothing(room: Room, chair: Supervised) -> None:
    asked_ns = chair.fire()
    other = room.folder / "other"
    other.mkdir(exist_ok=True)
    text = (room.folder / "chair.toml").read_text()
    for name in ("head.rom", "pointer.rom", "coil.rom", "stimulator"):
        text = text.replace(f'"{name}"', f'"{room.folder / name}"')
    (other / "chair.toml").write_text(text.replace("simulated-chair", "another-chair"))
    second = Room.__new__(Room)
    second.folder = other
    refused = Supervised(second)
    assert refused.process.wait(15) == 69
    assert "another program owns this port" in refused.errors()
    refused.close()
    receipt = chair.wait_fact("receipt", asked_ns)
    assert (receipt["pulses"], receipt["broken"]) == (30, False)


def test_asked_to_leave_in_mid_train_it_disables_and_exits_in_order(room: Room, chair: Supervised) -> None:
    chair.fire()
    hit_ns = chair.signal(signal.SIGTERM, "supervisor")
    assert room.disabled(hit_ns) - hit_ns <= HOT_BOUND_MS * MS
    assert chair.process.wait(15) == 0
