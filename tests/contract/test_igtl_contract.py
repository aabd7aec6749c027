"""The OpenIGTLink driver against the tracker contract, over the simulated server's real TCP bytes."""

import time
from collections.abc import Iterator

import pytest

from drivers.igtl import IgtlTracker
from drivers.protocols import Tracker
from sim.igtl_tracker import IgtlServer, Occluded, device_name
from sim.ndi_poses import SlowMotion
from sim.ndi_room_tools import COIL, HEAD, POINTER, ROOM_BODIES
from sim.stream_source import StreamSource
from tests.contract.tracker_kit import TrackerContract


class ServerRig:
    tools = (HEAD, POINTER, COIL)

    def __init__(self, server: IgtlServer) -> None:
        self.server = server
        self.endpoint = server.endpoint

    def tracker(self) -> Tracker:
        names = {tool: device_name(tool) for tool in self.tools}
        return IgtlTracker(names, frame_hz=self.server.source.rate_hz, stated_rms_mm=0.2, where=f"server at {self.endpoint}")

    def hide(self, tool: str) -> None:
        self.server.faults.missing.add(tool)

    def show(self, tool: str) -> None:
        self.server.faults.missing.discard(tool)

    def fall_silent(self, silent: bool) -> None:
        self.server.faults.silent = silent

    def hang_up(self) -> None:
        self.server.hang_up()


class TestIgtlContract(TrackerContract):
    @pytest.fixture(params=[(60, 2, True, Occluded.IDENTITY), (60, 1, True, Occluded.SKIP), (60, 1, False, Occluded.STALE)])
    def rig(self, request: pytest.FixtureRequest) -> Iterator[ServerRig]:
        rate_hz, version, stamps, occluded = request.param
        source = StreamSource(SlowMotion(ROOM_BODIES), rate_hz, time.monotonic_ns())
        server = IgtlServer("127.0.0.1", 0, source, occluded=occluded, version=version, stamps=stamps)
        server.start()
        yield ServerRig(server)
        server.stop()
