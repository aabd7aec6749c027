"""Other people's programs feed our drivers and read our sources: pyigtl and pylsl, over real sockets."""

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyigtl
import pytest

from drivers.igtl import IgtlTracker
from drivers.lsl_tracker import LslTracker
from drivers.values import TrackerState
from tests.contract.test_lsl_contract import KINDS, ReaderDoor
from tests.contract.tracker_kit import Pump
from tests.lsl_machine import CONFIG, this_machine_only

DEADLINE_S = 20.0
HEAD, COIL = "HeadToTracker", "CoilToTracker"


@pytest.fixture(scope="module")
def lsl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    config: Path = tmp_path_factory.mktemp("lsl") / "lsl_api.cfg"
    config.write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSLAPICFG", str(config))
        import pylsl  # noqa: PLC0415

        yield pylsl


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline


# ---- OpenIGTLink ------------------------------------------------------------------------------------------------------


def pose(angle: float, x_mm: float) -> np.ndarray[Any, Any]:
    matrix = np.eye(4)
    matrix[:2, :2] = ((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle)))
    matrix[:3, 3] = (x_mm, 20.0, -1500.0)
    return matrix


def test_a_pyigtl_server_feeds_our_driver_and_identity_is_a_tool_unseen() -> None:
    server = pyigtl.OpenIGTLinkServer(port=0, local_server=True)
    tracker = IgtlTracker({"head": HEAD, "coil": COIL}, frame_hz=30.0, stated_rms_mm=0.2, where="pyigtl")
    try:
        with Pump(tracker, server.server_address[:2]) as pump:
            count = 0

            def send(coil: np.ndarray[Any, Any] | None = None) -> bool:
                nonlocal count
                count += 1
                stamp = time.time()
                for name, matrix in ((HEAD, pose(0.01 * count, 10.0)), (COIL, pose(-0.01 * count, 90.0) if coil is None else coil)):
                    server.send_message(pyigtl.TransformMessage(matrix, device_name=name, timestamp=stamp), wait=False)
                return len(pump.frames) >= 5

            pump.until(send)
            frame = pump.frames[-1]
            assert [sample.unseen for sample in frame.tools] == [None, None]
            assert frame.tools[1].in_tracker_mm == pytest.approx((90.0, 20.0, -1500.0), abs=1e-3)
            w, _, _, z = frame.tools[0].wxyz or (0.0,) * 4
            assert 2.0 * math.atan2(z, w) > 0.0, "the rotation turns the right way"
            pump.until(lambda: bool(send(np.eye(4)) and pump.frames[-1].tools[1].unseen))
            assert pump.frames[-1].tools[0].unseen is None
            assert pump.state is TrackerState.TRACKING
    finally:
        server.stop()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Starts `python -m sim …` and reads its line; each must end with 0 at SIGTERM."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> dict[str, Any]:
        child = subprocess.Popen(
            [sys.executable, "-m", "sim", *arguments], stdout=subprocess.PIPE, text=True, env=this_machine_only(tmp_path)
        )
        running.append(child)
        assert child.stdout is not None
        line: dict[str, Any] = json.loads(child.stdout.readline())
        return line

    yield start
    for child in running:
        child.send_signal(signal.SIGTERM)
        with child:
            assert child.wait(DEADLINE_S) == 0


def test_a_pyigtl_client_reads_our_source(program: Callable[..., dict[str, Any]]) -> None:
    line = program("igtl-tracker", "--tcp", "127.0.0.1:0", "--rate", "100")
    assert line["ready"] and line["tools"]["coil"] == COIL
    port = int(line["endpoints"]["igtl"].rpartition(":")[2])
    client = pyigtl.OpenIGTLinkClient(port=port)
    try:
        first = client.wait_for_message(COIL, timeout=DEADLINE_S)
        second = client.wait_for_message(COIL, timeout=DEADLINE_S)
    finally:
        client.stop()
    assert second.timestamp > first.timestamp
    assert abs(second.timestamp - time.time()) < DEADLINE_S
    assert second.metadata["TransformValid"] == "True"
    assert np.allclose(second.matrix[:3, :3] @ second.matrix[:3, :3].T, np.eye(3), atol=1e-5)
    assert -1600.0 < second.matrix[2, 3] < -1400.0


# ---- LSL --------------------------------------------------------------------------------------------------------------


def outlet(lsl: Any, name: str, unit: str, objects: tuple[str, ...] = ("Head", "Coil")) -> Any:
    info = lsl.StreamInfo(name, "MoCap", 8 * len(objects), 50.0, "float32", f"{name}-source")
    channels = info.desc().append_child("channels")
    for of in objects:
        for kind in KINDS:
            channel = channels.append_child("channel")
            for key, text in (("label", f"{of}_{kind}"), ("object", of), ("type", kind), ("unit", unit)):
                channel.append_child_value(key, text)
    return lsl.StreamOutlet(info)


@pytest.mark.parametrize(("unit", "scale"), [("millimeters", 1.0), ("meters", 0.001)])
def test_a_pylsl_outlet_feeds_our_driver_in_its_own_unit(lsl: Any, tmp_path: Path, unit: str, scale: float) -> None:
    name = f"mocap-{tmp_path.name}"
    sender, door = outlet(lsl, name, unit), ReaderDoor()
    tracker = LslTracker(name, {"coil": "Coil", "head": "Head"}, stated_rms_mm=0.2, least_confidence=0.5)
    head = [10.0 * scale, 0.0, 1500.0 * scale, 1.0, 0.0, 0.0, 0.0, 1.0]
    coil = [90.0 * scale, 0.0, 1500.0 * scale, math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5), 1.0]
    try:
        with Pump(tracker, door.endpoint) as pump:

            def send(values: list[float]) -> bool:
                time.sleep(0.01)  # the sender's own pace
                sender.push_sample(values, lsl.local_clock() - 0.005)
                return len(pump.frames) >= 3

            pump.until(lambda: send(head + coil))
            frame = pump.frames[-1]
            assert [sample.tool for sample in frame.tools] == ["coil", "head"]
            assert frame.tools[0].in_tracker_mm == pytest.approx((90.0, 0.0, 1500.0), abs=1e-3)
            assert frame.tools[0].wxyz == pytest.approx((math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)), abs=1e-6)
            stamp = frame.stamp
            assert stamp is not None and stamp.host_minus_source_ns is not None and stamp.bound_ns is not None
            age_ms = (frame.received_ns - stamp.source_ns - stamp.host_minus_source_ns) / 1e6
            assert 4.0 < age_ms < 1000.0, "the stamp lies 5 ms before the sending, on the host's clock"
            assert stamp.bound_ns < 20_000_000
            pump.until(lambda: bool(send([math.nan] * 7 + [0.0] + coil) and pump.frames[-1].tools[1].unseen))
            assert pump.frames[-1].tools[0].unseen is None
    finally:
        door.close()


def test_two_outlets_of_one_name_are_refused_until_one_is_gone(lsl: Any, tmp_path: Path) -> None:
    name = f"mocap-{tmp_path.name}"
    senders, door = [outlet(lsl, name, "meters"), outlet(lsl, name, "meters")], ReaderDoor()
    tracker = LslTracker(name, {"coil": "Coil", "head": "Head"}, stated_rms_mm=0.2, least_confidence=0.5)
    values = [0.01, 0.0, 1.5, 1.0, 0.0, 0.0, 0.0, 1.0] * 2
    try:
        with Pump(tracker, door.endpoint) as pump:
            pump.until(lambda: any("2 streams" in getattr(event, "why", "") for event in pump.events))
            assert not pump.frames
            del senders[0]

            def send() -> bool:
                time.sleep(0.01)  # the sender's own pace
                senders[0].push_sample(values)
                return bool(pump.frames)

            pump.until(send)
    finally:
        door.close()
        senders.clear()


@pytest.mark.parametrize(("unit", "per_metre"), [("meters", 1.0), ("millimeters", 1000.0)])
def test_a_pylsl_inlet_reads_our_source_and_its_description(
    lsl: Any, program: Callable[..., dict[str, Any]], tmp_path: Path, unit: str, per_metre: float
) -> None:
    name = f"ours-{tmp_path.name}"
    line = program("lsl-tracker", "--stream", name, "--rate", "100", "--unit", unit)
    assert line["stream"] == name and line["tools"]["head"] == "head"
    (info,) = lsl.resolve_byprop("name", name, 1, DEADLINE_S)
    inlet = lsl.StreamInlet(info, recover=False)
    try:
        found = inlet.info(DEADLINE_S)
        sample, stamp_s = inlet.pull_sample(DEADLINE_S)
        age_s = lsl.local_clock() - (stamp_s + inlet.time_correction(DEADLINE_S))
    finally:
        inlet.close_stream()
    assert (found.type(), found.channel_count(), found.nominal_srate(), found.source_id()) == ("MoCap", 24, 100.0, "SIM-LSL-1")
    channel = found.desc().child("channels").child("channel")
    assert [channel.child_value(key) for key in ("object", "type", "unit")] == ["head", "PositionX", unit]
    assert math.hypot(*sample[3:7]) == pytest.approx(1.0, abs=1e-5)
    assert -1.6 * per_metre < sample[2] < -1.4 * per_metre
    assert 0.009 < age_s < DEADLINE_S


@pytest.mark.parametrize(
    "arguments",
    [
        ("igtl-tracker", "--rate", "0"),
        ("igtl-tracker", "--tcp", "nowhere"),
        ("igtl-tracker", "--stall-every", "0.1"),
        ("lsl-tracker", "--stream", " "),
        ("lsl-tracker", "--occlusion", "1.5"),
        ("lsl-tracker", "--unit", "inches"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_64(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", "sim", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 64
    assert len(done.stderr.strip().splitlines()) == 1 and "Traceback" not in done.stderr
