"""One room for each file of tests, and fresh processes over it."""

from collections.abc import Iterator

import pytest

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
