"""A registrar in a test's hands: a head before a camera, a pointer that goes where it is told, frames as the hot process sends them."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from calibration.frames import FloatArray, Transform, quaternion_from_rotation, rigid_matrix, rotation_from_vector
from daemon.config import Config, RegistrationSection
from daemon.ipc import FrameNews
from daemon.on_target import DEFAULT_LIMITS
from daemon.registering import Point
from daemon.registrar import Registrar
from daemon.registration_standing import Clock
from daemon.registration_store import RegistrationStore, read_lines
from daemon.treatment import Treatment
from drivers.values import ToolSample
from tests.swept_head import TARGET_IN_MRI_MM, marked, on_scalp, scalp

FRAME_NS = 16_666_667
NOON_NS = 1_770_120_000_000_000_000  # 2026-02-03 12:00 UTC
TIP_MM: Point = (1.0, -2.0, -150.0)
TRUE_MRI_FROM_HEAD = rigid_matrix(rotation_from_vector((0.3, -0.8, 0.5)), np.array((10.0, 110.0, 60.0)))
MRI_FROM_TARGET = ((-1.0, 0.0, 0.0, -60.0), (0.0, 1.0, 0.0, 55.0), (0.0, 0.0, -1.0, 50.0), (0.0, 0.0, 0.0, 1.0))


def treatment(patient: str = "P-1", *, t1: str = "t1") -> Treatment:
    """Of a treatment what a registrar asks for."""
    files = SimpleNamespace(t1=SimpleNamespace(sha256=t1), scalp=SimpleNamespace(sha256="scalp"))
    target = SimpleNamespace(cortical_target_in_mri_mm=TARGET_IN_MRI_MM, mri_from_coil=MRI_FROM_TARGET, side_fact="capsule on the left")
    plan = SimpleNamespace(patient=patient, files=files, fiducials_in_mri_mm=dict(marked()), target=target, expected_error_limit_mm=5.0)
    opened = SimpleNamespace(plan=plan, sha256="plan")
    return cast(Treatment, SimpleNamespace(opened=opened, scalp=scalp(), on_target=DEFAULT_LIMITS, scalp_patch=None))


@dataclass
class Times:
    mono_ns: int = 5_000_000_000
    utc_ns: int = NOON_NS

    def pass_(self, ns: int) -> None:
        self.mono_ns += ns
        self.utc_ns += ns


class FixedTools:
    """A head reference and a pointer whose tip is known, unless a test takes it away."""

    def __init__(self) -> None:
        self.rom_sha256 = {"head": "a" * 64, "pointer": "b" * 64}
        self.tip_mm: Point | None = TIP_MM

    def tip_in_pointer_mm(self) -> Point | None:
        return self.tip_mm


class Chair:
    """The daemon's registration over one chair's folder; `restart` is a new daemon over the same."""

    def __init__(self, folder: Path, section: RegistrationSection | None = None) -> None:
        self.folder, self.times, self.frame_no = folder, Times(), 0
        self.slip: FloatArray = np.eye(4)  # of the head's true place, seen from the reference
        self.noise = np.random.default_rng(5)
        self.tools = FixedTools()
        self._config = cast(Config, SimpleNamespace(registration=section or RegistrationSection()))
        self.restart()

    def restart(self) -> None:
        at = str(self.folder / "registration-{}.jsonl")
        store = RegistrationStore(lambda day: Path(at.format(day)), "chair", "1.0", "Etc/UTC", lambda: self.times.utc_ns)
        clock = Clock(lambda: self.times.mono_ns, lambda: self.times.utc_ns)
        self.registrar = Registrar(self._config, self.tools, store, lambda: None, clock)

    def open(self, patient: str = "P-1", **changes: str) -> bool:
        return self.registrar.begin(self.registrar.look_up(treatment(patient, **changes)))

    @property
    def lines(self) -> list[Any]:
        return [line.entry for line in read_lines(self.folder / "registration-2026-02-03.jsonl")]

    # ---- frames ----

    def in_head(self, in_mri_mm: Any) -> FloatArray:
        """Where a place of the image truly is, seen from the reference as it sits now."""
        true: FloatArray = (self.slip @ np.linalg.inv(TRUE_MRI_FROM_HEAD) @ np.append(in_mri_mm, 1.0))[:3]
        return true

    def show(self, tip_in_head_mm: Any, age_ns: int = 10_000_000) -> None:
        """One frame with the tip there, exposed so long ago."""
        self.times.pass_(FRAME_NS)
        self.frame_no += 1
        turn = rotation_from_vector((0.2, 0.1, 0.0))
        in_tracker = np.asarray(tip_in_head_mm) - turn @ np.array(TIP_MM)  # the reference is the tracker's own frame
        tools = tuple(
            ToolSample(tool=tool, frame_number=self.frame_no, fit_rms_mm=0.1, wxyz=wxyz, in_tracker_mm=mm, unseen=None)
            for tool, wxyz, mm in (
                ("head", (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
                ("pointer", quaternion_from_rotation(turn), tuple(in_tracker.tolist())),
            )
        )
        news = FrameNews(
            frame_number=self.frame_no,
            received_ns=self.times.mono_ns,
            exposed_ns=self.times.mono_ns - age_ns,
            tools=cast(tuple[ToolSample, ...], tools),
            error=None,
            coil_in_mri_mm=None,
            mri_from_coil_wxyz=None,
            on_target=False,
            settling=False,
            dropped=0,
        )
        self.registrar.frame(news)

    async def held(self, asking: Awaitable[Any], in_mri_mm: Any) -> Any:
        """What asks for a touch, while the tip is held there."""
        off = self.noise.normal(0.0, 0.3, 3)
        task = asyncio.ensure_future(asking)
        for _ in range(200):
            await asyncio.sleep(0)
            if task.done():
                break
            self.show(self.in_head(in_mri_mm) + off)
        return await task

    async def touch(self, landmark: str | None, at: str | None = None) -> Any:
        name = landmark or self.registrar.next_landmark or ""
        return await self.held(self.registrar.touch(landmark, at_once=False), marked()[at or name])

    async def check(self, landmark: str | None, at: str) -> Any:
        return await self.held(self.registrar.check_touch(landmark, at_once=False, by="someone"), marked()[at])

    def draw(self, points_in_mri_mm: FloatArray) -> None:
        for point in points_in_mri_mm:
            self.show(self.in_head(point + self.noise.normal(0.0, 0.3, 3)))

    # ---- whole acts ----

    async def fit(self, points: int = 300) -> str | None:
        """Everything up to the verdict."""
        while self.registrar.missing:
            assert not isinstance(await self.touch(None), str)
        assert self.registrar.start_sweep() is None
        self.draw(on_scalp(np.random.default_rng(3), points))
        return await self.registrar.end_sweep()

    async def register(self) -> None:
        assert await self.fit() is None
        assert not isinstance(await self.check("LPA", "LPA"), str)
        assert await self.registrar.accept("someone") is None

    def slide(self, mm: float) -> None:
        """The reference slides on the skin."""
        self.slip = rigid_matrix(np.eye(3), np.array((0.0, mm, 0.0))) @ self.slip

    @property
    def target_error_mm(self) -> float:
        """How far the standing registration puts the target from where it truly is."""
        standing = self.registrar.standing
        assert standing is not None
        found: Transform = standing.mri_from_head
        return float(np.linalg.norm(found.apply(self.in_head(TARGET_IN_MRI_MM)) - TARGET_IN_MRI_MM))
