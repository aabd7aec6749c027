"""LSL at the daemon's side: events out as markers of `atmsd.events`, one stream of requests in. Neither can block or stop the daemon.

What an event says is `lsl_events`, what a request may bring about `lsl_requests` and `lsl_acts`. Needs the `lsl` extra.
"""

import asyncio
import importlib
import queue
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import msgspec
import structlog

from daemon.ipc import FromHotOrder
from daemon.lsl_acts import RequestActs
from daemon.lsl_events import AnyEvent, Context, EventMaker
from daemon.lsl_requests import Against, Judged, Marker, RequestDesk
from daemon.messages import RequestBody
from daemon.session_words import Session
from drivers.lsl_markers import MarkerInlet

STREAM: Final = "atmsd.events"
WAITING: Final = 1000  # events for a library that is busy; further ones are lost, and their numbers missing
CLOSE_S: Final = 1.0
BUFFER_S: Final = 60  # of markers for a recorder that is late
_log = structlog.get_logger()


def load_lsl() -> ModuleType | None:
    """The library; None, with a line of log, where it cannot be loaded."""
    try:
        return importlib.import_module("pylsl")
    except (ImportError, RuntimeError) as error:
        _log.warning("lsl_unavailable", what=str(error), remedy="Install atmsd[lsl].")
        return None


def describe(lsl: Any, chair: str, version: str) -> Any:
    """What a recorder keeps with the stream."""
    info = lsl.StreamInfo(STREAM, "Markers", 1, lsl.IRREGULAR_RATE, "string", f"{STREAM}:{chair}")
    channel = info.desc().append_child("channels").append_child("channel")
    channel.append_child_value("label", "event")
    channel.append_child_value("type", "Marker")
    channel.append_child_value("unit", "JSON")
    acquisition = info.desc().append_child("acquisition")
    for name, value in (("manufacturer", "atmsd"), ("model", chair), ("version", version)):
        acquisition.append_child_value(name, value)
    acquisition.append_child_value("time_stamps", "of the event itself, not of its telling")
    return info


class EventStream:
    """Events on their way to LSL: handed over without waiting, pushed by a thread of their own. Where it fails, it is silent and logged."""

    def __init__(self, chair: str, version: str, load: Callable[[], Any] = load_lsl) -> None:
        self._chair, self._version, self._load = chair, version, load
        self._maker = EventMaker()
        self._waiting: queue.Queue[AnyEvent | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="lsl-events", daemon=True)
        self.lost = 0

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Let what waits go out, for a second at the most."""
        self._put(None)
        self._thread.join(CLOSE_S)

    def heard(self, packet: FromHotOrder, context: Context) -> None:
        """A fact from the hot process."""
        self._put(*self._maker.of_packet(packet, context))

    def session(self, state: Session) -> None:
        self._put(*self._maker.of_session(state, time.monotonic_ns()))

    def stimulator(self, state: str, session_id: str | None) -> None:
        self._put(*self._maker.of_stimulator(state, session_id, time.monotonic_ns()))

    def _put(self, *events: AnyEvent | None) -> None:
        for event in events:
            try:
                self._waiting.put_nowait(event)
            except queue.Full:
                self.lost += 1

    def _run(self) -> None:
        lsl = self._load()
        if lsl is None:
            return
        try:
            outlet = lsl.StreamOutlet(describe(lsl, self._chair, self._version), 0, BUFFER_S)
            while (event := self._waiting.get()) is not None:
                lsl_minus_mono_s = lsl.local_clock() - time.monotonic()
                outlet.push_sample([msgspec.json.encode(event).decode()], event.mono_ns / 1e9 + lsl_minus_mono_s)
        except (RuntimeError, OSError, ValueError) as error:
            _log.error("lsl_events_ended", what=str(error), remedy="Start control again to have them back.")


class Requests:
    """One stream of requests: each marker judged, put to the session, told and written down."""

    def __init__(
        self,
        stream: str,
        acts: RequestActs,
        tell: Callable[[RequestBody], None],
        note: Callable[[str, str], None],
        load: Callable[[], Any] = load_lsl,
    ) -> None:
        """`note(who, what)` is the dose record's audit."""
        self._stream, self._acts, self._tell, self._note, self._load = stream, acts, tell, note, load
        self._desk = RequestDesk()
        self._inlet: MarkerInlet | None = None
        self._lsl: Any = None

    async def start(self) -> None:
        """Look for the stream; where LSL is missing, nothing is ever asked for."""
        self._lsl = await asyncio.to_thread(self._load)
        if self._lsl is None:
            return
        loop = asyncio.get_running_loop()

        def take(text: str, stamp_s: float) -> None:
            arrived_ns = time.monotonic_ns()
            stamped_ns = round((stamp_s + time.monotonic() - self._lsl.local_clock()) * 1e9)
            rivals = 0 if self._inlet is None else self._inlet.rivals
            marker = Marker(text=text, stamped_ns=stamped_ns, arrived_ns=arrived_ns, rivals=rivals)
            loop.call_soon_threadsafe(self.take, marker)

        self._inlet = await asyncio.to_thread(MarkerInlet, self._lsl, self._stream, take, synced=True)
        self._inlet.start()

    def close(self) -> None:
        if self._inlet is not None:
            self._inlet.close()

    def take(self, marker: Marker) -> None:
        """One marker, on the loop that runs the session."""
        judged = self._desk.judge(marker, time.monotonic_ns())
        against = judged.against
        if against is None and judged.request is not None:
            against = self._acts.put(judged.request.want)
        self._desk.count(against)
        if judged.told:
            self._tell_of(judged, against)

    def _tell_of(self, judged: Judged, against: Against | None) -> None:
        request = judged.request
        body = RequestBody(
            stream=self._stream,
            id=None if request is None else request.id,
            want=None if request is None else str(request.want),
            accepted=against is None,
            reason=None if against is None else str(against),
            age_ms=judged.age_ns / 1e6,
            accepted_total=self._desk.accepted,
            refused_total=self._desk.refused,
        )
        _log.info("request", **msgspec.structs.asdict(body))
        self._tell(body)
        if against is None and request is not None:
            self._note(f"LSL stream {self._stream}", f"asked for a {request.want} (id {request.id})")
