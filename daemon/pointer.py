"""The pointer's tip as it comes from camera frames, and a touch of it: by key at this moment, or the next that is held still.

Runs on the daemon's loop. What counts as a touch is `registering`'s.
"""

import asyncio
from collections.abc import Callable

from daemon.ipc import FrameNews
from daemon.registering import FRESH_NS, Held, Point, Recent, Touch, Unseen, look_for_tip

TOUCH_WITHIN_S = 6.0


class Pointer:
    """One pointer before one head reference."""

    def __init__(self, tip_in_pointer_mm: Callable[[], Point | None], now_ns: Callable[[], int]) -> None:
        self._tip_in_pointer_mm, self._now_ns = tip_in_pointer_mm, now_ns
        self._recent = Recent()
        self._touched: asyncio.Future[Touch] | None = None
        self.held: Held | None = None  # while somebody waits for a touch

    def frame(self, news: FrameNews) -> Point | Unseen:
        """The tip in head in this frame, mm, or why it is not known."""
        tools = {sample.tool: sample for sample in news.tools}
        tip = look_for_tip(tools.get("head"), tools.get("pointer"), self._tip_in_pointer_mm())
        if news.exposed_ns is None or self._now_ns() - news.exposed_ns > FRESH_NS:
            tip = Unseen.OLD
        seen = None if isinstance(tip, Unseen) else tip
        self._recent.add(seen, news.exposed_ns)
        if self.held is not None and self._touched is not None:
            touch = self.held.add(seen, news.exposed_ns)
            if touch is not None and not self._touched.done():
                self._touched.set_result(touch)
        return tip

    async def take(self, *, at_once: bool) -> Touch | str:
        """A touch, or why there is none."""
        if self._tip_in_pointer_mm() is None:
            return "the pointer has no calibration in use: see `atmsd calibrate list`"
        if at_once:
            return self._recent.touch(self._now_ns())
        if self.held is not None:
            return "another touch is under way"
        self.held, self._touched = Held(), asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(TOUCH_WITHIN_S):
                return await self._touched
        except TimeoutError:
            spread_mm = self.held.spread_mm
            if spread_mm is None:
                return "pointer and head reference were not seen together for a whole second"
            return f"the tip moved by {spread_mm:.1f} mm, or was not seen for a whole second"
        finally:
            self.held = self._touched = None
