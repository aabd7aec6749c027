"""The whole chair as its users run it: room, `atmsd run`, operator; all three processes killed in mid-train, and the day after that."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from clients.link import Link
from tests.loop.rig import Room, wait


def start(config: Path, errors: Path) -> subprocess.Popen[bytes]:
    with errors.open("wb") as file:
        return subprocess.Popen([sys.executable, "-m", "daemon", "run", "--config", str(config)], stderr=file)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def export(config: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "daemon", "ledger", "export", "--json", "--config", str(config)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)  # type: ignore[no-any-return]


def test_killed_in_mid_train_the_chair_comes_back_safe_with_the_train_in_full_and_the_gap_from_its_latest_end(room: Room) -> None:
    config = room.folder / "chair.toml"
    run = start(config, room.folder / "run.err")
    operator = subprocess.Popen(
        [sys.executable, "-m", "sim.operator", "--config", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait("pulses of a session", room.pulses, 90.0)
        both = children(run.pid)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in (run.pid, *both):
                os.kill(pid, number)
        run.wait(10)
    finally:
        operator.kill()
        operator.wait(10)
    killed_ns = room.pulses()[-1]["mono_ns"]
    again = start(config, room.folder / "again.err")
    try:
        room.disabled(killed_ns)
        with Link.from_config(config) as link:
            wait("a session", lambda: link.pump(0.1) is not None and link.latest("v1/session"), 20.0)
            link.call("take_lease", name="test")
            opened = link.call("open_plan", 30.0, path=str(next(room.folder.glob("plans/*.plan.json"))))
            assert not opened.dose.allowed_now
            assert opened.dose.reasons == ("MIN_GAP",)
            link.pump(0.1)
            found = link.latest("v1/alarm/found_armed")
            assert found is not None
            assert "running" in found.body.text
    finally:
        again.terminate()
        assert again.wait(15) == 0
    record = export(config)
    (session,) = record["sessions"]
    assert record["verified"] is True
    assert (session["state"], session["recovered"], session["counted_pulses"]) == ("PARTIAL", True, 30)
    assert 0 < len(room.pulses()) <= 30
    (train,) = session["trains"]
    assert train["basis"] == "intent_in_full"
    latest_ns = train["expires_mono_ns"] + 1_840_000_000
    assert session["last_pulse_mono_ns"] == latest_ns > room.pulses()[-1]["mono_ns"]
    assert session["last_pulse_is_bound"]
