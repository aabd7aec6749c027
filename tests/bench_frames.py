"""Camera frames of a bench for tests: tools where the test puts them, as the hot process would tell them."""

import numpy as np

from calibration.frames import FloatArray, Transform, Xyz, rigid_matrix, rotation_from_vector
from daemon.ipc import FrameNews
from drivers.values import ToolSample, Unseen

MS = 1_000_000
FRAME_NS = 1_000_000_000 // 60


def pose(tool: str, turn_deg: Xyz = (0.0, 0.0, 0.0), place_mm: Xyz = (0.0, 0.0, -1500.0)) -> Transform:
    return Transform("tracker", tool, rigid_matrix(rotation_from_vector(np.radians(turn_deg)), np.array(place_mm)))


def sample(pose: Transform, number: int, **changes: object) -> ToolSample:
    x, y, z = pose.translation_mm.tolist()
    fields = {
        "tool": pose.frm,
        "frame_number": number,
        "wxyz": pose.wxyz,
        "in_tracker_mm": (x, y, z),
        "fit_rms_mm": 0.1,
        "unseen": None,
    }
    return ToolSample(**(fields | changes))  # type: ignore[arg-type]  # a wrong field fails at once


def unseen(tool: str, number: int) -> ToolSample:
    return ToolSample(tool=tool, frame_number=number, wxyz=None, in_tracker_mm=None, fit_rms_mm=None, unseen=Unseen.MISSING)


def news(number: int, *tools: Transform | ToolSample, exposed_ns: int | None = None, **changes: object) -> FrameNews:
    """Frame `number` of a camera of 60 Hz; `changes` are those of every sample."""
    at_ns = number * FRAME_NS if exposed_ns is None else exposed_ns
    samples = tuple(tool if isinstance(tool, ToolSample) else sample(tool, number, **changes) for tool in tools)
    return FrameNews(
        frame_number=number,
        received_ns=at_ns + 14 * MS,
        exposed_ns=at_ns,
        tools=samples,
        error=None,
        coil_in_mri_mm=None,
        mri_from_coil_wxyz=None,
        on_target=False,
        settling=False,
        dropped=0,
    )


def tip_at(point_mm: FloatArray | Xyz, tip_in_pointer_mm: Xyz, turn_deg: Xyz = (0.0, 0.0, 0.0)) -> Transform:
    """The pointer with its tip at that place of the camera's frame."""
    turned = pose("pointer", turn_deg, (0.0, 0.0, 0.0))
    x, y, z = (np.asarray(point_mm) - turned.apply(tip_in_pointer_mm)).tolist()
    return pose("pointer", turn_deg, (x, y, z))
