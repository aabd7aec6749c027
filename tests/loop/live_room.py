"""A simulated room inside the test's own process: camera and stimulator in threads, the truth in memory, every switch within reach.

Needs no plan: the target is a place on the head. Where the coil lies, and how it slips, is the test's to say.
"""

import contextlib
import functools
import math
import os
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from sim.magventure_settings import DEFAULT_MODEL
from sim.ndi_shutter import FAST_LATENCY_MS, FASTEST_SLOW_HZ, SLOW_LATENCY_MS
from sim.ndi_sim import CameraSim
from sim.pty_port import PtyPort
from sim.room_files import Chair, ensure_roms, write_chair
from sim.room_tracker import CAMERA, name_tracker, streaming
from sim.room_unit import chair_lines, make_unit
from sim.stream_source import StreamFaults
from sim.truth import TruthLog
from sim.world import World
from sim.world_geometry import Pose, crossed, from_axes, scaled, unit
from sim.world_hand import Reach
from sim.world_head import Head
from sim.world_people import People

PRIORITY = 10  # below the hot process's own
HANDLE = (0.0, 0.7, 0.7)  # the coil's y, away from the handle, before it is made square to its z
UNSEEN_GAP_MM = 0.5  # the casing lies this far off the skin


@dataclass(frozen=True, slots=True)
class TruePulse:
    """One physical pulse. `train` counts the device's trains since power-on; None: fired at the panel."""

    at_ns: int
    amplitude_pct: int
    enabled: bool
    train: int | None


@dataclass(frozen=True, slots=True)
class TrueCharge:
    """The device was enabled or disabled."""

    at_ns: int
    enabled: bool


class MemoryTruth(TruthLog):
    """What the device physically did, for whoever waits on `changed`."""

    def __init__(self, changed: threading.Condition) -> None:
        super().__init__(None)
        self._changed = changed
        self.pulses: list[TruePulse] = []
        self.charges: list[TrueCharge] = []

    def pulse(self, mono_ns: int, amplitude_pct: int, *, enabled: bool, train: int | None) -> None:
        with self._changed:
            self.pulses.append(TruePulse(mono_ns, amplitude_pct, enabled, train))
            self._changed.notify_all()

    def charged(self, mono_ns: int, *, enabled: bool) -> None:
        with self._changed:
            self.charges.append(TrueCharge(mono_ns, enabled))
            self._changed.notify_all()


class Cable(PtyPort):
    """A port whose plug can be pulled: the client's side is hung up, the device behind it goes on."""

    def pull(self) -> None:
        assert self.link is not None
        self.link.unlink()
        os.close(self._client_fd)
        fresh, self._client_fd = os.openpty()
        tty.setraw(self._client_fd)
        self.device = Path(os.ttyname(self._client_fd))
        os.dup2(fresh, self.fd, inheritable=False)  # under the simulator's thread: it never sees a closed descriptor
        os.set_blocking(self.fd, False)
        os.close(fresh)

    def plug(self) -> None:
        """Put it back, if it is out."""
        self.announce()


@functools.cache
def _head() -> Head:
    return Head()


def place_on_head(azimuth_deg: float = 140.0, elevation_deg: float = 45.0) -> Pose:
    """`mri_from_coil` flat on the skin there (from the right ear over the front, and up): z into the head."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    head = _head()
    skin = head.skin((math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)))
    outward = head.outward(skin)
    z = scaled(outward, -1.0)
    x = unit(crossed(HANDLE, z))
    return from_axes(x, crossed(z, x), z, skin).moved((0.0, 0.0, -UNSEEN_GAP_MM))


def be_punctual(yes: bool) -> None:
    """All threads of this process, not its children, go before the machine's other work: devices do not wait for that.

    Left as it is where that is not allowed. Threads that begin later are not meant.
    """
    policy, priority = (os.SCHED_FIFO, PRIORITY) if yes else (os.SCHED_OTHER, 0)
    with contextlib.suppress(OSError):
        for thread in threading.enumerate():
            if thread.native_id is not None:
                os.sched_setscheduler(thread.native_id, policy | os.SCHED_RESET_ON_FORK, os.sched_param(priority))


class LiveRoom:
    """Camera on TCP, stimulator on a pty, chair file and tool definitions in `folder`, between enter and exit.

    `changed` is notified at every pulse and every change of the charge.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rate_hz: int = 60,
        seed: int = 1,
        changed: threading.Condition | None = None,
        model: str = DEFAULT_MODEL,
        is_calibrated: bool = True,
        tracker: str = CAMERA,
    ) -> None:
        self.folder, self._rate_hz, self._seed, self._model = folder, rate_hz, seed, model
        self._is_calibrated = is_calibrated
        self._tracker, self._streams = tracker, contextlib.ExitStack()
        self.changed = changed or threading.Condition()
        self.target = place_on_head()
        self.world = World(seed, time.monotonic_ns(), head=_head(), target=self.target)
        self.people = People(self.world, seed)
        self.truth = MemoryTruth(self.changed)

    def __enter__(self) -> Self:
        latency_ms = SLOW_LATENCY_MS if self._rate_hz <= FASTEST_SLOW_HZ else FAST_LATENCY_MS
        self.camera = CameraSim("127.0.0.1", 0, self._rate_hz, self.world, latency_ms=latency_ms, seed=self._seed)
        self.cable = Cable(self.folder / "stimulator")
        self.stimulator = make_unit(self._model, self.cable, self.truth, self._seed)
        ensure_roms(self.folder)
        host, port = self.camera.endpoint
        chair = Chair(
            camera=f"tcp://{host}:{port}",
            rate_hz=self._rate_hz,
            latency_ms=latency_ms,
            stimulator=chair_lines(self._model, self.folder),
            is_calibrated=self._is_calibrated,
        )
        self.config = write_chair(self.folder, self._seed, chair)
        if self._tracker != CAMERA:
            stream = self._streams.enter_context(streaming(self._tracker, self.folder, self.world, self._rate_hz, self._seed))
            self.stream = stream.source
            name_tracker(self.config, stream.section)
        self.camera.start()
        self.stimulator.start()
        self.put_coil_on_target()
        be_punctual(True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        be_punctual(False)
        self.stimulator.stop()
        self.cable.close()
        self.camera.stop()
        self._streams.close()

    # ---- hands and faults -------------------------------------------------------------------------------------------

    def put_coil_on_target(self) -> None:
        """At once, as no hand could."""
        now_ns = time.monotonic_ns()
        self.world.coil.set_off(Reach(now_ns, now_ns, self.target, self.target, True))

    def slip(self, mm: float = 8.0, ms: float = 20.0) -> int:
        """The coil slides off sideways. Returns when it began, ns."""
        now_ns = time.monotonic_ns()
        self.people.slip(mm, ms, now_ns)
        return now_ns

    def occlude(self, tool: str, seconds: float) -> int:
        now_ns = time.monotonic_ns()
        self.people.occlude(tool, seconds, now_ns)
        return now_ns

    def mend(self) -> None:
        """No fault, the right plugs where they belong, the coil on its target."""
        self.cable.plug()
        for faults in (self.camera.faults, self.stimulator.faults):
            fresh = type(faults)()
            for field in fields(fresh):
                setattr(faults, field.name, getattr(fresh, field.name))
        if self._tracker != CAMERA:
            for field in fields(StreamFaults):
                setattr(self.stream.faults, field.name, getattr(StreamFaults(), field.name))
        self.stimulator.plug_coil()
        self.put_coil_on_target()

    # ---- the truth --------------------------------------------------------------------------------------------------

    def wait(self, what: str, holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Until it holds; looks again whenever `changed` is notified. Fails by name when it does not come."""
        with self.changed:
            assert self.changed.wait_for(holds, timeout_s), f"{what} did not come within {timeout_s:g} s"

    def pulses_since(self, since_ns: int) -> list[TruePulse]:
        return [pulse for pulse in self.truth.pulses if pulse.at_ns >= since_ns]

    def disabled_ns(self, since_ns: int, timeout_s: float = 5.0) -> int:
        """When the device was first disabled after then."""

        def found() -> list[int]:
            return [charge.at_ns for charge in self.truth.charges if charge.at_ns >= since_ns and not charge.enabled]

        self.wait("the disable", lambda: bool(found()), timeout_s)
        return found()[0]
