"""The daemon's streams of LSL with a peer on this machine: events out, requests in; and neither can hold or stop the daemon."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daemon import ipc
from daemon.lsl import CLOSE_S, STREAM, WAITING, EventStream, Requests, load_lsl
from daemon.lsl_events import Context
from daemon.lsl_requests import Against, Marker, Want
from daemon.messages import RequestBody
from daemon.purpose import Purpose
from tests.lsl_streams import DEADLINE_S, lsl, this_machine_only

CONTEXT = Context(session_id="S", purpose=Purpose.TREATMENT, settings=None)


@pytest.fixture(scope="module", autouse=True)
def _here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with this_machine_only(tmp_path_factory.mktemp("lsl")):
        yield


def unique(tmp_path: Path) -> str:
    return f"{tmp_path.parent.name}-{tmp_path.name}-{os.getpid()}"


@contextmanager
def told(chair: str) -> Iterator[tuple[EventStream, Any]]:
    """Events of one chair, and a recorder's inlet that is open."""
    events = EventStream(chair, "1.0", lsl)
    events.start()
    try:
        deadline = time.monotonic() + DEADLINE_S
        found: list[Any] = []
        while not found:
            assert time.monotonic() < deadline
            found = lsl().resolve_byprop("source_id", f"{STREAM}:{chair}", minimum=1, timeout=1.0)
        inlet = lsl().StreamInlet(found[0], recover=False)
        inlet.open_stream(timeout=DEADLINE_S)
        yield events, inlet
        inlet.close_stream()
    finally:
        events.close()


def started(at_ns: int) -> ipc.TrainStarted:
    return ipc.TrainStarted(grant_no=4, train=2, at_ns=at_ns)


# ---- events out -----------------------------------------------------------------------------------------------------


def test_a_recorder_reads_each_event_with_the_moment_of_the_event_itself(tmp_path: Path) -> None:
    with told(unique(tmp_path)) as (events, inlet):
        moments_ns = [time.monotonic_ns() - back_ms * 1_000_000 for back_ms in (1500, 200, 0)]
        for at_ns in moments_ns:
            events.heard(started(at_ns), CONTEXT)
        for number, at_ns in enumerate(moments_ns, 1):
            values, stamp_s = inlet.pull_sample(timeout=DEADLINE_S)
            event = json.loads(values[0])
            assert (event["event"], event["seq"], event["train"], event["mono_ns"]) == ("train_start.v1", number, 2, at_ns)
            mono_minus_lsl_s = time.monotonic() - lsl().local_clock()
            assert abs(stamp_s + mono_minus_lsl_s - at_ns / 1e9) < 0.001


def test_the_stream_says_what_it_is(tmp_path: Path) -> None:
    with told(unique(tmp_path)) as (_, inlet):
        info = inlet.info(timeout=DEADLINE_S)
        assert (info.name(), info.type(), info.channel_count(), info.nominal_srate()) == (STREAM, "Markers", 1, lsl().IRREGULAR_RATE)
        channel = info.desc().child("channels").child("channel")
        assert (channel.child_value("label"), channel.child_value("type")) == ("event", "Marker")
        acquisition = info.desc().child("acquisition")
        assert acquisition.child_value("manufacturer") == "atmsd"
        assert acquisition.child_value("time_stamps").startswith("of the event itself")


class Stuck:
    """A library whose outlet takes one marker and never returns until it is let go."""

    IRREGULAR_RATE = 0.0

    def __init__(self) -> None:
        self.let_go, self.is_stuck = threading.Event(), threading.Event()
        node = SimpleNamespace(append_child_value=lambda _name, _value: None)
        node.append_child = lambda _name: node
        self.StreamInfo = lambda *_: SimpleNamespace(desc=lambda: node)
        self.StreamOutlet = lambda *_: SimpleNamespace(push_sample=self.push)

    def local_clock(self) -> float:
        return time.monotonic()

    def push(self, _sample: list[str], _stamp_s: float) -> None:
        self.is_stuck.set()
        self.let_go.wait(DEADLINE_S)


def test_a_library_that_is_stuck_holds_nobody_up_and_what_is_lost_is_counted() -> None:
    stuck = Stuck()
    events = EventStream("chair", "1.0", lambda: stuck)
    events.start()
    events.heard(started(1), CONTEXT)
    assert stuck.is_stuck.wait(DEADLINE_S)
    for at_ns in range(WAITING + 7):
        events.heard(started(at_ns), CONTEXT)
    assert events.lost == 7
    begun = time.monotonic()
    events.close()
    assert time.monotonic() - begun < CLOSE_S + 1.0
    stuck.let_go.set()


@pytest.mark.parametrize("error", [RuntimeError("no socket"), OSError("no net"), ValueError("no info")])
def test_a_library_that_fails_ends_the_stream_and_nothing_else(error: Exception) -> None:
    def fails(*_: object) -> None:
        raise error

    broken = Stuck()
    broken.StreamOutlet = fails  # type: ignore[assignment]
    events = EventStream("chair", "1.0", lambda: broken)
    events.start()
    events._thread.join(DEADLINE_S)
    events.heard(started(1), CONTEXT)
    events.close()


def test_without_the_library_there_are_no_streams_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylsl", None)
    assert load_lsl() is None
    events = EventStream("chair", "1.0")
    events.start()
    events.heard(started(1), CONTEXT)
    events.close()
    requests = Requests("requests", Acts(), lambda _: None, lambda *_: None)  # type: ignore[arg-type]
    asyncio.run(requests.start())
    requests.close()


# ---- requests in ----------------------------------------------------------------------------------------------------


class Acts:
    """The session's door: `answer` is what it says."""

    def __init__(self) -> None:
        self.wanted: list[Want] = []
        self.answer: Against | None = None

    def put(self, want: Want) -> Against | None:
        self.wanted.append(want)
        return self.answer


class Heard:
    """A stream of requests and everything that is told and written of it."""

    def __init__(self, stream: str) -> None:
        self.acts = Acts()
        self.bodies: list[RequestBody] = []
        self.notes: list[tuple[str, str]] = []
        self.requests = Requests(stream, self.acts, self.bodies.append, lambda *note: self.notes.append(note), lsl)  # type: ignore[arg-type]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                await asyncio.sleep(0.005)


def marker(number: int, want: str = "train") -> list[str]:
    return [json.dumps({"v": 1, "id": f"r{number}", "want": want})]


def test_a_marker_of_the_named_stream_is_put_to_the_session_once_and_told(tmp_path: Path) -> None:
    name = f"requests-{unique(tmp_path)}"

    async def play() -> Heard:
        outlet = lsl().StreamOutlet(lsl().StreamInfo(name, "Markers", 1, 0, "string", name))
        heard = Heard(name)
        await heard.requests.start()
        await heard.until(outlet.have_consumers)
        await heard.until(lambda: heard.requests._inlet is not None and heard.requests._inlet.is_open)
        outlet.push_sample(marker(1))
        outlet.push_sample(marker(1))
        outlet.push_sample(marker(2), lsl().local_clock() - 1.5)
        await heard.until(lambda: len(heard.bodies) == 3)
        heard.requests.close()
        return heard

    heard = asyncio.run(play())
    assert heard.acts.wanted == [Want.TRAIN]
    assert [(body.id, body.accepted, body.reason) for body in heard.bodies] == [
        ("r1", True, None),
        ("r1", False, "double"),
        ("r2", False, "too_old"),
    ]
    assert 0.0 <= heard.bodies[0].age_ms < 1000.0
    assert (heard.bodies[2].accepted_total, heard.bodies[2].refused_total) == (1, 2)
    assert heard.notes == [(f"LSL stream {name}", "asked for a train (id r1)")]


def test_what_the_session_refuses_is_told_with_its_reason_and_is_no_dose_record_s_affair() -> None:
    heard = Heard("requests")
    heard.acts.answer = Against.GATE_CLOSED
    now_ns = time.monotonic_ns()
    heard.requests.take(Marker(text=marker(1)[0], stamped_ns=now_ns, arrived_ns=now_ns, rivals=0))
    (body,) = heard.bodies
    assert (body.accepted, body.reason, body.refused_total) == (False, "gate_closed", 1)
    assert heard.notes == []


def test_a_flood_reaches_the_session_not_once_and_is_counted() -> None:
    heard = Heard("requests")
    now_ns = time.monotonic_ns()
    for _ in range(500):
        heard.requests.take(Marker(text="flood", stamped_ns=now_ns, arrived_ns=now_ns, rivals=0))
    assert heard.acts.wanted == []
    assert len(heard.bodies) <= 20
    assert heard.requests._desk.refused == 500


# ---- the program ----------------------------------------------------------------------------------------------------


def test_the_simulated_box_says_its_streams_and_leaves_when_it_is_told(tmp_path: Path) -> None:
    name = unique(tmp_path)
    options = ["--trigger", f"{name}.t", "--status", f"{name}.s", "--receipts", f"{name}.r", "--fault", "silent@60"]
    command = [sys.executable, "-m", "sim", "trigger-box", "--truth", str(tmp_path / "truth.jsonl"), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        line = json.loads(program.stdout.readline())
        program.send_signal(signal.SIGTERM)
        assert program.stdout.read() == ""
        assert program.wait(DEADLINE_S) == 0
    assert line["ready"]
    assert line["streams"] == {"trigger": f"{name}.t", "status": f"{name}.s", "receipts": f"{name}.r"}


def test_the_simulated_box_refuses_a_fault_that_there_is_not() -> None:
    command = [sys.executable, "-m", "sim", "trigger-box", "--fault", "sulks"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 64
    assert "there is no fault 'sulks'" in done.stderr
    assert "Traceback" not in done.stderr
