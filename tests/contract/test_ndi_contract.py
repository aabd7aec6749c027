"""The NDI driver against the tracker contract, over the simulated camera's real bytes: every way, on TCP and on a serial line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.ndi import NdiTracker
from drivers.ndi_line import SerialWish
from drivers.ndi_ways import Way
from drivers.protocols import Tracker
from sim.ndi_models import MODELS
from sim.ndi_poses import SlowMotion
from sim.ndi_room_tools import COIL, HEAD, POINTER, ROOM_BODIES, ROOM_ROMS
from sim.ndi_sim import CameraSim
from sim.pty_port import PtyPort
from tests.contract.tracker_kit import Endpoint, TrackerContract


class CameraRig:
    tools = (HEAD, POINTER, COIL)

    def __init__(self, camera: CameraSim, endpoint: Endpoint, way: Way | None) -> None:
        self.camera = camera
        self.endpoint = endpoint
        self._way = way

    def tracker(self) -> Tracker:
        return NdiTracker(
            {tool: ROOM_ROMS[tool] for tool in self.tools},
            where=f"camera at {self.endpoint}",
            way=self._way,
            serial=SerialWish(baud=115200) if isinstance(self.endpoint, Path) else None,
        )

    def hide(self, tool: str) -> None:
        self.camera.faults.missing.add(tool)

    def show(self, tool: str) -> None:
        self.camera.faults.missing.discard(tool)

    def fall_silent(self, silent: bool) -> None:
        self.camera.faults.silent = silent

    def hang_up(self) -> None:
        """Nobody at a serial line can: there, the camera is switched off and on."""
        if isinstance(self.endpoint, Path):
            self.camera.faults.restart = 1
        else:
            self.camera.faults.close = 1


TCP = [(Way.STREAM, 400), (Way.BX2, 60), (Way.BX, 60), (Way.BX, 400), (Way.TX, 60)]


class TestNdiOnTcp(TrackerContract):
    @pytest.fixture(params=TCP, ids=[f"{way}-{rate_hz}" for way, rate_hz in TCP])
    def rig(self, request: pytest.FixtureRequest) -> Iterator[CameraRig]:
        way, rate_hz = request.param
        camera = CameraSim("127.0.0.1", 0, rate_hz, SlowMotion(ROOM_BODIES))
        camera.start()
        yield CameraRig(camera, camera.endpoint, way)
        camera.stop()


class TestNdiOnASerialLine(TrackerContract):
    @pytest.fixture(params=["spectra"])
    def rig(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CameraRig]:
        with PtyPort(tmp_path / "camera") as pty:
            camera = CameraSim(None, 0, None, SlowMotion(ROOM_BODIES), pty=pty, model=MODELS[request.param])
            camera.faults.strict_line = True
            camera.start()
            pty.announce()
            yield CameraRig(camera, pty.endpoint, None)
            camera.stop()
