"""What the simulated camera measures of its loaded tools in one frame: poses with noise, flags, markers, and why one is missing."""

import random
from collections.abc import Iterable

import numpy as np

from drivers.ndi_pose_wire import HandleState, Options, RawPose, ToolReport, TrackingReply
from drivers.ndi_setup_wire import PortBits, ToolInfoBits
from sim.ndi_faults import CameraFaults
from sim.ndi_noise import ANY_TOOL, FIT_RMS_MM, MarkerNoise
from sim.ndi_poses import PoseSource, slow_pose
from sim.ndi_shutter import Frame
from sim.ndi_tools import PortHandle
from sim.world_geometry import Pose, Vector

FEWEST_MARKERS = 3  # a pose needs so many, whatever the definition says
OUTLIER_MM = (5.0, 30.0)
USED_MARKER = 3  # marker nibble: used in the fit
MARKER_NIBBLES = 20
EVERY_TOOL = "*"


class View:
    """Looks at each frame once: asked again, it gives the same bytes again.

    `noise_mm` is the standard deviation of each marker's measured place, per axis.
    """

    def __init__(self, source: PoseSource, faults: CameraFaults, noise_mm: float, seed: int) -> None:
        self._source = source
        self._faults = faults
        self._noise_mm = noise_mm
        self._normal = np.random.default_rng(seed)
        self._rng = random.Random(seed)
        self._noises: dict[tuple[Vector, ...], MarkerNoise] = {}
        self._frame: Frame | None = None
        self._poses: dict[int, RawPose | None] = {}

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
        faults, body = self._faults, handle.body
        status = handle.status
        if _names(faults.out_of_volume, body):
            status |= PortBits.OUT_OF_VOLUME
        if _names(faults.partly_out_of_volume, body):
            status |= PortBits.PARTLY_OUT_OF_VOLUME
        is_outside = bool(status & PortBits.OUT_OF_VOLUME and not options & Options.OUT_OF_VOLUME)
        is_misfit = _names(faults.bad_fit, body)
        pose = None if is_outside or is_misfit else self._measured(handle, frame.exposed_ns)
        info = 0 if pose is not None or is_outside else ToolInfoBits.BAD_FIT if is_misfit else ToolInfoBits.TOO_FEW_MARKERS
        seen = () if pose is None else self._seen_markers(handle)
        return ToolReport(
            handle=handle.number,
            state=HandleState.MISSING if pose is None else HandleState.VALID,
            pose=pose,
            port_status=status,
            frame_number=frame.number,
            marker_info=_marker_info(info, len(seen)) if options & Options.MARKER_INFO else bytes([info]),
            markers_mm=tuple(_pose_of(pose).carry(marker) for marker in seen) if pose is not None and options & Options.MARKERS else None,
        )

    def _seen_markers(self, handle: PortHandle) -> tuple[Vector, ...]:
        markers = ANY_TOOL if handle.rom is None else handle.rom.markers_mm
        return markers[: len(markers) - self._faults.hidden_markers.get(handle.body, 0)]

    def _measured(self, handle: PortHandle, exposed_ns: int) -> RawPose | None:
        if handle.number not in self._poses:
            self._poses[handle.number] = self._measure(handle, exposed_ns)
        return self._poses[handle.number]

    def _measure(self, handle: PortHandle, exposed_ns: int) -> RawPose | None:
        seen = self._seen_markers(handle)
        fewest = max(FEWEST_MARKERS, 0 if handle.rom is None else handle.rom.min_markers)
        true = None if _names(self._faults.missing, handle.body) or len(seen) < fewest else self._true(handle, exposed_ns)
        if true is None:
            return None
        pose, rms_mm = self._with_noise(true, seen)
        if self._rng.random() < self._faults.outliers:
            pose = pose.moved(_anywhere(self._rng))
        return RawPose(pose.wxyz, pose.mm, rms_mm)

    def _true(self, handle: PortHandle, exposed_ns: int) -> Pose | None:
        seen = slow_pose(handle.number, exposed_ns) if handle.is_stranger else self._source.pose(handle.body, exposed_ns)
        return None if seen is None else Pose(seen.wxyz, seen.in_tracker_mm) @ handle.body_from_tool

    def _with_noise(self, pose: Pose, seen: tuple[Vector, ...]) -> tuple[Pose, float]:
        if self._noise_mm == 0.0:
            return pose, FIT_RMS_MM
        if seen not in self._noises:
            self._noises[seen] = MarkerNoise(seen, self._noise_mm)
        off, rms_mm = self._noises[seen].sample(self._normal)
        return pose @ off, rms_mm


def _names(names: set[str], body: str) -> bool:
    return body in names or EVERY_TOOL in names


def _pose_of(pose: RawPose) -> Pose:
    return Pose(pose.wxyz, pose.mm)


def _anywhere(rng: random.Random) -> Vector:
    direction = [rng.gauss(0.0, 1.0) for _ in range(3)]
    length = sum(part * part for part in direction) ** 0.5
    far_mm = rng.uniform(*OUTLIER_MM)
    return (far_mm * direction[0] / length, far_mm * direction[1] / length, far_mm * direction[2] / length)


def _marker_info(info: int, count: int) -> bytes:
    """Tool information, then twenty nibbles, marker A in the last byte's low one."""
    nibbles = [USED_MARKER if index < count else 0 for index in range(MARKER_NIBBLES)]
    pairs = zip(nibbles[::2], nibbles[1::2], strict=True)
    return bytes([info, *reversed([low | high << 4 for low, high in pairs])])
