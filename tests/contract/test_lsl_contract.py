"""The LSL driver against the tracker contract: a real stream of this machine, a real reader, its packets over TCP."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.lsl_reader import serve
from drivers.lsl_tracker import LslTracker
from drivers.protocols import Tracker
from sim.lsl_tracker import LslSource
from sim.ndi_poses import SlowMotion
from sim.ndi_room_tools import COIL, HEAD, POINTER, ROOM_BODIES
from sim.stream_source import StreamSource
from tests.contract.tracker_kit import TrackerContract
from tests.lsl_machine import CONFIG


@pytest.fixture(scope="module")
def lsl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """pylsl, which reads its configuration once, when it is loaded."""
    config: Path = tmp_path_factory.mktemp("lsl") / "lsl_api.cfg"
    config.write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSLAPICFG", str(config))
        import pylsl  # noqa: PLC0415

        yield pylsl


KINDS = ("PositionX", "PositionY", "PositionZ", "OrientationA", "OrientationB", "OrientationC", "OrientationD", "Confidence")


class ReaderDoor:
    """Whoever connects gets a reader of its own, as the hot process starts one."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint: tuple[str, int] = self._listener.getsockname()[:2]
        self._readers: list[tuple[socket.socket, threading.Thread]] = []
        self._thread = threading.Thread(target=self._run, name="door")
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            reader = threading.Thread(target=self._serve, args=(link,), name="reader")
            self._readers.append((link, reader))
            reader.start()

    @staticmethod
    def _serve(link: socket.socket) -> None:
        with link:
            serve(link)

    def hang_up(self) -> None:
        for link, _ in self._readers:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has gone before

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.hang_up()
        for _, reader in self._readers:
            reader.join()


class StreamRig:
    tools = (HEAD, POINTER, COIL)

    def __init__(self, sender: LslSource, door: ReaderDoor) -> None:
        self.sender, self.door = sender, door
        self.endpoint = door.endpoint

    def tracker(self) -> Tracker:
        return LslTracker(self.sender.stream, {tool: tool for tool in self.tools}, stated_rms_mm=0.2, least_confidence=0.5)

    def hide(self, tool: str) -> None:
        self.sender.faults.missing.add(tool)

    def show(self, tool: str) -> None:
        self.sender.faults.missing.discard(tool)

    def fall_silent(self, silent: bool) -> None:
        self.sender.faults.silent = silent

    def hang_up(self) -> None:
        self.door.hang_up()


class TestLslContract(TrackerContract):
    @pytest.fixture
    def rig(self, lsl: Any, tmp_path: Path) -> Iterator[StreamRig]:
        source = StreamSource(SlowMotion(ROOM_BODIES), 60.0, time.monotonic_ns())
        sender = LslSource(f"tracker-{tmp_path.name}", source, lsl)
        sender.start()
        door = ReaderDoor()
        yield StreamRig(sender, door)
        door.close()
        sender.stop()
