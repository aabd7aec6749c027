"""What the simulated camera measures of its loaded tools in one frame: poses with noise, flags, markers."""

import random
from collections.abc import Iterable

from drivers.ndi_pose_wire import HandleState, Options, RawPose, ToolReport, TrackingReply
from drivers.ndi_setup_wire import PortBits
from sim.ndi_faults import CameraFaults
from sim.ndi_poses import PoseSource, slow_pose
from sim.ndi_shutter import Frame
from sim.ndi_tools import PortHandle
from sim.world_geometry import Pose

FIT_RMS_MM = 0.08  # within the 0.05 to 0.3 mm that real cameras report
USED_MARKER = 3  # marker nibble: used in the fit
MARKER_NIBBLES = 20


class View:
    """Looks at each frame once: asked again, it gives the same bytes again.

    `noise_mm` and `noise_deg` are standard deviations per axis and pose.
    """

    def __init__(self, source: PoseSource, faults: CameraFaults, noise_mm: float, noise_deg: float, seed: int) -> None:
        self._source = source
        self._faults = faults
        self._noise_mm = noise_mm
        self._noise_deg = noise_deg
        self._rng = random.Random(seed)
        self._frame: Frame | None = None
        self._poses: dict[int, Pose | None] = {}

    def look(self, handles: Iterable[PortHandle], frame: Frame, system_status: int, options: int) -> TrackingReply:
        """One report for each handle, with the parts that the options ask for."""
        if frame != self._frame:
            self._frame = frame
            self._poses.clear()
        reports = tuple(self._report(handle, frame, options) for handle in handles)
        return TrackingReply(tools=reports, system_status=system_status, strays_mm=())

    def _report(self, handle: PortHandle, frame: Frame, options: int) -> ToolReport:
        if not handle.is_loaded:
            return ToolReport(handle=handle.number, state=HandleState.UNOCCUPIED)
        status = handle.status
        if handle.body in self._faults.out_of_volume:
            status |= PortBits.OUT_OF_VOLUME
        if handle.body in self._faults.partly_out_of_volume:
            status |= PortBits.PARTLY_OUT_OF_VOLUME
        hidden = handle.body in self._faults.missing or (status & PortBits.OUT_OF_VOLUME and not options & Options.OUT_OF_VOLUME)
        pose = None if hidden else self._measured(handle, frame.exposed_ns)
        markers = () if pose is None or handle.rom is None else handle.rom.markers_mm
        return ToolReport(
            handle=handle.number,
            state=HandleState.MISSING if pose is None else HandleState.VALID,
            pose=None if pose is None else RawPose(pose.wxyz, pose.mm, FIT_RMS_MM),
            port_status=status,
            frame_number=frame.number,
            marker_info=_marker_info(len(markers)) if options & Options.MARKER_INFO else None,
            markers_mm=tuple(pose.carry(marker) for marker in markers) if pose is not None and options & Options.MARKERS else None,
        )

    def _measured(self, handle: PortHandle, exposed_ns: int) -> Pose | None:
        if handle.number not in self._poses:
            self._poses[handle.number] = self._noisy(self._true(handle, exposed_ns))
        return self._poses[handle.number]

    def _true(self, handle: PortHandle, exposed_ns: int) -> Pose | None:
        seen = slow_pose(handle.number, exposed_ns) if handle.is_stranger else self._source.pose(handle.body, exposed_ns)
        return None if seen is None else Pose(seen.wxyz, seen.in_tracker_mm) @ handle.body_from_tool

    def _noisy(self, pose: Pose | None) -> Pose | None:
        if pose is None or (self._noise_mm == 0.0 and self._noise_deg == 0.0):
            return pose
        gauss, mm, deg = self._rng.gauss, self._noise_mm, self._noise_deg
        return pose.moved((gauss(0.0, mm), gauss(0.0, mm), gauss(0.0, mm)), (gauss(0.0, deg), gauss(0.0, deg), gauss(0.0, deg)))


def _marker_info(count: int) -> bytes:
    """Tool information without complaint, then twenty nibbles, marker A in the last byte's low one."""
    nibbles = [USED_MARKER if index < count else 0 for index in range(MARKER_NIBBLES)]
    pairs = zip(nibbles[::2], nibbles[1::2], strict=True)
    return bytes([0, *reversed([low | high << 4 for low, high in pairs])])
