"""The driver of an NDI Polaris camera on TCP or a serial line: link, set-up, tracking and recovery. Sans-IO.

How poses are asked for and judged while it tracks stands in `ndi_looking.py`.
"""

import enum
from collections.abc import Mapping

from drivers.ndi_line import START_BAUD, SerialWish
from drivers.ndi_looking import Looking, SetUpAgain
from drivers.ndi_script import Say, ScriptRun
from drivers.ndi_setup import Established, SerialStart, Setup
from drivers.ndi_telling import Telling
from drivers.ndi_ways import END_STREAM_ARGUMENTS, Way, ways_for
from drivers.ndi_wire import CrcMismatch, FramingLost, Reply, ReplyReader, StreamedReply, encode_command
from drivers.protocols import LineChange, Step
from drivers.values import ClockRestart, DeviceError, TrackerEvent, TrackerState, WireError

SECOND_NS = 1_000_000_000
BACK_OFF_NS = (0, SECOND_NS // 2, SECOND_NS, 2 * SECOND_NS, 5 * SECOND_NS)  # before each new link; the last for all further ones
STEADY_NS = SECOND_NS  # a link that tracked for so long was no failure
IDLE_NS = SECOND_NS  # next tick when nothing is due


class Phase(enum.Enum):
    APART = enum.auto()  # no link, or one on which nothing counts any more
    SETUP = enum.auto()
    TRACKING = enum.auto()
    LEFT = enum.auto()  # said farewell


class NdiTracker:
    """A `drivers.protocols.Tracker`. `tools`: name -> bytes of its .rom file, in the order in which frames report them.

    `frame_hz` is asked of the camera if given; what the camera then says counts. `where` names the camera to people. `way` None: chosen
    by what the camera says of itself. `serial` None: the link is TCP; else the shell opens the line at 9600 and follows `Step.line`.
    """

    _run: ScriptRun[Established]  # while in SETUP
    _looking: Looking  # since the first TRACKING

    def __init__(
        self,
        tools: Mapping[str, bytes],
        frame_hz: float | None = None,
        where: str = "camera",
        *,
        way: Way | None = None,
        serial: SerialWish | None = None,
    ) -> None:
        self._tools = dict(tools)
        self._wanted_hz = frame_hz
        self._where = where
        self._way, self._serial = way, serial
        self._reader = ReplyReader()
        self._telling = Telling(where)
        self._phase = Phase.APART
        self._send = b""
        self._line: LineChange | None = None
        self._reopen: str | None = None
        self._why_apart = "it was never open"
        self._retry_ns: int | None = None  # when to ask for a new link; None: the shell is at it
        self._failures = 0  # links lost since tracking last ran for a second
        self._setup_ns = 0  # when the last set-up began
        self._baud = START_BAUD  # of the shell's end of a serial line
        self._barren: set[Way] = set()  # ways that this camera turned out not to have

    # ---- what the shell calls ----------------------------------------------------------------------------------------

    def connected(self, now_ns: int) -> Step[TrackerEvent]:
        self._baud = START_BAUD
        self._begin_setup(START_BAUD, now_ns)
        return self._step(now_ns)

    def disconnected(self, now_ns: int) -> Step[TrackerEvent]:
        if self._phase is Phase.APART and self._retry_ns is None:
            self._fall_apart(now_ns, "the camera cannot be reached", "Check its power, cable and address; it is tried again by itself.")
        elif self._phase not in (Phase.APART, Phase.LEFT):
            self._fall_apart(now_ns, "the camera closed the connection", "Check its power and cable; it is connected again by itself.")
        return self._step(now_ns)

    def feed(self, data: bytes, now_ns: int) -> Step[TrackerEvent]:
        if self._phase is Phase.TRACKING and self._looking.is_draining:
            self._looking.heard_garbage(now_ns)
        elif self._phase in (Phase.SETUP, Phase.TRACKING):
            self._reader.push(data)
            try:
                while self._take_next(now_ns):
                    pass
            except DeviceError as error:
                self._fall_apart(now_ns, error.what, error.remedy)
        return self._step(now_ns)

    def tick(self, now_ns: int) -> Step[TrackerEvent]:
        try:
            if self._phase is Phase.SETUP:
                self._say(self._run.tick(now_ns))
            elif self._phase is Phase.TRACKING:
                self._look_after(now_ns)
            elif self._phase is Phase.APART and self._retry_ns is not None and now_ns >= self._retry_ns:
                self._retry_ns, self._reopen = None, self._why_apart
        except DeviceError as error:
            self._fall_apart(now_ns, error.what, error.remedy)
        return self._step(now_ns)

    def farewell(self, now_ns: int) -> Step[TrackerEvent]:
        words: list[bytes] = []
        if self._phase is Phase.TRACKING and self._looking.way is Way.STREAM:
            words.append(encode_command("USTREAM", END_STREAM_ARGUMENTS))
        if self._phase in (Phase.SETUP, Phase.TRACKING):
            words.append(encode_command("TSTOP"))
        if self._phase is Phase.TRACKING:
            words += [encode_command("PHF", f"{handle:02X}") for handle in self._camera.tool_of_handle]
        if self._phase in (Phase.SETUP, Phase.TRACKING) and self._serial is not None:
            words.append(encode_command("COMM", "00000"))  # the next host finds it at 9600
        self._send = b"".join(words)
        self._phase = Phase.LEFT
        return self._step(now_ns)

    # ---- link --------------------------------------------------------------------------------------------------------

    def _fall_apart(self, now_ns: int, why: str, remedy: str) -> None:
        """Nothing that still arrives on this link counts; a new one is asked for after the back-off."""
        if self._phase is Phase.TRACKING and (self._looking.told_ns or 0) - self._setup_ns >= STEADY_NS:
            self._failures = 0
        self._reader.reset()
        self._phase = Phase.APART
        self._send, self._line = b"", None
        self._why_apart = why
        self._retry_ns = now_ns + BACK_OFF_NS[min(self._failures, len(BACK_OFF_NS) - 1)]
        self._failures += 1
        self._telling.change(TrackerState.LOST, why, remedy)

    def _begin_setup(self, listens_at: int, now_ns: int, *, ends_stream: bool = False) -> None:
        """`listens_at`: the speed at which a serial camera is thought to listen."""
        self._reader.reset()
        self._setup_ns = now_ns
        serial = None if self._serial is None else SerialStart(line_baud=self._baud, baud=listens_at, wish=self._serial)
        setup = Setup(self._tools, self._wanted_hz, self._where, serial=serial, ends_stream=ends_stream)
        self._run = ScriptRun(setup.script(), self._where, now_ns)
        self._phase = Phase.SETUP
        self._send = b""
        self._say(self._run.tick(now_ns))
        self._telling.change(TrackerState.SETUP)

    def _begin_tracking(self, camera: Established, now_ns: int) -> None:
        self._camera = camera
        self._phase = Phase.TRACKING
        self._telling.events += [camera.identity, ClockRestart(frame_hz=camera.identity.frame_hz), *camera.alerts]
        self._looking = Looking(
            camera,
            tuple(self._tools),
            ways_for(self._way, camera.interface, camera.baud is not None),
            self._barren,
            self._telling,
            self._reader,
            self._where,
            self._setup_ns,
            now_ns,
        )
        self._look_after(now_ns)

    def _say(self, say: Say) -> None:
        self._send += say.send
        if say.line is not None:
            self._line, self._baud = say.line, say.line.baud
            self._reader.reset()  # what came at another speed is garbage

    # ---- replies -----------------------------------------------------------------------------------------------------

    def _take_next(self, now_ns: int) -> bool:
        """Take one reply or one damage; False when there is no more. Raises DeviceError."""
        try:
            reply = self._reader.pull()
        except CrcMismatch:
            self._repeat(now_ns)
            return True
        except FramingLost:
            self._drain(now_ns)
            return False
        if reply is None:
            return False
        if self._phase is Phase.SETUP:
            self._advance_setup(reply, now_ns)
        else:
            self._look(reply, now_ns)
        return self._phase in (Phase.SETUP, Phase.TRACKING)

    def _advance_setup(self, reply: Reply, now_ns: int) -> None:
        if isinstance(reply, StreamedReply):
            return  # left over from a stream that has ended
        if self._send:  # what is still to be sent has no answer yet
            raise WireError("a reply came that nothing asked for", self._where, "The link is opened again by itself.")
        self._run.take(reply, now_ns)
        if self._run.result is None:
            self._say(self._run.tick(now_ns))
        else:
            self._begin_tracking(self._run.result, now_ns)

    def _look(self, reply: Reply, now_ns: int) -> None:
        try:
            self._looking.take(reply, now_ns)
        except SetUpAgain as again:
            self._set_up_again(again, now_ns)

    def _look_after(self, now_ns: int) -> None:
        try:
            self._looking.watch(now_ns)
        except SetUpAgain as again:
            self._set_up_again(again, now_ns)

    def _set_up_again(self, again: SetUpAgain, now_ns: int) -> None:
        """On the link as it is."""
        self._telling.change(TrackerState.LOST, again.what, again.remedy)
        ends_stream = self._looking.way is Way.STREAM and not again.is_reset
        self._begin_setup(START_BAUD if again.is_reset else self._baud, now_ns, ends_stream=ends_stream)

    def _repeat(self, now_ns: int) -> None:
        """An answer arrived damaged: ask the same again."""
        if self._phase is Phase.SETUP:
            self._telling.damaged += 1
            self._run.damaged(now_ns)
            self._say(self._run.tick(now_ns))
        else:
            self._looking.damaged(now_ns)

    def _drain(self, now_ns: int) -> None:
        if self._phase is Phase.SETUP:
            self._telling.damaged += 1
            raise WireError("the camera's answers cannot be told apart", self._where, "The link is opened again by itself.")
        self._looking.framing_lost(now_ns)

    # ---- what the shell gets -----------------------------------------------------------------------------------------

    def _step(self, now_ns: int) -> Step[TrackerEvent]:
        send = self._send
        if self._phase is Phase.TRACKING:
            send, self._looking.send = send + self._looking.send, b""
        step = Step(wake_ns=self._wake_ns(now_ns), send=send, events=self._telling.take(now_ns), reopen=self._reopen, line=self._line)
        self._send, self._reopen, self._line = b"", None, None
        return step

    def _wake_ns(self, now_ns: int) -> int:
        if self._phase is Phase.SETUP:
            return self._run.wake_ns
        if self._phase is Phase.TRACKING:
            return self._looking.wake_ns(now_ns)
        if self._phase is Phase.APART and self._retry_ns is not None:
            return self._retry_ns
        return now_ns + IDLE_NS
