"""What the daemon gives to LSL and takes from it, as the chair's file says; nothing where it says nothing."""

import asyncio

from daemon import ipc
from daemon.core import Core
from daemon.lsl import EventStream, Requests
from daemon.lsl_acts import Desk, RequestActs
from daemon.lsl_events import Context
from daemon.lsl_section import LslSection
from daemon.mt_chair import single_pulse
from daemon.mt_core import ThresholdCore
from daemon.purpose import Purpose
from daemon.record import Record
from daemon.telling import Telling


class LslFace:
    """Events out, requests in. No call waits, and none raises."""

    def __init__(
        self,
        section: LslSection,
        chair: str,
        version: str,
        core: Core,
        threshold: ThresholdCore,
        telling: Telling,
        desk: Desk,
        record: Record,
    ) -> None:
        self._core, self._threshold, self._record = core, threshold, record
        self._events = EventStream(chair, version) if section.events else None
        self._requests = None
        if section.requests is not None:
            acts = RequestActs(core, threshold, telling, desk)
            self._requests = Requests(section.requests, acts, telling.tell_request, self._note)
        self._notes: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        if self._events is not None:
            self._events.start()
        if self._requests is not None:
            await self._requests.start()

    def close(self) -> None:
        if self._requests is not None:
            self._requests.close()
        if self._events is not None:
            self._events.close()

    def heard(self, packet: ipc.FromHotOrder) -> None:
        """A fact from the hot process, before the session has taken it."""
        if self._events is not None:
            self._events.heard(packet, self._context())

    def session(self) -> None:
        if self._events is not None:
            self._events.session(self._core.state)

    def stimulator(self, news: ipc.StimNews) -> None:
        if self._events is not None:
            self._events.stimulator(str(news.report.state), self._core.state.session_id)

    def _context(self) -> Context:
        search = self._threshold.search
        if search is not None and self._threshold.is_open:
            settings = None if search.pending is None else single_pulse(search.pending_mso)
            return Context(session_id=search.session_id, purpose=Purpose.MT, settings=settings)
        course = self._core.state.course
        return Context(
            session_id=self._core.state.session_id,
            purpose=Purpose.TREATMENT,
            settings=None if course is None else course.settings,
        )

    def _note(self, who: str, what: str) -> None:
        task = asyncio.get_running_loop().create_task(self._record.note(who, what, session_id=self._core.state.session_id))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)
