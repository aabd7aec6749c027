"""The NDI driver against replies made by hand: what each report is worth, and what the set-up says to a camera's answers."""

import math
from collections.abc import Callable

import pytest

from drivers.ndi import NdiTracker
from drivers.ndi_pose_wire import HandleState, RawPose, ToolReport, TrackingReply, encode_bx
from drivers.ndi_setup import Ask, Established, Setup
from drivers.ndi_wire import BinaryReply, TextReply, decode_command, encode_binary, encode_text
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
    assert list(dict.fromkeys(names)) == ["TSTOP", "INIT", "APIREV", "SET", "GET", "VER", "PHSR", "PHRQ", "PVWR", "PINIT", "PENA", "PHINF", "TSTART"]
    assert established.identity == TrackerIdentity(
        model="Polaris Vega", serial="P9-1", firmware="Polaris Vega 008, interface G.001.005", frame_hz=60.0
    )
    assert established.tool_of_handle == {1: "coil"} and established.frames_per_pose == 1 and established.alerts == ()


def test_a_camera_that_knows_its_parameters_is_named_by_them() -> None:
    established, _ = set_up(lambda ask: f"x={ask.sent[4:-5].decode().split('.')[-1]}" if ask.name == "GET" and b"Features" in ask.sent else answer(ask))
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
            set_up(instead("GET", f"Param.Tracking.Frame Frequency={nonsense}"))


def test_a_camera_that_keeps_tracking_every_third_frame_is_polled_at_that_pace() -> None:
    assert set_up(instead("GET", "Param.Tracking.Track Frequency=0", "Track"))[0].frames_per_pose == 3


def test_a_bump_is_told() -> None:
    established, _ = set_up(instead("GET", "Info.Status.Bump Detected=1", "Bump"))
    assert "bumped" in established.alerts[0].what


@pytest.mark.parametrize("name", ["PHSR", "PHRQ", "PHINF"])
def test_an_answer_that_cannot_be_read_is_a_wire_error(name: str) -> None:
    with pytest.raises(DeviceError):
        set_up(instead(name, "zz"))


# ---- reports by hand ------------------------------------------------------------------------------------------------


class Hand:
    """A driver that tracks head and coil; the test gives every answer to its polls."""

    def __init__(self) -> None:
        self.now_ns = 10**12
        self.tracker = NdiTracker({"head": ROM, "coil": ROM})
        self.frame = 1000
        self.handles = iter(("01", "02"))
        step = self.tracker.connected(self.now_ns)
        while b"BX" not in step.send:
            step = self._answer_setup(step)
        self.now_ns += 2_000 * MS  # the first set-up is long past
        self.tracker.tick(self.now_ns)
        self.tracker = self.tracker

    def _answer_setup(self, step: Step[TrackerEvent]) -> Step[TrackerEvent]:
        if not step.send:
            self.now_ns = max(self.now_ns + 1, step.wake_ns)
            return self.tracker.tick(self.now_ns)
        ask = Ask(name=decode_command(step.send[:-1]).name, sent=step.send, limit_ns=0, repeatable=False, quiet_before_ns=0)
        self.now_ns += MS // 10
        return self.tracker.feed(encode_text(next(self.handles) if ask.name == "PHRQ" else answer(ask)), self.now_ns)
