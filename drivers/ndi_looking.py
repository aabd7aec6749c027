"""One run of tracking: asks a Polaris camera for poses in the way that suits it, and tells frames, staleness and damage. Sans-IO.

Nothing is ever repeated as current: a stall or a damaged reply yields no frame. Link and set-up are `ndi.py`.
"""

from collections.abc import Sequence

from drivers.ndi_codes_wire import (
    ERROR_DAMAGED,
    NOT_KNOWN_ERRORS,
    SYSTEM_HANDLE_OCCUPIED,
    SYSTEM_HANDLE_UNOCCUPIED,
    SYSTEM_STATUS,
    WRONG_STATE_ERRORS,
    alert_meaning,
    error_meaning,
)
from drivers.ndi_frames import FrameCounter, ToolReader
from drivers.ndi_gbf_wire import CameraAlert
from drivers.ndi_line import BITS_PER_BYTE
from drivers.ndi_polling import Polling
from drivers.ndi_pose_wire import ToolReport
from drivers.ndi_setup import Established
from drivers.ndi_streaming import Streaming
from drivers.ndi_telling import Telling
from drivers.ndi_ways import END_STREAM_ARGUMENTS, STREAM_NAME, Sight, Way, read_sight, request
from drivers.ndi_wire import BinaryReply, Reply, ReplyReader, StreamedReply, TextReply, encode_command
from drivers.values import ClockRestart, TrackerFrame, TrackerState, WireError

SECOND_NS = 1_000_000_000
DRAIN_NS = 20_000_000  # the line is quiet when nothing came for so long
SETUP_SPACING_NS = SECOND_NS  # tools are set up again at most so often
DAMAGED_IN_ROW = 3  # more damaged answers than this one after another: the link is of no use

_OCCUPANCY_BITS = 1 << SYSTEM_HANDLE_OCCUPIED | 1 << SYSTEM_HANDLE_UNOCCUPIED
_BINARY_FRAME_BYTES, _TEXT_FRAME_BYTES = 8, 5  # what stands around a body, and behind a text
_EMPTY_BX_BYTES, _TOOL_BX_BYTES = 11, 42  # of an answer to BX with poses
_NEW_LINK = "The link is opened again by itself."


class SetUpAgain(Exception):
    """The camera tracks no longer, or not our tools. `is_reset`: it has forgotten everything, its line's speed too."""

    def __init__(self, what: str, remedy: str, *, is_reset: bool = False) -> None:
        super().__init__(what)
        self.what, self.remedy, self.is_reset = what, remedy, is_reset


class Looking:
    """Begun at `now_ns` on a camera that was set up at `setup_ns`. `send` is for the shell to take.

    `ways`: best first. One that the camera turns out not to have is added to `barren` and the next is tried.
    """

    def __init__(
        self,
        camera: Established,
        tools: Sequence[str],
        ways: Sequence[Way],
        barren: set[Way],
        telling: Telling,
        reader: ReplyReader,
        where: str,
        setup_ns: int,
        now_ns: int,
    ) -> None:
        self.send = b""
        self.told_ns: int | None = None  # when the last frame was
        self._camera = camera
        self._counter = FrameCounter(camera.identity.frame_hz, camera.frames_per_pose)
        self._tool_reader = ToolReader(tools, camera.tool_of_handle)
        self._ways, self._barren = ways, barren
        self._telling, self._reader, self._where = telling, reader, where
        self._byte_ns = 0 if camera.baud is None else BITS_PER_BYTE * SECOND_NS // camera.baud
        self._setup_from_ns = setup_ns + SETUP_SPACING_NS
        self._setup_due: str | None = None  # why the tools must be set up again
        self._system_status: int | None = None  # of the last reply
        self._told_alerts: set[CameraAlert] = set()
        self._told_averaging = False
        self._damaged_in_row = 0
        self._quiet_ns: int | None = None  # when draining ends
        self._ends_stream = False  # the answer to its end is awaited
        self._warn_if_slow(len(tools))
        self._begin(now_ns)

    def _begin(self, now_ns: int) -> None:
        """In the best way that is left. Raises WireError when there is none."""
        way = next((way for way in self._ways if way not in self._barren), None)
        if way is None:
            self._barren.clear()
            raise WireError("the camera gives poses in no way known here", self._where, "Check its model and firmware, and [tracker].mode.")
        self.way = way
        self._request = request(way, self._camera.baud is not None)
        self._pace = (Streaming if way is Way.STREAM else Polling)(self._counter.period_ns, now_ns)

    def _warn_if_slow(self, tools: int) -> None:
        reply_ns = self._byte_ns * (_EMPTY_BX_BYTES + _TOOL_BX_BYTES * tools)
        if reply_ns > self._counter.period_ns:
            what = f"at {self._camera.baud} baud an answer takes {reply_ns / 1e6:.0f} ms, longer than a frame"
            self._telling.alert(what, "Name a faster [tracker].baud, or load fewer tools.")

    @property
    def is_draining(self) -> bool:
        return self._quiet_ns is not None

    def heard_garbage(self, now_ns: int) -> None:
        """Bytes came while draining."""
        self._quiet_ns = now_ns + DRAIN_NS

    # ---- replies -----------------------------------------------------------------------------------------------------

    def take(self, reply: Reply, now_ns: int) -> None:
        """One undamaged reply. Raises SetUpAgain, WireError."""
        if isinstance(reply, StreamedReply):
            if self.way is Way.STREAM and reply.stream == STREAM_NAME:
                self._take_answer(reply.reply, now_ns)
        elif isinstance(reply, TextReply) and reply.is_reset:
            self._restarted("the camera restarted", now_ns, is_reset=True)
        elif self._ends_stream:
            self._ends_stream = False
            self.watch(now_ns)
        elif self.send or self._pace.is_idle:  # what is still to be sent has no answer yet
            raise WireError("a reply came that nothing asked for", self._where, _NEW_LINK)
        elif isinstance(self._pace, Streaming):
            self._take_grant(self._pace, reply, now_ns)
        else:
            self._take_answer(reply, now_ns)

    def _take_grant(self, stream: Streaming, reply: TextReply | BinaryReply, now_ns: int) -> None:
        """The answer to the order of a stream."""
        if not isinstance(reply, TextReply):
            raise WireError("poses came in answer to STREAM", self._where, _NEW_LINK)
        if reply.error is None:
            stream.granted(now_ns)
            self.watch(now_ns)
        elif reply.error in WRONG_STATE_ERRORS:
            self._restarted(error_meaning(reply.error).what, now_ns)
        else:
            self._fall_back(error_meaning(reply.error).what, now_ns)

    def _take_answer(self, reply: TextReply | BinaryReply, now_ns: int) -> None:
        if isinstance(reply, TextReply) and (reply.error is not None or reply.is_reset or self.way is not Way.TX):
            self._take_words(reply, now_ns)
            return
        try:
            sight = read_sight(self.way, reply)
        except WireError:
            self.damaged(now_ns)
            return
        self._take_sight(sight, now_ns - self._byte_ns * _wire_bytes(reply), now_ns)

    def _take_words(self, reply: TextReply, now_ns: int) -> None:
        """The camera answers in words: it restarted, left tracking, or did not understand."""
        error = reply.error
        if error == ERROR_DAMAGED:
            self.damaged(now_ns)
            return
        if not reply.is_reset and error is None:
            raise WireError(f"{reply.text[:24]!r} came in answer to {self.way.upper()}", self._where, _NEW_LINK)
        self._pace.answered_again(now_ns)
        if error in NOT_KNOWN_ERRORS and self.way is not self._ways[-1]:
            self._fall_back("the camera does not know it", now_ns)
        else:
            self._restarted("the camera restarted" if error is None else error_meaning(error).what, now_ns, is_reset=reply.is_reset)

    def _restarted(self, what: str, now_ns: int, *, is_reset: bool = False) -> None:
        is_clean = self._pace.is_idle or isinstance(self._pace, Streaming) or is_reset
        if not is_clean or now_ns < self._setup_from_ns:
            raise WireError(what, self._where, "It is set up again by itself.")
        raise SetUpAgain(what, "It is set up again by itself.", is_reset=is_reset)

    def _fall_back(self, why: str, now_ns: int) -> None:
        """This camera does not do it this way: the next, from now on."""
        self._telling.alert(
            f"poses do not come by {self.way.upper()} ({why})", "They are asked for in another way; name it in [tracker].mode."
        )
        self._barren.add(self.way)
        if isinstance(self._pace, Streaming) and self._pace.is_idle:
            self.send += encode_command("USTREAM", END_STREAM_ARGUMENTS, checked=False)
            self._ends_stream = True
        self._begin(now_ns)
        self.watch(now_ns)

    # ---- frames ------------------------------------------------------------------------------------------------------

    def _take_sight(self, sight: Sight, received_ns: int, now_ns: int) -> None:
        self._damaged_in_row = 0
        if sight.system_status is not None and sight.system_status != self._system_status:
            self._note_status(sight.system_status)
        if sight.alerts or sight.is_averaged:
            self._note_alerts(sight)
        is_new = False
        for reports in sight.frames:
            frame_number = self._tool_reader.newest(reports)
            if frame_number is None:
                self._setup_due = self._setup_due or "the camera reports none of the tools"
            elif frame_number != self._counter.last:
                is_new = True
                self._tell_frame(reports, frame_number, received_ns, now_ns)
        if is_new:
            self._pace.answered_new(now_ns)
        else:
            self._pace.answered_again(now_ns)
        self.watch(now_ns)

    def _tell_frame(self, reports: Sequence[ToolReport], frame_number: int, received_ns: int, now_ns: int) -> None:
        skipped = self._counter.advance(frame_number, now_ns)
        if skipped is None:
            self._telling.events.append(ClockRestart(frame_hz=self._camera.identity.frame_hz))
        else:
            self._telling.dropped += skipped
        samples = self._tool_reader.samples(reports, frame_number)
        if samples.lost_handle is not None:
            self._setup_due = self._setup_due or f"the handle of tool {samples.lost_handle!r} is unoccupied"
        self.told_ns = now_ns
        self._telling.change(TrackerState.TRACKING)
        self._telling.events.append(
            TrackerFrame(frame_number=frame_number, received_ns=received_ns, tools=samples.tools, skipped=skipped or 0)
        )

    def _note_status(self, status: int) -> None:
        """Tell each system status bit once when it rises. Bits that stood at the first reply are no change of tools."""
        before, self._system_status = self._system_status, status
        risen = status & ~(before or 0)
        for bit, meaning in SYSTEM_STATUS.items():
            if risen >> bit & 1:
                self._telling.alert(meaning.what, meaning.remedy)
        if before is not None and risen & _OCCUPANCY_BITS:
            self._setup_due = self._setup_due or "the camera's tools changed"

    def _note_alerts(self, sight: Sight) -> None:
        """Each once in a run: the camera may say them with every frame."""
        for alert in sight.alerts:
            if alert not in self._told_alerts:
                self._told_alerts.add(alert)
                meaning = alert_meaning(alert.kind, alert.code)
                self._telling.alert(meaning.what, meaning.remedy)
        if sight.is_averaged and not self._told_averaging:
            self._told_averaging = True
            self._telling.alert("poses are averaged over frames, and flagged for that", "Switch averaging off in the camera.")

    # ---- time and damage ---------------------------------------------------------------------------------------------

    def watch(self, now_ns: int) -> None:
        """What time alone asks for. Raises SetUpAgain, WireError."""
        pace = self._pace
        if pace.is_hopeless(now_ns):
            raise WireError("no new frame for a second", self._where, "The link is opened again by itself; check the camera.")
        if pace.is_stale(now_ns) and self._telling.state is not TrackerState.LOST:
            self._telling.change(TrackerState.LOST, "no new frame for 100 ms", "Wait; if it stays, check the camera's power and cable.")
        if self._quiet_ns is not None:
            if now_ns < self._quiet_ns:
                return
            self._quiet_ns = None
            self._reader.reset()
            pace.drained(now_ns)
        if self._setup_due is not None and pace.is_idle and now_ns >= self._setup_from_ns:
            raise SetUpAgain(self._setup_due, "The tools are loaded again by themselves.")
        if isinstance(pace, Streaming) and pace.is_barren(now_ns):
            self._fall_back("nothing was pushed", now_ns)
        elif not self._ends_stream and pace.is_due(now_ns):
            self.send += self._request

    def wake_ns(self, now_ns: int) -> int:
        wake_ns = self._pace.wake_ns(now_ns)
        return wake_ns if self._quiet_ns is None else min(self._quiet_ns, wake_ns)

    def damaged(self, now_ns: int) -> None:
        """An answer arrived damaged: ask the same again. A stream's next frame comes by itself. Raises WireError."""
        self._count_damage()
        if not isinstance(self._pace, Streaming):
            if self._pace.is_idle:
                raise WireError("damaged bytes came that nothing asked for", self._where, _NEW_LINK)
            self._pace.answered_again(now_ns)
        self.watch(now_ns)

    def framing_lost(self, now_ns: int) -> None:
        """Answers cannot be told apart any more: wait for silence. Raises WireError where there will be none."""
        self._count_damage()
        if isinstance(self._pace, Streaming):
            raise WireError("the camera's stream cannot be read any more", self._where, _NEW_LINK)
        self._quiet_ns = now_ns + DRAIN_NS

    def _count_damage(self) -> None:
        self._telling.damaged += 1
        self._damaged_in_row += 1
        if self._damaged_in_row > DAMAGED_IN_ROW:
            raise WireError("one damaged answer after another", self._where, "Check the cable, and leave averaging off in the camera.")


def _wire_bytes(reply: TextReply | BinaryReply) -> int:
    return len(reply.text) + _TEXT_FRAME_BYTES if isinstance(reply, TextReply) else len(reply.body) + _BINARY_FRAME_BYTES
