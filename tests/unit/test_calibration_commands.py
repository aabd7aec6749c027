"""What each command about calibrations does and refuses, over frames and a history of the test's."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from calibration.frames import Transform, Xyz, rigid_matrix, rotation_from_vector
from daemon.bus_requests import Call
from daemon.calibration_commands import CalibrationCommands
from daemon.calibration_messages import (
    CalibrateDoneResult,
    CalibrateListResult,
    CalibrateShowResult,
    CalibrateStarted,
    CalibrateTouchResult,
    CalibrationBody,
    QaReportResult,
)
from daemon.calibrator import Calibrator
from daemon.core import Core
from daemon.ipc import FrameNews
from daemon.messages import METHODS, Done, Error, ErrorCode, Message, Step
from daemon.record import Record as DoseRecord
from daemon.session_words import Session
from sim.world_bench import COIL_POINTS_MM, COIL_SIDES_MM, DIVOTS_MM
from tests.bench_frames import FRAME_NS, MS, news, pose, tip_at
from tests.unit.test_calibration_store import COIL, POINTER
from tests.unit.test_calibration_tasks import DIVOT, turned
from tests.unit.test_calibrations_in_use import Place

TIP: Xyz = (-18.0, 0.7, -157.0)
COILTOOL_FROM_COIL = Transform("coil", "coil", rigid_matrix(rotation_from_vector((2.9, 0.2, 0.4)), np.array((3.0, -60.0, -90.0))))


class Book:
    """The audit notes of the dose record."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []

    async def note(self, who: str, what: str) -> None:
        self.notes.append((who, what))


class Bench(Place):
    """The commands over a chair of the history; frames come when the test says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.number = 0
        self.told: list[CalibrationBody] = []
        self.book = Book()
        self.is_free = True
        self.handed_over = self.forgotten = 0
        self.core = SimpleNamespace(state=Session(rev=5))
        self.calibrator = Calibrator(self.calibrations, self.told.append, lambda: self.number * FRAME_NS + 20 * MS)
        desk = cast(Any, self)
        self.commands = CalibrationCommands(
            self.config, cast(Core, self.core), self.calibrations, self.calibrator, cast(DoseRecord, self.book), desk
        )

    operator = "E"

    def is_chair_free(self) -> bool:
        return self.is_free

    def hand_over_calibration(self) -> None:
        self.handed_over += 1

    def forget_registration(self) -> None:
        self.forgotten += 1

    def tracker_name(self) -> str:
        return "a camera"

    async def call(self, method: str, **params: object) -> Message | Error:
        converted = msgspec.convert(params, METHODS[method].params)
        return await self.commands.does[method](Call(method=method, params=converted, state_rev=None, client="c", request_id="1"))

    async def refused(self, method: str, code: ErrorCode, **params: object) -> str:
        answer = await self.call(method, **params)
        assert isinstance(answer, Error) and answer.code == code, answer
        return answer.message

    def show(self, *tools: Transform) -> FrameNews:
        self.number += 1
        frame = news(self.number, *tools)
        self.calibrator.frame(frame)
        return frame

    async def touch(self, point: str, see: Callable[[], object]) -> Message | Error:
        """Ask for a touch while the camera sees that."""
        asked = asyncio.create_task(self.call("calibrate_touch", point=point))
        await asyncio.sleep(0)
        for _ in range(200):
            if asked.done():
                break
            see()
            await asyncio.sleep(0)
        return await asked

    async def pivot(self, task: str = "pointer", degrees: float = 35.0, tip: Xyz = TIP) -> Message | Error:
        assert isinstance(await self.call("calibrate_start", task=task, name="E"), CalibrateStarted)
        for number in range(400):
            self.show(tip_at(DIVOT, tip, turned(number, degrees)))
        return await self.call("calibrate_end")

    async def calibrated_pointer(self) -> None:
        done = await self.pivot()
        assert isinstance(done, CalibrateDoneResult) and done.calibration is not None
        assert isinstance(await self.call("calibrate_accept", tool="pointer", version=done.calibration.version, name="E"), Done)

    def tip_on_coil(self, point: Xyz) -> Callable[[], object]:
        coil = pose("coil", (10.0, 0.0, 0.0), (40.0, 0.0, -1500.0))
        spot = (coil @ COILTOOL_FROM_COIL).apply(point)
        return lambda: self.show(coil, tip_at(spot, TIP))


def run(act: Callable[[Bench], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    def test(tmp_path: Path) -> None:
        asyncio.run(act(Bench(tmp_path)))

    test.__name__ = act.__name__
    return test


@run
async def test_a_pointer_is_calibrated_kept_and_used_only_once_somebody_accepts_it(bench: Bench) -> None:
    done = await bench.pivot()
    assert isinstance(done, CalibrateDoneResult) and done.calibration is not None
    assert (done.calibration.version, done.calibration.taken_by, done.calibration.refusals) == (1, "E", ())
    assert done.calibration.against == ("none_accepted",)
    assert bench.calibrations.tip_in_pointer_mm() is None
    assert isinstance(await bench.call("calibrate_accept", tool="pointer", version=1, name="F"), Done)
    tip = bench.calibrations.tip_in_pointer_mm()
    assert tip is not None and np.allclose(tip, TIP, atol=0.01)
    assert (bench.handed_over, bench.forgotten) == (1, 1)
    ((who, what),) = bench.book.notes
    assert who == "F" and "pointer" in what
    shown = await bench.call("calibrate_show", tool="pointer", version=1)
    assert isinstance(shown, CalibrateShowResult)
    assert (shown.calibration.accepted_by, shown.calibration.in_use, shown.calibration.against) == ("F", True, ())


@run
async def test_a_calibration_that_its_gates_refuse_is_kept_and_cannot_be_accepted(bench: Bench) -> None:
    done = await bench.pivot(degrees=10.0)
    assert isinstance(done, CalibrateDoneResult) and done.calibration is not None
    assert "span_small" in done.calibration.refusals
    message = await bench.refused("calibrate_accept", ErrorCode.CALIBRATION_REFUSED, tool="pointer", version=1, name="E")
    assert "span_small" in message
    assert bench.history.book().acceptances == ()


@run
async def test_an_altered_calibration_cannot_be_accepted(bench: Bench) -> None:
    await bench.pivot()
    path = bench.history.folder / "pointer-0001.json"
    path.write_text(path.read_text().replace('"taken_by": "E"', '"taken_by": "F"'))
    assert "hash" in await bench.refused("calibrate_accept", ErrorCode.CALIBRATION_REFUSED, tool="pointer", version=1, name="E")
    await bench.refused("calibrate_accept", ErrorCode.CALIBRATION_REFUSED, tool="pointer", version=2, name="E")


@run
async def test_one_of_another_tool_file_or_expired_cannot_be_accepted(bench: Bench) -> None:
    bench.history.add(POINTER)
    message = await bench.refused("calibrate_accept", ErrorCode.CALIBRATION_REFUSED, tool="pointer", version=1, name="E")
    assert "other_tool_file" in message
    bench.keep(COIL, accept=False)
    bench.now_s += 10**9
    assert "expired" in await bench.refused("calibrate_accept", ErrorCode.CALIBRATION_REFUSED, tool="coil", version=1, name="E")


@run
async def test_the_coil_is_touched_point_by_point_and_its_calibration_says_what_it_rests_on(bench: Bench) -> None:
    await bench.calibrated_pointer()
    started = await bench.call("calibrate_start", task="coil", name="E")
    assert isinstance(started, CalibrateStarted)
    assert started.points == (*COIL_POINTS_MM, "handle", "back")
    for name, point in (COIL_POINTS_MM | COIL_SIDES_MM).items():
        answer = await bench.touch(name, bench.tip_on_coil(point))
        assert isinstance(answer, CalibrateTouchResult), answer
        assert (answer.point, answer.touches) == (name, 1)
    done = await bench.call("calibrate_end")
    assert isinstance(done, CalibrateDoneResult) and done.calibration is not None
    assert done.calibration.refusals == ()
    assert np.allclose(np.array(done.calibration.coiltool_from_coil), COILTOOL_FROM_COIL.matrix, atol=0.02)
    assert done.calibration.rests_on["pointer"] == bench.calibrations.in_use("pointer").sha256


@run
async def test_a_tip_that_stays_where_the_last_point_was_is_no_touch_of_the_next(bench: Bench) -> None:
    await bench.calibrated_pointer()
    await bench.call("calibrate_start", task="coil", name="E")
    see = bench.tip_on_coil(COIL_POINTS_MM["left_wing"])
    assert isinstance(await bench.touch("left_wing", see), CalibrateTouchResult)
    asked = asyncio.create_task(bench.call("calibrate_touch", point="left_front"))
    await asyncio.sleep(0)
    for _ in range(200):
        see()
    await asyncio.sleep(0)
    assert not asked.done()
    assert await bench.refused("calibrate_touch", ErrorCode.TOUCH_REFUSED, point="left_rear") == "another touch is under way"
    await bench.call("calibrate_cancel")
    answer = await asked
    assert isinstance(answer, Error) and answer.message == "it was cancelled"


@run
async def test_only_points_of_the_task_are_touched(bench: Bench) -> None:
    assert "nothing" in await bench.refused("calibrate_touch", ErrorCode.TOUCH_REFUSED, point="A")
    await bench.calibrated_pointer()
    await bench.call("calibrate_start", task="coil", name="E")
    assert "left_wing" in await bench.refused("calibrate_touch", ErrorCode.TOUCH_REFUSED, point="nose")


@run
async def test_what_needs_the_tip_waits_for_a_calibrated_pointer(bench: Bench) -> None:
    for task in ("coil", "plate", "spread", "block"):
        message = await bench.refused("calibrate_start", ErrorCode.CALIBRATION_REFUSED, task=task, name="E")
        assert "none has been accepted" in message


@run
async def test_nothing_is_calibrated_while_a_plan_or_a_session_is_open(bench: Bench) -> None:
    for step in Step:
        bench.core.state = Session(rev=5, step=step)
        answer = await bench.call("calibrate_start", task="pointer", name="E")
        assert isinstance(answer, CalibrateStarted) == (step in (Step.PLAN, Step.DONE)), step
        await bench.call("calibrate_cancel")
    bench.core.state, bench.is_free = Session(rev=5), False
    await bench.refused("calibrate_start", ErrorCode.WRONG_STEP, task="pointer", name="E")


@run
async def test_nothing_is_accepted_while_a_plan_is_open_the_chair_is_in_use_or_a_calibration_is_under_way(bench: Bench) -> None:
    bench.keep(POINTER, accept=False)
    bench.core.state = Session(rev=5, step=Step.AIM)
    await bench.refused("calibrate_accept", ErrorCode.WRONG_STEP, tool="pointer", version=1, name="E")
    bench.core.state, bench.is_free = Session(rev=5), False
    await bench.refused("calibrate_accept", ErrorCode.WRONG_STEP, tool="pointer", version=1, name="E")
    bench.is_free = True
    await bench.call("calibrate_start", task="pointer", name="E")
    await bench.refused("calibrate_accept", ErrorCode.WRONG_STEP, tool="pointer", version=1, name="E")
    assert bench.calibrations.tip_in_pointer_mm() is None


@run
async def test_every_act_has_a_name(bench: Bench) -> None:
    await bench.refused("calibrate_start", ErrorCode.BAD_PARAMS, task="pointer", name=" ")
    await bench.refused("calibrate_accept", ErrorCode.BAD_PARAMS, tool="pointer", version=1, name="")
    await bench.refused("qa_report", ErrorCode.BAD_PARAMS, name="")


@run
async def test_too_little_to_find_anything_is_refused_with_its_reason(bench: Bench) -> None:
    await bench.call("calibrate_start", task="pointer", name="E")
    answer = await bench.call("calibrate_end")
    assert isinstance(answer, Error)
    assert (answer.code, answer.details) == (ErrorCode.CALIBRATION_REFUSED, {"reasons": ["rank_deficient"]})
    await bench.refused("calibrate_end", ErrorCode.WRONG_STEP)
    assert bench.history.versions("pointer") == ()


@run
async def test_the_history_is_listed_whole_and_the_damaged_by_name(bench: Bench) -> None:
    bench.keep(POINTER)
    bench.keep(POINTER, accept=False)
    bench.keep(COIL)
    (bench.history.folder / "coil-0001.json").write_text("{}")
    listed = await bench.call("calibrate_list")
    assert isinstance(listed, CalibrateListResult)
    told = [(each.tool, each.version, each.against, bool(each.damaged)) for each in listed.calibrations]
    assert told == [("pointer", 2, ("none_accepted",), False), ("pointer", 1, (), False), ("coil", 1, ("altered",), True)]
    await bench.refused("calibrate_show", ErrorCode.BAD_PARAMS, tool="coil", version=9)


@run
async def test_looking_again_before_an_arm_finds_what_was_altered_meanwhile(bench: Bench) -> None:
    bench.keep(POINTER)
    bench.keep(COIL)
    assert await bench.commands.look_again() is None
    path = bench.history.folder / "coil-0001.json"
    path.write_text(path.read_text().replace("-60.0", "-61.0"))
    why = await bench.commands.look_again()
    assert why is not None and "altered" in why
    assert bench.handed_over == 2


@run
async def test_a_calibration_exchanged_for_another_good_one_refuses_the_next_arm_once(bench: Bench) -> None:
    bench.keep(POINTER)
    bench.keep(COIL)
    kept = bench.history.add(msgspec.structs.replace(COIL, rom_sha256=bench.calibrations.rom_sha256["coil"]))
    bench.history.accept(msgspec.structs.replace(bench.history.book().acceptances[-1], version=kept.version, record_sha256=kept.sha256))
    why = await bench.commands.look_again()
    assert why is not None and "no longer the one" in why
    assert await bench.commands.look_again() is None


@run
async def test_a_whole_quality_check_is_reported_and_stored(bench: Bench) -> None:
    await bench.calibrated_pointer()
    await bench.call("calibrate_start", task="jitter", name="E", seconds=5.0)
    for _ in range(303):
        bench.show(pose("head"), pose("pointer"), pose("coil"))
    assert isinstance(await bench.call("calibrate_end"), CalibrateDoneResult)
    assert isinstance(await bench.pivot("spread"), CalibrateDoneResult)
    started = await bench.call("calibrate_start", task="block", name="E")
    assert isinstance(started, CalibrateStarted)
    for divot in started.points:
        spot = np.add(DIVOTS_MM[divot], (0.0, 0.0, -1500.0))
        assert isinstance(await bench.touch(divot, lambda spot=spot: bench.show(tip_at(spot, TIP))), CalibrateTouchResult)  # type: ignore[misc]
    await bench.call("calibrate_end")
    answer = await bench.call("qa_report", name="E")
    assert isinstance(answer, QaReportResult)
    assert (answer.report.verdict, answer.report.missing) == ("passed", ())
    assert [item.name for item in answer.report.items] == ["jitter", "jitter", "jitter", "spread", "repeatability", "distance"]
    stored = Path(answer.stored)
    assert msgspec.json.decode(stored.read_bytes())["verdict"] == "passed"
    assert stored.with_suffix(".txt").read_text() == answer.text
    again = await bench.call("qa_report", name="E")
    assert isinstance(again, QaReportResult) and again.report.verdict == "incomplete"


@run
async def test_what_the_chairs_file_does_not_name_is_refused_by_name(bench: Bench) -> None:
    await bench.calibrated_pointer()
    replace = msgspec.structs.replace
    tools = replace(bench.config.tools, plate=None, coil=replace(bench.config.tools.coil, drawing=None))
    bench.commands._config = replace(bench.config, tools=tools, qa=replace(bench.config.qa, block=None))
    for task, key in (("coil", "drawing"), ("plate", "plate"), ("block", "block")):
        assert key in await bench.refused("calibrate_start", ErrorCode.CALIBRATION_REFUSED, task=task, name="E")


@run
async def test_a_paper_that_cannot_be_read_is_one_clear_line(bench: Bench) -> None:
    await bench.calibrated_pointer()
    drawing = bench.config.tools.coil.drawing
    assert drawing is not None
    drawing.write_text("points")
    assert "coil_points.toml" in await bench.refused("calibrate_start", ErrorCode.CALIBRATION_REFUSED, task="coil", name="E")


@pytest.mark.parametrize("seconds", [4.0, 601.0, float("nan")])
def test_a_jitter_takes_a_time_that_means_something(tmp_path: Path, seconds: float) -> None:
    bench = Bench(tmp_path)
    asyncio.run(cast(Awaitable[Any], bench.refused("calibrate_start", ErrorCode.BAD_PARAMS, task="jitter", name="E", seconds=seconds)))  # type: ignore[arg-type]


def test_how_it_stands_is_told_while_it_is_under_way(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def told() -> None:
        telling = asyncio.create_task(bench.calibrator.run())
        await bench.call("calibrate_start", task="pointer", name="E")
        for number in range(400):
            bench.show(tip_at(DIVOT, TIP, turned(number, 35.0)))
        async with asyncio.timeout(10.0):
            while not any(body.enough for body in bench.told):
                await asyncio.sleep(0.01)
        telling.cancel()

    asyncio.run(told())
    assert bench.told[-1].task == "pointer"
    assert {tool.tool for tool in bench.told[-1].in_use} == {"pointer", "coil"}
