"""BX2 of the simulated camera: its options, and what it sees in the words of that reply."""

from drivers.ndi_gbf_wire import GbfFrame, GbfMarkers, GbfPose, GbfReply, PoseCode, encode_bx2
from drivers.ndi_pose_wire import POSES, HandleState, Options, ToolReport
from drivers.ndi_setup_wire import PortBits, ToolInfoBits
from drivers.ndi_wire import encode_binary
from sim.ndi_device import Device
from sim.ndi_refusal import Refusal

OUT_OF_RANGE = 0x23
CHOICES = {
    "--6d": ("tools", "none"),
    "--3d": ("none", "tools", "strays", "all"),
    "--2d": ("none", "tools", "strays", "all"),
    "--sensor": ("all", "left", "right", "none"),
    "--1d": ("buttons", "none"),
}


def track_gbf(device: Device, arguments: str) -> bytes:
    """The newest frame, or an empty container when the asker was told it already. Raises Refusal."""
    wants = {key: choices[0] for key, choices in CHOICES.items()}
    for option in arguments.split():
        key, _, value = option.partition("=")
        if value not in CHOICES.get(key, ()):
            raise Refusal(OUT_OF_RANGE)
        wants[key] = value
    seen = device.look_if_new(POSES | (Options.MARKERS if wants["--3d"] in ("tools", "all") else 0))
    alerts = device.take_alerts()
    if seen is None:
        return encode_binary(encode_bx2(GbfReply(alerts=alerts)))
    frame, reply = seen
    gbf = GbfFrame(
        number=frame.number,
        camera_ns=frame.exposed_ns,
        poses=tuple(_pose(report, device.faults.averaged) for report in reply.tools) if wants["--6d"] == "tools" else (),
        markers=tuple(GbfMarkers(handle=report.handle, markers_mm=report.markers_mm) for report in reply.tools if report.markers_mm),
    )
    return encode_binary(encode_bx2(GbfReply(frames=(gbf,), alerts=alerts)))


def _pose(report: ToolReport, averaged: bool) -> GbfPose:
    return GbfPose(handle=report.handle, code=_code(report), pose=report.pose, averaged=averaged and report.pose is not None)


def _code(report: ToolReport) -> int:
    status = report.port_status or 0
    if report.state is HandleState.UNOCCUPIED:
        return PoseCode.UNPLUGGED
    if status & PortBits.OUT_OF_VOLUME:
        return PoseCode.OUT_OF_VOLUME
    if status & PortBits.PARTLY_OUT_OF_VOLUME:
        return PoseCode.PARTLY_OUT_OF_VOLUME
    if report.state is HandleState.VALID:
        return PoseCode.OKAY
    info = report.marker_info[0] if report.marker_info else 0
    return PoseCode.BAD_FIT if info & ToolInfoBits.BAD_FIT else PoseCode.TOO_FEW_MARKERS
