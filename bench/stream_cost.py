"""For `frame_cost`: what the drivers of streams cost for one frame of two tools, instead of the camera's. No sockets, no LSL."""

import time
from collections.abc import Iterator

from drivers.igtl import IgtlTracker
from drivers.igtl_wire import columns_of, encode_transform
from drivers.lsl_tracker import LslTracker
from drivers.lsl_wire import Found, Sample, encode
from drivers.mocap_wire import Layout, ObjectChannels
from drivers.protocols import Tracker
from sim.ndi_poses import slow_pose

TOOLS = {"head": "HeadToTracker", "coil": "CoilToTracker"}
FRAME_NS = 2_500_000
METADATA = {"TransformValid": "True", "TransformStatus": "OK"}


def stream_costs(frames: int) -> list[tuple[str, list[int]]]:
    """By name, ns of each frame from bytes to values."""
    igtl = IgtlTracker(TOOLS, frame_hz=400.0, stated_rms_mm=0.2, where="bench")
    lsl = LslTracker("bench", {"head": "head", "coil": "coil"}, stated_rms_mm=0.2, least_confidence=0.5)
    return [
        ("OpenIGTLink driver, bytes to frame", _costs(igtl, _transforms(1), frames)),
        ("the same with PLUS metadata", _costs(igtl, _transforms(2), frames)),
        ("LSL driver, packet to frame", _costs(lsl, _samples(), frames)),
    ]


def _costs(tracker: Tracker, messages: Iterator[bytes], frames: int) -> list[int]:
    now_ns, costs = time.monotonic_ns(), []
    tracker.connected(now_ns)
    for _ in range(frames):
        data = next(messages)
        now_ns += FRAME_NS
        begun = time.perf_counter_ns()
        tracker.feed(data, now_ns)
        costs.append(time.perf_counter_ns() - begun)
    return costs


def _transforms(version: int) -> Iterator[bytes]:
    at_ns = 10**12
    while True:
        at_ns += FRAME_NS
        poses = [slow_pose(place, at_ns) for place in range(len(TOOLS))]
        yield b"".join(
            encode_transform(name, columns_of(pose.wxyz, pose.in_tracker_mm), at_ns, version=version, metadata=METADATA)
            for name, pose in zip(TOOLS.values(), poses, strict=True)
        )


def _samples() -> Iterator[bytes]:
    objects = {
        name: ObjectChannels(
            xyz=(8 * place, 8 * place + 1, 8 * place + 2),
            wxyz=(8 * place + 3, 8 * place + 4, 8 * place + 5, 8 * place + 6),
            to_mm=(1000.0,) * 3,
            confidence=8 * place + 7,
        )
        for place, name in enumerate(("head", "coil"))
    }
    layout = Layout(objects=objects, channels=16, rate_hz=400.0, source_id="SIM", host="here", model="bench")
    at_ns, prefix = 10**12, encode(Found(layout=layout, is_local=True))
    while True:
        at_ns += FRAME_NS
        poses = [slow_pose(place, at_ns) for place in range(2)]
        values = tuple(value for pose in poses for value in (*(mm / 1000.0 for mm in pose.in_tracker_mm), *pose.wxyz, 1.0))
        yield prefix + encode(Sample(stamp_ns=at_ns, arrived_ns=at_ns, host_minus_source_ns=0, bound_ns=100_000, values=values))
        prefix = b""
