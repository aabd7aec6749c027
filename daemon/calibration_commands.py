"""What each command about calibrations and quality checks does: checks who and when, then acts. Refusals are values.

An engineer's acts, with no plan open and no session: nothing that a session rests on changes under it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol, cast

import msgspec

from calibration.store import Acceptance, Record, Tool
from daemon.alarms import utc_text
from daemon.bench_files import BenchFileError, read_block, read_drawing
from daemon.bus_requests import Call
from daemon.calibration_coil_tasks import CoilTask, PlateTask
from daemon.calibration_entries import entry_of
from daemon.calibration_files import HistoryFault
from daemon.calibration_messages import (
    CalibrateAcceptParams,
    CalibrateDoneResult,
    CalibrateListResult,
    CalibrateShowParams,
    CalibrateShowResult,
    CalibrateStarted,
    CalibrateStartParams,
    CalibrateTouchParams,
    CalibrateTouchResult,
    CalibrationEntry,
    QaItem,
    QaReportParams,
    QaReportResult,
)
from daemon.calibration_tasks import Found, Nothing, PointerTask, TaskUnderWay
from daemon.calibrations import TOOLS, Calibrations
from daemon.calibrator import Calibrator, tool_body
from daemon.config import Config
from daemon.core import Core
from daemon.messages import Done, Error, ErrorCode, Message, Step
from daemon.mt_commands import refuse
from daemon.quality_report import compose, text_of
from daemon.quality_tasks import BlockTask, JitterTask, SpreadTask
from daemon.record import Record as DoseRecord

FREE_STEPS = (Step.PLAN, Step.DONE)
LEAST_S, MOST_S = 5.0, 600.0
Result = Message | Error


class Desk(Protocol):
    """What the commands of a treatment know, and these ask."""

    @property
    def operator(self) -> str | None: ...

    def is_chair_free(self) -> bool:
        """No session, no search for a threshold, nothing being armed or opened."""

    def hand_over_calibration(self) -> None:
        """Tell the hot process which calibration of the coil is in use now."""

    def forget_registration(self) -> None:
        """What was touched with the old pointer no longer counts."""

    def tracker_name(self) -> str: ...


class CalibrationCommands:
    """The desk for calibrations."""

    def __init__(
        self, config: Config, core: Core, calibrations: Calibrations, calibrator: Calibrator, record: DoseRecord, desk: Desk
    ) -> None:
        self._config, self._core, self._desk, self._record = config, core, desk, record
        self._calibrations, self._calibrator = calibrations, calibrator
        self._name = ""  # who does what is under way
        self._quality: dict[str, tuple[QaItem, ...]] = {}  # by task, since the daemon's start or the last report
        self.does: dict[str, Callable[[Call], Awaitable[Result]]] = {
            "calibrate_start": self._start,
            "calibrate_touch": self._touch,
            "calibrate_end": self._end,
            "calibrate_cancel": self._cancel,
            "calibrate_accept": self._accept,
            "calibrate_list": self._list,
            "calibrate_show": self._show,
            "qa_report": self._report,
        }

    def _done(self) -> Done:
        return Done(state_rev=self._core.state.rev)

    # ---- collecting ----

    async def _start(self, call: Call) -> Result:
        params = cast(CalibrateStartParams, call.params)
        if (refused := self._cannot(params.name)) is not None:
            return refused
        try:
            task = await asyncio.to_thread(self._task, params)
        except BenchFileError as error:
            return refuse(ErrorCode.CALIBRATION_REFUSED, str(error), "Correct the file, then start again.")
        if isinstance(task, Error):
            return task
        if (refused := self._cannot(params.name)) is not None:  # a plan may have been opened meanwhile
            return refused
        self._name = params.name.strip()
        self._calibrator.begin(task)
        return CalibrateStarted(state_rev=self._core.state.rev, task=task.name, points=task.points)

    def _cannot(self, name: str) -> Error | None:
        if not name.strip():
            return refuse(ErrorCode.BAD_PARAMS, "the name is empty", "Say who does it.")
        if self._core.state.step not in FREE_STEPS or not self._desk.is_chair_free():
            return refuse(ErrorCode.WRONG_STEP, "the chair is in use", "Close the plan, the session or the search first.")
        if self._calibrator.is_open:
            return refuse(ErrorCode.WRONG_STEP, "a calibration is under way", "End or cancel it first.")
        return None

    def _task(self, params: CalibrateStartParams) -> TaskUnderWay | Error:
        tools, qa = self._config.tools, self._config.qa
        match params.task:
            case "pointer":
                return PointerTask()
            case "jitter":
                if not LEAST_S <= params.seconds <= MOST_S:
                    return refuse(ErrorCode.BAD_PARAMS, f"{params.seconds} s", f"Say {LEAST_S:.0f} to {MOST_S:.0f} seconds.")
                return JitterTask(("head", "pointer", "coil"), params.seconds, qa)
        tip = self._calibrations.tip_in_pointer_mm()
        if tip is None:
            why = self._calibrations.in_use("pointer").why
            return refuse(ErrorCode.CALIBRATION_REFUSED, f"the pointer has no calibration: {why}", "Calibrate the pointer first.")
        match params.task:
            case "spread":
                return SpreadTask(tip, qa)
            case "block" if qa.block is not None:
                return BlockTask(read_block(qa.block), tip, qa)
            case "coil" if tools.coil.drawing is not None:
                return CoilTask(read_drawing(tools.coil.drawing), tip, self._rests_on())
            case "plate" if tools.plate is not None:
                rests_on = self._rests_on() | {"plate": self._calibrations.rom_sha256["plate"]}
                return PlateTask(tools.plate.plate_from_coil, tip, rests_on)
        missing = {"block": "[qa].block", "coil": "[tools.coil].drawing", "plate": "[tools.plate]"}[params.task]
        message = f"the chair's file has no {missing}"
        return refuse(ErrorCode.CALIBRATION_REFUSED, message, "Write it as docs/calibration.md says, then start control anew.")

    def _rests_on(self) -> dict[str, str]:
        sha256 = self._calibrations.in_use("pointer").sha256
        return {"pointer": "chair file" if sha256 is None else sha256}

    async def _touch(self, call: Call) -> Result:
        point = cast(CalibrateTouchParams, call.params).point
        answer = await self._calibrator.touch(point)
        if isinstance(answer, str):
            return refuse(ErrorCode.TOUCH_REFUSED, answer, "Hold the tip still on the point, in view of the camera.", retryable=True)
        touch, kept = answer
        return CalibrateTouchResult(
            state_rev=self._core.state.rev,
            point=point,
            touches=kept,
            spread_mm=touch.spread_mm,
            frames=touch.frames,
            dropped=touch.dropped,
        )

    async def _end(self, _call: Call) -> Result:
        task = self._calibrator.task
        outcome = await self._calibrator.finish()
        if task is None or outcome is None:
            return refuse(ErrorCode.WRONG_STEP, "no calibration is under way", "Start one.")
        if isinstance(outcome, Nothing):
            details: dict[str, object] = {"reasons": [outcome.code]}
            return refuse(ErrorCode.CALIBRATION_REFUSED, f"nothing can be found: {outcome.what}", "Collect again.", details=details)
        if task.tool is None:
            self._quality[task.name] = outcome.items
            return CalibrateDoneResult(state_rev=self._core.state.rev, items=outcome.items)
        try:
            kept = await asyncio.to_thread(self._keep, "pointer" if task.tool == "pointer" else "coil", outcome)
        except HistoryFault as fault:
            return refuse(ErrorCode.INTERNAL, str(fault), "Then calibrate again.")
        return CalibrateDoneResult(state_rev=self._core.state.rev, calibration=kept)

    def _keep(self, tool: Tool, found: Found) -> CalibrationEntry:
        section = self._config.calibration
        days = section.pointer_valid_days if tool == "pointer" else section.coil_valid_days
        now_s = self._calibrations.utc_s()
        until = datetime.fromtimestamp(now_s, UTC) + timedelta(days=days)
        record = Record(
            tool=tool,
            version=0,
            method=found.method,
            taken_utc=utc_text(now_s),
            taken_by=self._name,
            valid_until_utc=utc_text(until.timestamp()),
            rom_sha256=self._calibrations.rom_sha256[tool],
            tip_in_pointer_mm=found.tip_in_pointer_mm,
            coiltool_from_coil=found.coiltool_from_coil,
            numbers=found.numbers,
            residuals_mm=found.residuals_mm,
            refusals=found.refusals,
            rests_on=found.rests_on,
        )
        kept = self._calibrations.history.add(record)
        return entry_of(self._calibrations, kept.tool, kept.version)

    async def _cancel(self, _call: Call) -> Result:
        self._calibrator.cancel()
        return self._done()

    # ---- the history ----

    async def _accept(self, call: Call) -> Result:
        params = cast(CalibrateAcceptParams, call.params)
        if (refused := self._cannot(params.name)) is not None:
            return refused
        try:
            record = await asyncio.to_thread(self._calibrations.history.read, params.tool, params.version)
        except HistoryFault as fault:
            return refuse(ErrorCode.CALIBRATION_REFUSED, str(fault), "Choose one that `atmsd calibrate list` shows as sound.")
        acceptance = Acceptance(
            tool=record.tool,
            version=record.version,
            record_sha256=record.sha256,
            by=params.name.strip(),
            utc=utc_text(self._calibrations.utc_s()),
        )
        if reasons := (*self._calibrations.against(record, acceptance), *record.refusals):
            message = f"version {record.version} of the {record.tool} cannot be accepted: {', '.join(reasons)}"
            details: dict[str, object] = {"reasons": [str(reason) for reason in reasons]}
            return refuse(ErrorCode.CALIBRATION_REFUSED, message, "Calibrate again.", details=details)
        if self._source(record.tool) == "chair":
            message = f'the chair\'s file holds the {record.tool}\'s figures itself: what is accepted here would not be used'
            return refuse(ErrorCode.CALIBRATION_REFUSED, message, f'Write calibration = "store" under [tools.{record.tool}], start anew.')
        if (refused := self._cannot(params.name)) is not None:
            return refused
        try:
            await asyncio.to_thread(self._calibrations.history.accept, acceptance)
        except HistoryFault as fault:
            return refuse(ErrorCode.CALIBRATION_REFUSED, str(fault), "Then accept it again.")
        await self.look_again()
        await self._record.note(params.name, f"accepted calibration {record.version} of the {record.tool}, {record.sha256}")
        return self._done()

    def _source(self, tool: Tool) -> str:
        return self._calibrations.in_use(tool).source

    async def look_again(self) -> str | None:
        """Take up what the history says now; why the coil or the pointer may not be used, if it may not."""
        changed = await asyncio.to_thread(self._calibrations.look_again)
        if "pointer" in changed:
            self._desk.forget_registration()
        self._desk.hand_over_calibration()
        self._calibrator.tell()
        whys = [f"{tool}: {state.why}" for tool in TOOLS if (state := self._calibrations.in_use(tool)).unfit]
        if changed:
            whys.append(f"the calibration of {' and '.join(changed)} is no longer the one that was in use")
        return "; ".join(whys) or None

    async def _list(self, _call: Call) -> Result:
        try:
            entries = await asyncio.to_thread(self._entries)
        except HistoryFault as fault:
            return refuse(ErrorCode.CALIBRATION_REFUSED, str(fault), "Then ask again.")
        in_use = tuple(tool_body(self._calibrations.in_use(tool)) for tool in TOOLS)
        return CalibrateListResult(state_rev=self._core.state.rev, in_use=in_use, calibrations=entries)

    def _entries(self) -> tuple[CalibrationEntry, ...]:
        history = self._calibrations.history
        return tuple(entry_of(self._calibrations, tool, version) for tool in TOOLS for version in reversed(history.versions(tool)))

    async def _show(self, call: Call) -> Result:
        params = cast(CalibrateShowParams, call.params)
        try:
            entries = await asyncio.to_thread(self._entries)
        except HistoryFault as fault:
            return refuse(ErrorCode.CALIBRATION_REFUSED, str(fault), "Then ask again.")
        entry = next((each for each in entries if (each.tool, each.version) == (params.tool, params.version)), None)
        if entry is None:
            message = f"there is no version {params.version} of the {params.tool}"
            return refuse(ErrorCode.BAD_PARAMS, message, "`atmsd calibrate list` shows what there is.")
        return CalibrateShowResult(state_rev=self._core.state.rev, calibration=entry)

    # ---- quality ----

    async def _report(self, call: Call) -> Result:
        name = cast(QaReportParams, call.params).name
        if (refused := self._cannot(name)) is not None:
            return refused
        report = compose(
            self._quality,
            has_block=self._config.qa.block is not None,
            utc=utc_text(self._calibrations.utc_s()),
            by=name.strip(),
            chair=self._config.chair.name,
            tracker=self._desk.tracker_name(),
            calibrations=tuple(tool_body(self._calibrations.in_use(tool)) for tool in TOOLS),
            rom_sha256=self._calibrations.rom_sha256,
        )
        text = text_of(report)
        content = msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
        try:
            stored = await asyncio.to_thread(self._calibrations.history.add_report, content, text)
        except HistoryFault as fault:
            return refuse(ErrorCode.INTERNAL, str(fault), "Then ask for the report again: what was measured is kept until then.")
        self._quality = {}
        await self._record.note(name, f"quality check {stored.name}: {report.verdict}")
        return QaReportResult(state_rev=self._core.state.rev, report=report, text=text, stored=str(stored))
