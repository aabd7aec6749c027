"""What a tracker that streams has to send: frames of the room's bodies at a steady rate, with noise and all that can go wrong.

The same world as the camera's (`PoseSource`). Knows no protocol: `igtl_tracker` and `lsl_tracker` send what comes from here.
"""

import argparse
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from sim.ndi_poses import PoseSource
from sim.world_geometry import Pose

NS = 1_000_000_000
NOISE_MM, NOISE_DEG = 0.05, 0.03  # per axis and pose, as the camera's in the room
OCCLUSION_S = 0.3
STALL_S = 0.3
MOST_AT_ONCE = 1000  # frames; a sender that was stopped for longer goes on from now


@dataclass(slots=True)
class StreamFaults:
    """Switches that any thread may set at any time. Numbers count down to 0 as they are used; the rest lasts until it is taken back.

    `occlusion_share` of the time each body is out of sight, for `occlusion_s` a time; `drop_share` of the frames never leave.
    """

    missing: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)  # their pose is sent again and again as if it were new
    silent: bool = False  # nothing is sent, and what would have been is lost
    stalled: bool = False  # nothing is sent; all of it follows at once when this is taken back
    skip_frames: int = 0
    repeat_frames: int = 0  # so many frames are sent twice
    outlier_frames: int = 0  # so many frames have every body 50 mm off
    occlusion_share: float = 0.0
    occlusion_s: float = OCCLUSION_S
    drop_share: float = 0.0

    def takes(self, name: str) -> bool:
        """Use one of a counted fault."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0


@dataclass(frozen=True, slots=True)
class StreamFrame:
    """One frame as it is to be sent: `stamp_ns` is the exposure on the sender's own clock; None: not seen."""

    exposed_ns: int
    stamp_ns: int
    poses: Mapping[str, Pose | None]
    frozen: frozenset[str]


class StreamSource:
    """Frames exposed at `rate_hz` from `start_ns` on, each ready to send `latency_ms` after its exposure.

    The sender's clock shows `clock_offset_ns` more than the host's monotonic one at the start, and runs fast by `drift_ppm`. Every
    `stall_every_s` (0: never) it stalls for `stall_s`. Noise is a standard deviation per axis and pose.
    """

    def __init__(
        self,
        world: PoseSource,
        rate_hz: float,
        start_ns: int,
        *,
        latency_ms: float = 10.0,
        noise_mm: float = 0.0,
        noise_deg: float = 0.0,
        seed: int = 0,
        clock_offset_ns: int = 0,
        drift_ppm: float = 0.0,
        stall_every_s: float = 0.0,
        stall_s: float = STALL_S,
        faults: StreamFaults | None = None,
    ) -> None:
        self.faults = faults or StreamFaults()
        self.rate_hz = rate_hz
        self._world, self._rng = world, random.Random(seed)
        self._noise_mm, self._noise_deg = noise_mm, noise_deg
        self._period_ns = NS / rate_hz
        self._start_ns, self._index = start_ns, 0
        self._latency_ns = round(latency_ms * 1e6)
        self._clock_offset_ns, self._drift = clock_offset_ns, drift_ppm * 1e-6
        self._stall_every_ns, self._stall_ns = round(stall_every_s * NS), round(stall_s * NS)
        self._hidden_until_ns: dict[str, int] = {}
        self._last: dict[str, Pose | None] = {}

    @property
    def bodies(self) -> tuple[str, ...]:
        return tuple(self._world.bodies)

    def next_ns(self) -> int:
        """When the next frame is ready."""
        return self._exposed_ns(self._index) + self._latency_ns

    def due(self, now_ns: int) -> list[StreamFrame]:
        """All frames that are to be sent by now, in order."""
        if self.faults.stalled or self._is_stalled(now_ns):
            return []
        frames: list[StreamFrame] = []
        waiting = int((now_ns - self.next_ns()) / self._period_ns)
        self._index += max(0, waiting - MOST_AT_ONCE)
        while self.next_ns() <= now_ns:
            exposed_ns = self._exposed_ns(self._index)
            self._index += 1
            frames += self._frame(exposed_ns)
        return frames

    def _exposed_ns(self, index: int) -> int:
        return self._start_ns + round(index * self._period_ns)

    def _is_stalled(self, now_ns: int) -> bool:
        if not self._stall_every_ns:
            return False
        return (now_ns - self._start_ns) % self._stall_every_ns >= self._stall_every_ns - self._stall_ns

    def _frame(self, exposed_ns: int) -> list[StreamFrame]:
        faults = self.faults
        is_outlier = faults.takes("outlier_frames")
        poses = {body: self._pose(body, exposed_ns, is_outlier) for body in self._world.bodies}
        if faults.silent or faults.takes("skip_frames") or self._rng.random() < faults.drop_share:
            return []
        elapsed_ns = exposed_ns - self._start_ns
        stamp_ns = exposed_ns + self._clock_offset_ns + round(self._drift * elapsed_ns)
        frame = StreamFrame(exposed_ns, stamp_ns, poses, frozenset(faults.frozen))
        return [frame, frame] if faults.takes("repeat_frames") else [frame]

    def _pose(self, body: str, exposed_ns: int, is_outlier: bool) -> Pose | None:
        if body in self.faults.frozen and body in self._last:
            return self._last[body]
        seen = None if self._is_hidden(body, exposed_ns) else self._world.pose(body, exposed_ns)
        pose = None if seen is None else self._noisy(Pose(seen.wxyz, seen.in_tracker_mm))
        if pose is not None and is_outlier:
            pose = pose.moved((50.0, 0.0, 0.0))
        self._last[body] = pose
        return pose

    def _is_hidden(self, body: str, at_ns: int) -> bool:
        share = self.faults.occlusion_share
        if share > 0.0 and at_ns >= self._hidden_until_ns.get(body, 0):
            chance = min(1.0, share / max(1e-9, 1.0 - share) * self._period_ns / (self.faults.occlusion_s * NS))
            if self._rng.random() < chance:
                self._hidden_until_ns[body] = at_ns + round(self.faults.occlusion_s * NS)
        return body in self.faults.missing or at_ns < self._hidden_until_ns.get(body, 0)

    def _noisy(self, pose: Pose) -> Pose:
        if self._noise_mm == 0.0 and self._noise_deg == 0.0:
            return pose
        gauss, mm, deg = self._rng.gauss, self._noise_mm, self._noise_deg
        return pose.moved((gauss(0.0, mm), gauss(0.0, mm), gauss(0.0, mm)), (gauss(0.0, deg), gauss(0.0, deg), gauss(0.0, deg)))


# ---- command line ---------------------------------------------------------------------------------------------------


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """What every streaming source can be asked for; without any, nothing is noisy, missing or late."""
    parser.add_argument("--rate", type=float, default=60.0, metavar="HZ", help="frames a second (default: %(default)g)")
    parser.add_argument("--latency", type=float, default=10.0, metavar="MS", help="exposure until it is sent (default: %(default)g)")
    parser.add_argument("--noise-mm", type=float, default=0.0, help="standard deviation per axis (default: 0)")
    parser.add_argument("--noise-deg", type=float, default=0.0, help="standard deviation per axis (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is left to chance (default: 0)")
    parser.add_argument("--occlusion", type=float, default=0.0, metavar="SHARE", help="of the time each tool is hidden (default: 0)")
    parser.add_argument("--occlusion-s", type=float, default=OCCLUSION_S, metavar="S", help="how long each time (default: %(default)g)")
    parser.add_argument("--drop", type=float, default=0.0, metavar="SHARE", help="of the frames that never leave (default: 0)")
    parser.add_argument("--stall-every", type=float, default=0.0, metavar="S", help="seconds from stall to stall (default: 0, never)")
    parser.add_argument("--stall-s", type=float, default=STALL_S, metavar="S", help="how long a stall is (default: %(default)g)")
    parser.add_argument("--drift-ppm", type=float, default=0.0, help="how fast the sender's clock runs (default: 0)")


def bad_option(given: argparse.Namespace) -> str | None:
    """Why these options cannot be; None where they can."""
    if not 1.0 <= given.rate <= 1000.0:
        return f"--rate {given.rate:g}: 1 to 1000 frames a second"
    if not 0.0 <= given.latency <= 1000.0:
        return f"--latency {given.latency:g}: 0 to 1000 ms"
    if not (given.noise_mm >= 0.0 and given.noise_deg >= 0.0):
        return "--noise-mm, --noise-deg: not below 0"
    if not (0.0 <= given.occlusion < 1.0 and 0.0 <= given.drop < 1.0):
        return "--occlusion, --drop: a share, from 0 to below 1"
    if not (given.occlusion_s > 0.0 and given.stall_s >= 0.0 and (given.stall_every == 0.0 or given.stall_every > given.stall_s)):
        return "--occlusion-s: above 0; --stall-every: 0, or longer than --stall-s"
    if not abs(given.drift_ppm) <= 1e5:
        return "--drift-ppm: at most 100000"
    return None


def source_from(given: argparse.Namespace, world: PoseSource, start_ns: int, clock_offset_ns: int = 0) -> StreamSource:
    """The source that these options describe."""
    return StreamSource(
        world,
        given.rate,
        start_ns,
        latency_ms=given.latency,
        noise_mm=given.noise_mm,
        noise_deg=given.noise_deg,
        seed=given.seed,
        clock_offset_ns=clock_offset_ns,
        drift_ppm=given.drift_ppm,
        stall_every_s=given.stall_every,
        stall_s=given.stall_s,
        faults=StreamFaults(occlusion_share=given.occlusion, occlusion_s=given.occlusion_s, drop_share=given.drop),
    )
