"""The NDI driver against replies made by hand: what each report is worth, and what the set-up says to a camera's answers."""

import math
from collections.abc import Callable

import msgspec
import pytest

from drivers.ndi import NdiTracker
from drivers.ndi_pose_wire import HandleState, RawPose, ToolReport, TrackingReply, encode_bx
from drivers.ndi_script import Ask
from drivers.ndi_setup import Established, Setup
from drivers.ndi_wire import TextReply, decode_command, encode_binary, encode_text
from drivers.protocols import Step
from drivers.values import (
    DeviceError,
    Refused,
    ToolSample,
    TrackerAlert,
    TrackerChanged,
    TrackerEvent,
    TrackerFrame,
    TrackerIdentity,
    TrackerState,
    Unseen,
    WireError,
)

MS = 1_000_000
ROM = bytes(752)
HEAD, COIL = 1, 2  # handles, in the order in which the camera gives them out
PLACE = (1.0, 2.0, -1500.0)


def answer(ask: Ask) -> str:
    """A camera without a fault of its own, as short as can be; each tool gets the next handle."""
    command = decode_command(ask.sent[:-1])
    match command.name:
        case "PHSR":
            return "020100102001" if command.arguments == "02" else "00"
        case "PHRQ":
            return "01"
        case "PHINF":
            return "02000000NDI         0010000000131"
        case "APIREV":
            return "G.001.005"
        case "VER":
            return "Polaris Vega\nNDI S/N: P9-1\nFreeze Tag: Polaris Vega 008\n"
        case "GET":
            values = {"Frame Frequency": "60", "Track Frequency": "2", "Bump Detected": "0"}
            known = [value for name, value in values.items() if command.arguments.endswith(name)]
            return f"{command.arguments}={known[0]}" if known else "ERROR34"
    return "OKAY"


def set_up(answers: Callable[[Ask], str] = answer, frame_hz: float | None = None) -> tuple[Established, list[str]]:
    """Run the script for one tool; what it established and the names of the commands it gave."""
    script, names = Setup({"coil": ROM}, frame_hz, "camera").script(), []
    ask = next(script)
    while True:
        names.append(ask.name)
        try:
            ask = script.send(TextReply(answers(ask)))
        except StopIteration as end:
            return end.value, names


def instead(name: str, text: str, arguments: str = "") -> Callable[[Ask], str]:
    """As `answer`, but that command is answered so."""
    return lambda ask: text if ask.name == name and arguments.encode() in ask.sent else answer(ask)


# ---- set-up ---------------------------------------------------------------------------------------------------------


def test_the_script_goes_from_any_state_to_tracking_in_this_order() -> None:
    established, names = set_up(frame_hz=60.0)
    assert list(dict.fromkeys(names)) == [
        "TSTOP",
        "INIT",
        "APIREV",
        "SET",
        "GET",
        "VER",
        "PHSR",
        "PHRQ",
        "PVWR",
        "PINIT",
        "PENA",
        "PHINF",
        "TSTART",
    ]
    assert established.identity == TrackerIdentity(
        model="Polaris Vega", serial="P9-1", firmware="Polaris Vega 008, interface G.001.005", frame_hz=60.0
    )
    assert established.tool_of_handle == {1: "coil"} and established.frames_per_pose == 1 and established.alerts == ()


def test_a_camera_that_knows_its_parameters_is_named_by_them() -> None:
    established, _ = set_up(
        lambda ask: f"x={ask.sent[4:-5].decode().split('.')[-1]}" if ask.name == "GET" and b"Features" in ask.sent else answer(ask)
    )
    assert (established.identity.model, established.identity.serial) == ("Model", "Serial Number")
    assert established.identity.firmware == "Version, interface G.001.005"


def test_stopping_what_does_not_track_is_no_fault() -> None:
    assert set_up(instead("TSTOP", "ERROR0C"))[1][-1] == "TSTART"


@pytest.mark.parametrize("name", ["INIT", "PHRQ", "PVWR", "PINIT", "PENA", "PHINF", "TSTART"])
def test_an_error_names_the_command_and_a_tools_error_the_tool(name: str) -> None:
    with pytest.raises(Refused) as caught:
        set_up(instead(name, "ERROR13"))
    assert name in caught.value.what and caught.value.remedy
    assert ("'coil'" in caught.value.what) is (name not in ("INIT", "TSTART"))


@pytest.mark.parametrize("name", ["INIT", "PVWR", "PINIT", "PENA", "TSTART"])
def test_an_order_answered_with_neither_okay_nor_warning_is_a_wrong_answer(name: str) -> None:
    with pytest.raises(WireError):
        set_up(instead(name, "001"))


def test_a_restart_in_the_middle_is_not_mistaken_for_a_refusal() -> None:
    for name in ("TSTOP", "SET", "GET", "PVWR"):
        with pytest.raises(WireError):
            set_up(instead(name, "RESET"))


def test_a_warning_is_told_and_goes_on() -> None:
    established, names = set_up(instead("PINIT", "WARNING02"))
    assert names[-1] == "TSTART"
    (alert,) = established.alerts
    assert "'coil'" in alert.what and "geometry" in alert.what and alert.remedy


@pytest.mark.parametrize("text", ["UNOCCUPIED", "02000000NDI         0010000000111", "02000000NDI         0010000000101"])
def test_a_tool_that_is_not_ready_in_the_end_is_refused_by_name(text: str) -> None:
    with pytest.raises(Refused, match="'coil'"):
        set_up(instead("PHINF", text))


def test_the_rate_that_counts_is_the_cameras_and_a_difference_is_told() -> None:
    established, names = set_up(frame_hz=400.0)
    assert established.identity.frame_hz == 60.0
    assert "400" in established.alerts[0].what and names.count("SET") == 3
    refused, _ = set_up(instead("SET", "ERROR36"), frame_hz=60.0)
    assert refused.identity.frame_hz == 60.0 and refused.alerts == ()


def test_an_old_camera_that_does_not_tell_its_rate_needs_it_from_the_chairs_file() -> None:
    silent = instead("GET", "ERROR34")
    assert set_up(silent, frame_hz=60.0)[0].identity.frame_hz == 60.0
    with pytest.raises(Refused, match="rate"):
        set_up(silent)
    for nonsense in ("0", "-1", "nan", "inf", "fast"):
        with pytest.raises(Refused, match="rate"):
            set_up(instead("GET", f"Param.Tracking.Frame Frequency={nonsense}", "Frame Frequency"))


def test_a_camera_that_keeps_tracking_every_third_frame_is_polled_at_that_pace() -> None:
    assert set_up(instead("GET", "Param.Tracking.Track Frequency=0", "Track Frequency"))[0].frames_per_pose == 3


def test_a_bump_is_told() -> None:
    established, _ = set_up(instead("GET", "Info.Status.Bump Detected=1", "Bump"))
    assert "bumped" in established.alerts[0].what


@pytest.mark.parametrize("name", ["PHSR", "PHRQ", "PHINF"])
def test_an_answer_that_cannot_be_read_is_a_wire_error(name: str) -> None:
    with pytest.raises(DeviceError):
        set_up(instead(name, "zz"))


# ---- reports by hand ------------------------------------------------------------------------------------------------


def seen(
    handle: int,
    frame: int | None = None,
    wxyz: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0),
    mm: tuple[float, float, float] = PLACE,
    rms: float = 0.1,
    status: int = 0x31,
) -> ToolReport:
    return ToolReport(handle=handle, state=HandleState.VALID, pose=RawPose(wxyz, mm, rms), port_status=status, frame_number=frame)


def unseen(handle: int, state: HandleState = HandleState.MISSING, status: int = 0x31, frame: int | None = None) -> ToolReport:
    return ToolReport(handle=handle, state=state, port_status=status, frame_number=frame)


class Hand:
    """A driver that tracks head and coil; the test gives every answer to its polls, a frame later each time."""

    def __init__(self) -> None:
        self.now_ns = 10**12
        self.tracker = NdiTracker({"head": ROM, "coil": ROM})
        self.frame = 1000
        self.events: list[TrackerEvent] = []
        self._numbers = iter(("01", "02"))
        self._poll(self.tracker.connected(self.now_ns))
        self.events.clear()

    def settle(self) -> "Hand":
        """A second of good frames."""
        for _ in range(61):
            self.show(seen(HEAD), seen(COIL))
        self.events.clear()
        return self

    def show(self, *reports: ToolReport, status: int = 0) -> Step[TrackerEvent]:
        """Answer the poll with the next frame (reports may carry a number of their own)."""
        self.frame += 1
        self.now_ns += 16_666_667
        numbered = [
            report if report.frame_number is not None or report.state is HandleState.DISABLED else _numbered(report, self.frame)
            for report in reports
        ]
        return self.say(encode_binary(encode_bx(TrackingReply(tools=tuple(numbered), system_status=status))))

    def say(self, data: bytes) -> Step[TrackerEvent]:
        """Answer the poll with these bytes, then let time pass until the next poll or set-up command."""
        step = self.tracker.feed(data, self.now_ns)
        self._poll(step)
        return step

    def samples(self, tool: str) -> list[ToolSample]:
        return [sample for event in self.events if isinstance(event, TrackerFrame) for sample in event.tools if sample.tool == tool]

    def _poll(self, step: Step[TrackerEvent]) -> None:
        """Go on until a poll is out; a set-up that is asked for is answered."""
        while True:
            self.events += step.events
            if step.reopen is not None or step.send.startswith(b"BX"):
                return
            if step.send:
                self.now_ns += MS // 10
                step = self.tracker.feed(encode_text(self._answer(step.send)), self.now_ns)
            else:
                self.now_ns = max(self.now_ns + 1, step.wake_ns)
                step = self.tracker.tick(self.now_ns)

    def _answer(self, sent: bytes) -> str:
        name = decode_command(sent[:-1]).name
        if name == "TSTOP":
            self._numbers = iter(("01", "02"))
        if name == "PHRQ":
            return next(self._numbers)
        return answer(Ask(name=name, sent=sent, limit_ns=0, repeatable=False, quiet_before_ns=0))


def _numbered(report: ToolReport, frame: int) -> ToolReport:
    return msgspec.structs.replace(report, frame_number=frame)


def test_a_quaternion_is_brought_to_norm_1_and_stays_on_its_side() -> None:
    hand = Hand()
    hand.show(seen(HEAD, wxyz=(0.71, 0.0, 0.0, 0.71)), seen(COIL))
    hand.show(seen(HEAD, wxyz=(-0.70, 0.0, 0.0, -0.72)), seen(COIL))
    first, second = hand.samples("head")
    assert first.wxyz is not None and second.wxyz is not None
    for wxyz in (first.wxyz, second.wxyz):
        assert math.hypot(*wxyz) == pytest.approx(1.0, abs=1e-12)
        assert wxyz[0] > 0.69, "q and -q are equal: no jump between them"


@pytest.mark.parametrize(
    "pose",
    [
        RawPose((0.97, 0.0, 0.0, 0.0), PLACE, 0.1),
        RawPose((1.03, 0.0, 0.0, 0.0), PLACE, 0.1),
        RawPose((0.0, 0.0, 0.0, 0.0), PLACE, 0.1),
        RawPose((math.nan, 0.0, 0.0, 1.0), PLACE, 0.1),
        RawPose((1.0, 0.0, 0.0, 0.0), (math.inf, 0.0, 0.0), 0.1),
        RawPose((1.0, 0.0, 0.0, 0.0), (0.0, math.nan, 0.0), 0.1),
        RawPose((1.0, 0.0, 0.0, 0.0), (0.0, 8000.0, -8000.0), 0.1),
        RawPose((1.0, 0.0, 0.0, 0.0), PLACE, math.nan),
        RawPose((1.0, 0.0, 0.0, 0.0), PLACE, math.inf),
        RawPose((1.0, 0.0, 0.0, 0.0), PLACE, -0.1),
    ],
)
def test_a_pose_that_cannot_be_one_is_none(pose: RawPose) -> None:
    hand = Hand()
    hand.show(seen(HEAD, wxyz=pose.wxyz, mm=pose.mm, rms=pose.fit_rms_mm), seen(COIL))
    (head,), (coil,) = hand.samples("head"), hand.samples("coil")
    assert (head.unseen, head.wxyz, head.in_tracker_mm, head.fit_rms_mm) == (Unseen.BAD_POSE, None, None, None)
    assert coil.unseen is None


@pytest.mark.parametrize("bit", [6, 7, 8, 9, 12, 14, 15])
def test_a_pose_with_a_reservation_of_the_camera_is_flagged(bit: int) -> None:
    hand = Hand()
    hand.show(seen(HEAD, status=0x31 | 1 << bit), seen(COIL, status=0x31 | 0x0E))
    assert hand.samples("head")[0].flagged and hand.samples("head")[0].wxyz is not None
    assert not hand.samples("coil")[0].flagged, "switches are none"


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (unseen(COIL), Unseen.MISSING),
        (unseen(COIL, status=0x71), Unseen.OUT_OF_VOLUME),
        (unseen(COIL, status=0x30), Unseen.UNOCCUPIED),
        (unseen(COIL, HandleState.DISABLED), Unseen.DISABLED),
        (seen(COIL, frame=1000), Unseen.MISSING),
    ],
    ids=["missing", "out of volume", "unoccupied", "disabled", "of an earlier frame"],
)
def test_an_unseen_tool_says_why(report: ToolReport, why: Unseen) -> None:
    hand = Hand()
    hand.show(seen(HEAD), report)
    (coil,) = hand.samples("coil")
    assert (coil.unseen, coil.wxyz) == (why, None)
    assert hand.samples("head")[0].unseen is None


@pytest.mark.parametrize(
    "reports", [(unseen(COIL, status=0x30),), (unseen(COIL, HandleState.DISABLED),), ()], ids=["empty", "disabled", "absent"]
)
def test_a_handle_that_is_gone_is_loaded_again(reports: tuple[ToolReport, ...]) -> None:
    hand = Hand().settle()
    hand.show(seen(HEAD), *reports)
    states = [event.state for event in hand.events if isinstance(event, TrackerChanged)]
    assert states == [TrackerState.LOST, TrackerState.SETUP]
    assert hand.samples("coil")[0].wxyz is None
    hand.show(seen(HEAD), seen(COIL))
    assert isinstance(hand.events[-1], TrackerFrame)


def test_a_missing_tool_is_not_loaded_again() -> None:
    hand = Hand().settle()
    hand.show(seen(HEAD), unseen(COIL))
    assert [type(event) for event in hand.events] == [TrackerFrame]


def test_a_reply_without_any_frame_number_makes_no_frame() -> None:
    hand = Hand().settle()
    hand.show()
    assert not [event for event in hand.events if isinstance(event, TrackerFrame)]
    assert TrackerState.LOST in [event.state for event in hand.events if isinstance(event, TrackerChanged)]


def test_a_whole_reply_is_not_taken_twice_nor_when_nothing_was_asked() -> None:
    hand = Hand().settle()
    number = hand.frame + 1
    wire = encode_binary(encode_bx(TrackingReply(tools=(seen(HEAD, number), seen(COIL, number)), system_status=0)))
    step = hand.tracker.feed(wire + wire, hand.now_ns)
    assert [type(event) for event in step.events] == [TrackerFrame, TrackerChanged]
    assert hand.tracker.feed(wire, hand.now_ns).events == (), "the link is given up: nothing on it counts"
    assert NdiTracker({"head": ROM}).feed(wire, 1).events == ()


def test_a_reply_of_another_length_than_its_parts_is_asked_for_again() -> None:
    hand = Hand().settle()
    hand.say(encode_binary(b"\x01\x01\x01\x00"))
    assert [type(event) for event in hand.events] == [TrackerAlert]
    hand.show(seen(HEAD), seen(COIL))
    assert isinstance(hand.events[-1], TrackerFrame)


def test_words_instead_of_poses_give_the_link_up() -> None:
    hand = Hand().settle()
    step = hand.tracker.feed(encode_text("OKAY"), hand.now_ns)
    assert isinstance(step.events[0], TrackerChanged) and step.events[0].state is TrackerState.LOST


def test_a_binary_reply_during_set_up_gives_the_link_up() -> None:
    tracker = NdiTracker({"head": ROM})
    tracker.connected(1)
    step = tracker.feed(encode_binary(b"\0\0\0"), 2)
    assert isinstance(step.events[0], TrackerChanged) and step.events[0].state is TrackerState.LOST


def test_a_camera_that_says_nothing_during_set_up_is_given_up_after_five_seconds() -> None:
    tracker = NdiTracker({"head": ROM})
    step = tracker.connected(1)
    assert step.wake_ns == 5_000 * MS + 1
    step = tracker.tick(step.wake_ns)
    (change,) = step.events
    assert isinstance(change, TrackerChanged) and "no answer to TSTOP" in change.why and change.remedy


def test_dropped_frames_are_told_at_most_once_a_second() -> None:
    hand = Hand().settle()
    for _ in range(60):
        hand.frame += 1
        hand.now_ns += 17 * MS
        hand.show(seen(HEAD), seen(COIL))
    assert 1 <= sum(isinstance(event, TrackerAlert) for event in hand.events) <= 3
