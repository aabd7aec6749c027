"""From tracking replies to frames: which reply is new, what each tool's report is worth. No bytes, no time-outs."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from drivers.ndi_pose_wire import HandleState, RawPose, ToolReport
from drivers.ndi_setup_wire import PortBits, ToolInfoBits
from drivers.values import ToolSample, Unseen

WRAP = 1 << 32  # frame numbers are 32 bits
HALF_WRAP = WRAP // 2

NORM_LOW, NORM_HIGH = 0.98, 1.02  # a quaternion outside is damage, not rounding: TX rounds to 1e-4
FARTHEST_MM = 10_000.0  # three times the deepest measuring volume of the family
JUMP_SLACK_NS = 1_000_000_000  # frame numbers may run ahead of the host's clock by a pause, never by more

_FLAGS = (
    PortBits.OUT_OF_VOLUME
    | PortBits.PARTLY_OUT_OF_VOLUME
    | PortBits.ALGORITHM_LIMIT
    | PortBits.INTERFERENCE
    | PortBits.EXCEPTION
    | PortBits.FELL_BEHIND
    | PortBits.BUFFER_LIMIT
)
Quaternion = tuple[float, float, float, float]


class FrameCounter:
    """Follows the frame number of one run of tracking: new, repeated, skipped, or from another run."""

    def __init__(self, frame_hz: float, frames_per_pose: int) -> None:
        self.period_ns = round(1e9 * frames_per_pose / frame_hz)
        self._frame_ns = 1e9 / frame_hz
        self._frames_per_pose = frames_per_pose
        self.last: int | None = None
        self._last_ns = 0

    def advance(self, frame_number: int, now_ns: int) -> int | None:
        """Take a new frame number. Returns the poses skipped since the last, None when the numbers begin anew.

        A number goes on from the last if it is ahead by less than half the wrap, and by no more frames than time has passed.
        """
        last, self.last = self.last, frame_number
        last_ns, self._last_ns = self._last_ns, now_ns
        if last is None:
            return 0
        ahead = (frame_number - last) % WRAP
        if ahead >= HALF_WRAP or ahead * self._frame_ns > now_ns - last_ns + JUMP_SLACK_NS:
            return None
        return max(0, ahead // self._frames_per_pose - 1)


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """All tools at one exposure, in the order of the chair's file."""

    tools: tuple[ToolSample, ...]
    lost_handle: str | None  # a tool whose handle is gone or empty: it must be loaded again


class ToolReader:
    """Judges reports of known handles; keeps each quaternion on the side of its predecessor."""

    def __init__(self, tools: Sequence[str], tool_of_handle: Mapping[int, str]) -> None:
        self._handles = tuple((tool, next(handle for handle, name in tool_of_handle.items() if name == tool)) for tool in tools)
        self._previous: dict[str, Quaternion] = {}

    def newest(self, reports: Sequence[ToolReport]) -> int | None:
        """The newest frame number among the reports, across the wrap; None when no report carries one."""
        newest = None
        for report in reports:
            number = report.frame_number
            if number is not None and number != newest and (newest is None or (number - newest) % WRAP < HALF_WRAP):
                newest = number
        return newest

    def samples(self, given: Sequence[ToolReport], frame_number: int) -> Samples:
        """What each tool is worth at this exposure."""
        reports = {report.handle: report for report in given}
        lost = None
        tools = []
        for tool, handle in self._handles:
            report = reports.get(handle)
            sample = _absent(tool, frame_number) if report is None else self._judge(tool, report, frame_number)
            if sample.unseen in (Unseen.UNOCCUPIED, Unseen.DISABLED):
                lost = tool
            tools.append(sample)
        return Samples(tools=tuple(tools), lost_handle=lost)

    def _judge(self, tool: str, report: ToolReport, frame_number: int) -> ToolSample:
        status = report.port_status or 0
        number = frame_number if report.frame_number is None else report.frame_number
        wxyz, unseen = None, _why_unseen(report, status, frame_number)
        if unseen is None and report.pose is not None:
            wxyz = self._upright(tool, report.pose)
            unseen = Unseen.BAD_POSE if wxyz is None else None
        if wxyz is None or report.pose is None:
            return ToolSample(tool=tool, frame_number=number, wxyz=None, in_tracker_mm=None, fit_rms_mm=None, unseen=unseen)
        return ToolSample(
            tool=tool,
            frame_number=number,
            wxyz=wxyz,
            in_tracker_mm=report.pose.mm,
            fit_rms_mm=report.pose.fit_rms_mm,
            unseen=None,
            flagged=status & _FLAGS != 0,
        )

    def _upright(self, tool: str, pose: RawPose) -> Quaternion | None:
        """The quaternion at norm 1, on the side of the last; None when the pose cannot be one."""
        w, x, y, z = pose.wxyz
        norm = math.sqrt(w * w + x * x + y * y + z * z)
        if not (NORM_LOW <= norm <= NORM_HIGH and math.hypot(*pose.mm) <= FARTHEST_MM and 0.0 <= pose.fit_rms_mm < math.inf):
            return None  # a part that is not a number fails here too
        before = self._previous.get(tool)
        if before is not None and w * before[0] + x * before[1] + y * before[2] + z * before[3] < 0.0:
            norm = -norm
        wxyz = (w / norm, x / norm, y / norm, z / norm)
        self._previous[tool] = wxyz
        return wxyz


def _why_unseen(report: ToolReport, status: int, frame_number: int) -> Unseen | None:
    if report.state is HandleState.VALID:
        # A report of an earlier frame was not measured at this exposure.
        return None if report.frame_number == frame_number else Unseen.MISSING
    if report.state is HandleState.MISSING:
        if not status & PortBits.OCCUPIED:
            return Unseen.UNOCCUPIED
        return Unseen.OUT_OF_VOLUME if status & PortBits.OUT_OF_VOLUME else _why_missing(report, status)
    return Unseen.DISABLED if report.state is HandleState.DISABLED else Unseen.UNOCCUPIED


def _why_missing(report: ToolReport, status: int) -> Unseen:
    info = report.marker_info[0] if report.marker_info else 0
    if info & ToolInfoBits.BAD_FIT:
        return Unseen.BAD_FIT
    if info & ToolInfoBits.INTERFERENCE or status & PortBits.INTERFERENCE:
        return Unseen.INTERFERENCE
    return Unseen.TOO_FEW_MARKERS if info & ToolInfoBits.TOO_FEW_MARKERS else Unseen.MISSING


def _absent(tool: str, frame_number: int) -> ToolSample:
    return ToolSample(tool=tool, frame_number=frame_number, wxyz=None, in_tracker_mm=None, fit_rms_mm=None, unseen=Unseen.UNOCCUPIED)
