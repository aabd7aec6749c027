"""A tracker behind an OpenIGTLink server such as PLUS: link, frames from its transforms, recovery. Sans-IO.

Nothing is ever repeated as current: identity and repeated matrices are tools that are not seen; silence yields no frame.
"""

from collections.abc import Mapping

from drivers.igtl_frames import Assembler
from drivers.igtl_wire import DamagedMessage, MessageReader, TransformMessage, encode_get_status
from drivers.protocols import Step
from drivers.stream_life import Phase, StreamLife
from drivers.values import TrackerEvent, TrackerFrame, TrackerIdentity, WireError

FIRST_FRAME_NS = 5_000_000_000  # a server that sends none of our transforms for so long is asked anew
LOOK_NS = 10_000_000  # ticks while tracking, so that the shell's looks bound when bytes came
BLIND_NS = 30_000_000  # the shell looked away for longer: bytes may have waited since its last look
DAMAGED_IN_ROW = 3  # more damaged messages than this one after another: the link is of no use
NAMES_TOLD = 6


class IgtlTracker:
    """A `drivers.protocols.Tracker`. `tools`: tool -> device name of its transform, tracker from tool, mm.

    `frame_hz`: the rate at which the server sends; `stated_rms_mm`: what the site found of the poses' noise, for the source tells none.
    """

    def __init__(self, tools: Mapping[str, str], *, frame_hz: float, stated_rms_mm: float, where: str) -> None:
        self._frame_hz = frame_hz
        self._where = where
        self._names = ", ".join(tools.values())
        self._reader = MessageReader(where)
        self._frames = Assembler(tools, frame_hz, stated_rms_mm)
        self._life = StreamLife(where)
        self._looked_ns = 0
        self._damaged_in_row = 0
        self._strangers: dict[str, None] = {}  # names that are not ours, in the order in which they came

    def connected(self, now_ns: int) -> Step[TrackerEvent]:
        self._reader.reset()
        self._frames.restart()
        self._damaged_in_row, self._looked_ns = 0, now_ns
        self._strangers.clear()
        self._life.connected(now_ns)
        return self._step(now_ns, encode_get_status())

    def disconnected(self, now_ns: int) -> Step[TrackerEvent]:
        self._life.disconnected(now_ns)
        return self._step(now_ns)

    def feed(self, data: bytes, now_ns: int) -> Step[TrackerEvent]:
        if self._life.is_linked:
            # What was found after a long look away came at some time since: the earliest is taken, so that no pose looks fresh.
            arrived_ns = now_ns if now_ns - self._looked_ns <= BLIND_NS else self._looked_ns
            self._reader.push(data)
            try:
                self._take(self._messages(), arrived_ns, now_ns)
            except WireError as error:
                self._life.fall_apart(now_ns, error.what, error.remedy)
        return self._look(now_ns)

    def tick(self, now_ns: int) -> Step[TrackerEvent]:
        self._life.tick(now_ns)
        return self._look(now_ns)

    def farewell(self, now_ns: int) -> Step[TrackerEvent]:
        """Nothing to take back: the server goes on for others."""
        self._life.farewell()
        return self._step(now_ns)

    # ---- messages ----------------------------------------------------------------------------------------------------

    def _messages(self) -> list[TransformMessage]:
        messages: list[TransformMessage] = []
        while True:
            try:
                message = self._reader.pull()
            except DamagedMessage as damage:
                self._life.count("damaged messages")
                self._damaged_in_row += 1
                if self._damaged_in_row > DAMAGED_IN_ROW:
                    raise WireError("one damaged message after another", self._where, damage.remedy) from damage
                continue
            if message is None:
                return messages
            self._damaged_in_row = 0
            messages.append(message)

    def _take(self, messages: list[TransformMessage], arrived_ns: int, now_ns: int) -> None:
        mixed = _may_mix_exposures(messages)
        for message in messages:
            if not self._frames.knows(message.device):
                self._strangers.setdefault(message.device)
            elif self._life.phase is Phase.WAITING:
                self._life.begin_tracking(_identity(message, self._frame_hz), now_ns)
            self._tell(self._frames.add(message, arrived_ns, flagged=mixed and message.stamp_ns is None), now_ns)

    def _tell(self, frames: list[TrackerFrame], now_ns: int) -> None:
        for frame in frames:
            self._life.frame(frame, now_ns)

    # ---- time --------------------------------------------------------------------------------------------------------

    def _look(self, now_ns: int) -> Step[TrackerEvent]:
        self._looked_ns = now_ns
        if self._life.is_linked:
            self._tell(self._frames.flush(now_ns), now_ns)
        self._life.look(now_ns)
        if self._life.is_hopeless(now_ns):
            self._life.fall_apart(now_ns, "no new frame for a second", "It is connected again by itself; check the tracker behind it.")
        elif self._life.waited_ns(now_ns) >= FIRST_FRAME_NS:
            heard = ", ".join(list(self._strangers)[:NAMES_TOLD]) or "no transform at all"
            why = f"none of {self._names} came; heard: {heard}"
            self._life.fall_apart(now_ns, why, "Check [tracker.tools] against the names that the server sends.")
        return self._step(now_ns)

    def _step(self, now_ns: int, send: bytes = b"") -> Step[TrackerEvent]:
        wake_ns = now_ns + LOOK_NS if self._life.is_linked else now_ns + FIRST_FRAME_NS
        due_ns = self._frames.due_ns if self._life.is_linked else None
        return self._life.step(now_ns, wake_ns if due_ns is None else min(wake_ns, due_ns), send)


def _may_mix_exposures(messages: list[TransformMessage]) -> bool:
    """Without stamps, more than one of a tool in one reading: which belong together is not known."""
    names = [message.device for message in messages if message.stamp_ns is None]
    return len(names) != len(set(names))


def _identity(message: TransformMessage, frame_hz: float) -> TrackerIdentity:
    serial = message.metadata.get("SerialNumber", "unknown")
    return TrackerIdentity(model="OpenIGTLink", serial=serial, firmware="unknown", frame_hz=frame_hz)
