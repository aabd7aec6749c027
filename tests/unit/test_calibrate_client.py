"""`atmsd calibrate` and `atmsd qa` as programs against a bus that answers: what they send, what they show, how they end."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from clients.calibrate import entry_lines
from clients.guided import REFUSAL_TEXT, bars, wanted
from daemon.bus import Call
from daemon.calibration_messages import CalibrateStarted
from daemon.messages import (
    CalibrateDoneResult,
    CalibrateListResult,
    CalibrateTouchResult,
    CalibrationBody,
    CalibrationEntry,
    Done,
    Error,
    ErrorCode,
    Heartbeat,
    Message,
    QaItem,
    QaReport,
    QaReportResult,
    Step,
)
from tests.running_bus import DEADLINE_S, RunningBus

ENTRY = CalibrationEntry(
    tool="pointer",
    version=4,
    against=("none_accepted",),
    in_use=False,
    method="pivot",
    taken_utc="2027-01-01T10:00:00.000Z",
    taken_by="E",
    valid_until_utc="2027-07-01T10:00:00.000Z",
    rom_sha256="a" * 64,
    sha256="b" * 64,
    tip_in_pointer_mm=(-18.0, 0.7, -157.0),
    numbers={"rms_mm": 0.21},
)
ENOUGH = CalibrationBody(in_use=(), task="pointer", samples=250, samples_wanted=200, enough=True)
REPORT = QaReport(utc="u", by="E", chair="c", tracker="t", verdict="passed", items=(), missing=(), calibrations=(), rom_sha256={})
ITEM = QaItem(name="jitter", subject="coil", value=0.08, limit=0.1, passed=True, numbers={})


class Daemon:
    """Answers as a daemon would; what it finds is the test's."""

    def __init__(self, points: tuple[str, ...] = (), entry: CalibrationEntry = ENTRY, report: QaReport = REPORT) -> None:
        self.points, self.entry, self.report = points, entry, report
        self.untouched = 1  # so many times the tip is not still
        self.asked: list[str] = []

    async def answer(self, call: Call) -> Message | Error:
        self.asked.append(call.method)
        match call.method:
            case "calibrate_start":
                return CalibrateStarted(state_rev=1, task="t", points=self.points)
            case "calibrate_touch":
                if self.untouched:
                    self.untouched -= 1
                    return Error(code=ErrorCode.TOUCH_REFUSED, message="the tip moved by 2.0 mm", remedy="Hold it still.")
                return CalibrateTouchResult(state_rev=1, point="A", touches=1, spread_mm=0.1, frames=60, dropped=1)
            case "calibrate_end":
                return CalibrateDoneResult(state_rev=1, calibration=self.entry if self.entry.version else None, items=(ITEM,))
            case "calibrate_list":
                return CalibrateListResult(state_rev=1, in_use=(), calibrations=(self.entry,))
            case "qa_report":
                return QaReportResult(state_rev=1, report=self.report, text="VERDICT", stored="/x/qa-0001.json")
        return Done(state_rev=1)

    @property
    def methods(self) -> list[str]:
        return [method for method in self.asked if method not in ("keep_lease", "hello")]


@contextmanager
def client(bus: RunningBus, module: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", module, *words, "--plain", "--commands", bus.commands, "--telemetry", bus.telemetry]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as child:  # type: ignore[call-overload]
        try:
            yield child
        finally:
            child.kill()


def publish(bus: RunningBus, body: CalibrationBody) -> None:
    bus.publish("v1/hb", Heartbeat(state_rev=1, step=Step.PLAN, chair="test", operator="E", hot_age_ms=None))
    bus.publish("v1/calibration", body)


def events(child: subprocess.Popen[str]) -> list[dict[str, object]]:
    out, _ = child.communicate(timeout=DEADLINE_S)
    return [json.loads(line) for line in out.splitlines()]


def test_a_pointer_is_collected_until_it_is_enough_ended_and_left_to_be_accepted() -> None:
    daemon = Daemon()
    with RunningBus(daemon.answer) as bus:
        publish(bus, ENOUGH)
        with client(bus, "clients.calibrate", "pointer", "--operator", "E") as child:
            told = events(child)
            assert child.returncode == 0
    assert daemon.methods == ["take_lease", "calibrate_start", "calibrate_end", "release_lease"]
    assert [event["event"] for event in told] == ["begun", "progress", "found", "kept"]


def test_with_accept_it_is_taken_into_use_in_the_operators_name() -> None:
    daemon = Daemon()
    with RunningBus(daemon.answer) as bus:
        publish(bus, ENOUGH)
        with client(bus, "clients.calibrate", "pointer", "--operator", "E", "--accept") as child:
            assert events(child)[-1]["event"] == "accepted"
        accept = next(call.params for call in bus.calls if call.method == "calibrate_accept")
    assert msgspec.to_builtins(accept) == {"tool": "pointer", "version": 4, "name": "E"}


def test_what_its_gates_refuse_is_never_accepted() -> None:
    daemon = Daemon(entry=msgspec.structs.replace(ENTRY, refusals=("span_small",)))
    with RunningBus(daemon.answer) as bus:
        publish(bus, ENOUGH)
        with client(bus, "clients.calibrate", "pointer", "--operator", "E", "--accept") as child:
            told = events(child)
            assert child.returncode == 1
    assert "calibrate_accept" not in daemon.methods
    assert "tilt it further" in str(told[-1]["text"])


def test_a_coil_is_touched_point_by_point_and_again_where_the_tip_was_not_still() -> None:
    daemon = Daemon(points=("A", "handle"))
    with RunningBus(daemon.answer) as bus, client(bus, "clients.calibrate", "coil", "--operator", "E") as child:
        told = events(child)
        assert child.returncode == 0
    assert daemon.methods.count("calibrate_touch") == 3
    assert [event["event"] for event in told][:6] == ["begun", "touch", "again", "touched", "touch", "touched"]
    assert "HANDLE" in str(told[4]["text"])


def test_leaving_in_the_middle_cancels_what_is_under_way() -> None:
    daemon = Daemon()
    with RunningBus(daemon.answer) as bus, client(bus, "clients.calibrate", "pointer", "--operator", "E") as child:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["event"] == "begun"
        child.terminate()
        assert child.wait(DEADLINE_S) == 1
    assert daemon.methods[-2:] == ["calibrate_cancel", "release_lease"]


def test_the_history_is_listed_without_a_lease() -> None:
    daemon = Daemon()
    with RunningBus(daemon.answer) as bus, client(bus, "clients.calibrate", "list") as child:
        (told,) = events(child)
    assert daemon.methods == ["calibrate_list"]
    assert "none_accepted" in str(told["text"])


def test_a_quality_check_waits_for_enter_before_each_part_and_writes_its_report(tmp_path: Path) -> None:
    daemon = Daemon(points=("A",), entry=msgspec.structs.replace(ENTRY, version=0))
    with (
        RunningBus(daemon.answer) as bus,
        client(bus, "clients.qa", "--operator", "E", "--out", str(tmp_path / "out"), "--parts", "block") as child,
    ):
        assert child.stdout is not None and child.stdin is not None
        assert json.loads(child.stdout.readline())["event"] == "prepare"
        assert "calibrate_start" not in daemon.methods
        child.stdin.write("\n")
        child.stdin.flush()
        told = events(child)
        assert child.returncode == 0
    assert [event["event"] for event in told] == ["begun", "touch", "again", "touched", "item", "report"]
    assert json.loads((tmp_path / "out" / "report.json").read_text())["verdict"] == "passed"
    assert (tmp_path / "out" / "report.txt").read_text() == "VERDICT"


@pytest.mark.parametrize("verdict", ["failed", "incomplete"])
def test_a_quality_check_that_did_not_pass_does_not_end_with_zero(verdict: str) -> None:
    daemon = Daemon(points=("A",), entry=msgspec.structs.replace(ENTRY, version=0), report=msgspec.structs.replace(REPORT, verdict=verdict))
    with RunningBus(daemon.answer) as bus, client(bus, "clients.qa", "--operator", "E", "--parts", "block") as child:
        child.communicate("\n", timeout=DEADLINE_S)
        assert child.returncode == 1


@pytest.mark.parametrize("module", ["clients.calibrate", "clients.qa"])
def test_unknown_words_and_missing_names_exit_with_64(module: str) -> None:
    for words in (["bogus"], ["pointer"] if module == "clients.calibrate" else []):
        assert subprocess.run([sys.executable, "-m", module, *words], capture_output=True, timeout=60, check=False).returncode == 64


# ---- what the person sees -------------------------------------------------------------------------------------------------


def test_bars_fill_up_as_the_gates_are_met() -> None:
    body = CalibrationBody(
        in_use=(),
        task="pointer",
        samples=100,
        samples_wanted=200,
        dropped=3,
        span_wanted_deg=45.0,
        axis_spans_deg=(60.0, 9.0),
        condition_number=30.0,
        condition_limit=15.0,
        rms_mm=0.25,
        rms_limit_mm=0.5,
        refusals=("span_small", "too_few_frames"),
    )
    shares = {name: share for name, share, _ in bars(body)}
    assert shares == {"samples": 0.5, "turned one way": 1.0, "turned the other way": 0.2, "conditioning": 0.5, "residual": 1.0, "": 0.0}
    assert wanted(body) == f"{REFUSAL_TEXT['span_small']}; {REFUSAL_TEXT['too_few_frames']}"


def test_an_unseen_tool_is_said_before_anything_else() -> None:
    assert wanted(msgspec.structs.replace(ENOUGH, unseen="pointer not seen")) == "POINTER NOT SEEN"
    assert wanted(ENOUGH) == "enough"


def test_an_entry_says_what_was_found_by_whom_until_when_and_what_is_against_it() -> None:
    text = "\n".join(entry_lines(msgspec.structs.replace(ENTRY, refusals=("back_elsewhere",))))
    for words in ("version 4", "by E", "-157.000", "valid until 2027-07-01", "THE BACK IS ELSEWHERE"):
        assert words in text
    assert "DAMAGED" in entry_lines(CalibrationEntry(tool="coil", version=1, against=(), in_use=False, damaged="no JSON"))[0]
