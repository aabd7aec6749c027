"""The guided calibrations and quality checks: takes frames while one is under way, tells how it stands, waits for a tip to be still.

Runs on the daemon's loop; what takes longer than a moment runs in a thread. Decides nothing about use: that is `calibrations`'.
"""

import asyncio
from collections.abc import Callable

import msgspec

from calibration.store import UNFIT_TEXT
from daemon.calibration_messages import CalibrationBody, ToolCalibration
from daemon.calibration_samples import StillTip, Touch
from daemon.calibration_tasks import Outcome, TaskUnderWay, TouchingTask
from daemon.calibrations import TOOLS, Calibrations, InUse
from daemon.ipc import FrameNews

TOUCH_WITHIN_S = 10.0
TELL_S = 0.2
TouchAnswer = tuple[Touch, int]


class Calibrator:
    """One task at a time, or none. `told` is called with every new body."""

    def __init__(self, calibrations: Calibrations, told: Callable[[CalibrationBody], None], clock: Callable[[], int]) -> None:
        self._calibrations, self._told, self._clock = calibrations, told, clock
        self._task: TaskUnderWay | None = None
        self._touching: TouchingTask | None = None  # the same, where it has points to touch
        self._still: StillTip | None = None
        self._touched: asyncio.Future[Touch] | None = None
        self._point: str | None = None
        self._last_tip_mm: tuple[float, float, float] | None = None
        self._unseen = ""
        self._is_news = False

    @property
    def is_open(self) -> bool:
        return self._task is not None

    @property
    def task(self) -> TaskUnderWay | None:
        return self._task

    def begin(self, task: TaskUnderWay) -> None:
        """Collect from now on."""
        self._end()
        self._task, self._unseen = task, ""
        self._touching = task if isinstance(task, TouchingTask) else None
        self.tell()

    def cancel(self) -> None:
        """Forget what was collected."""
        if self._task is not None:
            self._end()
            self.tell()

    async def finish(self) -> Outcome | None:
        """End the task; what came of it, None when none was under way."""
        task = self._task
        if task is None:
            return None
        self._end()
        outcome = await asyncio.to_thread(task.found)
        self.tell()
        return outcome

    def _end(self) -> None:
        if self._touched is not None:
            self._touched.cancel()
        self._task = self._touching = self._still = self._touched = self._point = self._last_tip_mm = None

    # ---- frames ----

    def frame(self, news: FrameNews) -> None:
        """Costs nothing unless a task is under way."""
        task = self._task
        if task is None:
            return
        now_ns = self._clock()
        self._unseen = task.add(news, now_ns)
        self._is_news = True
        if self._still is None or self._touched is None or self._touched.done() or news.exposed_ns is None:
            return
        tip = "" if self._touching is None else self._touching.tip_of(news, now_ns)
        touch = None if isinstance(tip, str) else self._still.add(tip, news.exposed_ns)
        if touch is not None:
            self._touched.set_result(touch)

    async def touch(self, point: str) -> TouchAnswer | str:
        """Wait for the tip to be still at the next point. Returns the touch and how many of it are kept; or why there is none."""
        task = self._touching
        if task is None:
            return "nothing is to be touched now"
        if point not in task.points:
            return f"{point!r} is none of {', '.join(dict.fromkeys(task.points))}"
        if self._touched is not None:
            return "another touch is under way"
        self._still = still = StillTip(self._last_tip_mm)
        self._touched, self._point = asyncio.get_running_loop().create_future(), point
        self.tell()
        try:
            async with asyncio.timeout(TOUCH_WITHIN_S):
                touch = await self._touched
        except TimeoutError:
            return _why_untouched(still, self._unseen)
        except asyncio.CancelledError:
            if self._touching is task:
                raise
            return "it was cancelled"
        finally:
            if self._touching is task:
                self._still = self._touched = self._point = None
        self._last_tip_mm = touch.point_mm
        kept = task.take(point, touch)
        self.tell()
        return touch, kept

    # ---- telling ----

    async def run(self) -> None:
        """While a task is under way, tell some times a second how it stands."""
        while True:
            await asyncio.sleep(TELL_S)
            task = self._task
            if task is None or not self._is_news:
                continue
            self._is_news = False
            body = await asyncio.to_thread(task.measured, self._body())
            if self._task is task:
                self._told(msgspec.structs.replace(body, unseen=self._unseen, point=self._point))

    def tell(self) -> None:
        """At once, without what takes long to measure."""
        self._is_news = True
        self._told(self._body())

    def _body(self) -> CalibrationBody:
        in_use = tuple(tool_body(self._calibrations.in_use(tool)) for tool in TOOLS)
        task = self._task
        if task is None:
            return CalibrationBody(in_use=in_use)
        return CalibrationBody(in_use=in_use, task=task.name, unseen=self._unseen, points=task.points, point=self._point)


def tool_body(in_use: InUse) -> ToolCalibration:
    return ToolCalibration(
        tool=in_use.tool,
        source=in_use.source,
        version=in_use.version,
        valid_until_utc=in_use.valid_until_utc,
        refused=tuple(str(unfit) for unfit in in_use.unfit),
        why="; ".join(UNFIT_TEXT[unfit] for unfit in in_use.unfit),
    )


def _why_untouched(still: StillTip, unseen: str) -> str:
    if unseen:
        return unseen
    if not still.has_left:
        return "the tip is still where the last point was"
    if still.spread_mm is None:
        return "the tools were not seen together for a whole second"
    return f"the tip moved by {still.spread_mm:.1f} mm"
