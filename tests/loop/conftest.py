"""One room for each file of tests, and fresh processes over it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loop.hot_rig import HotRig
from tests.loop.rig import Room, Supervised


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = Room(tmp_path_factory.mktemp("room"))
    room.act("coil_near")
    yield room
    room.close()


@pytest.fixture
def chair(room: Room) -> Iterator[Supervised]:
    chair = Supervised(room)
    try:
        yield chair.ready()
    finally:
        chair.close()


@pytest.fixture(scope="module")
def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HotRig]:
    with HotRig(tmp_path_factory.mktemp("hot")) as rig:
        yield rig
    assert rig.process.returncode == 0, rig.complaints


@pytest.fixture
def rig(shared_rig: HotRig) -> HotRig:
    """A running hot process, at rest: for tests after which it runs on."""
    shared_rig.rest()
    return shared_rig


@pytest.fixture
def doomed_rig(tmp_path: Path) -> Iterator[HotRig]:
    """A hot process of its own, for tests that it does not outlive."""
    with HotRig(tmp_path) as rig:
        yield rig
