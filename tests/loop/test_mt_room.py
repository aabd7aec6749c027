"""A whole search for the motor threshold: room, `atmsd run`, operator, EMG; its pulses in the ledger against the truth, one by one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.loop.rig import Fact, Room, wait

TRUE_MSO, INTERVAL_NS = 47.0, 3_000_000_000
REPORT_NS = 200_000_000  # the device's report of a pulse comes so much later at most
CLOSE_TO_TRUE = 0.12  # of the true threshold: two and a half standard errors of a search by likelihood
ASKED_AT_MOST = 3  # pulses whose signal a busy machine let go by
MACHINE_ONLY = "[multicast]\nResolveScope = machine\n"


@pytest.fixture(scope="module")
def lsl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of programs whose streams stay on this machine."""
    config = tmp_path_factory.mktemp("lsl") / "lsl_api.cfg"
    config.write_text(MACHINE_ONLY)
    yield os.environ | {"LSLAPICFG": str(config)}


def start(environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    assert process.wait(20) == 0
    assert process.stdout is not None
    process.stdout.close()


def export(config: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "daemon", "ledger", "export", "--json", "--config", str(config)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)  # type: ignore[no-any-return]


def test_a_search_by_emg_finds_the_threshold_and_every_pulse_of_it_is_in_the_ledger(room: Room, lsl: dict[str, str]) -> None:
    config, stream = room.folder / "chair.toml", f"atmsd-test-emg-{os.getpid()}"
    config.write_text(config.read_text() + f'\n[emg]\nstream = "{stream}"\n\n[limits]\nmin_mt_pulse_interval_s = 3\n')
    muscle = start(lsl, "sim", "muscle", "--truth", str(room.folder / "truth.jsonl"), "--stream", stream, "--seed", "3")
    daemon = start(lsl, "daemon", "run", "--config", str(config))
    try:
        operator = start(lsl, "sim", "operator", "--config", str(config), "--threshold", "pest", "--evidence", "emg")
        told, _ = operator.communicate(timeout=240)
        events = [json.loads(line) for line in told.splitlines()]
        assert operator.returncode == 0, events[-3:]
        wait("the disable", lambda: room.truth() and room.truth()[-1]["kind"] == "disabled")
    finally:
        end(daemon)
        end(muscle)
    threshold = next(event for event in events if event["event"] == "threshold")
    assert threshold["value_mso"] == pytest.approx(TRUE_MSO, rel=CLOSE_TO_TRUE)
    asked = [event for event in events if event["event"] == "pulse"]
    assert len(asked) <= ASKED_AT_MOST, "the EMG could not tell"
    record = export(config)
    (saved,) = [row["body"]["record"] for row in record["rows"] if row["kind"] == "threshold"]
    assert (saved["value_mso"], saved["patient"]) == (threshold["value_mso"], "demo")
    assert saved["evidence"] == ("visual" if any(event["number"] > 1 for event in asked) else "emg")
    assert record["verified"] is True
    (session,) = record["sessions"]
    assert (session["protocol"], session["state"]) == ("mt", "COMPLETE")
    assert_pulses_equal(session["trains"], room.pulses())
    assert session["counted_pulses"] == threshold["pulses"] == threshold["pulses_today"] == len(room.pulses())


def assert_pulses_equal(trains: list[Fact], pulses: list[Fact]) -> None:
    """Each pulse has its own intent and receipt, with the amplitude that it truly had; none is nearer to another than it may be."""
    assert len(trains) == len(pulses)
    for train, pulse in zip(trains, pulses, strict=True):
        assert (train["intended_pulses"], train["counted_pulses"], train["confirmed"]) == (1, 1, True)
        assert train["amplitude_pct"] == pulse["amplitude_pct"]
        assert 0 <= train["first_pulse_mono_ns"] - pulse["mono_ns"] <= REPORT_NS
        assert train["not_before_mono_ns"] <= pulse["mono_ns"] <= train["expires_mono_ns"] + REPORT_NS
        assert pulse["enabled"]
    assert all(later["mono_ns"] - earlier["mono_ns"] >= INTERVAL_NS for earlier, later in pairwise(pulses))
