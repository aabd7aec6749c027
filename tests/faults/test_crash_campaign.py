"""Hundreds of lives of a chair, each ended or disturbed at random: the record never says less than the device gave, and no limit is passed.

`ATMSD_CAMPAIGN_RUNS`, `ATMSD_CAMPAIGN_DEATHS` and `ATMSD_CAMPAIGN_SEED` make it longer or another one.
"""

import os
import subprocess
import sys

import msgspec
import pytest

from tests.campaign.ordeal import DAEMON_PLACES, HOT_PLACES
from tests.campaign.outcome import ChairResult, Deaths, Summary

DEATHS = int(os.environ.get("ATMSD_CAMPAIGN_DEATHS", "10"))  # for each family
DYING = ("magventure-train", "magventure-burst", "magstim")
RUNS = int(os.environ.get("ATMSD_CAMPAIGN_RUNS", "200"))
SEED = int(os.environ.get("ATMSD_CAMPAIGN_SEED", "1"))
WHOLE_ROOM_LIVES = 6
SECONDS_A_RUN = 3  # far more than one takes: for a machine that is busy with other things


@pytest.mark.timeout(SECONDS_A_RUN * RUNS + 120)
def test_no_kill_stop_or_lost_message_leaves_a_pulse_uncounted_or_passes_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "tests.campaign", "--runs", str(RUNS), "--seed", str(SEED), "--whole", str(WHOLE_ROOM_LIVES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    *chairs, last = done.stdout.splitlines()
    summary = msgspec.json.decode(last, type=Summary)
    with capsys.disabled():
        print(f"\n{told(summary)}")
    assert not summary.faulty_chairs, complaints([msgspec.json.decode(line, type=ChairResult) for line in chairs])
    assert done.returncode == 0, done.stderr
    assert summary.runs >= RUNS + WHOLE_ROOM_LIVES
    assert summary.fired >= summary.runs // 3, "most lives gave no pulse: they proved nothing"
    assert summary.counted >= summary.given > 0
    assert any(kind.partition(" at ")[2] in DAEMON_PLACES for kind in summary.struck)
    assert any(kind.partition(" at ")[2] in HOT_PLACES for kind in summary.struck)
    for name in ("daemon", "hot", "supervisor", "room"):
        assert any(kind.startswith("kill") and name in kind for kind in summary.struck), f"{name} was never killed"


@pytest.mark.timeout(2 * SECONDS_A_RUN * len(DYING) * DEATHS + 120)
def test_host_that_dies_in_mid_train_leaves_no_more_than_its_family_may_give_and_all_of_it_is_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = [sys.executable, "-m", "tests.campaign", "--deaths", "--runs", str(DEATHS), "--seed", str(SEED), "--family", *DYING]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    *chairs, last = done.stdout.splitlines()
    summary = msgspec.json.decode(last, type=Summary)
    with capsys.disabled():
        print("".join(f"\n{family}: {told_of(deaths)}" for family, deaths in summary.deaths.items()))
    assert not summary.faulty_chairs, complaints([msgspec.json.decode(line, type=ChairResult) for line in chairs])
    assert done.returncode == 0, done.stderr
    assert set(summary.deaths) == set(DYING)
    for family, deaths in summary.deaths.items():
        assert deaths.count >= DEATHS, family
        assert deaths.in_train >= 0.9 * deaths.count, f"{family}: most hosts did not die in a train: they proved nothing"
    assert summary.counted >= summary.given > 0


def complaints(chairs: list[ChairResult]) -> str:
    """Every fault, how it came about, and how to have it again."""
    parts = []
    for chair in chairs:
        for number, life in enumerate(chair.lives):
            if life.faults:
                again = f"python -m tests.campaign --chair {chair.seed} --family {chair.family}" + (" --deaths" if life.afterlife else "")
                parts += [f"chair {chair.seed}, life {number} (again: {again}):", *life.faults, str(life.ordeal), life.log]
    return "\n".join(parts)


def told(summary: Summary) -> str:
    """One line, to be read however quiet the run is."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in summary.struck.items())
    pulses = f"{summary.given} pulses given, {summary.counted} counted"
    return f"{summary.kill_points} kill points in {summary.runs} runs ({summary.seconds:.0f} s; {pulses}): {kinds}"


def told_of(deaths: Deaths) -> str:
    pulses = ", ".join(f"{often} x {count}" for count, often in deaths.pulses.items())
    last = f"the last {deaths.latest_pulse_ms:.0f} ms after it" if deaths.latest_pulse_ms is not None else "none"
    return f"{deaths.count} hosts died, {deaths.in_train} in mid-train; pulses after the death (times): {pulses}; {last}"
