"""The NDI driver against the tracker contract, over the simulated camera's real TCP bytes."""

from collections.abc import Iterator

import pytest

from drivers.ndi import NdiTracker
from drivers.protocols import Tracker
from sim.ndi_poses import SlowMotion
from sim.ndi_room_tools import COIL, HEAD, POINTER, ROOM_BODIES, ROOM_ROMS
from sim.ndi_sim import CameraSim
from tests.contract.tracker_kit import TrackerContract


class CameraRig:
    tools = (HEAD, POINTER, COIL)

    def __init__(self, camera: CameraSim) -> None:
        self.camera = camera
        self.endpoint = camera.endpoint

    def tracker(self) -> Tracker:
        return NdiTracker({tool: ROOM_ROMS[tool] for tool in self.tools}, where=f"camera at {self.endpoint}")

    def hide(self, tool: str) -> None:
        self.camera.faults.missing.add(tool)

    def show(self, tool: str) -> None:
        self.camera.faults.missing.discard(tool)

    def fall_silent(self, silent: bool) -> None:
        self.camera.faults.silent = silent

    def hang_up(self) -> None:
        self.camera.faults.close = 1


class TestNdiContract(TrackerContract):
    @pytest.fixture(params=[60, 400])
    def rig(self, request: pytest.FixtureRequest) -> Iterator[CameraRig]:
        camera = CameraSim("127.0.0.1", 0, request.param, SlowMotion(ROOM_BODIES))
        camera.start()
        yield CameraRig(camera)
        camera.stop()
