"""The driver of an NDI Polaris camera on TCP: link, set-up, tracking and recovery. Sans-IO.

Nothing is ever repeated as current: a stall, a restart or a damaged reply yields no frame, and says so.
"""

import enum
from collections.abc import Mapping

from drivers.ndi_codes_wire import (
    ERROR_DAMAGED,
    SYSTEM_HANDLE_OCCUPIED,
    SYSTEM_HANDLE_UNOCCUPIED,
    SYSTEM_STATUS,
    error_meaning,
)
from drivers.ndi_frames import FrameCounter, ToolReader
from drivers.ndi_polling import Polling
from drivers.ndi_pose_wire import POSES, TrackingReply, decode_bx
from drivers.ndi_setup import Established, Setup, SetupRun
from drivers.ndi_wire import BinaryReply, CrcMismatch, FramingLost, ReplyReader, TextReply, encode_command
from drivers.protocols import Step
from drivers.values import (
    ClockRestart,
    DeviceError,
    TrackerAlert,
    TrackerChanged,
    TrackerEvent,
    TrackerFrame,
    TrackerState,
    WireError,
)

SECOND_NS = 1_000_000_000
DRAIN_NS = 20_000_000  # the line is quiet when nothing came for so long
SETUP_SPACING_NS = SECOND_NS  # tools are set up again at most so often
BACK_OFF_NS = (0, SECOND_NS // 2, SECOND_NS, 2 * SECOND_NS, 5 * SECOND_NS)  # before each new link; the last for all further ones
DAMAGED_IN_ROW = 3  # more damaged answers than this one after another: the link is of no use
TELL_EVERY_NS = SECOND_NS  # counts are told at most so often
IDLE_NS = SECOND_NS  # next tick when nothing is due

POLL = encode_command("BX", f"{POSES:04X}", checked=False)  # TCP guards the bytes: no checksum needed
_OCCUPANCY_BITS = 1 << SYSTEM_HANDLE_OCCUPIED | 1 << SYSTEM_HANDLE_UNOCCUPIED


class Phase(enum.Enum):
    APART = enum.auto()  # no link, or one on which nothing counts any more
    SETUP = enum.auto()
    TRACKING = enum.auto()
    DRAINING = enum.auto()  # tracking, after garbage: wait for silence, then poll again
    LEFT = enum.auto()  # said farewell


class NdiTracker:
    """A `drivers.protocols.Tracker`. `tools`: name -> bytes of its .rom file, in the order in which frames report them.

    `frame_hz` is asked of the camera if given; what the camera then says counts. `where` names the camera to people.
    """

    _run: SetupRun  # while in SETUP; the next four since the first TRACKING
    _camera: Established
    _counter: FrameCounter
    _tool_reader: ToolReader
    _polling: Polling

    def __init__(self, tools: Mapping[str, bytes], frame_hz: float | None = None, where: str = "camera") -> None:
        self._tools = dict(tools)
        self._wanted_hz = frame_hz
        self._where = where
        self._reader = ReplyReader()
        self._phase = Phase.APART
        self._state: TrackerState | None = None
        self._events: list[TrackerEvent] = []
        self._send = b""
        self._reopen: str | None = None
        self._why_apart = "it was never open"
        self._retry_ns: int | None = None  # when to ask for a new link; None: the shell is at it
        self._failures = 0  # links lost since tracking last ran for a second
        self._setup_ns = 0  # when the last set-up began
        self._setup_due: str | None = None  # why the tools must be set up again
        self._quiet_ns = 0  # when draining ends
        self._system_status: int | None = None  # of the last reply of this run of tracking
        self._damaged_in_row = 0
        self._damaged = self._dropped = 0  # not yet told
        self._tell_ns = 0

    # ---- what the shell calls ----------------------------------------------------------------------------------------

    def connected(self, now_ns: int) -> Step[TrackerEvent]:
        self._begin_setup(now_ns)
        return self._step(now_ns)

    def disconnected(self, now_ns: int) -> Step[TrackerEvent]:
        if self._phase is Phase.APART and self._retry_ns is None:
            self._fall_apart(now_ns, "the camera cannot be reached", "Check its power, cable and address; it is tried again by itself.")
        elif self._phase not in (Phase.APART, Phase.LEFT):
            self._fall_apart(now_ns, "the camera closed the connection", "Check its power and cable; it is connected again by itself.")
        return self._step(now_ns)

    def feed(self, data: bytes, now_ns: int) -> Step[TrackerEvent]:
        if self._phase is Phase.DRAINING:
            self._quiet_ns = now_ns + DRAIN_NS
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
                self._send += self._run.tick(now_ns)
            elif self._phase in (Phase.TRACKING, Phase.DRAINING):
                self._watch(now_ns)
            elif self._phase is Phase.APART and self._retry_ns is not None and now_ns >= self._retry_ns:
                self._retry_ns, self._reopen = None, self._why_apart
        except DeviceError as error:
            self._fall_apart(now_ns, error.what, error.remedy)
        return self._step(now_ns)

    def farewell(self, now_ns: int) -> Step[TrackerEvent]:
        if self._phase in (Phase.TRACKING, Phase.DRAINING):
            leave = [encode_command("PHF", f"{handle:02X}") for handle in self._camera.tool_of_handle]
            self._send = b"".join([encode_command("TSTOP"), *leave])
        elif self._phase is Phase.SETUP:
            self._send = encode_command("TSTOP")
        self._phase = Phase.LEFT
        return self._step(now_ns)

    # ---- link --------------------------------------------------------------------------------------------------------

    def _fall_apart(self, now_ns: int, why: str, remedy: str) -> None:
        """Nothing that still arrives on this link counts; a new one is asked for after the back-off."""
        self._reader.reset()
        self._phase = Phase.APART
        self._why_apart = why
        self._retry_ns = now_ns + BACK_OFF_NS[min(self._failures, len(BACK_OFF_NS) - 1)]
        self._failures += 1
        self._change(TrackerState.LOST, why, remedy)

    def _begin_setup(self, now_ns: int) -> None:
        self._reader.reset()
        self._setup_ns, self._setup_due = now_ns, None
        self._run = SetupRun(Setup(self._tools, self._wanted_hz, self._where).script(), self._where, now_ns)
        self._phase = Phase.SETUP
        self._send = self._run.tick(now_ns)
        self._change(TrackerState.SETUP)

    def _begin_tracking(self, camera: Established, now_ns: int) -> None:
        self._camera = camera
        self._counter = FrameCounter(camera.identity.frame_hz, camera.frames_per_pose)
        self._tool_reader = ToolReader(tuple(self._tools), camera.tool_of_handle)
        self._polling = Polling(self._counter.period_ns, now_ns)
        self._system_status = None
        self._damaged_in_row = 0
        self._phase = Phase.TRACKING
        self._events += [camera.identity, ClockRestart(frame_hz=camera.identity.frame_hz), *camera.alerts]
        self._watch(now_ns)

    # ---- replies -----------------------------------------------------------------------------------------------------

    def _take_next(self, now_ns: int) -> bool:
        """Take one reply or one damage; False when there is no more."""
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
        if self._send or (self._phase is Phase.TRACKING and self._polling.is_idle):  # what is still to be sent has no answer yet
            raise WireError("a reply came that nothing asked for", self._where, "The link is opened again by itself.")
        if self._phase is Phase.SETUP:
            self._advance_setup(reply, now_ns)
        elif isinstance(reply, BinaryReply):
            self._take_poses(reply, now_ns)
        else:
            self._take_text(reply, now_ns)
        return True

    def _advance_setup(self, reply: TextReply | BinaryReply, now_ns: int) -> None:
        camera = self._run.take(reply, now_ns)
        if camera is None:
            self._send += self._run.tick(now_ns)
        else:
            self._begin_tracking(camera, now_ns)

    def _take_text(self, reply: TextReply, now_ns: int) -> None:
        """The camera answers a poll in words: it restarted, left tracking, or did not understand."""
        if reply.error == ERROR_DAMAGED:
            self._repeat(now_ns)
            return
        if not reply.is_reset and reply.error is None:
            raise WireError(f"{reply.text[:24]!r} came in answer to BX", self._where, "The link is opened again by itself.")
        self._polling.answered_again(now_ns)
        what = "the camera restarted" if reply.is_reset or reply.error is None else error_meaning(reply.error).what
        if not self._polling.is_idle or now_ns - self._setup_ns < SETUP_SPACING_NS:
            raise WireError(what, self._where, "It is set up again by itself.")
        self._change(TrackerState.LOST, what, "It is set up again by itself.")
        self._begin_setup(now_ns)

    def _take_poses(self, reply: BinaryReply, now_ns: int) -> None:
        try:
            tracking = decode_bx(reply.body)
        except WireError:
            self._repeat(now_ns)
            return
        self._damaged_in_row = 0
        self._note_status(tracking.system_status)
        frame_number = self._tool_reader.newest(tracking)
        if frame_number is None:
            self._setup_due = self._setup_due or "the camera reports none of the tools"
        if frame_number is None or frame_number == self._counter.last:
            self._polling.answered_again(now_ns)
        else:
            self._polling.answered_new(now_ns)
            self._tell_frame(tracking, frame_number, now_ns)
        self._watch(now_ns)

    def _tell_frame(self, tracking: TrackingReply, frame_number: int, now_ns: int) -> None:
        skipped = self._counter.advance(frame_number, now_ns)
        if skipped is None:
            self._events.append(ClockRestart(frame_hz=self._camera.identity.frame_hz))
        else:
            self._dropped += skipped
        samples = self._tool_reader.samples(tracking, frame_number)
        if samples.lost_handle is not None:
            self._setup_due = self._setup_due or f"the handle of tool {samples.lost_handle!r} is unoccupied"
        if now_ns - self._setup_ns >= SETUP_SPACING_NS:
            self._failures = 0
        self._change(TrackerState.TRACKING)
        self._events.append(
            TrackerFrame(frame_number=frame_number, received_ns=now_ns, tools=samples.tools, skipped=skipped or 0)
        )

    def _note_status(self, status: int) -> None:
        """Tell each system status bit once when it rises. Bits that stood at the first reply are no change of tools."""
        before, self._system_status = self._system_status, status
        if status == before:
            return
        risen = status & ~(before or 0)
        for bit, meaning in SYSTEM_STATUS.items():
            if risen >> bit & 1:
                self._alert(meaning.what, meaning.remedy)
        if before is not None and risen & _OCCUPANCY_BITS:
            self._setup_due = self._setup_due or "the camera's tools changed"

    # ---- time and damage ---------------------------------------------------------------------------------------------

    def _watch(self, now_ns: int) -> None:
        """What time alone asks for while tracking."""
        if self._polling.is_hopeless(now_ns):
            raise WireError("no new frame for a second", self._where, "The link is opened again by itself; check the camera.")
        if self._polling.is_stale(now_ns) and self._state is not TrackerState.LOST:
            self._change(TrackerState.LOST, "no new frame for 100 ms", "Wait; if it stays, check the camera's power and cable.")
        if self._phase is Phase.DRAINING:
            if now_ns < self._quiet_ns:
                return
            self._reader.reset()
            self._polling.drained(now_ns)
            self._phase = Phase.TRACKING
        if self._setup_due is not None and self._polling.is_idle and now_ns - self._setup_ns >= SETUP_SPACING_NS:
            self._change(TrackerState.LOST, self._setup_due, "The tools are loaded again by themselves.")
            self._begin_setup(now_ns)
        elif self._polling.is_due(now_ns):
            self._send += POLL

    def _repeat(self, now_ns: int) -> None:
        """An answer arrived damaged: ask the same again."""
        self._count_damage()
        if self._phase is Phase.SETUP:
            self._run.damaged(now_ns)
            self._send += self._run.tick(now_ns)
        elif self._polling.is_idle:
            raise WireError("damaged bytes came that nothing asked for", self._where, "The link is opened again by itself.")
        else:
            self._polling.answered_again(now_ns)
            self._watch(now_ns)

    def _drain(self, now_ns: int) -> None:
        self._count_damage()
        if self._phase is Phase.SETUP:
            raise WireError("the camera's answers cannot be told apart", self._where, "The link is opened again by itself.")
        self._phase, self._quiet_ns = Phase.DRAINING, now_ns + DRAIN_NS

    def _count_damage(self) -> None:
        self._damaged += 1
        self._damaged_in_row += 1
        if self._damaged_in_row > DAMAGED_IN_ROW and self._phase is not Phase.SETUP:
            raise WireError("one damaged answer after another", self._where, "Check the cable, and leave averaging off in the camera.")

    # ---- what the shell gets -----------------------------------------------------------------------------------------

    def _change(self, state: TrackerState, why: str = "", remedy: str = "") -> None:
        if state is not self._state or why:
            self._state = state
            self._events.append(TrackerChanged(state=state, why=f"{self._where}: {why}" if why else "", remedy=remedy))

    def _alert(self, what: str, remedy: str) -> None:
        self._events.append(TrackerAlert(what=f"{self._where}: {what}", remedy=remedy))

    def _step(self, now_ns: int) -> Step[TrackerEvent]:
        if (self._dropped or self._damaged) and now_ns >= self._tell_ns:
            self._tell_counts(now_ns)
        step = Step(wake_ns=self._wake_ns(now_ns), send=self._send, events=tuple(self._events), reopen=self._reopen)
        self._send, self._reopen = b"", None
        self._events.clear()
        return step

    def _tell_counts(self, now_ns: int) -> None:
        self._tell_ns = now_ns + TELL_EVERY_NS
        if self._dropped:
            self._alert(f"{self._dropped} frames were dropped", "If it goes on, free the computer or lower the frame rate.")
        if self._damaged:
            self._alert(f"{self._damaged} answers arrived damaged", "If it goes on, check the cable.")
        self._dropped = self._damaged = 0

    def _wake_ns(self, now_ns: int) -> int:
        if self._phase is Phase.SETUP:
            return self._run.wake_ns
        if self._phase is Phase.TRACKING:
            return self._polling.wake_ns(now_ns)
        if self._phase is Phase.DRAINING:
            return min(self._quiet_ns, self._polling.wake_ns(now_ns))
        if self._phase is Phase.APART and self._retry_ns is not None:
            return self._retry_ns
        return now_ns + IDLE_NS
