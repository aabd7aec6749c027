"""`frame_cost`: our own Python for one frame, from the reply's bytes to the gate's decision, and what follows the decision.

In this process, without sockets: the driver, aiming, the view and the rules as the hot process has them.
"""

import cProfile
import gc
import pstats
import socket
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.chair import latency_ms, write_chair
from bench.floors import prefer, prefer_none
from bench.options import Options
from bench.place import Place
from bench.stream_cost import stream_costs
from bench.table import Row, print_rows, us
from bench.units import MAGVENTURE
from calibration.frames import Transform
from calibration.scalp_patch import ScalpPatch, patch_of
from calibration.surface import Surface
from calibration.surface_files import read_surface
from daemon import ipc
from daemon.config import load_config
from daemon.devices import make_tracker
from daemon.hot import Hot
from daemon.lifeline import Lifeline
from drivers.ndi_wire import CommandReader
from drivers.protocols import Tracker
from drivers.values import ClockRestart, TrackerFrame
from sim.ndi_camera import Camera
from sim.ndi_device import Device
from sim.world_geometry import to_matrix

FRAMES, RESTED_FEWER = 3000, 10
WARM = 50
PRIORITY = 20
RATE_HZ = 400
FRAME_NS = 10**9 // RATE_HZ
BUDGET = (("p50", 100.0),)
TOTAL = "bytes in to gate decided"
PARTS = ("driver, bytes to frame", "aiming, frame to verdict", "gate, view and rules", TOTAL, "packing the news")
SHOWN = 14
SCALP = Path(__file__).parents[1] / "sim" / "data" / "scalp_20k.surf.gii"


class Line:
    """A simulated camera and our driver for it, joined without a socket and out of time: frame after frame."""

    def __init__(self, place: Place, tracker: Tracker) -> None:
        self.now_ns = time.monotonic_ns()
        self.tracker = tracker
        device = Device(place, RATE_HZ, lambda: self.now_ns, latency_ms=latency_ms(RATE_HZ), noise_mm=0.05)
        self._camera = Camera(device, lambda: self.now_ns)
        self._reader = CommandReader()
        self._step = tracker.connected(self.now_ns)

    def next_reply(self) -> bytes:
        """What the camera pushes, or answers to what the driver sent last; time goes on until there is something."""
        push_ns = self._camera.next_push_ns()
        if push_ns is not None and not self._step.send:
            self.now_ns = max(self.now_ns, push_ns)
            return b"".join(pushed for _, pushed in self._camera.pushes())
        while not self._step.send:
            self.now_ns = max(self.now_ns, self._step.wake_ns)
            self._step = self.tracker.tick(self.now_ns)
        self.now_ns += FRAME_NS  # each answer brings a new frame
        return b"".join(self._camera.answer(1, line) for line in self._reader.push(self._step.send))

    def feed(self, reply: bytes) -> tuple[object, ...]:
        self._step = self.tracker.feed(reply, self.now_ns)
        return self._step.events


def run(options: Options) -> None:
    frames = options.count_or(FRAMES)
    for mode in ("bx", "stream"):
        _run_mode(mode, frames)


def _run_mode(mode: str, frames: int) -> None:
    with tempfile.TemporaryDirectory(prefix="atmsd-bench-") as folder:
        place, hot, line = _build(Path(folder), mode)
        place.put(line.now_ns, on_target=True)
        gc.collect()
        gc.disable()  # as in the hot process, and ahead of others as it is
        prefer(PRIORITY)
        rows = _rows("at full warmth", _measure(hot, line, frames), BUDGET)
        for rate_hz in (400, 60):
            rested = _measure(hot, line, frames // RESTED_FEWER, rest_s=1.0 / rate_hz)
            rows += _rows(f"after {1e3 / rate_hz:.1f} ms of sleep", rested)
        rows += [Row(f"at full warmth: {name}", us(spent), "us") for name, spent in stream_costs(frames)]
        profile = cProfile.Profile()
        _measure(hot, line, frames, profile=profile)
        prefer_none()
        gc.enable()
    notes = (
        "the budget is for our own work, at full warmth; after a sleep the processor's caches have to be filled anew.",
        "packing: what is told to the daemon, after the stimulator's bytes were written.",
    )
    print_rows(f"frame_cost: own Python for one frame by {mode.upper()}", rows, notes)
    _print_profile(profile, frames)


def _rows(when: str, costs: tuple[list[int], ...], budget: tuple[tuple[str, float], ...] = ()) -> list[Row]:
    named = zip(PARTS, costs, strict=True)
    return [Row(f"{when}: {name}", us(spent), "us", budget if name == TOTAL else ()) for name, spent in named]


def _build(folder: Path, mode: str) -> tuple[Place, Hot, Line]:
    """A hot process's innards with a registration, on channels that nobody reads."""
    config = load_config(write_chair(folder, "tcp://127.0.0.1:1", folder / "stimulator", RATE_HZ, MAGVENTURE, mode))
    ends = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(4)]
    beats: ipc.Channel[ipc.ToHotBeat] = ipc.Channel(ends[0][0], ipc.ToHotBeat)
    orders: ipc.Channel[ipc.ToHotOrder] = ipc.Channel(ends[1][0], ipc.ToHotOrder)
    news: ipc.Channel[object] = ipc.Channel(ends[2][0], object)
    hot = Hot(config, beats, orders, news, Lifeline(ends[3][0].detach()))
    place = Place(1, time.monotonic_ns())
    target = tuple(tuple(row) for row in to_matrix(place.target))
    hot.aiming.take_aim(
        ipc.Aim(
            mri_from_head=tuple(tuple(row) for row in to_matrix(place.mri_from_head)),
            mri_from_target=target,
            target_in_mri_mm=(target[0][3] + 1.0, target[1][3] + 1.0, target[2][3] - 15.0),
            limits=config.on_target,
            registration_expires_ns=time.monotonic_ns() + 3600 * 10**9,
            scalp=_patch(target),
            check_expires_ns=time.monotonic_ns() + 3600 * 10**9,
            reference_holds=True,
        )
    )
    return place, hot, Line(place, make_tracker(config))


def _patch(target: tuple[tuple[float, ...], ...]) -> ScalpPatch:
    """The room's head around the target, as a plan brings it."""
    mesh = read_surface(SCALP)
    return patch_of(Surface.from_mesh(mesh.vertices_mm, mesh.faces), Transform("mri", "coil", np.array(target)))


def _measure(
    hot: Hot, line: Line, frames: int, *, rest_s: float = 0.0, profile: cProfile.Profile | None = None
) -> tuple[list[int], ...]:
    """ns of each part, for each frame after the first few; rests so long before each."""
    costs: tuple[list[int], ...] = ([], [], [], [], [])
    for number in range(-WARM, frames):
        reply = line.next_reply()
        if rest_s:
            time.sleep(rest_s)
        if profile is not None:
            profile.enable()
        spent = _one(hot, line, reply)
        if profile is not None:
            profile.disable()
        if number >= 0:
            for kept, part in zip(costs, spent, strict=True):
                kept.append(part)
    return costs


def _one(hot: Hot, line: Line, reply: bytes) -> tuple[int, ...]:
    """One reply as the hot process's turn treats it."""
    clock = time.perf_counter_ns
    begun = clock()
    events = line.feed(reply)
    driven = clock()
    told: list[object] = []
    for event in events:
        match event:
            case TrackerFrame():
                told.append(hot.aiming.frame(event, 0))
                aiming = hot.aiming
                hot.places.frame(aiming.exposed_ns, aiming.mri_from_coil, aiming.worst_fit_mm, aiming.flagged)
            case ClockRestart(frame_hz=frame_hz):
                hot.aiming.restart_clock(frame_hz)
    aimed = clock()
    view = hot._view()
    hot.firing.tick(view, line.now_ns)
    told += hot._gate_news(view, line.now_ns)
    decided = clock()
    for item in told:
        hot.news.send(item)  # type: ignore[arg-type]
    packed = clock()
    return driven - begun, aimed - driven, decided - aimed, decided - begun, packed - decided


def _print_profile(profile: cProfile.Profile, frames: int) -> None:
    """Where it goes. The profiler makes every call dearer: shares count, not sums."""
    stats = pstats.Stats(profile)
    total_s = sum(entry[2] for entry in stats.stats.values())  # type: ignore[attr-defined]
    entries = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:SHOWN]  # type: ignore[attr-defined]
    print(f"  by the profiler, {frames} frames: own share, calls a frame, what")
    for (file, number, name), (_, calls, own_s, _, _) in entries:
        print(f"    {own_s / total_s:6.1%}  {calls / frames:5.1f}  {Path(file).name}:{number} {name}")
